use rtswap_lane::Lane;
use rtswap_workload::{Standard, Suite};

use crate::Smol;

/// The lanes of this crate for the standard workloads, instantiated here.
pub fn lanes() -> Vec<Lane> {
    lanes_of::<Standard>()
}

/// The lanes of this crate for the workloads of another suite.
pub fn lanes_of<S: Suite>() -> Vec<Lane> {
    let shared =
        Lane::with_native::<S, _>("smol", "smol, multi-threaded executor", &Smol::default());
    let local = Lane::with_native::<S, _>("smol-local", "smol on one thread", &Smol::local());
    shared.into_iter().chain(local.map(Lane::on_request)).collect()
}
