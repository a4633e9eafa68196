//! HTTP/1.1 sessions, with lanes that respond correctly and lanes that misbehave.

mod support;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rtswap_load::{Generator, Http, LoadError, ResponseError, Target, Traffic};
use support::generator;
use support::requests::{self, BODY, CONNS, Server};

const RIGHT: &str = "HTTP/1.1 200 OK\r\nserver: test\r\ncontent-type: text/plain\r\n\
                     content-length: 13\r\n\r\nHello, World!";

/// Responds to the request with a number, counted from 0 on its connection. Returns whether to serve
/// more requests.
type Respond = fn(&mut TcpStream, u64) -> io::Result<bool>;

/// Responds to each request in a write of its own.
fn serve(respond: Respond) -> Server {
    Server::new(false, move |stream, requests| handle(stream, respond, requests))
}

fn handle(stream: &mut TcpStream, respond: Respond, requests: &AtomicU64) -> io::Result<()> {
    let mut number = 0;
    let mut received = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let length = stream.read(&mut piece)?;
        if length == 0 {
            return Ok(());
        }
        received.extend_from_slice(&piece[..length]);
        while let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            assert!(received.starts_with(b"GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:"));
            received.drain(..end + 4);
            requests.fetch_add(1, Ordering::SeqCst);
            if !respond(stream, number)? {
                return Ok(());
            }
            number += 1;
        }
    }
}

fn target(addr: SocketAddr, pipeline: usize) -> Target {
    requests::target(addr, pipeline, false)
}

fn right(stream: &mut TcpStream) -> io::Result<bool> {
    stream.write_all(RIGHT.as_bytes()).map(|()| true)
}

fn verify_error(respond: Respond) -> LoadError {
    requests::verify_error(|| serve(respond))
}

fn response_error(respond: Respond) -> ResponseError {
    requests::response_error(|| serve(respond))
}

fn assert_exchanges(generator: &Generator, respond: Respond) {
    requests::assert_exchanges(generator, || serve(respond));
}

#[test]
fn session_counts_right_responses() {
    for threads in [1, 2] {
        assert_exchanges(&generator(threads), |stream, _| right(stream));
    }
}

#[test]
fn session_accepts_different_head_in_each_response() {
    assert_exchanges(&generator(1), |stream, number| {
        let date = format!("\r\nDate: {number}\r\n\r\n");
        stream.write_all(RIGHT.replace("\r\n\r\n", &date).as_bytes()).map(|()| true)
    });
}

#[test]
fn session_accepts_responses_in_pieces_of_a_few_bytes() {
    assert_exchanges(&generator(1), |stream, number| {
        for piece in RIGHT.as_bytes().chunks(1 + number as usize % 3) {
            stream.write_all(piece)?;
        }
        Ok(true)
    });
}

#[test]
fn verify_accepts_batch_of_responses_cut_anywhere() {
    // The responses of each batch come in two pieces, cut one byte later in each batch.
    const BATCH: u64 = 8;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        stream.set_nodelay(true).unwrap();
        let all = RIGHT.repeat(BATCH as usize);
        let mut request = [0; 4096];
        let mut is_first = true;
        for cut in 0..=all.len() {
            // `connect` sends a single request.
            let (mut requests, due) = (0, if is_first { 1 } else { BATCH as usize });
            while requests < due {
                let Ok(length @ 1..) = stream.read(&mut request) else { return };
                requests +=
                    request[..length].windows(5).filter(|window| window == b"GET /").count();
            }
            let all = if is_first { RIGHT } else { all.as_str() };
            is_first = false;
            let (one, other) = all.split_at(cut.min(all.len()));
            if stream.write_all(one.as_bytes()).is_err() {
                return;
            }
            // The two pieces are usually two reads.
            thread::sleep(Duration::from_micros(300));
            if stream.write_all(other.as_bytes()).is_err() {
                return;
            }
        }
    });
    let generator = generator(1);
    let one = Target { conns: 1, ..target(addr, BATCH as usize) };
    let mut session = generator.connect(one).unwrap();
    generator.verify(&mut session, (RIGHT.len() as u64 * BATCH) * BATCH).unwrap();
}

#[test]
fn verify_accepts_bodies_larger_than_read() {
    static LARGE: [u8; 300_000] = [7; 300_000];
    let Server { addr, requests, .. } = serve(|stream, _| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 300000\r\n\r\n";
        stream.write_all(head.as_bytes())?;
        stream.write_all(&LARGE).map(|()| true)
    });
    let http = Http {
        path: "/plaintext",
        content_type: "text/plain",
        body: &LARGE,
        pipeline: 4,
        h2: false,
    };
    let large = Target { traffic: Traffic::Http(http), ..target(addr, 4) };
    let generator = generator(1);
    let mut session = generator.connect(large).unwrap();
    generator.verify(&mut session, 20).unwrap();
    assert_eq!(requests.load(Ordering::SeqCst), 21 * CONNS as u64);
}

#[test]
fn verify_rejects_wrong_status() {
    let error = response_error(|stream, number| {
        let status = if number == 5 { "503 Service Unavailable" } else { "200 OK" };
        stream.write_all(RIGHT.replace("200 OK", status).as_bytes()).map(|()| true)
    });
    let found = "503 Service Unavailable".to_owned();
    assert_eq!(error, ResponseError::Status { found });
}

#[test]
fn verify_locates_wrong_byte_of_body() {
    let error = response_error(|stream, number| {
        let text = if number == 5 { "Hello, World?" } else { "Hello, World!" };
        stream.write_all(RIGHT.replace("Hello, World!", text).as_bytes()).map(|()| true)
    });
    let (found, expected) = (b'?', b'!');
    assert_eq!(error, ResponseError::BodyByte { offset: 12, found, expected });
    assert_eq!(error.to_string(), "byte 12 of the body is 0x3f, expected 0x21");
}

#[test]
fn verify_rejects_wrong_content_length() {
    let error = response_error(|stream, number| {
        let length = if number == 5 { "length: 14" } else { "length: 13" };
        stream.write_all(RIGHT.replace("length: 13", length).as_bytes()).map(|()| true)
    });
    assert_eq!(error.to_string(), "content-length is \"14\", expected 13");
}

#[test]
fn verify_rejects_chunked_body() {
    let error = response_error(|stream, number| {
        if number != 5 {
            return right(stream);
        }
        let head = RIGHT.split("content-length").next().unwrap();
        let chunked =
            format!("{head}transfer-encoding: chunked\r\n\r\nd\r\nHello, World!\r\n0\r\n\r\n");
        stream.write_all(chunked.as_bytes()).map(|()| true)
    });
    let (name, found) = ("transfer-encoding".to_owned(), "\"chunked\"".to_owned());
    assert_eq!(error, ResponseError::Encoded { name, found });
}

#[test]
fn verify_rejects_bytes_that_are_not_http() {
    let error = response_error(|stream, number| {
        let text = if number == 5 { "GET / HTTP/1.1\r\n\r\n" } else { RIGHT };
        stream.write_all(text.as_bytes()).map(|()| true)
    });
    let ResponseError::NotHttp1 { start, .. } = error else { panic!("{error}") };
    assert!(start.contains(r"GET / HTTP/1.1\r\n"), "{start}");
}

#[test]
fn verify_rejects_head_without_end() {
    let error = response_error(|stream, number| {
        if number != 5 {
            return right(stream);
        }
        let long = format!("HTTP/1.1 200 OK\r\nlong: {}", "x".repeat(20_000));
        stream.write_all(long.as_bytes()).map(|()| true)
    });
    assert_eq!(error, ResponseError::HeadersTooLong { limit_bytes: 16_384 });
}

#[test]
fn connect_rejects_responses_and_headers_without_end() {
    type IsRight = fn(&ResponseError) -> bool;
    let floods: [(&str, &str, IsRight); 4] = [
        ("", "HTTP/1.1 100 Continue\r\n\r\n", |it| matches!(it, ResponseError::Status { .. })),
        ("", "HTTP/1.1 103 Early Hints\r\na: b\r\n\r\n", |it| {
            matches!(it, ResponseError::Status { .. })
        }),
        ("HTTP/1.1 200 OK\r\n", "a: b\r\n", |it| matches!(it, ResponseError::NotHttp1 { .. })),
        ("", "\r\n", |it| matches!(it, ResponseError::HeadersTooLong { .. })),
    ];
    for (first, part, is_right) in floods {
        let server = Server::new(false, move |stream, _| {
            // The request, as the generator rejects bytes before it.
            assert!(stream.read(&mut [0; 1024])? > 0);
            stream.write_all(first.as_bytes())?;
            let parts = part.repeat((1 << 20) / part.len());
            // After this, the lane is silent, so that a generator without a limit stalls.
            for _ in 0..256 {
                stream.write_all(parts.as_bytes())?;
            }
            thread::park();
            Ok(())
        });
        let error = support::impatient().connect(server.target(1)).unwrap_err();
        let LoadError::Answer { message: 0, source, .. } = error else {
            panic!("{part:?}: {error}")
        };
        assert!(is_right(&source), "{part:?}: {source}");
    }
}

#[test]
fn connect_rejects_surplus_after_last_response() {
    for pipeline in [1, 4] {
        let server = serve(|stream, number| {
            let more = if number == 0 { "HTTP/1.1 200 OK\r\n" } else { "" };
            stream.write_all((RIGHT.to_owned() + more).as_bytes()).map(|()| true)
        });
        let error = generator(1).connect(target(server.addr, pipeline)).unwrap_err();
        let LoadError::Answer { message: 0, source, .. } = error else { panic!("{error}") };
        let ResponseError::Unrequested { surplus_bytes, start } = *source else {
            panic!("{source}")
        };
        assert_eq!((surplus_bytes, start.as_str()), (17, r#""HTTP/1.1 200 OK\r\n""#));
    }
}

#[test]
fn verify_rejects_repeated_response() {
    for pipeline in [1, 8] {
        let server = serve(|stream, _| Ok(right(stream)? && right(stream)?));
        let generator = generator(1);
        // The surplus may come after a call has returned. A later call must then find it.
        let error = match generator.connect(target(server.addr, pipeline)) {
            Ok(mut session) => (0..10)
                .find_map(|_| generator.verify(&mut session, 8).err())
                .expect("an error in one of ten calls"),
            Err(error) => error,
        };
        assert!(matches!(error, LoadError::Answer { .. }), "{error}");
    }
}

#[test]
fn verify_reports_received_bytes_if_lane_closes() {
    let error = verify_error(|stream, number| {
        if number != 5 {
            return right(stream);
        }
        let part = &RIGHT[..RIGHT.len() - 4];
        stream.write_all(part.as_bytes())?;
        stream.shutdown(std::net::Shutdown::Write).map(|()| true)
    });
    assert!(matches!(error, LoadError::Closed { message: 5, received: 9, .. }), "{error}");
    let error = verify_error(|stream, number| if number == 5 { Ok(false) } else { right(stream) });
    assert!(matches!(error, LoadError::Closed { message: 5, received: 0, .. }), "{error}");
}

#[test]
fn verify_rejects_connection_close() {
    let error = response_error(|stream, number| {
        let more = if number == 5 { "\r\nconnection: close\r\n\r\n" } else { "\r\n\r\n" };
        stream.write_all(RIGHT.replace("\r\n\r\n", more).as_bytes()).map(|()| true)
    });
    assert_eq!(error.to_string(), "connection is \"close\", expected keep-alive");
}

#[test]
fn verify_stalls_if_body_is_incomplete() {
    let error = verify_error(|stream, number| {
        if number == 5 {
            let part = &RIGHT[..RIGHT.len() - 1];
            stream.write_all(part.as_bytes())?;
            thread::sleep(Duration::from_mins(1));
        }
        right(stream)
    });
    assert!(matches!(error, LoadError::Stalled { .. }), "{error}");
}

#[test]
fn connect_rejects_invalid_target() {
    let addr = "127.0.0.1:1".parse().unwrap();
    let http =
        Http { path: "/plaintext", content_type: "text/plain", body: BODY, pipeline: 1, h2: false };
    for (http, reason) in [
        (Http { pipeline: 0, ..http }, "pipelined requests is 0"),
        (Http { path: "plaintext", ..http }, "start it with `/`"),
        (Http { path: "/plain text", ..http }, "spaces"),
        (Http { body: b"", ..http }, "body is empty"),
    ] {
        let target = Target { traffic: Traffic::Http(http), ..target(addr, 1) };
        let error = generator(1).connect(target).unwrap_err();
        assert!(matches!(error, LoadError::Target { .. }), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}
