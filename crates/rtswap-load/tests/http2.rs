//! HTTP/2 sessions with lanes that respond correctly, in all forms that the RFC allows.

mod support;

use std::io::{self, Write};
use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use rtswap_load::{Generator, Http, Target, Traffic};
use support::generator;
use support::http2::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PADDED, PING, PRIORITY, Respond,
    SETTINGS, WINDOW_UPDATE, accept, frame, head, headers, read_frame, right, serve, target,
};
use support::requests::{self, BODY, CONNS, Server};

fn assert_exchanges(generator: &Generator, respond: Respond) {
    requests::assert_exchanges(generator, || serve(respond));
}

#[test]
fn session_counts_right_responses() {
    for threads in [1, 2] {
        assert_exchanges(&generator(threads), |_, stream| right(stream));
    }
}

#[test]
fn session_accepts_different_headers_in_each_response() {
    assert_exchanges(&generator(1), |number, stream| {
        let block = [head(), headers(&[("date", &number.to_string())])].concat();
        let body = frame(DATA, END_STREAM, stream, BODY);
        [frame(HEADERS, END_HEADERS, stream, &block), body].concat()
    });
}

#[test]
fn session_accepts_continuations_padding_and_priority() {
    assert_exchanges(&generator(1), |number, stream| {
        let (block, more) = (head(), number as usize % 7);
        let (one, other) = block.split_at(block.len() / 7 * more);
        let padded = [&[3, 0, 0, 0, 0, 9], one, b"pad"].concat();
        [
            frame(HEADERS, PADDED | PRIORITY, stream, &padded),
            frame(CONTINUATION, 0, stream, &[]),
            frame(CONTINUATION, END_HEADERS, stream, other),
            frame(DATA, 0, stream, &BODY[..more]),
            frame(DATA, PADDED, stream, &[&[2], &BODY[more..], b"  "].concat()),
            frame(DATA, END_STREAM, stream, &[]),
        ]
        .concat()
    });
}

#[test]
fn session_accepts_control_and_unknown_frames_anywhere() {
    assert_exchanges(&generator(1), |_, stream| {
        [
            frame(PING, 0, 0, b"12345678"),
            frame(SETTINGS, 0, 0, &[]),
            frame(HEADERS, END_HEADERS, stream, &head()),
            frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()),
            frame(WINDOW_UPDATE, 0, stream, &1_u32.to_be_bytes()),
            frame(DATA, 0, stream, &BODY[..5]),
            // A frame of an unknown kind.
            frame(0xbb, 0xff, 7, b"what?"),
            frame(DATA, END_STREAM, stream, &BODY[5..]),
            frame(PING, ACK, 0, b"12345678"),
        ]
        .concat()
    });
}

#[test]
fn session_replies_to_settings_and_pings() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let lane = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let preface = accept(&mut stream, &[]).unwrap();
        stream.write_all(&preface).unwrap();
        let (mut settings_acks, mut pongs, mut requests) = (0, Vec::new(), 0);
        // The ping after the last response may remain without a reply.
        while requests < 4 || pongs.len() < 7 {
            let (kind, flags, id, payload) = read_frame(&mut stream).unwrap();
            match kind {
                HEADERS => {
                    requests += 1;
                    let [before, after] =
                        [1, 2].map(|nth| frame(PING, 0, 0, &[id as u8, nth].repeat(4)));
                    stream.write_all(&[before, right(id), after].concat()).unwrap();
                }
                SETTINGS => {
                    assert_eq!(flags, ACK);
                    settings_acks += 1;
                }
                PING => {
                    assert_eq!(flags, ACK);
                    pongs.push([payload[0], payload[1]]);
                }
                _ => {}
            }
        }
        assert_eq!(settings_acks, 1);
        assert_eq!(pongs[..7], [[1, 1], [1, 2], [3, 1], [3, 2], [5, 1], [5, 2], [7, 1]]);
        // The connection stays open until the session ends.
        stream
    });
    let generator = generator(1);
    let mut session = generator.connect(Target { conns: 1, ..target(addr, 1) }).unwrap();
    generator.verify(&mut session, 2).unwrap();
    generator.verify(&mut session, 1).unwrap();
    drop(lane.join().unwrap());
}

/// Verifies so many batches of eight requests on one connection. `respond` returns the pieces of the
/// responses to the streams of one batch.
fn verify_batches(respond: impl Fn(&[u32], u64) -> Vec<Vec<u8>> + Send + 'static, batches: u64) {
    const BATCH: usize = 8;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || -> io::Result<()> {
        let mut stream = listener.accept()?.0;
        stream.set_nodelay(true)?;
        let preface = accept(&mut stream, &[])?;
        stream.write_all(&preface)?;
        for number in 0.. {
            let due = if number == 0 { 1 } else { BATCH };
            let mut streams = Vec::new();
            while streams.len() < due {
                let (kind, _, id, _) = read_frame(&mut stream)?;
                streams.extend((kind == HEADERS).then_some(id));
            }
            for piece in respond(&streams, number) {
                stream.write_all(&piece)?;
                // Each piece is usually a read of its own.
                thread::sleep(Duration::from_micros(300));
            }
        }
        Ok(())
    });
    let generator = generator(1);
    let mut session = generator.connect(Target { conns: 1, ..target(addr, BATCH) }).unwrap();
    generator.verify(&mut session, batches * BATCH as u64).unwrap();
}

#[test]
fn verify_accepts_batch_of_responses_cut_anywhere() {
    let length = 8 * right(1).len() as u64;
    let respond = |streams: &[u32], number: u64| {
        let all: Vec<u8> = streams.iter().flat_map(|&id| right(id)).collect();
        let (one, other) = all.split_at(all.len().min(number as usize));
        vec![one.to_vec(), other.to_vec()]
    };
    verify_batches(respond, length);
}

#[test]
fn verify_accepts_interleaved_responses_in_any_order() {
    let respond = |streams: &[u32], number: u64| {
        let mut streams = streams.to_vec();
        let by = number as usize % streams.len();
        streams.rotate_left(by);
        let all = streams.iter().map(|&id| frame(HEADERS, END_HEADERS, id, &head()));
        let bodies = BODY.chunks(4).flat_map(|piece| {
            let ends = if piece.len() < 4 { END_STREAM } else { 0 };
            streams.iter().rev().map(move |&id| frame(DATA, ends, id, piece))
        });
        all.chain(bodies).collect()
    };
    verify_batches(respond, 16);
}

#[test]
fn verify_accepts_bodies_larger_than_initial_window() {
    static LARGE: [u8; 300_000] = [7; 300_000];
    let Server { addr, requests, .. } = serve(|_, stream| {
        let length = ("content-length", "300000");
        let block = headers(&[(":status", "200"), ("content-type", "text/plain"), length]);
        let mut response = frame(HEADERS, END_HEADERS, stream, &block);
        for piece in LARGE.chunks(16_384) {
            response.extend(frame(DATA, 0, stream, piece));
        }
        [response, frame(DATA, END_STREAM, stream, &[])].concat()
    });
    let (path, content_type) = ("/plaintext", "text/plain");
    let http = Http { path, content_type, body: &LARGE, pipeline: 4, h2: true };
    let large = Target { traffic: Traffic::Http(http), ..target(addr, 4) };
    let generator = generator(1);
    let mut session = generator.connect(large).unwrap();
    generator.verify(&mut session, 20).unwrap();
    assert_eq!(requests.load(Ordering::SeqCst), 21 * CONNS as u64);
}
