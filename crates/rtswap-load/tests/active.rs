//! Sessions in which only some of the connections exchange messages.

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

/// An echo server that gives tests access to its connections.
struct CountingServer {
    addr: SocketAddr,
    /// Messages answered and the stream, by connection.
    connections: Arc<Mutex<Vec<(u64, TcpStream)>>>,
}

impl CountingServer {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Arc::<Mutex<Vec<(u64, TcpStream)>>>::default();
        let list = Arc::clone(&connections);
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
        Self { addr, connections }
    }

    fn target(&self, conns: usize, active: usize) -> Target {
        Target { addrs: [self.addr].into(), size: SIZE, conns, traffic: Traffic::Kept { active } }
    }

    /// Messages answered so far by connection, in ascending order.
    fn counts(&self) -> Vec<u64> {
        let connections = self.connections.lock().unwrap();
        let mut counts: Vec<_> = connections.iter().map(|(count, _)| *count).collect();
        counts.sort_unstable();
        counts
    }
}

#[test]
fn verify_and_slice_use_active_connections_only() {
    for (threads, conns, active) in [(1, 9, 3), (2, 9, 3), (3, 9, 1), (2, 9, 9)] {
        let server = CountingServer::new();
        let generator = generator(threads);
        let mut session = generator.connect(server.target(conns, active)).unwrap();
        assert_eq!(*session.target(), server.target(conns, active));
        assert_eq!(
            server.counts(),
            vec![1; conns],
            "connect exchanges one message on each connection"
        );
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
        let answered = counts.iter().sum::<u64>() - expected.iter().sum::<u64>();
        assert!(slice.ops <= answered);
        if threads == 1 {
            // Without warm-up, only the messages in flight at the end are not counted.
            assert!(answered <= slice.ops + active as u64, "{} of {answered}", slice.ops);
        }
    }
}

/// The error of a slice after `act` on a silent connection. Its thread has an active connection as
/// well, or none.
fn slice_error(threads: usize, act: impl Fn(&mut TcpStream)) -> LoadError {
    let server = CountingServer::new();
    let generator = generator(threads);
    let mut session = generator.connect(server.target(4, 1)).unwrap();
    generator.verify(&mut session, 1).unwrap();
    for (count, stream) in server.connections.lock().unwrap().iter_mut() {
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
fn slice_fails_if_lane_closes_silent_connection() {
    for threads in [1, 2, 4] {
        let error = slice_error(threads, |stream| {
            stream.shutdown(std::net::Shutdown::Both).unwrap();
        });
        assert!(matches!(error, LoadError::Closed { message: 1, .. }), "{error}");
    }
}

#[test]
fn slice_fails_if_lane_sends_on_silent_connection() {
    for threads in [1, 2, 4] {
        let error = slice_error(threads, |stream| stream.write_all(b"surplus").unwrap());
        assert!(matches!(error, LoadError::TooMuch { surplus: 7, .. }), "{error}");
    }
}

#[test]
fn connect_rejects_invalid_number_of_active_connections() {
    let addr = "127.0.0.1:1".parse().unwrap();
    for active in [0, 4] {
        let traffic = Traffic::Kept { active };
        let target = Target { addrs: [addr].into(), size: 1, conns: 3, traffic };
        let error = generator(1).connect(target).unwrap_err();
        assert!(matches!(error, LoadError::Target { .. }), "{error}");
    }
}
