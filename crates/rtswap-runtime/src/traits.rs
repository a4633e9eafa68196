use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::{About, Buffer, Config, Effective};

/// An async runtime: tasks, time, and what runs them.
///
/// A value of the type is a configuration of the runtime (`Tokio::default()`, `Tokio::current_thread()`):
/// it says how [`block_on`](Self::block_on) builds the runtime. Programs are generic over the type and use
/// its associated functions, which find the runtime that they are called in.
///
/// [`Net`] and [`Fs`] add streams and files. A runtime without files implements [`Net`] alone.
///
/// # Panics
/// The associated functions work inside [`block_on`](Self::block_on) and may panic outside of it. On a
/// thread-confined runtime a stream or listener that is used or dropped on another thread panics: the
/// thread is checked at every use. A future of such a runtime that has been polled aborts the process when it
/// is dropped on another thread: see [`Confined`](crate::Confined).
///
/// # Limits
/// A task that blocks its thread blocks whatever shares that thread; nothing here detects it.
/// Dropping a read or write that has begun is allowed; what it had transferred is lost with its
/// buffer, so the stream must not be used for the same protocol afterwards.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// Resolves to the task's output. Dropping it *detaches* the task, which runs on. If the task
    /// panicked, awaiting it resumes the panic in the joiner.
    type JoinHandle<T: Send + 'static>: JoinHandle<T>;

    /// The properties of this configuration that hold before anything runs.
    fn about(&self) -> About;

    /// Builds the runtime, runs `main` on the calling thread to its end, and shuts the runtime
    /// down: tasks still pending are dropped, and threads and descriptors are given back. A runtime
    /// of [`Threads::Process`](crate::Threads::Process) has no shut-down: its threads, which its
    /// adapter's README names, and its pending tasks live on.
    ///
    /// `main` is polled on the calling thread, which on a multi-threaded runtime is none of the
    /// workers: work that is to be measured belongs in [`spawn`](Self::spawn).
    ///
    /// # Errors
    /// If the runtime cannot be built: no descriptors, `io_uring` forbidden.
    fn block_on<F: Future>(&self, config: &Config, main: F) -> io::Result<F::Output>;

    /// Starts a task.
    fn spawn<F>(task: F) -> Self::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static;

    /// Runs a function that blocks, on a thread of the runtime's pool for such work. A panic in it is
    /// resumed where the output is awaited.
    ///
    /// The function starts no later than the first poll. Once it has started, it runs to its end, also
    /// when the future is dropped.
    fn spawn_blocking<F, T>(work: F) -> impl Future<Output = T> + Send
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static;

    /// Ends no sooner than `duration` from its first poll. How much later is up to the runtime:
    /// most round up to whole milliseconds.
    fn sleep(duration: Duration) -> impl Future<Output = ()> + Send;

    /// Polls `future` for at most `duration` from its first poll, and drops it then. If `future` and the
    /// timer are ready at once, the runtime chooses.
    ///
    /// # Errors
    /// [`Elapsed`] if it was not ready in time.
    fn timeout<F>(
        duration: Duration,
        future: F,
    ) -> impl Future<Output = Result<F::Output, Elapsed>> + Send
    where
        F: Future + Send,
        F::Output: Send;

    /// Lets the other ready tasks run, in the runtime's own way.
    fn yield_now() -> impl Future<Output = ()> + Send;

    /// Whether this machine lets the runtime work at all.
    ///
    /// # Errors
    /// What is refused, with the errno.
    fn available(&self) -> io::Result<()> {
        Ok(())
    }

    /// What is really in force under `config`.
    fn effective(&self, config: &Config) -> Effective;
}

/// A task that can be joined.
pub trait JoinHandle<T>: Future<Output = T> + Send + 'static {
    /// Cancels the task: its future is dropped where it waits. The returned future is ready when that
    /// is done, with the output of a task that had ended before. Cancellation starts at once; the
    /// returned future may be dropped.
    ///
    /// If the task panicked, awaiting the returned future resumes the panic.
    fn abort(self) -> impl Future<Output = Option<T>> + Send;
}

/// The time given to [`Runtime::timeout`] is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("deadline has elapsed")
    }
}

impl std::error::Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> Self {
        Self::new(io::ErrorKind::TimedOut, elapsed)
    }
}

/// TCP streams of a runtime.
pub trait Net: Runtime {
    /// A connected TCP stream.
    type TcpStream: TcpStream;
    /// A listening TCP socket.
    type TcpListener: TcpListener<Stream = Self::TcpStream>;

    /// Takes over a socket made by [`socket::listen`](crate::socket::listen).
    ///
    /// # Errors
    /// If the runtime cannot register it.
    fn listen(socket: std::net::TcpListener) -> io::Result<Self::TcpListener>;

    /// Connects, with the options of [`socket::tune`](crate::socket::tune).
    ///
    /// # Errors
    /// What the kernel says: `ConnectionRefused` where no socket listens.
    fn connect(addr: SocketAddr) -> impl Future<Output = io::Result<Self::TcpStream>> + Send;
}

/// Files of a runtime.
pub trait Fs: Runtime {
    /// An open file.
    type File: File;

    /// Opens a file.
    ///
    /// # Errors
    /// What the kernel says; `Unsupported` for an [`Open`] that the runtime's own API has not.
    fn open(path: &Path, how: Open) -> impl Future<Output = io::Result<Self::File>> + Send;

    /// Renames a file; one that has the new name is replaced.
    ///
    /// # Errors
    /// What the kernel says.
    fn rename(from: &Path, to: &Path) -> impl Future<Output = io::Result<()>> + Send;
}

/// A listening socket.
pub trait TcpListener: Send + 'static {
    /// What it accepts.
    type Stream: TcpStream;

    /// The next connection and its peer.
    ///
    /// # Errors
    /// What the kernel says; running out of descriptors is the common one.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;
}

/// A connected stream. Dropping it, or both of its halves, closes it.
pub trait TcpStream: ReadOwned + WriteOwned + Send + 'static {
    /// The half that reads.
    type ReadHalf: ReadOwned + Send + 'static;
    /// The half that writes.
    type WriteHalf: WriteOwned + Send + 'static;

    /// Two halves for two tasks. Dropping the write half does not end the stream for the peer:
    /// [`shutdown`](WriteOwned::shutdown) does.
    fn into_split(self) -> (Self::ReadHalf, Self::WriteHalf);

    /// The poll face: what libraries such as hyper, rustls, redis and tokio-postgres exist on.
    ///
    /// What is written may be in a buffer until it is flushed, as `AsyncWrite` has it.
    type Poll: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The stream as one that is polled.
    fn into_poll(self) -> Self::Poll;

    /// Whether [`readable`](Self::readable) works.
    const READABLE: bool = false;

    /// Waits until [`read`](ReadOwned::read) would return without waiting: at data, at the end of the
    /// stream, or at an error. Holds no buffer meanwhile. Dropping it loses nothing.
    ///
    /// # Errors
    /// What the kernel says; `Unsupported` where the runtime's own API has no such wait.
    fn readable(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        std::future::ready(Err(io::ErrorKind::Unsupported.into()))
    }
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// To be read. Reads go through the page cache.
    Read,
    /// To be read past the page cache (`O_DIRECT`): offsets and lengths are multiples of 4096.
    ReadDirect,
    /// To be written: made if it is missing, emptied if it is not.
    Create,
}

/// An open file. Dropping it closes it at some time and discards the error. [`close`](Self::close) waits and
/// returns the error.
pub trait File: Send + Sync + 'static {
    /// Reads some bytes from `offset`: overwrites the buffer from 0, may use all of its capacity, sets
    /// its length to the number of bytes read and returns it. `Ok(0)` is the end of the file. On an
    /// error the buffer comes back empty.
    fn read_at(
        &self,
        buffer: Buffer,
        offset: u64,
    ) -> impl Future<Output = (io::Result<usize>, Buffer)> + Send;

    /// Writes the whole of the data at `offset`. The buffer comes back as it was.
    ///
    /// # Errors
    /// What the kernel says: `StorageFull` on a full disk.
    fn write_all_at(
        &self,
        buffer: Buffer,
        offset: u64,
    ) -> impl Future<Output = (io::Result<()>, Buffer)> + Send;

    /// Waits until what was written is on the disk, with the file's metadata (`fsync`): with what is needed
    /// to read it at the least (`fdatasync`), on a runtime that has no more.
    ///
    /// # Errors
    /// What the kernel says.
    fn sync(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// Closes it.
    ///
    /// # Errors
    /// What the kernel says.
    fn close(self) -> impl Future<Output = io::Result<()>> + Send;
}

/// Reads into a buffer that it owns meanwhile.
pub trait ReadOwned {
    /// Reads some bytes: overwrites the buffer from 0, may use all of its capacity, sets its length
    /// to the number of bytes read and returns it. `Ok(0)` is the end of the stream (or a buffer of
    /// capacity 0). On an error the buffer comes back empty.
    fn read(&mut self, buffer: Buffer) -> impl Future<Output = (io::Result<usize>, Buffer)> + Send;

    /// Reads `len` bytes exactly, from 0 in the buffer, and sets its length to `len`. On an error the
    /// buffer comes back empty.
    ///
    /// # Errors
    /// `UnexpectedEof` if the stream ends first, `InvalidInput` if `len` exceeds the capacity.
    fn read_exact(
        &mut self,
        buffer: Buffer,
        len: usize,
    ) -> impl Future<Output = (io::Result<()>, Buffer)> + Send;
}

/// Writes from a buffer that it owns meanwhile.
pub trait WriteOwned {
    /// Writes the whole of the data. The buffer comes back as it was.
    fn write_all(
        &mut self,
        buffer: Buffer,
    ) -> impl Future<Output = (io::Result<()>, Buffer)> + Send;

    /// Ends the stream for the peer, which reads its end; reading here goes on.
    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> + Send;
}
