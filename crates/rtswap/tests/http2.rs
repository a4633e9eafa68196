//! The `http` workload with `h2=true` on every runtime that works here: its responses, and that no
//! client can stop it.

mod served;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use loona_hpack::Decoder;
use rtswap::workload::Answer;
use rtswap_load::{Config, Generator, Http, Target, Traffic};
use served::{bytes_until_closed, connect, exchange, on_every_runtime, on_every_runtime_with};

const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The first bytes of a client.
fn greeting() -> Vec<u8> {
    [GREETING, &frame(SETTINGS, 0, 0, &[])].concat()
}

/// A block of headers, each spelled out.
fn headers(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let first =
        [(":method", method), (":scheme", "http"), (":path", path), (":authority", "localhost")];
    let mut block = Vec::new();
    for (name, value) in first.iter().chain(more) {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &headers("GET", path, &[]))
}

/// A client that follows the protocol.
struct Client {
    stream: TcpStream,
    /// The preface, if it is not sent yet: in one write with a request, so that no lane has to wait for it.
    greeting: Vec<u8>,
    decoder: Decoder<'static>,
}

#[derive(Default)]
struct Answered {
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Client {
    fn new(addr: SocketAddr) -> Self {
        Self { stream: connect(addr), greeting: greeting(), decoder: Decoder::new() }
    }

    fn send(&mut self, frames: &[u8]) {
        let greeting = std::mem::take(&mut self.greeting);
        self.stream.write_all(&[&greeting, frames].concat()).unwrap();
    }

    /// Kind, flags, stream and payload of the next frame.
    fn frame(&mut self) -> (u8, u8, u32, Vec<u8>) {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).unwrap();
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload).unwrap();
        (kind, flags, u32::from_be_bytes(stream), payload)
    }

    /// Waits for the windows that the lane gives, in which all bodies here fit.
    fn take_windows(&mut self) {
        self.send(&[]);
        let (mut settings, mut window) = (false, false);
        while !(settings && window) {
            let (kind, flags, ..) = self.frame();
            settings |= kind == SETTINGS && flags & ACK == 0;
            window |= kind == WINDOW_UPDATE;
        }
        self.send(&frame(SETTINGS, ACK, 0, &[]));
    }

    /// The answers on these streams, however they come.
    fn answers(&mut self, streams: &[u32]) -> BTreeMap<u32, Answered> {
        let (mut all, mut ended) = (BTreeMap::<u32, Answered>::new(), 0);
        while ended < streams.len() {
            let (kind, flags, stream, payload) = self.frame();
            match kind {
                HEADERS | DATA => {
                    assert!(streams.contains(&stream), "{stream}");
                    let answer = all.entry(stream).or_default();
                    if kind == DATA {
                        answer.body.extend(payload);
                    } else {
                        assert!(flags & END_HEADERS != 0);
                        let headers = self.decoder.decode(&payload).unwrap();
                        let text = |bytes| String::from_utf8(bytes).unwrap();
                        answer.headers = headers
                            .into_iter()
                            .map(|(name, value)| (text(name), text(value)))
                            .collect();
                    }
                    ended += usize::from(flags & END_STREAM != 0);
                }
                SETTINGS if flags & ACK == 0 => self.send(&frame(SETTINGS, ACK, 0, &[])),
                PING if flags & ACK == 0 => self.send(&frame(PING, ACK, 0, &payload)),
                // What was refused with a body to come is reset after its answer.
                RST_STREAM if !streams.contains(&stream) => {}
                RST_STREAM | GOAWAY => panic!("{kind}: {payload:?}"),
                _ => {}
            }
        }
        all
    }

    fn answer(&mut self, stream: u32) -> Answered {
        self.answers(&[stream]).remove(&stream).unwrap()
    }
}

fn assert_alive(lane: &str, addr: SocketAddr, after: &str) {
    let mut client = Client::new(addr);
    client.send(&get(1, "/plaintext"));
    let answer = client.answer(1);
    assert_eq!(answer.headers[":status"], "200", "{lane}, after {after}");
    assert_eq!(answer.body, b"Hello, World!", "{lane}, after {after}");
}

/// Sends `bytes` after the preface, half-closes, and returns the response up to the end of the connection.
fn exchange_h2(addr: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(addr);
    // A lane may close before it has read all.
    let _ = stream.write_all(&[&greeting(), bytes].concat());
    let _ = stream.shutdown(Shutdown::Write);
    bytes_until_closed(stream)
}

#[test]
fn every_path_has_its_response() {
    on_every_runtime("http/body=json/h2=true", |lane, addr| {
        let mut client = Client::new(addr);
        for (stream, path) in [(1, "/plaintext"), (3, "/json")] {
            client.send(&get(stream, path));
            let (answer, due) = (client.answer(stream), Answer::on(path).unwrap());
            assert!(answer.body == due.body, "{lane}: {path}");
            let length = due.body.len().to_string();
            for (name, value) in [
                (":status", "200"),
                ("content-type", due.content_type),
                ("content-length", &length),
                ("server", "rtswap"),
            ] {
                assert_eq!(answer.headers[name], value, "{lane}: {path}");
            }
            assert!(answer.headers.contains_key("date"), "{lane}: {:?}", answer.headers);
        }
        client.send(&get(5, "/elsewhere"));
        assert_eq!(client.answer(5).headers[":status"], "404", "{lane}");
    });
}

#[test]
fn generator_verifies_single_and_concurrent_requests() {
    let generator = Generator::new(Config::new([0])).unwrap();
    on_every_runtime("http/h2=true", |lane, addr| {
        for (body, pipeline) in [("plaintext", 1), ("plaintext", 256), ("json", 16), ("64KiB", 16)]
        {
            let Answer { path, content_type, body } = Answer::named(body);
            let http = Http { path, content_type, body, pipeline, h2: true };
            let target = Target {
                addrs: [addr].into(),
                size: body.len(),
                conns: 3,
                traffic: Traffic::Http(http),
            };
            let mut session = generator.connect(target).unwrap();
            let verified = generator.verify(&mut session, 2 * pipeline as u64);
            verified.unwrap_or_else(|error| panic!("{lane}: {path} {pipeline}: {error}"));
        }
    });
}

#[test]
fn streams_are_answered_independently() {
    on_every_runtime("http/h2=true", |lane, addr| {
        let mut client = Client::new(addr);
        // The body of the first is still to come when the others are answered.
        let post = headers("POST", "/json", &[("content-length", "4")]);
        client.send(&frame(HEADERS, END_HEADERS, 1, &post));
        client.send(&[get(3, "/plaintext"), get(5, "/json")].concat());
        let answers = client.answers(&[3, 5]);
        assert_eq!([3, 5].map(|stream| answers[&stream].body.len()), [13, 27], "{lane}");
        client.send(&frame(DATA, END_STREAM, 1, b"body"));
        assert_eq!(client.answer(1).body.len(), 27, "{lane}");
    });
}

#[test]
fn lane_refuses_other_http_version() {
    on_every_runtime("http/h2=true", |lane, addr| {
        let response = exchange(addr, b"GET /plaintext HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(!response.contains("Hello"), "{lane}: {response}");
        assert_alive(lane, addr, "HTTP/1.1");
    });
    on_every_runtime("http", |lane, addr| {
        let response = exchange_h2(addr, &get(1, "/plaintext"));
        assert!(!response.windows(5).any(|window| window == b"Hello"), "{lane}: {response:?}");
    });
}

#[test]
fn invalid_frames_are_refused_and_lane_serves_on() {
    on_every_runtime("http/h2=true", |lane, addr| {
        let _ = exchange(addr, b"\0\x01\x02 garbage that is no preface\r\n\r\n");
        assert_alive(lane, addr, "garbage");
        let _ = exchange(addr, &[GREETING, b"garbage in place of settings"].concat());
        assert_alive(lane, addr, "no settings");
        let flood: Vec<u8> = (0..400)
            .flat_map(|number| {
                let block =
                    [&[0, 5], format!("a{number:04}").as_bytes(), &[100], &[b'x'; 100]].concat();
                frame(CONTINUATION, 0, 1, &block)
            })
            .collect();
        let some = headers("GET", "/plaintext", &[]);
        let open = frame(HEADERS, END_STREAM, 1, &some);
        for (name, bytes) in [
            ("a frame that is too large", frame(HEADERS, END_HEADERS, 1, &vec![0; 16_385])),
            ("headers without end", [open.clone(), flood.clone()].concat()),
            (
                "too many headers",
                [open.clone(), flood, frame(CONTINUATION, END_HEADERS, 1, &[])].concat(),
            ),
            ("something amidst headers", [open, get(3, "/plaintext")].concat()),
            ("headers that are none", frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff; 40])),
            ("no path", frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x82, 0x86])),
            ("an even stream", get(2, "/plaintext")),
            ("a body without a request", frame(DATA, END_STREAM, 1, b"body")),
            ("settings that are none", frame(SETTINGS, 0, 0, b"12345")),
            ("half a frame", get(1, "/plaintext")[..20].to_vec()),
        ] {
            let response = exchange_h2(addr, &bytes);
            let answered = response.windows(5).any(|window| window == b"Hello");
            assert!(!answered, "{lane}: {name}: {response:?}");
            assert_alive(lane, addr, name);
        }
    });
}

#[test]
fn request_body_is_discarded_up_to_limit() {
    on_every_runtime("http/h2=true", |lane, addr| {
        let mut client = Client::new(addr);
        client.take_windows();
        // Within the limit.
        let post = headers("POST", "/plaintext", &[("content-length", "65536")]);
        client.send(&frame(HEADERS, END_HEADERS, 1, &post));
        for number in 1..=4 {
            let flags = if number == 4 { END_STREAM } else { 0 };
            client.send(&frame(DATA, flags, 1, &vec![b'x'; 16_384]));
        }
        assert_eq!(client.answer(1).headers[":status"], "200", "{lane}");
        // Beyond it, none of it is waited for, if it says how long it is; and else not all of it.
        let post = headers("POST", "/plaintext", &[("content-length", "100000000")]);
        client.send(&frame(HEADERS, END_HEADERS, 3, &post));
        assert_eq!(client.answer(3).headers[":status"], "413", "{lane}");
        let post = headers("POST", "/plaintext", &[]);
        client.send(&frame(HEADERS, END_HEADERS, 5, &post));
        for _ in 0..5 {
            client.send(&frame(DATA, 0, 5, &vec![b'x'; 16_384]));
        }
        assert_eq!(client.answer(5).headers[":status"], "413", "{lane}");
        // The connection is good for another.
        client.send(&get(7, "/json"));
        assert_eq!(client.answer(7).body.len(), 27, "{lane}");
        assert_alive(lane, addr, "long bodies");
    });
}

#[test]
fn slow_client_times_out() {
    on_every_runtime_with::<300>("http/h2=true", |lane, addr| {
        exchange(addr, b"");
        exchange(addr, &GREETING[..10]);
        exchange(addr, &greeting());
        // After a request, too: in the middle of a frame, and when it does not say that it is there.
        exchange(addr, &[greeting(), get(1, "/json"), get(3, "/json")[..30].to_vec()].concat());
        let part = frame(HEADERS, 0, 3, &headers("GET", "/json", &[]));
        exchange(addr, &[greeting(), get(1, "/json"), part].concat());
        let mut client = Client::new(addr);
        let post = headers("POST", "/json", &[("content-length", "10")]);
        client.send(&frame(HEADERS, END_HEADERS, 1, &post));
        assert_eq!(client.answer(1).headers[":status"], "408", "{lane}: half a body");
        assert_alive(lane, addr, "slow requests");
    });
}

#[test]
fn client_that_answers_ping_may_be_silent() {
    on_every_runtime_with::<1500>("http/h2=true", |lane, addr| {
        let mut client = Client::new(addr);
        client.send(&get(1, "/json"));
        assert_eq!(client.answer(1).body.len(), 27, "{lane}");
        let asked = loop {
            let (kind, flags, _, payload) = client.frame();
            match kind {
                PING if flags & ACK == 0 => break payload,
                GOAWAY => panic!("{lane} does not ask before it goes"),
                _ => {}
            }
        };
        client.send(&frame(PING, ACK, 0, &asked));
        client.send(&get(3, "/json"));
        assert_eq!(client.answer(3).body.len(), 27, "{lane}");
    });
}

#[test]
fn abandoned_connections_leave_lane_serving() {
    on_every_runtime("http/h2=true", |lane, addr| {
        // Half-closed with whole requests: they may be answered.
        exchange_h2(addr, &[get(1, "/64KiB"), get(3, "/plaintext")].concat());
        assert_alive(lane, addr, "a half-closed connection");
        // Requests that are taken back at once, on and on.
        let flood: Vec<u8> = (0..1000)
            .flat_map(|number| {
                let stream = 1 + 2 * number;
                [get(stream, "/64KiB"), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
            })
            .collect();
        exchange_h2(addr, &flood);
        assert_alive(lane, addr, "requests that were taken back");
        // Pings whose responses are not read.
        exchange_h2(addr, &frame(PING, 0, 0, b"12345678").repeat(10_000));
        assert_alive(lane, addr, "pings");
        // More requests than may be under way: those beyond are refused.
        let many: Vec<u8> = (0..1000).flat_map(|number| get(1 + 2 * number, "/64KiB")).collect();
        exchange_h2(addr, &many);
        assert_alive(lane, addr, "too many requests");
        // Clients that leave megabytes of responses unread; half of them reset the connection.
        for number in 0..20 {
            let mut stream = connect(addr);
            let _ = stream.write_all(&[greeting(), many[..many.len() / 10].to_vec()].concat());
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
