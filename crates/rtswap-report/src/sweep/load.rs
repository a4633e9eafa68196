//! A sweep over the offered rate: what was offered, and how far each lane keeps up.

use rtswap_schema::record::{Record, Status, WorkloadPlan};
use rtswap_schema::workload::Rate;
use rtswap_stats::{Bounds, bounded_median};
use serde::Serialize;

use super::curve::{Level, highest_within};
use super::objective::{AtObjective, Objective};
use super::{NoSweep, Point};
use crate::analyse::options;
use crate::data::Data;
use crate::format;
use crate::summary::{Cell, Interval, Latency, Metric};

/// The factor between a lane's least latency and its latency at the knee.
///
/// The knee is where waiting begins to dominate. A factor of the lane's own least latency needs no unit and
/// depends neither on the range of rates nor on other lanes, unlike the point of largest curvature (Kneedle),
/// which moves with the last rate that was measured. 3 is above the noise of a percentile between rates and
/// below what any lane reaches before it is overloaded: in a queue with one server and random service times,
/// latency is three times its least at two thirds of capacity.
pub const KNEE: f64 = 3.0;

/// The load that a sweep offered.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Load {
    /// The rates as a workload's name spells them, ascending: `10%`, `20000`.
    pub rates: Vec<String>,
    /// Operations per second that each of them came to.
    pub offered_per_s: Vec<f64>,
    /// The percentile of latency in tables and plots: that of the objective, otherwise the 99th.
    pub percentile: Metric,
    /// The latency that operations are to keep within; `None` if none was given.
    pub objective: Option<Objective>,
}

/// How a lane takes the offered load.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct LaneLoad {
    /// Where its latency begins to grow; `None` without any latency.
    pub knee: Option<Knee>,
    /// The lowest offered rate from which on it is overloaded at every rate; `None` if it keeps up with the
    /// highest.
    pub overloaded_per_s: Option<f64>,
    /// Operations per second in a closed loop, median over rounds; `None` if it was not measured.
    pub closed_loop_per_s: Option<f64>,
    /// Its capacity at the objective; `None` without an objective, or if no round has that percentile.
    pub at_objective: Option<AtObjective>,
}

/// The highest offered rate at which a lane's latency is at most three times its least over all rates. The
/// latency is [`Load::percentile`], median over rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Knee {
    /// Three times the least latency, nanoseconds.
    pub limit_ns: f64,
    /// The rate, operations per second; interpolated if the latency at the next rate is known.
    pub per_s: Range,
}

/// A figure, or the bounds that it lies between.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Range {
    /// The lowest possible value; `None` without a bound.
    pub at_least: Option<f64>,
    /// The highest possible value, equal to `at_least` if the figure is known; `None` without a bound.
    pub at_most: Option<f64>,
}

/// Latencies of one lane at one rate, nanoseconds: medians over rounds with their 95 % intervals.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Percentiles {
    /// Median.
    pub p50: Option<Interval>,
    /// 90th percentile.
    pub p90: Option<Interval>,
    /// 99th percentile.
    pub p99: Option<Interval>,
    /// 99.9th percentile.
    pub p999: Option<Interval>,
}

impl Load {
    /// The load of these workloads, which it sorts by their rate.
    pub(super) fn of(
        record: &Record,
        plans: &mut [&WorkloadPlan],
        objective: Option<Objective>,
    ) -> Result<Self, NoSweep> {
        let offered: Option<Vec<f64>> = plans.iter().map(|plan| offered(record, plan)).collect();
        let unknown = NoSweep::Record("its rates are shares of a capacity that was not measured");
        let mut both: Vec<_> = offered.ok_or(unknown)?.into_iter().zip(plans.to_vec()).collect();
        both.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut load = Self {
            rates: Vec::new(),
            offered_per_s: Vec::new(),
            percentile: objective.map_or(Metric::P99Ns, |objective| objective.percentile),
            objective,
        };
        for (slot, (per_s, plan)) in plans.iter_mut().zip(both) {
            load.rates.extend(plan.rate().map(|rate| rate.to_string()));
            load.offered_per_s.push(per_s);
            *slot = plan;
        }
        Ok(load)
    }

    pub(super) fn lane(&self, data: &[Data], lane: &str, points: &[Point]) -> LaneLoad {
        let offered = || self.offered_per_s.iter().copied().zip(points);
        let last_ok = points.iter().rposition(|point| point.status == Status::Ok);
        let mut above = offered().skip(last_ok.map_or(0, |last| last + 1));
        let overloaded = above.find(|(_, point)| point.status == Status::Overloaded);
        let mut closed_loop = data.iter().map(|data| data.per_round(lane, Metric::CapacityPerS));
        let objective = self.objective.as_ref();
        LaneLoad {
            knee: Knee::of(offered(), self.percentile),
            overloaded_per_s: overloaded.map(|(per_s, _)| per_s),
            closed_loop_per_s: closed_loop.find_map(|it| it),
            at_objective: objective
                .and_then(|objective| AtObjective::of(objective, &self.offered_per_s, data, lane)),
        }
    }

    /// The percentile's name: `p99`.
    pub(crate) fn percentile_name(&self) -> &'static str {
        name(self.percentile)
    }
}

/// The rate that a workload was offered. All shares are of the same capacity, so a workload whose turn never
/// came has the rate that its share comes to.
fn offered(record: &Record, plan: &WorkloadPlan) -> Option<f64> {
    let known = record.offered_per_s(plan);
    let Some(Rate::Share(share)) = plan.rate() else { return known };
    let from_other = || {
        record.header.plan.workloads.iter().find_map(|other| match other.rate()? {
            Rate::Share(others) => {
                let same = other.closed_loop() == plan.closed_loop();
                let per_s = record.offered_per_s(other).filter(|_| same)?;
                Some(per_s * f64::from(share) / f64::from(others))
            }
            Rate::PerSecond(_) => None,
        })
    };
    known.or_else(from_other)
}

/// The short name of a percentile: `p99`.
pub(super) fn name(percentile: Metric) -> &'static str {
    match percentile {
        Metric::P50Ns => "p50",
        Metric::P90Ns => "p90",
        Metric::P999Ns => "p99.9",
        _ => "p99",
    }
}

impl Knee {
    fn of<'a>(points: impl Iterator<Item = (f64, &'a Point)>, percentile: Metric) -> Option<Self> {
        let level = |(per_s, point): (f64, &Point)| match point.status {
            Status::Overloaded => Some((per_s, Level::Overloaded)),
            _ => Some((per_s, Level::Latency(point.latency(percentile)?.ratio))),
        };
        let curve: Vec<_> = points.filter_map(level).collect();
        let latencies = curve.iter().filter_map(|(_, level)| match level {
            Level::Latency(ns) => Some(*ns),
            Level::Overloaded => None,
        });
        let limit_ns = KNEE * latencies.min_by(f64::total_cmp)?;
        Some(Self { limit_ns, per_s: Range::of(highest_within(&curve, limit_ns)?) })
    }
}

impl Range {
    /// From bounds in the figure's unit, in which no figure is below 0.
    pub(super) fn of(bounds: Bounds) -> Self {
        Self {
            at_least: Some(bounds.lo).filter(|lo| *lo > 0.0 && lo.is_finite()),
            at_most: Some(bounds.hi).filter(|hi| hi.is_finite()),
        }
    }

    /// From bounds of the figure's natural logarithm.
    pub(super) fn of_logs(bounds: Bounds) -> Self {
        Self::of(Bounds { lo: bounds.lo.exp(), hi: bounds.hi.exp() })
    }

    /// The figure, if it is known and not only its bounds.
    pub fn known(&self) -> Option<f64> {
        let (lo, hi) = (self.at_least?, self.at_most?);
        ((hi - lo).abs() <= 1e-9 * hi).then_some(lo)
    }

    /// `21,300`, `19,000 to 21,300`, `at least 19,000`, `less than 2,130`.
    pub(crate) fn text(&self, figure: impl Fn(f64) -> String) -> String {
        match (self.known(), self.at_least, self.at_most) {
            (Some(known), ..) => figure(known),
            (None, Some(lo), Some(hi)) => format!("{} to {}", figure(lo), figure(hi)),
            (None, Some(lo), None) => format!("at least {}", figure(lo)),
            (None, None, Some(hi)) => format!("less than {}", figure(hi)),
            (None, None, None) => "unknown".to_owned(),
        }
    }
}

impl Percentiles {
    pub(super) fn of(data: &Data, cell: &Cell) -> Self {
        let merged = |of: fn(&Latency) -> Option<u64>| cell.latency_ns.as_ref().and_then(of);
        let percentile = |metric, merged: Option<u64>| {
            let rounds = data.by_round(&cell.lane, metric);
            let logs: Vec<_> = rounds.into_values().map(|ns| Bounds::exact(ns.ln())).collect();
            let value = cell.metrics.get(&metric).map(|figure| figure.value);
            let interval = bounded_median(&logs, &options(data.record)).map(|it| it.interval);
            match (value, interval) {
                (Some(value), Some(interval)) if interval.hi.is_finite() => Some(Interval {
                    ratio: value,
                    lo: interval.lo.exp().min(value),
                    hi: Some(interval.hi.exp().max(value)),
                }),
                // No round has enough samples by itself, or there is one round only.
                _ => value.or(merged.map(|ns| ns as f64)).map(|value| Interval {
                    ratio: value,
                    lo: value,
                    hi: None,
                }),
            }
        };
        Self {
            p50: percentile(Metric::P50Ns, merged(|it| Some(it.p50))),
            p90: percentile(Metric::P90Ns, merged(|it| Some(it.p90))),
            p99: percentile(Metric::P99Ns, merged(|it| Some(it.p99))),
            p999: percentile(Metric::P999Ns, merged(|it| it.p999)),
        }
    }
}

impl Point {
    /// A percentile of latency.
    pub(crate) fn latency(&self, percentile: Metric) -> Option<Interval> {
        let latency = self.latency_ns?;
        match percentile {
            Metric::P50Ns => latency.p50,
            Metric::P90Ns => latency.p90,
            Metric::P999Ns => latency.p999,
            _ => latency.p99,
        }
    }
}

/// A rate for people: `21,300`.
pub(super) fn per_s(value: f64) -> String {
    format::rate(value)
}
