//! By hand, on tokio-uring alone: nothing here is `Send`, and nothing checks threads.

use std::future::Future;
use std::io;
use std::time::Instant;

use rtswap_lane::native::Native;
use rtswap_lane::{ReadySignal, Slices};
use rtswap_runtime::{Config, accept};
use rtswap_workload::{Batch, Fault, Sleep, Spawn, TcpEcho};
use tokio_uring::buf::BoundedBuf;
use tokio_uring::net::{TcpListener, TcpStream};

use crate::TokioUring;

impl Native for TokioUring {
    fn tcp_echo(
        &self,
        _config: &Config,
        listener: std::net::TcpListener,
        echo: TcpEcho,
        ready: &ReadySignal,
    ) -> io::Result<()> {
        self.on_ring(serve(listener, echo, ready.clone()))
    }

    fn sleeps(&self, _config: &Config, sleep: Sleep, slices: Slices) -> io::Result<()> {
        self.on_ring(sleeps(sleep, slices))
    }

    fn spawns(&self, _config: &Config, spawn: Spawn, slices: Slices) -> io::Result<()> {
        self.on_ring(spawns(spawn, slices))
    }
}

impl TokioUring {
    /// As a task, as the adapter's lane has it. What `block_on` is given shares the thread with the
    /// tasks, but not their queue.
    fn on_ring<F>(self, main: F) -> io::Result<()>
    where
        F: Future<Output = io::Result<()>> + 'static,
    {
        self.build()?.block_on(async { tokio_uring::spawn(main).await? })
    }
}

async fn serve(
    listener: std::net::TcpListener,
    echo: TcpEcho,
    ready: ReadySignal,
) -> io::Result<()> {
    // The ring waits for the socket; one that does not block is answered EAGAIN by some kernels.
    listener.set_nonblocking(false)?;
    let listener = TcpListener::from_std(listener);
    ready.send();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tokio::time::sleep(accept::pause_after(error)?).await;
                continue;
            }
        };
        tokio_uring::spawn(connection(stream, echo.buffer_bytes()));
    }
}

async fn connection(stream: TcpStream, buffer_bytes: usize) {
    let mut buffer = vec![0; buffer_bytes];
    loop {
        let (read, full) = stream.read(buffer).await;
        let Ok(bytes @ 1..) = read else { return };
        let (written, slice) = stream.write_all(full.slice(..bytes)).await;
        if written.is_err() {
            return;
        }
        buffer = slice.into_inner();
    }
}

async fn sleeps(sleep: Sleep, mut slices: Slices) -> io::Result<()> {
    while let Some(mut slice) = slices.next().await {
        while slice.has_time() {
            let begin = Instant::now();
            let tasks: Vec<_> = sleep
                .asked()
                .map(|asked| {
                    tokio_uring::spawn(async move {
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
        tasks.push(tokio_uring::spawn(async move { number }));
    }
    for (number, task) in (0..).zip(tasks) {
        Spawn::check(number, task.await.map_err(io::Error::from)?)?;
    }
    Ok(Batch::of(spawn.tasks()))
}
