//! A request of the user's own, and the answer that every lane must give.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtswap_schema::record::HttpRequest;

use crate::LoadError;
use crate::error::response::ResponseError;
use crate::protocol::http::http1::Framing;
use crate::protocol::http::http1::chunked::{Chunked, Piece};
use crate::protocol::http::http1::own_head::{self, OwnHead};

/// A request, and what its answers must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The request.
    pub request: HttpRequest,
    /// The status of an answer.
    pub status: u16,
    /// The body of an answer; `None` for any.
    pub body: Option<Arc<[u8]>>,
    /// Where the expectation comes from, and what to do if it is wrong: the end of error messages.
    pub origin: String,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstAnswer {
    /// Its status.
    pub status: u16,
    /// Its status and reason phrase.
    pub shown_status: String,
    /// Its body, decoded if it came in chunks.
    pub body: Vec<u8>,
}

/// The longest body of a first answer.
const BODY_BYTES_MAX: usize = 64 << 20;

/// The bytes of a request to the server at that address.
pub(crate) fn request_bytes(request: &HttpRequest, addr: SocketAddr) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.path);
    let has_host = request.headers.keys().any(|name| name.eq_ignore_ascii_case("host"));
    if !has_host {
        let _ = write!(head, "Host: {addr}\r\n");
    }
    for (name, value) in &request.headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let payload = request.payload.as_deref().unwrap_or_default();
    // A method that usually has a body says so if it has none (RFC 9110, section 8.6).
    if !payload.is_empty() || ["POST", "PUT", "PATCH"].contains(&request.method.as_str()) {
        let _ = write!(head, "Content-Length: {}\r\n", payload.len());
    }
    (head + "\r\n" + payload).into_bytes()
}

/// Sends a request twice on one connection, and returns both answers. They are not compared.
///
/// # Errors
/// [`LoadError`] if the server does not answer twice within `limit`, or not in HTTP/1.1.
pub fn first_answers(
    addr: SocketAddr,
    request: &HttpRequest,
    limit: Duration,
) -> Result<[FirstAnswer; 2], LoadError> {
    let connect = |source| LoadError::Connect { addr, opened: 0, source };
    let stream = TcpStream::connect_timeout(&addr, limit).map_err(connect)?;
    stream.set_nodelay(true).map_err(connect)?;
    let mut client =
        Client { stream, addr, until: Instant::now() + limit, limit, unread: Vec::new() };
    let bytes = request_bytes(request, addr);
    let mut ask = |message| -> Result<FirstAnswer, LoadError> {
        client.send(&bytes, message)?;
        client.answer(&request.method, message)
    };
    Ok([ask(0)?, ask(1)?])
}

struct Client {
    stream: TcpStream,
    addr: SocketAddr,
    until: Instant,
    limit: Duration,
    /// Received, and not yet used.
    unread: Vec<u8>,
}

impl Client {
    fn send(&mut self, bytes: &[u8], message: u64) -> Result<(), LoadError> {
        self.stream.write_all(bytes).map_err(|_| self.closed(message))
    }

    fn answer(&mut self, method: &str, message: u64) -> Result<FirstAnswer, LoadError> {
        let wrong = |client: &Self, error| client.wrong(message, error);
        let head: OwnHead = loop {
            if !self.unread.is_empty() {
                match own_head::read(&self.unread, method).map_err(|error| wrong(self, error))? {
                    Some(head) => break head,
                    None if self.unread.len() > super::protocol::http::http1::HEAD_BYTES_MAX => {
                        let limit_bytes = super::protocol::http::http1::HEAD_BYTES_MAX;
                        return Err(
                            self.wrong(message, ResponseError::HeadersTooLong { limit_bytes })
                        );
                    }
                    None => {}
                }
            }
            self.receive(message)?;
        };
        self.unread.drain(..head.length);
        let mut body = Vec::new();
        let mut chunked = Chunked::START;
        loop {
            let mut bytes = &self.unread[..];
            let is_whole = match head.framing {
                Framing::Length(length) => {
                    let (part, rest) = bytes.split_at((length - body.len()).min(bytes.len()));
                    body.extend_from_slice(part);
                    bytes = rest;
                    body.len() == length
                }
                Framing::Chunked => loop {
                    match chunked.next(&mut bytes).map_err(|error| wrong(self, error))? {
                        Piece::Data(data) => body.extend_from_slice(data),
                        Piece::Nothing => break false,
                        Piece::End => break true,
                    }
                },
            };
            let used = self.unread.len() - bytes.len();
            self.unread.drain(..used);
            if is_whole {
                let OwnHead { status, shown_status, .. } = head;
                return Ok(FirstAnswer { status, shown_status, body });
            }
            if body.len() > BODY_BYTES_MAX {
                let expected_bytes = BODY_BYTES_MAX;
                return Err(self.wrong(message, ResponseError::BodyTooLong { expected_bytes }));
            }
            self.receive(message)?;
        }
    }

    fn receive(&mut self, message: u64) -> Result<(), LoadError> {
        let left = self.until.saturating_duration_since(Instant::now());
        let stalled = LoadError::Stalled { addr: self.addr, after: self.limit, outstanding: 1 };
        if left.is_zero() {
            return Err(stalled);
        }
        let mut buffer = [0; 16 << 10];
        // An error means that the limit passed, which the next call reports, or that the connection is gone.
        let read =
            self.stream.set_read_timeout(Some(left)).and_then(|()| self.stream.read(&mut buffer));
        match read {
            Ok(0) => Err(self.closed(message)),
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                Ok(())
            }
            Err(error) => match error.kind() {
                std::io::ErrorKind::Interrupted => Ok(()),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => Err(stalled),
                _ => Err(self.closed(message)),
            },
        }
    }

    fn closed(&self, message: u64) -> LoadError {
        LoadError::Closed { addr: self.addr, conn: 0, message, received: self.unread.len() }
    }

    fn wrong(&self, message: u64, error: ResponseError) -> LoadError {
        LoadError::Answer { addr: self.addr, conn: 0, message, source: Box::new(error) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn request_bytes_has_host_and_length() {
        let addr = "127.0.0.1:7000".parse().unwrap();
        let text = |request: &HttpRequest| String::from_utf8(request_bytes(request, addr)).unwrap();
        let get = HttpRequest::get("/users/7");
        assert_eq!(text(&get), "GET /users/7 HTTP/1.1\r\nHost: 127.0.0.1:7000\r\n\r\n");
        let post = HttpRequest {
            method: "POST".to_owned(),
            headers: BTreeMap::from([("HOST".to_owned(), "x".to_owned())]),
            payload: Some("ab".to_owned()),
            ..get.clone()
        };
        assert_eq!(text(&post), "POST /users/7 HTTP/1.1\r\nHOST: x\r\nContent-Length: 2\r\n\r\nab");
        let empty = HttpRequest { payload: None, ..post };
        assert!(text(&empty).contains("Content-Length: 0\r\n"));
    }
}
