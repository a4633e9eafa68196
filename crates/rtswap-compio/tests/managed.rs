//! The lanes that read into compio's own buffers, for which the conformance checks have no contract to check.

use std::env;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use rtswap_compio::lanes;
use rtswap_lane::host::{Program, Work};
use rtswap_lane::{Prepare, Refusal};

const LANES: [&str; 2] = ["native-compio-managed", "native-compio-defer-managed"];

/// A lane that serves; `None` where the machine does not allow it. CI has to allow it.
fn prepare(lane: &str, size: usize) -> Option<Program> {
    let order = Prepare {
        workload: format!("tcp-echo/size={size}/conns=8"),
        cpus: vec![0],
        ..Prepare::default()
    };
    let lane = lanes().into_iter().find(|it| it.name == lane).expect("it is a lane");
    match lane.prepare(&order) {
        Err(Refusal::Unsupported(why)) => {
            assert!(env::var_os("CI").is_none(), "CI must not skip this test: {why}");
            eprintln!("SKIPPED: {why}");
            None
        }
        prepared => Some(prepared.unwrap()),
    }
}

fn addr(program: &Program) -> SocketAddr {
    let Work::Served(server) = &program.work else { panic!("an echo is served") };
    server.addrs()[0]
}

/// No two connections send the same, and a message does not repeat within 64 KiB.
fn message(size: usize, connection: u8) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8 ^ (at / 65_536) as u8 ^ connection).collect()
}

/// Lets eight connections do something at the same time.
fn on_connections(addr: SocketAddr, talk: impl Fn(u8, TcpStream) + Sync) {
    thread::scope(|scope| {
        for connection in 0..8 {
            let talk = &talk;
            scope.spawn(move || {
                let stream = TcpStream::connect(addr).unwrap();
                // A lane that loses bytes fails the test instead of hanging it.
                stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
                talk(connection, stream);
            });
        }
    });
}

#[test]
fn managed_lanes_return_messages_of_every_size() {
    for lane in LANES {
        for size in [1, 1024, 65_537, 102_400] {
            let Some(program) = prepare(lane, size) else { return };
            on_connections(addr(&program), |connection, mut stream| {
                let message = message(size, connection);
                let mut back = vec![0; size];
                for number in 0..20 {
                    back.fill(0);
                    stream.write_all(&message).unwrap();
                    stream.read_exact(&mut back).unwrap();
                    assert!(back == message, "{lane}, {size} bytes, message {number}");
                }
                stream.shutdown(Shutdown::Write).unwrap();
                assert_eq!(stream.read(&mut back).unwrap(), 0, "{lane}, {size} bytes: the end");
            });
        }
    }
}

/// Clients that do not read for a while: what they send fills the buffers of the kernel and then those of the pool.
#[test]
fn managed_lanes_return_more_than_their_buffers_hold() {
    for lane in LANES {
        let Some(program) = prepare(lane, 1024) else { return };
        on_connections(addr(&program), |connection, stream| {
            let message = message(65_537, connection).repeat(200);
            thread::scope(|scope| {
                scope.spawn(|| {
                    (&stream).write_all(&message).unwrap();
                    stream.shutdown(Shutdown::Write).unwrap();
                });
                thread::sleep(Duration::from_millis(300));
                let mut back = Vec::new();
                (&stream).read_to_end(&mut back).unwrap();
                assert!(back == message, "{lane}: {} of {} bytes", back.len(), message.len());
            });
        });
    }
}
