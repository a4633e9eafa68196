use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Why the load generator could not do what it was asked.
///
/// Whatever the error, the session it happened in is closed and its descriptors are released;
/// other sessions and the generator itself remain usable. Connections are numbered from 0 within
/// their session, messages from 0 within their connection, and offsets are bytes from the start of
/// the message. With [`Traffic::Churn`](crate::Traffic::Churn), the number of a connection is that
/// of its loop, and messages are those of the loop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The target makes no sense.
    #[error("cannot load {addr}: {reason}")]
    Target {
        /// Address of the lane.
        addr: SocketAddr,
        /// What is wrong with the target.
        reason: &'static str,
    },
    /// Nobody listens.
    #[error(
        "{addr} refused connection {opened}: nobody listens there; see whether the lane has died"
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
        /// The soft limit of open files of this process; `unlimited` or a number.
        limit: String,
    },
    /// The machine has no local ports left towards this address. Churn towards 127.0.0.0/8 does
    /// not get there, as it comes from ever other addresses; elsewhere each of its connections
    /// takes a port for a minute.
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
    /// Connecting failed in another way.
    #[error("cannot open connection {opened} to {addr}: {source}")]
    Connect {
        /// Address of the lane.
        addr: SocketAddr,
        /// How many connections this thread had opened before.
        opened: usize,
        /// What the system said.
        source: io::Error,
    },
    /// The lane ended a connection in an orderly way (FIN), unasked.
    #[error(
        "{addr} closed connection {conn} at byte {received} of message {message}: see the lane's \
         standard error for why it stopped"
    )]
    Closed {
        /// Address of the lane.
        addr: SocketAddr,
        /// Which connection.
        conn: usize,
        /// Which message was under way, or would have been next.
        message: u64,
        /// How many bytes of it had come back.
        received: usize,
    },
    /// The lane broke a connection (RST), as happens when its process dies.
    #[error(
        "{addr} reset connection {conn} at byte {received} of message {message}: see whether the \
         lane has crashed"
    )]
    Reset {
        /// Address of the lane.
        addr: SocketAddr,
        /// Which connection.
        conn: usize,
        /// Which message was under way, or would have been next.
        message: u64,
        /// How many bytes of it had come back.
        received: usize,
    },
    /// The lane sent back something else than it was sent.
    #[error(
        "{addr} answered wrongly: byte {offset} of message {message} on connection {conn} is \
         {found:#04x}, not {expected:#04x}; the lane mixes up or damages data"
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
        /// What was sent.
        expected: u8,
        /// What came back.
        found: u8,
    },
    /// The lane sent back more than it had been sent.
    #[error(
        "{addr} answered too much: at least {surplus} bytes more than were sent, on connection \
         {conn} at message {message}; the lane sends data twice"
    )]
    TooMuch {
        /// Address of the lane.
        addr: SocketAddr,
        /// Which connection.
        conn: usize,
        /// Which message was under way or was the last.
        message: u64,
        /// How many bytes too many were seen.
        surplus: usize,
    },
    /// The lane answered a request with something else than was asked for.
    #[error(
        "{addr} answered request {message} on connection {conn} wrongly: {found}; see what \
         `curl -v` says of it"
    )]
    Answer {
        /// Address of the lane.
        addr: SocketAddr,
        /// Which connection.
        conn: usize,
        /// Which request was to be answered, or was the last.
        message: u64,
        /// What came, and what was expected.
        found: String,
    },
    /// A connection of HTTP/2 has no number left for another stream.
    #[error(
        "connection {conn} to {addr} has used up its streams with {message} requests: connect again"
    )]
    Spent {
        /// Address of the lane.
        addr: SocketAddr,
        /// Which connection.
        conn: usize,
        /// How many requests were answered.
        message: u64,
    },
    /// Not a byte moved for too long, nor did a connection that was due to end.
    #[error(
        "{addr} stalled: no byte came for {after:?} with {outstanding} messages outstanding; the \
         lane hangs, dropped part of an answer, or does not close what was closed"
    )]
    Stalled {
        /// Address of the lane.
        addr: SocketAddr,
        /// The limit that passed ([`Config::stall`](crate::Config::stall)).
        after: Duration,
        /// How many messages this thread was waiting for.
        outstanding: usize,
    },
    /// Bytes moved, but too slowly for the exchange to end within its limit.
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
    /// A thread of the generator has panicked, which is a bug in it or in the probe.
    #[error("the generator thread on CPU {cpu} has died: its panic is on standard error")]
    Thread {
        /// The CPU it was pinned to.
        cpu: usize,
    },
    /// A system call failed that should not.
    #[error("cannot {action} for {addr}: {source}")]
    System {
        /// Address of the lane.
        addr: SocketAddr,
        /// What was attempted.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl LoadError {
    /// Whether the lane answered, but not with what it had been sent: the lane did not do the work,
    /// as opposed to not being able to go on.
    pub fn is_wrong_answer(&self) -> bool {
        matches!(self, Self::Wrong { .. } | Self::TooMuch { .. } | Self::Answer { .. })
    }
}
