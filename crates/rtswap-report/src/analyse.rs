//! From a record to its summary.

mod cell;
mod decided;

use std::collections::BTreeMap;

use rtswap_schema::record::{LanePlan, Record, Stop};
use rtswap_schema::workload::{Rate, Traffic};
use rtswap_stats::{Estimate, Options, Rule, estimate, median, pooled, rounds_needed};

use self::cell::{best_floor, cell};
use self::decided::Decided;
use crate::data::Data;
use crate::summary::{Cell, Interval, Metric, PlanSummary, Role, SCHEMA, Summary, WorkloadSummary};
use crate::{sentence, warn};

/// The rule of records made before it was fixed in the plan.
const RULE: Rule = Rule { alpha: 0.05, margin: 0.03 };

impl Summary {
    /// Computes the summary of a record, finished or not. The same record always gives the same
    /// summary: the only randomness is drawn from the record's seed.
    pub fn of(record: &Record) -> Self {
        let header = &record.header;
        let plan = &header.plan;
        let footer = record.footer.as_ref();
        let rule = rule(record);
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
                alpha: rule.alpha,
                margin: rule.margin,
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
        let mut notes = warn::Notes::new(rule.alpha);
        for workload in &plan.workloads {
            let data = Data::of(record, workload);
            let decided = Decided::of(&data, &rule);
            let floor = best_floor(&data);
            let cells: Vec<Cell> =
                data.lanes().map(|lane| cell(&data, lane, &decided, floor)).collect();
            for (&(lane, metric), (estimate, _)) in &decided.rows {
                if Metric::TIMED.contains(&metric) && is_control(plan.lanes.as_slice(), lane) {
                    controls.entry(metric).or_default().push(*estimate);
                }
            }
            let mut this = workload_summary(&data, &cells, &decided, &rule);
            this.sentence = if data.is_paired() {
                sentence::of_pairs(&cells, &summary.plan)
            } else {
                sentence::of(&this, &cells, &plan.reference, &summary.plan)
            };
            // In the deciding metric alone: over a dozen metrics one differs by chance in most runs, and the
            // figures of that metric say so.
            notes.observe(&data, &this, &cells, decided.control_differs(data.deciding()));
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
    let compared = lanes.iter().filter(|lane| !lane.control).count();
    let needed = rounds_needed(compared.max(1), rule(record).alpha);
    !lanes.is_empty()
        && data.rounds_measured() >= needed
        && lanes.iter().all(|lane| {
            estimate(&data.paired(&lane.name, data.deciding()), &options(record)).is_some_and(
                |estimate| {
                    estimate.rounds >= needed && rtswap_stats::precise_enough(&estimate, precision)
                },
            )
        })
}

pub(crate) fn rule(record: &Record) -> Rule {
    let plan = record.header.plan.rule.as_ref();
    plan.map_or(RULE, |rule| Rule { alpha: rule.alpha, margin: rule.margin })
}

pub(crate) fn options(record: &Record) -> Options {
    Options { seed: record.header.seed, ..Options::default() }
}

fn is_control(lanes: &[LanePlan], name: &str) -> bool {
    lanes.iter().any(|lane| lane.control && lane.name == name)
}

/// Whether CPU time decides in a closed loop although lanes finished operations at different rates.
fn is_unequal(data: &Data, cells: &[Cell], margin: f64) -> bool {
    let differs = |ratio: f64| ratio.ln().abs() > margin.ln_1p();
    let compared = cells.iter().filter(|cell| cell.role == Role::Lane);
    data.plan.by_generator
        && !data.is_offered()
        && data.deciding() == Metric::CpuNsPerOp
        && compared.filter_map(|cell| cell.metrics.get(&Metric::OpsPerS)?.ratio).any(differs)
}

fn stopped(data: &Data) -> Option<Stop> {
    data.record.footer.as_ref()?.stopped.get(&data.plan.name).copied()
}

fn workload_summary(
    data: &Data,
    cells: &[Cell],
    decided: &Decided,
    rule: &Rule,
) -> WorkloadSummary {
    let control = data
        .metrics()
        .filter_map(|metric| Some((metric, Interval::from(decided.control(metric)?))))
        .filter(|(_, interval)| interval.ratio.is_finite() && interval.lo.is_finite())
        .collect();
    let detectable = |metric: Metric| -> Vec<f64> {
        let lanes = cells.iter().filter(|cell| cell.role == Role::Lane);
        let figures = lanes.filter_map(|cell| cell.metrics.get(&metric));
        figures.filter(|figure| figure.is_decidable()).filter_map(|figure| figure.mde).collect()
    };
    let largest = |metric| detectable(metric).into_iter().max_by(f64::total_cmp);
    let deciding = data.deciding();
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
        rounds_needed: rounds_needed(decided.lanes.max(1), rule.alpha),
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
        control,
        mde: data.metrics().filter_map(|metric| Some((metric, largest(metric)?))).collect(),
        mde_median: data
            .metrics()
            .filter_map(|metric| Some((metric, median(detectable(metric))?)))
            .collect(),
        deciding,
        unequal_load: is_unequal(data, cells, rule.margin),
        sentence: String::new(),
    }
}
