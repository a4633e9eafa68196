//! One workload on one lane.

use std::collections::BTreeMap;

use rtswap_schema::record::{Kind, LanePlan, Status, Stop};
use rtswap_stats::{Verdict, estimate, median};

use super::decided::Decided;
use super::{options, stopped};
use crate::data::{Data, timed};
use crate::summary::{Bound, Cause, Cell, Figure, FloorShare, Interval, Metric, Role};

/// Share of its CPUs above which a lane or the generator counts as using them to the full. The rest is
/// scheduling and the ends of the slice.
const FULL: f64 = 0.9;

/// The floor that uses the least CPU time per operation.
pub(super) fn best_floor<'a>(data: &Data<'a>) -> Option<&'a str> {
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

pub(super) fn cell(data: &Data, lane: &LanePlan, decided: &Decided, floor: Option<&str>) -> Cell {
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

pub(super) fn deciding(data: &Data, lane: &str) -> Metric {
    let both = [lane, data.against(lane)];
    // The overhead of an adapter is CPU time, whatever the bottleneck.
    if !data.is_paired() && both.iter().all(|lane| bound(data, lane) == Bound::Lane) {
        Metric::OpsPerS
    } else {
        Metric::CpuNsPerOp
    }
}
