//! Sessions that open a new connection for each message.

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use rtswap_load::{Config, Generator, LoadError, Target, Traffic};
use support::churn::{Fault, serve};
use support::{config, generator, impatient};

const SIZE: usize = 1000;
const WARMUP: Duration = Duration::from_millis(5);
const WINDOW: Duration = Duration::from_millis(50);

fn churn(addr: std::net::SocketAddr, size: usize, conns: usize) -> Target {
    Target { addrs: [addr].into(), size, conns, traffic: Traffic::Churn }
}

/// The error of `verify` with a server that misbehaves from its seventh connection on.
fn verify_error(generator: &Generator, fault: Fault, conns: usize) -> LoadError {
    let server = serve(SIZE, fault, 6);
    let mut session = generator.connect(churn(server.addr, SIZE, conns)).unwrap();
    let error = generator.verify(&mut session, 100).unwrap_err();
    assert!(!session.is_open());
    error
}

#[test]
fn slice_counts_closed_connections_and_leaves_none_open() {
    for threads in [1, 2] {
        for conns in [1, 7] {
            let server = serve(64, Fault::None, 0);
            let generator = generator(threads);
            let mut session = generator.connect(churn(server.addr, 64, conns)).unwrap();
            assert_eq!(session.target().traffic, Traffic::Churn);
            for _slice in 0..3 {
                let before = server.accepted.load(Ordering::SeqCst);
                let slice = generator.slice(&mut session, WARMUP, WINDOW, || ()).unwrap();
                let accepted = server.accepted.load(Ordering::SeqCst);
                assert!(slice.ops > 0 && slice.ops <= accepted - before);
                assert_eq!(
                    server.ended.load(Ordering::SeqCst),
                    accepted,
                    "no connection stays open"
                );
                assert_eq!(slice.latency.len(), slice.ops);
            }
        }
    }
}

#[test]
fn connect_and_verify_perform_exact_number_of_operations() {
    let server = serve(SIZE, Fault::None, 0);
    let generator = generator(2);
    let mut session = generator.connect(churn(server.addr, SIZE, 5)).unwrap();
    assert_eq!(server.accepted.load(Ordering::SeqCst), 5);
    generator.verify(&mut session, 0).unwrap();
    generator.verify(&mut session, 4).unwrap();
    assert_eq!(server.accepted.load(Ordering::SeqCst), 25);
}

#[test]
fn verify_passes_messages_of_any_size() {
    let read_limit = 128 * 1024;
    for size in [1, 8, 1500, read_limit - 1, read_limit, read_limit + 1] {
        let addr = serve(size, Fault::None, 0).addr;
        let generator = generator(1);
        let mut session = generator.connect(churn(addr, size, 3)).unwrap();
        generator.verify(&mut session, 4).unwrap();
    }
}

#[test]
fn verify_passes_messages_larger_than_socket_buffers() {
    let size = 16 * 1024 * 1024;
    let server = support::serve(size, support::Fault::Pieces { bytes: 64 * 1024 });
    let generator = generator(2);
    let mut session = generator.connect(churn(server.addr, size, 2)).unwrap();
    generator.verify(&mut session, 1).unwrap();
}

#[test]
fn verify_locates_wrong_byte() {
    let error = verify_error(&generator(1), Fault::Flip, 1);
    let LoadError::Wrong { message: 6, offset, expected, found, .. } = error else {
        panic!("{error}")
    };
    assert_eq!((offset, expected ^ 1), (SIZE - 1, found));
    // One of several loops may be ahead of the others, so the number of the message varies.
    for threads in [1, 2] {
        let error = verify_error(&generator(threads), Fault::Flip, 3);
        let LoadError::Wrong { offset, expected, found, .. } = error else { panic!("{error}") };
        assert_eq!((offset, expected ^ 1), (SIZE - 1, found));
    }
}

#[test]
fn verify_rejects_surplus_before_and_after_shutdown() {
    for fault in [Fault::Surplus, Fault::LateSurplus] {
        let error = verify_error(&generator(1), fault, 1);
        assert!(matches!(error, LoadError::TooMuch { message: 6, surplus: 1, .. }), "{error}");
    }
}

#[test]
fn verify_fails_if_lane_closes_before_answer_is_complete() {
    let error = verify_error(&generator(1), Fault::Close, 1);
    assert!(matches!(error, LoadError::Closed { message: 6, received: 0, .. }), "{error}");
    let error = verify_error(&generator(1), Fault::CloseHalfway, 1);
    assert!(matches!(error, LoadError::Closed { message: 6, received: 500, .. }), "{error}");
}

#[test]
fn verify_fails_if_lane_resets() {
    for (fault, reset_in) in [(Fault::Reset, 6), (Fault::ResetAtEnd, 7)] {
        let error = verify_error(&generator(1), fault, 1);
        let LoadError::Reset { message, .. } = error else { panic!("{error}") };
        assert_eq!(message, reset_in);
    }
}

#[test]
fn verify_stalls_if_lane_does_not_close() {
    let error = verify_error(&impatient(), Fault::NeverClose, 1);
    assert!(matches!(error, LoadError::Stalled { outstanding: 1, .. }), "{error}");
}

#[test]
fn verify_fails_if_lane_stops_listening() {
    let error = verify_error(&generator(1), Fault::Vanish, 1);
    assert!(matches!(error, LoadError::Refused { opened: 7, .. }), "{error}");
}

#[test]
fn connect_fails_without_listener() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    for threads in [1, 2] {
        let error = generator(threads).connect(churn(addr, SIZE, 3)).unwrap_err();
        assert!(matches!(error, LoadError::Refused { opened: 0, .. }), "{error}");
    }
}

#[test]
fn connect_limits_pending_connections_to_half_of_backlog() {
    for threads in [1, 2] {
        let server = serve(64, Fault::Mute, 0);
        let limit = Duration::from_secs(1);
        let generator = Generator::new(Config { stall: limit, ..config(threads) }).unwrap();
        let error = generator.connect(churn(server.addr, 64, 600)).unwrap_err();
        assert!(matches!(error, LoadError::Stalled { .. }), "{error}");
        assert_eq!(server.accepted.load(Ordering::SeqCst), 512);
    }
}

#[test]
fn loops_beyond_pending_limit_take_turns() {
    let server = serve(64, Fault::None, 0);
    let generator = generator(2);
    let mut session = generator.connect(churn(server.addr, 64, 1500)).unwrap();
    generator.verify(&mut session, 1).unwrap();
    assert_eq!(server.accepted.load(Ordering::SeqCst), 3000);
    // The window ends while the first loops are served, so the others do not start.
    let slice = generator.slice(&mut session, Duration::ZERO, Duration::from_micros(1), || ());
    slice.unwrap();
    assert!(server.accepted.load(Ordering::SeqCst) < 3000 + 1500);
}

#[test]
fn verify_passes_over_ipv6_loopback() {
    let Ok(listener) = std::net::TcpListener::bind("[::1]:0") else {
        eprintln!("SKIPPED: the loopback has no IPv6 address: ip addr add ::1/128 dev lo");
        return;
    };
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = std::io::copy(&mut stream.try_clone().unwrap(), &mut stream);
        }
    });
    let generator = generator(1);
    let mut session = generator.connect(churn(addr, 64, 2)).unwrap();
    generator.verify(&mut session, 20).unwrap();
}
