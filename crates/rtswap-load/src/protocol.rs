//! Protocols: what is sent on a connection, and how the answers are checked.
//!
//! They do not open connections and do not wait for events. Both are the task of the drivers.

pub(crate) mod echo;
pub(crate) mod http;

use std::net::{SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::time::Instant;

use crate::LoadError;

/// The client's end of one connection, in one protocol.
///
/// Messages are sent in batches of one or several. A batch starts once all answers to the one before
/// have come.
pub(crate) trait Connection: Sized {
    /// What the connections of one thread have in common: prepared messages, expected answers.
    type Shared;

    /// Takes over a non-blocking stream to the lane at `addr`. `conn` is the connection's number
    /// within the session.
    fn new(stream: TcpStream, addr: SocketAddr, conn: usize, shared: &Self::Shared) -> Self;

    fn stream(&self) -> &TcpStream;

    /// Counts completed messages from 0 again.
    fn start_exchange(&mut self);

    /// Starts a batch of at most `messages_max` messages (never 0), and sends as much of it as the
    /// socket buffer takes. Returns whether that was all.
    fn start_batch(
        &mut self,
        shared: &Self::Shared,
        now: Instant,
        messages_max: u64,
    ) -> Result<bool, LoadError>;

    /// Whether bytes wait for room in the socket buffer.
    fn has_unsent(&self, shared: &Self::Shared) -> bool;

    /// Sends as much of the waiting bytes as the socket buffer takes. Returns whether that was all.
    fn send(&mut self, shared: &Self::Shared) -> Result<bool, LoadError>;

    /// Reads available bytes and checks them. `until_end` is set once the kernel has reported the
    /// end of the stream or an error: reading then goes on until either is met.
    fn receive(
        &mut self,
        shared: &mut Self::Shared,
        buffer: &mut [u8],
        until_end: bool,
    ) -> Result<Received, LoadError>;

    /// When the present batch was started.
    fn started_at(&self) -> Instant;
}

/// What one call of [`Connection::receive`] brought.
pub(crate) struct Received {
    pub(crate) outcome: ReadOutcome,
    /// The numbers of the messages that it completed, counted from 1 since
    /// [`Connection::start_exchange`].
    pub(crate) completed: RangeInclusive<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    /// No byte came.
    Nothing,
    /// Bytes came, and more are due.
    Partial,
    /// Bytes came, and no answer is due any more.
    BatchComplete,
}

impl ReadOutcome {
    /// The outcome of a read that left `due` answers to come. `moved` is whether any byte came.
    #[inline]
    fn of_batch(moved: bool, due: u64) -> Self {
        match (moved, due) {
            (false, _) => Self::Nothing,
            (true, 0) => Self::BatchComplete,
            (true, _) => Self::Partial,
        }
    }
}
