#![warn(missing_docs)]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the adapter of this runtime"
)]
//! tokio under the rtswap contract: [`Tokio`].
//!
//! What maps to what, and what stays at tokio's defaults, is in this crate's README.

mod handle;
mod lanes;
mod native;
mod net;
mod task;
mod unstable;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::path::Path;
use std::time::Duration;

use rtswap_runtime::file::{self, ThreadFile};
use rtswap_runtime::{
    About, Config, Driver, Effective, Elapsed, Files, Fs, Net, Open, Runtime, Streams, Threads,
};
use tokio::runtime::Builder;

pub use handle::FsHandle;
pub use lanes::{lanes, lanes_of};
pub use net::{Io, Listener, ReadHalf, Stream, WriteHalf};
pub use task::JoinHandle;

/// tokio: the multi-threaded, work-stealing scheduler with `Config::workers` threads, unless
/// [`current_thread`](Self::current_thread) says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tokio {
    scheduler: Scheduler,
    event_interval: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheduler {
    MultiThread,
    CurrentThread,
}

/// What tokio has for both schedulers by default: tasks that run before it looks for I/O and timers.
const EVENT_INTERVAL: u32 = 61;

impl Default for Tokio {
    /// As `tokio::runtime::Runtime::new` builds it.
    fn default() -> Self {
        Self { scheduler: Scheduler::MultiThread, event_interval: EVENT_INTERVAL }
    }
}

impl Tokio {
    /// tokio on the calling thread alone.
    ///
    /// This is the current-thread scheduler. `LocalRuntime` is the same scheduler and adds spawning
    /// futures that are not `Send`, which the contract never hands over.
    pub fn current_thread() -> Self {
        Self { scheduler: Scheduler::CurrentThread, ..Self::default() }
    }

    /// Looks for I/O and timers after every `tasks` tasks instead of every 61: sooner at an event, and
    /// more often at the system call. `Builder::event_interval` recommends to try this where tasks are
    /// long.
    #[must_use]
    pub fn event_interval(self, tasks: u32) -> Self {
        Self { event_interval: tasks, ..self }
    }

    pub(crate) fn build(self, config: &Config) -> io::Result<tokio::runtime::Runtime> {
        let mut builder = match self.scheduler {
            Scheduler::MultiThread => Builder::new_multi_thread(),
            Scheduler::CurrentThread => Builder::new_current_thread(),
        };
        // The current-thread scheduler ignores the number of workers.
        builder
            .worker_threads(config.workers.get())
            .event_interval(self.event_interval)
            .enable_all()
            .build()
    }
}

impl Runtime for Tokio {
    type JoinHandle<T: Send + 'static> = JoinHandle<T>;

    fn about(&self) -> About {
        About {
            package: "tokio",
            threads: match self.scheduler {
                Scheduler::MultiThread => Threads::Workers,
                Scheduler::CurrentThread => Threads::One,
            },
            driver: Driver::Epoll,
            streams: Streams::Native,
            files: Files::Threads,
        }
    }

    fn block_on<F: Future>(&self, config: &Config, main: F) -> io::Result<F::Output> {
        // Dropping the runtime at the end drops the pending tasks and joins the workers.
        Ok(self.build(config)?.block_on(main))
    }

    fn spawn<F>(task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        JoinHandle(tokio::spawn(task))
    }

    async fn spawn_blocking<F, T>(work: F) -> T
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        match tokio::task::spawn_blocking(work).await {
            Ok(output) => output,
            Err(error) => resume_unwind(error.into_panic()),
        }
    }

    /// The contract counts from the first poll, `tokio::time::sleep` from its creation.
    async fn sleep(duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    async fn timeout<F>(duration: Duration, future: F) -> Result<F::Output, Elapsed>
    where
        F: Future + Send,
        F::Output: Send,
    {
        tokio::time::timeout(duration, future).await.map_err(|_| Elapsed)
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        tokio::task::yield_now()
    }

    fn effective(&self, config: &Config) -> Effective {
        let (scheduler, workers) = match self.scheduler {
            Scheduler::MultiThread => ("multi_thread", config.workers.get()),
            Scheduler::CurrentThread => ("current_thread", 1),
        };
        let mut notes = BTreeMap::from([
            ("scheduler".to_owned(), scheduler.to_owned()),
            ("event_interval".to_owned(), self.event_interval.to_string()),
        ]);
        // Another tokio: it counts and times more.
        if cfg!(tokio_unstable) {
            notes.insert("cfg".to_owned(), "tokio_unstable".to_owned());
        }
        Effective { driver: Driver::Epoll, workers, notes }
    }
}

impl Net for Tokio {
    type TcpStream = Stream;
    type TcpListener = Listener;

    fn listen(socket: std::net::TcpListener) -> io::Result<Listener> {
        tokio::net::TcpListener::from_std(socket).map(Listener)
    }

    fn connect(addr: SocketAddr) -> impl Future<Output = io::Result<Stream>> + Send {
        net::connect(addr)
    }
}

impl Fs for Tokio {
    type File = ThreadFile<Self>;

    fn open(path: &Path, how: Open) -> impl Future<Output = io::Result<Self::File>> + Send {
        ThreadFile::open(path, how)
    }

    fn rename(from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + Send {
        file::rename::<Self>(from, to)
    }
}
