//! What holds for requests of HTTP/2 with lanes that answer rightly, in every way that is right.

mod support;

use std::io::{self, Write};
use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use rtswap_load::{Generator, Http, Target, Traffic};
use support::generator;
use support::http2::{
    ACK, Answering, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PADDED, PING, PRIORITY,
    SETTINGS, WINDOW_UPDATE, accept, frame, head, headers, read_frame, right, serve, target,
};
use support::requests::{self, BODY, CONNS, Server};

fn exchange_all(generator: &Generator, answer: Answering) {
    requests::exchange_all(generator, || serve(answer));
}

#[test]
fn right_answers_count() {
    for threads in [1, 2] {
        exchange_all(&generator(threads), |_, stream| right(stream));
    }
}

#[test]
fn headers_may_differ_from_answer_to_answer() {
    exchange_all(&generator(1), |number, stream| {
        let block = [head(), headers(&[("date", &number.to_string())])].concat();
        let body = frame(DATA, END_STREAM, stream, BODY);
        [frame(HEADERS, END_HEADERS, stream, &block), body].concat()
    });
}

#[test]
fn an_answer_may_be_cut_into_frames_and_padded_in_every_way() {
    exchange_all(&generator(1), |number, stream| {
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
fn what_is_about_the_connection_may_come_anywhere() {
    exchange_all(&generator(1), |_, stream| {
        [
            frame(PING, 0, 0, b"12345678"),
            frame(SETTINGS, 0, 0, &[]),
            frame(HEADERS, END_HEADERS, stream, &head()),
            frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()),
            frame(WINDOW_UPDATE, 0, stream, &1_u32.to_be_bytes()),
            frame(DATA, 0, stream, &BODY[..5]),
            // Of a kind that nobody knows.
            frame(0xbb, 0xff, 7, b"what?"),
            frame(DATA, END_STREAM, stream, &BODY[5..]),
            frame(PING, ACK, 0, b"12345678"),
        ]
        .concat()
    });
}

#[test]
fn what_the_lane_asks_is_answered_while_nothing_else_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let lane = thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let greeting = accept(&mut stream, &[]).unwrap();
        stream.write_all(&greeting).unwrap();
        let (mut settled, mut pongs, mut asked) = (0, Vec::new(), 0);
        // The one after the last answer may go without a reply.
        while asked < 4 || pongs.len() < 7 {
            let (kind, flags, id, payload) = read_frame(&mut stream).unwrap();
            match kind {
                HEADERS => {
                    asked += 1;
                    let [before, after] =
                        [1, 2].map(|nth| frame(PING, 0, 0, &[id as u8, nth].repeat(4)));
                    stream.write_all(&[before, right(id), after].concat()).unwrap();
                }
                SETTINGS => {
                    assert_eq!(flags, ACK);
                    settled += 1;
                }
                PING => {
                    assert_eq!(flags, ACK);
                    pongs.push([payload[0], payload[1]]);
                }
                _ => {}
            }
        }
        assert_eq!(settled, 1);
        assert_eq!(pongs[..7], [[1, 1], [1, 2], [3, 1], [3, 2], [5, 1], [5, 2], [7, 1]]);
        // Open for as long as the generator is at it.
        stream
    });
    let generator = generator(1);
    let mut session = generator.connect(Target { conns: 1, ..target(addr, 1) }).unwrap();
    generator.verify(&mut session, 2).unwrap();
    generator.verify(&mut session, 1).unwrap();
    drop(lane.join().unwrap());
}

/// A batch of eight is answered on one connection as `answer` has it, for as long as it goes on.
fn in_batches(answer: impl Fn(&[u32], u64) -> Vec<Vec<u8>> + Send + 'static, batches: u64) {
    const BATCH: usize = 8;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || -> io::Result<()> {
        let mut stream = listener.accept()?.0;
        stream.set_nodelay(true)?;
        let greeting = accept(&mut stream, &[])?;
        stream.write_all(&greeting)?;
        for number in 0.. {
            let due = if number == 0 { 1 } else { BATCH };
            let mut asked = Vec::new();
            while asked.len() < due {
                let (kind, _, id, _) = read_frame(&mut stream)?;
                asked.extend((kind == HEADERS).then_some(id));
            }
            for piece in answer(&asked, number) {
                stream.write_all(&piece)?;
                // So that most often they are reads of their own.
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
fn several_answers_may_come_in_one_read_and_end_anywhere() {
    let length = 8 * right(1).len() as u64;
    let answer = |asked: &[u32], number: u64| {
        let all: Vec<u8> = asked.iter().flat_map(|&id| right(id)).collect();
        let (one, other) = all.split_at(all.len().min(number as usize));
        vec![one.to_vec(), other.to_vec()]
    };
    in_batches(answer, length);
}

#[test]
fn answers_of_a_batch_may_come_in_any_order_and_mixed() {
    let answer = |asked: &[u32], number: u64| {
        let mut asked = asked.to_vec();
        let by = number as usize % asked.len();
        asked.rotate_left(by);
        let all = asked.iter().map(|&id| frame(HEADERS, END_HEADERS, id, &head()));
        let bodies = BODY.chunks(4).flat_map(|piece| {
            let ends = if piece.len() < 4 { END_STREAM } else { 0 };
            asked.iter().rev().map(move |&id| frame(DATA, ends, id, piece))
        });
        all.chain(bodies).collect()
    };
    in_batches(answer, 16);
}

#[test]
fn bodies_beyond_every_window_that_one_has_at_first_are_taken_in() {
    static LARGE: [u8; 300_000] = [7; 300_000];
    let Server { addr, asked, .. } = serve(|_, stream| {
        let length = ("content-length", "300000");
        let block = headers(&[(":status", "200"), ("content-type", "text/plain"), length]);
        let mut answer = frame(HEADERS, END_HEADERS, stream, &block);
        for piece in LARGE.chunks(16_384) {
            answer.extend(frame(DATA, 0, stream, piece));
        }
        [answer, frame(DATA, END_STREAM, stream, &[])].concat()
    });
    let (path, content_type) = ("/plaintext", "text/plain");
    let http = Http { path, content_type, body: &LARGE, pipeline: 4, h2: true };
    let large = Target { traffic: Traffic::Http(http), ..target(addr, 4) };
    let generator = generator(1);
    let mut session = generator.connect(large).unwrap();
    generator.verify(&mut session, 20).unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 21 * CONNS as u64);
}
