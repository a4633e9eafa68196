#![warn(missing_docs)]
//! tokio-uring under the rtswap contract: [`TokioUring`].
//!
//! What maps to what, and tokio-uring's limits, is in this crate's README.

mod file;
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

use io_uring::IoUring;
use rtswap_runtime::{
    About, Config, Driver, Effective, Files, Open, Runtime, Streams, Threads, ring,
};

pub use file::File;
pub use net::{Half, Io, Listener, Socket, Stream};

/// tokio-uring on the calling thread: `io_uring` under a current-thread tokio.
#[derive(Debug)]
pub struct TokioUring;

/// The first Linux that has all it needs of `io_uring`.
const SINCE: &str = "5.11";

/// What `tokio_uring::builder` sets and does not tell.
const RING_ENTRIES: u32 = 256;

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

impl Runtime for TokioUring {
    const ABOUT: About = About {
        package: "tokio-uring",
        threads: Threads::One,
        driver: Driver::IoUring,
        streams: Streams::Bridged,
        files: Files::Ring,
    };

    type TcpStream = Stream;
    type TcpListener = Listener;
    type File = File;
    type JoinHandle<T: Send + 'static> = JoinHandle<T>;

    fn block_on<F: Future>(_config: &Config, main: F) -> io::Result<F::Output> {
        Ok(tokio_uring::Runtime::new(tokio_uring::builder().entries(RING_ENTRIES))?.block_on(main))
    }

    fn spawn<F>(task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        JoinHandle(tokio_uring::spawn(task))
    }

    async fn sleep(duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        tokio::task::yield_now()
    }

    fn listen(socket: std::net::TcpListener) -> io::Result<Listener> {
        net::listen(socket)
    }

    fn connect(addr: SocketAddr) -> impl Future<Output = io::Result<Stream>> + Send {
        net::connect(addr)
    }

    fn available() -> io::Result<()> {
        IoUring::new(RING_ENTRIES).map(drop).map_err(|error| ring::explain(&error, SINCE))
    }

    fn open(path: &Path, how: Open) -> impl Future<Output = io::Result<File>> + Send {
        file::open(path, how)
    }

    fn rename(from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + Send {
        file::rename(from, to)
    }

    fn effective(_config: &Config) -> Effective {
        let note = ("ring_entries".into(), RING_ENTRIES.to_string());
        Effective { driver: Driver::IoUring, workers: 1, notes: BTreeMap::from([note]) }
    }
}
