use rtswap_lane::Lane;
use rtswap_runtime::WithHandles;
use rtswap_workload::{Standard, Suite};

use crate::{AsyncStd, FsHandle};

/// The lanes of this crate for the standard workloads, instantiated here.
pub fn lanes() -> Vec<Lane> {
    lanes_of::<Standard>()
}

/// The lanes of this crate for the workloads of another suite.
pub fn lanes_of<S: Suite>() -> Vec<Lane> {
    let files = Lane::files_only::<S, _>(
        "async-std-fs",
        "async-std, with the files of async_std::fs",
        &WithHandles::<_, FsHandle>::new(AsyncStd),
    );
    Lane::with_native::<S, _>("async-std", "async-std, as by default", &AsyncStd)
        .into_iter()
        .chain([files])
        .collect()
}
