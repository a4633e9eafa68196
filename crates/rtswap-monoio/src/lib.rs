#![warn(missing_docs)]
//! monoio under the rtswap contract: [`Monoio`].
//!
//! What maps to what, and monoio's limits, is in this crate's README.

mod blocking;
mod file;
mod lanes;
mod native;
mod net;
mod poll;
mod task;
mod time;
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
    About, Config, Driver, Effective, Elapsed, Files, Fs, Net, Open, Runtime, Streams, Threads,
    ring,
};

pub use file::File;
pub use lanes::{lanes, lanes_of};
pub use net::{Half, Io, Listener, ReadHalf, Stream, WriteHalf};
pub use poll::Polled;
pub use task::JoinHandle;

/// monoio on the calling thread: on its `io_uring` driver, unless the value says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Monoio {
    setup: Setup,
}

/// How the driver is built, and what is polled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Setup {
    #[default]
    Ring,
    RingBridge,
    RingDefer,
    RingCoop,
    Epoll,
}

/// monoio's default, which it does not tell: the submission entries of a ring, or the events that one
/// `epoll_wait` may give.
const ENTRIES: u32 = 1024;

impl Monoio {
    /// The same scheduler on monoio's driver for machines without `io_uring`, which uses epoll.
    pub fn epoll() -> Self {
        Self { setup: Setup::Epoll }
    }

    /// On the ring, with streams that are polled through a [`Bridge`](rtswap_runtime::Bridge) and read and
    /// written by the ring.
    pub fn bridge() -> Self {
        Self { setup: Setup::RingBridge }
    }

    /// The ring set up for a single thread that does the kernel's deferred work when it asks for events.
    pub fn defer() -> Self {
        Self { setup: Setup::RingDefer }
    }

    /// The ring without interrupts: the kernel does its work at the next system call of the thread.
    pub fn coop() -> Self {
        Self { setup: Setup::RingCoop }
    }
}

impl Setup {
    /// Flags of the ring, as `io_uring_setup(2)` has them after `IORING_SETUP_`.
    fn flags(self) -> &'static str {
        match self {
            Self::RingDefer => "SINGLE_ISSUER DEFER_TASKRUN",
            Self::RingCoop => "COOP_TASKRUN",
            Self::Ring | Self::RingBridge | Self::Epoll => "",
        }
    }

    /// The first Linux that has these flags and all else that monoio needs of `io_uring`.
    fn since(self) -> &'static str {
        match self {
            Self::RingDefer => "6.1",
            Self::RingCoop => "5.19",
            Self::Ring | Self::RingBridge | Self::Epoll => "5.6",
        }
    }

    fn ring(self) -> io_uring::Builder {
        let mut builder = IoUring::builder();
        match self {
            Self::RingDefer => builder.setup_single_issuer().setup_defer_taskrun(),
            Self::RingCoop => builder.setup_coop_taskrun(),
            Self::Ring | Self::RingBridge | Self::Epoll => &mut builder,
        };
        builder
    }
}

type Running = FusionRuntime<TimeDriver<IoUringDriver>, TimeDriver<LegacyDriver>>;

impl Monoio {
    fn is_epoll(self) -> bool {
        self.setup == Setup::Epoll
    }

    /// Builds the runtime with the one driver. Left the choice, monoio would take the other silently.
    pub(crate) fn build(self) -> io::Result<Running> {
        Ok(if self.is_epoll() {
            let builder = RuntimeBuilder::<LegacyDriver>::new().with_entries(ENTRIES);
            builder.attach_thread_pool(Box::new(blocking::Pool)).enable_timer().build()?.into()
        } else {
            let builder = RuntimeBuilder::<IoUringDriver>::new().with_entries(ENTRIES);
            let builder = builder.uring_builder(self.setup.ring());
            builder.attach_thread_pool(Box::new(blocking::Pool)).enable_timer().build()?.into()
        })
    }
}

impl Runtime for Monoio {
    type JoinHandle<T: Send + 'static> = JoinHandle<T>;

    fn about(&self) -> About {
        let (driver, streams, files) = match self.setup {
            Setup::Ring | Setup::RingDefer | Setup::RingCoop => {
                (Driver::IoUring, Streams::Readiness, Files::Ring)
            }
            Setup::RingBridge => (Driver::IoUring, Streams::Bridged, Files::Ring),
            Setup::Epoll => (Driver::Epoll, Streams::Native, Files::InPlace),
        };
        About { package: "monoio", threads: Threads::One, driver, streams, files }
    }

    fn block_on<F: Future>(&self, _config: &Config, main: F) -> io::Result<F::Output> {
        let mut runtime = self.build()?;
        poll::bridge(self.setup == Setup::RingBridge);
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
        turn::yield_now()
    }

    fn available(&self) -> io::Result<()> {
        if self.is_epoll() {
            return Ok(());
        }
        let ring = self.setup.ring().build(ENTRIES);
        ring.map(drop).map_err(|error| ring::explain(&error, self.setup.since()))
    }

    fn effective(&self, _config: &Config) -> Effective {
        let entries = if self.is_epoll() { "events_per_wait" } else { "ring_entries" };
        let mut notes = BTreeMap::from([(entries.to_owned(), ENTRIES.to_string())]);
        let flags = self.setup.flags();
        if !flags.is_empty() {
            notes.insert("ring_flags".to_owned(), flags.to_owned());
        }
        Effective { driver: self.about().driver, workers: 1, notes }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defer_is_a_single_issuer_and_named_in_lane_info() {
        let notes = |runtime: Monoio| runtime.effective(&Config::default()).notes;
        assert_eq!(notes(Monoio::defer())["ring_flags"], "SINGLE_ISSUER DEFER_TASKRUN");
        assert_eq!(notes(Monoio::coop())["ring_flags"], "COOP_TASKRUN");
        assert!(!notes(Monoio::default()).contains_key("ring_flags"));
        for (runtime, single) in [(Monoio::defer(), true), (Monoio::coop(), false)] {
            match runtime.setup.ring().build(ENTRIES) {
                Ok(ring) => assert_eq!(ring.params().is_setup_single_issuer(), single),
                Err(error) => eprintln!("skipped: {error}"),
            }
        }
    }
}
