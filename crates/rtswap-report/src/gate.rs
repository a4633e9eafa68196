//! The report of a gate: whether head is worse than base, workload by workload.

mod github;
mod text;

use rtswap_schema::record::{Accepted, Environment, GatePlan, Record, Side, Status};
use rtswap_stats::{GateRule, Gated, Judgement, Outcome, estimate, gate};
use serde::{Deserialize, Serialize};

use crate::analyse::{options, rule};
use crate::data::Data;
use crate::summary::{Metric, Summary, Warning};

pub use github::{GitHub, github};
pub use text::{gate_markdown, gate_table, gate_warnings};

/// The version of the JSON of [`GateReport`].
pub const GATE_SCHEMA: u32 = 1;

/// The lane of the new version.
pub const HEAD: &str = "head";

/// The metrics that a gate judges. Each is a family of its own.
const METRICS: [Metric; 2] = [Metric::CpuNsPerOp, Metric::SyscallsPerOp];

/// The outcome of a gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateReport {
    /// [`GATE_SCHEMA`].
    pub schema: u32,
    /// The worst outcome of the rows. `None` if a workload has no figure of head although base has one, or of
    /// neither: see [`failures`](Self::failures).
    pub outcome: Option<Outcome>,
    /// Whether base and head load the same code, so that nothing was measured.
    pub identical: bool,
    /// What was asked.
    pub plan: GatePlan,
    /// The probability of any false regression.
    pub alpha: f64,
    /// Workloads in running order, in each the metrics.
    pub rows: Vec<GateRow>,
    /// Workloads without a figure.
    pub failures: Vec<GateFailure>,
    /// Why there are no counts of system calls, if there are none.
    pub no_counts: Option<String>,
    /// Where and when it was measured; `None` if nothing was measured.
    pub environment: Option<Box<Environment>>,
    /// Seconds that measuring took; `None` if nothing was measured or the run was killed.
    pub elapsed_s: Option<f64>,
    /// Reasons to distrust the figures, with remedies.
    pub warnings: Vec<Warning>,
}

/// One workload in one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateRow {
    /// The workload's full name.
    pub workload: String,
    /// The metric.
    pub metric: Metric,
    /// The figure of base, median over rounds: nanoseconds for CPU time, a count for system calls.
    pub base: Option<f64>,
    /// The figure of head.
    pub head: Option<f64>,
    /// The outcome.
    pub judgement: Judgement,
    /// The change that was accepted for this workload.
    pub accepted: Option<Accepted>,
    /// Rounds with data.
    pub rounds: usize,
    /// How many more minutes of measuring this workload would take for another outcome, if the estimate stays where
    /// it is; `None` if the outcome is not inconclusive, or more time would not help.
    pub more_minutes: Option<f64>,
}

/// A workload without a figure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateFailure {
    /// The workload's full name.
    pub workload: String,
    /// The lane that has none: `base`, `control` or `head`.
    pub lane: String,
    /// The outcome of the lane.
    pub status: Status,
    /// Why, with the remedy.
    pub reason: String,
}

impl GateRow {
    /// Whether the row is one of those that end a gate as inconclusive: system calls are part of the CPU time, which
    /// decides. A regression in them counts by itself.
    pub fn decides(&self) -> bool {
        self.metric == Metric::CpuNsPerOp
    }
}

impl GateReport {
    /// The report of a record; `None` if its run was no gate.
    pub fn of(record: &Record) -> Option<Self> {
        let plan = record.header.plan.gate.clone()?;
        let summary = Summary::of(record);
        let rule =
            GateRule { alpha: rule(record).alpha, tolerance: plan.tolerance, strict: plan.strict };
        let mut rows = Vec::new();
        for metric in METRICS {
            rows.extend(family(record, &summary, &plan, metric, &rule));
        }
        let order = |row: &GateRow| {
            summary.workloads.iter().position(|workload| workload.name == row.workload)
        };
        rows.sort_by_key(|row| (order(row), row.metric));
        let failures: Vec<_> = summary
            .cells
            .iter()
            .filter(|cell| !cell.live())
            .map(|cell| GateFailure {
                workload: cell.name.clone(),
                lane: cell.lane.clone(),
                status: cell.status,
                reason: cell.reason.clone().unwrap_or_default(),
            })
            .collect();
        let worst = rows
            .iter()
            .filter(|row| row.decides() || row.judgement.outcome == Outcome::Regression)
            .map(|row| row.judgement.outcome)
            .max();
        let counted = rows.iter().any(|row| row.metric == Metric::SyscallsPerOp);
        Some(Self {
            schema: GATE_SCHEMA,
            // A regression stays one, whatever else has failed.
            outcome: worst.filter(|it| failures.is_empty() || *it == Outcome::Regression),
            identical: false,
            plan,
            alpha: rule.alpha,
            rows,
            failures,
            no_counts: (!counted).then(|| no_counts(record)).flatten(),
            environment: Some(Box::new(record.header.environment.clone())),
            elapsed_s: summary.plan.elapsed_s,
            warnings: summary.warnings,
        })
    }

    /// The report of a gate whose sides load the same code.
    pub fn identical(plan: GatePlan, alpha: f64) -> Self {
        Self {
            schema: GATE_SCHEMA,
            outcome: Some(Outcome::Pass),
            identical: true,
            plan,
            alpha,
            rows: Vec::new(),
            failures: Vec::new(),
            no_counts: None,
            environment: None,
            elapsed_s: None,
            warnings: Vec::new(),
        }
    }

    /// The rows with an outcome, those that matter most first.
    pub fn with(&self, outcome: Outcome) -> impl Iterator<Item = &GateRow> {
        self.rows.iter().filter(move |row| row.judgement.outcome == outcome)
    }

    /// As JSON, indented, with a newline at its end.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report is plain data") + "\n"
    }
}

/// All workloads of a gate in one metric.
fn family(
    record: &Record,
    summary: &Summary,
    plan: &GatePlan,
    metric: Metric,
    rule: &GateRule,
) -> Vec<GateRow> {
    type Judged = ((String, Option<Accepted>, usize), Judgement);
    let mut workloads = Vec::new();
    let mut gated = Vec::new();
    for workload in &record.header.plan.workloads {
        let data = Data::of(record, workload);
        let of = |lane: &str| {
            if !data.live(lane) || !data.live(data.against(lane)) {
                return None;
            }
            let paired = if metric.is_timed() {
                data.paired(lane, metric)
            } else {
                data.paired_rounds(lane, metric).ok()?
            };
            estimate(&paired, &options(record))
        };
        let Some(head) = of(HEAD) else { continue };
        let accepted = plan.accepted.get(&workload.name);
        gated.push(Gated {
            direction: metric.direction(),
            head,
            control: data.lanes().find(|lane| lane.control).and_then(|lane| of(&lane.name)),
            // What was accepted is a change of CPU time, of which system calls are a part.
            accepted: accepted.map(|it| it.up_to),
        });
        workloads.push((workload.name.clone(), accepted.cloned(), head.rounds));
    }
    let minutes = summary.plan.elapsed_s.map(|it| it / 60.0 / summary.workloads.len() as f64);
    let judged = workloads.into_iter().zip(gate(&gated, rule));
    let row = |((workload, accepted, rounds), judgement): Judged| {
        let value = |lane: &str| {
            let cell = summary.cell(&workload, lane)?;
            Some(cell.metrics.get(&metric)?.value).filter(|value| value.is_finite())
        };
        let (base, head) = (value(&summary.reference), value(HEAD));
        let longer = judgement.longer.map(|it| it - 1.0);
        let more_minutes = minutes.zip(longer).map(|(minutes, longer)| minutes * longer);
        GateRow { workload, metric, base, head, judgement, accepted, rounds, more_minutes }
    };
    judged.map(row).collect()
}

/// Why system calls were not counted.
fn no_counts(record: &Record) -> Option<String> {
    let mut lanes = record.rounds.iter().flat_map(|round| round.lanes.values());
    lanes.find_map(|lane| lane.counts_missing.clone())
}

/// The name of a side: as it was asked for, with its commit.
fn side(side: &Side) -> String {
    match &side.commit {
        Some(commit) if !side.asked.starts_with(&commit[..commit.len().min(7)]) => {
            format!("{} ({})", side.asked, commit.get(..10).unwrap_or(commit))
        }
        Some(commit) => commit.get(..10).unwrap_or(commit).to_owned(),
        None => side.asked.clone(),
    }
}

/// A change with its sign: `+1.2 %`, `-0.3 %`; `∞` where it is unbounded.
fn change(part: f64) -> String {
    if !part.is_finite() {
        return "∞".to_owned();
    }
    let percent = part * 100.0;
    let decimals = usize::from(percent.abs() < 9.95);
    let text = format!("{percent:+.decimals$} %");
    // Neither of these has a sign.
    if percent.abs() < 0.05 { "0.0 %".to_owned() } else { text }
}

/// `+3.1 % [+2.2, +4.0]`.
fn change_interval(judgement: &Judgement) -> String {
    let end = |part| change(part).replace(" %", "");
    format!("{} [{}, {}]", change(judgement.change), end(judgement.best), end(judgement.worst))
}
