#![warn(missing_docs)]
//! compio under the rtswap contract: [`Compio`].
//!
//! What maps to what, and compio's limits, is in this crate's README.

mod file;
mod lanes;
mod native;
mod net;
mod poll;
mod task;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::Path;
use std::time::Duration;

use compio::driver::op::OpCodeFlag;
use compio::driver::{DriverType, ProactorBuilder};
use compio::runtime::{self, RuntimeBuilder};
use futures_lite::future;
use poll::Face;
use rtswap_runtime::task::{caught, resume};
use rtswap_runtime::{
    About, Config, Confined, Driver, Effective, Elapsed, Files, Fs, Net, Open, Runtime, Threads,
    ring,
};

pub use file::File;
pub use lanes::{lanes, lanes_of};
pub use net::{Listener, Stream};
pub use poll::{Bridged, PollFd, Polled};
pub use task::JoinHandle;

/// compio on the calling thread: on its `io_uring` driver, unless the value says otherwise.
///
/// The type parameter says how its streams are polled: [`Bridged`] or [`PollFd`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compio<P = Bridged> {
    setup: Setup,
    reads: Reads,
    face: PhantomData<fn() -> P>,
}

/// How the driver is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Setup {
    #[default]
    Ring,
    RingDefer,
    RingCoop,
    Poll,
}

impl Setup {
    fn driver(self) -> DriverType {
        match self {
            Self::Ring | Self::RingDefer | Self::RingCoop => DriverType::IoUring,
            Self::Poll => DriverType::Poll,
        }
    }
}

/// Whose buffers the program by hand reads into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    Owned,
    /// Those of the runtime's pool, by multishot operations.
    Managed,
}

impl Default for Compio {
    fn default() -> Self {
        Self::on(Setup::Ring)
    }
}

impl Compio {
    /// compio on its poll driver: the same scheduler over epoll.
    pub fn poll() -> Self {
        Self::on(Setup::Poll)
    }

    /// The ring set up for a single thread that does the kernel's deferred work when it asks for events:
    /// `single_issuer` and `defer_taskrun` of compio's `ProactorBuilder`, off by default.
    pub fn defer() -> Self {
        Self::on(Setup::RingDefer)
    }

    /// The ring set up so that completions do not interrupt the thread: `coop_taskrun` of compio's `ProactorBuilder`,
    /// which it describes as an optimisation for most cases, with `taskrun_flag`, which belongs to it. Off by default.
    pub fn coop() -> Self {
        Self::on(Setup::RingCoop)
    }

    /// The same with a native `tcp-echo` that reads into compio's managed buffers, by multishot operations. A buffer of
    /// the contract's cannot be one of those, so that all else stays as it is.
    #[must_use]
    pub fn managed(self) -> Self {
        Self { reads: Reads::Managed, ..self }
    }

    /// The same with streams that are polled by readiness, over compio's `PollFd`, instead of bridged.
    pub fn over_poll_fd(self) -> Compio<PollFd> {
        Compio::on(self.setup)
    }
}

impl<P: Face> Compio<P> {
    fn on(setup: Setup) -> Self {
        Self { setup, reads: Reads::Owned, face: PhantomData }
    }

    /// A builder of the one driver: left the choice, compio would take the other silently.
    fn proactor(self) -> ProactorBuilder {
        let (defer, coop) = (self.setup == Setup::RingDefer, self.setup == Setup::RingCoop);
        let mut builder = ProactorBuilder::new();
        builder.capacity(CAPACITY).driver_type(self.setup.driver());
        builder.single_issuer(defer).defer_taskrun(defer);
        builder.coop_taskrun(coop).taskrun_flag(coop);
        builder
    }

    pub(crate) fn build(self) -> io::Result<runtime::Runtime> {
        self.build_with(self.proactor())
    }

    /// With a pool of managed buffers of that many bytes each.
    pub(crate) fn build_managed(self, bytes: usize) -> io::Result<runtime::Runtime> {
        let most = (POOL_BYTES / bytes).clamp(1, POOL_BUFFERS);
        let buffers = NonZero::new(1 << most.ilog2()).expect("a power of two is not 0");
        let mut proactor = self.proactor();
        proactor.buffer_pool_size(buffers).buffer_pool_buffer_len(bytes);
        self.build_with(proactor)
    }

    fn build_with(self, mut proactor: ProactorBuilder) -> io::Result<runtime::Runtime> {
        let driver = self.setup.driver();
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
}

/// The first Linux that has all it needs of `io_uring`.
const SINCE: &str = "5.11";

/// compio's default for either driver: submission entries of the ring, or events of one wait.
const CAPACITY: u32 = 1024;

/// compio's default: tasks that run before the driver is asked for events.
const EVENT_INTERVAL: usize = 61;

/// Managed buffers at most, where they are used: more than a batch of messages takes. compio has 8 by default, which 32
/// connections exhaust.
const POOL_BUFFERS: usize = 1024;

/// Bytes of all of them at most.
const POOL_BYTES: usize = 16 << 20;

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

impl<P: Face> Runtime for Compio<P> {
    type JoinHandle<T: Send + 'static> = JoinHandle<T>;

    fn about(&self) -> About {
        let (driver, files) = match self.setup {
            Setup::Ring | Setup::RingDefer | Setup::RingCoop => (Driver::IoUring, Files::Ring),
            Setup::Poll => (Driver::Epoll, Files::Threads),
        };
        About { package: "compio", threads: Threads::One, driver, streams: P::STREAMS, files }
    }

    fn block_on<F: Future>(&self, _config: &Config, main: F) -> io::Result<F::Output> {
        Ok(self.build()?.block_on(main))
    }

    fn spawn<F>(task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        JoinHandle::new(runtime::spawn(task))
    }

    async fn spawn_blocking<F, T>(work: F) -> T
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        resume(JoinHandle::new(runtime::spawn_blocking(caught(work))).await)
    }

    async fn sleep(duration: Duration) {
        Confined::new(compio::time::sleep(duration)).await;
    }

    async fn timeout<F>(duration: Duration, future: F) -> Result<F::Output, Elapsed>
    where
        F: Future + Send,
        F::Output: Send,
    {
        Confined::new(compio::time::timeout(duration, future)).await.map_err(|_| Elapsed)
    }

    fn yield_now() -> impl Future<Output = ()> + Send {
        future::yield_now()
    }

    fn available(&self) -> io::Result<()> {
        if self.setup == Setup::Poll {
            return Ok(());
        }
        // The errno of a refusal first: the search for operations would swallow it.
        self.proactor().build().map(drop).map_err(|error| ring::explain(&error, SINCE))?;
        self.build().map(drop).map_err(|error| ring::explain(&error, SINCE))
    }

    /// Asks a runtime that is made as `block_on` makes it.
    fn effective(&self, _config: &Config) -> Effective {
        let capacity = if self.setup == Setup::Poll { "events_per_wait" } else { "ring_entries" };
        let mut notes = BTreeMap::from([
            (capacity.to_owned(), CAPACITY.to_string()),
            ("event_interval".to_owned(), EVENT_INTERVAL.to_string()),
        ]);
        let flags = match self.setup {
            Setup::RingDefer => Some("SINGLE_ISSUER DEFER_TASKRUN"),
            Setup::RingCoop => Some("COOP_TASKRUN TASKRUN_FLAG"),
            Setup::Ring | Setup::Poll => None,
        };
        notes.extend(flags.map(|flags| ("ring_flags".to_owned(), flags.to_owned())));
        if self.reads == Reads::Managed {
            let pool = "multishot, each as long as the buffer of the other lanes";
            notes.insert("managed_buffers".to_owned(), pool.to_owned());
        }
        let running = match self.build() {
            Ok(runtime) => runtime.driver_type(),
            // `block_on` fails with the same, so nothing runs.
            Err(error) => {
                notes.insert("refused".to_owned(), error.to_string());
                self.setup.driver()
            }
        };
        let driver = if running.is_iouring() { Driver::IoUring } else { Driver::Epoll };
        Effective { driver, workers: 1, notes }
    }
}

impl<P: Face> Net for Compio<P> {
    type TcpStream = Stream<P>;
    type TcpListener = Listener<P>;

    fn listen(socket: std::net::TcpListener) -> io::Result<Listener<P>> {
        net::listen(socket)
    }

    fn connect(addr: SocketAddr) -> impl Future<Output = io::Result<Stream<P>>> + Send {
        net::connect(addr)
    }
}

impl<P: Face> Fs for Compio<P> {
    type File = File;

    fn open(path: &Path, how: Open) -> impl Future<Output = io::Result<File>> + Send {
        file::open(path, how)
    }

    fn rename(from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + Send {
        file::rename(from, to)
    }
}
