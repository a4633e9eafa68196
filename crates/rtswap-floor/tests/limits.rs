//! What a floor refuses, and what it survives.

mod support;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use rtswap_floor::FLOORS;
use rtswap_lane::{Prepare, Refusal};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use support::{Serving, content, floor, for_each, raise_limit, round_trip};

#[test]
#[ignore = "the server's side of the other tests"]
fn serve_as_told() {
    support::serve();
}

fn refusal(name: &str, order: &Prepare) -> String {
    match (floor(name).prepare)(order) {
        Err(Refusal::Unsupported(reason)) => reason,
        other => panic!("{name}: {other:?}"),
    }
}

fn order(workload: &str) -> Prepare {
    Prepare { workload: workload.to_owned(), cpus: vec![0], ..Prepare::default() }
}

#[test]
fn what_a_floor_cannot_do_it_refuses_with_a_reason() {
    raise_limit();
    for_each(|floor| {
        let slowed = Prepare { delay_ns: 1000, ..order("tcp-echo") };
        assert!(refusal(floor.name, &slowed).contains("slowed"));
        assert!(refusal(floor.name, &order("spawn")).contains("no floor of `spawn`"));
        assert!(refusal(floor.name, &order("tcp-ecko")).contains("tcp-echo"));
    });
    for workload in ["tcp-echo/conns=1024", "idle/conns=10000", "churn/conns=600"] {
        assert!(refusal("floor-select", &order(workload)).contains("select knows 1024"));
    }
    assert!(refusal("floor-threads", &order("idle/conns=100000")).contains("threads"));
    assert!(
        refusal("floor-threads", &order("idle/conns=1/buffer=none")).contains("holds its buffer")
    );
}

#[test]
fn select_closes_what_it_has_no_room_for() {
    raise_limit();
    let serving = Serving::start(floor("floor-select"), "tcp-echo/conns=32", 1, Some(4096));
    let mut streams: Vec<_> = (0..1100).map(|_| serving.connect()).collect();
    let served = streams.iter_mut().filter_map(|stream| echoes(stream).then_some(())).count();
    assert!((900..1024).contains(&served), "{served} were served");
    drop(streams);
    serving.settles_at(64);
    round_trip(&mut serving.connect(), &content(5000, 1));
}

/// Whether it is served, and not closed.
fn echoes(stream: &mut TcpStream) -> bool {
    let message = content(64, 7);
    let mut back = [0; 64];
    let end = stream.write_all(&message).and_then(|()| stream.read_exact(&mut back));
    match end {
        Ok(()) => back[..] == message,
        Err(error) => {
            use ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
            assert!(
                matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof),
                "{error}"
            );
            false
        }
    }
}

/// Those that find no descriptor wait for one, and cost nothing meanwhile.
#[test]
fn without_descriptors_the_others_are_served_and_the_rest_wait() {
    for_each(|floor| {
        let serving = Serving::start(floor, "tcp-echo/conns=1", 1, Some(40));
        let mut first: Vec<_> = (0..60).map(|_| serving.connect()).collect();
        let waiting = first.split_off(24);
        for stream in &mut first {
            assert!(echoes(stream));
        }
        let running = (0..50).filter(|_| {
            thread::sleep(Duration::from_millis(8));
            serving.runs()
        });
        let running = running.count();
        assert!(running < 25, "{} spins: it ran {running} times out of 50", floor.name);
        assert!(echoes(&mut first[0]));
        drop(first);
        // As many as wait have no room at once either: each that was served makes room for one.
        for mut stream in waiting {
            assert!(echoes(&mut stream), "{} does not recover", floor.name);
        }
        round_trip(&mut serving.connect(), &content(5000, 1));
        serving.settles_at(16);
    });
}

#[test]
fn a_thousand_connections_are_served_at_once() {
    raise_limit();
    for_each(|floor| {
        if floor.driver == "select" {
            return;
        }
        let serving = Serving::start(floor, "idle/conns=1000", 2, None);
        let mut streams: Vec<_> = (0..1000).map(|_| serving.connect()).collect();
        for stream in &mut streams {
            stream.write_all(&content(64, 7)).unwrap();
        }
        for stream in &mut streams {
            let mut back = [0; 64];
            stream.read_exact(&mut back).unwrap();
            assert_eq!(back[..], content(64, 7));
        }
        drop(streams);
        serving.settles_at(64);
    });
}

/// `io_uring_setup`, by the one number it has on every architecture.
const IO_URING_SETUP: i64 = 425;
const EPERM: u32 = 1;

#[test]
fn where_io_uring_is_forbidden_its_floor_is_unsupported_and_says_why() {
    let rules = BTreeMap::from([(IO_URING_SETUP, Vec::new())]);
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let (allow, forbid) = (SeccompAction::Allow, SeccompAction::Errno(EPERM));
    let filter = SeccompFilter::new(rules, allow, forbid, arch).unwrap();
    let filter: BpfProgram = filter.try_into().unwrap();
    // A filter cannot be taken off: it is put on a thread of its own.
    let forbidden = thread::spawn(move || {
        seccompiler::apply_filter(&filter).unwrap();
        let available = FLOORS.iter().map(|floor| (floor.driver, (floor.available)())).collect();
        (available, refusal("floor-uring", &order("tcp-echo")))
    });
    let (available, refused): (Vec<_>, _) = forbidden.join().unwrap();
    for (driver, available) in available {
        match available {
            Ok(()) => assert_ne!(driver, "io_uring"),
            Err(error) => {
                assert_eq!(driver, "io_uring");
                assert_eq!(error.to_string(), refused);
            }
        }
    }
    assert!(refused.contains("os error 1") && refused.contains("io_uring_disabled"), "{refused}");
}
