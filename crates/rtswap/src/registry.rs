//! The lanes and workloads that a program knows.

use std::convert::Infallible;
use std::io::{self, BufReader, stdin, stdout};
use std::process::ExitCode;

use rtswap_floor::{FAMILIES, FLOORS, Floor};
use rtswap_harness::record::Kind;
use rtswap_lane::native::{self, Native};
use rtswap_lane::{Prepare, Ready, Refusal, adapter, host};
use rtswap_peers::{PEERS, Peer};
use rtswap_runtime::{Runtime, Threads};
use rtswap_workload::{Family, Standard, Suite};

use crate::runtimes::{
    AsyncStd, Compio, CompioDefer, CompioPoll, Glommio, Monoio, MonoioEpoll, Smol, SmolLocal,
    Tokio, TokioEvents8, TokioLocal, TokioUring,
};

/// Lanes and workloads, by name.
#[derive(Debug)]
pub struct Registry {
    /// The lanes, in the order of listings.
    pub lanes: Vec<Lane>,
    /// The workloads.
    pub catalogue: &'static [&'static Family],
    /// Workloads that a run measures unless told otherwise.
    pub default: &'static [&'static str],
    /// Workloads that `--quick` measures.
    pub quick: &'static [&'static str],
}

/// A contestant: a runtime in one configuration, or what stands beside it.
#[derive(Clone, Debug)]
pub struct Lane {
    /// Its name.
    pub name: String,
    /// What it is, in a few words.
    pub about: String,
    /// `1.54.1`; empty where it is unknown before it is started.
    pub version: String,
    /// `epoll`, `io_uring`.
    pub driver: &'static str,
    /// Who runs its tasks, in a few words.
    pub threads: &'static str,
    /// What it stands for.
    pub kind: Kind,
    /// Whether a run measures it unless told otherwise.
    pub in_default: bool,
    /// The families of workloads that it takes part in; empty for all.
    pub families: &'static [&'static str],
    /// Whether this machine lets it work; the error says why not.
    pub available: fn() -> io::Result<()>,
    /// Makes it ready for a workload.
    pub prepare: fn(&Prepare) -> Result<host::Program, Refusal>,
}

/// Makes a lane of a runtime, for the workloads of a suite.
pub fn lane<S: Suite, R: Runtime>(name: &str, about: &str) -> Lane {
    Lane {
        name: name.to_owned(),
        about: about.to_owned(),
        version: version_of(R::ABOUT.package).unwrap_or_default().to_owned(),
        driver: R::ABOUT.driver.name(),
        threads: match R::ABOUT.threads {
            Threads::Workers => "a worker for each CPU",
            Threads::Process => "a worker for each CPU, for the whole process",
            Threads::One => ONE_THREAD,
        },
        kind: Kind::Runtime,
        in_default: true,
        families: &[],
        available: R::available,
        prepare: adapter::prepare::<S, R>,
    }
}

const ONE_THREAD: &str = "one; a shard for each CPU";

/// What the lane of a runtime is called when it is written by hand, without the contract.
pub fn native_name(lane: &str) -> String {
    format!("native-{lane}")
}

/// What the lane of a runtime is called when its streams are polled.
pub fn polled_name(lane: &str) -> String {
    format!("poll-{lane}")
}

/// The lane of a runtime whose streams are polled, to know what that costs.
pub fn polled<R: Runtime>(lane: &Lane) -> Lane {
    Lane {
        name: polled_name(&lane.name),
        about: format!("{} over streams that are polled ({})", lane.name, R::ABOUT.streams.name()),
        kind: Kind::Polled,
        in_default: false,
        families: adapter::POLLED,
        prepare: adapter::prepare_polled::<R>,
        ..lane.clone()
    }
}

/// The lane of a runtime, and beside it the one that is written by hand and the one that is polled.
fn with_native<S: Suite, R: Native>(name: &str, about: &str) -> Vec<Lane> {
    let lane = lane::<S, R>(name, about);
    let by_hand = Lane {
        name: native_name(name),
        about: format!("{name} without the contract"),
        kind: Kind::Native,
        in_default: false,
        families: native::FAMILIES,
        prepare: native::prepare::<R>,
        ..lane.clone()
    };
    let polled = polled::<R>(&lane);
    vec![lane, by_hand, polled]
}

/// The lane of a server by hand on the system calls.
fn floor(floor: &Floor) -> Lane {
    let by_thread = floor.driver == "threads";
    Lane {
        name: floor.name.to_owned(),
        about: floor.about.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        driver: floor.driver,
        threads: if by_thread { "one for each connection" } else { ONE_THREAD },
        kind: Kind::Floor,
        in_default: matches!(floor.name, "floor-epoll" | "floor-uring"),
        families: FAMILIES,
        available: floor.available,
        prepare: floor.prepare,
    }
}

/// The lane of a program in another language.
fn peer(peer: &Peer) -> Lane {
    Lane {
        name: peer.name.to_owned(),
        about: peer.about.to_owned(),
        // What is installed is looked up where it is asked for: every lane makes a registry.
        version: String::new(),
        driver: peer.driver,
        threads: peer.threads,
        kind: Kind::Peer,
        in_default: false,
        families: peer.families,
        available: peer.available,
        prepare: rtswap_peers::prepare,
    }
}

/// Not in a run unless it is asked for.
fn on_request(lanes: Vec<Lane>) -> Vec<Lane> {
    lanes.into_iter().map(|lane| Lane { in_default: false, ..lane }).collect()
}

/// All lanes that ship. Adding a runtime is one line here.
fn lanes<S: Suite>() -> Vec<Lane> {
    let runtimes = [
        with_native::<S, Tokio>("tokio", "tokio, multi-threaded, as by default"),
        on_request(with_native::<S, TokioLocal>("tokio-local", "tokio on one thread")),
        with_native::<S, AsyncStd>("async-std", "async-std, as by default"),
        with_native::<S, Smol>("smol", "smol, multi-threaded executor"),
        on_request(with_native::<S, SmolLocal>("smol-local", "smol on one thread")),
        with_native::<S, TokioUring>("tokio-uring", "tokio-uring, one thread, io_uring"),
        with_native::<S, Monoio>("monoio", "monoio, one thread, io_uring"),
        with_native::<S, MonoioEpoll>("monoio-epoll", "monoio, the same on epoll"),
        with_native::<S, Compio>("compio", "compio, one thread, io_uring"),
        on_request(with_native::<S, CompioPoll>("compio-poll", "compio, the same on epoll")),
        with_native::<S, Glommio>("glommio", "glommio, one thread, io_uring"),
        on_request(vec![lane::<S, TokioEvents8>(
            "tokio-events-8",
            "tokio that looks for events after 8 tasks, not 61",
        )]),
        on_request(vec![lane::<S, CompioDefer>(
            "compio-defer",
            "compio, single issuer and deferred task work",
        )]),
    ];
    let beside = FLOORS.iter().map(floor).chain(PEERS.iter().map(peer));
    runtimes.into_iter().flatten().chain(beside).collect()
}

impl Registry {
    /// The lanes and workloads that ship.
    pub fn standard() -> Self {
        Self::of::<Standard>()
    }

    /// The lanes that ship, for the workloads of another suite.
    pub fn of<S: Suite>() -> Self {
        Self { lanes: lanes::<S>(), catalogue: S::CATALOGUE, default: S::DEFAULT, quick: S::QUICK }
    }

    /// With one more lane; one of the same name gives way.
    #[must_use]
    pub fn with(mut self, lane: Lane) -> Self {
        self.lanes.retain(|other| other.name != lane.name);
        self.lanes.push(lane);
        self
    }

    /// The lanes that are runtimes under the contract, and so do every workload.
    pub fn runtimes(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter().filter(|lane| lane.kind == Kind::Runtime)
    }

    /// The lane of that name.
    pub fn lane(&self, name: &str) -> Option<&Lane> {
        self.lanes.iter().find(|lane| lane.name == name)
    }
}

impl Lane {
    /// The program in another language that it is, if it is one.
    fn peer(&self) -> Option<&'static Peer> {
        rtswap_peers::named(&self.name).filter(|_| self.kind == Kind::Peer)
    }

    /// Its version, and for a peer what is installed of it.
    pub fn version(&self) -> String {
        let Some(peer) = self.peer() else { return self.version.clone() };
        let folder = rtswap_peers::PeerFolder::of_user().ok();
        folder.and_then(|folder| rtswap_peers::version(&folder, peer)).unwrap_or_default()
    }

    /// Speaks the lane protocol on standard input and output until told to stop. A peer becomes its
    /// interpreter, and does not return.
    pub fn host(&self) -> ExitCode {
        if let Some(peer) = self.peer() {
            return rtswap_peers::become_lane(peer);
        }
        host::run(&self.version, BufReader::new(stdin()), stdout(), self.prepare)
    }

    /// Serves a workload until the process ends; `ready` hears the address.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn serve(
        &self,
        order: &Prepare,
        ready: impl FnOnce(&Ready),
    ) -> Result<Infallible, Refusal> {
        if let Some(peer) = self.peer() {
            return rtswap_peers::serve(peer, order, ready);
        }
        host::serve(&self.version, order, self.prepare, ready)
    }
}

const VERSIONS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/versions.rs"));

fn version_of(package: &str) -> Option<&'static str> {
    VERSIONS.iter().rev().find(|(name, _)| *name == package).map(|(_, version)| *version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_knows_the_version_of_its_runtime() {
        let lanes = Registry::standard().lanes;
        for lane in lanes.into_iter().filter(|lane| lane.kind != Kind::Peer) {
            assert!(lane.version.contains('.'), "{}: {:?}", lane.name, lane.version);
        }
    }

    #[test]
    fn a_lane_of_the_same_name_gives_way() {
        let registry =
            Registry::standard().with(lane::<Standard, Tokio>("smol", "not really smol"));
        assert_eq!(registry.lane("smol").unwrap().about, "not really smol");
        assert_eq!(registry.lanes.len(), Registry::standard().lanes.len());
    }
}
