//! The errors of the load generator.

pub(crate) mod response;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use self::response::ResponseError;

/// Why the load generator could not do what it was asked.
///
/// Any error closes the session that it happens in and releases its descriptors. Other sessions and
/// the generator remain usable. Connections are numbered from 0 within their session, messages from 0
/// within their connection, and offsets are bytes from the start of the message. With
/// [`Traffic::Churn`](crate::Traffic::Churn), `conn` is the number of the loop, and messages are
/// numbered within the loop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The target is invalid.
    #[error("cannot load {addr}: {reason}")]
    Target {
        /// Address of the lane.
        addr: SocketAddr,
        /// What is wrong with the target, and the remedy.
        reason: &'static str,
    },
    /// No process listens on the address.
    #[error(
        "{addr} refused connection {opened}: no process listens there; check whether the lane has \
         exited"
    )]
    Refused {
        /// Address of the lane.
        addr: SocketAddr,
        /// How many connections this thread had opened before.
        opened: usize,
    },
    /// The process has no file descriptors left.
    #[error(
        "out of file descriptors with {opened} of {conns} connections to {addr} open: raise the \
         limit (ulimit -n, now {limit}) or ask for fewer connections"
    )]
    Descriptors {
        /// Address of the lane.
        addr: SocketAddr,
        /// How many connections this thread had open.
        opened: usize,
        /// How many connections the session was to have.
        conns: usize,
        /// The soft limit of open files of this process: `unlimited` or a number.
        limit: String,
    },
    /// The machine has no local ports left towards this address.
    ///
    /// Churn towards 127.0.0.0/8 does not run out of ports, as its source addresses change. Towards
    /// other addresses, each of its connections occupies a port for a minute.
    #[error(
        "out of local ports after {opened} connections to {addr}, {conns} at once: widen \
         net.ipv4.ip_local_port_range, wait for TIME_WAIT to end, or ask for fewer connections"
    )]
    Ports {
        /// Address of the lane.
        addr: SocketAddr,
        /// How many connections this thread had opened before.
        opened: usize,
        /// How many connections the session was to have.
        conns: usize,
    },
    /// Connecting failed for another reason.
    #[error("cannot open connection {opened} to {addr}: {source}")]
    Connect {
        /// Address of the lane.
        addr: SocketAddr,
        /// How many connections this thread had opened before.
        opened: usize,
        /// The system's error.
        source: io::Error,
    },
    /// The lane closed a connection (FIN) before the generator did.
    #[error(
        "{addr} closed connection {conn} at byte {received} of message {message}: see the lane's \
         standard error for the reason"
    )]
    Closed {
        /// Address of the lane.
        addr: SocketAddr,
        /// Which connection.
        conn: usize,
        /// The message that was in flight, or would have been next.
        message: u64,
        /// How many bytes of it had come back.
        received: usize,
    },
    /// The lane reset a connection (RST), as the kernel does when its process dies.
    #[error(
        "{addr} reset connection {conn} at byte {received} of message {message}: check whether the \
         lane has crashed"
    )]
    Reset {
        /// Address of the lane.
        addr: SocketAddr,
        /// Which connection.
        conn: usize,
        /// The message that was in flight, or would have been next.
        message: u64,
        /// How many bytes of it had come back.
        received: usize,
    },
    /// The lane sent back other bytes than it was sent.
    #[error(
        "{addr} sent a wrong answer: byte {offset} of message {message} on connection {conn} is \
         {found:#04x}, not {expected:#04x}; the lane mixes up or corrupts data"
    )]
    Wrong {
        /// Address of the lane.
        addr: SocketAddr,
        /// Which connection.
        conn: usize,
        /// Which message.
        message: u64,
        /// The first byte that differs.
        offset: usize,
        /// The byte sent.
        expected: u8,
        /// The byte that came back.
        found: u8,
    },
    /// The lane sent back more bytes than it was sent.
    #[error(
        "{addr} sent too much: at least {surplus} bytes more than it was sent, on connection {conn} \
         at message {message}; the lane sends data twice"
    )]
    TooMuch {
        /// Address of the lane.
        addr: SocketAddr,
        /// Which connection.
        conn: usize,
        /// The message that was in flight, or the last one.
        message: u64,
        /// How many surplus bytes were seen.
        surplus: usize,
    },
    /// The lane sent a wrong response to an HTTP request.
    #[error(
        "{addr} sent a wrong response to request {message} on connection {conn}: {source}; compare \
         with the output of `curl -v`"
    )]
    Answer {
        /// Address of the lane.
        addr: SocketAddr,
        /// Which connection.
        conn: usize,
        /// The request whose response was due, or the last one.
        message: u64,
        /// What is wrong with the response.
        source: Box<ResponseError>,
    },
    /// An HTTP/2 connection has no stream number left for another request.
    #[error(
        "connection {conn} to {addr} has used up its stream numbers after {message} requests: \
         connect again"
    )]
    Spent {
        /// Address of the lane.
        addr: SocketAddr,
        /// Which connection.
        conn: usize,
        /// How many requests were answered.
        message: u64,
    },
    /// For too long, no byte came and no connection that was due to end did.
    #[error(
        "{addr} stalled: no byte came for {after:?} with {outstanding} messages outstanding; the \
         lane hangs, dropped part of an answer, or does not close a connection that the generator \
         closed"
    )]
    Stalled {
        /// Address of the lane.
        addr: SocketAddr,
        /// The limit that passed ([`Config::stall`](crate::Config::stall)).
        after: Duration,
        /// How many messages this thread was waiting for.
        outstanding: usize,
    },
    /// Bytes came, but too slowly for the exchange to end within its limit.
    #[error(
        "{addr} is too slow: {outstanding} messages outstanding after {after:?}; ask for fewer \
         connections, smaller messages or a longer limit"
    )]
    Overdue {
        /// Address of the lane.
        addr: SocketAddr,
        /// The limit that passed ([`Config::drain`](crate::Config::drain) or
        /// [`Config::verify`](crate::Config::verify)).
        after: Duration,
        /// How many messages this thread was waiting for.
        outstanding: usize,
    },
    /// [`Config::cancel`](crate::Config::cancel) was set.
    #[error("cancelled")]
    Cancelled,
    /// An earlier error has closed this session.
    #[error("the session with {addr} was closed by an earlier error: connect again")]
    SessionClosed {
        /// Address of the lane.
        addr: SocketAddr,
    },
    /// A thread of the generator panicked, which is a bug in the generator or in the probe.
    #[error("the generator thread on CPU {cpu} has died: its panic is on standard error")]
    Thread {
        /// The CPU that it was pinned to.
        cpu: usize,
    },
    /// A system call failed unexpectedly.
    #[error("cannot {action} for {addr}: {source}")]
    System {
        /// Address of the lane.
        addr: SocketAddr,
        /// What was attempted.
        action: &'static str,
        /// The system's error.
        source: io::Error,
    },
}

impl LoadError {
    /// Whether the lane answered with wrong data. Other errors mean that the lane did not answer, or
    /// that the generator could not go on.
    pub fn is_wrong_answer(&self) -> bool {
        matches!(self, Self::Wrong { .. } | Self::TooMuch { .. } | Self::Answer { .. })
    }
}
