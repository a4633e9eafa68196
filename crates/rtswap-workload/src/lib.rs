//! The shared workloads, written once against the contract.
//!
//! A workload is a program generic over [`Runtime`]. It never asks which
//! runtime it is on. Five kinds, by who drives a slice of it:
//!
//! - [`Served`]: the lane serves, the load generator drives (`tcp-echo`, `idle`, `churn`,
//!   `http`);
//! - [`Driven`]: the lane drives itself, batch after batch (`sleep`, `spawn`, `yield`, `channel`);
//! - [`Opened`]: like `Driven`, with connections that stay open from batch to batch (`redis`, `mysql`,
//!   `postgres`);
//! - [`WithFiles`]: like `Opened`, with files as well (`file`, `fetch`);
//! - [`Outside`]: like `Driven`, but outside of any runtime (`startup`).
//!
//! Every batch verifies its own work, so that no lane wins by doing less.
//!
//! A batch is a closed loop: an operation begins when the one before has ended. `channel`, `redis`, `mysql` and
//! `postgres` can be offered a load at a rate instead ([`Driven::paced`], [`Opened::paced`]). Their connections
//! then take operations from one queue, in which each has the instant at which it is due, and latency is counted
//! from that instant. [`Load`] documents the queue. Timers of the runtime wake the connections, so that the
//! granularity of its timers (1 ms on tokio) is part of the latency, as it is in a program that waits with them.
//!
//! A [`Suite`] names workloads and finds them; [`Standard`] is the one that ships. A suite with workloads of
//! your own passes the other names to it: `crates/rtswap/examples/own-workload` is a model.
#![warn(missing_docs)]

mod accept;
mod answer;
#[cfg(feature = "apps")]
mod apps;
mod channel;
mod content;
mod echo;
mod file;
mod links;
mod load;
mod server;
mod sleep;
mod spawn;
mod spin;
mod startup;
mod suite;
mod switch;

pub use answer::Answer;
#[cfg(feature = "apps")]
pub use apps::{Fetch, Http, Mysql, Postgres, Redis};
pub use channel::Channel;
pub use content::{BLOCK_BYTES, BLOCKS, content};
pub use echo::{PolledEcho, TcpEcho};
pub use file::{File, Held};
pub use links::{Operate, closed, paced, together};
pub use load::Load;
pub use rtswap_schema::workload::families::{self, SMALL_MESSAGE_BYTES};
pub use rtswap_schema::workload::{
    Arrivals, Drive, Family, Param, ParamValue, Rate, Resources, Spec, SpecError, Traffic, Uses,
};
pub use server::{ServerKind, ServerUrl};
pub use sleep::{Sleep, article};
pub use spawn::Spawn;
pub use spin::Spin;
pub use startup::Startup;
pub use suite::{Standard, Suite, Visitor};
pub use switch::Yield;

use std::future::Future;
use std::io;
use std::time::Instant;

use rtswap_runtime::{Config, Fs, Net, Runtime};

/// A workload that the lane serves and the load generator drives.
pub trait Served: Clone + Send + Sync + 'static {
    /// Whether the runtime has what the workload needs beyond the contract's requirements.
    ///
    /// # Errors
    /// What it lacks.
    fn check<R: Net>(&self) -> io::Result<()> {
        Ok(())
    }

    /// Serves connections until dropped. `spin` is burnt once per operation.
    ///
    /// # Errors
    /// If it can accept no more.
    fn serve<R: Net>(
        &self,
        listener: R::TcpListener,
        spin: Spin,
    ) -> impl Future<Output = io::Result<()>> + Send;
}

/// A workload that the lane drives itself, batch after batch, as a task of the runtime.
pub trait Driven: Clone + Send + Sync + 'static {
    /// One batch, verified. `spin` is burnt once per operation.
    ///
    /// # Errors
    /// [`Fault`] if the runtime did not do what it was asked.
    fn batch<R: Runtime>(&self, spin: Spin) -> impl Future<Output = Result<Batch, Fault>> + Send;

    /// One slice of an offered load instead of a batch, verified in the same way: takes operations from `load`
    /// until there are no more. `spin` is burnt once per operation.
    ///
    /// A workload whose family has `rate=` implements it. All others keep the default, which refuses.
    ///
    /// # Errors
    /// As [`batch`](Self::batch); [`Fault::unpaced`] if the workload has no arrivals.
    fn paced<R: Runtime>(
        &self,
        load: &Load,
        spin: Spin,
    ) -> impl Future<Output = Result<Batch, Fault>> + Send {
        let _ = (load, spin);
        async { Err(Fault::unpaced()) }
    }
}

/// A workload that the lane drives itself, batch after batch, on connections that it has opened before.
pub trait Opened: Clone + Send + Sync + 'static {
    /// What is open.
    type Open<R: Net>: Send + 'static;

    /// Opens it. Called once, as a task of the runtime, before the lane is ready.
    ///
    /// # Errors
    /// [`Fault`] if a server does not do what it should, or the runtime cannot.
    fn open<R: Net>(&self) -> impl Future<Output = Result<Self::Open<R>, Fault>> + Send;

    /// One batch, verified. `spin` is burnt once per operation.
    ///
    /// # Errors
    /// [`Fault`] if the runtime did not do what it was asked.
    fn batch<R: Net>(
        &self,
        open: &mut Self::Open<R>,
        spin: Spin,
    ) -> impl Future<Output = Result<Batch, Fault>> + Send;

    /// As [`Driven::paced`].
    ///
    /// # Errors
    /// As [`batch`](Self::batch); [`Fault::unpaced`] if the workload has no arrivals.
    fn paced<R: Net>(
        &self,
        open: &mut Self::Open<R>,
        load: &Load,
        spin: Spin,
    ) -> impl Future<Output = Result<Batch, Fault>> + Send {
        let _ = (open, load, spin);
        async { Err(Fault::unpaced()) }
    }
}

/// As [`Opened`], on files.
pub trait WithFiles: Clone + Send + Sync + 'static {
    /// What is open.
    type Open<R: Net + Fs>: Send + 'static;

    /// Opens it. Called once, as a task of the runtime, before the lane is ready.
    ///
    /// # Errors
    /// [`Fault`] if a server or a file does not do what it should, or the runtime cannot.
    fn open<R: Net + Fs>(&self) -> impl Future<Output = Result<Self::Open<R>, Fault>> + Send;

    /// One batch, verified. `spin` is burnt once per operation.
    ///
    /// # Errors
    /// [`Fault`] if the runtime did not do what it was asked.
    fn batch<R: Net + Fs>(
        &self,
        open: &mut Self::Open<R>,
        spin: Spin,
    ) -> impl Future<Output = Result<Batch, Fault>> + Send;
}

/// A workload that builds and drops the runtime, so that it must run outside of it.
pub trait Outside: Clone + Send + Sync + 'static {
    /// One batch, verified. `spin` is burnt once per operation.
    ///
    /// # Errors
    /// [`Fault`] if the runtime did not do what it was asked.
    fn batch<R: Runtime>(&self, runtime: &R, config: &Config, spin: Spin) -> Result<Batch, Fault>;
}

/// What one batch did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Operations, each verified.
    pub ops: u64,
    /// Where the workload measures one: each operation's latency, in nanoseconds. For `sleep` it is
    /// the lateness.
    pub latencies_ns: Vec<u64>,
}

impl Batch {
    /// A batch of `ops` operations without latencies.
    pub fn of(ops: u64) -> Self {
        Self { ops, latencies_ns: Vec::new() }
    }

    /// Adds `ops` operations that began together at `begin` and have just ended, with one latency for all of
    /// them. Burns `spin` for each.
    pub fn took(&mut self, ops: u64, begin: Instant, spin: Spin) {
        spin.burn_each(ops);
        self.ops += ops;
        self.latencies_ns.push(begin.elapsed().as_nanos() as u64);
    }

    /// Adds what another batch did.
    pub fn add(&mut self, other: Self) {
        self.ops += other.ops;
        self.latencies_ns.extend(other.latencies_ns);
    }
}

/// Why a batch does not count.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The kernel or the runtime refused. Where the kind is `Unsupported`, the runtime cannot.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The work was done wrong: the verification's finding.
    #[error("{0}")]
    Wrong(String),
}

impl Fault {
    /// The fault of a workload that cannot be offered a rate.
    pub fn unpaced() -> Self {
        let message = "the workload cannot be offered a rate, only a closed loop: leave out rate=";
        Self::Io(io::Error::new(io::ErrorKind::Unsupported, message))
    }
}
