//! By hand, on async-std alone.

use std::future::Future;
use std::io;
use std::time::Instant;

use async_std::io::{ReadExt, WriteExt};
use async_std::net::{TcpListener, TcpStream};
use async_std::task;
use rtswap_lane::native::Native;
use rtswap_lane::{ReadySignal, Slices};
use rtswap_runtime::{Config, accept};
use rtswap_workload::{Batch, Fault, Sleep, Spawn, TcpEcho};

use crate::{AsyncStd, init};

impl Native for AsyncStd {
    fn tcp_echo(
        &self,
        config: &Config,
        listener: std::net::TcpListener,
        echo: TcpEcho,
        ready: &ReadySignal,
    ) -> io::Result<()> {
        on_worker(config, serve(listener, echo, ready.clone()))
    }

    fn sleeps(&self, config: &Config, sleep: Sleep, slices: Slices) -> io::Result<()> {
        on_worker(config, sleeps(sleep, slices))
    }

    fn spawns(&self, config: &Config, spawn: Spawn, slices: Slices) -> io::Result<()> {
        on_worker(config, spawns(spawn, slices))
    }
}

/// As a task, because what `block_on` is given runs on none of the executor's threads.
///
/// The global executor gets its number of threads as it does under the adapter. Left to itself,
/// async-std would count the CPUs, and the lanes might differ in threads.
fn on_worker<F>(config: &Config, main: F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    init(config.workers.get())?;
    task::block_on(task::spawn(main))
}

async fn serve(
    listener: std::net::TcpListener,
    echo: TcpEcho,
    ready: ReadySignal,
) -> io::Result<()> {
    let listener = TcpListener::from(listener);
    ready.send();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                task::sleep(accept::pause_after(error)?).await;
                continue;
            }
        };
        task::spawn(connection(stream, echo.buffer_bytes()));
    }
}

async fn connection(mut stream: TcpStream, buffer_bytes: usize) {
    let mut buffer = vec![0; buffer_bytes];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(bytes) => {
                if stream.write_all(&buffer[..bytes]).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn sleeps(sleep: Sleep, mut slices: Slices) -> io::Result<()> {
    while let Some(mut slice) = slices.next().await {
        while slice.has_time() {
            let begin = Instant::now();
            let tasks: Vec<_> = sleep
                .asked()
                .map(|asked| {
                    task::spawn(async move {
                        let start = Instant::now();
                        task::sleep(asked).await;
                        (start.elapsed(), begin.elapsed())
                    })
                })
                .collect();
            let mut ends = Vec::with_capacity(tasks.len());
            for task in tasks {
                ends.push(task.await);
            }
            slice.record(sleep.check(ends.into_iter()));
        }
        slice.finish();
    }
    Ok(())
}

async fn spawns(spawn: Spawn, mut slices: Slices) -> io::Result<()> {
    while let Some(mut slice) = slices.next().await {
        while slice.has_time() {
            slice.record(batch(spawn).await);
        }
        slice.finish();
    }
    Ok(())
}

async fn batch(spawn: Spawn) -> Result<Batch, Fault> {
    let mut tasks = Vec::with_capacity(spawn.tasks() as usize);
    for number in 0..spawn.tasks() {
        tasks.push(task::spawn(async move { number }));
    }
    for (number, task) in (0..).zip(tasks) {
        Spawn::check(number, task.await)?;
    }
    Ok(Batch::of(spawn.tasks()))
}
