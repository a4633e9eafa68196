//! By hand, on tokio alone.

use std::future::Future;
use std::io;
use std::time::Instant;

use rtswap_lane::native::Native;
use rtswap_lane::{ReadySignal, Slices};
use rtswap_runtime::{Config, accept};
use rtswap_workload::{Batch, Fault, Sleep, Spawn, TcpEcho};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::Tokio;

impl Native for Tokio {
    fn tcp_echo(
        &self,
        config: &Config,
        listener: std::net::TcpListener,
        echo: TcpEcho,
        ready: &ReadySignal,
    ) -> io::Result<()> {
        on_worker(&self.build(config)?, serve(listener, echo, ready.clone()))
    }

    fn sleeps(&self, config: &Config, sleep: Sleep, slices: Slices) -> io::Result<()> {
        on_worker(&self.build(config)?, sleeps(sleep, slices))
    }

    fn spawns(&self, config: &Config, spawn: Spawn, slices: Slices) -> io::Result<()> {
        on_worker(&self.build(config)?, spawns(spawn, slices))
    }
}

/// As a task, because what `block_on` is given runs on none of the workers.
fn on_worker<F>(runtime: &Runtime, main: F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    runtime.block_on(async { tokio::spawn(main).await? })
}

async fn serve(
    listener: std::net::TcpListener,
    echo: TcpEcho,
    ready: ReadySignal,
) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    ready.send();
    loop {
        let mut stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tokio::time::sleep(accept::pause_after(error)?).await;
                continue;
            }
        };
        tokio::spawn(async move {
            let mut buffer = vec![0; echo.buffer_bytes()];
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
        });
    }
}

async fn sleeps(sleep: Sleep, mut slices: Slices) -> io::Result<()> {
    while let Some(mut slice) = slices.next().await {
        while slice.has_time() {
            let begin = Instant::now();
            let tasks: Vec<_> = sleep
                .asked()
                .map(|asked| {
                    tokio::spawn(async move {
                        let start = Instant::now();
                        tokio::time::sleep(asked).await;
                        (start.elapsed(), begin.elapsed())
                    })
                })
                .collect();
            let mut ends = Vec::with_capacity(tasks.len());
            for task in tasks {
                ends.push(task.await?);
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
        tasks.push(tokio::spawn(async move { number }));
    }
    for (number, task) in (0..).zip(tasks) {
        Spawn::check(number, task.await.map_err(io::Error::from)?)?;
    }
    Ok(Batch::of(spawn.tasks()))
}
