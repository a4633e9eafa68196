//! What a self-test has shown: from the summary of its run to a table and a sentence. Pure.

mod text;

use rtswap_harness::record::{Record, Status};
use rtswap_report::{ALPHA, Cell, Figure, Metric, Role, Summary, words};
use rtswap_stats::Verdict;
use serde::Serialize;

/// True effects from this one on must be called. A little below the 2 % that are aimed at, because
/// the aim is taken before the run.
const REQUIRED: f64 = 0.015;

/// Steal from which on it is the likeliest reason for not seeing enough.
const HEAVY_STEAL: f64 = 0.05;

/// A lane that was slowed down on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delayed {
    /// Its name in the run.
    pub lane: String,
    /// The delay after each operation.
    pub ns: u64,
}

/// How much the reference's slices differ from one another: the standard deviation of the figures'
/// logarithms, so that a few slices that nearly stood still do not hide the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Noise {
    ops_per_s: Option<f64>,
    cpu_ns_per_op: Option<f64>,
}

/// What became of a lane's difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Call {
    Called,
    NotCalled,
    /// A difference was called, in the wrong direction.
    WrongWay,
    /// The run cannot answer.
    Undecided,
    /// The lane has no figures.
    Lost,
}

/// One lane.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Row {
    lane: String,
    injected_ns: u64,
    /// What was injected, relative to the reference's CPU time per operation in this run.
    effect: Option<f64>,
    /// CPU time per operation over the reference's.
    ratio: Option<f64>,
    lo: Option<f64>,
    hi: Option<f64>,
    verdict: Call,
    /// Whether the interval holds the true effect.
    holds_truth: Option<bool>,
    /// Why no difference is called, or why there are no figures.
    why: Option<String>,
}

/// What a self-test has shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Outcome {
    workload: String,
    unit: String,
    reference: String,
    /// The reference's CPU time per operation.
    cpu_ns_per_op: Option<f64>,
    control: Row,
    /// The slowed lanes, the least slowed first.
    lanes: Vec<Row>,
    noise: Noise,
    /// Share of the machine's CPU time that the hypervisor gave to others, 0 to 1.
    steal: Option<f64>,
    /// The smallest true difference in CPU time that the run would have called four times of five.
    smallest_effect: Option<f64>,
    rounds: usize,
    blocks: usize,
    seed: u64,
    /// Whether the control was not called, and every lane slower by [`REQUIRED`] or more was.
    pub passed: bool,
    sentence: String,
    /// What to do about it; `None` if passed.
    pub remedy: Option<String>,
}

impl Noise {
    /// From the slices of the record's reference.
    pub fn of(record: &Record) -> Self {
        let reference = &record.header.plan.reference;
        let slices: Vec<_> = record
            .blocks
            .iter()
            .flat_map(|block| &block.slices)
            .filter(|it| it.lane == *reference)
            .filter(|it| it.ops > 0 && it.elapsed_ns > 0 && it.cpu_ns > 0)
            .collect();
        let each = |figure: fn(f64, f64, f64) -> f64| {
            deviation(slices.iter().map(|slice| {
                figure(slice.ops as f64, slice.elapsed_ns as f64, slice.cpu_ns as f64)
            }))
        };
        Self {
            ops_per_s: each(|ops, elapsed, _| ops / elapsed),
            cpu_ns_per_op: each(|ops, _, cpu| cpu / ops),
        }
    }
}

fn deviation(values: impl Iterator<Item = f64>) -> Option<f64> {
    let logs: Vec<f64> = values.map(f64::ln).collect();
    if logs.len() < 2 {
        return None;
    }
    let n = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / n;
    let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
    Some((squares / (n - 1.0)).sqrt())
}

impl Outcome {
    /// Judges a run of one workload with the reference, its control and `delayed` lanes.
    pub fn of(summary: &Summary, delayed: &[Delayed], noise: Noise) -> Option<Self> {
        let workload = summary.workloads.first()?;
        let cells: Vec<&Cell> = summary.cells_of(&workload.name).collect();
        let cell = |lane: &str| cells.iter().copied().find(|cell| cell.lane == lane);
        let reference = cell(&summary.reference);
        let cpu_ns_per_op = reference.filter(|it| it.live()).and_then(cpu).map(|it| it.value);
        let mut lanes: Vec<Row> =
            delayed.iter().map(|it| row(it, cell(&it.lane), cpu_ns_per_op)).collect();
        lanes.sort_by_key(|row| row.injected_ns);
        let its_control = cells.iter().copied().find(|cell| cell.role == Role::Control);
        let nothing = Delayed { lane: "control".to_owned(), ns: 0 };
        let mut control = row(&nothing, its_control, cpu_ns_per_op);
        if its_control.is_some_and(differs) {
            control.verdict = Call::Called;
        }
        let mut outcome = Self {
            workload: workload.name.clone(),
            unit: workload.unit.clone(),
            reference: summary.reference.clone(),
            cpu_ns_per_op,
            control,
            lanes,
            noise,
            steal: workload.steal,
            smallest_effect: workload.mde.get(&Metric::CpuNsPerOp).copied(),
            rounds: workload.rounds,
            blocks: workload.blocks,
            seed: summary.seed,
            passed: false,
            sentence: String::new(),
            remedy: None,
        };
        let must: Vec<&Row> = outcome.required().collect();
        outcome.passed = outcome.control.verdict == Call::NotCalled
            && !must.is_empty()
            && must.iter().all(|row| row.verdict == Call::Called);
        outcome.sentence = outcome.sentence(reference);
        outcome.remedy = (!outcome.passed).then(|| outcome.remedy(summary.plan.budget_s));
        Some(outcome)
    }

    fn required(&self) -> impl Iterator<Item = &Row> {
        self.lanes.iter().filter(|row| row.effect.is_none_or(|effect| effect >= REQUIRED))
    }
}

fn cpu(cell: &Cell) -> Option<&Figure> {
    cell.metrics.get(&Metric::CpuNsPerOp)
}

fn row(delayed: &Delayed, cell: Option<&Cell>, reference_ns: Option<f64>) -> Row {
    let effect = reference_ns.map(|ns| delayed.ns as f64 / ns);
    let lost = |why: &str| Row {
        lane: delayed.lane.clone(),
        injected_ns: delayed.ns,
        effect,
        ratio: None,
        lo: None,
        hi: None,
        verdict: Call::Lost,
        holds_truth: None,
        why: Some(words::one_line(why)),
    };
    let Some(cell) = cell else { return lost("it was not in the run") };
    if cell.status != Status::Ok {
        return lost(cell.reason.as_deref().unwrap_or("no reason was recorded"));
    }
    let Some(figure) = cpu(cell) else { return lost("it has no figures") };
    let holds_truth = figure.interval().zip(effect).map(|(interval, effect)| {
        let truth = 1.0 + effect;
        interval.lo <= truth && interval.hi.is_none_or(|hi| truth <= hi)
    });
    Row {
        ratio: figure.ratio,
        lo: figure.lo,
        hi: figure.hi,
        verdict: match figure.verdict {
            Some(Verdict::Worse) => Call::Called,
            Some(Verdict::Better) => Call::WrongWay,
            Some(_) if figure.is_decidable() => Call::NotCalled,
            _ => Call::Undecided,
        },
        holds_truth,
        why: figure.why.clone(),
        ..lost("")
    }
}

/// Whether a control shows a difference. Its own verdict is `undecided` then.
fn differs(control: &Cell) -> bool {
    Metric::TIMED.iter().filter_map(|metric| control.metrics.get(metric)).any(|figure| {
        let outside =
            figure.interval().is_some_and(|it| it.lo > 1.0 || it.hi.is_some_and(|hi| hi < 1.0));
        figure.p.is_some_and(|p| p < ALPHA) && outside
    })
}

#[cfg(test)]
mod tests;
