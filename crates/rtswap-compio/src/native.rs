//! By hand, on compio alone.

use std::io;
use std::pin::pin;
use std::time::Instant;

use compio::BufResult;
use compio::buf::{IntoInner, IoBuf};
use compio::io::{AsyncRead, AsyncReadMulti, AsyncWriteExt};
use compio::net::TcpListener;
use compio::runtime::{self, JoinHandle, ResumeUnwind};
use futures_lite::StreamExt;
use futures_lite::future::yield_now;
use rtswap_lane::native::Native;
use rtswap_lane::{ReadySignal, Slices};
use rtswap_runtime::{Config, accept};
use rtswap_workload::{Batch, Fault, Sleep, Spawn, TcpEcho};

use crate::poll::Face;
use crate::{Compio, Reads};

impl<P: Face> Native for Compio<P> {
    fn tcp_echo(
        &self,
        _config: &Config,
        listener: std::net::TcpListener,
        echo: TcpEcho,
        ready: &ReadySignal,
    ) -> io::Result<()> {
        let ready = ready.clone();
        match self.reads {
            Reads::Owned => self.build()?.block_on(as_task(serve(listener, echo, ready))),
            Reads::Managed => {
                let runtime = self.build_managed(echo.buffer_bytes())?;
                runtime.block_on(as_task(serve_managed(listener, ready)))
            }
        }
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

/// The workloads are tasks, too, and compio treats `main` differently: it is polled at each turn, and
/// a turn that follows one in which it was woken makes no system call.
async fn as_task<F: Future + 'static>(main: F) -> F::Output {
    join(runtime::spawn(main)).await
}

async fn join<T>(task: JoinHandle<T>) -> T {
    task.await.resume_unwind().expect("it is not cancelled")
}

async fn serve(
    listener: std::net::TcpListener,
    echo: TcpEcho,
    ready: ReadySignal,
) -> io::Result<()> {
    // As compio's own `bind` leaves it on the ring, which waits for the socket.
    listener.set_nonblocking(false)?;
    let listener = TcpListener::from_std(listener)?;
    ready.send();
    loop {
        let mut stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                compio::time::sleep(accept::pause_after(error)?).await;
                continue;
            }
        };
        runtime::spawn(async move {
            let mut buffer = Vec::with_capacity(echo.buffer_bytes());
            loop {
                // Fills the capacity, from the start; the vector never gets shorter.
                let BufResult(read, full) = stream.read(buffer).await;
                let Ok(bytes @ 1..) = read else { return };
                let BufResult(written, slice) = stream.write_all(full.slice(..bytes)).await;
                if written.is_err() {
                    return;
                }
                buffer = slice.into_inner();
            }
        })
        .detach();
    }
}

/// As compio's documentation has `read_multi`: one operation reads a connection to its end, into buffers of the
/// runtime's pool, which are written as they are.
async fn serve_managed(listener: std::net::TcpListener, ready: ReadySignal) -> io::Result<()> {
    listener.set_nonblocking(false)?;
    let listener = TcpListener::from_std(listener)?;
    ready.send();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                compio::time::sleep(accept::pause_after(error)?).await;
                continue;
            }
        };
        runtime::spawn(async move {
            let (mut reader, mut writer) = (&stream, &stream);
            let mut parts = pin!(reader.read_multi(0));
            while let Some(part) = parts.next().await {
                let written = match part {
                    Ok(part) => writer.write_all(part).await.0,
                    // All buffers are in use, and come back as they are written. The next poll reads on.
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                        yield_now().await;
                        continue;
                    }
                    Err(_) => return,
                };
                if written.is_err() {
                    return;
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
                    runtime::spawn(async move {
                        let start = Instant::now();
                        compio::time::sleep(asked).await;
                        (start.elapsed(), begin.elapsed())
                    })
                })
                .collect();
            let mut ends = Vec::with_capacity(tasks.len());
            for task in tasks {
                ends.push(join(task).await);
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
        tasks.push(runtime::spawn(async move { number }));
    }
    for (number, task) in (0..).zip(tasks) {
        Spawn::check(number, join(task).await)?;
    }
    Ok(Batch::of(spawn.tasks()))
}
