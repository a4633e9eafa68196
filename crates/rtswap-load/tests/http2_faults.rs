//! HTTP/2 sessions with lanes that misbehave.

mod support;

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::thread;

use rtswap_load::{Http, LoadError, ResponseError, Target, Traffic};
use support::http2::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING,
    PRIORITY_FRAME, PUSH_PROMISE, RST_STREAM, Respond, SETTINGS, WINDOW_UPDATE, accept, frame,
    head, headers, read_frame, right, serve, serve_with_settings, target,
};
use support::requests::{self, BODY};
use support::{generator, impatient};

fn verify_error(respond: Respond) -> LoadError {
    requests::verify_error(|| serve(respond))
}

fn response_error(respond: Respond) -> ResponseError {
    requests::response_error(|| serve(respond))
}

/// What is wrong with the response to request 0.
fn first_response_error(error: LoadError) -> ResponseError {
    match error {
        LoadError::Answer { message: 0, source, .. } => *source,
        error => panic!("{error}"),
    }
}

/// The error of `connect` with a lane that starts with these bytes.
fn preface_error(bytes: &'static [u8]) -> ResponseError {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        // The connections stay open until the generator closes them.
        let mut streams = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.write_all(bytes);
            streams.push(stream);
        }
    });
    first_response_error(impatient().connect(target(addr, 1)).unwrap_err())
}

#[test]
fn connect_rejects_other_protocols() {
    let http1 = preface_error(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let start = r#""HTTP/1.1 400 Bad Request\r\n\r\n""#.to_owned();
    assert_eq!(http1, ResponseError::NotHttp2 { start });
    let starts_with_ping = preface_error(b"\0\0\0\x06\0\0\0\0\0");
    assert!(matches!(starts_with_ping, ResponseError::NotHttp2 { .. }), "{starts_with_ping}");
    let incomplete_setting = preface_error(b"\0\0\x05\x04\0\0\0\0\0hello");
    assert_eq!(incomplete_setting, ResponseError::Settings { payload: "\"hello\"".to_owned() });
}

#[test]
fn connect_rejects_lane_that_allows_fewer_concurrent_streams() {
    let max_concurrent_streams_7 = &[0, 3, 0, 0, 0, 7];
    let server = serve_with_settings(max_concurrent_streams_7, |_, stream| right(stream));
    let generator = generator(1);
    let mut session = generator.connect(target(server.addr, 7)).unwrap();
    generator.verify(&mut session, 10).unwrap();
    let error = first_response_error(generator.connect(target(server.addr, 8)).unwrap_err());
    assert_eq!(error, ResponseError::ConcurrentStreams { allowed: 7, needed: 8 });
}

/// These frames if `number` is 5, and the expected response otherwise.
fn if_5(number: u64, stream: u32, frames: &[Vec<u8>]) -> Vec<u8> {
    if number == 5 { frames.concat() } else { right(stream) }
}

#[test]
fn verify_rejects_wrong_status_and_headers() {
    fn with(number: u64, stream: u32, name: &str, value: &str) -> Vec<u8> {
        let mut all =
            [(":status", "200"), ("content-type", "text/plain"), ("content-length", "13")];
        all.iter_mut().filter(|(other, _)| *other == name).for_each(|header| header.1 = value);
        let block = headers(&all);
        let body = frame(DATA, END_STREAM, stream, BODY);
        if_5(number, stream, &[frame(HEADERS, END_HEADERS, stream, &block), body])
    }
    let error = response_error(|number, stream| with(number, stream, ":status", "503"));
    assert_eq!(error, ResponseError::Status { found: "503".to_owned() });
    let error = response_error(|number, stream| with(number, stream, "content-length", "14"));
    assert_eq!(error.to_string(), "content-length is \"14\", expected 13");
    let error = response_error(|number, stream| with(number, stream, "content-type", "text/html"));
    assert_eq!(error.to_string(), "content-type is \"text/html\", expected text/plain");
}

#[test]
fn verify_rejects_wrong_body() {
    fn with(number: u64, stream: u32, body: &[u8]) -> Vec<u8> {
        let block = frame(HEADERS, END_HEADERS, stream, &head());
        if_5(number, stream, &[block, frame(DATA, END_STREAM, stream, body)])
    }
    let error = response_error(|number, stream| with(number, stream, b"Hello, World?"));
    let (found, expected) = (b'?', b'!');
    assert_eq!(error, ResponseError::BodyByte { offset: 12, found, expected });
    let error = response_error(|number, stream| with(number, stream, b"Hello, World"));
    let expected_bytes = BODY.len();
    assert_eq!(error, ResponseError::BodyTooShort { received_bytes: 12, expected_bytes });
    let error = response_error(|number, stream| with(number, stream, b"Hello, World!!"));
    assert_eq!(error, ResponseError::BodyTooLong { expected_bytes });
    let error = response_error(|number, stream| {
        let flags = END_HEADERS | END_STREAM;
        if_5(number, stream, &[frame(HEADERS, flags, stream, &head())])
    });
    assert_eq!(error, ResponseError::BodyTooShort { received_bytes: 0, expected_bytes });
}

#[test]
fn verify_rejects_references_to_dynamic_table() {
    let error = response_error(|number, stream| {
        let first_dynamic_entry = 0xbe;
        let block = [0x88, first_dynamic_entry];
        if_5(number, stream, &[frame(HEADERS, END_HEADERS, stream, &block)])
    });
    assert!(matches!(error, ResponseError::Undecodable { .. }), "{error}");
}

#[test]
fn verify_rejects_frames_out_of_order() {
    let error = response_error(|number, stream| {
        if_5(number, stream, &[frame(DATA, END_STREAM, stream, BODY), right(stream)])
    });
    assert_eq!(error, ResponseError::BodyBeforeHeaders);
    let error = response_error(|number, stream| {
        let block = frame(HEADERS, END_HEADERS, stream, &head());
        if_5(number, stream, &[block.clone(), block])
    });
    assert_eq!(error, ResponseError::RepeatedHeaders);
    let error = response_error(|number, stream| {
        let block = frame(HEADERS, 0, stream, &head());
        if_5(number, stream, &[block, frame(DATA, END_STREAM, stream, BODY)])
    });
    assert_eq!(error, ResponseError::HeadersInterrupted);
    let error = response_error(|number, stream| {
        if_5(number, stream, &[frame(CONTINUATION, END_HEADERS, stream, &head())])
    });
    assert_eq!(error, ResponseError::UnexpectedContinuation);
}

#[test]
fn verify_rejects_padding_longer_than_payload() {
    let error = response_error(|number, stream| {
        if_5(number, stream, &[frame(DATA, PADDED, stream, &[9, 0, 0])])
    });
    assert_eq!(error, ResponseError::Padding);
}

#[test]
fn verify_rejects_long_frames_and_header_blocks() {
    let error = response_error(|number, stream| {
        if_5(number, stream, &[frame(DATA, 0, stream, &vec![0; 16_385])])
    });
    let (found_bytes, limit_bytes) = (16_385, 16_384);
    assert_eq!(error, ResponseError::FrameTooLong { found_bytes, limit_bytes });
    let error = response_error(|number, stream| {
        let block = frame(HEADERS, 0, stream, &head());
        if_5(number, stream, &[block, frame(CONTINUATION, 0, stream, &[0; 16_384])])
    });
    assert_eq!(error, ResponseError::HeadersTooLong { limit_bytes });
}

#[test]
fn verify_fails_with_reason_if_lane_gives_up() {
    let error = response_error(|number, stream| {
        if_5(number, stream, &[frame(RST_STREAM, 0, stream, &7_u32.to_be_bytes())])
    });
    assert_eq!(error, ResponseError::StreamReset { reason: "REFUSED_STREAM".to_owned() });
    let error = response_error(|number, stream| {
        let payload = [&[0; 4][..], &11_u32.to_be_bytes(), b"calm down"].concat();
        if_5(number, stream, &[frame(GOAWAY, 0, 0, &payload)])
    });
    let reason = "ENHANCE_YOUR_CALM, \"calm down\"".to_owned();
    assert_eq!(error, ResponseError::GoAway { reason });
}

#[test]
fn verify_rejects_push() {
    let error = response_error(|number, stream| {
        if_5(number, stream, &[frame(PUSH_PROMISE, END_HEADERS, stream, &[0, 0, 0, 2])])
    });
    assert_eq!(error, ResponseError::Push);
}

#[test]
fn verify_rejects_response_without_request() {
    let cases: [(u32, Respond); 3] = [
        (2, |number, stream| if_5(number, stream, &[right(2)])),
        (99, |number, stream| if_5(number, stream, &[right(99)])),
        (0, |number, stream| if_5(number, stream, &[right(0)])),
    ];
    for (stream, respond) in cases {
        assert_eq!(response_error(respond), ResponseError::UnrequestedStream { stream });
    }
}

#[test]
fn connect_rejects_repeated_response() {
    for pipeline in [1, 8] {
        let server = serve(|_, stream| [right(stream), right(stream)].concat());
        let error = generator(1).connect(target(server.addr, pipeline)).unwrap_err();
        assert_eq!(first_response_error(error), ResponseError::AfterEnd);
    }
}

/// The error of `connect` with a lane that sends `frames` over and over, after its preface and `first`.
fn flood_error(first: Vec<u8>, frames: Vec<u8>) -> LoadError {
    /// After this, the lane is silent, so that a generator without a limit stalls.
    const SENT_BYTES_MAX: usize = 256 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || -> io::Result<()> {
        let mut stream = listener.accept()?.0;
        let preface = accept(&mut stream, &[])?;
        let mut replies = stream.try_clone()?;
        thread::spawn(move || io::copy(&mut replies, &mut io::sink()));
        stream.write_all(&[preface, first].concat())?;
        let frames = frames.repeat((1 << 20) / frames.len());
        for _ in 0..SENT_BYTES_MAX / frames.len() {
            stream.write_all(&frames)?;
        }
        thread::park();
        Ok(())
    });
    impatient().connect(Target { conns: 1, ..target(addr, 1) }).unwrap_err()
}

#[test]
fn connect_rejects_frames_without_end() {
    let headers = || frame(HEADERS, END_HEADERS, 1, &head());
    let floods = [
        ("reply to PING", vec![], frame(PING, ACK, 0, b"12345678")),
        ("PING", vec![], frame(PING, 0, 0, b"12345678")),
        ("SETTINGS", vec![], frame(SETTINGS, 0, 0, &[])),
        ("reply to SETTINGS", vec![], frame(SETTINGS, ACK, 0, &[])),
        ("WINDOW_UPDATE", vec![], frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("PRIORITY", vec![], frame(PRIORITY_FRAME, 0, 1, &[0, 0, 0, 0, 15])),
        ("unknown", vec![], frame(99, 0, 0, &[0; 16_384])),
        ("DATA", headers(), frame(DATA, 0, 1, &[])),
        ("padded DATA", headers(), frame(DATA, PADDED, 1, &[3, 0, 0, 0])),
        ("CONTINUATION", frame(HEADERS, 0, 1, &head()), frame(CONTINUATION, 0, 1, &[])),
    ];
    let limit = ResponseError::IdleFrames { limit_bytes: 65_536 };
    let errors = floods.map(|(name, first, frames)| (name, flood_error(first, frames)));
    let is_limit = |error: &LoadError| matches!(error, LoadError::Answer { message: 0, source, .. } if **source == limit);
    let wrong: Vec<_> = errors.iter().filter(|(_, error)| !is_limit(error)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn verify_accepts_control_frames_between_responses() {
    let server =
        serve(|_, stream| [frame(PING, 0, 0, &[0; 8]).repeat(3000), right(stream)].concat());
    let generator = generator(1);
    let mut session = generator.connect(target(server.addr, 4)).unwrap();
    generator.verify(&mut session, 8).unwrap();
}

#[test]
fn connect_rejects_lane_that_does_not_read_replies() {
    const PIPELINE: u32 = 512;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || -> io::Result<()> {
        let mut stream = listener.accept()?.0;
        let preface = accept(&mut stream, &[])?;
        stream.write_all(&[preface, right(1)].concat())?;
        // So that it answers requests that were sent. `connect` sends one, `verify` a whole batch.
        while read_frame(&mut stream)?.2 < 2 * PIPELINE + 1 {}
        let pings = frame(PING, 0, 0, b"12345678").repeat(3500);
        for number in 1..=PIPELINE {
            stream.write_all(&[&pings[..], &right(2 * number + 1)].concat())?;
        }
        thread::park();
        Ok(())
    });
    let target = Target { conns: 1, ..target(addr, PIPELINE as usize) };
    let generator = impatient();
    let mut session = generator.connect(target).unwrap();
    let error = generator.verify(&mut session, u64::from(PIPELINE)).unwrap_err();
    let LoadError::Answer { source, .. } = error else { panic!("{error}") };
    assert_eq!(*source, ResponseError::RepliesUnread);
}

#[test]
fn verify_reports_received_bytes_if_lane_closes() {
    let error = verify_error(|number, stream| if number == 5 { Vec::new() } else { right(stream) });
    assert!(matches!(error, LoadError::Closed { message: 5, received: 0, .. }), "{error}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || -> io::Result<()> {
        let mut stream = listener.accept()?.0;
        let preface = accept(&mut stream, &[])?;
        let block = frame(HEADERS, END_HEADERS, 1, &head());
        let part = frame(DATA, 0, 1, &BODY[..9]);
        stream.write_all(&[preface, block, part].concat())?;
        stream.shutdown(Shutdown::Write)?;
        // Until the generator closes the connection.
        stream.read_to_end(&mut Vec::new()).map(drop)
    });
    let error = generator(1).connect(Target { conns: 1, ..target(addr, 1) }).unwrap_err();
    assert!(matches!(error, LoadError::Closed { message: 0, received: 9, .. }), "{error}");
}

#[test]
fn verify_stalls_if_stream_does_not_end() {
    let error = verify_error(|number, stream| {
        let part = frame(DATA, 0, stream, BODY);
        if_5(number, stream, &[frame(HEADERS, END_HEADERS, stream, &head()), part])
    });
    assert!(matches!(error, LoadError::Stalled { .. }), "{error}");
}

#[test]
fn connect_rejects_long_path() {
    let addr = "127.0.0.1:1".parse().unwrap();
    let path: &str = Box::leak(format!("/{}", "x".repeat(9000)).into_boxed_str());
    let http = Http { path, content_type: "text/plain", body: BODY, pipeline: 1, h2: true };
    let target = Target { traffic: Traffic::Http(http), ..target(addr, 1) };
    let error = generator(1).connect(target).unwrap_err();
    assert!(matches!(error, LoadError::Target { .. }), "{error}");
    assert!(error.to_string().contains("at most 8192 bytes"), "{error}");
}
