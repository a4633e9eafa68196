//! One workload on one lane.

use std::collections::BTreeMap;

use rtswap_schema::record::{Kind, LanePlan, Status, Stop};
use rtswap_stats::{Verdict, estimate, median};

use super::decided::Decided;
use super::{options, stopped};
use crate::data::{Data, Overload, timed};
use crate::format;
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
        stalled_rounds: None,
        ops_per_wait: None,
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
        if let Some(value) = capacity(data, name).filter(|_| status == Status::Overloaded) {
            cell.metrics.insert(Metric::CapacityPerS, blank(value));
        }
        return cell;
    }
    let own = bound(data, name);
    cell.bound = Some(own);
    cell.deciding = Some(deciding(data, name));
    for &metric in data.families().iter().copied().flatten() {
        let value = if metric.is_timed() {
            data.value(name, |slice| timed(metric, slice))
        } else {
            data.per_round(name, metric)
        };
        if let Some(value) = value {
            cell.metrics.insert(metric, figure(data, &cell, metric, value, decided));
        }
    }
    if data.is_offered() {
        let value = data.value(name, |slice| timed(Metric::OpsPerS, slice));
        cell.metrics.extend(value.map(|value| (Metric::OpsPerS, blank(value))));
    }
    cell.latency_ns = data.latency(name);
    cell.stalled_rounds = data.stalled_rounds(name);
    cell.ops_per_wait = data.ops_per_wait(name);
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
    if let Some(overload) = data.overload(lane) {
        return (Status::Overloaded, overloaded(data, lane, overload));
    }
    let (status, reason) = if data.slices(lane).next().is_some() {
        (
            Status::Failed,
            "it finished no operation in any slice; check what it does, or measure longer slices",
        )
    } else if let Some(why) = data.void_reason(lane) {
        let reason = format!("none of its slices counts: {why}; run on a quiet machine");
        return (Status::Skipped, reason);
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

/// Why a lane does not keep up, with its capacity if that is known.
fn overloaded(data: &Data, lane: &str, overload: Overload) -> String {
    let per_s =
        |value: f64| format!("{} {}/s", format::rate(value), format::plural(&data.plan.unit));
    let offered = data.record.offered_per_s(data.plan);
    let offered = offered.map(|it| format!(" of {}", per_s(it))).unwrap_or_default();
    let capacity = capacity(data, lane);
    let capacity = capacity.map(|it| format!(" (its capacity: {})", per_s(it))).unwrap_or_default();
    format!(
        "its backlog grew by {} of the offered operations in a slice (median), so it does not keep up with the offered \
         rate{offered}{capacity}; offer a lower rate",
        format::percent(overload.growth)
    )
}

fn capacity(data: &Data, lane: &str) -> Option<f64> {
    data.per_round(lane, Metric::CapacityPerS)
}

/// A figure that is compared with no other.
fn blank(value: f64) -> Figure {
    Figure {
        value,
        ratio: None,
        lo: None,
        hi: None,
        verdict: None,
        mde: None,
        p: None,
        cause: None,
        why: None,
    }
}

fn figure(data: &Data, cell: &Cell, metric: Metric, value: f64, decided: &Decided) -> Figure {
    let blank = blank(value);
    if cell.role == Role::Reference {
        return blank;
    }
    let reference = data.against(&cell.lane);
    let Some((estimate, decision)) = decided.rows.get(&(cell.lane.as_str(), metric)) else {
        let (cause, why) = if !data.live(reference) {
            let why = if data.overload(reference).is_some() {
                format!("the reference {reference} is overloaded; offer a lower rate")
            } else {
                format!("the reference {reference} was lost; choose another reference")
            };
            (Cause::NoReference, why)
        } else if Metric::COUNTED.contains(&metric)
            && data.paired_rounds(&cell.lane, metric).is_err()
        {
            let why = "a count of zero has no ratio; compare the counts themselves".to_owned();
            (Cause::ZeroCount, why)
        } else {
            let what = if metric.is_timed() { "block" } else { "round" };
            let why = format!("it has no {what} in common with {reference}; measure again");
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
    // The overhead of an adapter is CPU time, whatever the bottleneck. Operations at an offered rate are the
    // same for all lanes.
    let by_cpu = data.is_paired() || data.is_offered();
    if !by_cpu && both.iter().all(|lane| bound(data, lane) == Bound::Lane) {
        Metric::OpsPerS
    } else {
        Metric::CpuNsPerOp
    }
}
