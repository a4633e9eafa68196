//! The record of a run: append-only JSON Lines, from which everything else is computed.
//!
//! One [`Header`], then [`Block`]s as they are measured, an [`OfferedRate`] before the first block of a workload
//! whose rate is a share of capacity, a [`Round`] after the last block of each round, a [`LaneFailure`] wherever a lane drops out of a workload, and one [`Footer`].
//! Where the run was resumed on a changed machine or with changed programs, there is a [`Resumed`]. Each line is written
//! and flushed at once, so a killed run keeps what it measured. Blocks of a round without a `Round`
//! line count like the others.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::workload::{Arrivals, ParamValue, Rate, Traffic, Uses};

mod built;
mod environment;
mod gate;
mod request;

pub use built::{Built, PackageChange, other_changes};
pub use environment::{Environment, ProgramFile, Resumed, Topology};
pub use gate::{Accepted, GatePlan, Side};
pub use request::{Expect, HttpRequest, InvalidRequest};

/// The version of this format.
///
/// Version 1 has the same fields under other names: `receipt` for `environment` and for the `info` of a lane,
/// `spelling` for `spec`, `lost` for `lane-failure`.
pub const SCHEMA: u32 = 2;

/// The oldest version that is still read.
pub const OLDEST_SCHEMA: u32 = 1;

/// One line of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Line {
    /// The first line.
    Header(Box<Header>),
    /// The rate that a share of capacity came to.
    OfferedRate(OfferedRate),
    /// One slice of every lane.
    Block(Block),
    /// The end of a round.
    Round(Round),
    /// A lane dropped out of a workload.
    #[serde(alias = "lost")]
    LaneFailure(LaneFailure),
    /// The run was resumed although the machine or a program has changed.
    Resumed(Box<Resumed>),
    /// The last line of a run that was not killed. A resumed run has several.
    Footer(Footer),
}

/// What is needed to trust and repeat the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Seeds the order of slices, the memory layout of lanes and the bootstraps.
    pub seed: u64,
    /// Where, when and by what the run was made.
    #[serde(alias = "receipt")]
    pub environment: Environment,
    /// What the run was to measure.
    pub plan: Plan,
}

/// What a run measures: fixed, and printed, before anything runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The lane that ratios are taken against.
    pub reference: String,
    /// All lanes, the control among them, in listing order.
    pub lanes: Vec<LanePlan>,
    /// All workloads, in running order.
    pub workloads: Vec<WorkloadPlan>,
    /// Rounds of each workload.
    pub rounds: u32,
    /// Blocks of each round.
    pub blocks: u32,
    /// CPUs of the lanes.
    pub server_cpus: Vec<usize>,
    /// CPUs of the load generator.
    pub load_cpus: Vec<usize>,
    /// Seconds that the run may take.
    pub budget_s: f64,
    /// Relative half-width of the intervals at which a workload is precise enough: 0.01 is 1 %.
    pub precision: Option<f64>,
    /// How verdicts are reached; `None` in records made before it was fixed in the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// What a gate asked, if the run was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GatePlan>,
}

/// How verdicts are reached. Fixed before anything is measured, so that the data cannot select it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// The probability of any false `better` or `worse` among the lanes of one workload.
    pub alpha: f64,
    /// The largest relative difference of two lanes that are called equivalent: 0.03 is 3 %.
    pub margin: f64,
}

/// The metric whose verdict counts for the lanes of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Deciding {
    /// CPU time of the lane per operation.
    CpuNsPerOp,
    /// Operations per second.
    OpsPerS,
}

impl Plan {
    /// Blocks per round of the workload with the most.
    pub fn blocks_most(&self) -> u32 {
        let all = self.workloads.iter().map(|workload| workload.blocks(self.blocks));
        all.max().unwrap_or(self.blocks)
    }
}

/// A lane of the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LanePlan {
    /// Its name in every line of the record: `tokio?delay_ns=110`, `control`.
    pub name: String,
    /// The lane spec that it was asked for by.
    #[serde(alias = "spelling")]
    pub spec: String,
    /// Whether it is the control: the second process of the reference.
    pub control: bool,
    /// What it stands for.
    #[serde(default)]
    pub kind: Kind,
    /// The lane that its ratios are taken against and that it is measured next to; `None` for the
    /// plan's reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<String>,
    /// The families of workloads that it takes part in; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub families: Vec<String>,
    /// What its executable was built from; `None` for a lane that was not built for the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built: Option<Box<Built>>,
}

impl LanePlan {
    /// Whether it takes part in the workloads of a family.
    pub fn does(&self, family: &str) -> bool {
        self.families.is_empty() || self.families.iter().any(|known| known == family)
    }
}

/// What a lane stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kind {
    /// A runtime, under the contract.
    #[default]
    Runtime,
    /// Hand-written on system calls, without futures: a lower bound on cost.
    Floor,
    /// Hand-written for one runtime, without the contract.
    Native,
    /// A runtime under the contract, whose streams are polled where its own lane uses owned buffers.
    Polled,
    /// A program in another language that ships with rtswap.
    Peer,
    /// A command that the user gave.
    Command,
}

/// A workload of the plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkloadPlan {
    /// Its full name: `tcp-echo/size=1024/conns=32`.
    pub name: String,
    /// Its name without parameters.
    pub family: String,
    /// What one operation is.
    pub operation: String,
    /// One operation's noun.
    pub unit: String,
    /// Its parameters.
    pub params: BTreeMap<String, ParamValue>,
    /// Whether the load generator drives it; otherwise the lane does.
    pub by_generator: bool,
    /// What the generator sends, if it drives.
    #[serde(default)]
    pub traffic: Traffic,
    /// The request, if it is one of the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<HttpRequest>,
    /// What it works with besides the lane.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uses: Vec<Uses>,
    /// Whether connections are opened for each slice, because all lanes together would have too many
    /// open.
    #[serde(default)]
    pub reconnects: bool,
    /// Milliseconds of the counted part of a slice.
    pub slice_ms: u64,
    /// Milliseconds before the counted part.
    pub warmup_ms: u64,
    /// Milliseconds between two messages of the trickle that a lane gets while other lanes are measured;
    /// `None` without a trickle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trickle_ms: Option<u64>,
    /// Multiplies the plan's blocks per round; `None` for 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<NonZeroU32>,
    /// The metric whose verdict counts; `None` in records made before it was fixed in the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deciding: Option<Deciding>,
}

impl WorkloadPlan {
    /// Blocks per round, given those of a workload without a weight.
    pub fn blocks(&self, of_others: u32) -> u32 {
        of_others.saturating_mul(self.weight.map_or(1, NonZeroU32::get))
    }

    /// The value of a parameter; `None` if it has no such parameter or the value is a name.
    pub fn number(&self, param: &str) -> Option<u64> {
        self.params.get(param)?.number()
    }

    /// How many operations per second are offered; `None` for a closed loop.
    pub fn rate(&self) -> Option<Rate> {
        self.params.get("rate")?.to_string().parse().ok()
    }

    /// When the operations of an offered rate are due.
    pub fn arrivals(&self) -> Arrivals {
        let arrivals = self.params.get("arrivals").map(ToString::to_string);
        arrivals.and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// The full name of the same workload as a closed loop.
    pub fn closed_loop(&self) -> String {
        let is_kept = |part: &&str| !part.starts_with("rate=") && !part.starts_with("arrivals=");
        self.name.split('/').filter(is_kept).collect::<Vec<_>>().join("/")
    }
}

/// The rate that a share of capacity came to. One for each such workload, in its first round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OfferedRate {
    /// The workload's full name.
    pub workload: String,
    /// Operations offered per second.
    pub per_s: f64,
    /// The capacity of each lane, operations per second, from which the rate was computed.
    pub capacity_per_s: BTreeMap<String, f64>,
}

/// One slice of every lane that still takes part, in the order in which they ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// The workload's full name.
    pub workload: String,
    /// The round, from 0. Each round has lane processes of its own.
    pub round: u32,
    /// The block within the round, from 0.
    pub block: u32,
    /// The slices.
    pub slices: Vec<Slice>,
}

/// One timed window of one lane.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// The lane.
    pub lane: String,
    /// Operations finished and verified in the window.
    pub ops: u64,
    /// The window, nanoseconds.
    pub elapsed_ns: u64,
    /// CPU time of the lane in the window, all threads, nanoseconds.
    pub cpu_ns: u64,
    /// CPU time of the load generator in the window, nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_cpu_ns: Option<u64>,
    /// Median latency, nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ns: Option<u64>,
    /// 99th percentile of latency, nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_ns: Option<u64>,
    /// Largest latency, nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ns: Option<u64>,
    /// Time in the window for which threads of the lane were ready to run and waited for a CPU, summed over the
    /// threads, nanoseconds. `None` where the kernel does not count it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_delay_ns: Option<u64>,
    /// The same for the threads of the load generator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_run_delay_ns: Option<u64>,
    /// The load that was offered; `None` in a closed loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<Offered>,
    /// Why the slice does not count, if the harness and not the lane is the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voided: Option<String>,
}

/// What became of the load that was offered in one slice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// Operations due in the window.
    pub ops: u64,
    /// Operations that were due and not finished at the start of the window.
    pub backlog_start: u64,
    /// The same at its end.
    pub backlog_end: u64,
    /// How late the load generator was, 99th percentile of the operations due in the window, nanoseconds. In
    /// [`latency`](LaneRound::latency_hdr), as part of it. `None` if the lane drives itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_p99_ns: Option<u64>,
    /// The largest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_max_ns: Option<u64>,
}

impl Offered {
    /// Share of the operations due in the window by which the backlog grew, negative if it shrank.
    pub fn backlog_growth(&self) -> f64 {
        (self.backlog_end as f64 - self.backlog_start as f64) / (self.ops as f64).max(1.0)
    }
}

/// The end of a round: figures that are taken once per round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// The workload's full name.
    pub workload: String,
    /// The round.
    pub round: u32,
    /// Per lane.
    pub lanes: BTreeMap<String, LaneRound>,
    /// Share of the machine's CPU time in this round that the hypervisor gave to others, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steal: Option<f64>,
    /// Share of time in which some task waited for a CPU, 0 to 1, from `/proc/pressure/cpu`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_pressure: Option<f64>,
    /// Sockets in `TIME_WAIT` at its end: what closed connections leave behind for a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_wait: Option<u64>,
    /// Time in this round for which a CPU quota stopped the lanes or the harness, nanoseconds. `None` without a
    /// quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled_ns: Option<u64>,
    /// Share of the time of the lanes' CPUs in this round that neither the lanes used nor was left: other programs
    /// and the kernel's threads, 0 to 1. `None` for rounds of less than half a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others_cpu: Option<f64>,
    /// The program that used most of that at the end of the round, with its process id: `sh (process 123)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others_program: Option<String>,
    /// Processes that lanes left behind and that were ended, by lane: program and arguments.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_behind: BTreeMap<String, Vec<String>>,
}

/// One lane at the end of a round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LaneRound {
    /// What the lane reported about itself.
    #[serde(default, alias = "receipt", skip_serializing_if = "Option::is_none")]
    pub info: Option<serde_json::Value>,
    /// Where the CPU time of the lane's slices comes from; `None` in records made before that was recorded,
    /// whose source is [`CpuSource::ProcessClock`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_source: Option<CpuSource>,
    /// Exact counts, from a slice of their own because counting slows the lane down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// Why there are no counts, with the remedy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts_missing: Option<String>,
    /// Proportional set size before the connections were opened, after a first one was opened and
    /// closed, bytes. Only in workloads that measure memory per connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_base_bytes: Option<u64>,
    /// Proportional set size after the last block, with all connections open, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// CPUs that the lane kept busy while other lanes were measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_cpu: Option<f64>,
    /// Latencies of all counted windows of the round: an HDR histogram, V2, in base64; nanoseconds. With an
    /// offered rate, from when an operation was due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_hdr: Option<String>,
    /// Operations per second in a closed loop, from a slice of their own. Only with an offered rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity_per_s: Option<f64>,
    /// Messages of the trickle, which keeps a lane that waits in the state of one that serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trickle_messages: Option<u64>,
}

/// The source of a lane's CPU time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CpuSource {
    /// The perf event `TASK_CLOCK` on every thread: exact at the moment of reading.
    TaskClock,
    /// The CPU clock of the process, `clock_getcpuclockid`. The time of a running thread is added at the
    /// kernel's next tick, so the CPU time of a slice is wrong by up to one tick (1 to 10 ms) on each CPU.
    ProcessClock,
}

/// Exact counts of one slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Operations.
    pub ops: u64,
    /// System calls entered, by all threads of the lane.
    pub syscalls: u64,
    /// Context switches of all threads of the lane.
    pub ctx_switches: u64,
    /// System calls that wait for I/O or collect what it brought, by all threads of the lane: the `epoll_wait`,
    /// `poll` and `select` families, and `io_uring_enter` that waits for a completion. `None` in records
    /// made before they were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<u64>,
}

/// A lane dropped out of a workload. Its earlier slices of it do not count, unless
/// [`rounds_count`](Self::rounds_count).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneFailure {
    /// The workload's full name.
    pub workload: String,
    /// The lane.
    pub lane: String,
    /// The round in which it happened.
    pub round: u32,
    /// The kind of loss.
    pub status: Status,
    /// What happened, with the remedy.
    pub reason: String,
    /// Whether the rounds that were finished before [`round`](Self::round) count: the lane was measured, and could
    /// not be started again when the run was resumed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rounds_count: bool,
}

/// The outcome of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Status {
    /// Measured.
    Ok,
    /// The runtime or the machine cannot do it.
    Unsupported,
    /// The lane crashed, hung or gave an invalid response.
    Failed,
    /// The lane's work failed verification.
    Invalid,
    /// The lane cannot keep up with the offered rate, so that its latency grows with the length of the run.
    Overloaded,
    /// Something that the lane needs is missing; the reason names the remedy.
    Skipped,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Footer {
    /// Whether it was complete.
    pub ended: Ended,
    /// Seconds since the run began or was resumed.
    pub elapsed_s: f64,
    /// Why measuring stopped, by workload.
    pub stopped: BTreeMap<String, Stop>,
}

/// Whether a run was complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// As planned.
    Complete,
    /// By Ctrl-C or a termination signal: `--resume` continues it.
    Interrupted,
}

/// Why measuring a workload stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Stop {
    /// All planned rounds are done.
    Rounds,
    /// Every interval is as narrow as `--precision` asks.
    Precision,
    /// The time budget is spent.
    Budget,
    /// The reference is lost, or no other lane is left.
    Lanes,
}

/// A whole record in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The header.
    pub header: Header,
    /// The rates that shares of capacity came to.
    pub offered_rates: Vec<OfferedRate>,
    /// All blocks, in the order of the file.
    pub blocks: Vec<Block>,
    /// All finished rounds.
    pub rounds: Vec<Round>,
    /// All losses.
    pub failures: Vec<LaneFailure>,
    /// Each time the run was resumed on a changed machine or with changed programs.
    pub resumed: Vec<Resumed>,
    /// The last footer, if any.
    pub footer: Option<Footer>,
}

impl Record {
    /// A record with nothing measured yet.
    pub fn new(header: Header) -> Self {
        Self {
            header,
            offered_rates: Vec::new(),
            blocks: Vec::new(),
            rounds: Vec::new(),
            failures: Vec::new(),
            resumed: Vec::new(),
            footer: None,
        }
    }

    /// Operations per second that a workload was offered; `None` in a closed loop, and before the share of
    /// a capacity is known.
    pub fn offered_per_s(&self, workload: &WorkloadPlan) -> Option<f64> {
        match workload.rate()? {
            Rate::PerSecond(number) => Some(f64::from(number)),
            Rate::Share(_) => {
                let rate = self.offered_rates.iter().find(|it| it.workload == workload.name);
                rate.map(|rate| rate.per_s)
            }
        }
    }

    /// Adds a line. A second header is ignored.
    pub fn push(&mut self, line: Line) {
        match line {
            Line::Header(_) => {}
            Line::OfferedRate(rate) => self.offered_rates.push(rate),
            Line::Block(block) => self.blocks.push(block),
            Line::Round(round) => self.rounds.push(round),
            Line::LaneFailure(failure) => self.failures.push(failure),
            Line::Resumed(resumed) => self.resumed.push(*resumed),
            Line::Footer(footer) => self.footer = Some(footer),
        }
    }
}
