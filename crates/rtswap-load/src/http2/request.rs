//! What is sent: the same bytes for each request but for the number of its stream.

use std::net::SocketAddr;

use super::frame::{self, END_HEADERS, END_STREAM, HEADERS, MOST, SETTINGS, WINDOW_UPDATE};
use crate::Http;

/// What a share's connections ask, and what they are to be answered.
pub(crate) struct Script {
    /// How a connection begins, all of it in one write with the first request.
    pub(super) greeting: Box<[u8]>,
    /// As many requests as are sent at once.
    pub(super) requests: Box<[u8]>,
    /// Bytes of one of them.
    pub(super) one: usize,
    pub(super) expected: Http,
    /// The headers of the latest answer that was found right; see `block`.
    pub(super) known: Vec<u8>,
}

/// What an unanswered window has: it need not be widened before a gigabyte has come, as with `h2load`.
pub(super) const WINDOW: u32 = MOST;

/// The window that a connection has unless it is widened.
const WINDOW_AT_FIRST: u32 = 65_535;

/// Where the number of the stream is in a frame's head.
const STREAM_AT: usize = 5;

impl Script {
    pub(crate) fn new(addr: SocketAddr, expected: Http) -> Self {
        let mut greeting = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let mut settings = Vec::new();
        for (setting, value) in
            [(HEADER_TABLE_SIZE, 0), (ENABLE_PUSH, 0), (INITIAL_WINDOW_SIZE, WINDOW)]
        {
            settings.extend_from_slice(&setting.to_be_bytes());
            settings.extend_from_slice(&value.to_be_bytes());
        }
        frame::put(&mut greeting, SETTINGS, 0, 0, &settings);
        let more = (WINDOW - WINDOW_AT_FIRST).to_be_bytes();
        frame::put(&mut greeting, WINDOW_UPDATE, 0, 0, &more);
        let mut request = Vec::new();
        frame::put(
            &mut request,
            HEADERS,
            END_HEADERS | END_STREAM,
            0,
            &headers(addr, expected.path),
        );
        Self {
            greeting: greeting.into(),
            requests: request.repeat(expected.pipeline).into(),
            one: request.len(),
            expected,
            known: Vec::new(),
        }
    }

    /// Appends `count` requests, on the streams from `first` on.
    pub(super) fn ask(&self, out: &mut Vec<u8>, first: u32, count: usize) {
        let start = out.len();
        out.extend_from_slice(&self.requests[..count * self.one]);
        let streams = (first..).step_by(2);
        for (request, stream) in out[start..].chunks_exact_mut(self.one).zip(streams) {
            request[STREAM_AT..][..4].copy_from_slice(&stream.to_be_bytes());
        }
    }
}

pub(super) const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
pub(super) const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// A request's headers: none of them is kept in the lane's table, of which it is told first, so that no
/// table size that a lane allows is too small.
fn headers(addr: SocketAddr, path: &str) -> Vec<u8> {
    const NO_TABLE: u8 = 0x20;
    const METHOD_GET: u8 = 0x80 | 2;
    const SCHEME_HTTP: u8 = 0x80 | 6;
    const PATH: u8 = 4;
    const AUTHORITY: u8 = 1;
    let mut block = vec![NO_TABLE, METHOD_GET, SCHEME_HTTP, PATH];
    put_text(&mut block, path);
    block.push(AUTHORITY);
    put_text(&mut block, &addr.to_string());
    block
}

/// A text that is not compressed, after its length: RFC 7541, section 5.
fn put_text(block: &mut Vec<u8>, text: &str) {
    const PREFIX: usize = 0x7f;
    match text.len().checked_sub(PREFIX) {
        None => block.push(text.len() as u8),
        Some(mut rest) => {
            block.push(PREFIX as u8);
            while rest >= 0x80 {
                block.push(0x80 | (rest & 0x7f) as u8);
                rest >>= 7;
            }
            block.push(rest as u8);
        }
    }
    block.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use loona_hpack::Decoder;

    use super::super::frame::Head;
    use super::*;

    #[test]
    fn requests_say_what_they_ask_for_each_on_a_stream_of_its_own() {
        const LONG: &str = concat!(
            "/",
            "long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-",
            "long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long"
        );
        let addr = "127.0.0.1:7000".parse().unwrap();
        for path in ["/plaintext", &LONG[..127], &LONG[..128], LONG] {
            let expected = Http { path, content_type: "", body: b"x", pipeline: 3, h2: true };
            let script = Script::new(addr, expected);
            let mut out = b"before".to_vec();
            script.ask(&mut out, 9, 2);
            let mut rest = &out[6..];
            for stream in [9, 11] {
                let (head, after) = Head::read(rest).unwrap();
                assert_eq!((head.kind, head.stream), (HEADERS, stream));
                assert!(head.has(END_HEADERS) && head.has(END_STREAM));
                let told = Decoder::new().decode(&after[..head.length]).unwrap();
                let told: Vec<_> = told
                    .iter()
                    .map(|(name, value)| (str::from_utf8(name).unwrap(), &**value))
                    .collect();
                assert_eq!(
                    told,
                    [
                        (":method", &b"GET"[..]),
                        (":scheme", b"http"),
                        (":path", path.as_bytes()),
                        (":authority", b"127.0.0.1:7000"),
                    ]
                );
                rest = &after[head.length..];
            }
            assert!(rest.is_empty());
        }
    }
}
