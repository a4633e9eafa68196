//! The lane protocol, and the host that makes a lane of any runtime.
//!
//! A lane is a process that takes [`Order`]s on its standard input and gives [`Answer`]s on its
//! standard output, one JSON object a line. LANES.md describes it for those who write one in
//! another language; here are the types, and [`host`] for runtimes that have an adapter.
#![warn(missing_docs)]

pub mod host;
mod outside;
mod place;
mod protocol;
mod served;
mod tasks;

pub use protocol::{Answer, Order, Prepare, Ready, Receipt, Refusal, SliceDone};
