//! What a record says, without how it was found out.

use std::collections::BTreeMap;

use rtswap_schema::record::{Ended, Kind, Receipt, Status, Stop};
use rtswap_schema::workload::ParamValue;
use rtswap_stats::{Better, Estimate, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of the summary's JSON.
pub const SCHEMA: u32 = 1;

/// A run in figures: one [`Cell`] for each lane of each workload, and what is true of them all.
///
/// In JSON, `null` stands for what is not known; nothing is left out for being unknown but the
/// metrics of a cell, which hold only what was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Where, when and by what the run was made.
    pub receipt: Receipt,
    /// The run's seed.
    pub seed: u64,
    /// What was to be measured, and how it ended.
    pub plan: PlanSummary,
    /// The lane that ratios are taken against.
    pub reference: String,
    /// The control's ratio to the reference in `ops_per_s` and `cpu_ns_per_op`, pooled over all
    /// workloads: 1 but for noise.
    pub control: BTreeMap<Metric, Interval>,
    /// The workloads, in running order.
    pub workloads: Vec<WorkloadSummary>,
    /// The cells: workloads in running order, in each the lanes in listing order.
    pub cells: Vec<Cell>,
    /// What a reader should know before trusting the figures.
    pub warnings: Vec<Warning>,
}

impl Summary {
    /// Whether each lane is compared with one of its own: an adapter with what was written by hand.
    pub fn is_paired(&self) -> bool {
        self.cells.iter().any(|cell| cell.against.is_some())
    }

    /// Whether lanes are compared with lanes of several kinds, so that each has to say with which.
    pub fn is_chained(&self) -> bool {
        self.cells.iter().any(|cell| cell.kind == Kind::Polled && cell.against.is_some())
    }

    /// What stands in a heading for the lane that ratios are taken against.
    pub fn base(&self) -> &str {
        match (self.is_paired(), self.is_chained()) {
            (true, true) => "that",
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

/// What was to be measured, and how it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanSummary {
    /// Rounds of each workload.
    pub rounds: u32,
    /// Blocks of each round, where a workload has no more weight than any.
    pub blocks: u32,
    /// Blocks of a round of the workload that has most.
    pub blocks_most: u32,
    /// CPUs of the lanes.
    pub server_cpus: Vec<usize>,
    /// CPUs of the load generator.
    pub load_cpus: Vec<usize>,
    /// Seconds that the run might take.
    pub budget_s: f64,
    /// Relative half-width of an interval that was enough.
    pub precision: Option<f64>,
    /// How the run ended; `None` if it was killed.
    pub ended: Option<Ended>,
    /// Seconds that it took.
    pub elapsed_s: Option<f64>,
}

/// What is compared between lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Operations per second of wall-clock time.
    OpsPerS,
    /// CPU time of the lane per operation, nanoseconds.
    CpuNsPerOp,
    /// System calls of the lane per operation.
    SyscallsPerOp,
    /// Context switches of the lane per operation.
    CtxSwitchesPerOp,
}

impl Metric {
    /// The metrics of the timed slices; they make one family of comparisons.
    pub const TIMED: [Self; 2] = [Self::OpsPerS, Self::CpuNsPerOp];
    /// The exact counts, which are another family.
    pub const COUNTED: [Self; 2] = [Self::SyscallsPerOp, Self::CtxSwitchesPerOp];

    /// Which direction is good.
    pub fn better(self) -> Better {
        match self {
            Self::OpsPerS => Better::Higher,
            _ => Better::Lower,
        }
    }
}

/// A ratio with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lane over reference.
    pub ratio: f64,
    /// Lower end.
    pub lo: f64,
    /// Upper end; `None` where there is no bound (a single block).
    pub hi: Option<f64>,
}

impl From<Estimate> for Interval {
    fn from(estimate: Estimate) -> Self {
        let hi = Some(estimate.hi).filter(|hi| hi.is_finite());
        Self { ratio: estimate.ratio, lo: estimate.lo, hi }
    }
}

impl Interval {
    /// Whether the two are as good as equal: the interval holds 1, or no end of it is more than 1 %
    /// away.
    pub fn is_level(&self) -> bool {
        let Some(hi) = self.hi else { return true };
        (self.lo <= 1.0 && 1.0 <= hi) || (self.lo >= 0.99 && hi <= 1.01)
    }

    /// How far from 1 the interval reaches, relative: 0.006 for \[0.996, 1.006\].
    pub fn reach(&self) -> Option<f64> {
        Some((self.hi? - 1.0).max(1.0 - self.lo).max(0.0))
    }
}

/// One metric of one lane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The lane's own figure: the median over rounds of the medians over blocks.
    pub value: f64,
    /// Lane over reference, from the ratios within blocks (not from the two `value`s). `None` for the
    /// reference itself, where the reference was lost, and where a count of zero allows none.
    pub ratio: Option<f64>,
    /// Lower end of the ratio's 95 % interval.
    pub lo: Option<f64>,
    /// Upper end of the ratio's 95 % interval.
    pub hi: Option<f64>,
    /// What may be said; `None` for the reference itself.
    pub verdict: Option<Verdict>,
    /// The smallest true difference that this run calls four times out of five, relative; `None` where
    /// none could be called.
    pub mde: Option<f64>,
    /// p of the ratio being 1, adjusted for all comparisons of the workload.
    pub p: Option<f64>,
    /// Why no difference is called, with the remedy; `None` where one is.
    pub why: Option<String>,
}

impl Figure {
    /// The ratio with its interval.
    pub fn interval(&self) -> Option<Interval> {
        Some(Interval { ratio: self.ratio?, lo: self.lo?, hi: self.hi })
    }

    /// The verdict, where there is one.
    pub fn is(&self, verdict: Verdict) -> bool {
        self.verdict == Some(verdict)
    }
}

/// What a lane is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It is compared.
    Lane,
    /// The others are compared with it.
    Reference,
    /// It is the reference once more, and shows the noise.
    Control,
}

/// What kept the operations from being more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// The lane used its CPUs to the full.
    Lane,
    /// The load generator did.
    Generator,
    /// Neither: something waited.
    None,
}

/// Latencies of one operation, over all rounds, nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Median.
    pub p50: u64,
    /// 99th percentile.
    pub p99: u64,
    /// Largest.
    pub max: u64,
}

/// How near a lane comes to what the kernel allows: the CPU time per operation of the floor that takes
/// the least, divided by the lane's, in the same blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FloorShare {
    /// The floor.
    pub floor: String,
    /// 1 is the floor; 0.5 is a lane that takes twice its CPU time.
    pub share: f64,
    /// Lower end of the 95 % interval.
    pub lo: f64,
    /// Upper end of the 95 % interval; `None` where there is no bound.
    pub hi: Option<f64>,
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
    /// What the lane is there for.
    pub role: Role,
    /// What the lane stands for.
    pub kind: Kind,
    /// The lane that its ratios are taken against, if not the summary's reference.
    pub against: Option<String>,
    /// What became of it.
    pub status: Status,
    /// Why there are no figures, with the remedy; `None` where there are.
    pub reason: Option<String>,
    /// What kept the operations from being more; `None` without figures.
    pub bound: Option<Bound>,
    /// The metric whose verdict counts: `ops_per_s` where both this lane and the reference used
    /// their CPUs to the full, otherwise `cpu_ns_per_op`. `None` without figures.
    pub deciding: Option<Metric>,
    /// What was measured.
    pub metrics: BTreeMap<Metric, Figure>,
    /// Latencies, where the workload has them.
    pub latency_ns: Option<Latency>,
    /// Proportional set size at the end of a round, median over rounds, bytes.
    pub memory_bytes: Option<f64>,
    /// What an open connection takes: the proportional set size with all connections open, less
    /// that before, divided by their number; median over rounds, bytes. Only in `idle`. What the kernel
    /// takes for a socket is not in it: it is the same for all.
    pub memory_per_conn_bytes: Option<f64>,
    /// How near it comes to the best floor, where a floor takes part.
    pub of_floor: Option<FloorShare>,
    /// CPU time of the load generator per operation, nanoseconds.
    pub load_cpu_ns_per_op: Option<f64>,
    /// CPUs that it kept busy while others worked, median over rounds.
    pub idle_cpu: Option<f64>,
    /// What the lane said it really is, in the last round.
    pub receipt: Option<Value>,
}

impl Cell {
    /// Whether it has figures.
    pub fn live(&self) -> bool {
        self.status == Status::Ok
    }

    /// What the lane noted of itself in its receipt under that name.
    pub(crate) fn note(&self, name: &str) -> Option<String> {
        Some(self.receipt.as_ref()?.get("notes")?.get(name)?.as_str()?.to_owned())
    }

    /// The figure of the deciding metric.
    pub fn decisive(&self) -> Option<&Figure> {
        self.metrics.get(&self.deciding?)
    }
}

/// What is true of all lanes of a workload.
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
    /// Rounds with data.
    pub rounds: usize,
    /// Rounds that this many comparisons need before anything can be decided.
    pub rounds_needed: usize,
    /// Blocks with data, over all rounds.
    pub blocks: usize,
    /// Why it was measured no further; `None` if the run was killed before.
    pub stopped: Option<Stop>,
    /// Share of the machine's CPU time that the hypervisor gave to others: median over rounds, 0 to 1.
    pub steal: Option<f64>,
    /// The most sockets in `TIME_WAIT` at the end of a round, of the whole machine; only where the
    /// workload makes them, by closing what it has connected.
    pub time_wait: Option<u64>,
    /// CPU time of the load generator per operation, median over the lanes, nanoseconds.
    pub load_cpu_ns_per_op: Option<f64>,
    /// How far from 1 the control's interval reaches, relative: no smaller difference is called.
    pub noise_floor: BTreeMap<Metric, f64>,
    /// The smallest difference that would have been seen in any of the lanes: the largest of their
    /// [`Figure::mde`], relative. A metric is missing where no difference could have been called.
    pub mde: BTreeMap<Metric, f64>,
    /// The metric that its table is sorted by: `ops_per_s` where the reference used its CPUs to
    /// the full, otherwise `cpu_ns_per_op`. A cell may differ, see [`Cell::deciding`].
    pub deciding: Metric,
    /// Who is better, by how much and why, in plain words.
    pub sentence: String,
}

/// What a warning is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WarningKind {
    /// The run was killed or interrupted: blocks are missing.
    Interrupted,
    /// Nothing can be decided with so few rounds.
    TooFewRounds,
    /// The reference differs from itself.
    ControlDiffers,
    /// No control, so no noise floor.
    NoControl,
    /// The load generator was the limit.
    GeneratorBound,
    /// A lane kept a CPU busy while others worked.
    IdleBurn,
    /// The hypervisor gave the CPUs to others.
    Steal,
    /// Other programs took the CPUs.
    Busy,
    /// There are no exact counts.
    CountsMissing,
}

/// Something that a reader should know before trusting the figures, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// What it is about.
    pub kind: WarningKind,
    /// The workloads it is true of; empty for the whole run.
    pub workloads: Vec<String>,
    /// The lanes it is about; empty for all.
    pub lanes: Vec<String>,
    /// What is the matter.
    pub message: String,
    /// What to do.
    pub remedy: String,
}
