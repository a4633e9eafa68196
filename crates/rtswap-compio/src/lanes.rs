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
    let managed = |name, runtime: Compio| {
        let about = format!("{name} by hand, multishot reads into managed buffers");
        defer.by_hand(&format!("{name}-managed"), about, &runtime.managed())
    };
    let others = [
        Lane::of::<S, _>("compio-coop", "compio, cooperative task work", &Compio::coop()),
        managed("compio", Compio::default()),
        managed("compio-defer", Compio::defer()),
        Lane::of::<S, _>(
            "compio-poll-fd",
            "compio, polled streams over its PollFd",
            &Compio::default().over_poll_fd(),
        ),
        Lane::of::<S, _>(
            "compio-poll-poll-fd",
            "compio on epoll, polled streams over its PollFd",
            &Compio::poll().over_poll_fd(),
        ),
    ];
    let others = [defer].into_iter().chain(others);
    ring.into_iter().chain(poll.into_iter().chain(others).map(Lane::on_request)).collect()
}
