//! Swap the async runtime under an unchanged program, and measure the difference.
//!
//! To *use* the contract in your program, write the program against the traits and choose the runtime in one
//! line:
//!
//! ```
//! # #[cfg(feature = "smol")] {
//! use rtswap::runtimes::Smol; // Tokio, AsyncStd, TokioUring, Monoio, …
//! use rtswap::{Config, Runtime};
//! use std::time::Duration;
//!
//! async fn program<R: Runtime>() -> u32 {
//!     let task = R::spawn(async { R::sleep(Duration::from_millis(1)).await; 42 });
//!     task.await
//! }
//!
//! fn run<R: Runtime>(runtime: &R) -> std::io::Result<u32> {
//!     runtime.block_on(&Config::default(), program::<R>())
//! }
//!
//! assert_eq!(run(&Smol::default()).unwrap(), 42);
//! # }
//! ```
//!
//! A program with TCP streams is generic over [`Net`], one with files over [`Fs`]. The example `chat` is a
//! server of 80 lines.
//!
//! To *measure*, run the `rtswap` program, or build your own from [`cli::main`] and a [`Registry`] that has
//! your lanes and workloads as well:
//!
//! - a runtime: implement [`Runtime`], and [`Net`] and [`Fs`] if it has streams and files; make it a lane
//!   with [`Lane::of`], and add that with [`Registry::with`]. `rtswap-conformance` tests the implementation.
//!   `examples/own-runtime` in this crate is a model.
//! - workloads: implement one of the traits in [`workload`], and a [`Suite`](workload::Suite) that finds
//!   them; [`Registry::of`] puts them on every lane. `examples/own-workload` is a model.
//!
//! Both together are `Registry::of::<MySuite>().with(my_lane::<MySuite>())`.
//!
//! # Features
//! One for each runtime (`tokio`, `async-std`, `smol`, `tokio-uring`, `monoio`, `compio`, `glommio`) and
//! `apps` for the workloads that need hyper, rustls or a database client. All of these are on by default; `may`
//! and `ntex` are not. They are additive: a lane or workload that is not built in is listed with the feature that brings it.
//! `tokio-unstable` replaces the lane `tokio-fs` by `tokio-fs-uring`, in a build with
//! `RUSTFLAGS="--cfg tokio_unstable"`; without the flag it does nothing.
#![warn(missing_docs)]

pub mod cli;
pub mod registry;

/// The code in CONTRIBUTING.md compiles.
#[cfg(all(doctest, feature = "smol"))]
#[doc = include_str!("../../../CONTRIBUTING.md")]
pub struct Contributing;

pub use registry::Registry;
pub use rtswap_lane as lane;
pub use rtswap_lane::Lane;
#[cfg(feature = "apps")]
pub use rtswap_runtime::hyper;
pub use rtswap_runtime::{
    About, Bridge, Buffer, Config, Confined, Driver, Effective, Elapsed, File, Files, Fs,
    JoinHandle, Net, Open, ReadOwned, Runtime, Streams, TcpListener, TcpStream, Threads,
    WriteOwned, file, ring, socket, task,
};
pub use rtswap_schema as schema;
pub use rtswap_workload as workload;

/// Every runtime that has an adapter here and whose feature is on.
pub mod runtimes {
    #[cfg(feature = "async-std")]
    pub use rtswap_async_std::AsyncStd;
    #[cfg(feature = "compio")]
    pub use rtswap_compio::Compio;
    #[cfg(feature = "glommio")]
    pub use rtswap_glommio::Glommio;
    #[cfg(feature = "monoio")]
    pub use rtswap_monoio::Monoio;
    #[cfg(feature = "ntex")]
    pub use rtswap_ntex::Ntex;
    #[cfg(feature = "smol")]
    pub use rtswap_smol::Smol;
    #[cfg(feature = "tokio")]
    pub use rtswap_tokio::Tokio;
    #[cfg(feature = "tokio-uring")]
    pub use rtswap_tokio_uring::TokioUring;
}
