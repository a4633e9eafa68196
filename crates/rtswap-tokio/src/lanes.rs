use rtswap_lane::Lane;
use rtswap_runtime::WithHandles;
use rtswap_workload::{Standard, Suite};

use crate::{FsHandle, Tokio};

/// The lanes of this crate for the standard workloads, instantiated here.
pub fn lanes() -> Vec<Lane> {
    lanes_of::<Standard>()
}

/// The lanes of this crate for the workloads of another suite.
pub fn lanes_of<S: Suite>() -> Vec<Lane> {
    let local = Tokio::current_thread();
    let events_8 = Tokio::default().event_interval(8);
    [
        Lane::with_native::<S, _>(
            "tokio",
            "tokio, multi-threaded, as by default",
            &Tokio::default(),
        ),
        Lane::with_native::<S, _>("tokio-local", "tokio on one thread", &local)
            .map(Lane::on_request),
    ]
    .into_iter()
    .flatten()
    .chain([Lane::of::<S, _>(
        "tokio-events-8",
        "tokio that looks for events after 8 tasks, not 61",
        &events_8,
    )
    .on_request()])
    .chain([Lane::files_only::<S, _>(
        "tokio-fs",
        "tokio, with the files of tokio::fs",
        &WithHandles::<_, FsHandle>::new(Tokio::default()),
    )])
    .collect()
}
