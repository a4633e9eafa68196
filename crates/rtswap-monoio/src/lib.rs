#![warn(missing_docs)]
//! monoio under the rtswap contract: [`Monoio`] on `io_uring`, [`MonoioEpoll`] on epoll.
//!
//! What maps to what, and monoio's limits, is in this crate's README.

mod file;
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
use monoio::{IoUringDriver, LegacyDriver, RuntimeBuilder};
use rtswap_runtime::{
    About, Config, Confined, Driver, Effective, Files, Open, Runtime, Streams, Threads, ring,
};

pub use file::File;
pub use net::{Half, Io, Listener, ReadHalf, Stream, WriteHalf};
pub use task::JoinHandle;

/// monoio on the calling thread, on its `io_uring` driver and never on another.
#[derive(Debug)]
pub struct Monoio;

/// The same scheduler on monoio's driver for machines without `io_uring`, which uses epoll.
#[derive(Debug)]
pub struct MonoioEpoll;

/// The first Linux that has all it needs of `io_uring`.
const SINCE: &str = "5.6";

/// monoio's default, which it does not tell: the submission entries of a ring, or the events that one
/// `epoll_wait` may give.
const ENTRIES: u32 = 1024;

/// The two differ in the driver and in nothing else: monoio's functions find the one that they are
/// called in.
macro_rules! runtime {
    ($name:ident, $monoio_driver:ty, $driver:expr, $files:expr, $entries:literal, $available:expr) => {
        impl Runtime for $name {
            const ABOUT: About = About {
                package: "monoio",
                threads: Threads::One,
                driver: $driver,
                streams: Streams::Bridged,
                files: $files,
            };

            type TcpStream = Stream;
            type TcpListener = Listener;
            type File = File;
            type JoinHandle<T: Send + 'static> = JoinHandle<T>;

            fn block_on<F: Future>(_config: &Config, main: F) -> io::Result<F::Output> {
                let builder = RuntimeBuilder::<$monoio_driver>::new();
                let mut runtime = builder.with_entries(ENTRIES).enable_timer().build()?;
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

            fn sleep(duration: Duration) -> impl Future<Output = ()> + Send {
                Confined::new(async move { monoio::time::sleep(duration).await })
            }

            fn yield_now() -> impl Future<Output = ()> + Send {
                turn::yield_now()
            }

            fn listen(socket: std::net::TcpListener) -> io::Result<Listener> {
                net::listen(socket)
            }

            fn connect(addr: SocketAddr) -> impl Future<Output = io::Result<Stream>> + Send {
                net::connect(addr)
            }

            fn available() -> io::Result<()> {
                $available
            }

            fn open(path: &Path, how: Open) -> impl Future<Output = io::Result<File>> + Send {
                file::open(path, how)
            }

            fn rename(from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + Send {
                file::rename(from, to)
            }

            fn effective(_config: &Config) -> Effective {
                let note = ($entries.into(), ENTRIES.to_string());
                Effective { driver: $driver, workers: 1, notes: BTreeMap::from([note]) }
            }
        }
    };
}

runtime!(
    Monoio,
    IoUringDriver,
    Driver::IoUring,
    Files::Ring,
    "ring_entries",
    IoUring::new(ENTRIES).map(drop).map_err(|error| ring::explain(&error, SINCE))
);
runtime!(MonoioEpoll, LegacyDriver, Driver::Epoll, Files::InPlace, "events_per_wait", Ok(()));
