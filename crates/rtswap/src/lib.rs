//! Swap the async runtime under an unchanged program, and measure the difference.
//!
//! To *use* the contract in a program of your own, take a runtime from here and write one line:
//!
//! ```
//! # #[cfg(feature = "smol")] {
//! use rtswap::{Config, JoinHandle, Net, Runtime};
//! use std::time::Duration;
//!
//! type Rt = rtswap::runtimes::Smol; // the swap: Tokio, AsyncStd, TokioUring, Monoio, …
//!
//! async fn program<R: Runtime>() -> u32 {
//!     let task = R::spawn(async { R::sleep(Duration::from_millis(1)).await; 42 });
//!     task.await
//! }
//!
//! assert_eq!(Rt::default().block_on(&Config::default(), program::<Rt>()).unwrap(), 42);
//! # }
//! ```
//!
//! To *measure*, run the `rtswap` program, or build your own with [`cli::main`] and a [`Registry`]
//! that has your lanes and workloads as well.
//!
//! # Features
//! One for each runtime (`tokio`, `async-std`, `smol`, `tokio-uring`, `monoio`, `compio`, `glommio`) and
//! `apps` for the workloads that need hyper, rustls or a database client. All are on by default, and they
//! are additive: a lane or workload that is not built in is listed with the feature that brings it.
#![warn(missing_docs)]

pub mod cli;
pub mod registry;

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
    #[cfg(feature = "smol")]
    pub use rtswap_smol::Smol;
    #[cfg(feature = "tokio")]
    pub use rtswap_tokio::Tokio;
    #[cfg(feature = "tokio-uring")]
    pub use rtswap_tokio_uring::TokioUring;
}
