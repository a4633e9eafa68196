use rtswap_lane::Lane;
use rtswap_workload::{Standard, Suite};

use crate::Compio;

/// The lanes of this crate for the standard workloads, instantiated here.
pub fn lanes() -> Vec<Lane> {
    lanes_of::<Standard>()
}

/// The lanes of this crate for the workloads of another suite.
pub fn lanes_of<S: Suite>() -> Vec<Lane> {
    let ring =
        Lane::with_native::<S, _>("compio", "compio, one thread, io_uring", &Compio::default());
    let poll =
        Lane::with_native::<S, _>("compio-poll", "compio, the same on epoll", &Compio::poll());
    let defer = Lane::of::<S, _>(
        "compio-defer",
        "compio, single issuer and deferred task work",
        &Compio::defer(),
    );
    ring.into_iter().chain(poll.map(Lane::on_request)).chain([defer.on_request()]).collect()
}
