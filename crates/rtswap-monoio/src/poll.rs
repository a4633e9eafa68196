//! The poll face: monoio's `poll-io`, or the bridge.

use std::cell::Cell;

use monoio::io::IntoPollIo;
use monoio::net::TcpStream;
use rtswap_runtime::{Bridge, Confined};

use crate::Stream;

thread_local! {
    /// Whether the runtime of this thread bridges: streams do not know their runtime's configuration.
    static BRIDGE: Cell<bool> = const { Cell::new(false) };
}

/// Whether streams of the runtime that is about to start on this thread are polled through a bridge.
pub(crate) fn bridge(bridge: bool) {
    BRIDGE.set(bridge);
}

/// monoio's `TcpStreamPoll`, which it does not export by name.
type TcpStreamPoll = <TcpStream as IntoPollIo>::PollIo;

/// The poll face: monoio's `TcpStreamPoll`, which waits for readiness of the socket and then reads and writes by
/// system calls, or a [`Bridge`].
pub type Polled = rtswap_runtime::Polled<Confined<TcpStreamPoll>, Stream>;

pub(crate) fn polled(stream: Stream) -> Polled {
    if BRIDGE.get() {
        return Polled::Bridged(Bridge::new(stream));
    }
    stream.0.take().into_poll_io().map(Confined::new).into()
}

#[cfg(test)]
mod tests {
    use rtswap_runtime::socket::{self, Share};
    use rtswap_runtime::{Config, Net, Runtime, TcpStream as _};

    use super::*;
    use crate::Monoio;

    #[test]
    fn into_poll_is_what_the_configuration_says() {
        for runtime in [Monoio::default(), Monoio::bridge(), Monoio::default(), Monoio::epoll()] {
            if let Err(error) = runtime.available() {
                eprintln!("skipped: {error}");
                continue;
            }
            let socket = socket::listen("127.0.0.1:0".parse().unwrap(), Share::No).unwrap();
            let addr = socket.local_addr().unwrap();
            let polled = async { Monoio::connect(addr).await.unwrap().into_poll() };
            let bridged = async { matches!(polled.await, Polled::Bridged(_)) };
            let bridged = runtime.block_on(&Config::default(), bridged).unwrap();
            assert_eq!(bridged, runtime == Monoio::bridge(), "{runtime:?}");
        }
    }
}
