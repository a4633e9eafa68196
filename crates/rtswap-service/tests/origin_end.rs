//! The end of the origin while clients are in every state. In a test binary of its own, whose threads are counted.

mod support;

use std::io::Read as _;
use std::net::TcpStream;

use support::{Client, address, origin, tcp};

/// The threads of origins in this process.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.trim() == "origin").count()
}

#[test]
fn drop_ends_every_thread_and_connection() {
    let origin = origin();
    let addr = address(&origin);
    let mut idle = Client::of(&origin);
    idle.get("/10-1").unwrap();
    let mut silent = tcp(&origin);
    let mut half = Client::of(&origin);
    half.send(b"GET /10-1 HT").unwrap();
    let mut stalled = Client::of(&origin);
    stalled.send(b"GET /stall/100-1 HTTP/1.1\r\n\r\n").unwrap();
    // This client reads nothing, so that the origin waits in `write`.
    let mut unread = Client::of(&origin);
    unread.send(b"GET /16777216-1 HTTP/1.1\r\n\r\n").unwrap();
    let mut gone = Client::of(&origin);
    gone.send(b"GET /16777216-1 HTTP/1.1\r\n\r\n").unwrap();
    drop(gone);
    let root = origin.root().to_owned();
    assert!(threads() > 1 && root.exists());

    drop(origin);
    assert_eq!(threads(), 0);
    assert!(!root.exists());
    assert!(TcpStream::connect(addr).is_err());
    assert!(idle.is_closed());
    assert!(matches!(silent.read(&mut [0]), Ok(0) | Err(_)));
    assert!(unread.receive().is_err() && stalled.receive().is_err());
}
