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
    ring.into_iter().chain(epoll.map(Lane::on_request)).collect()
}
