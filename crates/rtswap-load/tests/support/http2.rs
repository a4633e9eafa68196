//! An HTTP/2 server that tests control frame by frame, so that it can misbehave.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};

use rtswap_load::Target;

use super::requests::{self, BODY, Server};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY_FRAME: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const ACK: u8 = 0x1;
pub const END_STREAM: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;
pub const PADDED: u8 = 0x8;
pub const PRIORITY: u8 = 0x20;

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header block of literals.
pub fn headers(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// Kind, flags, stream and payload of the next frame.
pub fn read_frame(stream: &mut TcpStream) -> io::Result<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head)?;
    let [a, b, c, kind, flags, id @ ..] = head;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    stream.read_exact(&mut payload)?;
    Ok((kind, flags, u32::from_be_bytes(id), payload))
}

/// Checks the connection preface of the client, and returns that of the server.
pub fn accept(stream: &mut TcpStream, settings: &[u8]) -> io::Result<Vec<u8>> {
    let mut preface = [0; 24];
    stream.read_exact(&mut preface)?;
    assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let (kind, flags, id, payload) = read_frame(stream)?;
    assert_eq!((kind, flags, id), (SETTINGS, 0, 0));
    let (settings_seen, _) = payload.as_chunks::<6>();
    // No dynamic table, no push, and a window that no test fills.
    for setting in [[0, 1, 0, 0, 0, 0], [0, 2, 0, 0, 0, 0], [0, 4, 0x7f, 0xff, 0xff, 0xff]] {
        assert!(settings_seen.contains(&setting), "{settings_seen:?}");
    }
    let (kind, _, id, increment) = read_frame(stream)?;
    assert_eq!((kind, id), (WINDOW_UPDATE, 0));
    assert_eq!(u32::from_be_bytes(increment.try_into().unwrap()), 0x7fff_ffff - 65_535);
    Ok([frame(SETTINGS, 0, 0, settings), frame(SETTINGS, ACK, 0, &[])].concat())
}

/// The expected header block.
pub fn head() -> Vec<u8> {
    headers(&[(":status", "200"), ("content-type", "text/plain"), ("content-length", "13")])
}

/// The expected response.
pub fn right(stream: u32) -> Vec<u8> {
    [frame(HEADERS, END_HEADERS, stream, &head()), frame(DATA, END_STREAM, stream, BODY)].concat()
}

/// The response to the request with a number, counted from 0, on a stream of its connection. The
/// server shuts down the connection if the response is empty.
pub type Respond = fn(u64, u32) -> Vec<u8>;

/// Responds to each request in a write of its own.
pub fn serve(respond: Respond) -> Server {
    serve_with_settings(&[], respond)
}

/// The same, with these settings.
pub fn serve_with_settings(settings: &'static [u8], respond: Respond) -> Server {
    Server::new(true, move |stream, requests| handle(stream, settings, respond, requests))
}

fn handle(
    stream: &mut TcpStream,
    settings: &[u8],
    respond: Respond,
    requests: &AtomicU64,
) -> io::Result<()> {
    let mut preface = accept(stream, settings)?;
    let (mut number, mut next) = (0, 1);
    loop {
        let (kind, flags, id, _) = read_frame(stream)?;
        if kind != HEADERS {
            continue;
        }
        assert_eq!(
            (flags, id),
            (END_HEADERS | END_STREAM, next),
            "each request is on the next stream"
        );
        requests.fetch_add(1, Ordering::SeqCst);
        let response = respond(number, id);
        if response.is_empty() {
            stream.shutdown(Shutdown::Write)?;
            // Closing with unread bytes would reset the connection.
            return stream.read_to_end(&mut Vec::new()).map(drop);
        }
        // The preface is in one write with the first response, as in many lanes.
        stream.write_all(&[std::mem::take(&mut preface), response].concat())?;
        (number, next) = (number + 1, next + 2);
    }
}

pub fn target(addr: SocketAddr, pipeline: usize) -> Target {
    requests::target(addr, pipeline, true)
}
