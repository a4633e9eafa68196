//! One workload on one lane.

use std::collections::BTreeMap;

use rtswap_schema::record::{Kind, LanePlan, Status, Stop};
use rtswap_stats::{Verdict, estimate, median};

use super::decided::Decided;
use super::{options, stopped};
use crate::data::{Data, Overload, has_window, timed};
use crate::format;
use crate::summary::{Bound, Cause, Cell, Figure, FloorShare, Interval, Metric, Modes, Role};

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
    let paired = data.paired_with(floor, &[lane], Metric::CpuNsPerOp);
    let Interval { ratio, lo, hi } = estimate(&paired, &options(data.record))?.into();
    if !ratio.is_finite() {
        return None;
    }
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
        lane_use: None,
        generator_use: None,
        deciding: None,
        modes: None,
        metrics: BTreeMap::new(),
        latency_ns: None,
        stalled_rounds: None,
        overhead: None,
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
    (cell.lane_use, cell.generator_use) = utilisation(data, name);
    cell.bound = Some(bound(cell.lane_use, cell.generator_use));
    cell.deciding = Some(data.deciding());
    for metric in data.metrics() {
        let value = if metric.is_timed() {
            data.value(name, |slice| timed(metric, slice))
        } else if metric.summed().is_some() {
            data.total(name, metric)
        } else {
            data.per_round(name, metric)
        };
        if let Some(value) = value {
            cell.metrics.insert(metric, figure(data, &cell, metric, value, decided));
        }
    }
    cell.modes = modes(data, &cell);
    if data.is_offered() {
        let value = data.value(name, |slice| timed(Metric::OpsPerS, slice));
        cell.metrics.extend(value.map(|value| (Metric::OpsPerS, blank(value))));
    }
    cell.latency_ns = data.latency(name);
    cell.stalled_rounds = data.stalled_rounds(name);
    cell.ops_per_wait = data.ops_per_wait(name);
    cell.load_cpu_ns_per_op = data.value(name, |slice| {
        Some(slice.load_cpu_ns? as f64 / slice.ops as f64).filter(|_| slice.ops > 0)
    });
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
        longer: None,
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
        ratio: Some(interval.ratio).filter(|ratio| ratio.is_finite()),
        lo: Some(interval.lo).filter(|lo| lo.is_finite()),
        hi: interval.hi,
        verdict: Some(decision.verdict),
        mde: Some(decision.mde).filter(|mde| mde.is_finite()),
        longer: decision.longer.filter(|longer| longer.is_finite()),
        p: Some(decision.p_adjusted),
        cause: decision.reason.map(Cause::from),
        why: decision.reason.map(|reason| reason.to_string()),
    }
}

/// The shares of their CPUs that the lane and the load generator used: medians over the lane's slices. The
/// generator's is `None` in a workload that the lane drives itself.
fn utilisation(data: &Data, lane: &str) -> (Option<f64>, Option<f64>) {
    let plan = &data.record.header.plan;
    let (server_cpus, load_cpus) = (plan.server_cpus.len().max(1), plan.load_cpus.len().max(1));
    let used = |cpu_ns: u64, elapsed_ns: u64, cpus: usize| {
        cpu_ns as f64 / (elapsed_ns.max(1) as f64 * cpus as f64)
    };
    let slices = || data.slices(lane).filter(|slice| has_window(slice));
    let of_lane = median(slices().map(|s| used(s.cpu_ns, s.elapsed_ns, server_cpus)));
    let of_load = slices().filter_map(|s| Some(used(s.load_cpu_ns?, s.elapsed_ns, load_cpus)));
    (of_lane, median(of_load).filter(|_| data.plan.by_generator))
}

/// The bottleneck of the lane's slices.
fn bound(lane_use: Option<f64>, generator_use: Option<f64>) -> Bound {
    let (lane_use, load_use) = (lane_use.unwrap_or(0.0), generator_use.unwrap_or(0.0));
    if lane_use >= FULL && lane_use >= load_use {
        Bound::Lane
    } else if load_use >= FULL {
        Bound::Generator
    } else {
        Bound::None
    }
}

/// The two modes of the lane's CPU time per operation, from the ratios to the reference.
fn modes(data: &Data, cell: &Cell) -> Option<Modes> {
    if cell.role == Role::Reference || !data.live(data.against(&cell.lane)) {
        return None;
    }
    let paired = data.paired(&cell.lane, Metric::CpuNsPerOp);
    let finite = |round: Vec<f64>| round.into_iter().filter(|log| log.is_finite()).collect();
    let rounds: Vec<Vec<f64>> = paired.rounds.into_iter().map(finite).collect();
    let found = rtswap_stats::modes(&rounds)?;
    // The lane's own median lies in one of the modes; its estimate is the centre that they are relative to.
    let reference_ns =
        data.value(data.against(&cell.lane), |slice| timed(Metric::CpuNsPerOp, slice))?;
    let centre_ns = reference_ns * cell.metrics.get(&Metric::CpuNsPerOp)?.ratio?;
    Some(Modes {
        low_ns: centre_ns * found.low,
        high_ns: centre_ns * found.high,
        share_high: found.share_high,
        by_round: found.by_round,
    })
}
