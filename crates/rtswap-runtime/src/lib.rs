#![warn(missing_docs)]
//! The contract: the traits that a workload is written against.
//!
//! A program that is generic over [`Runtime`] runs unchanged on every runtime that has an adapter;
//! the swap is one type in one line. This crate knows no runtime.
//!
//! # How the contract maps
//!
//! | contract | tokio | async-std | smol | tokio-uring | monoio | compio | glommio |
//! |---|---|---|---|---|---|---|---|
//! | [`Runtime::block_on`] | `Runtime::block_on` | `task::block_on` | `async_io::block_on` + `Executor` | `Runtime::block_on` | `Runtime::block_on` | `Runtime::block_on` | `LocalExecutor::run` |
//! | [`Runtime::spawn`] | `task::spawn` | `task::spawn` | `Executor::spawn`, detached on drop | `spawn` | `spawn` | `spawn`, detached on drop | `spawn_local`, detached |
//! | [`Runtime::sleep`] | `time::sleep` | `task::sleep` | `Timer::after` | `tokio::time::sleep` | `time::sleep` | `time::sleep` | `Timer::new` |
//! | [`JoinHandle::abort`] | `JoinHandle::abort` | `JoinHandle::cancel` | `Task::cancel` | `tokio::task::JoinHandle::abort` | at the next poll of the task | `JoinHandle::cancel` and a turn | `JoinHandle::cancel` |
//! | [`Runtime::spawn_blocking`] | `task::spawn_blocking` | `task::spawn_blocking` | `unblock` | `tokio::task::spawn_blocking` | `spawn_blocking` on 4 threads | `spawn_blocking` | `spawn_blocking` on 1 thread |
//! | [`Runtime::timeout`] | `time::timeout` | `future::timeout` | `or` with a `Timer` | `tokio::time::timeout` | `time::timeout` | `time::timeout` | `timer::timeout` |
//! | [`ReadOwned::read`] | `AsyncReadExt::read` | `ReadExt::read` | `AsyncReadExt::read` | `TcpStream::read` | `AsyncReadRent::read` | `AsyncRead::read` | `AsyncReadExt::read` |
//! | [`TcpStream::into_poll`] | `TcpStream` itself | [`FuturesIo`] | [`FuturesIo`] | `tokio::net::TcpStream` | `into_poll_io` | [`Bridge`] | [`FuturesIo`] |
//! | [`TcpStream::readable`] | `TcpStream::peek` | `TcpStream::peek` | `Async::readable` | – | `TcpStream::readable` | `PollFd::read_ready` | – |
//! | [`Fs::open`], [`File`] | `spawn_blocking` | `spawn_blocking` | `unblock` | `fs::File` | `fs::File` | `fs::File` | `BufferedFile`, `DmaFile` |
//!
//! The configurations of a runtime are values of its type:
//!
//! | runtime | default | others |
//! |---|---|---|
//! | tokio | `Tokio::default()` | `Tokio::current_thread()`, `Tokio::default().event_interval(8)` |
//! | async-std | `AsyncStd` | |
//! | smol | `Smol::default()` | `Smol::local()` |
//! | tokio-uring | `TokioUring::default()` | `TokioUring::bridge()`, `TokioUring::net()`, `TokioUring::coop()` |
//! | monoio | `Monoio::default()` | `Monoio::epoll()`, `Monoio::bridge()`, `Monoio::defer()`, `Monoio::coop()` |
//! | compio | `Compio::default()` | `Compio::defer()`, `Compio::poll()`, each `.over_poll_fd()` |
//! | glommio | `Glommio` | |
//!
//! [`WithHandles`] gives tokio, async-std and smol the files of their own `fs` modules.
//!
//! Some things are left to the runtime: whether `spawn` polls the task before it returns (glommio does),
//! and what becomes of a connection that arrives while an `accept` is being dropped.
//!
//! # Design questions
//!
//! **Why do buffers change hands?** A completion runtime (`io_uring`) writes into the buffer after
//! the call has returned, so the kernel must own it meanwhile. A readiness runtime loses nothing by
//! taking and giving back a [`Buffer`]: four words move.
//!
//! **Why [`Buffer`] and not `Vec<u8>`?** A `Vec` that was cut to the length of what was read has
//! forgotten that the rest of it is initialised. A readiness runtime that reads into `&mut [u8]`
//! (async-std, smol) would then have to fill it with zeros before every read. [`Buffer`] keeps the
//! whole storage initialised and the length next to it. It is a `Vec` inside, so it still goes to
//! tokio-uring, monoio and compio as it is.
//!
//! **Why is everything `Send`?** So that one source serves work-stealing and thread-per-core
//! runtimes. Thread-confined runtimes wrap their types in [`Confined`], which checks the thread at each
//! use and panics on the wrong one, instead of promising. Dropping a future there that has been polled aborts.
//!
//! **Why does dropping a [`Runtime::JoinHandle`] detach?** Because runtimes disagree (smol cancels,
//! tokio detaches) and a program needs one answer; detaching needs no support from the runtime.
//!
//! **Why a second face that is polled, and why a bridge?** Libraries (hyper, rustls, redis) exist on
//! `AsyncRead` and `AsyncWrite`, whose buffer is the caller's and is given back at once. A completion
//! runtime cannot lend that to the kernel. Where its authors have streams that wait for readiness instead,
//! those are polled; where they have none, [`Bridge`] gives each direction a buffer of its own and
//! copies once. Unlike a read with an owned buffer, a polled read that is given up loses nothing.
//!
//! **Why static functions and no handle?** It is how every one of these runtimes is used, and what
//! makes a workload read like an ordinary program. The price: `spawn`, `sleep`, `listen` and
//! `connect` panic outside of `block_on`, as the runtimes' own functions do.

pub mod accept;
mod bridge;
mod buffer;
mod config;
mod confined;
pub mod file;
mod futures_io;
mod handle;
#[cfg(feature = "hyper")]
pub mod hyper;
pub mod owned;
mod polled;
pub mod ring;
pub mod socket;
pub mod task;
mod traits;

pub use bridge::Bridge;
pub use buffer::Buffer;
pub use config::{About, Config, Driver, Effective, Files, Streams, Threads};
pub use confined::Confined;
pub use futures_io::FuturesIo;
pub use handle::{Handle, HandleFile, WithHandles};
pub use polled::Polled;
pub use traits::{
    Elapsed, File, Fs, JoinHandle, Net, Open, ReadOwned, Runtime, TcpListener, TcpStream,
    WriteOwned,
};
