//! Echo: one message at a time, compared with what comes back.

pub(crate) mod pattern;

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use self::pattern::Pattern;
use super::{Connection, ReadOutcome, Received};
use crate::LoadError;
use crate::io::socket::{Progress, Socket};

pub(crate) struct EchoConnection {
    socket: Socket,
    /// Messages completed since the connection was opened.
    message: u64,
    /// Messages completed in the present exchange.
    completed: u64,
    /// Where the present message starts in the pattern.
    offset: usize,
    in_flight: bool,
    sent: usize,
    received: usize,
    started_at: Instant,
}

impl EchoConnection {
    /// Takes over a non-blocking stream. Its first message has the number `message` and starts at
    /// `offset` in the pattern.
    pub(crate) fn starting_at(
        stream: TcpStream,
        addr: SocketAddr,
        conn: usize,
        message: u64,
        offset: usize,
    ) -> Self {
        Self {
            socket: Socket::new(stream, addr, conn),
            message,
            completed: 0,
            offset,
            in_flight: false,
            sent: 0,
            received: 0,
            started_at: Instant::now(),
        }
    }

    fn progress(&self) -> Progress {
        Progress { message: self.message, received: self.received }
    }

    /// Whether the socket has taken any byte of the message in flight.
    pub(crate) fn has_sent(&self) -> bool {
        self.sent > 0
    }

    /// Ends the stream towards the lane, after the answer has come. The lane may then do nothing but
    /// end its own stream: see [`EchoConnection::receive_end`].
    pub(crate) fn shut_down(&self) -> Result<(), LoadError> {
        self.socket.shut_down(self.progress())
    }

    /// Whether the lane has ended its stream. Fails if the lane sent anything before the end.
    pub(crate) fn receive_end(&mut self, buffer: &mut [u8]) -> Result<bool, LoadError> {
        match self.socket.receive(buffer, self.progress())? {
            None => Ok(false),
            Some(0) => Ok(true),
            // The answer was complete, so the present message is already the next one.
            Some(surplus) => Err(self.surplus(self.message - 1, surplus)),
        }
    }

    fn complete(&mut self, pattern: &Pattern) {
        self.in_flight = false;
        self.sent = 0;
        self.received = 0;
        self.message += 1;
        self.completed += 1;
        self.offset = pattern.next(self.offset);
    }

    /// Compares the next part of the answer with the same part of the message.
    fn check(&mut self, pattern: &Pattern, part: &[u8]) -> Result<(), LoadError> {
        // Bytes that are not sent yet cannot come back, even if the values are right.
        let rest = &pattern.message(self.offset)[self.received..self.sent];
        let due = part.len().min(rest.len());
        if part[..due] != rest[..due] {
            return Err(self.wrong(&rest[..due], &part[..due]));
        }
        if part.len() > due {
            return Err(self.surplus(self.message, part.len() - due));
        }
        self.received += due;
        Ok(())
    }

    #[cold]
    fn wrong(&self, expected: &[u8], found: &[u8]) -> LoadError {
        let at = (expected.iter().zip(found))
            .position(|(expected, found)| expected != found)
            .expect("the caller found a difference");
        LoadError::Wrong {
            addr: self.socket.addr,
            conn: self.socket.conn,
            message: self.message,
            offset: self.received + at,
            expected: expected[at],
            found: found[at],
        }
    }

    #[cold]
    fn surplus(&self, message: u64, surplus: usize) -> LoadError {
        LoadError::TooMuch { addr: self.socket.addr, conn: self.socket.conn, message, surplus }
    }
}

impl Connection for EchoConnection {
    type Shared = Arc<Pattern>;

    fn new(stream: TcpStream, addr: SocketAddr, conn: usize, pattern: &Arc<Pattern>) -> Self {
        Self::starting_at(stream, addr, conn, 0, pattern.first(conn))
    }

    fn stream(&self) -> &TcpStream {
        self.socket.stream()
    }

    fn start_exchange(&mut self) {
        self.completed = 0;
    }

    fn start_batch(
        &mut self,
        pattern: &Arc<Pattern>,
        now: Instant,
        _messages_max: u64,
    ) -> Result<bool, LoadError> {
        debug_assert!(!self.in_flight, "one message at a time");
        self.in_flight = true;
        self.started_at = now;
        self.send(pattern)
    }

    fn has_unsent(&self, pattern: &Arc<Pattern>) -> bool {
        self.in_flight && self.sent < pattern.size()
    }

    fn send(&mut self, pattern: &Arc<Pattern>) -> Result<bool, LoadError> {
        let progress = self.progress();
        let rest = &pattern.message(self.offset)[self.sent..];
        let count = self.socket.send(rest, progress)?;
        self.sent += count;
        Ok(count == rest.len())
    }

    /// `buffer` should be longer than a message. A read then returns less than the buffer holds,
    /// which shows without another system call that the socket is empty, and a surplus is found at
    /// once.
    #[inline]
    fn receive(
        &mut self,
        pattern: &mut Arc<Pattern>,
        buffer: &mut [u8],
        until_end: bool,
    ) -> Result<Received, LoadError> {
        let first = self.completed + 1;
        let mut outcome = ReadOutcome::Nothing;
        while let Some(count) = self.socket.receive(buffer, self.progress())? {
            if count == 0 {
                return Err(self.socket.closed(self.progress()));
            }
            self.check(pattern, &buffer[..count])?;
            outcome = ReadOutcome::Partial;
            if self.received == pattern.size() {
                self.complete(pattern);
                outcome = ReadOutcome::BatchComplete;
            }
            if count < buffer.len() && !until_end {
                break;
            }
        }
        Ok(Received { outcome, completed: first..=self.completed })
    }

    fn started_at(&self) -> Instant {
        self.started_at
    }
}
