//! HTTP/1.1 requests, with keep-alive, one at a time or pipelined.

mod head;

use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use crate::LoadError;
use crate::error::response::{ResponseError, excerpt};
use crate::io::socket::{Progress, Socket};
use crate::protocol::{Connection, ReadOutcome, Received};
use crate::target::Http;

/// The prepared requests of one thread's connections, and the expected response.
pub(crate) struct Requests {
    /// One full batch.
    batch: Box<[u8]>,
    request_bytes: usize,
    expected: Http,
    /// The head of the last response that was parsed and found right.
    ///
    /// The heads of a lane's responses differ only in the date, which changes once a second. A head
    /// with the same bytes is right too, and is not parsed.
    verified_head: Vec<u8>,
}

impl Requests {
    pub(crate) fn new(addr: SocketAddr, expected: Http) -> Self {
        let request = format!("GET {} HTTP/1.1\r\nHost: {addr}\r\n\r\n", expected.path);
        Self {
            batch: request.repeat(expected.pipeline).into_bytes().into(),
            request_bytes: request.len(),
            expected,
            verified_head: Vec::new(),
        }
    }
}

/// The longest head that is accepted.
const HEAD_BYTES_MAX: usize = 16 << 10;

pub(crate) struct Http1Connection {
    socket: Socket,
    /// Requests answered since the connection was opened.
    message: u64,
    /// Requests answered in the present exchange.
    completed: u64,
    /// Responses that are due.
    due: u64,
    /// Bytes of the present batch, and how many of them are sent.
    batch_bytes: usize,
    sent: usize,
    started_at: Instant,
    /// The part of an incomplete head. Its memory is reused.
    partial_head: Vec<u8>,
    state: ResponseState,
}

/// How far the present response has come.
#[derive(Clone, Copy)]
enum ResponseState {
    Head,
    /// So many bytes of the body have come.
    Body(usize),
}

impl Http1Connection {
    fn progress(&self) -> Progress {
        let received = match self.state {
            ResponseState::Head => self.partial_head.len(),
            ResponseState::Body(received) => received,
        };
        Progress { message: self.message, received }
    }

    /// Checks received bytes.
    fn check(&mut self, requests: &mut Requests, mut bytes: &[u8]) -> Result<(), LoadError> {
        while !bytes.is_empty() {
            if self.due == 0 || self.is_unrequested(requests) {
                return Err(self.unrequested(bytes));
            }
            let received = match self.state {
                ResponseState::Head => {
                    let Some(rest) = self.skip_head(requests, bytes)? else { return Ok(()) };
                    bytes = rest;
                    0
                }
                ResponseState::Body(received) => received,
            };
            let rest = &requests.expected.body[received..];
            let count = rest.len().min(bytes.len());
            if bytes[..count] != rest[..count] {
                return Err(self.wrong_body(received, &bytes[..count], &rest[..count]));
            }
            bytes = &bytes[count..];
            if count < rest.len() {
                self.state = ResponseState::Body(received + count);
                return Ok(());
            }
            self.state = ResponseState::Head;
            self.message += 1;
            self.completed += 1;
            self.due -= 1;
        }
        Ok(())
    }

    /// Whether no byte of the request whose response is due has been sent.
    fn is_unrequested(&self, requests: &Requests) -> bool {
        self.sent < self.batch_bytes
            && self.sent <= self.batch_bytes - self.due as usize * requests.request_bytes
    }

    /// Checks a head. Returns what follows it, or `None` if it is incomplete.
    #[inline]
    fn skip_head<'b>(
        &mut self,
        requests: &mut Requests,
        bytes: &'b [u8],
    ) -> Result<Option<&'b [u8]>, LoadError> {
        if self.partial_head.is_empty()
            && !requests.verified_head.is_empty()
            && let Some(rest) = bytes.strip_prefix(requests.verified_head.as_slice())
        {
            return Ok(Some(rest));
        }
        self.parse_head(requests, bytes)
    }

    #[cold]
    fn parse_head<'b>(
        &mut self,
        requests: &mut Requests,
        bytes: &'b [u8],
    ) -> Result<Option<&'b [u8]>, LoadError> {
        let before = self.partial_head.len();
        let more = &bytes[..bytes.len().min(HEAD_BYTES_MAX - before)];
        self.partial_head.extend_from_slice(more);
        match head::check(&self.partial_head, &requests.expected) {
            Err(error) => Err(self.wrong(error)),
            Ok(None) if self.partial_head.len() == HEAD_BYTES_MAX => {
                Err(self.wrong(ResponseError::HeadersTooLong { limit_bytes: HEAD_BYTES_MAX }))
            }
            Ok(None) => Ok(None),
            Ok(Some(length)) => {
                requests.verified_head.clear();
                requests.verified_head.extend_from_slice(&self.partial_head[..length]);
                self.partial_head.clear();
                Ok(Some(&bytes[length - before..]))
            }
        }
    }

    /// An error in the response that is due.
    #[cold]
    fn wrong(&self, error: ResponseError) -> LoadError {
        self.wrong_in(self.message, error)
    }

    #[cold]
    fn wrong_body(&self, received: usize, found: &[u8], expected: &[u8]) -> LoadError {
        self.wrong(ResponseError::body(received, found, expected))
    }

    /// Bytes that belong to no request. They are attributed to the response that they follow.
    #[cold]
    fn unrequested(&self, bytes: &[u8]) -> LoadError {
        let error =
            ResponseError::Unrequested { surplus_bytes: bytes.len(), start: excerpt(bytes) };
        self.wrong_in(self.message.saturating_sub(1), error)
    }

    fn wrong_in(&self, message: u64, error: ResponseError) -> LoadError {
        let (addr, conn) = (self.socket.addr, self.socket.conn);
        LoadError::Answer { addr, conn, message, source: Box::new(error) }
    }
}

impl Connection for Http1Connection {
    type Shared = Requests;

    fn new(stream: TcpStream, addr: SocketAddr, conn: usize, _: &Requests) -> Self {
        Self {
            socket: Socket::new(stream, addr, conn),
            message: 0,
            completed: 0,
            due: 0,
            batch_bytes: 0,
            sent: 0,
            started_at: Instant::now(),
            partial_head: Vec::new(),
            state: ResponseState::Head,
        }
    }

    fn stream(&self) -> &TcpStream {
        self.socket.stream()
    }

    fn start_exchange(&mut self) {
        self.completed = 0;
    }

    fn start_batch(
        &mut self,
        requests: &Requests,
        now: Instant,
        messages_max: u64,
    ) -> Result<bool, LoadError> {
        debug_assert!(self.due == 0, "one batch at a time");
        self.due = messages_max.min(requests.expected.pipeline as u64);
        self.batch_bytes = self.due as usize * requests.request_bytes;
        self.sent = 0;
        self.started_at = now;
        self.send(requests)
    }

    fn has_unsent(&self, _: &Requests) -> bool {
        self.sent < self.batch_bytes
    }

    fn send(&mut self, requests: &Requests) -> Result<bool, LoadError> {
        let progress = self.progress();
        self.sent += self.socket.send(&requests.batch[self.sent..self.batch_bytes], progress)?;
        Ok(self.sent == self.batch_bytes)
    }

    fn receive(
        &mut self,
        requests: &mut Requests,
        buffer: &mut [u8],
        until_end: bool,
    ) -> Result<Received, LoadError> {
        let (first, mut moved) = (self.completed + 1, false);
        while let Some(count) = self.socket.receive(buffer, self.progress())? {
            if count == 0 {
                return Err(self.socket.closed(self.progress()));
            }
            self.check(requests, &buffer[..count])?;
            moved = true;
            if count < buffer.len() && !until_end {
                break;
            }
        }
        let outcome = ReadOutcome::of_batch(moved, self.due);
        Ok(Received { outcome, completed: first..=self.completed })
    }

    fn started_at(&self) -> Instant {
        self.started_at
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn check_rejects_response_to_unsent_request() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (path, content_type, body) = ("/", "text/plain", b"x");
        let mut requests =
            Requests::new(addr, Http { path, content_type, body, pipeline: 2, h2: false });
        let stream = TcpStream::connect(addr).unwrap();
        let mut connection = Http1Connection::new(stream, addr, 0, &requests);
        // The socket buffer has taken only the first of two requests.
        connection.due = 2;
        connection.batch_bytes = 2 * requests.request_bytes;
        connection.sent = requests.request_bytes;
        let response = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 1\r\n\r\nx";
        connection.check(&mut requests, response).unwrap();
        let error = connection.check(&mut requests, response).unwrap_err();
        let LoadError::Answer { message: 0, source, .. } = error else { panic!("{error}") };
        assert!(matches!(*source, ResponseError::Unrequested { .. }), "{source}");
    }
}
