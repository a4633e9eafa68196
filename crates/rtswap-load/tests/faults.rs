//! What holds with a lane that does not do its work.

mod support;

use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rtswap_load::{Config, Generator, LoadError, Session};
use support::{Fault, Server, config, generator, impatient, serve, serve_swapped, target};

const SIZE: usize = 1000;
const CONNS: usize = 3;
const HOUR: Duration = Duration::from_hours(1);

/// Runs a slice that only an error can end, and returns that error.
fn failed_slice(generator: &Generator, session: &mut Session) -> LoadError {
    let error = generator.slice(session, HOUR, HOUR, || ()).unwrap_err();
    assert!(!session.is_open());
    let again = generator.verify(session, 1).unwrap_err();
    assert!(matches!(again, LoadError::SessionClosed { .. }), "{again}");
    error
}

/// What a slice makes of the fault. Also sees to it that all descriptors are released and that
/// another session of the same generator goes on.
fn slice_with(generator: &Generator, fault: Fault) -> LoadError {
    let sound = serve(SIZE, Fault::None);
    let mut other = generator.connect(target(sound.addr, SIZE, CONNS)).unwrap();
    let Server { addr, ended } = serve(SIZE, fault);
    let mut session = generator.connect(target(addr, SIZE, CONNS)).unwrap();
    let error = failed_slice(generator, &mut session);
    for _conn in 0..CONNS {
        ended.recv().unwrap();
    }
    generator.verify(&mut other, 10).unwrap();
    error
}

#[test]
fn a_wrong_byte_is_found_where_it_is() {
    for threads in [1, 2] {
        for byte in [0, 500, SIZE - 1] {
            let error = slice_with(&generator(threads), Fault::Flip { message: 9, byte });
            let LoadError::Wrong { message, offset, expected, found, .. } = error else {
                panic!("{error}");
            };
            assert!(error.is_wrong_answer());
            assert_eq!((message, offset), (9, byte));
            assert_eq!(expected ^ 1, found);
        }
    }
}

#[test]
fn a_wrong_byte_in_the_first_message_fails_the_opening() {
    let server = serve(SIZE, Fault::Flip { message: 0, byte: 3 });
    let error = generator(1).connect(target(server.addr, SIZE, CONNS)).unwrap_err();
    assert!(matches!(error, LoadError::Wrong { offset: 3, .. }), "{error}");
}

#[test]
fn a_stale_answer_is_wrong() {
    let error = slice_with(&generator(1), Fault::Stale { message: 1 });
    assert!(matches!(error, LoadError::Wrong { message: 1, offset: 0..8, .. }), "{error}");
}

#[test]
fn a_shifted_answer_is_wrong() {
    let error = slice_with(&generator(1), Fault::Shift { message: 5 });
    assert!(matches!(error, LoadError::Wrong { message: 5, offset: 0..8, .. }), "{error}");
}

#[test]
fn swapped_answers_are_wrong() {
    for threads in [1, 2] {
        let generator = generator(threads);
        let addr = serve_swapped(SIZE, 6);
        // The server answers in pairs, so both connections have to be opened in one wave; with
        // two threads, each has one.
        let mut session = generator.connect(target(addr, SIZE, 2)).unwrap();
        let error = failed_slice(&generator, &mut session);
        assert!(matches!(error, LoadError::Wrong { message: 6, offset: 0..8, .. }), "{error}");
    }
}

#[test]
fn a_surplus_is_found_at_once_or_with_the_next_message() {
    let error = slice_with(&generator(1), Fault::Surplus { message: 4 });
    // If it comes in a segment of its own, the next message has been sent, and it is compared with
    // that, of which it may even be the first byte.
    match error {
        LoadError::TooMuch { message: 4 | 5, .. } | LoadError::Wrong { message: 5, .. } => {}
        error => panic!("{error}"),
    }
}

#[test]
fn a_surplus_after_the_last_message_is_found() {
    let server = serve(SIZE, Fault::Surplus { message: 2 });
    let generator = generator(1);
    let mut session = generator.connect(target(server.addr, SIZE, 1)).unwrap();
    let error = loop {
        // It may come after the end of the first attempt: then the next must find it.
        if let Err(error) = generator.verify(&mut session, 2) {
            break error;
        }
    };
    assert!(matches!(error, LoadError::TooMuch { .. } | LoadError::Wrong { .. }), "{error}");
}

#[test]
fn a_lane_that_closes_is_an_error_at_once() {
    for threads in [1, 2] {
        let error = slice_with(&generator(threads), Fault::Close { message: 5 });
        assert!(matches!(error, LoadError::Closed { message: 5, received: 0, .. }), "{error}");
    }
    let error = slice_with(&generator(1), Fault::CloseHalfway { message: 5 });
    assert!(matches!(error, LoadError::Closed { message: 5, received: 500, .. }), "{error}");
}

#[test]
fn a_lane_that_resets_is_an_error_at_once() {
    let error = slice_with(&generator(1), Fault::Reset { message: 5 });
    assert!(matches!(error, LoadError::Reset { message: 5, .. }), "{error}");
}

#[test]
fn a_lane_that_dies_between_slices_is_an_error_in_the_next() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (closed, wait) = channel();
    thread::spawn(move || {
        use std::io::{Read, Write};
        let mut stream = listener.accept().unwrap().0;
        let mut bytes = [0; SIZE];
        stream.read_exact(&mut bytes).unwrap();
        stream.write_all(&bytes).unwrap();
        drop(stream);
        closed.send(()).unwrap();
    });
    let generator = generator(1);
    let opened = generator.connect(target(addr, SIZE, 1));
    wait.recv().unwrap();
    // The end may come early enough to be seen by the opening already.
    let error = match opened {
        Ok(mut session) => failed_slice(&generator, &mut session),
        Err(error) => error,
    };
    assert!(matches!(error, LoadError::Closed { message: 1, .. }), "{error}");
}

#[test]
fn a_lane_that_answers_no_more_has_stalled() {
    let error = slice_with(&impatient(), Fault::Mute { message: 3 });
    assert!(matches!(error, LoadError::Stalled { outstanding: CONNS, .. }), "{error}");
}

#[test]
fn a_lane_that_never_answers_has_stalled_in_the_opening() {
    let server = serve(SIZE, Fault::Mute { message: 0 });
    let error = impatient().connect(target(server.addr, SIZE, CONNS)).unwrap_err();
    assert!(matches!(error, LoadError::Stalled { .. }), "{error}");
}

#[test]
fn a_truncated_answer_has_stalled() {
    let error = slice_with(&impatient(), Fault::Truncate { message: 2 });
    assert!(matches!(error, LoadError::Stalled { .. }), "{error}");
}

#[test]
fn a_lane_that_hangs_in_the_drain_has_stalled() {
    let server = serve(SIZE, Fault::Mute { message: 1 });
    let generator = impatient();
    let mut session = generator.connect(target(server.addr, SIZE, 2)).unwrap();
    let window = Duration::from_millis(10);
    let error = generator.slice(&mut session, Duration::ZERO, window, || ()).unwrap_err();
    assert!(matches!(error, LoadError::Stalled { outstanding: 2, .. }), "{error}");
}

#[test]
fn a_lane_that_trickles_is_overdue_though_it_never_stalls() {
    let limit = Duration::from_millis(300);
    // The limit of the drain is that of the opening, too, which is to succeed.
    let patient = generator(1);
    let hasty = Generator::new(Config { drain: limit, verify: limit, ..config(1) }).unwrap();
    let server = serve(SIZE, Fault::Trickle);
    let mut session = patient.connect(target(server.addr, SIZE, 2)).unwrap();
    let error = hasty.verify(&mut session, 1).unwrap_err();
    assert!(matches!(error, LoadError::Overdue { outstanding: 2, .. }), "{error}");
    let mut session = patient.connect(target(server.addr, SIZE, 2)).unwrap();
    let error = hasty.slice(&mut session, Duration::ZERO, limit, || ()).unwrap_err();
    assert!(matches!(error, LoadError::Overdue { outstanding: 2, .. }), "{error}");
    assert!(!error.is_wrong_answer());
}

#[test]
fn nobody_listening_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let error = generator(2).connect(target(addr, SIZE, CONNS)).unwrap_err();
    assert!(matches!(error, LoadError::Refused { opened: 0, .. }), "{error}");
    assert!(error.to_string().contains(&addr.to_string()));
}

#[test]
fn cancelling_ends_a_slice() {
    for fault in [Fault::None, Fault::Mute { message: 1 }] {
        let config = config(2);
        let cancel = config.cancel.clone();
        let generator = Generator::new(config).unwrap();
        let server = serve(SIZE, fault);
        let mut session = generator.connect(target(server.addr, SIZE, CONNS)).unwrap();
        let (begun, has_begun) = channel();
        thread::scope(|scope| {
            let cancel = &cancel;
            scope.spawn(move || {
                has_begun.recv().unwrap();
                cancel.store(true, Ordering::Relaxed);
            });
            // The probe is called at the start of the window, so the slice is under way.
            let probe = move || {
                let _ = begun.send(());
            };
            let error = generator.slice(&mut session, Duration::ZERO, HOUR, probe).unwrap_err();
            assert!(matches!(error, LoadError::Cancelled), "{error}");
        });
        let error = generator.connect(target(server.addr, SIZE, 1)).unwrap_err();
        assert!(matches!(error, LoadError::Cancelled), "{error}");
    }
}

#[test]
fn a_probe_that_panics_ends_the_slice_with_an_error() {
    let server = serve(SIZE, Fault::None);
    let generator = generator(2);
    let mut session = generator.connect(target(server.addr, SIZE, CONNS)).unwrap();
    let error = generator
        .slice(&mut session, Duration::ZERO, HOUR, || panic!("on purpose"))
        .map(|slice: rtswap_load::Slice<()>| slice.ops)
        .unwrap_err();
    assert!(matches!(error, LoadError::Thread { .. }), "{error}");
}
