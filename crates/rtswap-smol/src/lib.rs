#![warn(missing_docs)]
//! smol under the rtswap contract: [`Smol`] on several threads, [`SmolLocal`] on one.
//!
//! What maps to what, and what stays behind by design, is in this crate's README.

mod current;
mod native;
mod net;
mod poll;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{io, thread};

use rtswap_runtime::file::{self, Blocking, ThreadFile};
use rtswap_runtime::{About, Config, Driver, Effective, Files, Open, Runtime, Streams, Threads};
use smol::{Executor, LocalExecutor, Task, Timer, block_on, channel};

pub use net::{Listener, Stream};
pub use poll::Polled;

/// An `Executor` that `Config::workers` threads run, for the length of one `block_on`.
#[derive(Debug)]
pub struct Smol;

/// A `LocalExecutor` on the calling thread, for the length of one `block_on`.
#[derive(Debug)]
pub struct SmolLocal;

/// A task of smol's, which dropping it detaches: smol alone would cancel it.
#[derive(Debug)]
pub struct JoinHandle<T>(Option<Task<T>>);

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        // Executors of smol's hand the panic of a task to whoever awaits it.
        Pin::new(self.0.as_mut().expect("taken by drop only")).poll(cx)
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.detach();
        }
    }
}

fn run<F: Future>(workers: usize, main: F) -> io::Result<F::Output> {
    let executor = Arc::new(Executor::new());
    // Left before the executor is dropped, which drops the tasks that are still pending.
    let _current = current::enter(&current::SHARED, &executor);
    // Workers stop when the sender is gone: also if `main` panics or a thread cannot be started.
    let (sender, stopped) = channel::bounded::<()>(1);
    thread::scope(|scope| {
        let _sender = sender;
        for n in 1..=workers {
            let (executor, stopped) = (executor.clone(), stopped.clone());
            thread::Builder::new().name(format!("smol-{n}")).spawn_scoped(scope, move || {
                let _current = current::enter(&current::SHARED, &executor);
                // An error says that the sender is gone.
                let _ = block_on(executor.run(stopped.recv()));
            })?;
        }
        Ok(block_on(main))
    })
}

fn run_local<F: Future>(main: F) -> F::Output {
    let executor = Rc::new(LocalExecutor::new());
    let _current = current::enter(&current::LOCAL, &executor);
    block_on(executor.run(main))
}

/// The two differ in who runs the tasks and in nothing else.
macro_rules! runtime {
    ($name:ident, $threads:expr, $current:ident, $config:ident, $main:ident => $run:expr, $workers:expr) => {
        impl Runtime for $name {
            const ABOUT: About = About {
                package: "smol",
                threads: $threads,
                driver: Driver::Epoll,
                streams: Streams::Native,
                files: Files::Threads,
            };

            type TcpStream = Stream;
            type TcpListener = Listener;
            type File = ThreadFile<Pool>;
            type JoinHandle<T: Send + 'static> = JoinHandle<T>;

            fn block_on<F: Future>($config: &Config, $main: F) -> io::Result<F::Output> {
                $run
            }

            fn spawn<F>(task: F) -> JoinHandle<F::Output>
            where
                F: Future + Send + 'static,
                F::Output: Send + 'static,
            {
                JoinHandle(Some(current::with(&current::$current, |executor| executor.spawn(task))))
            }

            async fn sleep(duration: Duration) {
                Timer::after(duration).await;
            }

            fn yield_now() -> impl Future<Output = ()> + Send {
                smol::future::yield_now()
            }

            fn listen(socket: std::net::TcpListener) -> io::Result<Listener> {
                socket.try_into().map(Listener)
            }

            fn connect(addr: SocketAddr) -> impl Future<Output = io::Result<Stream>> + Send {
                net::connect(addr)
            }

            fn open(path: &Path, how: Open) -> impl Future<Output = io::Result<Self::File>> + Send {
                ThreadFile::open(path, how)
            }

            fn rename(from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + Send {
                file::rename::<Pool>(from, to)
            }

            fn effective($config: &Config) -> Effective {
                let note = ("reactor".into(), "async-io, one per process".into());
                Effective {
                    driver: Driver::Epoll,
                    workers: $workers,
                    notes: BTreeMap::from([note]),
                }
            }
        }
    };
}

runtime!(
    Smol, Threads::Workers, SHARED,
    config, main => run(config.workers.get(), main), config.workers.get()
);
runtime!(SmolLocal, Threads::One, LOCAL, _config, main => Ok(run_local(main)), 1);

/// The threads for what blocks, of the crate `blocking`, which `smol::fs` is made of.
#[derive(Debug)]
pub struct Pool;

impl Blocking for Pool {
    fn run<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send {
        smol::unblock(work)
    }
}
