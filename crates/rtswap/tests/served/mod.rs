//! The workload `http` on every runtime that is available, in this process.
#![allow(dead_code, reason = "every test binary has a copy and uses part of it")]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rtswap::Registry;
use rtswap::workload::{Family, Http, Resources, Spec, SpecError, Standard, Suite, Visitor};
use rtswap_lane::Prepare;
use rtswap_lane::host::Work;

/// A read that takes longer is a hang.
const HANG: Duration = Duration::from_secs(20);

/// `http` that closes the connection of a slow client after `MS` milliseconds.
struct Impatient<const MS: u64>;

impl<const MS: u64> Suite for Impatient<MS> {
    const CATALOGUE: &'static [&'static Family] = Standard::CATALOGUE;
    const DEFAULT: &'static [&'static str] = &[];
    const QUICK: &'static [&'static str] = &[];

    fn visit<V: Visitor>(spec: &Spec, _: &Resources, visitor: V) -> Result<V::Output, SpecError> {
        let mut http = Http::new(spec);
        http.patience = Duration::from_millis(MS);
        Ok(visitor.served(http))
    }
}

/// Serves on each runtime in turn, in this process, until the process ends.
pub fn on_every_runtime(workload: &str, test: impl Fn(&str, SocketAddr)) {
    on_every_runtime_with::<60_000>(workload, test);
}

/// As [`on_every_runtime`], with a server that waits `MS` milliseconds for a slow client.
pub fn on_every_runtime_with<const MS: u64>(workload: &str, test: impl Fn(&str, SocketAddr)) {
    let registry = Registry::of::<Impatient<MS>>();
    let mut tested = 0;
    for lane in registry.runtimes() {
        if let Err(why) = lane.available() {
            // The kernel may forbid io_uring. Every machine has epoll.
            assert_eq!(lane.driver, "io_uring", "{}: {why}", lane.name);
            eprintln!("SKIPPED: {}: {why}", lane.name);
            continue;
        }
        let order = Prepare { workload: workload.to_owned(), cpus: vec![0], ..Prepare::default() };
        let program = lane.prepare(&order).unwrap();
        assert!(program.info.notes.contains_key("streams"), "{:?}", program.info);
        let Work::Served(server) = program.work else { panic!("the lane serves http") };
        test(&lane.name, server.addrs()[0]);
        tested += 1;
    }
    assert!(tested >= 5, "only {tested} runtimes are available");
}

pub fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    stream.set_write_timeout(Some(HANG)).unwrap();
    stream
}

/// The response until the lane closes or resets the connection. It must do so.
pub fn until_closed(stream: TcpStream) -> String {
    String::from_utf8_lossy(&bytes_until_closed(stream)).into_owned()
}

/// As [`until_closed`], as bytes.
pub fn bytes_until_closed(mut stream: TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    if let Err(error) = stream.read_to_end(&mut received) {
        let hangs = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        assert!(!hangs, "the lane does not close the connection after {received:?}");
    }
    received
}

/// Sends `bytes` and returns the response up to the end of the connection.
pub fn exchange(addr: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = connect(addr);
    // A lane may close before it has read all of the bytes.
    let _ = stream.write_all(bytes);
    until_closed(stream)
}
