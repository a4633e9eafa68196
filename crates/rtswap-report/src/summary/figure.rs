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
}

impl Metric {
    /// The metrics of the timed slices, which are one family of comparisons.
    pub const TIMED: [Self; 2] = [Self::OpsPerS, Self::CpuNsPerOp];
    /// The exact counts, which are another family.
    pub const COUNTED: [Self; 2] = [Self::SyscallsPerOp, Self::CtxSwitchesPerOp];

    /// The direction of the metric.
    pub fn direction(self) -> Direction {
        match self {
            Self::OpsPerS => Direction::HigherIsBetter,
            _ => Direction::LowerIsBetter,
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
    /// The lane's own figure: the median over rounds of the medians over blocks.
    pub value: f64,
    /// Lane over reference, from the ratios within blocks (not from the two `value`s). `None` for the
    /// reference itself, if the reference was lost, and if only one of two counts is zero.
    pub ratio: Option<f64>,
    /// Lower end of the ratio's 95 % interval.
    pub lo: Option<f64>,
    /// Upper end of the ratio's 95 % interval.
    pub hi: Option<f64>,
    /// How the lane compares with the reference; `None` for the reference itself.
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
    /// The reference was lost.
    NoReference,
    /// Only one of the two counts is zero, so there is no ratio.
    ZeroCount,
    /// The lane and the reference have no block in common.
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
