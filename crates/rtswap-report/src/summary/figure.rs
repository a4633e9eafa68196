//! Figures that are compared, and the outcome of a comparison.

use rtswap_stats::{Direction, Estimate, Reason, Verdict};
use serde::{Deserialize, Serialize};

/// A figure that is compared between lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Operations per second of wall-clock time.
    OpsPerS,
    /// CPU time of the lane per operation, nanoseconds.
    CpuNsPerOp,
    /// System calls of the lane per operation.
    SyscallsPerOp,
    /// Context switches of the lane per operation.
    CtxSwitchesPerOp,
    /// Median latency from when an operation was due, nanoseconds. Only with an offered rate, like the
    /// other percentiles: a closed loop omits the operations that would have waited.
    P50Ns,
    /// 90th percentile of that latency, nanoseconds.
    P90Ns,
    /// 99th percentile of that latency, nanoseconds.
    P99Ns,
    /// 99.9th percentile of that latency, nanoseconds.
    P999Ns,
    /// Operations per second in a closed loop, next to an offered rate.
    CapacityPerS,
}

impl Metric {
    /// The metrics of the timed slices, which are one family of comparisons.
    pub const TIMED: [Self; 2] = [Self::OpsPerS, Self::CpuNsPerOp];
    /// The timed metrics of a workload with an offered rate. Operations per second are offered, the same to
    /// all lanes, and compare nothing.
    pub const TIMED_OFFERED: [Self; 1] = [Self::CpuNsPerOp];
    /// The exact counts, which are another family.
    pub const COUNTED: [Self; 2] = [Self::SyscallsPerOp, Self::CtxSwitchesPerOp];
    /// The percentiles of latency, a family of workloads with an offered rate.
    pub const LATENCY: [Self; 4] = [Self::P50Ns, Self::P90Ns, Self::P99Ns, Self::P999Ns];
    /// The capacity, a family of workloads with an offered rate.
    pub const CAPACITY: [Self; 1] = [Self::CapacityPerS];

    /// The direction of the metric.
    pub fn direction(self) -> Direction {
        match self {
            Self::OpsPerS | Self::CapacityPerS => Direction::HigherIsBetter,
            _ => Direction::LowerIsBetter,
        }
    }

    /// The families of comparisons of a workload, the timed one first. Verdicts are adjusted within each.
    pub fn families(is_offered: bool) -> &'static [&'static [Self]] {
        if is_offered {
            &[&Self::TIMED_OFFERED, &Self::COUNTED, &Self::LATENCY, &Self::CAPACITY]
        } else {
            &[&Self::TIMED, &Self::COUNTED]
        }
    }

    /// Whether each slice has a figure; otherwise each round has one.
    pub(crate) fn is_timed(self) -> bool {
        Self::TIMED.contains(&self)
    }

    /// The metric in a sentence.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::OpsPerS => "operations per second",
            Self::CpuNsPerOp => "CPU time per operation",
            Self::SyscallsPerOp => "system calls per operation",
            Self::CtxSwitchesPerOp => "context switches per operation",
            Self::P50Ns => "median latency",
            Self::P90Ns => "the 90th percentile of latency",
            Self::P99Ns => "the 99th percentile of latency",
            Self::P999Ns => "the 99.9th percentile of latency",
            Self::CapacityPerS => "capacity",
        }
    }
}

/// A ratio with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lane over reference.
    pub ratio: f64,
    /// Lower end.
    pub lo: f64,
    /// Upper end; `None` without a bound (a single block).
    pub hi: Option<f64>,
}

impl From<Estimate> for Interval {
    fn from(estimate: Estimate) -> Self {
        let hi = Some(estimate.hi).filter(|hi| hi.is_finite());
        Self { ratio: estimate.ratio, lo: estimate.lo, hi }
    }
}

impl Interval {
    /// How far from 1 the interval reaches, relative: 0.006 for \[0.996, 1.006\].
    pub fn reach(&self) -> Option<f64> {
        Some((self.hi? - 1.0).max(1.0 - self.lo).max(0.0))
    }
}

/// One metric of one lane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The lane's own figure: the median over rounds of the medians over blocks, or of the figure of each
    /// round for metrics that have one figure per round.
    pub value: f64,
    /// Lane over reference, from the ratios within blocks or rounds (not from the two `value`s). `None` for
    /// the reference itself, if the reference has no figures, if only one of two counts is zero, for
    /// operations per second that were offered, and for an overloaded lane.
    pub ratio: Option<f64>,
    /// Lower end of the ratio's 95 % interval.
    pub lo: Option<f64>,
    /// Upper end of the ratio's 95 % interval.
    pub hi: Option<f64>,
    /// How the lane compares with the reference; `None` for the reference itself, and where nothing is
    /// compared: operations per second that were offered, and an overloaded lane.
    pub verdict: Option<Verdict>,
    /// The smallest true difference that such a run finds four times out of five, relative; `None` if
    /// the run cannot find any.
    pub mde: Option<f64>,
    /// p of the ratio being 1, adjusted for all comparisons of the workload.
    pub p: Option<f64>,
    /// Why the verdict is undecided; `None` for every other verdict.
    pub cause: Option<Cause>,
    /// The cause as a sentence, with the remedy.
    pub why: Option<String>,
}

impl Figure {
    /// The ratio with its interval.
    pub fn interval(&self) -> Option<Interval> {
        Some(Interval { ratio: self.ratio?, lo: self.lo?, hi: self.hi })
    }

    /// Whether the metric has this verdict.
    pub fn is(&self, verdict: Verdict) -> bool {
        self.verdict == Some(verdict)
    }

    /// Whether the run could have found a difference, whether or not it found one.
    pub fn is_decidable(&self) -> bool {
        self.verdict.is_some() && self.cause.is_none_or(Cause::no_difference)
    }
}

/// Why a verdict is undecided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// The difference is not statistically significant.
    NotSignificant,
    /// The interval contains 1.
    IntervalHoldsOne,
    /// The ratio lies within the control's interval.
    InsideNoiseFloor,
    /// The run has too few rounds to decide, whatever the data.
    TooFewRounds,
    /// The control differs from the reference.
    ControlDiffers,
    /// The control has no data, so the noise floor is unknown.
    NoControl,
    /// The reference was lost or is overloaded.
    NoReference,
    /// Only one of the two counts is zero, so there is no ratio.
    ZeroCount,
    /// The lane and the reference have no block, or no round, in common.
    NotPaired,
}

impl Cause {
    /// Whether the run could have found a difference and found none. Otherwise it cannot decide.
    pub fn no_difference(self) -> bool {
        matches!(self, Self::NotSignificant | Self::IntervalHoldsOne | Self::InsideNoiseFloor)
    }
}

impl From<Reason> for Cause {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::NotSignificant => Self::NotSignificant,
            Reason::IntervalHoldsOne => Self::IntervalHoldsOne,
            Reason::InsideNoiseFloor => Self::InsideNoiseFloor,
            Reason::TooFewRounds { .. } => Self::TooFewRounds,
            Reason::ControlDiffers => Self::ControlDiffers,
            Reason::NoControl => Self::NoControl,
        }
    }
}
