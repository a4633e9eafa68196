//! Swap the async runtime under an unchanged program, and measure what the swap buys.
//!
//! To *use* the contract in a program of your own, take a runtime from here and write one line:
//!
//! ```
//! use rtswap::{Config, Runtime};
//! use std::time::Duration;
//!
//! type Rt = rtswap::runtimes::Smol; // the swap: Tokio, AsyncStd, SmolLocal, TokioUring, …
//!
//! async fn program<R: Runtime>() -> u32 {
//!     let task = R::spawn(async { R::sleep(Duration::from_millis(1)).await; 42 });
//!     task.await
//! }
//!
//! assert_eq!(Rt::block_on(&Config::default(), program::<Rt>()).unwrap(), 42);
//! ```
//!
//! To *measure*, run the `rtswap` program, or build your own with [`cli::main`] and a [`Registry`]
//! that has your lanes and workloads as well.
#![warn(missing_docs)]

pub mod cli;
pub mod registry;

pub use registry::Registry;
pub use rtswap_runtime::{
    About, Buffer, Config, Confined, Driver, Effective, ReadOwned, Runtime, TcpListener, TcpStream,
    Threads, WriteOwned, socket,
};
pub use rtswap_workload as workload;

/// Every runtime that has an adapter here.
pub mod runtimes {
    pub use rtswap_async_std::AsyncStd;
    pub use rtswap_compio::{Compio, CompioDefer, CompioPoll};
    pub use rtswap_glommio::Glommio;
    pub use rtswap_monoio::{Monoio, MonoioEpoll};
    pub use rtswap_smol::{Smol, SmolLocal};
    pub use rtswap_tokio::{Tokio, TokioEvents8, TokioLocal};
    pub use rtswap_tokio_uring::TokioUring;
}
