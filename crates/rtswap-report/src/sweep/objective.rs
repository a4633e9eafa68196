//! The capacity of a lane at an objective: how much it serves while its latency stays within a limit.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use rtswap_stats::{BoundedMedian, Bounds, bounded_median};
use serde::Serialize;

use super::curve::{Level, highest_within};
use super::load::{Range, name};
use crate::analyse::options;
use crate::data::Data;
use crate::format;
use crate::summary::Metric;

/// A limit on one percentile of latency: `p99=1ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Objective {
    /// The percentile, one of [`Metric::LATENCY`].
    pub percentile: Metric,
    /// The longest latency that meets the objective, nanoseconds.
    pub limit_ns: u64,
}

/// A text that is no objective.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid objective {0:?}: expected p50, p90, p99 or p99.9 and a time: p99=1ms or p99.9=500us"
)]
pub struct InvalidObjective(String);

impl FromStr for Objective {
    type Err = InvalidObjective;

    /// `p99=1ms`, `p99.9=500us`, `p50=1.5ms`.
    fn from_str(text: &str) -> Result<Self, InvalidObjective> {
        let parsed = || {
            let (percentile, limit) = text.split_once('=')?;
            let percentile = Metric::LATENCY.into_iter().find(|it| name(*it) == percentile)?;
            let limit = humantime::parse_duration(limit).ok()?;
            let limit_ns = u64::try_from(limit.as_nanos()).ok().filter(|ns| *ns > 0)?;
            Some(Self { percentile, limit_ns })
        };
        parsed().ok_or_else(|| InvalidObjective(text.to_owned()))
    }
}

impl fmt::Display for Objective {
    /// `p99 ≤ 1 ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = format::whole(&format::time(self.limit_ns as f64));
        write!(f, "{} ≤ {limit}", name(self.percentile))
    }
}

/// The highest offered rate at which a lane meets the objective.
///
/// In each round it is interpolated between the last rate that meets the objective and the next one; an
/// overloaded lane does not meet it. A round in which the lane meets it at every rate, or at none, or is
/// overloaded at the next rate, has bounds in place of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AtObjective {
    /// The rate, operations per second: median over rounds.
    pub per_s: Range,
    /// Its 95 % interval.
    pub interval_per_s: Range,
    /// Lane over reference in the same rounds: median over rounds. `None` for the reference, and without a
    /// round in common.
    pub ratio: Option<Range>,
    /// The ratio's 95 % interval.
    pub ratio_interval: Option<Range>,
    /// Rounds with a figure or bounds.
    pub rounds: usize,
}

impl AtObjective {
    /// `offered_per_s` has the rate of each of `data`, ascending.
    pub(super) fn of(
        objective: &Objective,
        offered_per_s: &[f64],
        data: &[Data],
        lane: &str,
    ) -> Option<Self> {
        let first = data.first()?;
        let options = options(first.record);
        let own = by_round(objective, offered_per_s, data, lane);
        let BoundedMedian { median, interval, rounds, .. } =
            bounded_median(&own.values().copied().collect::<Vec<_>>(), &options)?;
        let against = first.against(lane);
        let reference = by_round(objective, offered_per_s, data, against);
        let in_both = own.iter().filter_map(|(round, own)| Some(own.minus(*reference.get(round)?)));
        let ratio = bounded_median(&in_both.collect::<Vec<_>>(), &options);
        let ratio = ratio.filter(|_| lane != against);
        Some(Self {
            per_s: Range::of_logs(median),
            interval_per_s: Range::of_logs(interval),
            ratio: ratio.map(|it| Range::of_logs(it.median)),
            ratio_interval: ratio.map(|it| Range::of_logs(it.interval)),
            rounds,
        })
    }
}

/// The natural logarithm of the highest rate that meets the objective, by round.
fn by_round(
    objective: &Objective,
    offered_per_s: &[f64],
    data: &[Data],
    lane: &str,
) -> BTreeMap<u32, Bounds> {
    let mut levels: Vec<(f64, BTreeMap<u32, Level>)> = Vec::new();
    for (&per_s, data) in offered_per_s.iter().zip(data) {
        let at_rate = if data.overload(lane).is_some() {
            // Of all rounds, since the cell is overloaded as a whole.
            data.rounds.iter().map(|round| (round.round, Level::Overloaded)).collect()
        } else if data.live(lane) {
            let latencies = data.by_round(lane, objective.percentile).into_iter();
            latencies.map(|(round, ns)| (round, Level::Latency(ns))).collect()
        } else {
            BTreeMap::new()
        };
        levels.push((per_s, at_rate));
    }
    let rounds: BTreeSet<u32> =
        levels.iter().flat_map(|(_, at_rate)| at_rate.keys()).copied().collect();
    let highest = |round: u32| {
        let level =
            |(per_s, at_rate): &(f64, BTreeMap<u32, Level>)| Some((*per_s, *at_rate.get(&round)?));
        let curve: Vec<_> = levels.iter().filter_map(level).collect();
        let Bounds { lo, hi } = highest_within(&curve, objective.limit_ns as f64)?;
        Some((round, Bounds { lo: lo.ln(), hi: hi.ln() }))
    };
    rounds.into_iter().filter_map(highest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objective_reads_percentile_and_time() {
        let cases = [
            ("p50=2s", Metric::P50Ns, 2_000_000_000, "p50 ≤ 2 s"),
            ("p90=1.5ms", Metric::P90Ns, 1_500_000, "p90 ≤ 1.5 ms"),
            ("p99=1ms", Metric::P99Ns, 1_000_000, "p99 ≤ 1 ms"),
            ("p99.9=500us", Metric::P999Ns, 500_000, "p99.9 ≤ 500 µs"),
        ];
        for (text, percentile, limit_ns, shown) in cases {
            let objective: Objective = text.parse().unwrap();
            assert_eq!(objective, Objective { percentile, limit_ns });
            assert_eq!(objective.to_string(), shown);
        }
    }

    #[test]
    fn objective_rejects_other_text() {
        for text in ["", "p99", "p99=", "p98=1ms", "p99=1", "p99=0ms", "p99=-1ms", "max=1ms", "1ms"]
        {
            let error = text.parse::<Objective>().unwrap_err().to_string();
            assert_eq!(
                error,
                format!(
                    "invalid objective {text:?}: expected p50, p90, p99 or p99.9 and a time: p99=1ms or p99.9=500us"
                )
            );
        }
    }
}
