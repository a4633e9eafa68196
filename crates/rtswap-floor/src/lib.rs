//! Floors: the echo server by hand, on the system calls, with no futures.
//!
//! A floor is what the kernel allows. A runtime that cost less than the floor of its own driver would
//! prove the floor badly written. What each does for a message, and its limits, is in this crate's
//! README.
#![warn(missing_docs)]

mod accept;
mod connection;
mod epoll;
mod order;
mod poll;
mod select;
mod threads;
mod uring;

use std::io;

use rtswap_lane::host::Program;
use rtswap_lane::{Lane, Prepare, Refusal, SHARDED};
use rtswap_schema::record::Kind;

/// A server written by hand on one of the kernel's interfaces.
#[derive(Clone, Copy, Debug)]
pub struct Floor {
    /// The name of its lane.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// How it learns of I/O.
    pub driver: &'static str,
    /// Whether this machine lets it work; the error says why not.
    pub available: fn() -> io::Result<()>,
    /// Makes it ready for a workload.
    pub prepare: fn(&Prepare) -> Result<Program, Refusal>,
}

/// The workloads that a floor does, by family: one echo server under three kinds of load.
pub const FAMILIES: &[&str] = &["tcp-echo", "idle", "churn"];

/// All floors, those that cost least first.
pub const FLOORS: &[Floor] =
    &[uring::FLOOR, epoll::FLOOR, poll::FLOOR, select::FLOOR, threads::FLOOR];

/// The lanes of this crate.
pub fn lanes() -> Vec<Lane> {
    FLOORS.iter().map(lane).collect()
}

fn lane(floor: &'static Floor) -> Lane {
    let mut lane = Lane::new(floor.name, floor.about, Kind::Floor, floor.prepare)
        .with_available(floor.available);
    env!("CARGO_PKG_VERSION").clone_into(&mut lane.version);
    lane.driver = floor.driver;
    lane.threads = if floor.driver == "threads" { "one for each connection" } else { SHARDED };
    lane.in_default = floor.name == "floor-epoll";
    lane.families = FAMILIES;
    lane
}

/// For interfaces that every Linux has.
#[expect(clippy::unnecessary_wraps, reason = "the others can fail")]
fn always() -> io::Result<()> {
    Ok(())
}
