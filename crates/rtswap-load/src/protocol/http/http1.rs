//! HTTP/1.1 requests, with keep-alive, one at a time or pipelined.

pub(crate) mod chunked;
mod head;
pub(crate) mod own_head;

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use self::chunked::{Chunked, Piece};
use crate::LoadError;
use crate::error::response::{ResponseError, excerpt};
use crate::exchange::{Exchange, request_bytes};
use crate::io::socket::{Progress, Socket};
use crate::protocol::{Connection, ReadOutcome, Received};
use crate::target::Http;

/// The prepared requests of one thread's connections, and the expected response.
pub(crate) struct Requests {
    /// One full batch.
    batch: Box<[u8]>,
    request_bytes: usize,
    pipeline: usize,
    expected: Expected,
    /// The head of the last response that was parsed and found right.
    ///
    /// The heads of a lane's responses differ only in the date, which changes once a second. A head
    /// with the same bytes is right too, and is not parsed.
    verified_head: Vec<u8>,
    /// Where the body after that head ends.
    verified_framing: Framing,
}

/// What responses must be.
enum Expected {
    Shipped(Http),
    Own(Arc<Exchange>),
}

/// What determines the end of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Its length, bytes.
    Length(usize),
    /// Chunks, of which the last is empty.
    Chunked,
}

impl Requests {
    pub(crate) fn new(addr: SocketAddr, expected: Http) -> Self {
        let request = format!("GET {} HTTP/1.1\r\nHost: {addr}\r\n\r\n", expected.path);
        Self::repeated(request.as_bytes(), expected.pipeline, Expected::Shipped(expected))
    }

    /// Requests of the user's own.
    pub(crate) fn own(addr: SocketAddr, exchange: Arc<Exchange>, pipeline: usize) -> Self {
        let request = request_bytes(&exchange.request, addr);
        Self::repeated(&request, pipeline, Expected::Own(exchange))
    }

    fn repeated(request: &[u8], pipeline: usize, expected: Expected) -> Self {
        Self {
            batch: request.repeat(pipeline).into(),
            request_bytes: request.len(),
            pipeline,
            expected,
            verified_head: Vec::new(),
            verified_framing: Framing::Length(0),
        }
    }

    /// The expected body; `None` for any.
    #[inline]
    fn body(&self) -> Option<&[u8]> {
        match &self.expected {
            Expected::Shipped(http) => Some(http.body),
            Expected::Own(exchange) => exchange.body.as_deref(),
        }
    }

    /// Checks a part of a body that starts at byte `received`.
    #[inline]
    fn check_body(&self, received: usize, part: &[u8]) -> Result<(), ResponseError> {
        let Some(body) = self.body() else { return Ok(()) };
        let Some(due) = body.get(received..).and_then(|due| due.get(..part.len())) else {
            return Err(ResponseError::BodyTooLong { expected_bytes: body.len() });
        };
        if part == due { Ok(()) } else { Err(ResponseError::body(received, part, due)) }
    }

    /// Checks the head at the start of `bytes`. Returns its length and where its body ends.
    fn check_head(&self, bytes: &[u8]) -> Result<Option<(usize, Framing)>, ResponseError> {
        match &self.expected {
            Expected::Shipped(http) => {
                let length = head::check(bytes, http)?;
                Ok(length.map(|length| (length, Framing::Length(http.body.len()))))
            }
            Expected::Own(exchange) => own_head::check(bytes, exchange),
        }
    }
}

/// The longest head that is accepted.
pub(crate) const HEAD_BYTES_MAX: usize = 16 << 10;

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
    /// Where the present body ends.
    framing: Framing,
    /// How far it has come, if it comes in chunks.
    chunked: Chunked,
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
            match self.framing {
                Framing::Length(length) => {
                    let (part, after) = bytes.split_at((length - received).min(bytes.len()));
                    self.check_body(requests, received, part)?;
                    bytes = after;
                    if received + part.len() < length {
                        self.state = ResponseState::Body(received + part.len());
                        return Ok(());
                    }
                }
                Framing::Chunked => {
                    if !self.check_chunks(requests, received, &mut bytes)? {
                        return Ok(());
                    }
                }
            }
            self.state = ResponseState::Head;
            self.message += 1;
            self.completed += 1;
            self.due -= 1;
        }
        Ok(())
    }

    #[inline]
    fn check_body(
        &self,
        requests: &Requests,
        received: usize,
        part: &[u8],
    ) -> Result<(), LoadError> {
        requests.check_body(received, part).map_err(|error| self.wrong_own(requests, error))
    }

    /// Checks what has come of a body in chunks. Returns whether that was its end.
    fn check_chunks(
        &mut self,
        requests: &Requests,
        mut received: usize,
        bytes: &mut &[u8],
    ) -> Result<bool, LoadError> {
        loop {
            match self.chunked.next(bytes) {
                Ok(Piece::Data(part)) => {
                    self.check_body(requests, received, part)?;
                    received += part.len();
                }
                Ok(Piece::Nothing) => {
                    self.state = ResponseState::Body(received);
                    return Ok(false);
                }
                Ok(Piece::End) => break,
                Err(error) => return Err(self.wrong_own(requests, error)),
            }
        }
        match requests.body() {
            Some(body) if body.len() != received => {
                let (received_bytes, expected_bytes) = (received, body.len());
                let error = ResponseError::BodyTooShort { received_bytes, expected_bytes };
                Err(self.wrong_own(requests, error))
            }
            _ => Ok(true),
        }
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
            self.start_body(requests.verified_framing);
            return Ok(Some(rest));
        }
        self.parse_head(requests, bytes)
    }

    #[inline]
    fn start_body(&mut self, framing: Framing) {
        self.framing = framing;
        self.chunked = Chunked::START;
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
        match requests.check_head(&self.partial_head) {
            Err(error) => Err(self.wrong_own(requests, error)),
            Ok(None) if self.partial_head.len() == HEAD_BYTES_MAX => {
                Err(self.wrong(ResponseError::HeadersTooLong { limit_bytes: HEAD_BYTES_MAX }))
            }
            Ok(None) => Ok(None),
            Ok(Some((length, framing))) => {
                requests.verified_framing = framing;
                self.start_body(framing);
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

    /// The same. With the origin of what is expected, if the request is one of the user's own.
    #[cold]
    fn wrong_own(&self, requests: &Requests, error: ResponseError) -> LoadError {
        self.wrong(match &requests.expected {
            Expected::Shipped(_) => error,
            Expected::Own(exchange) => {
                let (source, origin) = (Box::new(error), exchange.origin.clone());
                ResponseError::NotAsExpected { source, origin }
            }
        })
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
            framing: Framing::Length(0),
            chunked: Chunked::START,
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
        self.due = messages_max.min(requests.pipeline as u64);
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
