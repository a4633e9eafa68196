#![warn(missing_docs)]
#![expect(clippy::disallowed_methods, reason = "tokio-uring has a tokio inside")]
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

use io_uring::IoUring;
use rtswap_runtime::{
    About, Config, Driver, Effective, Elapsed, Files, Fs, Net, Open, Runtime, Streams, Threads,
    ring,
};

pub use file::File;
pub use lanes::{lanes, lanes_of};
pub use net::{Half, Io, Listener, Socket, Stream};
pub use task::JoinHandle;

/// tokio-uring on the calling thread: `io_uring` under a current-thread tokio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokioUring;

/// The first Linux that has all it needs of `io_uring`.
const SINCE: &str = "5.11";

/// What `tokio_uring::builder` sets and does not tell.
const RING_ENTRIES: u32 = 256;

impl Runtime for TokioUring {
    type JoinHandle<T: Send + 'static> = JoinHandle<T>;

    fn about(&self) -> About {
        About {
            package: "tokio-uring",
            threads: Threads::One,
            driver: Driver::IoUring,
            streams: Streams::Bridged,
            files: Files::Ring,
        }
    }

    fn block_on<F: Future>(&self, _config: &Config, main: F) -> io::Result<F::Output> {
        Ok(tokio_uring::Runtime::new(tokio_uring::builder().entries(RING_ENTRIES))?.block_on(main))
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
        IoUring::new(RING_ENTRIES).map(drop).map_err(|error| ring::explain(&error, SINCE))
    }

    fn effective(&self, _config: &Config) -> Effective {
        let note = ("ring_entries".into(), RING_ENTRIES.to_string());
        Effective { driver: Driver::IoUring, workers: 1, notes: BTreeMap::from([note]) }
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
