//! By hand, on glommio alone.

use std::future::Future;
use std::io;
use std::time::Instant;

use futures_lite::io::{AsyncReadExt, AsyncWriteExt};
use glommio::timer;
use rtswap_lane::native::Native;
use rtswap_lane::{ReadySignal, Slices};
use rtswap_runtime::{Config, accept};
use rtswap_workload::{Batch, Fault, Sleep, Spawn, TcpEcho};

use crate::{Glommio, machine, net};

impl Native for Glommio {
    fn tcp_echo(
        &self,
        _config: &Config,
        listener: std::net::TcpListener,
        echo: TcpEcho,
        ready: &ReadySignal,
    ) -> io::Result<()> {
        machine::executor()?.run(as_task(serve(listener, echo, ready.clone())))
    }

    fn sleeps(&self, _config: &Config, sleep: Sleep, slices: Slices) -> io::Result<()> {
        machine::executor()?.run(as_task(sleeps(sleep, slices)));
        Ok(())
    }

    fn spawns(&self, _config: &Config, spawn: Spawn, slices: Slices) -> io::Result<()> {
        machine::executor()?.run(as_task(spawns(spawn, slices)));
        Ok(())
    }
}

/// As a task, as the adapter's lane has it: what `run` is given is polled in another way.
async fn as_task<F: Future + 'static>(main: F) -> F::Output {
    glommio::spawn_local(main).await
}

async fn serve(
    listener: std::net::TcpListener,
    echo: TcpEcho,
    ready: ReadySignal,
) -> io::Result<()> {
    let listener = net::take_over(listener)?;
    ready.send();
    loop {
        let mut stream = match listener.accept().await {
            Ok(stream) => stream,
            Err(error) => {
                timer::sleep(accept::pause_after(error.into())?).await;
                continue;
            }
        };
        glommio::spawn_local(async move {
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
        })
        .detach();
    }
}

async fn sleeps(sleep: Sleep, mut slices: Slices) {
    while let Some(mut slice) = slices.next().await {
        while slice.has_time() {
            let begin = Instant::now();
            let tasks: Vec<_> = sleep
                .asked()
                .map(|asked| {
                    glommio::spawn_local(async move {
                        let start = Instant::now();
                        timer::sleep(asked).await;
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
}

async fn spawns(spawn: Spawn, mut slices: Slices) {
    while let Some(mut slice) = slices.next().await {
        while slice.has_time() {
            slice.record(batch(spawn).await);
        }
        slice.finish();
    }
}

async fn batch(spawn: Spawn) -> Result<Batch, Fault> {
    let mut tasks = Vec::with_capacity(spawn.tasks() as usize);
    for number in 0..spawn.tasks() {
        tasks.push(glommio::spawn_local(async move { number }));
    }
    for (number, task) in (0..).zip(tasks) {
        Spawn::check(number, task.await)?;
    }
    Ok(Batch::of(spawn.tasks()))
}
