use rtswap_lane::Lane;
use rtswap_workload::{Standard, Suite};

use crate::TokioUring;

/// The lanes of this crate for the standard workloads, instantiated here.
pub fn lanes() -> Vec<Lane> {
    lanes_of::<Standard>()
}

/// The lanes of this crate for the workloads of another suite.
pub fn lanes_of<S: Suite>() -> Vec<Lane> {
    let ring = Lane::with_native::<S, _>(
        "tokio-uring",
        "tokio-uring, one thread, io_uring",
        &TokioUring::default(),
    );
    let [bridge, _, poll_bridge] = Lane::with_native::<S, _>(
        "tokio-uring-bridge",
        "tokio-uring, polled streams through a bridge",
        &TokioUring::bridge(),
    );
    let others = [
        ("tokio-uring-net", "tokio-uring, all streams tokio's", TokioUring::net()),
        ("tokio-uring-coop", "tokio-uring, cooperative task work", TokioUring::coop()),
    ]
    .map(|(name, about, runtime)| Lane::of::<S, _>(name, about, &runtime));
    let on_request = [bridge, poll_bridge].into_iter().chain(others).map(Lane::on_request);
    ring.into_iter().chain(on_request).collect()
}
