//! The lane protocol, and the host that makes a lane of any program.
//!
//! A lane is a process that takes [`Order`]s on its standard input and gives [`Answer`]s on its
//! standard output, one JSON object a line. LANES.md describes it for those who write one in
//! another language. A [`Lane`] is made of any runtime that has an adapter and any suite of workloads
//! ([`Lane::of`]), or of a program that was written by hand for one runtime ([`native`]); [`host`] speaks
//! the protocol for it, and [`process::main`] makes an executable of it.
#![warn(missing_docs)]

mod adapter;
mod capability;
mod driven;
pub mod host;
mod lane;
mod maker;
pub mod native;
mod place;
pub mod process;
mod served;
mod tally;
mod version;

pub use adapter::{FILES, STREAMS};
pub use driven::{Shards, Slice, Slices};
pub use lane::{Lane, SHARDED, native_name, polled_name};
pub use place::Place;
pub use rtswap_schema::protocol::{
    Answer, LaneInfo, Order, Pace, Prepare, Ready, Refusal, SliceDone,
};
pub use served::{ReadySignal, Server};
pub use version::of as version_of;
