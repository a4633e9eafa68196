#![warn(missing_docs)]
//! ntex's own runtime under the rtswap contract, without streams: [`Ntex`]. Its server, by hand, does the workloads
//! with connections.
//!
//! What maps to what, and ntex's limits, is in this crate's README.

mod blocking;
mod driver;
mod echo;
mod lanes;
mod task;
mod time;

use std::future::Future;
use std::io;
use std::time::Duration;

use rtswap_runtime::{
    About, Config, Effective, Elapsed, Files, Runtime, Streams, Threads, task::resume,
};

use driver::Setup;

pub use lanes::{lanes, lanes_of};
pub use task::JoinHandle;

/// ntex's runtime on the calling thread, on one of its own drivers: `io_uring`, unless the value says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ntex {
    setup: Setup,
}

impl Ntex {
    /// The same scheduler on ntex's driver for machines without `io_uring`, which uses epoll.
    pub fn epoll() -> Self {
        Self { setup: Setup::Epoll }
    }
}

impl Runtime for Ntex {
    type JoinHandle<T: Send + 'static> = JoinHandle<T>;

    fn about(&self) -> About {
        About {
            package: "ntex-rt",
            threads: Threads::One,
            driver: self.setup.driver(),
            streams: Streams::None,
            files: Files::None,
        }
    }

    fn block_on<F: Future>(&self, _config: &Config, main: F) -> io::Result<F::Output> {
        self.setup.block_on(main).map(resume)
    }

    fn spawn<F>(task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        task::spawn(task)
    }

    fn spawn_blocking<F, T>(work: F) -> impl Future<Output = T> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        blocking::run(work)
    }

    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
        time::sleep(duration)
    }

    fn timeout<F>(
        duration: Duration,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Elapsed>> + Send
    where
        F: Future + Send,
        F::Output: Send,
    {
        time::timeout(duration, future)
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        // A task that wakes itself goes to the end of ntex's queue.
        futures_lite::future::yield_now()
    }

    fn available(&self) -> io::Result<()> {
        self.setup.available()
    }

    fn effective(&self, _config: &Config) -> Effective {
        Effective { driver: self.setup.driver(), workers: 1, notes: self.setup.notes() }
    }
}
