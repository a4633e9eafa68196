//! The lanes and workloads that a program knows.

use std::convert::Infallible;
use std::process::ExitCode;

use rtswap_lane::{Lane, Prepare, Ready, Refusal};
use rtswap_peers::{PEERS, Peer};
use rtswap_schema::record::Kind;
use rtswap_workload::{Family, Standard, Suite};

/// Lanes and workloads, by name.
#[derive(Debug)]
pub struct Registry {
    /// The lanes, in the order of listings.
    pub lanes: Vec<Lane>,
    /// The workloads.
    pub catalogue: &'static [&'static Family],
    /// Workloads that a run measures by default.
    pub default: &'static [&'static str],
    /// Workloads that `--quick` measures.
    pub quick: &'static [&'static str],
}

/// An adapter, whose lanes can be built against other versions of its runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Adapter {
    /// The runtime, and the cargo feature that brings the adapter.
    pub runtime: &'static str,
    /// The adapter's module: `rtswap_tokio`.
    module: &'static str,
    /// The crate whose version its lanes name.
    pub package: &'static str,
    /// The repository of that crate.
    pub repository: &'static str,
    /// Its lanes.
    lanes: &'static [&'static str],
}

impl Adapter {
    /// The adapter's crate: `rtswap-tokio`.
    pub fn name(&self) -> String {
        self.module.replace('_', "-")
    }

    /// The adapter of a lane, if it has one and is under the contract.
    pub fn of(lane: &Lane) -> Option<&'static Self> {
        let is_runtime = lane.kind == Kind::Runtime;
        ADAPTERS.iter().find(|it| is_runtime && it.lanes.contains(&lane.name.as_str()))
    }
}

/// From lines of a cargo feature, the adapter that it brings, the crate that the adapter is for with its repository,
/// and the names of the adapter's lanes: their lanes, or what stands for them where the feature is off.
macro_rules! runtimes {
    ($($feature:literal $adapter:ident for $package:literal $repository:literal [$($lane:literal)+])+) => {
        /// The lanes of all runtimes, each instantiated in its adapter's crate.
        fn standard_runtimes() -> Vec<Lane> {
            let mut lanes = Vec::new();
            $(
                #[cfg(feature = $feature)]
                lanes.extend($adapter::lanes());
                #[cfg(not(feature = $feature))]
                lanes.extend([$(not_built($lane, $feature)),+]);
            )+
            lanes
        }

        /// The same lanes for the workloads of another suite, instantiated where this is called.
        fn runtimes_of<S: Suite>() -> Vec<Lane> {
            let mut lanes = Vec::new();
            $(
                #[cfg(feature = $feature)]
                lanes.extend($adapter::lanes_of::<S>());
                #[cfg(not(feature = $feature))]
                lanes.extend([$(not_built($lane, $feature)),+]);
            )+
            lanes
        }

        /// The adapters.
        const ADAPTERS: &[Adapter] = &[$(Adapter {
            runtime: $feature,
            module: stringify!($adapter),
            package: $package,
            repository: $repository,
            lanes: &[$($lane),+],
        }),+];

        #[cfg(test)]
        const NAMES: &[&str] = &[$($($lane),+),+];
    };
}

// Adding a runtime is one entry here.
runtimes! {
    "tokio" rtswap_tokio for "tokio" "https://github.com/tokio-rs/tokio"
        ["tokio" "tokio-local" "tokio-events-8" "tokio-fs" "tokio-fs-uring"]
    "async-std" rtswap_async_std for "async-std" "https://github.com/async-rs/async-std"
        ["async-std" "async-std-fs"]
    "smol" rtswap_smol for "smol" "https://github.com/smol-rs/smol"
        ["smol" "smol-local" "smol-fs"]
    "tokio-uring" rtswap_tokio_uring for "tokio-uring" "https://github.com/tokio-rs/tokio-uring"
        ["tokio-uring" "tokio-uring-bridge" "tokio-uring-net" "tokio-uring-coop"]
    "monoio" rtswap_monoio for "monoio" "https://github.com/bytedance/monoio"
        ["monoio" "monoio-epoll" "monoio-bridge" "monoio-defer" "monoio-coop"]
    "compio" rtswap_compio for "compio" "https://github.com/compio-rs/compio"
        ["compio" "compio-poll" "compio-defer" "compio-coop" "compio-poll-fd" "compio-poll-poll-fd"]
    "glommio" rtswap_glommio for "glommio" "https://github.com/DataDog/glommio"
        ["glommio"]
    "may" rtswap_may for "may" "https://github.com/Xudong-Huang/may"
        ["may"]
    "ntex" rtswap_ntex for "ntex-rt" "https://github.com/ntex-rs/ntex"
        ["ntex" "ntex-epoll"]
}

/// What stands for a lane whose cargo feature is off.
#[allow(dead_code, reason = "with all features there is none")]
fn not_built(name: &str, feature: &'static str) -> Lane {
    // The one lane that its crate's feature does not bring.
    let (feature, flags) = match name {
        "tokio-fs-uring" => ("tokio-unstable", "`RUSTFLAGS=\"--cfg tokio_unstable\"` and "),
        _ => (feature, ""),
    };
    Lane::not_built(name, feature, &format!("build rtswap with {flags}`--features {feature}`"))
}

/// The lane of a program in another language. Its version is looked up where it is asked for: every lane
/// process makes a registry.
fn peer(peer: &'static Peer) -> Lane {
    let mut lane = Lane::new(peer.name, peer.about, Kind::Peer, rtswap_peers::prepare)
        .on_request()
        .with_available(peer.available);
    lane.driver = peer.driver;
    lane.threads = peer.threads;
    lane.families = peer.families;
    lane
}

impl Registry {
    /// The lanes and workloads that ship.
    pub fn standard() -> Self {
        Self::with_lanes::<Standard>(standard_runtimes())
    }

    /// The lanes that ship, for the workloads of another suite.
    pub fn of<S: Suite>() -> Self {
        Self::with_lanes::<S>(runtimes_of::<S>())
    }

    fn with_lanes<S: Suite>(runtimes: Vec<Lane>) -> Self {
        let others = rtswap_floor::lanes().into_iter().chain(PEERS.iter().map(peer));
        Self {
            lanes: runtimes.into_iter().chain(others).collect(),
            catalogue: S::CATALOGUE,
            default: S::DEFAULT,
            quick: S::QUICK,
        }
    }

    /// With one more lane, which replaces one of the same name.
    #[must_use]
    pub fn with(mut self, lane: Lane) -> Self {
        self.lanes.retain(|other| other.name != lane.name);
        self.lanes.push(lane);
        self
    }

    /// The lanes that are runtimes under the contract, and so do every workload.
    pub fn runtimes(&self) -> impl Iterator<Item = &Lane> {
        let whole = |lane: &&Lane| lane.families.is_empty() && lane.missing_feature.is_none();
        self.lanes.iter().filter(|lane| lane.kind == Kind::Runtime).filter(whole)
    }

    /// The lane of that name.
    pub fn lane(&self, name: &str) -> Option<&Lane> {
        self.lanes.iter().find(|lane| lane.name == name)
    }
}

/// The program in another language that a lane is, if it is one.
fn peer_of(lane: &Lane) -> Option<&'static Peer> {
    rtswap_peers::named(&lane.name).filter(|_| lane.kind == Kind::Peer)
}

/// The version of a lane, and for a peer what is installed of it.
pub(crate) fn version(lane: &Lane) -> String {
    let Some(peer) = peer_of(lane) else { return lane.version.clone() };
    let folder = rtswap_peers::PeerFolder::of_user().ok();
    folder.and_then(|folder| rtswap_peers::version(&folder, peer)).unwrap_or_default()
}

/// Speaks the lane protocol for a lane. A peer becomes its interpreter, and does not return.
pub(crate) fn host(lane: &Lane) -> ExitCode {
    match peer_of(lane) {
        Some(peer) => rtswap_peers::become_lane(peer),
        None => lane.host(),
    }
}

/// Serves a workload on a lane until the process ends; `ready` hears the address.
pub(crate) fn serve(
    lane: &Lane,
    order: &Prepare,
    ready: impl FnOnce(&Ready),
) -> Result<Infallible, Refusal> {
    match peer_of(lane) {
        Some(peer) => rtswap_peers::serve(peer, order, ready),
        None => lane.serve(order, ready),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_has_the_listed_runtimes() {
        let registry = Registry::standard();
        let runtimes = registry.lanes.iter().filter(|lane| lane.kind == Kind::Runtime);
        assert_eq!(runtimes.map(|lane| lane.name.as_str()).collect::<Vec<_>>(), NAMES);
    }

    #[test]
    fn adapter_names_the_crate_whose_version_its_lanes_have() {
        let registry = Registry::standard();
        for adapter in ADAPTERS {
            let lane = registry.lane(adapter.lanes[0]).unwrap();
            assert_eq!(Adapter::of(lane), Some(adapter));
            let version = rtswap_lane::version_of(adapter.package).unwrap_or_default();
            assert!(lane.missing_feature.is_some() || lane.version == version, "{adapter:?}");
        }
        for name in ["floor-epoll", "native-tokio", "poll-tokio", "uvloop"] {
            assert_eq!(registry.lane(name).and_then(Adapter::of), None, "{name}");
        }
    }

    #[test]
    fn standard_lanes_have_a_version_or_a_missing_feature() {
        let lanes = Registry::standard().lanes;
        for lane in lanes.into_iter().filter(|lane| lane.kind != Kind::Peer) {
            let missing = lane.missing_feature.is_some();
            assert!(lane.version.contains('.') != missing, "{}: {:?}", lane.name, lane.version);
        }
    }

    #[test]
    fn not_built_lane_names_its_feature_and_is_skipped() {
        let registry = Registry::standard().with(not_built("smol", "smol"));
        let lane = registry.lane("smol").unwrap();
        assert!(!lane.in_default);
        assert!(registry.runtimes().all(|lane| lane.name != "smol"));
        let reason = "not built in: build rtswap with `--features smol`";
        assert_eq!(lane.available().unwrap_err().to_string(), reason);
        let refusal = lane.prepare(&Prepare::default()).unwrap_err();
        assert_eq!(refusal, Refusal::Skipped(reason.to_owned()));
    }

    #[test]
    fn tokio_fs_uring_has_one_remedy_with_and_without_tokio() {
        let registry = Registry::standard();
        let shipped = registry.lane("tokio-fs-uring").unwrap();
        let without_tokio = not_built("tokio-fs-uring", "tokio");
        let reason = |lane: &Lane| lane.available().unwrap_err().to_string();
        let flags = "RUSTFLAGS=\"--cfg tokio_unstable\"` and `--features tokio-unstable`";
        assert!(reason(&without_tokio).contains(flags), "{}", reason(&without_tokio));
        if shipped.missing_feature.is_some() {
            assert_eq!(reason(shipped), reason(&without_tokio));
            assert_eq!(shipped.missing_feature, without_tokio.missing_feature);
        }
    }

    #[test]
    fn with_replaces_a_lane_of_the_same_name() {
        let count = Registry::standard().lanes.len();
        let other = Lane::new("smol", "not really smol", Kind::Runtime, |_| {
            Err(Refusal::Failed("never prepared".to_owned()))
        });
        let registry = Registry::standard().with(other);
        assert_eq!(registry.lane("smol").unwrap().about, "not really smol");
        assert_eq!(registry.lanes.len(), count);
    }
}
