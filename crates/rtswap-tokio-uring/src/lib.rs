#![warn(missing_docs)]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tokio-uring has a tokio inside"
)]
//! tokio-uring under the rtswap contract: [`TokioUring`].
//!
//! What maps to what, and tokio-uring's limits, is in this crate's README.

mod file;
mod lanes;
mod native;
mod net;
mod task;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::path::Path;
use std::time::Duration;

use rtswap_runtime::{
    About, Config, Driver, Effective, Elapsed, Files, Fs, Net, Open, Runtime, Streams, Threads,
    ring,
};

pub use file::File;
pub use lanes::{lanes, lanes_of};
pub use net::{Io, Listener, ReadHalf, Socket, Stream, WriteHalf};
pub use task::JoinHandle;

/// tokio-uring on the calling thread: `io_uring` under a current-thread tokio.
///
/// Streams read and write on the ring, and are polled as streams of the tokio inside, unless the value
/// says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokioUring {
    setup: Setup,
}

/// How the ring is built, and whose streams there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Setup {
    #[default]
    Ring,
    Bridge,
    Net,
    Coop,
}

impl TokioUring {
    /// Streams that read and write on the ring when they are polled, too: through a
    /// [`Bridge`](rtswap_runtime::Bridge).
    pub fn bridge() -> Self {
        Self { setup: Setup::Bridge }
    }

    /// All streams are those of the tokio inside, `tokio::net`, which uses epoll. Files are on the ring.
    pub fn net() -> Self {
        Self { setup: Setup::Net }
    }

    /// The ring does not interrupt the thread: the kernel does its work at the thread's next system call.
    pub fn coop() -> Self {
        Self { setup: Setup::Coop }
    }

    pub(crate) fn build(self) -> io::Result<tokio_uring::Runtime> {
        let mut builder = tokio_uring::builder();
        tokio_uring::Runtime::new(builder.entries(RING_ENTRIES).uring_builder(&self.setup.ring()))
    }
}

impl Setup {
    /// Flags of the ring, as `io_uring_setup(2)` has them after `IORING_SETUP_`.
    fn flags(self) -> &'static str {
        match self {
            Self::Ring | Self::Bridge | Self::Net => "",
            Self::Coop => "COOP_TASKRUN",
        }
    }

    /// The first Linux that has these flags and all else that tokio-uring needs of `io_uring`.
    fn since(self) -> &'static str {
        match self {
            Self::Ring | Self::Bridge | Self::Net => "5.11",
            Self::Coop => "5.19",
        }
    }

    fn ring(self) -> io_uring::Builder {
        let mut builder = tokio_uring::uring_builder();
        if self == Self::Coop {
            builder.setup_coop_taskrun();
        }
        builder
    }
}

/// What `tokio_uring::builder` sets and does not tell.
const RING_ENTRIES: u32 = 256;

impl Runtime for TokioUring {
    type JoinHandle<T: Send + 'static> = JoinHandle<T>;

    fn about(&self) -> About {
        About {
            package: "tokio-uring",
            threads: Threads::One,
            driver: Driver::IoUring,
            streams: match self.setup {
                Setup::Ring | Setup::Coop => Streams::Readiness,
                Setup::Bridge => Streams::Bridged,
                Setup::Net => Streams::Native,
            },
            files: Files::Ring,
        }
    }

    fn block_on<F: Future>(&self, _config: &Config, main: F) -> io::Result<F::Output> {
        net::set_up(self.setup);
        Ok(self.build()?.block_on(main))
    }

    fn spawn<F>(task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        JoinHandle(tokio_uring::spawn(task))
    }

    /// tokio's own: tokio-uring has a current-thread tokio inside.
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

    fn available(&self) -> io::Result<()> {
        let ring = self.setup.ring().build(RING_ENTRIES);
        ring.map(drop).map_err(|error| ring::explain(&error, self.setup.since()))
    }

    fn effective(&self, _config: &Config) -> Effective {
        let mut notes = BTreeMap::from([("ring_entries".to_owned(), RING_ENTRIES.to_string())]);
        let flags = self.setup.flags();
        if !flags.is_empty() {
            notes.insert("ring_flags".to_owned(), flags.to_owned());
        }
        if self.setup == Setup::Net {
            notes.insert("sockets".to_owned(), "tokio's, on epoll".to_owned());
        }
        Effective { driver: Driver::IoUring, workers: 1, notes }
    }
}

impl Net for TokioUring {
    type TcpStream = Stream;
    type TcpListener = Listener;

    fn listen(socket: std::net::TcpListener) -> io::Result<Listener> {
        net::listen(socket)
    }

    fn connect(addr: SocketAddr) -> impl Future<Output = io::Result<Stream>> + Send {
        net::connect(addr)
    }
}

impl Fs for TokioUring {
    type File = File;

    fn open(path: &Path, how: Open) -> impl Future<Output = io::Result<File>> + Send {
        file::open(path, how)
    }

    fn rename(from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + Send {
        file::rename(from, to)
    }
}
