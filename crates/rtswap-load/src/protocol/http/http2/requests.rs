//! The prepared requests. Their bytes are the same except for the numbers of their streams.

use std::net::SocketAddr;

use loona_hpack::Encoder;

use super::frame::{self, END_HEADERS, END_STREAM, HEADERS, SETTINGS, WINDOW_UPDATE, setting};
use super::header_block::NO_TABLE;
use crate::target::Http;

/// The prepared requests of one thread's connections, and the expected response.
pub(crate) struct Requests {
    /// The connection preface, which is sent in one write with the first batch.
    pub(super) preface: Box<[u8]>,
    /// One full batch.
    batch: Box<[u8]>,
    pub(super) request_bytes: usize,
    pub(super) expected: Http,
    /// The header block of the last response that was decoded and found right. See `header_block`.
    pub(super) verified_block: Vec<u8>,
}

/// The flow-control window of the connection and of each stream: the largest that there is.
/// The connection's is renewed after a gigabyte, as `h2load` does.
pub(super) const WINDOW_BYTES: u32 = 0x7fff_ffff;

/// The connection's window until it is renewed for the first time.
const WINDOW_BYTES_INITIAL: u32 = 65_535;

impl Requests {
    pub(crate) fn new(addr: SocketAddr, expected: Http) -> Self {
        let mut preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let settings = [
            (setting::HEADER_TABLE_SIZE, 0),
            (setting::ENABLE_PUSH, 0),
            (setting::INITIAL_WINDOW_SIZE, WINDOW_BYTES),
        ];
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend_from_slice(&name.to_be_bytes());
            payload.extend_from_slice(&value.to_be_bytes());
        }
        frame::append(&mut preface, SETTINGS, 0, 0, &payload);
        let increment = WINDOW_BYTES - WINDOW_BYTES_INITIAL;
        frame::append(&mut preface, WINDOW_UPDATE, 0, 0, &increment.to_be_bytes());
        let mut request = Vec::new();
        let headers = encode_headers(addr, expected.path);
        frame::append(&mut request, HEADERS, END_HEADERS | END_STREAM, 0, &headers);
        Self {
            preface: preface.into(),
            batch: request.repeat(expected.pipeline).into(),
            request_bytes: request.len(),
            expected,
            verified_block: Vec::new(),
        }
    }

    /// Appends `count` requests, on the streams from `first_stream` on.
    pub(super) fn append(&self, out: &mut Vec<u8>, first_stream: u32, count: usize) {
        let start = out.len();
        out.extend_from_slice(&self.batch[..count * self.request_bytes]);
        let streams = (first_stream..).step_by(2);
        for (request, stream) in out[start..].chunks_exact_mut(self.request_bytes).zip(streams) {
            request[frame::STREAM_AT..][..4].copy_from_slice(&stream.to_be_bytes());
        }
    }
}

/// The header block of a request. It sets the size of the dynamic table to 0, so that a lane with any
/// limit on the table can decode it. All names are in the static table, so the encoder uses no other.
fn encode_headers(addr: SocketAddr, path: &str) -> Vec<u8> {
    let authority = addr.to_string();
    let headers =
        [(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", &authority)];
    let headers = headers.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    [vec![NO_TABLE], Encoder::new().encode(headers)].concat()
}

#[cfg(test)]
mod tests {
    use loona_hpack::Decoder;

    use super::super::frame::FrameHeader;
    use super::*;

    #[test]
    fn append_writes_one_request_per_stream() {
        const LONG: &str = concat!(
            "/",
            "long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-",
            "long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long-long"
        );
        let addr = "127.0.0.1:7000".parse().unwrap();
        for path in ["/plaintext", &LONG[..127], &LONG[..128], LONG] {
            let expected = Http { path, content_type: "", body: b"x", pipeline: 3, h2: true };
            let requests = Requests::new(addr, expected);
            let mut out = b"before".to_vec();
            requests.append(&mut out, 9, 2);
            let mut rest = &out[6..];
            for stream in [9, 11] {
                let (header, after) = FrameHeader::read(rest).unwrap();
                assert_eq!((header.kind, header.stream), (HEADERS, stream));
                assert!(header.has(END_HEADERS) && header.has(END_STREAM));
                let decoded = Decoder::new().decode(&after[..header.length]).unwrap();
                let decoded: Vec<_> = decoded
                    .iter()
                    .map(|(name, value)| (str::from_utf8(name).unwrap(), &**value))
                    .collect();
                assert_eq!(
                    decoded,
                    [
                        (":method", &b"GET"[..]),
                        (":scheme", b"http"),
                        (":path", path.as_bytes()),
                        (":authority", b"127.0.0.1:7000"),
                    ]
                );
                rest = &after[header.length..];
            }
            assert!(rest.is_empty());
        }
    }
}
