use rtswap_lane::Lane;
use rtswap_workload::{Standard, Suite};

use crate::TokioUring;

/// The lanes of this crate for the standard workloads, instantiated here.
pub fn lanes() -> Vec<Lane> {
    lanes_of::<Standard>()
}

/// The lanes of this crate for the workloads of another suite.
pub fn lanes_of<S: Suite>() -> Vec<Lane> {
    Lane::with_native::<S, _>("tokio-uring", "tokio-uring, one thread, io_uring", &TokioUring)
        .into()
}
