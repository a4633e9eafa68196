use rtswap_lane::Lane;
use rtswap_workload::{Standard, Suite};

use crate::AsyncStd;

/// The lanes of this crate for the standard workloads, instantiated here.
pub fn lanes() -> Vec<Lane> {
    lanes_of::<Standard>()
}

/// The lanes of this crate for the workloads of another suite.
pub fn lanes_of<S: Suite>() -> Vec<Lane> {
    Lane::with_native::<S, _>("async-std", "async-std, as by default", &AsyncStd).into()
}
