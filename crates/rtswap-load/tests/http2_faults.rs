//! What is made of lanes that answer requests of HTTP/2 wrongly.

mod support;

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::thread;

use rtswap_load::{Http, LoadError, Target, Traffic};
use support::http2::{
    Answering, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING,
    PUSH_PROMISE, RST_STREAM, accept, frame, head, headers, right, serve, serve_with, target,
};
use support::requests::{self, BODY};
use support::{generator, impatient};

fn found(answer: Answering) -> LoadError {
    requests::found(|| serve(answer))
}

fn wrong(answer: Answering) -> String {
    requests::wrong(|| serve(answer))
}

/// What the generator makes of a lane that begins with that.
fn greeted(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        // All of them are open until the generator closes.
        let mut streams = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.write_all(bytes);
            streams.push(stream);
        }
    });
    let error = impatient().connect(target(addr, 1)).unwrap_err();
    assert!(matches!(error, LoadError::Answer { message: 0, .. }), "{error}");
    error.to_string()
}

#[test]
fn what_is_no_http_2_is_wrong() {
    let told = greeted(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    assert!(told.contains("no HTTP/2") && told.contains("HTTP/1.1 400 Bad Request"), "{told}");
    let told = greeted(b"\0\0\0\x06\0\0\0\0\0 begins with a ping");
    assert!(told.contains("no HTTP/2"), "{told}");
    let told = greeted(b"\0\0\x05\x04\0\0\0\0\0hello");
    assert!(told.contains("its settings are none"), "{told}");
}

#[test]
fn a_lane_that_takes_fewer_requests_at_once_is_told_before_they_are_sent() {
    // MAX_CONCURRENT_STREAMS.
    let server = serve_with(&[0, 3, 0, 0, 0, 7], |_, stream| right(stream));
    let generator = generator(1);
    let mut session = generator.connect(target(server.addr, 7)).unwrap();
    generator.verify(&mut session, 10).unwrap();
    let error = generator.connect(target(server.addr, 8)).unwrap_err();
    assert!(matches!(error, LoadError::Answer { message: 0, .. }), "{error}");
    assert!(error.to_string().contains("no more than 7 of 8 requests at once"), "{error}");
}

/// The answer to request 5 is that, and the others are right.
fn if_5(number: u64, stream: u32, other: &[Vec<u8>]) -> Vec<u8> {
    if number == 5 { other.concat() } else { right(stream) }
}

#[test]
fn another_status_length_or_type_is_wrong() {
    fn with(number: u64, stream: u32, name: &str, value: &str) -> Vec<u8> {
        let mut all =
            [(":status", "200"), ("content-type", "text/plain"), ("content-length", "13")];
        all.iter_mut().filter(|(other, _)| *other == name).for_each(|header| header.1 = value);
        let block = headers(&all);
        let body = frame(DATA, END_STREAM, stream, BODY);
        if_5(number, stream, &[frame(HEADERS, END_HEADERS, stream, &block), body])
    }
    let told = wrong(|number, stream| with(number, stream, ":status", "503"));
    assert!(told.contains("its status is 503 and not 200"), "{told}");
    let told = wrong(|number, stream| with(number, stream, "content-length", "14"));
    assert!(told.contains("content-length is \"14\" and not 13"), "{told}");
    let told = wrong(|number, stream| with(number, stream, "content-type", "text/html"));
    assert!(told.contains("content-type is \"text/html\" and not text/plain"), "{told}");
}

#[test]
fn another_body_is_wrong() {
    fn with(number: u64, stream: u32, body: &[u8]) -> Vec<u8> {
        let block = frame(HEADERS, END_HEADERS, stream, &head());
        if_5(number, stream, &[block, frame(DATA, END_STREAM, stream, body)])
    }
    let told = wrong(|number, stream| with(number, stream, b"Hello, World?"));
    assert!(told.contains("byte 12 of its body is 0x3f and not 0x21"), "{told}");
    let told = wrong(|number, stream| with(number, stream, b"Hello, World"));
    assert!(told.contains("its body ends after 12 of 13 bytes"), "{told}");
    let told = wrong(|number, stream| with(number, stream, b"Hello, World!!"));
    assert!(told.contains("its body has more than 13 bytes"), "{told}");
    let told = wrong(|number, stream| {
        let flags = END_HEADERS | END_STREAM;
        if_5(number, stream, &[frame(HEADERS, flags, stream, &head())])
    });
    assert!(told.contains("its body ends after 0 of 13 bytes"), "{told}");
}

#[test]
fn headers_that_cannot_be_decoded_are_wrong() {
    let told = wrong(|number, stream| {
        // The first entry of a table that the generator does not allow.
        if_5(number, stream, &[frame(HEADERS, END_HEADERS, stream, &[0x88, 0xbe])])
    });
    assert!(told.contains("cannot be decoded without a table"), "{told}");
}

#[test]
fn frames_out_of_order_are_wrong() {
    let told = wrong(|number, stream| {
        if_5(number, stream, &[frame(DATA, END_STREAM, stream, BODY), right(stream)])
    });
    assert!(told.contains("it has a body before its headers"), "{told}");
    let told = wrong(|number, stream| {
        let block = frame(HEADERS, END_HEADERS, stream, &head());
        if_5(number, stream, &[block.clone(), block])
    });
    assert!(told.contains("it has headers again"), "{told}");
    let told = wrong(|number, stream| {
        let block = frame(HEADERS, 0, stream, &head());
        if_5(number, stream, &[block, frame(DATA, END_STREAM, stream, BODY)])
    });
    assert!(told.contains("its headers have no end"), "{told}");
    let told = wrong(|number, stream| {
        if_5(number, stream, &[frame(CONTINUATION, END_HEADERS, stream, &head())])
    });
    assert!(told.contains("headers go on that were at their end"), "{told}");
    let told =
        wrong(|number, stream| if_5(number, stream, &[frame(DATA, PADDED, stream, &[9, 0, 0])]));
    assert!(told.contains("more padding than payload"), "{told}");
}

#[test]
fn what_is_too_long_is_wrong() {
    let told =
        wrong(|number, stream| if_5(number, stream, &[frame(DATA, 0, stream, &vec![0; 16_385])]));
    assert!(told.contains("a frame has 16385 bytes, more than 16384"), "{told}");
    let told = wrong(|number, stream| {
        let block = frame(HEADERS, 0, stream, &head());
        if_5(number, stream, &[block, frame(CONTINUATION, 0, stream, &[0; 16_384])])
    });
    assert!(told.contains("its headers have more than 16384 bytes"), "{told}");
}

#[test]
fn an_answer_that_is_given_up_is_wrong() {
    let told = wrong(|number, stream| {
        if_5(number, stream, &[frame(RST_STREAM, 0, stream, &7_u32.to_be_bytes())])
    });
    assert!(told.contains("it was reset: REFUSED_STREAM"), "{told}");
    let told = wrong(|number, stream| {
        let why = [&[0; 4][..], &11_u32.to_be_bytes(), b"calm down"].concat();
        if_5(number, stream, &[frame(GOAWAY, 0, 0, &why)])
    });
    assert!(told.contains("it goes away: ENHANCE_YOUR_CALM, \"calm down\""), "{told}");
    let told = wrong(|number, stream| {
        if_5(number, stream, &[frame(PUSH_PROMISE, END_HEADERS, stream, &[0, 0, 0, 2])])
    });
    assert!(told.contains("promises what nobody had asked for"), "{told}");
}

#[test]
fn what_nobody_asked_for_is_found() {
    for (id, told) in [(2, "stream 2 "), (99, "stream 99 "), (0, "stream 0 ")] {
        let answer: Answering = match id {
            2 => |number, stream| if_5(number, stream, &[right(2)]),
            99 => |number, stream| if_5(number, stream, &[right(99)]),
            _ => |number, stream| if_5(number, stream, &[right(0)]),
        };
        let error = wrong(answer);
        assert!(error.contains(told) && error.contains("nobody had asked for"), "{error}");
    }
}

#[test]
fn an_answer_twice_is_found_within_a_batch_and_without() {
    for pipeline in [1, 8] {
        let server = serve(|_, stream| [right(stream), right(stream)].concat());
        let error = generator(1).connect(target(server.addr, pipeline)).unwrap_err();
        assert!(matches!(error, LoadError::Answer { message: 0, .. }), "{error}");
        assert!(error.to_string().contains("something came after its end"), "{error}");
    }
}

#[test]
fn a_lane_that_asks_on_and_on_and_reads_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || -> io::Result<()> {
        let mut stream = listener.accept()?.0;
        let greeting = accept(&mut stream, &[])?;
        stream.write_all(&greeting)?;
        let pings = frame(PING, 0, 0, b"12345678").repeat(1000);
        loop {
            stream.write_all(&pings)?;
        }
    });
    let error = generator(1).connect(Target { conns: 1, ..target(addr, 1) }).unwrap_err();
    assert!(matches!(error, LoadError::Answer { message: 0, .. }), "{error}");
    assert!(error.to_string().contains("does not read the replies"), "{error}");
}

#[test]
fn a_lane_that_closes_early_is_told_with_how_far_it_came() {
    let error =
        found(|number, _| if number == 5 { Vec::new() } else { right(1 + 2 * number as u32) });
    let told = error.to_string();
    assert!(matches!(error, LoadError::Closed { message: 5, received: 0, .. }), "{told}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || -> io::Result<()> {
        let mut stream = listener.accept()?.0;
        let greeting = accept(&mut stream, &[])?;
        let block = frame(HEADERS, END_HEADERS, 1, &head());
        let part = frame(DATA, 0, 1, &BODY[..9]);
        stream.write_all(&[greeting, block, part].concat())?;
        stream.shutdown(Shutdown::Write)?;
        // Until the generator closes.
        stream.read_to_end(&mut Vec::new()).map(drop)
    });
    let error = generator(1).connect(Target { conns: 1, ..target(addr, 1) }).unwrap_err();
    assert!(matches!(error, LoadError::Closed { message: 0, received: 9, .. }), "{error}");
}

#[test]
fn a_lane_that_answers_too_little_has_stalled() {
    let error = found(|number, stream| {
        let part = frame(DATA, 0, stream, BODY);
        if_5(number, stream, &[frame(HEADERS, END_HEADERS, stream, &head()), part])
    });
    assert!(matches!(error, LoadError::Stalled { .. }), "{error}");
}

#[test]
fn a_target_that_makes_no_sense_is_refused() {
    let addr = "127.0.0.1:1".parse().unwrap();
    let path: &str = Box::leak(format!("/{}", "x".repeat(9000)).into_boxed_str());
    let http = Http { path, content_type: "text/plain", body: BODY, pipeline: 1, h2: true };
    let target = Target { traffic: Traffic::Http(http), ..target(addr, 1) };
    let error = generator(1).connect(target).unwrap_err();
    assert!(matches!(error, LoadError::Target { .. }), "{error}");
    assert!(error.to_string().contains("at most 8192 bytes"), "{error}");
}
