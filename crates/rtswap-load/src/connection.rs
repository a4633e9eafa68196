//! One connection and the message on it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Instant;

use crate::{LoadError, pattern::Pattern};

pub(crate) struct Connection {
    stream: TcpStream,
    addr: SocketAddr,
    /// Its number within the session.
    number: usize,
    /// Messages completed since the connection was opened.
    message: u64,
    /// Messages completed in the present exchange.
    pub(crate) completed: u64,
    /// Where the present message starts in the pattern.
    offset: usize,
    /// Whether a message is in flight.
    in_flight: bool,
    sent: usize,
    received: usize,
    /// When the message in flight was begun.
    pub(crate) begun: Instant,
    /// Whether the epoll was told to report writability.
    pub(crate) watches_write: bool,
}

/// What a read brought.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pulled {
    Nothing,
    Part,
    /// The whole answer is here, and right.
    Whole,
}

impl Connection {
    /// Takes over a non-blocking stream, whose first message is to be the one of the given index
    /// and place in the pattern.
    pub(crate) fn new(
        stream: TcpStream,
        addr: SocketAddr,
        number: usize,
        message: u64,
        offset: usize,
    ) -> Self {
        Self {
            stream,
            addr,
            number,
            message,
            completed: 0,
            offset,
            in_flight: false,
            sent: 0,
            received: 0,
            begun: Instant::now(),
            watches_write: false,
        }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Begins the next message and sends what the socket takes of it. Returns whether that was
    /// all of it.
    pub(crate) fn begin(&mut self, pattern: &Pattern, now: Instant) -> Result<bool, LoadError> {
        debug_assert!(!self.in_flight, "one message at a time");
        self.in_flight = true;
        self.begun = now;
        self.push(pattern)
    }

    /// Whether part of the message is still to be sent.
    pub(crate) fn wants_push(&self, pattern: &Pattern) -> bool {
        self.in_flight && self.sent < pattern.size()
    }

    /// Sends what the socket takes. Returns whether all of the message is sent.
    ///
    /// A short write means that the socket is full, so there is no second attempt that would only
    /// return `EAGAIN`: the kernel marks the socket as out of space on either, and reports an edge
    /// when space is free (epoll(7), question 9).
    pub(crate) fn push(&mut self, pattern: &Pattern) -> Result<bool, LoadError> {
        let rest = &pattern.message(self.offset)[self.sent..];
        loop {
            match self.stream.write(rest) {
                Ok(count) => {
                    self.sent += count;
                    return Ok(count == rest.len());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broken(error, "send")),
            }
        }
    }

    /// Reads what has come and compares it with what was sent.
    ///
    /// `buffer` should be longer than a message: then a read returns less than it could, which
    /// says without a further system call that there is no more, and a surplus is found on the
    /// spot. With `to_the_end`, as the kernel has reported an end or an error, reading goes on
    /// until that is met: there will be no other report of it.
    pub(crate) fn pull(
        &mut self,
        pattern: &Pattern,
        buffer: &mut [u8],
        to_the_end: bool,
    ) -> Result<Pulled, LoadError> {
        let mut pulled = Pulled::Nothing;
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(self.closed()),
                Ok(count) => {
                    self.check(pattern, &buffer[..count])?;
                    pulled = Pulled::Part;
                    if self.received == pattern.size() {
                        self.complete(pattern);
                        pulled = Pulled::Whole;
                    }
                    if count < buffer.len() && !to_the_end {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broken(error, "receive")),
            }
        }
        Ok(pulled)
    }

    /// Whether the system has taken any of the message in flight.
    pub(crate) fn has_sent(&self) -> bool {
        self.sent > 0
    }

    /// Ends the stream towards the lane, after the answer has come. From then on the lane may do
    /// one thing only, which is to end its own: see [`Connection::ended`].
    pub(crate) fn end(&self) -> Result<(), LoadError> {
        match self.stream.shutdown(Shutdown::Write) {
            Ok(()) => Ok(()),
            // What shutting down says of a connection that has been reset.
            Err(error) if error.kind() == ErrorKind::NotConnected => Err(self.reset()),
            Err(error) => Err(self.broken(error, "shut down")),
        }
    }

    /// Whether the lane has ended its stream. Fails if it sent anything before that.
    pub(crate) fn ended(&mut self, buffer: &mut [u8]) -> Result<bool, LoadError> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Ok(true),
                Ok(surplus) => {
                    return Err(LoadError::TooMuch {
                        addr: self.addr,
                        conn: self.number,
                        // The answer to it was complete, so the present one is the next.
                        message: self.message - 1,
                        surplus,
                    });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broken(error, "receive")),
            }
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

    /// Compares a further part of the answer with its place in the message.
    fn check(&mut self, pattern: &Pattern, part: &[u8]) -> Result<(), LoadError> {
        // What was not sent yet cannot be an answer, however right it looks.
        let rest = &pattern.message(self.offset)[self.received..self.sent];
        let due = part.len().min(rest.len());
        if part[..due] != rest[..due] {
            return Err(self.wrong(&rest[..due], &part[..due]));
        }
        if part.len() > due {
            return Err(LoadError::TooMuch {
                addr: self.addr,
                conn: self.number,
                message: self.message,
                surplus: part.len() - due,
            });
        }
        self.received += due;
        Ok(())
    }

    #[cold]
    fn wrong(&self, expected: &[u8], found: &[u8]) -> LoadError {
        let at = (expected.iter().zip(found))
            .position(|(expected, found)| expected != found)
            .expect("the caller saw a difference");
        LoadError::Wrong {
            addr: self.addr,
            conn: self.number,
            message: self.message,
            offset: self.received + at,
            expected: expected[at],
            found: found[at],
        }
    }

    #[cold]
    fn closed(&self) -> LoadError {
        LoadError::Closed {
            addr: self.addr,
            conn: self.number,
            message: self.message,
            received: self.received,
        }
    }

    #[cold]
    fn reset(&self) -> LoadError {
        LoadError::Reset {
            addr: self.addr,
            conn: self.number,
            message: self.message,
            received: self.received,
        }
    }

    #[cold]
    fn broken(&self, source: io::Error, action: &'static str) -> LoadError {
        match source.kind() {
            // The answer to writing after the other end was closed.
            ErrorKind::BrokenPipe => self.closed(),
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => self.reset(),
            _ => LoadError::System { addr: self.addr, action, source },
        }
    }
}
