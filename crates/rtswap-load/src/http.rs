//! Requests on one connection.

mod head;

pub(crate) use self::head::{Seen, quote};

use std::net::{SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::time::Instant;

use crate::connection::Pulled;
use crate::kept::Talk;
use crate::wire::{Progress, Wire};
use crate::{Http, LoadError};

/// What a share's connections ask, and what they are to be answered.
pub(crate) struct Requests {
    /// As many requests as are sent at once.
    bytes: Box<[u8]>,
    /// Bytes of one of them.
    one: usize,
    expected: Http,
    /// The head of the latest answer that was found right.
    ///
    /// The heads of a lane's answers are equal but for the date, which changes once a second. One that
    /// equals another, byte for byte, is as right as that was, and is not parsed again.
    known: Vec<u8>,
}

impl Requests {
    pub(crate) fn new(addr: SocketAddr, expected: Http) -> Self {
        let request = format!("GET {} HTTP/1.1\r\nHost: {addr}\r\n\r\n", expected.path);
        Self {
            bytes: request.repeat(expected.pipeline).into_bytes().into(),
            one: request.len(),
            expected,
            known: Vec::new(),
        }
    }
}

/// Longest head that is taken in.
const HEAD_MOST: usize = 16 << 10;

pub(crate) struct Connection {
    wire: Wire,
    /// Requests answered since the connection was opened.
    message: u64,
    /// Requests answered in the present exchange.
    completed: u64,
    /// Answers that are due.
    due: u64,
    /// Bytes of the requests in flight, and how many of them are sent.
    to_send: usize,
    sent: usize,
    begun: Instant,
    /// A head of which a part has come. Its memory is kept.
    part: Vec<u8>,
    answer: Answer,
}

/// Where in an answer a connection is.
#[derive(Clone, Copy)]
enum Answer {
    Head,
    /// So many bytes of the body have come.
    Body(usize),
}

impl Connection {
    fn progress(&self) -> Progress {
        let received = match self.answer {
            Answer::Head => self.part.len(),
            Answer::Body(received) => received,
        };
        Progress { message: self.message, received }
    }

    /// Goes through what has come.
    fn check(&mut self, requests: &mut Requests, mut bytes: &[u8]) -> Result<(), LoadError> {
        while !bytes.is_empty() {
            if self.due == 0 || self.is_unasked(requests) {
                return Err(self.surplus(bytes));
            }
            let received = match self.answer {
                Answer::Head => {
                    let Some(rest) = self.head(requests, bytes)? else { return Ok(()) };
                    bytes = rest;
                    0
                }
                Answer::Body(received) => received,
            };
            let rest = &requests.expected.body[received..];
            let some = rest.len().min(bytes.len());
            if bytes[..some] != rest[..some] {
                return Err(self.wrong_body(received, &rest[..some], &bytes[..some]));
            }
            bytes = &bytes[some..];
            if some < rest.len() {
                self.answer = Answer::Body(received + some);
                return Ok(());
            }
            self.answer = Answer::Head;
            self.message += 1;
            self.completed += 1;
            self.due -= 1;
        }
        Ok(())
    }

    /// Whether the request whose answer is due has not been begun to be sent.
    fn is_unasked(&self, requests: &Requests) -> bool {
        self.sent < self.to_send && self.sent <= self.to_send - self.due as usize * requests.one
    }

    /// Takes in a head. Returns what follows it, or `None` if it is not whole yet.
    #[inline]
    fn head<'b>(
        &mut self,
        requests: &mut Requests,
        bytes: &'b [u8],
    ) -> Result<Option<&'b [u8]>, LoadError> {
        if self.part.is_empty()
            && !requests.known.is_empty()
            && let Some(rest) = bytes.strip_prefix(requests.known.as_slice())
        {
            return Ok(Some(rest));
        }
        self.parse(requests, bytes)
    }

    #[cold]
    fn parse<'b>(
        &mut self,
        requests: &mut Requests,
        bytes: &'b [u8],
    ) -> Result<Option<&'b [u8]>, LoadError> {
        let before = self.part.len();
        let more = &bytes[..bytes.len().min(HEAD_MOST - before)];
        self.part.extend_from_slice(more);
        match head::check(&self.part, &requests.expected) {
            Err(found) => Err(self.wrong(found)),
            Ok(None) if self.part.len() == HEAD_MOST => {
                Err(self.wrong(format!("its head has more than {HEAD_MOST} bytes")))
            }
            Ok(None) => Ok(None),
            Ok(Some(length)) => {
                requests.known.clear();
                requests.known.extend_from_slice(&self.part[..length]);
                self.part.clear();
                Ok(Some(&bytes[length - before..]))
            }
        }
    }

    #[cold]
    fn wrong(&self, found: String) -> LoadError {
        let (addr, conn) = (self.wire.addr, self.wire.number);
        LoadError::Answer { addr, conn, message: self.message, found }
    }

    #[cold]
    fn wrong_body(&self, received: usize, expected: &[u8], found: &[u8]) -> LoadError {
        let mut pairs = expected.iter().zip(found);
        let at = pairs.position(|(expected, found)| expected != found).unwrap_or_default();
        self.wrong(format!(
            "byte {} of its body is {:#04x} and not {:#04x}",
            received + at,
            found[at],
            expected[at]
        ))
    }

    #[cold]
    fn surplus(&self, bytes: &[u8]) -> LoadError {
        let (addr, conn) = (self.wire.addr, self.wire.number);
        let found = format!(
            "after it came {} bytes that nobody had asked for: {}",
            bytes.len(),
            quote(bytes)
        );
        LoadError::Answer { addr, conn, message: self.message.saturating_sub(1), found }
    }
}

impl Talk for Connection {
    type Script = Requests;

    fn over(stream: TcpStream, addr: SocketAddr, number: usize, _: &Requests) -> Self {
        Self {
            wire: Wire::new(stream, addr, number),
            message: 0,
            completed: 0,
            due: 0,
            to_send: 0,
            sent: 0,
            begun: Instant::now(),
            part: Vec::new(),
            answer: Answer::Head,
        }
    }

    fn stream(&self) -> &TcpStream {
        self.wire.stream()
    }

    fn restart(&mut self) {
        self.completed = 0;
    }

    fn begin(&mut self, requests: &Requests, now: Instant, most: u64) -> Result<bool, LoadError> {
        debug_assert!(self.due == 0, "one batch at a time");
        self.due = most.min(requests.expected.pipeline as u64);
        self.to_send = self.due as usize * requests.one;
        self.sent = 0;
        self.begun = now;
        self.push(requests)
    }

    fn wants_push(&self, _: &Requests) -> bool {
        self.sent < self.to_send
    }

    fn push(&mut self, requests: &Requests) -> Result<bool, LoadError> {
        let progress = self.progress();
        self.sent += self.wire.send(&requests.bytes[self.sent..self.to_send], progress)?;
        Ok(self.sent == self.to_send)
    }

    fn pull(
        &mut self,
        requests: &mut Requests,
        buffer: &mut [u8],
        to_the_end: bool,
    ) -> Result<(Pulled, RangeInclusive<u64>), LoadError> {
        let (first, mut moved) = (self.completed + 1, false);
        while let Some(count) = self.wire.receive(buffer, self.progress())? {
            if count == 0 {
                return Err(self.wire.closed(self.progress()));
            }
            self.check(requests, &buffer[..count])?;
            moved = true;
            if count < buffer.len() && !to_the_end {
                break;
            }
        }
        let pulled = match (moved, self.due) {
            (false, _) => Pulled::Nothing,
            (true, 0) => Pulled::Whole,
            (true, _) => Pulled::Part,
        };
        Ok((pulled, first..=self.completed))
    }

    fn begun(&self) -> Instant {
        self.begun
    }
}
