use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// What the harness asks of a lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case")]
pub enum Order {
    /// Get ready for a workload. The first order, and given once.
    Prepare(Prepare),
    /// Work for `ms` milliseconds. Only for workloads that the lane drives itself.
    Slice {
        /// How long, in milliseconds; the batch that is under way then is finished and counts.
        ms: u64,
    },
    /// Answer, and exit with 0. The end of standard input means the same.
    Stop,
}

/// The workload, and where it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepare {
    /// Its full name: `tcp-echo/size=1024/conns=32`.
    pub workload: String,
    /// The CPUs to run on; the process is confined to them already. One worker or shard for each.
    pub cpus: Vec<usize>,
    /// CPU time to burn in each operation, in nanoseconds; 0 for none. A lane that cannot refuses.
    #[serde(default)]
    pub delay_ns: u64,
    /// What the workload works with, where it needs anything: `redis` is a URL, `folder` a path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resources: BTreeMap<String, String>,
    /// Where to listen, for a served workload; the lane chooses a free port of 127.0.0.1 otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addr: Option<SocketAddr>,
}

/// What a lane says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// To `prepare`.
    Ready(Ready),
    /// To `slice`.
    Slice(SliceDone),
    /// To `stop`.
    Stopped,
    /// To any order, or at any time: the lane gives up this workload, and exits.
    Failed(Refusal),
}

/// The lane is ready.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    /// Where it listens, if it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addr: Option<SocketAddr>,
    /// How long it is to work before anything counts, milliseconds: for what compiles as it goes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub warm_up_ms: u64,
    /// What it really is.
    pub receipt: Receipt,
}

/// The configuration really in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The runtime, or the language and loop.
    pub runtime: String,
    /// Its version.
    pub version: String,
    /// How it learns of I/O: `epoll`, `io_uring`, `threads`, …
    pub driver: String,
    /// Threads that run tasks, over all shards.
    pub workers: usize,
    /// Processes or threads with a runtime, and a listening socket, of their own.
    #[serde(default = "one")]
    pub shards: usize,
    /// Whatever else is needed to repeat it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notes: BTreeMap<String, String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn one() -> usize {
    1
}

/// A slice was run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceDone {
    /// Operations done, all of them verified.
    pub ops: u64,
    /// From the beginning of the first to the end of the last, in nanoseconds.
    pub elapsed_ns: u64,
    /// Their latencies in nanoseconds, where the workload has one: HDR histogram, V2, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_hdr: Option<String>,
}

/// The lane gives up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "status", content = "reason", rename_all = "kebab-case")]
pub enum Refusal {
    /// The runtime or the machine cannot do it.
    #[error("{0}")]
    Unsupported(String),
    /// Something that it needs is missing; the reason says what to install.
    #[error("{0}")]
    Skipped(String),
    /// Something went wrong.
    #[error("{0}")]
    Failed(String),
    /// The work was done wrong.
    #[error("{0}")]
    Invalid(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What LANES.md shows must be what is spoken.
    #[test]
    fn the_lines_of_the_document_are_the_lines_of_the_protocol() {
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
        assert!(orders >= 3 && answers >= 4, "{orders} orders and {answers} answers are shown");
    }

    #[test]
    fn a_refusal_says_in_which_way_and_why() {
        let answer = Answer::Failed(Refusal::Unsupported("no ring".to_owned()));
        assert_eq!(
            serde_json::to_string(&answer).unwrap(),
            r#"{"answer":"failed","status":"unsupported","reason":"no ring"}"#
        );
    }
}
