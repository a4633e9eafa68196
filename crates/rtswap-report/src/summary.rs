//! The summary of a record: its types, which are also the shape of its JSON.

use std::collections::BTreeMap;

use rtswap_schema::record::{Ended, Environment, Kind, Status, Stop};
use rtswap_schema::workload::{Arrivals, ParamValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod figure;
mod overhead;
mod warning;

pub use figure::{Cause, Figure, Interval, Metric};
pub use warning::{Warning, WarningKind};

/// The version of the summary's JSON. Version 1 had the verdicts `faster`, `slower`, `cheaper`,
/// `dearer`, `tie` and `inconclusive`, and no [`Figure::cause`]. Version 2 had no verdict `equivalent`, one process
/// of the reference, and a noise floor below which nothing was decided.
pub const SCHEMA: u32 = 3;

/// Factor between the longest latency of a round and its 99th percentile above which the lane stalled.
pub const STALL: f64 = 20.0;

/// A run in figures: one [`Cell`] for each lane of each workload, and figures of the whole run.
///
/// In JSON a figure that is not known is `null`. Only the metrics of a cell that were not measured are
/// left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Where, when and by what the run was made.
    pub environment: Environment,
    /// The run's seed.
    pub seed: u64,
    /// The plan of the run, and how the run ended.
    pub plan: PlanSummary,
    /// The lane that ratios are taken against.
    pub reference: String,
    /// The control's ratio to the reference in `ops_per_s` and `cpu_ns_per_op`, pooled over all
    /// workloads. It differs from 1 by noise alone.
    pub control: BTreeMap<Metric, Interval>,
    /// The workloads, in running order.
    pub workloads: Vec<WorkloadSummary>,
    /// The cells: workloads in running order, in each the lanes in listing order.
    pub cells: Vec<Cell>,
    /// Reasons to distrust the figures, with remedies.
    pub warnings: Vec<Warning>,
}

impl Summary {
    /// Whether each lane has a reference of its own: an adapter's lane its native lane.
    pub fn is_paired(&self) -> bool {
        self.cells.iter().any(|cell| cell.against.is_some())
    }

    /// Whether the references are of several kinds, so that each row has to name its own.
    pub fn is_chained(&self) -> bool {
        self.cells.iter().any(|cell| cell.kind == Kind::Polled && cell.against.is_some())
    }

    /// The word for the lane that ratios are taken against, in a heading.
    pub fn base(&self) -> &str {
        match (self.is_paired(), self.is_chained()) {
            (true, true) => "baseline",
            (true, false) => "native",
            (false, _) => &self.reference,
        }
    }

    /// The cells of one workload, in listing order.
    pub fn cells_of<'a>(&'a self, workload: &'a str) -> impl Iterator<Item = &'a Cell> {
        self.cells.iter().filter(move |cell| cell.name == workload)
    }

    /// One cell, by the workload's full name and the lane's name.
    pub fn cell(&self, workload: &str, lane: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.name == workload && cell.lane == lane)
    }
}

/// The plan of the run, and how the run ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanSummary {
    /// Rounds of each workload.
    pub rounds: u32,
    /// Blocks of each round, of the workload with the fewest.
    pub blocks: u32,
    /// Blocks of each round, of the workload with the most.
    pub blocks_most: u32,
    /// CPUs of the lanes.
    pub server_cpus: Vec<usize>,
    /// CPUs of the load generator.
    pub load_cpus: Vec<usize>,
    /// Seconds that the run was allowed to take.
    pub budget_s: f64,
    /// Relative half-width of the intervals that ended a workload: 0.01 is 1 %.
    pub precision: Option<f64>,
    /// The probability of any false `better` or `worse` among the lanes of one workload, in one metric.
    pub alpha: f64,
    /// The largest relative difference of two lanes that are called equivalent: 0.03 is 3 %.
    pub margin: f64,
    /// How the run ended; `None` if it was killed.
    pub ended: Option<Ended>,
    /// Seconds that the run took.
    pub elapsed_s: Option<f64>,
}

/// The part that a lane has in the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It is compared with a reference.
    Lane,
    /// Other lanes are compared with it.
    Reference,
    /// It is the second process of the reference. Other lanes are compared with both processes, and the two
    /// with each other.
    Control,
}

/// The bottleneck of a lane's slices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The lane: it used its CPUs to the full.
    Lane,
    /// The load generator: it used its CPUs to the full.
    Generator,
    /// Neither used its CPUs to the full.
    None,
}

/// Latencies of one operation, over all rounds together, nanoseconds. With an offered rate they count from when
/// the operation was due, otherwise from when it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 99th percentile.
    pub p99: u64,
    /// 99.9th percentile; `None` if fewer than ten samples lie above it.
    pub p999: Option<u64>,
    /// 99.99th percentile; `None` if fewer than ten samples lie above it.
    pub p9999: Option<u64>,
    /// Largest.
    pub max: u64,
}

/// A lane against the lower bound on cost: the CPU time per operation of the floor that uses the least,
/// divided by the lane's, in the same blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FloorShare {
    /// The floor.
    pub floor: String,
    /// 1 is the floor; 0.5 is a lane that uses twice its CPU time.
    pub share: f64,
    /// Lower end of the 95 % interval.
    pub lo: f64,
    /// Upper end of the 95 % interval; `None` without a bound.
    pub hi: Option<f64>,
}

/// Two modes of a lane's CPU time per operation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Modes {
    /// The low mode, nanoseconds.
    pub low_ns: f64,
    /// The high mode, nanoseconds.
    pub high_ns: f64,
    /// Share of the rounds, or else of the slices, in the high mode: 0 to 1.
    pub share_high: f64,
    /// Whether whole rounds lie in one mode, so that it may depend on the process. Otherwise a process changes
    /// its mode.
    pub by_round: bool,
}

/// One workload on one lane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// The workload's name without parameters.
    pub workload: String,
    /// The workload's full name.
    pub name: String,
    /// The workload's parameters.
    pub params: BTreeMap<String, ParamValue>,
    /// The lane.
    pub lane: String,
    /// The part that the lane has in the comparison.
    pub role: Role,
    /// What the lane stands for.
    pub kind: Kind,
    /// The lane that its ratios are taken against, if not the summary's reference.
    pub against: Option<String>,
    /// The outcome.
    pub status: Status,
    /// Why there are no figures, with the remedy; `None` with figures. An overloaded lane has both a reason
    /// and, if it was measured, its capacity.
    pub reason: Option<String>,
    /// The bottleneck; `None` without figures.
    pub bound: Option<Bound>,
    /// Share of its CPUs that the lane used, 0 to 1: median over its slices.
    pub lane_use: Option<f64>,
    /// Share of its CPUs that the load generator used in the lane's slices; `None` if the lane drives itself.
    pub generator_use: Option<f64>,
    /// The metric whose verdict counts, that of [`WorkloadSummary::deciding`]. `None` without figures.
    pub deciding: Option<Metric>,
    /// The two values near which the lane's CPU time per operation lies, if it has two.
    pub modes: Option<Modes>,
    /// The figures that were measured.
    pub metrics: BTreeMap<Metric, Figure>,
    /// Latencies, if the workload has any.
    pub latency_ns: Option<Latency>,
    /// Rounds whose longest latency is more than [`STALL`] times their 99th percentile; `None` without latencies.
    pub stalled_rounds: Option<usize>,
    /// Operations per system call that waits for I/O or collects its events, median over rounds: how much work
    /// the lane finds per wake-up.
    pub ops_per_wait: Option<f64>,
    /// Proportional set size at the end of a round, median over rounds, bytes.
    pub memory_bytes: Option<f64>,
    /// Memory per open connection: the growth of the proportional set size by all connections, divided
    /// by their number; median over rounds, bytes. Only in `idle`. Without the kernel's memory for a
    /// socket, which is the same for all lanes.
    pub memory_per_conn_bytes: Option<f64>,
    /// The lane against the best floor, if a floor takes part.
    pub of_floor: Option<FloorShare>,
    /// What the contract costs the lane per operation, from [`Summary::mark_overhead`]: 1.27 is 27 % more than
    /// the same program written for the runtime. `None` where the interval contains 1, and where it is not known.
    #[serde(default)]
    pub overhead: Option<Interval>,
    /// CPU time of the load generator per operation, nanoseconds.
    pub load_cpu_ns_per_op: Option<f64>,
    /// CPUs that the lane kept busy while other lanes were measured, median over rounds.
    pub idle_cpu: Option<f64>,
    /// What the lane reported about itself in the last round.
    pub info: Option<Value>,
}

impl Cell {
    /// Whether it has figures.
    pub fn live(&self) -> bool {
        self.status == Status::Ok
    }

    /// A note from the lane's report about itself.
    pub(crate) fn note(&self, name: &str) -> Option<String> {
        Some(self.info.as_ref()?.get("notes")?.get(name)?.as_str()?.to_owned())
    }

    /// The figure of the deciding metric.
    pub fn decisive(&self) -> Option<&Figure> {
        self.metrics.get(&self.deciding?)
    }
}

/// Figures of a workload that all lanes share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkloadSummary {
    /// Its full name.
    pub name: String,
    /// One operation's noun.
    pub unit: String,
    /// What one operation is.
    pub operation: String,
    /// Whether the load generator drives it; otherwise the lane does.
    pub by_generator: bool,
    /// When offered operations are due; `None` in a closed loop.
    pub arrivals: Option<Arrivals>,
    /// Operations offered per second to every lane; `None` in a closed loop, and if the record does not say.
    pub offered_per_s: Option<f64>,
    /// The offered rate as a share of the slowest lane's capacity, 0.6 for 60 %; `None` for an absolute rate.
    pub offered_share: Option<f64>,
    /// Rounds with data.
    pub rounds: usize,
    /// Rounds that so many comparisons need before anything can be decided.
    pub rounds_needed: usize,
    /// Blocks with data, over all rounds.
    pub blocks: usize,
    /// Why measuring stopped; `None` if the run was killed before.
    pub stopped: Option<Stop>,
    /// Share of the machine's CPU time that the hypervisor gave to others: median over rounds, 0 to 1.
    pub steal: Option<f64>,
    /// The most sockets in `TIME_WAIT` at the end of a round, on the whole machine; only for workloads
    /// that close their connections.
    pub time_wait: Option<u64>,
    /// CPU time of the load generator per operation, median over the lanes, nanoseconds.
    pub load_cpu_ns_per_op: Option<f64>,
    /// Slices that do not count, because the load generator or the harness was disturbed.
    #[serde(default)]
    pub voided_slices: usize,
    /// How late the load generator was: median over slices of the 99th percentile, nanoseconds. A part of the
    /// latency.
    pub late_p99_ns: Option<f64>,
    /// The largest lateness of the load generator, nanoseconds.
    pub late_max_ns: Option<u64>,
    /// The control's ratio to the first process of the reference, by metric.
    pub control: BTreeMap<Metric, Interval>,
    /// The smallest difference that the run finds in every lane, four times out of five: the largest
    /// [`Figure::mde`] of the lanes, relative. A metric is missing if the run can find no difference.
    pub mde: BTreeMap<Metric, f64>,
    /// The median of [`Figure::mde`] over the lanes.
    pub mde_median: BTreeMap<Metric, f64>,
    /// The metric whose verdict counts, and that the table is sorted by. Fixed in the plan, before anything is
    /// measured.
    pub deciding: Metric,
    /// Whether CPU time decides in a closed loop in which the lanes finished operations at different rates, so
    /// that it is not like for like.
    pub unequal_load: bool,
    /// Which lanes are better or worse, by how much and why, in sentences.
    pub sentence: String,
}
