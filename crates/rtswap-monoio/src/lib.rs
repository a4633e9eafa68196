#![warn(missing_docs)]
//! monoio under the rtswap contract: [`Monoio`].
//!
//! What maps to what, and monoio's limits, is in this crate's README.

mod blocking;
mod file;
mod lanes;
mod native;
mod net;
mod task;
mod turn;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::path::Path;
use std::time::Duration;

use io_uring::IoUring;
use monoio::time::TimeDriver;
use monoio::{FusionRuntime, IoUringDriver, LegacyDriver, RuntimeBuilder};
use rtswap_runtime::{
    About, Config, Confined, Driver, Effective, Elapsed, Files, Fs, Net, Open, Runtime, Streams,
    Threads, ring,
};

pub use file::File;
pub use lanes::{lanes, lanes_of};
pub use net::{Half, Io, Listener, ReadHalf, Stream, WriteHalf};
pub use task::JoinHandle;

/// monoio on the calling thread: on its `io_uring` driver, unless [`epoll`](Self::epoll) says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Monoio {
    epoll: bool,
}

/// The first Linux that has all it needs of `io_uring`.
const SINCE: &str = "5.6";

/// monoio's default, which it does not tell: the submission entries of a ring, or the events that one
/// `epoll_wait` may give.
const ENTRIES: u32 = 1024;

impl Monoio {
    /// The same scheduler on monoio's driver for machines without `io_uring`, which uses epoll.
    pub fn epoll() -> Self {
        Self { epoll: true }
    }
}

type Running = FusionRuntime<TimeDriver<IoUringDriver>, TimeDriver<LegacyDriver>>;

impl Monoio {
    /// Builds the runtime with the one driver. Left the choice, monoio would take the other silently.
    pub(crate) fn build(self) -> io::Result<Running> {
        Ok(if self.epoll {
            let builder = RuntimeBuilder::<LegacyDriver>::new().with_entries(ENTRIES);
            builder.attach_thread_pool(Box::new(blocking::Pool)).enable_timer().build()?.into()
        } else {
            let builder = RuntimeBuilder::<IoUringDriver>::new().with_entries(ENTRIES);
            builder.attach_thread_pool(Box::new(blocking::Pool)).enable_timer().build()?.into()
        })
    }
}

impl Runtime for Monoio {
    type JoinHandle<T: Send + 'static> = JoinHandle<T>;

    fn about(&self) -> About {
        let (driver, files) = if self.epoll {
            (Driver::Epoll, Files::InPlace)
        } else {
            (Driver::IoUring, Files::Ring)
        };
        About { package: "monoio", threads: Threads::One, driver, streams: Streams::Bridged, files }
    }

    fn block_on<F: Future>(&self, _config: &Config, main: F) -> io::Result<F::Output> {
        let mut runtime = self.build()?;
        let output = runtime.block_on(task::with_end(main));
        drop(runtime);
        Ok(output.unwrap_or_else(|panic| resume_unwind(panic)))
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
        Confined::new(async move { monoio::time::sleep(duration).await })
    }

    fn timeout<F>(
        duration: Duration,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Elapsed>> + Send
    where
        F: Future + Send,
        F::Output: Send,
    {
        Confined::new(
            async move { monoio::time::timeout(duration, future).await.map_err(|_| Elapsed) },
        )
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        turn::yield_now()
    }

    fn available(&self) -> io::Result<()> {
        if self.epoll {
            return Ok(());
        }
        IoUring::new(ENTRIES).map(drop).map_err(|error| ring::explain(&error, SINCE))
    }

    fn effective(&self, _config: &Config) -> Effective {
        let entries = if self.epoll { "events_per_wait" } else { "ring_entries" };
        let note = (entries.to_owned(), ENTRIES.to_string());
        Effective { driver: self.about().driver, workers: 1, notes: BTreeMap::from([note]) }
    }
}

impl Net for Monoio {
    type TcpStream = Stream;
    type TcpListener = Listener;

    fn listen(socket: std::net::TcpListener) -> io::Result<Listener> {
        net::listen(socket)
    }

    fn connect(addr: SocketAddr) -> impl Future<Output = io::Result<Stream>> + Send {
        net::connect(addr)
    }
}

impl Fs for Monoio {
    type File = File;

    fn open(path: &Path, how: Open) -> impl Future<Output = io::Result<File>> + Send {
        file::open(path, how)
    }

    fn rename(from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + Send {
        file::rename(from, to)
    }
}
