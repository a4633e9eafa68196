use rtswap_lane::Lane;
use rtswap_runtime::WithHandles;
use rtswap_workload::{Standard, Suite};

use crate::{FsHandle, Tokio, unstable};

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
    .chain(files::<S>())
    .collect()
}

/// The lane of `tokio::fs` in this build, and what stands for the other one.
fn files<S: Suite>() -> [Lane; 2] {
    let runtime = WithHandles::<_, FsHandle>::new(Tokio::default());
    let lane = |name, about| Lane::files_only::<S, _>(name, about, &runtime);
    let stand_in = |name, feature, remedy, lane: &Lane| {
        let mut other = Lane::not_built(name, feature, remedy);
        other.families = lane.families;
        other
    };
    if unstable::RING {
        let about = "tokio, with the files of tokio::fs, which opens and reads through io_uring";
        let uring = lane("tokio-fs-uring", about);
        [stand_in("tokio-fs", "tokio", unstable::WITHOUT, &uring), uring]
    } else {
        let threads = lane("tokio-fs", "tokio, with the files of tokio::fs");
        let uring = stand_in("tokio-fs-uring", "tokio-unstable", unstable::WITH, &threads);
        [threads, uring]
    }
}
