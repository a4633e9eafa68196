//! The lane protocol, and the host that makes a lane of any program.
//!
//! A lane is a process that takes [`Order`]s on its standard input and gives [`Answer`]s on its
//! standard output, one JSON object a line. LANES.md describes it for those who write one in
//! another language; here are the types, [`host`], which speaks it, and two kinds of programs to
//! host:
//!
//! - [`adapter`]: any workload on any runtime that has an adapter;
//! - [`native`]: what was written by hand for one runtime, to know what the contract costs.
#![warn(missing_docs)]

pub mod adapter;
mod driven;
pub mod host;
pub mod native;
mod place;
mod served;
mod tally;

pub use driven::{Crew, Orders, Slice};
pub use place::Place;
pub use rtswap_schema::protocol::{Answer, Order, Prepare, Ready, Receipt, Refusal, SliceDone};
pub use served::{Server, Up};
