//! From a record to its summary.

mod cell;
mod decided;

use std::collections::BTreeMap;

use rtswap_schema::record::{LanePlan, Record, Stop};
use rtswap_schema::workload::{Rate, Traffic};
use rtswap_stats::{Estimate, Options, estimate, median, pooled, rounds_needed};

use self::cell::{best_floor, cell, deciding};
use self::decided::Decided;
use crate::data::Data;
use crate::summary::{
    ALPHA, Bound, Cell, Interval, Metric, PlanSummary, Role, SCHEMA, Summary, WorkloadSummary,
};
use crate::{sentence, warn};

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
    let needed = rounds_needed(lanes.len() * data.families()[0].len(), ALPHA);
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

fn stopped(data: &Data) -> Option<Stop> {
    data.record.footer.as_ref()?.stopped.get(&data.plan.name).copied()
}

fn workload_summary(data: &Data, cells: &[Cell], decided: &Decided) -> WorkloadSummary {
    let metrics = || data.families().iter().copied().flatten().copied();
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
        && !data.is_paired()
        && !data.is_offered();
    WorkloadSummary {
        name: data.plan.name.clone(),
        unit: data.plan.unit.clone(),
        operation: data.plan.operation.clone(),
        by_generator: data.plan.by_generator,
        arrivals: data.is_offered().then(|| data.plan.arrivals()),
        offered_per_s: data.record.offered_per_s(data.plan),
        offered_share: match data.plan.rate() {
            Some(Rate::Share(percent)) => Some(f64::from(percent) / 100.0),
            _ => None,
        },
        rounds: data.rounds_measured(),
        rounds_needed: rounds_needed(decided.timed, ALPHA),
        blocks: data.blocks.len(),
        stopped: stopped(data),
        steal: median(data.rounds.iter().filter_map(|round| round.steal)),
        time_wait: (data.plan.traffic == Traffic::Churn)
            .then(|| data.rounds.iter().filter_map(|round| round.time_wait).max())
            .flatten(),
        load_cpu_ns_per_op: median(cells.iter().filter_map(|cell| cell.load_cpu_ns_per_op)),
        voided_slices: data.voided().0,
        late_p99_ns: data.late_p99_ns(),
        late_max_ns: data.late_max_ns(),
        noise_floor,
        mde,
        deciding: if full { Metric::OpsPerS } else { Metric::CpuNsPerOp },
        sentence: String::new(),
    }
}
