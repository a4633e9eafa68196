//! Sessions with a lane that echoes correctly.

mod support;

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rtswap_load::{Config, Generator, LoadError};
use support::{Fault, config, generator, serve, target};

const WARMUP: Duration = Duration::from_millis(5);
const WINDOW: Duration = Duration::from_millis(30);

#[test]
fn slice_records_one_latency_per_operation_and_spans_window() {
    for threads in [1, 3] {
        let server = serve(1024, Fault::None);
        let generator = generator(threads);
        let mut session = generator.connect(target(server.addr, 1024, 7)).unwrap();
        for _ in 0..3 {
            let slice = generator.slice(&mut session, WARMUP, WINDOW, Instant::now).unwrap();
            assert!(slice.ops > 0);
            assert_eq!(slice.latency.len(), slice.ops);
            assert!(slice.elapsed >= WINDOW);
            assert!(slice.probes.1 - slice.probes.0 >= WINDOW);
            assert!(slice.load_cpu > Duration::ZERO);
            assert!(slice.load_cpu_ns_per_op().unwrap() > 0.0);
        }
        assert!(session.is_open());
    }
}

#[test]
fn slice_leaves_nothing_in_flight() {
    // With pieces of 3 bytes, a slice that ended without a drain would leave parts of messages.
    let server = serve(10, Fault::Pieces { bytes: 3 });
    let generator = generator(1);
    let mut session = generator.connect(target(server.addr, 10, 4)).unwrap();
    let slice = generator.slice(&mut session, Duration::ZERO, WINDOW, || ());
    assert!(slice.unwrap().ops > 0);
    generator.verify(&mut session, 5).unwrap();
}

#[test]
fn slice_calls_probe_at_both_edges_in_order() {
    let server = serve(64, Fault::None);
    let generator = generator(2);
    let mut session = generator.connect(target(server.addr, 64, 4)).unwrap();
    let calls = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&calls);
    let probe = move || counter.fetch_add(1, Ordering::SeqCst);
    let slice = generator.slice(&mut session, WARMUP, WINDOW, probe).unwrap();
    assert_eq!(slice.probes, (0, 1));
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[test]
fn slice_receives_answers_after_window_without_counting_them() {
    let over: &'static AtomicBool = Box::leak(Box::default());
    let server = serve(8, Fault::Hold { until: over });
    let generator = generator(1);
    let mut session = generator.connect(target(server.addr, 8, 3)).unwrap();
    let mut calls = 0;
    let probe = move || {
        calls += 1;
        over.store(calls == 2, Ordering::SeqCst);
    };
    let slice = generator.slice(&mut session, WARMUP, WINDOW, probe).unwrap();
    assert_eq!((slice.ops, slice.latency.len()), (0, 0));
    assert_eq!(slice.load_cpu_ns_per_op(), None);
    generator.verify(&mut session, 1).unwrap();
}

#[test]
fn verify_passes_messages_larger_than_socket_buffers() {
    // The server does not read while it cannot write, so a generator that sends the whole message
    // before it reads would deadlock.
    for size in [100 * 1024, 16 * 1024 * 1024] {
        let server = serve(size, Fault::Pieces { bytes: 4096 });
        let generator = generator(2);
        let mut session = generator.connect(target(server.addr, size, 3)).unwrap();
        generator.verify(&mut session, 3).unwrap();
    }
}

#[test]
fn verify_passes_messages_of_any_size() {
    let read_limit = 128 * 1024;
    for size in [1, 2, 7, 8, 9, 1500, read_limit - 1, read_limit, read_limit + 1] {
        let server = serve(size, Fault::None);
        let generator = generator(1);
        let mut session = generator.connect(target(server.addr, size, 3)).unwrap();
        generator.verify(&mut session, 4).unwrap();
    }
}

#[test]
fn verify_exchanges_exact_number_of_messages() {
    // `connect` exchanges message 0, so message 4 is the fourth after it.
    let server = serve(32, Fault::Flip { message: 4, byte: 0 });
    let generator = generator(1);
    let mut session = generator.connect(target(server.addr, 32, 2)).unwrap();
    generator.verify(&mut session, 0).unwrap();
    generator.verify(&mut session, 3).unwrap();
    let error = generator.verify(&mut session, 1).unwrap_err();
    assert!(matches!(error, LoadError::Wrong { message: 4, .. }), "{error}");
}

#[test]
fn generator_serves_sessions_in_any_order() {
    let servers = [0; 3].map(|_| serve(100, Fault::None));
    let generator = generator(2);
    let mut sessions: Vec<_> = (servers.iter())
        .map(|server| generator.connect(target(server.addr, 100, 5)).unwrap())
        .collect();
    for session in sessions.iter_mut().rev() {
        assert!(generator.slice(session, WARMUP, WINDOW, || ()).unwrap().ops > 0);
    }
    generator.close(sessions.remove(1));
    for _conn in 0..5 {
        servers[1].ended.recv().unwrap();
    }
    for session in &mut sessions {
        generator.verify(session, 10).unwrap();
    }
}

#[test]
fn connect_accepts_fewer_connections_than_threads() {
    let server = serve(16, Fault::None);
    let generator = generator(4);
    let mut session = generator.connect(target(server.addr, 16, 1)).unwrap();
    let slice = generator.slice(&mut session, WARMUP, WINDOW, || ());
    assert!(slice.unwrap().ops > 0);
}

#[test]
fn generator_serves_concurrent_callers() {
    let server = serve(16, Fault::None);
    let generator = generator(2);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut session = generator.connect(target(server.addr, 16, 3)).unwrap();
                let slice = generator.slice(&mut session, WARMUP, WINDOW, || ());
                assert!(slice.unwrap().ops > 0);
            });
        }
    });
}

#[test]
fn connect_rejects_invalid_target() {
    let generator = generator(1);
    let addr = "127.0.0.1:1".parse().unwrap();
    for target in [target(addr, 0, 1), target(addr, 1, 0)] {
        let error = generator.connect(target).unwrap_err();
        assert!(matches!(error, LoadError::Target { .. }), "{error}");
    }
}

#[test]
fn new_rejects_invalid_config() {
    for wrong in [
        Config::new([]),
        Config::new([1023]),
        Config::new([1 << 20]),
        Config { max_latency: Duration::ZERO, ..config(1) },
    ] {
        let error = Generator::new(wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
}
