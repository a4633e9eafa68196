use std::net::SocketAddr;

use crate::LoadError;

/// What to load, and with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where the lane listens.
    pub addr: SocketAddr,
    /// Bytes of a message; at least 1. Messages of 8 bytes and more are all told apart. Of no meaning
    /// to [`Traffic::Http`].
    pub size: usize,
    /// Connections; at least 1. Those of [`Traffic::Churn`] are loops, each of which has one
    /// connection at a time.
    pub conns: usize,
    /// What happens on them.
    pub traffic: Traffic,
}

/// What happens on the connections of a [`Target`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Every connection is kept; some, or all, exchange message after message.
    ///
    /// The others are opened and checked with one message like any, and then stay silent. It is an
    /// error if the lane closes one of them, or sends something on it.
    Kept {
        /// How many exchange messages; from 1 to `conns`. They are spread evenly over the
        /// connections: number `n` is active if `n * active % conns < active`.
        active: usize,
    },
    /// A new connection for each message. One operation is to connect, to send one message and read
    /// it back, and to close in an orderly way: the generator ends its stream, and has to see the
    /// end of the lane's.
    ///
    /// `conns` loops run at once, each doing operation after operation. No more than 512
    /// connections are without their answer at any time, half of what may wait to be accepted by a
    /// lane; where there are more loops than that, they take turns in connecting, first come first
    /// served, and the time they wait for their turn is not part of any latency.
    Churn,
    /// Requests on connections that are kept, all of them active. One operation is one request and
    /// its answer.
    Http(Http),
}

/// Requests, and what is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http {
    /// What is asked for with `GET`: a path, with its `/`.
    pub path: &'static str,
    /// The answer's `content-type`, to the letter.
    pub content_type: &'static str,
    /// The answer's body; not empty.
    pub body: &'static [u8],
    /// Requests that are sent at once on each connection, in one write; at least 1. When all of them are
    /// answered, the next as many follow.
    pub pipeline: usize,
    /// Whether they are requests of HTTP/2, with prior knowledge and without TLS, and not of HTTP/1.1.
    pub h2: bool,
}

impl Target {
    /// The closed loop of `tcp-echo`: kept connections, all of them active.
    pub fn echo(addr: SocketAddr, size: usize, conns: usize) -> Self {
        Self { addr, size, conns, traffic: Traffic::Kept { active: conns } }
    }

    /// Fails if it makes no sense.
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        let reason = match *self {
            Self { conns: 0, .. } => "the number of connections is 0; ask for at least one",
            Self { size: 0, .. } => "the size of a message is 0; ask for at least one byte",
            Self { traffic: Traffic::Kept { active: 0 }, .. } => {
                "the number of active connections is 0; ask for at least one"
            }
            Self { traffic: Traffic::Kept { active }, conns, .. } if active > conns => {
                "more connections are to be active than there are; ask for fewer"
            }
            Self { traffic: Traffic::Http(Http { pipeline: 0, .. }), .. } => {
                "the number of requests at once is 0; ask for at least one"
            }
            Self { traffic: Traffic::Http(Http { body: [], .. }), .. } => {
                "an empty body is expected; ask for something that has one"
            }
            Self { traffic: Traffic::Http(Http { path, .. }), .. } if !is_path(path) => {
                "a path begins with `/` and has neither spaces nor control characters"
            }
            Self { traffic: Traffic::Http(Http { path, h2: true, .. }), .. }
                if path.len() > PATH_MOST =>
            {
                "a path of HTTP/2 has at most 8192 bytes here"
            }
            _ => return Ok(()),
        };
        Err(LoadError::Target { addr: self.addr, reason })
    }

    /// Whether the connection of this number, of which `active` are, is active.
    pub(crate) fn is_active(&self, active: usize, number: usize) -> bool {
        let [number, active, conns] = [number, active, self.conns].map(|count| count as u64);
        number * active % conns < active
    }
}

/// With it, a request is still one frame.
const PATH_MOST: usize = 8192;

fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_active_as_asked_and_number_0_is_and_none_is_far_from_the_next() {
        for (conns, active) in [(1, 1), (7, 3), (1000, 1), (1000, 8), (10_000, 9999), (64, 64)] {
            let target = Target::echo("127.0.0.1:1".parse().unwrap(), 1, conns);
            let chosen: Vec<_> = (0..conns).filter(|&n| target.is_active(active, n)).collect();
            assert_eq!((chosen.len(), chosen[0]), (active, 0));
            let furthest = conns.div_ceil(active);
            assert!(chosen.windows(2).all(|pair| pair[1] - pair[0] <= furthest));
        }
    }
}
