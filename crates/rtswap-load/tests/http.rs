//! What holds for requests, with lanes that answer rightly and lanes that do not.

mod support;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rtswap_load::{Generator, Http, LoadError, Target, Traffic};
use support::generator;
use support::requests::{self, BODY, CONNS, Server};

const RIGHT: &str = "HTTP/1.1 200 OK\r\nserver: test\r\ncontent-type: text/plain\r\n\
                     content-length: 13\r\n\r\nHello, World!";

/// Answers the request of that number, from 0, on its connection. Returns whether to go on.
type Answering = fn(&mut TcpStream, u64) -> io::Result<bool>;

/// Answers requests as they come in, each by itself.
fn serve(answer: Answering) -> Server {
    Server::new(false, move |stream, asked| talk(stream, answer, asked))
}

fn talk(stream: &mut TcpStream, answer: Answering, count: &AtomicU64) -> io::Result<()> {
    let mut number = 0;
    let mut come = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let length = stream.read(&mut piece)?;
        if length == 0 {
            return Ok(());
        }
        come.extend_from_slice(&piece[..length]);
        while let Some(end) = come.windows(4).position(|window| window == b"\r\n\r\n") {
            assert!(come.starts_with(b"GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:"));
            come.drain(..end + 4);
            count.fetch_add(1, Ordering::SeqCst);
            if !answer(stream, number)? {
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

fn found(answer: Answering) -> LoadError {
    requests::found(|| serve(answer))
}

fn wrong(answer: Answering) -> String {
    requests::wrong(|| serve(answer))
}

fn exchange_all(generator: &Generator, answer: Answering) {
    requests::exchange_all(generator, || serve(answer));
}

#[test]
fn right_answers_count() {
    for threads in [1, 2] {
        exchange_all(&generator(threads), |stream, _| right(stream));
    }
}

#[test]
fn heads_may_differ_from_answer_to_answer() {
    exchange_all(&generator(1), |stream, number| {
        let date = format!("\r\nDate: {number}\r\n\r\n");
        stream.write_all(RIGHT.replace("\r\n\r\n", &date).as_bytes()).map(|()| true)
    });
}

#[test]
fn answers_may_come_byte_by_byte() {
    exchange_all(&generator(1), |stream, number| {
        for byte in RIGHT.as_bytes().chunks(1 + number as usize % 3) {
            stream.write_all(byte)?;
        }
        Ok(true)
    });
}

#[test]
fn several_answers_may_come_in_one_read_and_end_anywhere() {
    // Of eight answers that are due, pieces that end in all places.
    const BATCH: u64 = 8;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        stream.set_nodelay(true).unwrap();
        let all = RIGHT.repeat(BATCH as usize);
        let mut request = [0; 4096];
        let mut answered = false;
        for cut in 0..=all.len() {
            let (mut asked, due) = (0, if answered { BATCH as usize } else { 1 });
            while asked < due {
                let Ok(length @ 1..) = stream.read(&mut request) else { return };
                asked += request[..length].windows(5).filter(|window| window == b"GET /").count();
            }
            let all = if answered { all.as_str() } else { RIGHT };
            answered = true;
            let (one, other) = all.split_at(cut.min(all.len()));
            if stream.write_all(one.as_bytes()).is_err() {
                return;
            }
            // So that most often they are two reads.
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
fn large_bodies_come_in_many_reads() {
    static LARGE: [u8; 300_000] = [7; 300_000];
    let Server { addr, asked, .. } = serve(|stream, _| {
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
    assert_eq!(asked.load(Ordering::SeqCst), 21 * CONNS as u64);
}

#[test]
fn another_status_is_wrong() {
    let told = wrong(|stream, number| {
        let status = if number == 5 { "503 Service Unavailable" } else { "200 OK" };
        stream.write_all(RIGHT.replace("200 OK", status).as_bytes()).map(|()| true)
    });
    assert!(told.contains("503 Service Unavailable and not 200"), "{told}");
}

#[test]
fn another_body_is_wrong() {
    let told = wrong(|stream, number| {
        let text = if number == 5 { "Hello, World?" } else { "Hello, World!" };
        stream.write_all(RIGHT.replace("Hello, World!", text).as_bytes()).map(|()| true)
    });
    assert!(told.contains("byte 12 of its body is 0x3f and not 0x21"), "{told}");
}

#[test]
fn another_length_is_wrong() {
    let told = wrong(|stream, number| {
        let length = if number == 5 { "length: 14" } else { "length: 13" };
        stream.write_all(RIGHT.replace("length: 13", length).as_bytes()).map(|()| true)
    });
    assert!(told.contains("content-length is \"14\" and not 13"), "{told}");
}

#[test]
fn another_encoding_is_wrong() {
    let told = wrong(|stream, number| {
        if number != 5 {
            return right(stream);
        }
        let head = RIGHT.split("content-length").next().unwrap();
        let chunked =
            format!("{head}transfer-encoding: chunked\r\n\r\nd\r\nHello, World!\r\n0\r\n\r\n");
        stream.write_all(chunked.as_bytes()).map(|()| true)
    });
    assert!(told.contains("transfer-encoding, \"chunked\""), "{told}");
}

#[test]
fn what_is_no_http_is_wrong() {
    let told = wrong(|stream, number| {
        let text = if number == 5 { "GET / HTTP/1.1\r\n\r\n" } else { RIGHT };
        stream.write_all(text.as_bytes()).map(|()| true)
    });
    assert!(told.contains("no HTTP") && told.contains(r"GET / HTTP/1.1\r\n"), "{told}");
}

#[test]
fn a_head_without_end_is_wrong() {
    let told = wrong(|stream, number| {
        if number != 5 {
            return right(stream);
        }
        let long = format!("HTTP/1.1 200 OK\r\nlong: {}", "x".repeat(20_000));
        stream.write_all(long.as_bytes()).map(|()| true)
    });
    assert!(told.contains("more than 16384 bytes"), "{told}");
}

#[test]
fn a_surplus_is_found() {
    // After the last answer that is due.
    for pipeline in [1, 4] {
        let server = serve(|stream, number| {
            let more = if number == 0 { "HTTP/1.1 200 OK\r\n" } else { "" };
            stream.write_all((RIGHT.to_owned() + more).as_bytes()).map(|()| true)
        });
        let error = generator(1).connect(target(server.addr, pipeline)).unwrap_err();
        let told = error.to_string();
        assert!(matches!(error, LoadError::Answer { message: 0, .. }), "{told}");
        assert!(told.contains("17 bytes that nobody had asked for: \"HTTP/1.1 200 OK"), "{told}");
    }
}

#[test]
fn an_answer_twice_is_found_within_a_batch_and_without() {
    for pipeline in [1, 8] {
        let server = serve(|stream, _| Ok(right(stream)? && right(stream)?));
        let generator = generator(1);
        let error = loop {
            // It may come after the end of an attempt: then the next must find it.
            let mut session = match generator.connect(target(server.addr, pipeline)) {
                Ok(session) => session,
                Err(error) => break error,
            };
            if let Err(error) = generator.verify(&mut session, 8) {
                break error;
            }
        };
        assert!(matches!(error, LoadError::Answer { .. }), "{error}");
    }
}

#[test]
fn a_lane_that_closes_early_is_told_with_how_far_it_came() {
    let error = found(|stream, number| {
        if number != 5 {
            return right(stream);
        }
        let part = &RIGHT[..RIGHT.len() - 4];
        stream.write_all(part.as_bytes())?;
        stream.shutdown(std::net::Shutdown::Write).map(|()| true)
    });
    assert!(matches!(error, LoadError::Closed { message: 5, received: 9, .. }), "{error}");
    let error = found(|stream, number| if number == 5 { Ok(false) } else { right(stream) });
    let told = error.to_string();
    assert!(matches!(error, LoadError::Closed { message: 5, received: 0, .. }), "{told}");
}

#[test]
fn a_lane_that_says_it_will_close_is_wrong() {
    let told = wrong(|stream, number| {
        let more = if number == 5 { "\r\nconnection: close\r\n\r\n" } else { "\r\n\r\n" };
        stream.write_all(RIGHT.replace("\r\n\r\n", more).as_bytes()).map(|()| true)
    });
    assert!(told.contains("connection is \"close\" and not keep-alive"), "{told}");
}

#[test]
fn a_lane_that_answers_too_little_has_stalled() {
    let error = found(|stream, number| {
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
fn a_target_that_makes_no_sense_is_refused() {
    let addr = "127.0.0.1:1".parse().unwrap();
    let http =
        Http { path: "/plaintext", content_type: "text/plain", body: BODY, pipeline: 1, h2: false };
    for (http, told) in [
        (Http { pipeline: 0, ..http }, "requests at once is 0"),
        (Http { path: "plaintext", ..http }, "begins with `/`"),
        (Http { path: "/plain text", ..http }, "spaces"),
        (Http { body: b"", ..http }, "empty body"),
    ] {
        let target = Target { traffic: Traffic::Http(http), ..target(addr, 1) };
        let error = generator(1).connect(target).unwrap_err();
        assert!(matches!(error, LoadError::Target { .. }), "{error}");
        assert!(error.to_string().contains(told), "{error}");
    }
}
