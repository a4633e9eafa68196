//! By hand, on monoio alone.

use std::future::Future;
use std::io;
use std::time::Instant;

use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::TcpListener;
use rtswap_lane::native::Native;
use rtswap_lane::{ReadySignal, Slices};
use rtswap_runtime::{Config, accept};
use rtswap_workload::{Batch, Fault, Sleep, Spawn, TcpEcho};

use crate::Monoio;

impl Native for Monoio {
    fn tcp_echo(
        &self,
        _config: &Config,
        listener: std::net::TcpListener,
        echo: TcpEcho,
        ready: &ReadySignal,
    ) -> io::Result<()> {
        self.build()?.block_on(as_task(serve(listener, echo, ready.clone())))
    }

    fn sleeps(&self, _config: &Config, sleep: Sleep, slices: Slices) -> io::Result<()> {
        self.build()?.block_on(as_task(sleeps(sleep, slices)));
        Ok(())
    }

    fn spawns(&self, _config: &Config, spawn: Spawn, slices: Slices) -> io::Result<()> {
        self.build()?.block_on(as_task(spawns(spawn, slices)));
        Ok(())
    }
}

/// As a task, as the adapter's lane has it: what `block_on` is given is polled in another way.
async fn as_task<F: Future + 'static>(main: F) -> F::Output {
    monoio::spawn(main).await
}

async fn serve(
    listener: std::net::TcpListener,
    echo: TcpEcho,
    ready: ReadySignal,
) -> io::Result<()> {
    // As monoio's own `bind` leaves it: the ring waits for the socket.
    listener.set_nonblocking(monoio::utils::is_legacy())?;
    let listener = TcpListener::from_std(listener)?;
    ready.send();
    loop {
        let mut stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                monoio::time::sleep(accept::pause_after(error)?).await;
                continue;
            }
        };
        monoio::spawn(async move {
            let mut buffer = Vec::with_capacity(echo.buffer_bytes());
            loop {
                // Fills the capacity, from the start, and cuts the vector to what it has read.
                let (read, full) = stream.read(buffer).await;
                let Ok(1..) = read else { return };
                let (written, empty) = stream.write_all(full).await;
                if written.is_err() {
                    return;
                }
                buffer = empty;
            }
        });
    }
}

async fn sleeps(sleep: Sleep, mut slices: Slices) {
    while let Some(mut slice) = slices.next().await {
        while slice.has_time() {
            let begin = Instant::now();
            let tasks: Vec<_> = sleep
                .asked()
                .map(|asked| {
                    monoio::spawn(async move {
                        let start = Instant::now();
                        monoio::time::sleep(asked).await;
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
        tasks.push(monoio::spawn(async move { number }));
    }
    for (number, task) in (0..).zip(tasks) {
        Spawn::check(number, task.await)?;
    }
    Ok(Batch::of(spawn.tasks()))
}
