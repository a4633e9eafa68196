//! Peers: lanes in other languages, measured with the runtimes in Rust.
//!
//! A peer is a small program in the idiom of its language that speaks the lane protocol (LANES.md). Its source
//! is part of this crate. Python packages and the Go compiler are not: `rtswap peers install` downloads them.
//! Node.js is left to the user. The README of this crate describes each peer and cites its model.
#![warn(missing_docs)]

mod error;
mod folder;
pub mod install;
#[cfg(test)]
mod lane_tests;
mod lookup;
mod process;

use std::io;

pub use error::{InstallError, PeerError};
pub use folder::{FOLDER_VAR, PeerFolder};
pub use lookup::{Details, command, details, find, version};
pub use process::{become_lane, prepare, serve, serve_command};

/// A program in another language.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The name of its lane.
    pub name: &'static str,
    /// A description in a few words.
    pub about: &'static str,
    /// How the peer waits for I/O.
    pub driver: &'static str,
    /// The threads that run its tasks, in a few words.
    pub threads: &'static str,
    /// The workloads that the peer supports, by family.
    pub families: &'static [&'static str],
    /// What the peer needs.
    pub needs: Needs,
    /// The source, and the arguments that follow it.
    command: &'static [&'static str],
    /// Whether all that the peer needs is installed; the error names what is missing, and the remedy. Starts no
    /// process.
    pub available: fn() -> io::Result<()>,
}

/// What a peer needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Python with these packages. The package that the peer is named after comes first.
    Python(&'static [&'static str]),
    /// Node.js.
    Node,
    /// A Go compiler, to build the lane.
    Go,
}

const ECHO: &[&str] = &["tcp-echo", "idle", "churn"];
const ECHO_AND_SLEEP: &[&str] = &["tcp-echo", "idle", "churn", "sleep"];
const HTTP: &[&str] = &["http"];

const ONE_THREAD: &str = "one, whatever the CPUs";
const ASYNCIO: &str = "python/on_asyncio.py";

/// What most peers have in common.
const BASE: Peer = Peer {
    name: "",
    about: "",
    driver: "epoll",
    threads: ONE_THREAD,
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
        available: || available("asyncio"),
        ..BASE
    },
    Peer {
        name: "uvloop",
        about: "the same program on uvloop",
        families: ECHO_AND_SLEEP,
        needs: Needs::Python(&["uvloop"]),
        command: &[ASYNCIO, "uvloop", "uvloop", "protocol"],
        available: || available("uvloop"),
        ..BASE
    },
    Peer {
        name: "asyncio-streams",
        about: "Python's asyncio, streams",
        command: &[ASYNCIO, "asyncio-streams", "asyncio", "streams"],
        available: || available("asyncio-streams"),
        ..BASE
    },
    Peer {
        name: "uvloop-streams",
        about: "the same program on uvloop",
        needs: Needs::Python(&["uvloop"]),
        command: &[ASYNCIO, "uvloop-streams", "uvloop", "streams"],
        available: || available("uvloop-streams"),
        ..BASE
    },
    Peer {
        name: "gevent",
        about: "Python's gevent, a greenlet for each connection",
        needs: Needs::Python(&["gevent"]),
        command: &["python/on_gevent.py", "gevent"],
        available: || available("gevent"),
        ..BASE
    },
    Peer {
        name: "node",
        about: "Node.js, net",
        families: ECHO_AND_SLEEP,
        needs: Needs::Node,
        command: &["node/lane.mjs", "node"],
        available: || available("node"),
        ..BASE
    },
    Peer {
        name: "go",
        about: "Go, a goroutine for each connection",
        threads: "a worker for each CPU",
        families: ECHO_AND_SLEEP,
        needs: Needs::Go,
        command: &["", "go"],
        available: || available("go"),
        ..BASE
    },
    Peer {
        name: "uvicorn-asyncio",
        about: "uvicorn and httptools on asyncio",
        families: HTTP,
        needs: Needs::Python(&["uvicorn", "httptools"]),
        command: &[ASYNCIO, "uvicorn-asyncio", "asyncio", "uvicorn"],
        available: || available("uvicorn-asyncio"),
        ..BASE
    },
    Peer {
        name: "uvicorn-uvloop",
        about: "the same program on uvloop",
        families: HTTP,
        needs: Needs::Python(&["uvicorn", "httptools", "uvloop"]),
        command: &[ASYNCIO, "uvicorn-uvloop", "uvloop", "uvicorn"],
        available: || available("uvicorn-uvloop"),
        ..BASE
    },
    Peer {
        name: "node-http",
        about: "Node.js, http",
        families: HTTP,
        needs: Needs::Node,
        command: &["node/lane.mjs", "node-http"],
        available: || available("node-http"),
        ..BASE
    },
    Peer {
        name: "go-http",
        about: "Go, net/http",
        threads: "a worker for each CPU",
        families: HTTP,
        needs: Needs::Go,
        command: &["", "go-http"],
        available: || available("go-http"),
        ..BASE
    },
];

/// The peer of that name.
pub fn named(name: &str) -> Option<&'static Peer> {
    PEERS.iter().find(|peer| peer.name == name)
}

fn available(name: &str) -> io::Result<()> {
    let peer = named(name).expect("`PEERS` has the peer that asks");
    PeerFolder::of_user().and_then(|folder| find(&folder, peer)).map(drop).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_passes_the_name_of_each_peer() {
        for peer in PEERS {
            assert_eq!(peer.command[1], peer.name);
        }
    }
}
