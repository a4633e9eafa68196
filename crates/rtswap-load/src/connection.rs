//! One connection and the message on it.

use std::net::{SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Instant;

use crate::kept::Talk;
use crate::wire::{Progress, Wire};
use crate::{LoadError, pattern::Pattern};

pub(crate) struct Connection {
    wire: Wire,
    /// Messages completed since the connection was opened.
    message: u64,
    /// Messages completed in the present exchange.
    completed: u64,
    /// Where the present message starts in the pattern.
    offset: usize,
    /// Whether a message is in flight.
    in_flight: bool,
    sent: usize,
    received: usize,
    /// When the message in flight was begun.
    pub(crate) begun: Instant,
}

/// What a read brought.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pulled {
    Nothing,
    Part,
    /// All that was due is here, and right.
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
            wire: Wire::new(stream, addr, number),
            message,
            completed: 0,
            offset,
            in_flight: false,
            sent: 0,
            received: 0,
            begun: Instant::now(),
        }
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        self.wire.stream()
    }

    fn progress(&self) -> Progress {
        Progress { message: self.message, received: self.received }
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
    pub(crate) fn push(&mut self, pattern: &Pattern) -> Result<bool, LoadError> {
        let progress = self.progress();
        let rest = &pattern.message(self.offset)[self.sent..];
        let count = self.wire.send(rest, progress)?;
        self.sent += count;
        Ok(count == rest.len())
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
        while let Some(count) = self.wire.receive(buffer, self.progress())? {
            if count == 0 {
                return Err(self.wire.closed(self.progress()));
            }
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
        Ok(pulled)
    }

    /// Whether the system has taken any of the message in flight.
    pub(crate) fn has_sent(&self) -> bool {
        self.sent > 0
    }

    /// Ends the stream towards the lane, after the answer has come. From then on the lane may do
    /// one thing only, which is to end its own: see [`Connection::ended`].
    pub(crate) fn end(&self) -> Result<(), LoadError> {
        self.wire.end(self.progress())
    }

    /// Whether the lane has ended its stream. Fails if it sent anything before that.
    pub(crate) fn ended(&mut self, buffer: &mut [u8]) -> Result<bool, LoadError> {
        match self.wire.receive(buffer, self.progress())? {
            None => Ok(false),
            Some(0) => Ok(true),
            Some(surplus) => Err(LoadError::TooMuch {
                addr: self.wire.addr,
                conn: self.wire.number,
                // The answer to it was complete, so the present one is the next.
                message: self.message - 1,
                surplus,
            }),
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
                addr: self.wire.addr,
                conn: self.wire.number,
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
            addr: self.wire.addr,
            conn: self.wire.number,
            message: self.message,
            offset: self.received + at,
            expected: expected[at],
            found: found[at],
        }
    }
}

impl Talk for Connection {
    type Script = Arc<Pattern>;

    fn over(stream: TcpStream, addr: SocketAddr, number: usize, pattern: &Self::Script) -> Self {
        Self::new(stream, addr, number, 0, pattern.first(number))
    }

    fn stream(&self) -> &TcpStream {
        self.wire.stream()
    }

    fn restart(&mut self) {
        self.completed = 0;
    }

    fn begin(&mut self, pattern: &Self::Script, now: Instant, _: u64) -> Result<bool, LoadError> {
        Self::begin(self, pattern, now)
    }

    fn wants_push(&self, pattern: &Self::Script) -> bool {
        Self::wants_push(self, pattern)
    }

    fn push(&mut self, pattern: &Self::Script) -> Result<bool, LoadError> {
        Self::push(self, pattern)
    }

    #[inline]
    fn pull(
        &mut self,
        pattern: &mut Self::Script,
        buffer: &mut [u8],
        to_the_end: bool,
    ) -> Result<(Pulled, RangeInclusive<u64>), LoadError> {
        let pulled = Self::pull(self, pattern, buffer, to_the_end)?;
        let first = if pulled == Pulled::Whole { self.completed } else { self.completed + 1 };
        Ok((pulled, first..=self.completed))
    }

    fn begun(&self) -> Instant {
        self.begun
    }
}
