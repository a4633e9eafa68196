//! The `http` workload on every runtime that works here: what it answers, and that no client can take it
//! down.

mod served;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use served::{connect, on_every_runtime, on_every_runtime_with, response, until_closed};

/// One answer: its head, in lower case, and its body.
fn answer(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.expect("it has a length").parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head, body)
}

fn get(addr: SocketAddr, path: &str) -> (String, Vec<u8>) {
    let mut stream = connect(addr);
    let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    answer(&mut stream)
}

fn assert_alive(lane: &str, addr: SocketAddr, after: &str) {
    let (head, body) = get(addr, "/plaintext");
    assert!(head.starts_with("http/1.1 200 ok"), "{lane}, after {after}: {head}");
    assert_eq!(body, b"Hello, World!", "{lane}, after {after}");
}

#[test]
fn every_path_is_answered_with_what_it_promises_whatever_is_measured() {
    on_every_runtime("http/body=json", |lane, addr| {
        for (path, kind) in [
            ("/plaintext", "text/plain"),
            ("/json", "application/json"),
            ("/64KiB", "application/octet-stream"),
        ] {
            let (head, body) = get(addr, path);
            assert!(head.starts_with("http/1.1 200 ok\r\n"), "{lane}: {head}");
            for line in [format!("content-type: {kind}\r\n"), "server: rtswap\r\n".to_owned()] {
                assert!(head.contains(&line), "{lane}: {line} is not in {head}");
            }
            assert!(head.contains("\r\ndate: "), "{lane}: {head}");
            let expected: &[u8] = match path {
                "/plaintext" => b"Hello, World!",
                "/json" => br#"{"message":"Hello, World!"}"#,
                _ => rtswap::workload::content(64 << 10, 0),
            };
            assert!(body == expected, "{lane}: {path}");
        }
        let (head, _) = get(addr, "/elsewhere");
        assert!(head.starts_with("http/1.1 404 not found"), "{lane}: {head}");
    });
}

#[test]
fn a_batch_of_requests_is_answered_in_order_on_one_connection() {
    on_every_runtime("http/pipeline=16", |lane, addr| {
        let mut stream = connect(addr);
        let batch: String = (0..16)
            .map(|number| if number % 2 == 0 { "plaintext" } else { "json" })
            .fold(String::new(), |all, path| all + "GET /" + path + " HTTP/1.1\r\nHost: x\r\n\r\n");
        for _ in 0..3 {
            stream.write_all(batch.as_bytes()).unwrap();
            for number in 0..16 {
                let (_, body) = answer(&mut stream);
                assert_eq!(body.len(), [13, 27][number % 2], "{lane}: {number}");
            }
        }
    });
}

#[test]
fn what_is_no_request_is_refused_and_the_lane_goes_on() {
    on_every_runtime("http", |lane, addr| {
        let long = format!("GET / HTTP/1.1\r\nHost: x\r\nlong: {}\r\n\r\n", "x".repeat(40_000));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(500));
        for (name, bytes, status) in [
            ("garbage", "\0\u{1}\u{2} garbage\r\n\r\n", "400"),
            ("no version", "GET /plaintext\r\n\r\n", "400"),
            ("a wrong length", "POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n", "400"),
            ("a long head", long.as_str(), "431"),
            ("many headers", many.as_str(), "431"),
        ] {
            let told = response(addr, bytes.as_bytes());
            // What is left unread resets the connection, and may take the answer with it.
            let refused = told.starts_with(&format!("HTTP/1.1 {status}")) || told.is_empty();
            assert!(refused, "{lane}: {name}: {told}");
            assert_alive(lane, addr, name);
        }
    });
}

#[test]
fn a_body_is_read_and_thrown_away_up_to_a_limit() {
    on_every_runtime("http", |lane, addr| {
        let mut stream = connect(addr);
        // Within the limit, the connection is good for another.
        for _ in 0..2 {
            let head = "POST /plaintext HTTP/1.1\r\nHost: x\r\ncontent-length: 65536\r\n\r\n";
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&vec![b'x'; 65_536]).unwrap();
            let (head, _) = answer(&mut stream);
            assert!(head.starts_with("http/1.1 200"), "{lane}: {head}");
        }
        // Beyond it, none of it is waited for, if it says how long it is; and else not all of it.
        let head = "POST /plaintext HTTP/1.1\r\nHost: x\r\ncontent-length: 100000000\r\n\r\n";
        let refused = response(addr, head.as_bytes());
        assert!(refused.starts_with("HTTP/1.1 413"), "{lane}: {refused}");
        assert_alive(lane, addr, "a long body");
        let mut stream = connect(addr);
        let head = "POST /plaintext HTTP/1.1\r\nHost: x\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let chunk = ["2000\r\n".as_bytes(), &[b'x'; 0x2000], b"\r\n"].concat();
        // 80 MB, if it took them: the lane has to close before that.
        let refused = (0..10_000).any(|_| stream.write_all(&chunk).is_err());
        assert!(refused, "{lane} reads on and on");
        assert_alive(lane, addr, "an endless body");
    });
}

#[test]
fn a_slow_request_is_ended() {
    on_every_runtime_with::<300>("http", |lane, addr| {
        let half = b"GET /plaintext HTTP/1.1\r\nHo";
        assert_eq!(response(addr, half), "", "{lane}: half a head");
        let late =
            response(addr, b"POST /json HTTP/1.1\r\nHost: x\r\ncontent-length: 10\r\n\r\nhalf");
        assert!(late.starts_with("HTTP/1.1 408"), "{lane}: half a body: {late}");
        assert_eq!(response(addr, b""), "", "{lane}: silence");
        // After an answer, too.
        let after = response(addr, b"GET /json HTTP/1.1\r\nHost: x\r\n\r\nGET");
        assert!(after.starts_with("HTTP/1.1 200"), "{lane}: {after}");
        assert_alive(lane, addr, "slow requests");
    });
}

#[test]
fn a_timeout_begins_anew_with_each_request() {
    on_every_runtime_with::<1500>("http", |lane, addr| {
        let mut stream = connect(addr);
        // Together they take longer than one may, and each of them far less.
        for number in 0..20 {
            stream.write_all(b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let (head, _) = answer(&mut stream);
            assert!(head.starts_with("http/1.1 200"), "{lane}: {number}: {head}");
            std::thread::sleep(Duration::from_millis(100));
        }
    });
}

#[test]
fn clients_that_leave_in_any_way_are_no_trouble() {
    on_every_runtime("http", |lane, addr| {
        let request = "GET /64KiB HTTP/1.1\r\nHost: x\r\n\r\n";
        // Half-closed with a whole request: it may be answered.
        let mut stream = connect(addr);
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let told = until_closed(stream);
        assert!(told.is_empty() || told.starts_with("HTTP/1.1 200"), "{lane}: {told}");
        // Half-closed with half of one.
        let mut stream = connect(addr);
        stream.write_all(&request.as_bytes()[..20]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let told = until_closed(stream);
        assert!(!told.starts_with("HTTP/1.1 200"), "{lane}: {told}");
        assert_alive(lane, addr, "half-closed connections");
        // Gone, with megabytes of answers that nobody reads; half of them reset.
        for number in 0..20 {
            let mut stream = connect(addr);
            stream.write_all(request.repeat(100).as_bytes()).unwrap();
            if number % 2 == 0 {
                drop(stream);
            } else {
                // With something unread, closing resets.
                stream.read_exact(&mut [0]).unwrap();
            }
        }
        assert_alive(lane, addr, "clients that left");
    });
}
