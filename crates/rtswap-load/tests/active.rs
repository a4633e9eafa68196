//! What holds where only some of the connections exchange messages.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rtswap_load::{LoadError, Target, Traffic};
use support::generator;

const SIZE: usize = 64;
const WINDOW: Duration = Duration::from_millis(30);

/// An echo server that hands out what has become of its connections.
struct Counting {
    addr: SocketAddr,
    /// Messages answered and the stream, by connection.
    seen: Arc<Mutex<Vec<(u64, TcpStream)>>>,
}

impl Counting {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<(u64, TcpStream)>>>::default();
        let list = Arc::clone(&seen);
        thread::spawn(move || {
            for (index, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                list.lock().unwrap().push((0, stream.try_clone().unwrap()));
                let list = Arc::clone(&list);
                thread::spawn(move || {
                    let mut bytes = [0; SIZE];
                    while stream.read_exact(&mut bytes).is_ok() {
                        list.lock().unwrap()[index].0 += 1;
                        if stream.write_all(&bytes).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { addr, seen }
    }

    fn target(&self, conns: usize, active: usize) -> Target {
        Target { addr: self.addr, size: SIZE, conns, traffic: Traffic::Kept { active } }
    }

    /// Messages answered so far, the fewest first.
    fn counts(&self) -> Vec<u64> {
        let mut counts: Vec<_> = self.seen.lock().unwrap().iter().map(|seen| seen.0).collect();
        counts.sort_unstable();
        counts
    }
}

#[test]
fn only_the_active_connections_are_used() {
    for (threads, conns, active) in [(1, 9, 3), (2, 9, 3), (3, 9, 1), (2, 9, 9)] {
        let server = Counting::new();
        let generator = generator(threads);
        let mut session = generator.connect(server.target(conns, active)).unwrap();
        assert_eq!(session.target(), server.target(conns, active));
        assert_eq!(server.counts(), vec![1; conns], "each is checked when it is opened");
        generator.verify(&mut session, 5).unwrap();
        let mut expected = vec![1; conns - active];
        expected.resize(conns, 6);
        assert_eq!(server.counts(), expected);
        let slice = generator.slice(&mut session, Duration::ZERO, WINDOW, || ()).unwrap();
        assert!(slice.ops > 0);
        assert!(slice.elapsed >= WINDOW);
        assert_eq!(slice.latency.len(), slice.ops);
        let counts = server.counts();
        assert_eq!(counts[..conns - active], expected[..conns - active]);
        assert!(counts[conns - active..].iter().all(|&count| count > 6));
    }
}

/// What a session makes of something done to a silent connection that belongs to a thread with
/// nothing to do, or shares one with an active connection.
fn error_after(threads: usize, act: impl Fn(&mut TcpStream)) -> LoadError {
    let server = Counting::new();
    let generator = generator(threads);
    let mut session = generator.connect(server.target(4, 1)).unwrap();
    generator.verify(&mut session, 1).unwrap();
    for (count, stream) in server.seen.lock().unwrap().iter_mut() {
        if *count == 1 {
            act(stream);
            break;
        }
    }
    let error = generator.slice(&mut session, Duration::ZERO, WINDOW, || ()).unwrap_err();
    assert!(!session.is_open());
    error
}

#[test]
fn a_silent_connection_that_the_lane_closes_is_noticed() {
    for threads in [1, 2, 4] {
        let error = error_after(threads, |stream| {
            stream.shutdown(std::net::Shutdown::Both).unwrap();
        });
        assert!(matches!(error, LoadError::Closed { message: 1, .. }), "{error}");
    }
}

#[test]
fn a_silent_connection_that_the_lane_sends_on_is_noticed() {
    for threads in [1, 2, 4] {
        let error = error_after(threads, |stream| stream.write_all(b"surplus").unwrap());
        assert!(matches!(error, LoadError::TooMuch { surplus: 7, .. }), "{error}");
    }
}

#[test]
fn an_active_part_that_makes_no_sense_is_refused() {
    let addr = "127.0.0.1:1".parse().unwrap();
    for active in [0, 4] {
        let traffic = Traffic::Kept { active };
        let target = Target { addr, size: 1, conns: 3, traffic };
        let error = generator(1).connect(target).unwrap_err();
        assert!(matches!(error, LoadError::Target { .. }), "{error}");
    }
}
