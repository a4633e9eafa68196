//! Peers: lanes in other languages, to be measured beside the runtimes in Rust.
//!
//! A peer is a small program in the idiom of its language that speaks the lane protocol (LANES.md). Its
//! source is a part of this crate; what runs it (Python packages, Node.js, a Go compiler) is not, and
//! `rtswap peers install` gets what can be had. What each one is, and by whose advice, is in this crate's README.
#![warn(missing_docs)]

mod found;
pub mod install;
mod place;
mod start;

use std::io;

pub use found::{Details, command, details, find, version};
pub use place::{FOLDER, Place};
pub use start::{become_lane, prepare, serve};

/// A program in another language.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The name of its lane.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// How it learns of I/O.
    pub driver: &'static str,
    /// Who runs its tasks, in a few words.
    pub threads: &'static str,
    /// The workloads that it does, by family.
    pub families: &'static [&'static str],
    /// What runs it.
    pub needs: Needs,
    /// Its source, and what follows that on its command line.
    command: &'static [&'static str],
    /// Whether all that it needs is there; the error says what is not, and what to do. Starts nothing.
    pub available: fn() -> io::Result<()>,
}

/// What runs a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Python, with these packages. That after which the peer is called comes first.
    Python(&'static [&'static str]),
    /// Node.js.
    Node,
    /// A Go compiler, once.
    Go,
}

const ECHO: &[&str] = &["tcp-echo", "idle", "churn"];
const ECHO_AND_SLEEP: &[&str] = &["tcp-echo", "idle", "churn", "sleep"];
const HTTP: &[&str] = &["http"];

const ONE: &str = "one, whatever the CPUs";
const ASYNCIO: &str = "python/on_asyncio.py";

const PYTHON: Peer = Peer {
    name: "",
    about: "",
    driver: "epoll",
    threads: ONE,
    families: ECHO,
    needs: Needs::Python(&[]),
    command: &[],
    available: || Ok(()),
};

/// All peers, in the order of listings.
pub const PEERS: &[Peer] = &[
    Peer {
        name: "asyncio",
        about: "Python's asyncio, protocols",
        families: ECHO_AND_SLEEP,
        command: &[ASYNCIO, "asyncio", "asyncio", "protocol"],
        available: || usable("asyncio"),
        ..PYTHON
    },
    Peer {
        name: "uvloop",
        about: "the same program on uvloop",
        families: ECHO_AND_SLEEP,
        needs: Needs::Python(&["uvloop"]),
        command: &[ASYNCIO, "uvloop", "uvloop", "protocol"],
        available: || usable("uvloop"),
        ..PYTHON
    },
    Peer {
        name: "asyncio-streams",
        about: "Python's asyncio, streams",
        command: &[ASYNCIO, "asyncio-streams", "asyncio", "streams"],
        available: || usable("asyncio-streams"),
        ..PYTHON
    },
    Peer {
        name: "uvloop-streams",
        about: "the same program on uvloop",
        needs: Needs::Python(&["uvloop"]),
        command: &[ASYNCIO, "uvloop-streams", "uvloop", "streams"],
        available: || usable("uvloop-streams"),
        ..PYTHON
    },
    Peer {
        name: "gevent",
        about: "Python's gevent, a greenlet for each connection",
        needs: Needs::Python(&["gevent"]),
        command: &["python/on_gevent.py", "gevent"],
        available: || usable("gevent"),
        ..PYTHON
    },
    Peer {
        name: "node",
        about: "Node.js, net",
        families: ECHO_AND_SLEEP,
        needs: Needs::Node,
        command: &["node/lane.mjs", "node"],
        available: || usable("node"),
        ..PYTHON
    },
    Peer {
        name: "go",
        about: "Go, a goroutine for each connection",
        threads: "a worker for each CPU",
        families: ECHO_AND_SLEEP,
        needs: Needs::Go,
        command: &["", "go"],
        available: || usable("go"),
        ..PYTHON
    },
    Peer {
        name: "uvicorn-asyncio",
        about: "uvicorn and httptools on asyncio",
        families: HTTP,
        needs: Needs::Python(&["uvicorn", "httptools"]),
        command: &[ASYNCIO, "uvicorn-asyncio", "asyncio", "uvicorn"],
        available: || usable("uvicorn-asyncio"),
        ..PYTHON
    },
    Peer {
        name: "uvicorn-uvloop",
        about: "the same program on uvloop",
        families: HTTP,
        needs: Needs::Python(&["uvicorn", "httptools", "uvloop"]),
        command: &[ASYNCIO, "uvicorn-uvloop", "uvloop", "uvicorn"],
        available: || usable("uvicorn-uvloop"),
        ..PYTHON
    },
    Peer {
        name: "node-http",
        about: "Node.js, http",
        families: HTTP,
        needs: Needs::Node,
        command: &["node/lane.mjs", "node-http"],
        available: || usable("node-http"),
        ..PYTHON
    },
    Peer {
        name: "go-http",
        about: "Go, net/http",
        threads: "a worker for each CPU",
        families: HTTP,
        needs: Needs::Go,
        command: &["", "go-http"],
        available: || usable("go-http"),
        ..PYTHON
    },
];

/// The peer of that name.
pub fn named(name: &str) -> Option<&'static Peer> {
    PEERS.iter().find(|peer| peer.name == name)
}

fn usable(name: &str) -> io::Result<()> {
    let peer = named(name).expect("it asks for itself");
    let found = Place::of_user().and_then(|place| find(&place, peer));
    found.map(drop).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_asks_for_itself_and_knows_its_name() {
        for peer in PEERS {
            // Whatever is installed here, it is found or told by its name.
            if let Err(missing) = (peer.available)() {
                let told = missing.to_string();
                let node = peer.needs == Needs::Node && told.contains("Node.js");
                assert!(node || told.contains(&format!("peers install {}", peer.name)), "{told}");
            }
            assert_eq!(peer.command[1], peer.name);
        }
    }
}
