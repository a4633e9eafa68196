//! The lane protocol: orders on the standard input of a lane, answers on its standard output, one JSON
//! object a line. LANES.md describes it for authors of lanes.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::record::{Offered, Status};
use crate::workload::{Arrivals, Resources};

/// An order of the harness to a lane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Order {
    /// Get ready for a workload. The first order, and given once.
    Prepare(Prepare),
    /// Run a slice. Only for workloads that the lane drives itself.
    Slice {
        /// Length in milliseconds. In a closed loop, the batch in progress at the end is finished and counts.
        ms: u64,
        /// The load to offer instead of a closed loop.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pace: Option<Pace>,
    },
    /// Answer and exit with 0. The end of the standard input means the same.
    Stop,
}

/// When operations are due. Lanes of a block get the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// Operations per second.
    pub rate_per_s: f64,
    /// How they are distributed.
    pub arrivals: Arrivals,
    /// Seeds the distribution.
    pub seed: u64,
}

/// The workload and its placement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepare {
    /// Its full name, without the parameters of an offered load: `tcp-echo/size=1024/conns=32`.
    pub workload: String,
    /// The CPUs to run on; the process is confined to them already. One worker or shard for each.
    pub cpus: Vec<usize>,
    /// CPU time to burn in each operation, in nanoseconds; 0 for none. A lane that cannot do so refuses.
    #[serde(default)]
    pub delay_ns: u64,
    /// What the workload works with, by name: `redis` is a URL, `folder` a path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: Resources,
    /// Where a served workload listens, at this address alone. `None` for free ports of 127.0.0.1, which the lane
    /// chooses: one for each shard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addr: Option<SocketAddr>,
}

/// An answer of a lane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Answer {
    /// To `prepare`.
    Ready(Ready),
    /// To `slice`.
    Slice(SliceDone),
    /// To `stop`.
    Stopped,
    /// To any order, or unasked: the lane gives up this workload and exits.
    Failed(Refusal),
}

/// The lane is ready.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    /// Where it listens, if it serves. The first address of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addr: Option<SocketAddr>,
    /// Where its shards listen, if each has an address of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addrs: Vec<SocketAddr>,
    /// The process that does the work, if it is not the one that the harness has started, but one that this has started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// How long the lane works before its first counted slice, milliseconds: for JIT runtimes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub warm_up_ms: u64,
    /// The effective configuration.
    #[serde(alias = "receipt")]
    pub info: LaneInfo,
}

impl Ready {
    /// Every address that connections go to: [`Self::addrs`], or [`Self::addr`] if there are none.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        if self.addrs.is_empty() { self.addr.into_iter().collect() } else { self.addrs.clone() }
    }
}

/// The effective configuration of a lane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneInfo {
    /// The runtime, or the language and loop.
    pub runtime: String,
    /// Its version.
    pub version: String,
    /// The I/O driver in use: `epoll`, `io_uring`, `threads`, …
    pub driver: String,
    /// Threads that run tasks, in all shards.
    pub workers: usize,
    /// Processes or threads that each have a runtime, a listening socket and, unless [`Prepare::addr`] was given, an
    /// address of their own.
    #[serde(default = "one")]
    pub shards: usize,
    /// Other settings that a repetition needs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn one() -> usize {
    1
}

/// The figures of a finished slice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceDone {
    /// Operations done, all of them verified.
    pub ops: u64,
    /// From the start of the first to the end of the last, in nanoseconds. A check: it must reach the ordered time and
    /// fit between order and answer. In a closed loop the harness divides by the time from order to answer, in
    /// which it also measures CPU time. With a pace, the window.
    pub elapsed_ns: u64,
    /// Latencies in nanoseconds, if the workload has any: [`histogram::encode`](crate::histogram::encode). With
    /// a pace, from when an operation was due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_hdr: Option<String>,
    /// With a pace, what became of the offered load. A lane that leaves it out cannot pace itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<Offered>,
}

/// Why a lane gives up a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "status", content = "reason", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Refusal {
    /// The runtime or the machine cannot do it.
    #[error("{0}")]
    Unsupported(String),
    /// Something that the lane needs is missing; the reason names what to install.
    #[error("{0}")]
    Skipped(String),
    /// Something went wrong.
    #[error("{0}")]
    Failed(String),
    /// The work failed verification.
    #[error("{0}")]
    Invalid(String),
}

impl Refusal {
    /// The outcome of the cell.
    pub fn status(&self) -> Status {
        match self {
            Self::Unsupported(_) => Status::Unsupported,
            Self::Skipped(_) => Status::Skipped,
            Self::Failed(_) => Status::Failed,
            Self::Invalid(_) => Status::Invalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_lanes_md_parse() {
        let document = include_str!("../../../LANES.md");
        let (mut orders, mut answers) = (0, 0);
        for line in document.lines().map(str::trim) {
            if line.starts_with("{\"order\"") {
                serde_json::from_str::<Order>(line).unwrap_or_else(|e| panic!("{line}: {e}"));
                orders += 1;
            } else if line.starts_with("{\"answer\"") {
                serde_json::from_str::<Answer>(line).unwrap_or_else(|e| panic!("{line}: {e}"));
                answers += 1;
            }
        }
        assert!(orders >= 3 && answers >= 4, "LANES.md has {orders} orders and {answers} answers");
    }

    #[test]
    fn addresses_are_those_of_shards_or_the_only_one() {
        let addresses = |fields: &str| {
            let info = r#""info":{"runtime":"x","version":"1","driver":"epoll","workers":1}"#;
            let line = format!(r#"{{"answer":"ready"{fields},{info}}}"#);
            let Answer::Ready(ready) = serde_json::from_str(&line).unwrap() else {
                panic!("{line}")
            };
            let ports: Vec<_> = ready.addresses().iter().map(SocketAddr::port).collect();
            (ports, serde_json::to_string(&Answer::Ready(ready)).unwrap())
        };
        assert!(addresses("").0.is_empty());
        let (ports, written) = addresses(r#","addr":"127.0.0.1:1""#);
        assert_eq!(ports, [1]);
        // A harness that does not know `addrs` finds what it has always found.
        assert!(!written.contains("addrs"), "{written}");
        let both = r#","addr":"127.0.0.1:1","addrs":["127.0.0.1:1","127.0.0.1:2"]"#;
        assert_eq!(addresses(both).0, [1, 2]);
        assert_eq!(addresses(r#","addrs":["127.0.0.1:2"]"#).0, [2]);
    }

    #[test]
    fn refusal_has_status_and_reason_in_json() {
        let answer = Answer::Failed(Refusal::Unsupported("no ring".to_owned()));
        assert_eq!(
            serde_json::to_string(&answer).unwrap(),
            r#"{"answer":"failed","status":"unsupported","reason":"no ring"}"#
        );
    }
}
