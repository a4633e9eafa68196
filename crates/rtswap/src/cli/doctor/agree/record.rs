//! What `--agree` measured, as its JSON has it.

use std::collections::BTreeMap;
use std::fmt;

use rtswap_harness::record::Environment;
use serde::{Deserialize, Serialize};

/// The version of [`Record`].
pub const SCHEMA: u32 = 1;

/// All figures of a run. The outcome is computed from them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA`].
    pub agree_schema: u32,
    /// Where, when and by what the run was made.
    pub environment: Environment,
    /// The seed of all orders.
    pub seed: u64,
    /// The lane that ratios are taken against.
    pub reference: String,
    /// All lanes, the reference first.
    pub lanes: Vec<String>,
    /// Repetitions, each with fresh processes.
    pub repetitions: u32,
    /// Seconds for which each client loaded each lane.
    pub seconds: u32,
    /// The rate as it was asked for: `30%` or `20000`.
    pub rate: String,
    /// CPUs of the lanes.
    pub server_cpus: Vec<usize>,
    /// CPUs of the clients.
    pub load_cpus: Vec<usize>,
    /// The clients that are not part of rtswap, also those that are missing.
    pub clients: Vec<ClientInfo>,
    /// By workload.
    pub workloads: Vec<WorkloadRecord>,
    /// What has no figures.
    pub failures: Vec<Failure>,
}

/// A client that is not part of rtswap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientInfo {
    /// Its name.
    pub name: String,
    /// What it says of its version.
    pub version: Option<String>,
    /// How to install it, if it is missing.
    pub missing: Option<String>,
}

/// The figures of a workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkloadRecord {
    /// The workload's full name.
    pub name: String,
    /// The noun for one operation.
    pub unit: String,
    /// Operations that were offered per second.
    pub rate_per_s: Option<f64>,
    /// The capacity of each lane from which the rate was computed.
    pub capacity_per_s: BTreeMap<String, f64>,
    /// In the order in which they were made.
    pub measurements: Vec<Measurement>,
}

/// How much a client asks of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Load {
    /// As much as it can: a closed loop on each connection.
    Saturation,
    /// The rate that is the same for all.
    Rate,
}

/// One client on one lane, or one slice of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The repetition, from 0.
    pub repetition: u32,
    /// The client.
    pub client: String,
    /// The load.
    pub load: Load,
    /// The block of a slice, from 0; `None` for other clients.
    pub block: Option<u32>,
    /// The lane.
    pub lane: String,
    /// The figures.
    #[serde(flatten)]
    pub figures: Figures,
}

/// The figures of one client on one lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Operations that the client has finished.
    pub ops: u64,
    /// Operations per second, by the client's own account.
    pub ops_per_s: f64,
    /// CPU time of the lane's process from before the client's start until after its end, or over the counted
    /// window of rtswap's own clients, nanoseconds.
    pub cpu_ns: u64,
    /// Latencies, nanoseconds, where the client gives them. They count from when an operation was due, except for
    /// h2load, where they count from its start.
    pub p50_ns: Option<f64>,
    /// The same, 90th percentile.
    pub p90_ns: Option<f64>,
    /// The same, 99th percentile.
    pub p99_ns: Option<f64>,
    /// The same, 99.9th percentile.
    pub p999_ns: Option<f64>,
    /// How late rtswap's own generator was, 99th percentile, nanoseconds.
    pub late_p99_ns: Option<u64>,
}

/// A lane or a client on a lane that has no figures from here on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The workload.
    pub workload: String,
    /// The lane.
    pub lane: String,
    /// The client, or `None` if the lane itself failed.
    pub client: Option<String>,
    /// The repetition, from 0.
    pub repetition: u32,
    /// Why, in a line.
    pub reason: String,
}

impl Record {
    /// An error if a later version has written the file.
    pub fn check_schema(&self) -> Result<(), String> {
        let found = self.agree_schema;
        (found == SCHEMA)
            .then_some(())
            .ok_or_else(|| format!("it has schema {found}, and this rtswap reads {SCHEMA}"))
    }
}

impl Figures {
    /// CPU time of the lane per operation, nanoseconds.
    pub fn cpu_ns_per_op(&self) -> f64 {
        self.cpu_ns as f64 / self.ops as f64
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workload, lane, client, repetition, reason } = self;
        write!(f, "{lane} on {workload}")?;
        if let Some(client) = client {
            write!(f, ", loaded by {client}")?;
        }
        write!(f, ", repetition {}: {reason}", repetition + 1)
    }
}
