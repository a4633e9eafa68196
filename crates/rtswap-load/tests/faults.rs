//! Sessions with a lane that misbehaves.

mod support;

use std::io::{self, Read, Write};
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

/// Runs a slice that only an error can end, and returns the error.
fn endless_slice_error(generator: &Generator, session: &mut Session) -> LoadError {
    let error = generator.slice(session, HOUR, HOUR, || ()).unwrap_err();
    assert!(!session.is_open());
    let again = generator.verify(session, 1).unwrap_err();
    assert!(matches!(again, LoadError::SessionClosed { .. }), "{again}");
    error
}

/// The error of a slice with a fault. Also checks that the error releases all descriptors, and that
/// another session of the same generator remains usable.
fn slice_error(generator: &Generator, fault: Fault) -> LoadError {
    let sound = serve(SIZE, Fault::None);
    let mut other = generator.connect(target(sound.addr, SIZE, CONNS)).unwrap();
    let Server { addr, ended } = serve(SIZE, fault);
    let mut session = generator.connect(target(addr, SIZE, CONNS)).unwrap();
    let error = endless_slice_error(generator, &mut session);
    for _conn in 0..CONNS {
        ended.recv().unwrap();
    }
    generator.verify(&mut other, 10).unwrap();
    error
}

#[test]
fn slice_locates_wrong_byte() {
    for threads in [1, 2] {
        for byte in [0, 500, SIZE - 1] {
            let error = slice_error(&generator(threads), Fault::Flip { message: 9, byte });
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
fn connect_rejects_wrong_byte() {
    let server = serve(SIZE, Fault::Flip { message: 0, byte: 3 });
    let error = generator(1).connect(target(server.addr, SIZE, CONNS)).unwrap_err();
    assert!(matches!(error, LoadError::Wrong { offset: 3, .. }), "{error}");
}

#[test]
fn slice_rejects_stale_answer() {
    let error = slice_error(&generator(1), Fault::Stale { message: 1 });
    assert!(matches!(error, LoadError::Wrong { message: 1, offset: 0..8, .. }), "{error}");
}

#[test]
fn slice_rejects_shifted_answer() {
    let error = slice_error(&generator(1), Fault::Shift { message: 5 });
    assert!(matches!(error, LoadError::Wrong { message: 5, offset: 0..8, .. }), "{error}");
}

#[test]
fn slice_rejects_swapped_answers() {
    for threads in [1, 2] {
        let generator = generator(threads);
        let addr = serve_swapped(SIZE, 6);
        // The server answers in pairs, so both connections must be opened in one wave. With two
        // threads, each has one.
        let mut session = generator.connect(target(addr, SIZE, 2)).unwrap();
        let error = endless_slice_error(&generator, &mut session);
        assert!(matches!(error, LoadError::Wrong { message: 6, offset: 0..8, .. }), "{error}");
    }
}

#[test]
fn slice_rejects_surplus() {
    let error = slice_error(&generator(1), Fault::Surplus { message: 4 });
    // If the surplus byte comes in its own segment, the next message has been sent. The byte is then
    // compared with that message, and may even equal its first byte.
    match error {
        LoadError::TooMuch { message: 4 | 5, .. } | LoadError::Wrong { message: 5, .. } => {}
        error => panic!("{error}"),
    }
}

#[test]
fn verify_rejects_surplus_after_last_message() {
    let server = serve(SIZE, Fault::Surplus { message: 2 });
    let generator = generator(1);
    let mut session = generator.connect(target(server.addr, SIZE, 1)).unwrap();
    // The surplus may come after the first call has returned. The next call must then find it.
    let error = (0..10)
        .find_map(|_| generator.verify(&mut session, 2).err())
        .expect("an error in one of ten calls");
    assert!(matches!(error, LoadError::TooMuch { .. } | LoadError::Wrong { .. }), "{error}");
}

#[test]
fn connect_rejects_bytes_without_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || -> io::Result<()> {
        let mut stream = listener.accept()?.0;
        let mut message = [0; SIZE];
        stream.read_exact(&mut message)?;
        stream.write_all(&message)?;
        // After this, the lane is silent, so that a generator without a limit stalls.
        let zeros = vec![0; 1 << 20];
        for _ in 0..256 {
            stream.write_all(&zeros)?;
        }
        thread::park();
        Ok(())
    });
    let generator = impatient();
    // Bytes that come after the call has returned are found by the next.
    let error = generator
        .connect(target(addr, SIZE, 1))
        .and_then(|mut session| generator.verify(&mut session, 8))
        .unwrap_err();
    assert!(matches!(error, LoadError::TooMuch { .. } | LoadError::Wrong { .. }), "{error}");
}

#[test]
fn slice_fails_if_lane_closes() {
    for threads in [1, 2] {
        let error = slice_error(&generator(threads), Fault::Close { message: 5 });
        assert!(matches!(error, LoadError::Closed { message: 5, received: 0, .. }), "{error}");
    }
    let error = slice_error(&generator(1), Fault::CloseHalfway { message: 5 });
    assert!(matches!(error, LoadError::Closed { message: 5, received: 500, .. }), "{error}");
}

#[test]
fn slice_fails_if_lane_resets() {
    let error = slice_error(&generator(1), Fault::Reset { message: 5 });
    assert!(matches!(error, LoadError::Reset { message: 5, .. }), "{error}");
}

#[test]
fn slice_fails_if_lane_closed_before_it() {
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
    // `connect` may already see the end of the stream.
    let error = match opened {
        Ok(mut session) => endless_slice_error(&generator, &mut session),
        Err(error) => error,
    };
    assert!(matches!(error, LoadError::Closed { message: 1, .. }), "{error}");
}

#[test]
fn slice_stalls_without_answers() {
    let error = slice_error(&impatient(), Fault::Mute { message: 3 });
    assert!(matches!(error, LoadError::Stalled { outstanding: CONNS, .. }), "{error}");
}

#[test]
fn connect_stalls_without_answers() {
    let server = serve(SIZE, Fault::Mute { message: 0 });
    let error = impatient().connect(target(server.addr, SIZE, CONNS)).unwrap_err();
    assert!(matches!(error, LoadError::Stalled { .. }), "{error}");
}

#[test]
fn slice_stalls_after_truncated_answer() {
    let error = slice_error(&impatient(), Fault::Truncate { message: 2 });
    assert!(matches!(error, LoadError::Stalled { .. }), "{error}");
}

#[test]
fn slice_stalls_in_drain_without_answers() {
    let server = serve(SIZE, Fault::Mute { message: 1 });
    let generator = impatient();
    let mut session = generator.connect(target(server.addr, SIZE, 2)).unwrap();
    let window = Duration::from_millis(10);
    let error = generator.slice(&mut session, Duration::ZERO, window, || ()).unwrap_err();
    assert!(matches!(error, LoadError::Stalled { outstanding: 2, .. }), "{error}");
}

#[test]
fn verify_and_slice_are_overdue_if_lane_trickles() {
    let limit = Duration::from_millis(300);
    // `drain` is also the limit for `connect`, which must succeed here.
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
fn connect_fails_without_listener() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let error = generator(2).connect(target(addr, SIZE, CONNS)).unwrap_err();
    assert!(matches!(error, LoadError::Refused { opened: 0, .. }), "{error}");
    assert!(error.to_string().contains(&addr.to_string()));
}

#[test]
fn slice_ends_when_cancelled() {
    for fault in [Fault::None, Fault::Mute { message: 1 }] {
        let config = config(2);
        let cancel = config.cancel.clone();
        let generator = Generator::new(config).unwrap();
        let server = serve(SIZE, fault);
        let mut session = generator.connect(target(server.addr, SIZE, CONNS)).unwrap();
        let (report_start, start) = channel();
        thread::scope(|scope| {
            let cancel = &cancel;
            scope.spawn(move || {
                start.recv().unwrap();
                cancel.store(true, Ordering::Relaxed);
            });
            // The probe is called at the start of the window, so the slice is in progress.
            let probe = move || {
                let _ = report_start.send(());
            };
            let error = generator.slice(&mut session, Duration::ZERO, HOUR, probe).unwrap_err();
            assert!(matches!(error, LoadError::Cancelled), "{error}");
        });
        let error = generator.connect(target(server.addr, SIZE, 1)).unwrap_err();
        assert!(matches!(error, LoadError::Cancelled), "{error}");
    }
}

#[test]
fn slice_fails_if_probe_panics() {
    let server = serve(SIZE, Fault::None);
    let generator = generator(2);
    let mut session = generator.connect(target(server.addr, SIZE, CONNS)).unwrap();
    let error = generator
        .slice(&mut session, Duration::ZERO, HOUR, || panic!("on purpose"))
        .map(|slice: rtswap_load::Slice<()>| slice.ops)
        .unwrap_err();
    assert!(matches!(error, LoadError::Thread { .. }), "{error}");
}
