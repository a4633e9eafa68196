//! Latencies, and what became of the load that a workload was offered.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use rtswap_schema::histogram;
use rtswap_schema::record::{Offered, Round, Slice};
use rtswap_stats::median;

use super::Data;
use crate::summary::{Latency, Metric, STALL};

/// Share of the offered operations by which the backlog of a lane must grow within a slice for the lane not to
/// keep up. A lane that keeps up ends a slice with the backlog of its start, apart from what happens to be in
/// flight; at 5 % in most slices, latency is determined by the length of the run.
const BACKLOG_GROWTH: f64 = 0.05;

/// The fewest samples above a percentile. With fewer, the percentile is the accident of single samples.
const SAMPLES_ABOVE: u64 = 10;

/// A lane that does not keep up with the offered rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overload {
    /// Growth of the backlog in a slice, as a share of the offered operations: median over slices.
    pub growth: f64,
}

/// The latencies of one lane in one round, nanoseconds.
pub(super) struct Percentiles {
    /// Of the metrics of latency.
    values: [Option<f64>; Metric::LATENCY.len()],
    /// Whether the longest is more than [`STALL`] times the 99th percentile.
    is_stalled: bool,
}

impl Percentiles {
    pub fn of_lanes(round: &Round) -> BTreeMap<&str, Self> {
        let lanes = round.lanes.iter();
        let percentiles = lanes.filter_map(|(lane, its)| {
            let latencies = histogram::decode(its.latency_hdr.as_deref()?).ok()?;
            Some((lane.as_str(), Self::of(&latencies)))
        });
        percentiles.collect()
    }

    fn of(latencies: &Histogram<u64>) -> Self {
        // A latency of zero would have no ratio; the clock resolves 1 ns.
        let value = |hundredths| Some(percentile(latencies, hundredths)?.max(1) as f64);
        let p99 = latencies.value_at_quantile(0.99) as f64;
        Self {
            values: [5_000, 9_000, 9_900, 9_990].map(value),
            is_stalled: latencies.max() as f64 > STALL * p99,
        }
    }

    pub fn get(&self, metric: Metric) -> Option<f64> {
        self.values[Metric::LATENCY.iter().position(|it| *it == metric)?]
    }
}

/// A percentile, in hundredths of a per cent; `None` if too few samples lie above it.
fn percentile(latencies: &Histogram<u64>, hundredths: u64) -> Option<u64> {
    let above = latencies.len().saturating_mul(10_000 - hundredths) / 10_000;
    let value = || latencies.value_at_quantile(hundredths as f64 / 1e4);
    (above >= SAMPLES_ABOVE).then(value)
}

impl Data<'_> {
    /// Latencies from the merged histograms of all rounds, since percentiles cannot be averaged.
    pub fn latency(&self, lane: &str) -> Option<Latency> {
        let mut all: Option<Histogram<u64>> = None;
        for text in self.lane_rounds(lane).filter_map(|round| round.latency_hdr.as_deref()) {
            let next = histogram::decode(text).ok()?;
            match &mut all {
                None => all = Some(next),
                Some(all) => all.add(next).ok()?,
            }
        }
        all.filter(|all| !all.is_empty()).map(|all| Latency {
            p50: all.value_at_quantile(0.5),
            p90: all.value_at_quantile(0.9),
            p99: all.value_at_quantile(0.99),
            p999: percentile(&all, 9_990),
            p9999: percentile(&all, 9_999),
            max: all.max(),
        })
    }

    /// Rounds in which the longest latency is more than [`STALL`] times the 99th percentile; `None` without
    /// latencies.
    pub fn stalled_rounds(&self, lane: &str) -> Option<usize> {
        let mut rounds = self.percentiles.iter().filter_map(|round| round.get(lane)).peekable();
        rounds.peek()?;
        Some(rounds.filter(|round| round.is_stalled).count())
    }

    /// Whether the lane does not keep up with the offered rate.
    pub fn overload(&self, lane: &str) -> Option<Overload> {
        self.overloaded.get(lane).copied()
    }

    /// The growth of the lane's backlog, if it grew in more than half of the slices that count.
    pub(super) fn grown(&self, lane: &str) -> Option<Overload> {
        let growth: Vec<f64> = self
            .slices(lane)
            .filter_map(|slice| slice.offered.as_ref())
            .map(Offered::backlog_growth)
            .collect();
        let grown = growth.iter().filter(|growth| **growth > BACKLOG_GROWTH).count();
        let is_overloaded = 2 * grown > growth.len();
        is_overloaded.then(|| median(growth)).flatten().map(|growth| Overload { growth })
    }

    /// How late the load generator was: the median over slices of the 99th percentile, nanoseconds.
    pub fn late_p99_ns(&self) -> Option<f64> {
        median(self.offered().filter_map(|offered| offered.late_p99_ns).map(|ns| ns as f64))
    }

    /// The largest lateness of the load generator, nanoseconds.
    pub fn late_max_ns(&self) -> Option<u64> {
        self.offered().filter_map(|offered| offered.late_max_ns).max()
    }

    /// The load of all slices that count.
    fn offered(&self) -> impl Iterator<Item = &Offered> {
        let counted = self.all_slices().filter(|slice| slice.voided.is_none());
        counted.filter_map(|slice| slice.offered.as_ref())
    }

    /// All slices, those that do not count among them.
    fn all_slices(&self) -> impl Iterator<Item = &Slice> {
        self.blocks.iter().flat_map(|block| &block.slices)
    }

    /// Slices that do not count, and all slices.
    pub fn voided(&self) -> (usize, usize) {
        let voided = self.all_slices().filter(|slice| slice.voided.is_some()).count();
        (voided, self.all_slices().count())
    }

    /// Why the lane's last slice that does not count was voided.
    pub fn void_reason(&self, lane: &str) -> Option<&str> {
        self.all_slices().filter(|slice| slice.lane == lane).last()?.voided.as_deref()
    }
}
