//! By hand, on smol alone.
//!
//! Programs on smol often use `smol::spawn`. Its executor belongs to the process and has its threads
//! from `SMOL_THREADS`, so that a comparison with it would be one of two executors. These programs
//! have the executors that the adapter has, and hand them on themselves.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{io, thread};

use rtswap_lane::native::Native;
use rtswap_lane::{ReadySignal, Slices};
use rtswap_runtime::{Config, accept};
use rtswap_workload::{Batch, Fault, Sleep, Spawn, TcpEcho};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::{TcpListener, TcpStream};
use smol::{Executor, LocalExecutor, Task, Timer, block_on, channel};

use crate::Smol;

impl Native for Smol {
    fn tcp_echo(
        &self,
        config: &Config,
        listener: std::net::TcpListener,
        echo: TcpEcho,
        ready: &ReadySignal,
    ) -> io::Result<()> {
        let (bytes, ready) = (echo.buffer_bytes(), ready.clone());
        if self.local {
            return on_this_thread(|executor| {
                serve(listener, ready, move |stream| executor.spawn(connection(stream, bytes)))
            });
        }
        on_worker(config, |executor| {
            serve(listener, ready, move |stream| executor.spawn(connection(stream, bytes)))
        })
    }

    fn sleeps(&self, config: &Config, sleep: Sleep, slices: Slices) -> io::Result<()> {
        if self.local {
            return on_this_thread(|executor| {
                sleeps(sleep, slices, move |asked, begin| executor.spawn(nap(asked, begin)))
            });
        }
        on_worker(config, |executor| {
            sleeps(sleep, slices, move |asked, begin| executor.spawn(nap(asked, begin)))
        })
    }

    fn spawns(&self, config: &Config, spawn: Spawn, slices: Slices) -> io::Result<()> {
        if self.local {
            return on_this_thread(|executor| {
                spawns(spawn, slices, move |number| executor.spawn(async move { number }))
            });
        }
        on_worker(config, |executor| {
            spawns(spawn, slices, move |number| executor.spawn(async move { number }))
        })
    }
}

/// As a task, because what `block_on` is given runs on none of the workers.
fn on_worker<F>(config: &Config, main: impl FnOnce(Arc<Executor<'static>>) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let executor = Arc::new(Executor::new());
    let main = executor.spawn(main(executor.clone()));
    // Workers stop when the sender is gone: also if a thread cannot be started.
    let (sender, stopped) = channel::bounded::<()>(1);
    thread::scope(|scope| {
        let _sender = sender;
        for n in 1..=config.workers.get() {
            let (executor, stopped) = (executor.clone(), stopped.clone());
            thread::Builder::new().name(format!("smol-{n}")).spawn_scoped(scope, move || {
                // An error says that the sender is gone.
                let _ = block_on(executor.run(stopped.recv()));
            })?;
        }
        block_on(main)
    })
}

/// As a task too, so that both have the same tasks.
fn on_this_thread<F>(main: impl FnOnce(Rc<LocalExecutor<'static>>) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + 'static,
{
    let executor = Rc::new(LocalExecutor::new());
    let main = executor.spawn(main(executor.clone()));
    block_on(executor.run(main))
}

async fn serve(
    listener: std::net::TcpListener,
    ready: ReadySignal,
    spawn: impl Fn(TcpStream) -> Task<()>,
) -> io::Result<()> {
    let listener = TcpListener::try_from(listener)?;
    ready.send();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                Timer::after(accept::pause_after(error)?).await;
                continue;
            }
        };
        spawn(stream).detach();
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

async fn sleeps(
    sleep: Sleep,
    mut slices: Slices,
    spawn: impl Fn(Duration, Instant) -> Task<(Duration, Duration)>,
) -> io::Result<()> {
    while let Some(mut slice) = slices.next().await {
        while slice.has_time() {
            let begin = Instant::now();
            let tasks: Vec<_> = sleep.asked().map(|asked| spawn(asked, begin)).collect();
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

/// How long it slept, and how long after the batch's beginning it woke.
async fn nap(asked: Duration, begin: Instant) -> (Duration, Duration) {
    let start = Instant::now();
    Timer::after(asked).await;
    (start.elapsed(), begin.elapsed())
}

async fn spawns(
    spawn: Spawn,
    mut slices: Slices,
    start: impl Fn(u64) -> Task<u64>,
) -> io::Result<()> {
    while let Some(mut slice) = slices.next().await {
        while slice.has_time() {
            slice.record(batch(spawn, &start).await);
        }
        slice.finish();
    }
    Ok(())
}

async fn batch(spawn: Spawn, start: &impl Fn(u64) -> Task<u64>) -> Result<Batch, Fault> {
    let mut tasks = Vec::with_capacity(spawn.tasks() as usize);
    for number in 0..spawn.tasks() {
        tasks.push(start(number));
    }
    for (number, task) in (0..).zip(tasks) {
        Spawn::check(number, task.await)?;
    }
    Ok(Batch::of(spawn.tasks()))
}
