use rtswap_lane::Lane;
use rtswap_workload::{Standard, Suite};

use crate::Monoio;

/// The lanes of this crate for the standard workloads, instantiated here.
pub fn lanes() -> Vec<Lane> {
    lanes_of::<Standard>()
}

/// The lanes of this crate for the workloads of another suite.
pub fn lanes_of<S: Suite>() -> Vec<Lane> {
    let ring =
        Lane::with_native::<S, _>("monoio", "monoio, one thread, io_uring", &Monoio::default());
    let epoll =
        Lane::with_native::<S, _>("monoio-epoll", "monoio, the same on epoll", &Monoio::epoll());
    let tuned = [
        ("monoio-bridge", "monoio, polled streams through a bridge", Monoio::bridge()),
        ("monoio-defer", "monoio, single issuer and deferred task work", Monoio::defer()),
        ("monoio-coop", "monoio, cooperative task work", Monoio::coop()),
    ]
    .map(|(name, about, runtime)| Lane::of::<S, _>(name, about, &runtime).on_request());
    ring.into_iter().chain(epoll.map(Lane::on_request)).chain(tuned).collect()
}
