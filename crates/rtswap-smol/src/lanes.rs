use rtswap_lane::Lane;
use rtswap_runtime::WithHandles;
use rtswap_workload::{Standard, Suite};

use crate::{FsHandle, Smol};

/// The lanes of this crate for the standard workloads, instantiated here.
pub fn lanes() -> Vec<Lane> {
    lanes_of::<Standard>()
}

/// The lanes of this crate for the workloads of another suite.
pub fn lanes_of<S: Suite>() -> Vec<Lane> {
    let shared =
        Lane::with_native::<S, _>("smol", "smol, multi-threaded executor", &Smol::default());
    let local = Lane::with_native::<S, _>("smol-local", "smol on one thread", &Smol::local());
    let files = Lane::files_only::<S, _>(
        "smol-fs",
        "smol, with the files of smol::fs",
        &WithHandles::<_, FsHandle>::new(Smol::default()),
    );
    shared.into_iter().chain(local.map(Lane::on_request)).chain([files]).collect()
}
