//! What to load a lane with.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use crate::{Exchange, LoadError};

/// Which lane to load, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where the lane listens; at least one address. A lane with several shards has one for each. Connections
    /// are dealt to them in turn, so that the numbers of connections of two addresses differ by at most one,
    /// and so do those of active ones. With [`Traffic::Churn`], this holds for the connections of each thread.
    pub addrs: Arc<[SocketAddr]>,
    /// Bytes of a message; at least 1. Messages of 8 bytes or more all differ. [`Traffic::Http`]
    /// does not use it.
    pub size: usize,
    /// Connections; at least 1. With [`Traffic::Churn`], loops, each of which has one connection at a
    /// time.
    pub conns: usize,
    /// What happens on the connections.
    pub traffic: Traffic,
}

/// What happens on the connections of a [`Target`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// All connections are kept open, and all or some of them exchange message after message.
    ///
    /// The others exchange one message when they are opened, and then stay silent. It is an error if
    /// the lane closes one of them, or sends anything on it.
    Kept {
        /// How many connections exchange messages; from 1 to `conns`. They are spread evenly:
        /// connection `n` is active if `n * active % conns < active`.
        active: usize,
    },
    /// A new connection for each message. One operation connects, sends one message, reads it back
    /// and closes the connection: the generator ends its stream, and the lane must then end its own.
    ///
    /// `conns` loops run at once, each performing operation after operation. At most 512 connections
    /// wait for their answer at any time, half of the backlog of a lane. If there are more loops,
    /// they connect in the order in which they became ready, and no latency includes that wait.
    Churn,
    /// HTTP requests on connections that are kept open and all active. One operation is one request
    /// and its response.
    Http(Http),
    /// Requests of the user's own, over HTTP/1.1. The same otherwise.
    Own {
        /// The request, and the expected answer.
        exchange: Arc<Exchange>,
        /// Requests in one batch; at least 1.
        pipeline: usize,
    },
}

/// HTTP requests, and the expected response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http {
    /// The path of the `GET` request. It starts with `/`.
    pub path: &'static str,
    /// The exact `content-type` of the response.
    pub content_type: &'static str,
    /// The body of the response; not empty.
    pub body: &'static [u8],
    /// Requests in one batch; at least 1. Each connection sends a batch in one write, and the next
    /// one when all its requests are answered.
    pub pipeline: usize,
    /// Whether to speak HTTP/2, with prior knowledge and without TLS, instead of HTTP/1.1.
    pub h2: bool,
}

impl Target {
    /// The closed loop of `tcp-echo`: all connections are kept open and active.
    pub fn echo(addr: SocketAddr, size: usize, conns: usize) -> Self {
        let traffic = Traffic::Kept { active: conns };
        Self { addrs: Arc::new([addr]), size, conns, traffic }
    }

    /// The first address, for errors that concern no single connection.
    pub(crate) fn first_addr(&self) -> SocketAddr {
        self.addrs.first().copied().unwrap_or((Ipv4Addr::UNSPECIFIED, 0).into())
    }

    /// Where the connection goes whose turn it is; turns count from 0.
    pub(crate) fn addr_of_turn(&self, turn: usize) -> SocketAddr {
        self.addrs[turn % self.addrs.len()]
    }

    /// Where connection `conn` goes.
    pub(crate) fn addr_of(&self, conn: usize) -> SocketAddr {
        self.addr_of_turn(self.turn(conn))
    }

    /// When it is the turn of connection `conn`: of the active ones first, in their order, then of the silent
    /// ones. By their numbers, all active connections might go to the same address.
    fn turn(&self, conn: usize) -> usize {
        let Traffic::Kept { active } = self.traffic else { return conn };
        let rank = (conn as u64 * active as u64 / self.conns as u64) as usize;
        // A silent connection comes after the active one of its rank.
        if self.is_active(active, conn) { rank } else { active + conn - (rank + 1) }
    }

    /// Fails if the target is invalid.
    pub(crate) fn validate(&self) -> Result<(), LoadError> {
        let reason = match *self {
            Self { ref addrs, .. } if addrs.is_empty() => "it has no address; give at least one",
            Self { conns: 0, .. } => "the number of connections is 0; ask for at least one",
            Self { size: 0, .. } => "the size of a message is 0; ask for at least one byte",
            Self { traffic: Traffic::Kept { active: 0 }, .. } => {
                "the number of active connections is 0; ask for at least one"
            }
            Self { traffic: Traffic::Kept { active }, conns, .. } if active > conns => {
                "more connections are active than open; ask for fewer active ones"
            }
            Self {
                traffic: Traffic::Http(Http { pipeline: 0, .. }) | Traffic::Own { pipeline: 0, .. },
                ..
            } => "the number of pipelined requests is 0; ask for at least one",
            Self { traffic: Traffic::Http(Http { body: [], .. }), .. } => {
                "the expected body is empty; ask for a path with a body"
            }
            Self { traffic: Traffic::Http(Http { path, .. }), .. } if !is_path(path) => {
                "the path is invalid; start it with `/`, without spaces and control characters"
            }
            Self { traffic: Traffic::Http(Http { path, h2: true, .. }), .. }
                if path.len() > HTTP2_PATH_BYTES_MAX =>
            {
                "the path exceeds the limit for HTTP/2; use at most 8192 bytes"
            }
            Self { traffic: Traffic::Own { ref exchange, .. }, .. }
                if exchange.request.check().is_err() =>
            {
                "the request is invalid; check it before"
            }
            _ => return Ok(()),
        };
        Err(LoadError::Target { addr: self.first_addr(), reason })
    }

    /// The most messages that a connection sends at once.
    pub(crate) fn batch_max(&self) -> usize {
        match self.traffic {
            Traffic::Http(Http { pipeline, .. }) | Traffic::Own { pipeline, .. } => pipeline,
            Traffic::Kept { .. } | Traffic::Churn => 1,
        }
    }

    /// Whether connection `conn` is active, if `active` connections of the target are.
    pub(crate) fn is_active(&self, active: usize, conn: usize) -> bool {
        let [conn, active, conns] = [conn, active, self.conns].map(|count| count as u64);
        conn * active % conns < active
    }
}

/// With a path of this length, a request still fits into one frame.
const HTTP2_PATH_BYTES_MAX: usize = 8192;

fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

    #[test]
    fn is_active_spreads_active_connections_evenly() {
        for (conns, active) in [(1, 1), (7, 3), (1000, 1), (1000, 8), (10_000, 9999), (64, 64)] {
            let target = Target::echo(ANY, 1, conns);
            let chosen: Vec<_> = (0..conns).filter(|&n| target.is_active(active, n)).collect();
            assert_eq!((chosen.len(), chosen[0]), (active, 0));
            let gap_max = conns.div_ceil(active);
            assert!(chosen.windows(2).all(|pair| pair[1] - pair[0] <= gap_max));
        }
    }

    #[test]
    fn addr_of_deals_active_and_all_connections_evenly() {
        let cases = [(1, 1), (7, 3), (1024, 8), (1000, 1), (100, 64), (99, 98), (64, 64)];
        for (conns, active) in cases {
            for shards in 1..=5_u16 {
                let addrs = (0..shards).map(|port| (Ipv4Addr::LOCALHOST, port).into()).collect();
                let target = Target {
                    addrs,
                    ..Target { traffic: Traffic::Kept { active }, ..Target::echo(ANY, 1, conns) }
                };
                let is_even = |conns: &mut dyn Iterator<Item = usize>| {
                    let mut count = vec![0; shards.into()];
                    conns.for_each(|conn| count[usize::from(target.addr_of(conn).port())] += 1);
                    count.iter().max().unwrap() - count.iter().min().unwrap() <= 1
                };
                assert!(is_even(&mut (0..conns)), "{conns} {active} {shards}");
                let mut chosen = (0..conns).filter(|&conn| target.is_active(active, conn));
                assert!(is_even(&mut chosen), "{conns} {active} {shards}");
            }
        }
    }
}
