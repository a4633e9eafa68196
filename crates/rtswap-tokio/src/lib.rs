#![warn(missing_docs)]
//! tokio under the rtswap contract: [`Tokio`] on several threads, [`TokioLocal`] on one, and
//! [`TokioEvents8`], tuned.
//!
//! What maps to what, and what stays at tokio's defaults, is in this crate's README.

mod native;
mod net;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rtswap_runtime::file::{self, Blocking, ThreadFile};
use rtswap_runtime::{About, Config, Driver, Effective, Files, Open, Runtime, Streams, Threads};
use tokio::runtime::Builder;

pub use net::{Io, Listener, ReadHalf, Stream, WriteHalf};

/// tokio's multi-threaded, work-stealing scheduler with `Config::workers` threads.
#[derive(Debug)]
pub struct Tokio;

/// tokio on the calling thread alone.
///
/// This is the current-thread scheduler. `LocalRuntime` is the same scheduler with one thing added,
/// spawning futures that are not `Send`, which the contract never hands over; so there is nothing
/// that it would change here.
#[derive(Debug)]
pub struct TokioLocal;

/// [`Tokio`] that looks for I/O and timers after every 8 tasks instead of every 61: sooner at an event, and
/// more often at the system call. `Builder::event_interval` recommends to try this where tasks are long.
#[derive(Debug)]
pub struct TokioEvents8;

/// tokio's threads for what blocks: `spawn_blocking`, which its `fs` is made of.
#[derive(Debug)]
pub struct Pool;

impl Blocking for Pool {
    async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        match tokio::task::spawn_blocking(work).await {
            Ok(output) => output,
            Err(error) => resume_unwind(error.into_panic()),
        }
    }
}

/// A task of tokio's; dropping it detaches, as it does in tokio.
#[derive(Debug)]
pub struct JoinHandle<T>(tokio::task::JoinHandle<T>);

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match ready!(Pin::new(&mut self.0).poll(cx)) {
            Ok(output) => Poll::Ready(output),
            Err(error) => match error.try_into_panic() {
                Ok(payload) => resume_unwind(payload),
                // Nothing here aborts a task, so only the end of its runtime can have.
                Err(error) => panic!("joined a task whose runtime has shut down: {error}"),
            },
        }
    }
}

/// 61 events is what tokio has for both schedulers by default. They differ in how the runtime is built and in nothing else: tokio's functions find the
/// runtime that they are called in.
macro_rules! runtime {
    ($name:ident, $threads:expr, $scheduler:literal, $events:literal, $config:ident => $builder:expr, $workers:expr) => {
        impl Runtime for $name {
            const ABOUT: About = About {
                package: "tokio",
                threads: $threads,
                driver: Driver::Epoll,
                streams: Streams::Native,
                files: Files::Threads,
            };

            type TcpStream = Stream;
            type TcpListener = Listener;
            type File = ThreadFile<Pool>;
            type JoinHandle<T: Send + 'static> = JoinHandle<T>;

            fn block_on<F: Future>($config: &Config, main: F) -> io::Result<F::Output> {
                // Dropping the runtime at the end drops the pending tasks and joins the workers.
                Ok($builder.event_interval($events).enable_all().build()?.block_on(main))
            }

            fn spawn<F>(task: F) -> JoinHandle<F::Output>
            where
                F: Future + Send + 'static,
                F::Output: Send + 'static,
            {
                JoinHandle(tokio::spawn(task))
            }

            fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
                sleep(duration)
            }

            fn yield_now() -> impl Future<Output = ()> + Send {
                tokio::task::yield_now()
            }

            fn listen(socket: std::net::TcpListener) -> io::Result<Listener> {
                tokio::net::TcpListener::from_std(socket).map(Listener)
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
                let notes = [("scheduler", $scheduler), ("event_interval", stringify!($events))];
                Effective {
                    driver: Driver::Epoll,
                    workers: $workers,
                    notes: BTreeMap::from(notes.map(|(name, note)| (name.into(), note.into()))),
                }
            }
        }
    };
}

runtime!(
    Tokio, Threads::Workers, "multi_thread", 61,
    config => Builder::new_multi_thread().worker_threads(config.workers.get()), config.workers.get()
);
runtime!(
    TokioEvents8, Threads::Workers, "multi_thread", 8,
    config => Builder::new_multi_thread().worker_threads(config.workers.get()), config.workers.get()
);
runtime!(
    TokioLocal, Threads::One, "current_thread", 61, _config => Builder::new_current_thread(), 1
);

/// The contract counts from the first poll, `tokio::time::sleep` from its creation.
async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}
