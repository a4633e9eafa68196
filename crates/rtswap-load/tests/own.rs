//! Requests of the user's own.

mod support;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rtswap_load::{Exchange, LoadError, ResponseError, Target, Traffic, first_answers};
use rtswap_schema::record::HttpRequest;
use support::requests::{CONNS, Server};
use support::{generator, impatient};

const BODY: &[u8] = b"user 7";
const LENGTH: &str = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nuser 7";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                       4\r\nuser\r\n2;x\r\n 7\r\n0\r\nx: y\r\n\r\n";

fn request() -> HttpRequest {
    HttpRequest {
        method: "POST".to_owned(),
        payload: Some("a\r\n\r\nb".to_owned()),
        ..HttpRequest::get("/users/7?x=1")
    }
}

const REQUEST_END: &[u8] = b"Content-Length: 6\r\n\r\na\r\n\r\nb";

/// Answers request `n` of a connection with `answer(n)`; a pause between its parts. Ends the connection without one.
fn serve(answer: impl Fn(u64) -> Option<Vec<String>> + Clone + Send + 'static) -> Server {
    Server::new(false, move |stream: &mut TcpStream, counter: &AtomicU64| {
        let mut received = Vec::new();
        for number in 0.. {
            while !received.windows(REQUEST_END.len()).any(|window| window == REQUEST_END) {
                let mut buffer = [0; 4096];
                let count = std::io::Read::read(stream, &mut buffer)?;
                if count == 0 {
                    return Ok(());
                }
                received.extend_from_slice(&buffer[..count]);
            }
            assert!(received.starts_with(b"POST /users/7?x=1 HTTP/1.1\r\nHost: 127.0.0.1:"));
            let end = received.windows(REQUEST_END.len()).position(|it| it == REQUEST_END);
            received.drain(..end.unwrap() + REQUEST_END.len());
            counter.fetch_add(1, Ordering::SeqCst);
            let Some(parts) = answer(number) else { return Ok(()) };
            for (at, part) in parts.iter().enumerate() {
                if at > 0 {
                    std::thread::sleep(Duration::from_millis(2));
                }
                stream.write_all(part.as_bytes())?;
            }
        }
        Ok(())
    })
}

fn exchange(body: Option<&[u8]>) -> Exchange {
    let body = body.map(Arc::from);
    Exchange { request: request(), status: 200, body, origin: "as stated".to_owned() }
}

fn target(addr: SocketAddr, exchange: Exchange, pipeline: usize) -> Target {
    let traffic = Traffic::Own { exchange: Arc::new(exchange), pipeline };
    Target { addrs: [addr].into(), size: 1, conns: CONNS, traffic }
}

/// What the generator finds wrong where the answer to request 5 is this one.
fn error(right: &'static str, wrong: &'static str) -> String {
    let server = serve(move |n| Some(vec![if n == 5 { wrong } else { right }.to_owned()]));
    let mut session = impatient().connect(target(server.addr, exchange(Some(BODY)), 1)).unwrap();
    let error = impatient().verify(&mut session, 20).unwrap_err();
    let LoadError::Answer { message: 5, source, .. } = error else { panic!("{error}") };
    let ResponseError::NotAsExpected { source, origin } = *source else { panic!("{source}") };
    assert_eq!(origin, "as stated");
    source.to_string()
}

#[test]
fn exchange_accepts_length_and_chunks_in_any_parts() {
    for right in [LENGTH, CHUNKED] {
        for pipeline in [1, 4] {
            let server = serve(move |n| {
                let at = n as usize % right.len();
                Some(vec![right[..at].to_owned(), right[at..].to_owned()])
            });
            let generator = generator(1);
            let to = target(server.addr, exchange(Some(BODY)), pipeline);
            let mut session = generator.connect(to).unwrap();
            generator.verify(&mut session, right.len() as u64 + 1).unwrap();
            let requests = server.requests.load(Ordering::SeqCst);
            assert_eq!(requests, (right.len() as u64 + 2) * CONNS as u64);
        }
    }
}

#[test]
fn exchange_counts_operations_of_slice() {
    let server = serve(|n| Some(vec![if n % 2 == 0 { LENGTH } else { CHUNKED }.to_owned()]));
    let generator = generator(1);
    let mut session = generator.connect(target(server.addr, exchange(Some(BODY)), 1)).unwrap();
    let window = Duration::from_millis(20);
    let slice = generator.slice(&mut session, Duration::ZERO, window, || ()).unwrap();
    assert!(slice.ops > 0 && slice.ops <= server.requests.load(Ordering::SeqCst));
}

#[test]
fn exchange_without_expected_body_accepts_any() {
    let server = serve(|n| {
        let body = "x".repeat(n as usize % 40);
        Some(vec![format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())])
    });
    let generator = generator(1);
    let mut session = generator.connect(target(server.addr, exchange(None), 4)).unwrap();
    generator.verify(&mut session, 100).unwrap();
}

#[test]
fn exchange_rejects_other_answers() {
    let wrong = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nuser 8";
    assert_eq!(error(LENGTH, wrong), "byte 5 of the body is 0x38, expected 0x37");
    let wrong = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nuser ";
    assert_eq!(error(LENGTH, wrong), "content-length is 5, expected 6");
    let wrong = "HTTP/1.1 500 No\r\ncontent-length: 6\r\n\r\nuser 7";
    assert_eq!(error(LENGTH, wrong), "status is 500 No, expected 200");
    let wrong = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nuser\r\n0\r\n\r\n";
    assert_eq!(error(CHUNKED, wrong), "body ends after 4 of 6 bytes");
    let wrong = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n7\r\nuser 78\r\n0\r\n\r\n";
    assert_eq!(error(CHUNKED, wrong), "body exceeds 6 bytes");
    let wrong = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nuser 8\r\n0\r\n\r\n";
    assert_eq!(error(CHUNKED, wrong), "byte 5 of the body is 0x38, expected 0x37");
    let wrong = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nuser 7";
    assert_eq!(error(CHUNKED, wrong), "malformed chunk of the body: \"user 7\"");
    assert!(error(LENGTH, "garbage\r\n\r\n").starts_with("not an HTTP/1 response"));
}

#[test]
fn first_answers_asks_twice_on_one_connection() {
    for right in [LENGTH, CHUNKED] {
        let server = serve(move |_| Some(vec![right[..30].to_owned(), right[30..].to_owned()]));
        let both = first_answers(server.addr, &request(), Duration::from_secs(10)).unwrap();
        for answer in both {
            assert_eq!((answer.status, answer.body.as_slice()), (200, BODY));
        }
        assert_eq!(server.requests.load(Ordering::SeqCst), 2);
    }
}

#[test]
fn first_answers_reports_closed_connection_and_silence() {
    for answers in [0, 1] {
        let server = serve(move |n| (n < answers).then(|| vec![LENGTH.to_owned()]));
        let error = first_answers(server.addr, &request(), Duration::from_secs(10)).unwrap_err();
        assert!(
            matches!(error, LoadError::Closed { message, received: 0, .. } if message == answers),
            "{error}"
        );
    }
    let server = serve(|_| Some(Vec::new()));
    let error = first_answers(server.addr, &request(), Duration::from_millis(50)).unwrap_err();
    assert!(matches!(error, LoadError::Stalled { .. }), "{error}");
}
