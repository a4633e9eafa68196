//! What holds where each message has a connection of its own.

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use rtswap_load::{Config, Generator, LoadError, Target, Traffic};
use support::churn::{Oddity, serve};
use support::{config, generator, impatient};

const SIZE: usize = 1000;
const WARMUP: Duration = Duration::from_millis(5);
const WINDOW: Duration = Duration::from_millis(50);

fn churn(addr: std::net::SocketAddr, size: usize, conns: usize) -> Target {
    Target { addr, size, conns, traffic: Traffic::Churn }
}

/// What verifying makes of a server whose seventh connection and all after it are odd.
fn error_of(generator: &Generator, oddity: Oddity, conns: usize) -> LoadError {
    let server = serve(SIZE, oddity, 6);
    let mut session = generator.connect(churn(server.addr, SIZE, conns)).unwrap();
    let error = generator.verify(&mut session, 100).unwrap_err();
    assert!(!session.is_open());
    error
}

#[test]
fn a_slice_leaves_no_connection_behind_and_counts_what_was_closed_in_the_window() {
    for threads in [1, 2] {
        for conns in [1, 7] {
            let server = serve(64, Oddity::None, 0);
            let generator = generator(threads);
            let mut session = generator.connect(churn(server.addr, 64, conns)).unwrap();
            assert_eq!(session.target().traffic, Traffic::Churn);
            for _slice in 0..3 {
                let before = server.taken.load(Ordering::SeqCst);
                let slice = generator.slice(&mut session, WARMUP, WINDOW, || ()).unwrap();
                let taken = server.taken.load(Ordering::SeqCst);
                assert!(slice.ops > 0 && slice.ops <= taken - before);
                assert_eq!(server.ended.load(Ordering::SeqCst), taken, "none is left behind");
                assert_eq!(slice.latency.len(), slice.ops);
            }
        }
    }
}

#[test]
fn connecting_and_verifying_do_exactly_as_many_operations_as_asked() {
    let server = serve(SIZE, Oddity::None, 0);
    let generator = generator(2);
    let mut session = generator.connect(churn(server.addr, SIZE, 5)).unwrap();
    assert_eq!(server.taken.load(Ordering::SeqCst), 5);
    generator.verify(&mut session, 0).unwrap();
    generator.verify(&mut session, 4).unwrap();
    assert_eq!(server.taken.load(Ordering::SeqCst), 25);
}

#[test]
fn any_size_of_message_passes() {
    let read_limit = 128 * 1024;
    for size in [1, 8, 1500, read_limit - 1, read_limit, read_limit + 1] {
        let addr = serve(size, Oddity::None, 0).addr;
        let generator = generator(1);
        let mut session = generator.connect(churn(addr, size, 3)).unwrap();
        generator.verify(&mut session, 4).unwrap();
    }
}

#[test]
fn messages_beyond_the_socket_buffers_pass() {
    let size = 16 * 1024 * 1024;
    let server = support::serve(size, support::Fault::Pieces { bytes: 64 * 1024 });
    let generator = generator(2);
    let mut session = generator.connect(churn(server.addr, size, 2)).unwrap();
    generator.verify(&mut session, 1).unwrap();
}

#[test]
fn a_wrong_answer_is_found_where_it_is() {
    let error = error_of(&generator(1), Oddity::Flip, 1);
    let LoadError::Wrong { message: 6, offset, expected, found, .. } = error else {
        panic!("{error}")
    };
    assert_eq!((offset, expected ^ 1), (SIZE - 1, found));
    // Of several loops one may be ahead of the others, so which of its messages it is is open.
    for threads in [1, 2] {
        let error = error_of(&generator(threads), Oddity::Flip, 3);
        let LoadError::Wrong { offset, expected, found, .. } = error else { panic!("{error}") };
        assert_eq!((offset, expected ^ 1), (SIZE - 1, found));
    }
}

#[test]
fn a_surplus_is_found_whenever_it_comes() {
    for oddity in [Oddity::Surplus, Oddity::LateSurplus] {
        let error = error_of(&generator(1), oddity, 1);
        assert!(matches!(error, LoadError::TooMuch { message: 6, surplus: 1, .. }), "{error}");
    }
}

#[test]
fn a_lane_that_closes_before_it_has_answered_is_an_error_at_once() {
    let error = error_of(&generator(1), Oddity::Close, 1);
    assert!(matches!(error, LoadError::Closed { message: 6, received: 0, .. }), "{error}");
    let error = error_of(&generator(1), Oddity::CloseHalfway, 1);
    assert!(matches!(error, LoadError::Closed { message: 6, received: 500, .. }), "{error}");
}

#[test]
fn a_lane_that_resets_is_an_error_at_once() {
    for (oddity, reset_in) in [(Oddity::Reset, 6), (Oddity::ResetAtEnd, 7)] {
        let error = error_of(&generator(1), oddity, 1);
        let LoadError::Reset { message, .. } = error else { panic!("{error}") };
        assert_eq!(message, reset_in);
    }
}

#[test]
fn a_lane_that_never_closes_has_stalled() {
    let error = error_of(&impatient(), Oddity::NeverClose, 1);
    assert!(matches!(error, LoadError::Stalled { outstanding: 1, .. }), "{error}");
}

#[test]
fn a_lane_that_stops_listening_is_refused() {
    let error = error_of(&generator(1), Oddity::Vanish, 1);
    assert!(matches!(error, LoadError::Refused { opened: 7, .. }), "{error}");
}

#[test]
fn nobody_listening_is_refused() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    for threads in [1, 2] {
        let error = generator(threads).connect(churn(addr, SIZE, 3)).unwrap_err();
        assert!(matches!(error, LoadError::Refused { opened: 0, .. }), "{error}");
    }
}

#[test]
fn no_more_connections_wait_for_their_answer_than_a_lane_can_queue() {
    for threads in [1, 2] {
        let server = serve(64, Oddity::Mute, 0);
        let limit = Duration::from_secs(1);
        let generator = Generator::new(Config { stall: limit, ..config(threads) }).unwrap();
        let error = generator.connect(churn(server.addr, 64, 600)).unwrap_err();
        assert!(matches!(error, LoadError::Stalled { .. }), "{error}");
        assert_eq!(server.taken.load(Ordering::SeqCst), 512);
    }
}

#[test]
fn more_loops_than_that_take_turns() {
    let server = serve(64, Oddity::None, 0);
    let generator = generator(2);
    let mut session = generator.connect(churn(server.addr, 64, 1500)).unwrap();
    generator.verify(&mut session, 1).unwrap();
    assert_eq!(server.taken.load(Ordering::SeqCst), 3000);
    // The window is over once the first have had their turn: the others are not started.
    let slice = generator.slice(&mut session, Duration::ZERO, Duration::from_micros(1), || ());
    slice.unwrap();
    assert!(server.taken.load(Ordering::SeqCst) < 3000 + 1500);
}

#[test]
fn other_loopbacks_are_loaded_too() {
    let listener = std::net::TcpListener::bind("[::1]:0");
    // Where there is no IPv6, there is nothing to see.
    let Ok(listener) = listener else { return };
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
