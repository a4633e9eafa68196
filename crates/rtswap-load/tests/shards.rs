//! Sessions with lanes that have an address for each shard.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rtswap_load::{Target, Traffic, Trickle};
use rtswap_schema::protocol::Pace;
use rtswap_schema::workload::Arrivals;
use support::{cpus, generator};

const SIZE: usize = 64;
const WINDOW: Duration = Duration::from_millis(20);

/// What one shard has seen.
#[derive(Default)]
struct Seen {
    connections: AtomicU64,
    bytes: AtomicU64,
}

struct Lane {
    addrs: Vec<SocketAddr>,
    shards: Vec<Arc<Seen>>,
}

impl Lane {
    /// Starts echo servers with a thread for each connection.
    fn start(shards: usize) -> Self {
        let shards: Vec<_> = (0..shards).map(|_| Arc::<Seen>::default()).collect();
        let addrs = shards.iter().map(|seen| serve(Arc::clone(seen))).collect();
        Self { addrs, shards }
    }

    fn target(&self, conns: usize, traffic: Traffic) -> Target {
        Target { addrs: self.addrs.clone().into(), size: SIZE, conns, traffic }
    }

    fn connections(&self) -> Vec<u64> {
        self.shards.iter().map(|seen| seen.connections.load(Ordering::SeqCst)).collect()
    }

    /// Bytes received since the last call.
    fn bytes(&self) -> Vec<u64> {
        self.shards.iter().map(|seen| seen.bytes.swap(0, Ordering::SeqCst)).collect()
    }
}

fn serve(seen: Arc<Seen>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, seen) = (stream.unwrap(), Arc::clone(&seen));
            seen.connections.fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || {
                let mut bytes = [0; SIZE];
                while let Ok(count @ 1..) = stream.read(&mut bytes) {
                    seen.bytes.fetch_add(count as u64, Ordering::SeqCst);
                    if stream.write_all(&bytes[..count]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    addr
}

/// Between the most and the least.
fn spread(counts: &[u64]) -> u64 {
    counts.iter().max().unwrap() - counts.iter().min().unwrap()
}

#[test]
fn connect_gives_each_shard_the_same_number_of_connections() {
    for threads in [1, 2, 3] {
        for (shards, conns) in [(1, 5), (2, 32), (4, 32), (4, 30), (8, 3)] {
            let lane = Lane::start(shards);
            let generator = generator(threads);
            let target = lane.target(conns, Traffic::Kept { active: conns });
            let mut session = generator.connect(target).unwrap();
            let seen = lane.connections();
            assert_eq!(seen.iter().sum::<u64>(), conns as u64);
            assert!(spread(&seen) <= 1, "{threads} threads: {seen:?}");
            assert!(generator.slice(&mut session, WINDOW, WINDOW, || ()).unwrap().ops > 0);
            assert_eq!(lane.connections(), seen);
        }
    }
}

#[test]
fn active_connections_are_dealt_to_all_shards() {
    let lane = Lane::start(4);
    let generator = generator(2);
    // By their numbers, all 8 active connections would go to the first shard.
    let target = lane.target(64, Traffic::Kept { active: 8 });
    let mut session = generator.connect(target).unwrap();
    assert_eq!(lane.connections(), [16; 4]);
    lane.bytes();
    generator.verify(&mut session, 5).unwrap();
    assert_eq!(lane.bytes(), [2 * 5 * SIZE as u64; 4]);
}

#[test]
fn paced_slice_loads_all_shards() {
    let lane = Lane::start(4);
    let generator = generator(1);
    let mut session = generator.connect(lane.target(8, Traffic::Kept { active: 8 })).unwrap();
    lane.bytes();
    let pace = Pace { rate_per_s: 10_000.0, arrivals: Arrivals::Constant, seed: 1 };
    generator.paced_slice(&mut session, &pace, WINDOW, WINDOW, || ()).unwrap();
    assert_eq!(lane.connections(), [2; 4]);
    assert!(lane.bytes().iter().all(|&bytes| bytes > 0));
}

#[test]
fn churn_connects_to_each_shard_in_turn() {
    for (threads, conns) in [(1, 1), (1, 6), (2, 6)] {
        let lane = Lane::start(4);
        let generator = generator(threads);
        let mut session = generator.connect(lane.target(conns, Traffic::Churn)).unwrap();
        let spread_max = threads.min(conns) as u64;
        assert!(spread(&lane.connections()) <= spread_max);
        generator.verify(&mut session, 7).unwrap();
        let seen = lane.connections();
        assert_eq!(seen.iter().sum::<u64>(), 8 * conns as u64);
        assert!(spread(&seen) <= spread_max, "{seen:?}");
        generator.slice(&mut session, WINDOW, WINDOW, || ()).unwrap();
        let pace = Pace { rate_per_s: 1000.0, arrivals: Arrivals::Constant, seed: 1 };
        generator.paced_slice(&mut session, &pace, WINDOW, WINDOW, || ()).unwrap();
        let seen = lane.connections();
        assert!(spread(&seen) <= spread_max, "{seen:?}");
    }
}

#[test]
fn trickle_keeps_every_shard_awake() {
    let lane = Lane::start(3);
    let trickle = Trickle::start(cpus()[0], Arc::default()).unwrap();
    let added = trickle.add(lane.target(3, Traffic::Kept { active: 3 }), WINDOW / 20).unwrap();
    lane.bytes();
    added.resume();
    while added.messages() < 5 {
        thread::sleep(WINDOW / 20);
    }
    added.pause();
    let bytes = lane.bytes();
    assert!(bytes[0] >= 5 * SIZE as u64 && spread(&bytes) == 0, "{bytes:?}");
}

#[test]
fn connect_rejects_target_without_address() {
    let lane = Lane { addrs: Vec::new(), shards: Vec::new() };
    let error = generator(1).connect(lane.target(1, Traffic::Churn)).unwrap_err();
    assert!(error.to_string().contains("it has no address"), "{error}");
}
