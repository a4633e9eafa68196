#![warn(missing_docs)]
//! compio under the rtswap contract: [`Compio`] on `io_uring`, [`CompioPoll`] on epoll, and
//! [`CompioDefer`], tuned.
//!
//! What maps to what, and compio's limits, is in this crate's README.

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

use compio::driver::op::OpCodeFlag;
use compio::driver::{DriverType, ProactorBuilder};
use compio::runtime::{self, JoinError, RuntimeBuilder};
use futures_lite::future;
use rtswap_runtime::{
    About, Config, Confined, Driver, Effective, Files, Open, Runtime, Streams, Threads, ring,
};

pub use file::File;
pub use net::{Listener, Stream};

/// compio on the calling thread, on its `io_uring` driver.
#[derive(Debug)]
pub struct Compio;

/// compio on the calling thread, on its poll driver: the same scheduler over epoll.
#[derive(Debug)]
pub struct CompioPoll;

/// [`Compio`] with the ring set up for a single thread that does the kernel's deferred work when it asks
/// for events: `single_issuer` and `defer_taskrun` of compio's `ProactorBuilder`, off by default.
#[derive(Debug)]
pub struct CompioDefer;

/// How the driver is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setup {
    Ring,
    RingDefer,
    Poll,
}

impl Setup {
    fn driver(self) -> DriverType {
        match self {
            Self::Ring | Self::RingDefer => DriverType::IoUring,
            Self::Poll => DriverType::Poll,
        }
    }
}

/// The first Linux that has all it needs of `io_uring`.
const SINCE: &str = "5.11";

/// compio's default for either driver: submission entries of the ring, or events of one wait.
const CAPACITY: u32 = 1024;

/// compio's default: tasks that run before the driver is asked for events.
const EVENT_INTERVAL: usize = 61;

/// The operations that streams and files need. One that the kernel has not would run on threads otherwise.
const OPERATIONS: OpCodeFlag = OpCodeFlag::Accept
    .union(OpCodeFlag::Connect)
    .union(OpCodeFlag::Recv)
    .union(OpCodeFlag::Send)
    .union(OpCodeFlag::Shutdown)
    .union(OpCodeFlag::AsyncCancel)
    .union(OpCodeFlag::PollAdd)
    .union(OpCodeFlag::OpenAt)
    .union(OpCodeFlag::Read)
    .union(OpCodeFlag::Write)
    .union(OpCodeFlag::Fsync)
    .union(OpCodeFlag::Close);

/// A task of compio's, which dropping it detaches: compio alone would cancel it.
#[derive(Debug)]
pub struct JoinHandle<T>(Option<runtime::JoinHandle<T>>);

impl<T> Future for JoinHandle<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let task = self.0.as_mut().expect("taken by drop only");
        match ready!(Pin::new(task).poll(cx)) {
            Ok(output) => Poll::Ready(output),
            Err(JoinError::Panicked(payload)) => resume_unwind(payload),
            // Nothing here cancels a task, so only the end of its runtime can have.
            Err(JoinError::Cancelled) => panic!("joined a task whose runtime has shut down"),
        }
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.detach();
        }
    }
}

/// A builder of the one driver: left the choice, compio would take the other without a word.
fn builder(setup: Setup) -> ProactorBuilder {
    let defer = setup == Setup::RingDefer;
    let mut builder = ProactorBuilder::new();
    builder.capacity(CAPACITY).driver_type(setup.driver());
    builder.single_issuer(defer).defer_taskrun(defer);
    builder
}

fn start(setup: Setup) -> io::Result<runtime::Runtime> {
    let driver = setup.driver();
    let mut proactor = builder(setup);
    if driver.is_iouring() {
        proactor.detect_opcode_support(OPERATIONS);
    }
    let runtime =
        RuntimeBuilder::new().with_proactor(proactor).event_interval(EVENT_INTERVAL).build()?;
    // A compio that was compiled with a single driver does not look at what was asked.
    if runtime.driver_type() != driver {
        let text = format!("compio runs its {:?} driver instead", runtime.driver_type());
        return Err(io::Error::new(io::ErrorKind::Unsupported, text));
    }
    Ok(runtime)
}

fn available(setup: Setup) -> io::Result<()> {
    // The errno of a refusal first: the search for operations would swallow it.
    builder(setup).build().map(drop).map_err(|error| ring::explain(&error, SINCE))?;
    start(setup).map(drop).map_err(|error| ring::explain(&error, SINCE))
}

/// Asks a runtime that is made as `block_on` makes it.
fn effective(setup: Setup, capacity: &str) -> Effective {
    let mut notes = BTreeMap::from([
        (capacity.to_owned(), CAPACITY.to_string()),
        ("event_interval".to_owned(), EVENT_INTERVAL.to_string()),
    ]);
    if setup == Setup::RingDefer {
        notes.insert("ring_flags".to_owned(), "SINGLE_ISSUER DEFER_TASKRUN".to_owned());
    }
    let running = match start(setup) {
        Ok(runtime) => runtime.driver_type(),
        // `block_on` fails with the same, so nothing runs.
        Err(error) => {
            notes.insert("refused".to_owned(), error.to_string());
            setup.driver()
        }
    };
    let driver = if running.is_iouring() { Driver::IoUring } else { Driver::Epoll };
    Effective { driver, workers: 1, notes }
}

/// They differ in how the driver is built and in nothing else.
macro_rules! runtime {
    ($name:ident, $driver:ident, $files:ident, $setup:expr, $capacity:literal, $available:expr) => {
        impl Runtime for $name {
            const ABOUT: About = About {
                package: "compio",
                threads: Threads::One,
                driver: Driver::$driver,
                streams: Streams::Bridged,
                files: Files::$files,
            };

            type TcpStream = Stream;
            type TcpListener = Listener;
            type File = File;
            type JoinHandle<T: Send + 'static> = JoinHandle<T>;

            fn block_on<F: Future>(_config: &Config, main: F) -> io::Result<F::Output> {
                Ok(start($setup)?.block_on(main))
            }

            fn spawn<F>(task: F) -> JoinHandle<F::Output>
            where
                F: Future + Send + 'static,
                F::Output: Send + 'static,
            {
                JoinHandle(Some(runtime::spawn(task)))
            }

            async fn sleep(duration: Duration) {
                Confined::new(compio::time::sleep(duration)).await;
            }

            fn yield_now() -> impl Future<Output = ()> + Send {
                future::yield_now()
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
                effective($setup, $capacity)
            }
        }
    };
}

runtime!(Compio, IoUring, Ring, Setup::Ring, "ring_entries", available(Setup::Ring));
runtime!(CompioDefer, IoUring, Ring, Setup::RingDefer, "ring_entries", available(Setup::RingDefer));
runtime!(CompioPoll, Epoll, Threads, Setup::Poll, "events_per_wait", Ok(()));
