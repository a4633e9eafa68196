//! What to load a lane with.

use std::net::SocketAddr;

use crate::LoadError;

/// Which lane to load, and with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where the lane listens.
    pub addr: SocketAddr,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        Self { addr, size, conns, traffic: Traffic::Kept { active: conns } }
    }

    /// Fails if the target is invalid.
    pub(crate) fn validate(&self) -> Result<(), LoadError> {
        let reason = match *self {
            Self { conns: 0, .. } => "the number of connections is 0; ask for at least one",
            Self { size: 0, .. } => "the size of a message is 0; ask for at least one byte",
            Self { traffic: Traffic::Kept { active: 0 }, .. } => {
                "the number of active connections is 0; ask for at least one"
            }
            Self { traffic: Traffic::Kept { active }, conns, .. } if active > conns => {
                "more connections are active than open; ask for fewer active ones"
            }
            Self { traffic: Traffic::Http(Http { pipeline: 0, .. }), .. } => {
                "the number of pipelined requests is 0; ask for at least one"
            }
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
            _ => return Ok(()),
        };
        Err(LoadError::Target { addr: self.addr, reason })
    }

    /// The most messages that a connection sends at once.
    pub(crate) fn batch_max(&self) -> usize {
        match self.traffic {
            Traffic::Http(Http { pipeline, .. }) => pipeline,
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

    #[test]
    fn is_active_spreads_active_connections_evenly() {
        for (conns, active) in [(1, 1), (7, 3), (1000, 1), (1000, 8), (10_000, 9999), (64, 64)] {
            let target = Target::echo("127.0.0.1:1".parse().unwrap(), 1, conns);
            let chosen: Vec<_> = (0..conns).filter(|&n| target.is_active(active, n)).collect();
            assert_eq!((chosen.len(), chosen[0]), (active, 0));
            let gap_max = conns.div_ceil(active);
            assert!(chosen.windows(2).all(|pair| pair[1] - pair[0] <= gap_max));
        }
    }
}
