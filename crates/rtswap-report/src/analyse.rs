//! From a record to its summary.

use std::collections::BTreeMap;

use rtswap_schema::record::{Kind, LanePlan, Record, Status, Stop};
use rtswap_schema::workload::Traffic;
use rtswap_stats::{
    Comparison, Decision, Estimate, Options, Reason, Verdict, decide, estimate, median, pooled,
    rounds_needed,
};

use crate::data::{Data, timed};
use crate::summary::{
    ALPHA, Bound, Cause, Cell, Figure, FloorShare, Interval, Metric, PlanSummary, Role, SCHEMA,
    Summary, WorkloadSummary,
};
use crate::{sentence, warn};

/// Share of its CPUs above which a lane or the generator counts as using them to the full. The rest is
/// scheduling and the ends of the slice.
const FULL: f64 = 0.9;

impl Summary {
    /// Computes the summary of a record, finished or not. The same record always gives the same
    /// summary: the only randomness is drawn from the record's seed.
    pub fn of(record: &Record) -> Self {
        let header = &record.header;
        let plan = &header.plan;
        let footer = record.footer.as_ref();
        let mut summary = Self {
            schema: SCHEMA,
            environment: header.environment.clone(),
            seed: header.seed,
            plan: PlanSummary {
                rounds: plan.rounds,
                blocks: plan.blocks,
                blocks_most: plan.blocks_most(),
                server_cpus: plan.server_cpus.clone(),
                load_cpus: plan.load_cpus.clone(),
                budget_s: plan.budget_s,
                precision: plan.precision,
                ended: footer.map(|footer| footer.ended),
                elapsed_s: footer.map(|footer| footer.elapsed_s),
            },
            reference: plan.reference.clone(),
            control: BTreeMap::new(),
            workloads: Vec::new(),
            cells: Vec::new(),
            warnings: Vec::new(),
        };
        let mut controls: BTreeMap<Metric, Vec<Estimate>> = BTreeMap::new();
        let mut notes = warn::Notes::default();
        for workload in &plan.workloads {
            let data = Data::of(record, workload);
            let decided = Decided::of(&data);
            let floor = best_floor(&data);
            let cells: Vec<Cell> =
                data.lanes().map(|lane| cell(&data, lane, &decided, floor)).collect();
            for (&(lane, metric), (estimate, _)) in &decided.rows {
                if Metric::TIMED.contains(&metric) && is_control(plan.lanes.as_slice(), lane) {
                    controls.entry(metric).or_default().push(*estimate);
                }
            }
            let mut this = workload_summary(&data, &cells, &decided);
            this.sentence = if data.is_paired() {
                sentence::of_pairs(&cells)
            } else {
                sentence::of(&this, &cells, &plan.reference)
            };
            notes.observe(&data, &this, &cells, decided.control_differs());
            summary.workloads.push(this);
            summary.cells.extend(cells);
        }
        summary.control = controls
            .into_iter()
            .filter_map(|(metric, each)| Some((metric, pooled(&each)?.into())))
            .collect();
        summary.warnings = notes.warnings(record);
        summary
    }
}

/// Whether all intervals of a workload are as narrow as `precision` (relative half-width: 0.005 is
/// ±0.5 %): for each lane that still takes part, the control among them, in its deciding metric.
///
/// For a stop rule, to be asked after each round. It looks at widths alone, never at verdicts, and is
/// `false` until there are enough rounds to decide anything ([`rounds_needed`]), for a workload that is
/// not in the plan, and if the reference is lost.
pub fn precise_enough(record: &Record, workload: &str, precision: f64) -> bool {
    let Some(plan) = record.header.plan.workloads.iter().find(|w| w.name == workload) else {
        return false;
    };
    let data = Data::of(record, plan);
    let lanes = data.compared();
    let needed = rounds_needed(lanes.len() * Metric::TIMED.len(), ALPHA);
    !lanes.is_empty()
        && data.rounds_measured() >= needed
        && lanes.iter().all(|lane| {
            let metric = deciding(&data, &lane.name);
            estimate(&data.paired(&lane.name, metric), &options(record)).is_some_and(|estimate| {
                estimate.rounds >= needed && rtswap_stats::precise_enough(&estimate, precision)
            })
        })
}

pub(crate) fn options(record: &Record) -> Options {
    Options { seed: record.header.seed, ..Options::default() }
}

fn is_control(lanes: &[LanePlan], name: &str) -> bool {
    lanes.iter().any(|lane| lane.control && lane.name == name)
}

/// All comparisons of a workload.
struct Decided<'a> {
    rows: BTreeMap<(&'a str, Metric), (Estimate, Decision)>,
    controls: Vec<&'a str>,
    /// Comparisons of the timed family.
    timed: usize,
}

impl<'a> Decided<'a> {
    fn of(data: &Data<'a>) -> Self {
        let lanes = data.compared();
        let controls =
            lanes.iter().filter(|lane| lane.control).map(|lane| lane.name.as_str()).collect();
        let mut this = Self { rows: BTreeMap::new(), controls, timed: 0 };
        let options = options(data.record);
        for family in [Metric::TIMED, Metric::COUNTED] {
            let mut comparisons = Vec::new();
            let mut keys = Vec::new();
            for lane in &lanes {
                for metric in family {
                    let paired = if family == Metric::TIMED {
                        data.paired(&lane.name, metric)
                    } else if let Ok(paired) = data.paired_counts(&lane.name, metric) {
                        paired
                    } else {
                        continue;
                    };
                    if let Some(estimate) = estimate(&paired, &options) {
                        keys.push((lane.name.as_str(), metric));
                        comparisons.push(Comparison {
                            direction: metric.direction(),
                            control: lane.control,
                            metric: metric as usize,
                            estimate,
                        });
                    }
                }
            }
            if family == Metric::TIMED {
                this.timed = comparisons.len();
            }
            let decisions = decide(&comparisons, ALPHA);
            let rows = comparisons.iter().map(|c| c.estimate).zip(decisions);
            this.rows.extend(keys.into_iter().zip(rows));
        }
        this
    }

    fn control(&self, metric: Metric) -> Option<Estimate> {
        self.controls.iter().find_map(|&lane| self.rows.get(&(lane, metric)).map(|row| row.0))
    }

    /// The timed metrics in which the control differs from the reference.
    fn control_differs(&self) -> Vec<(Metric, Interval)> {
        let row = |metric| {
            self.controls.iter().find_map(|&lane| {
                let (estimate, decision) = self.rows.get(&(lane, metric))?;
                (decision.reason == Some(Reason::ControlDiffers))
                    .then_some((metric, (*estimate).into()))
            })
        };
        Metric::TIMED.into_iter().filter_map(row).collect()
    }
}

/// The floor that uses the least CPU time per operation.
fn best_floor<'a>(data: &Data<'a>) -> Option<&'a str> {
    let cpu = |lane: &str| data.value(lane, |slice| timed(Metric::CpuNsPerOp, slice));
    data.lanes()
        .filter(|lane| lane.kind == Kind::Floor && data.live(&lane.name))
        .filter_map(|lane| Some((lane.name.as_str(), cpu(&lane.name)?)))
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(lane, _)| lane)
}

/// A lane against the best floor.
fn floor_share(data: &Data, lane: &str, floor: &str) -> Option<FloorShare> {
    let paired = data.paired_with(floor, lane, Metric::CpuNsPerOp);
    let Interval { ratio, lo, hi } = estimate(&paired, &options(data.record))?.into();
    Some(FloorShare { floor: floor.to_owned(), share: ratio, lo, hi })
}

fn cell(data: &Data, lane: &LanePlan, decided: &Decided, floor: Option<&str>) -> Cell {
    let name = lane.name.as_str();
    let mut cell = Cell {
        workload: data.plan.family.clone(),
        name: data.plan.name.clone(),
        params: data.plan.params.clone(),
        lane: lane.name.clone(),
        role: data.role(lane),
        kind: lane.kind,
        against: lane.against.clone(),
        status: Status::Ok,
        reason: None,
        bound: None,
        deciding: None,
        metrics: BTreeMap::new(),
        latency_ns: None,
        memory_bytes: None,
        memory_per_conn_bytes: None,
        of_floor: None,
        load_cpu_ns_per_op: None,
        idle_cpu: None,
        info: data.lane_rounds(name).rev().find_map(|round| round.info.clone()),
    };
    if !data.live(name) {
        let (status, reason) = absence(data, name);
        cell.status = status;
        cell.reason = Some(reason);
        return cell;
    }
    let own = bound(data, name);
    cell.bound = Some(own);
    cell.deciding = Some(deciding(data, name));
    for metric in Metric::TIMED {
        if let Some(value) = data.value(name, |slice| timed(metric, slice)) {
            cell.metrics.insert(metric, figure(data, &cell, metric, value, decided));
        }
    }
    for metric in Metric::COUNTED {
        if let Some(value) = data.count(name, metric) {
            cell.metrics.insert(metric, figure(data, &cell, metric, value, decided));
        }
    }
    cell.latency_ns = data.latency(name);
    cell.load_cpu_ns_per_op =
        data.value(name, |slice| Some(slice.load_cpu_ns? as f64 / slice.ops as f64));
    cell.memory_bytes = median(
        data.lane_rounds(name).filter_map(|round| round.memory_bytes).map(|bytes| bytes as f64),
    );
    cell.memory_per_conn_bytes = data.memory_per_conn(name);
    cell.of_floor = floor.and_then(|floor| floor_share(data, name, floor));
    cell.idle_cpu = median(data.lane_rounds(name).filter_map(|round| round.idle_cpu));
    cell
}

/// Why a lane has no figures.
fn absence(data: &Data, lane: &str) -> (Status, String) {
    if let Some(failure) = data.failure(lane) {
        // A loss is never a success, whatever the record says.
        let status = if failure.status == Status::Ok { Status::Failed } else { failure.status };
        return (status, failure.reason.clone());
    }
    let (status, reason) = if data.slices(lane).next().is_some() {
        (
            Status::Failed,
            "it finished no operation in any slice; check what it does, or measure longer slices",
        )
    } else if !data.blocks.is_empty() {
        (
            Status::Skipped,
            "the record has no slice of it, although it did not drop out; measure again",
        )
    } else {
        let reason = match stopped(data) {
            Some(Stop::Lanes) => "not measured: no lane was left to compare",
            Some(Stop::Budget) => "not measured: the time budget was spent; give a larger --budget",
            _ => "not measured: the run ended before; `rtswap run --resume` continues it",
        };
        (Status::Skipped, reason)
    };
    (status, reason.to_owned())
}

fn stopped(data: &Data) -> Option<Stop> {
    data.record.footer.as_ref()?.stopped.get(&data.plan.name).copied()
}

fn figure(data: &Data, cell: &Cell, metric: Metric, value: f64, decided: &Decided) -> Figure {
    let blank = Figure {
        value,
        ratio: None,
        lo: None,
        hi: None,
        verdict: None,
        mde: None,
        p: None,
        cause: None,
        why: None,
    };
    if cell.role == Role::Reference {
        return blank;
    }
    let reference = data.against(&cell.lane);
    let Some((estimate, decision)) = decided.rows.get(&(cell.lane.as_str(), metric)) else {
        let (cause, why) = if !data.live(reference) {
            let why = format!("the reference {reference} was lost; choose another reference");
            (Cause::NoReference, why)
        } else if Metric::COUNTED.contains(&metric)
            && data.paired_counts(&cell.lane, metric).is_err()
        {
            let why = "a count of zero has no ratio; compare the counts themselves".to_owned();
            (Cause::ZeroCount, why)
        } else {
            let why = format!("it has no block in common with {reference}; measure again");
            (Cause::NotPaired, why)
        };
        let verdict = Some(Verdict::Undecided);
        return Figure { verdict, cause: Some(cause), why: Some(why), ..blank };
    };
    let interval = Interval::from(*estimate);
    Figure {
        value,
        ratio: Some(interval.ratio),
        lo: Some(interval.lo),
        hi: interval.hi,
        verdict: Some(decision.verdict),
        mde: Some(decision.mde).filter(|mde| mde.is_finite()),
        p: Some(decision.p_adjusted),
        cause: decision.reason.map(Cause::from),
        why: decision.reason.map(|reason| reason.to_string()),
    }
}

/// The bottleneck of the lane's slices, from medians over them.
fn bound(data: &Data, lane: &str) -> Bound {
    let plan = &data.record.header.plan;
    let (server_cpus, load_cpus) = (plan.server_cpus.len().max(1), plan.load_cpus.len().max(1));
    let used = |cpu_ns: u64, elapsed_ns: u64, cpus: usize| {
        cpu_ns as f64 / (elapsed_ns.max(1) as f64 * cpus as f64)
    };
    let lane_use = median(data.slices(lane).map(|s| used(s.cpu_ns, s.elapsed_ns, server_cpus)));
    let load_use = median(
        data.slices(lane)
            .filter_map(|s| Some(used(s.load_cpu_ns?, s.elapsed_ns, load_cpus)))
            .filter(|_| data.plan.by_generator),
    );
    let (lane_use, load_use) = (lane_use.unwrap_or(0.0), load_use.unwrap_or(0.0));
    if lane_use >= FULL && lane_use >= load_use {
        Bound::Lane
    } else if load_use >= FULL {
        Bound::Generator
    } else {
        Bound::None
    }
}

fn deciding(data: &Data, lane: &str) -> Metric {
    let both = [lane, data.against(lane)];
    // The overhead of an adapter is CPU time, whatever the bottleneck.
    if !data.is_paired() && both.iter().all(|lane| bound(data, lane) == Bound::Lane) {
        Metric::OpsPerS
    } else {
        Metric::CpuNsPerOp
    }
}

fn workload_summary(data: &Data, cells: &[Cell], decided: &Decided) -> WorkloadSummary {
    let metrics = || Metric::TIMED.into_iter().chain(Metric::COUNTED);
    let noise_floor = metrics()
        .filter_map(|metric| Some((metric, Interval::from(decided.control(metric)?).reach()?)))
        .collect();
    let mde = metrics()
        .filter_map(|metric| {
            let lanes = cells.iter().filter(|cell| cell.role == Role::Lane);
            let largest = lanes
                .filter_map(|cell| cell.metrics.get(&metric))
                .filter(|figure| figure.is_decidable())
                .filter_map(|figure| figure.mde)
                .max_by(f64::total_cmp)?;
            Some((metric, largest))
        })
        .collect();
    // Without the reference, lanes are ranked by their own figures.
    let full = cells
        .iter()
        .filter(|cell| cell.live())
        .filter(|cell| cell.role == Role::Reference || !data.live(data.reference()))
        .all(|cell| cell.bound == Some(Bound::Lane))
        && !data.is_paired();
    WorkloadSummary {
        name: data.plan.name.clone(),
        unit: data.plan.unit.clone(),
        operation: data.plan.operation.clone(),
        by_generator: data.plan.by_generator,
        rounds: data.rounds_measured(),
        rounds_needed: rounds_needed(decided.timed, ALPHA),
        blocks: data.blocks.len(),
        stopped: stopped(data),
        steal: median(data.rounds.iter().filter_map(|round| round.steal)),
        time_wait: (data.plan.traffic == Traffic::Churn)
            .then(|| data.rounds.iter().filter_map(|round| round.time_wait).max())
            .flatten(),
        load_cpu_ns_per_op: median(cells.iter().filter_map(|cell| cell.load_cpu_ns_per_op)),
        noise_floor,
        mde,
        deciding: if full { Metric::OpsPerS } else { Metric::CpuNsPerOp },
        sentence: String::new(),
    }
}
