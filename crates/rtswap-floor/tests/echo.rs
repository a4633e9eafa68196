//! What every floor owes to its clients.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use support::{Serving, content, for_each, round_trip};

const ECHO: &str = "tcp-echo/size=1024/conns=32";
const LARGE: &str = "tcp-echo/size=102400/conns=32";
/// No power of two, and each read fills the buffer.
const EXACT: &str = "tcp-echo/size=1000/conns=32/buffer=exact";

#[test]
#[ignore = "the server's side of the other tests"]
fn serve_as_told() {
    support::serve();
}

/// Of both buffer sizes, with one shard and with several.
#[test]
fn what_is_sent_comes_back() {
    const SIZES: [usize; 12] =
        [1, 2, 63, 1024, 4095, 4096, 4097, 65_536, 65_537, 102_400, 1 << 20, 1];
    for_each(|floor| {
        for (workload, cpus) in [(ECHO, 1), (LARGE, 2), (ECHO, 4), (EXACT, 1)] {
            let serving = Serving::start(floor, workload, cpus, None);
            assert_eq!(serving.shards, if floor.driver == "threads" { 1 } else { cpus });
            thread::scope(|scope| {
                for number in 0..12 {
                    let mut stream = serving.connect();
                    scope.spawn(move || {
                        for (turn, size) in SIZES.iter().cycle().take(36).enumerate() {
                            round_trip(&mut stream, &content(*size, number * 1000 + turn));
                        }
                    });
                }
            });
        }
    });
}

#[test]
fn a_client_that_sends_no_more_gets_the_rest_and_then_the_end() {
    for_each(|floor| {
        let serving = Serving::start(floor, ECHO, 1, None);
        let before = serving.descriptors();
        for len in [0, 1, 5000, 300_000] {
            let mut stream = serving.connect();
            let message = content(len, len);
            stream.write_all(&message).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut back = Vec::new();
            stream.read_to_end(&mut back).unwrap();
            assert!(back == message, "{} of {len} bytes", back.len());
            drop(stream);
            serving.settles_at(before);
        }
    });
}

#[test]
fn a_client_that_resets_its_connection_hurts_nobody() {
    for_each(|floor| {
        let serving = Serving::start(floor, ECHO, 1, None);
        let before = serving.descriptors();
        let mut witness = serving.connect();
        for number in 0..64 {
            let mut stream = serving.connect();
            // With answers unread, closing is a reset. Every other one has more on its way.
            stream.write_all(&content(1024, number)).unwrap();
            wait_for_answer(&stream);
            if number % 2 == 0 {
                stream.write_all(&content(100_000, number)).unwrap();
            }
            drop(stream);
            round_trip(&mut witness, &content(1024, number));
        }
        drop(witness);
        serving.settles_at(before);
    });
}

/// A receive with a timeout is not restarted by the kernel after a stop (`signal(7)`).
fn wait_for_answer(stream: &TcpStream) {
    loop {
        match stream.peek(&mut [0]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            received => return assert_eq!(received.unwrap(), 1),
        }
    }
}

#[test]
fn connections_in_sequence_leave_nothing_behind() {
    for_each(|floor| {
        let serving = Serving::start(floor, "churn/conns=1", 1, None);
        let before = (serving.descriptors(), serving.status("Threads"));
        for number in 0..2000 {
            round_trip_once(&serving, number);
        }
        serving.settles_at(before.0);
        assert!(serving.status("Threads") <= before.1 + 1, "threads are left");
        assert!(serving.status("VmRSS") < 64 << 10, "memory is left");
    });
}

fn round_trip_once(serving: &Serving, number: usize) {
    let mut stream = serving.connect();
    let message = content(64, number);
    stream.write_all(&message).unwrap();
    let mut back = [0; 64];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(back[..], message);
}

/// More than the kernel holds for them: the server must stop reading, keep little itself, go on with
/// the others, and lose nothing.
#[test]
fn clients_that_do_not_read_are_waited_for() {
    const BYTES: usize = 24 << 20;
    const CLIENTS: usize = 3;
    for_each(|floor| {
        let serving = Serving::start(floor, LARGE, 1, None);
        let mut witness = serving.connect();
        round_trip(&mut witness, &content(102_400, 0));
        let before = serving.status("VmRSS");
        thread::scope(|scope| {
            let readers: Vec<_> = (0..CLIENTS)
                .map(|number| {
                    let mut writer = serving.connect();
                    let reader = writer.try_clone().unwrap();
                    scope.spawn(move || writer.write_all(&content(BYTES, number)).unwrap());
                    reader
                })
                .collect();
            for turn in 0..20 {
                thread::sleep(Duration::from_millis(20));
                round_trip(&mut witness, &content(102_400, turn));
            }
            let grown = serving.status("VmRSS").saturating_sub(before);
            assert!(grown < 8 << 10, "{} holds {grown} KiB more", floor.name);
            for (number, mut reader) in readers.into_iter().enumerate() {
                let mut back = vec![0; BYTES];
                reader.read_exact(&mut back).unwrap();
                assert!(back == content(BYTES, number), "data was lost");
            }
        });
    });
}
