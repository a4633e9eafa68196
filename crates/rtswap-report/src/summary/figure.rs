//! Figures that are compared, and the outcome of a comparison.

use rtswap_stats::{Direction, Estimate, Reason, Verdict};
use serde::{Deserialize, Deserializer, Serialize};

/// A figure that is compared between lanes. Each is a family of comparisons of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Operations per second of wall-clock time, of the median slice.
    OpsPerS,
    /// CPU time of the lane per operation, of the median slice, nanoseconds.
    CpuNsPerOp,
    /// Operations of all slices of a round together, per second. Only without an offered rate.
    TotalOpsPerS,
    /// CPU time of all slices of a round together, per operation, nanoseconds.
    TotalCpuNsPerOp,
    /// Operations per second over all slices of a round, divided by those of its median slice. Lower in a lane
    /// that pauses. Only without an offered rate.
    Steadiness,
    /// CPU time per operation over all slices of a round, divided by that of its median slice. Higher in a lane
    /// with bursts of work.
    CpuSteadiness,
    /// System calls of the lane per operation.
    SyscallsPerOp,
    /// Context switches of the lane per operation.
    CtxSwitchesPerOp,
    /// Median latency, nanoseconds. With an offered rate, latencies count from when an operation was due. A
    /// closed loop counts from when it was sent, and omits the operations that would have waited.
    P50Ns,
    /// 90th percentile of latency, nanoseconds.
    P90Ns,
    /// 99th percentile of latency, nanoseconds.
    P99Ns,
    /// 99.9th percentile of latency, nanoseconds.
    P999Ns,
    /// Operations per second in a closed loop, next to an offered rate.
    CapacityPerS,
}

impl Metric {
    /// The metrics of the timed slices.
    pub const TIMED: [Self; 2] = [Self::OpsPerS, Self::CpuNsPerOp];
    /// The exact counts.
    pub const COUNTED: [Self; 2] = [Self::SyscallsPerOp, Self::CtxSwitchesPerOp];
    /// The percentiles of latency.
    pub const LATENCY: [Self; 4] = [Self::P50Ns, Self::P90Ns, Self::P99Ns, Self::P999Ns];

    const CLOSED: [Self; 12] = [
        Self::OpsPerS,
        Self::CpuNsPerOp,
        Self::TotalOpsPerS,
        Self::TotalCpuNsPerOp,
        Self::Steadiness,
        Self::CpuSteadiness,
        Self::SyscallsPerOp,
        Self::CtxSwitchesPerOp,
        Self::P50Ns,
        Self::P90Ns,
        Self::P99Ns,
        Self::P999Ns,
    ];
    /// Operations per second are offered, the same to all lanes, and compare nothing.
    const OFFERED: [Self; 10] = [
        Self::CpuNsPerOp,
        Self::TotalCpuNsPerOp,
        Self::CpuSteadiness,
        Self::SyscallsPerOp,
        Self::CtxSwitchesPerOp,
        Self::P50Ns,
        Self::P90Ns,
        Self::P99Ns,
        Self::P999Ns,
        Self::CapacityPerS,
    ];

    /// The direction of the metric.
    pub fn direction(self) -> Direction {
        match self {
            Self::OpsPerS | Self::TotalOpsPerS | Self::Steadiness | Self::CapacityPerS => {
                Direction::HigherIsBetter
            }
            _ => Direction::LowerIsBetter,
        }
    }

    /// The metrics that a workload compares.
    pub fn compared(is_offered: bool) -> impl Iterator<Item = Self> {
        let all: &[Self] = if is_offered { &Self::OFFERED } else { &Self::CLOSED };
        all.iter().copied()
    }

    /// Whether each slice has a figure; otherwise each round has one.
    pub(crate) fn is_timed(self) -> bool {
        Self::TIMED.contains(&self)
    }

    pub(crate) fn is_latency(self) -> bool {
        Self::LATENCY.contains(&self)
    }

    /// The metric of the slices whose sums give this one.
    pub(crate) fn summed(self) -> Option<Self> {
        match self {
            Self::TotalOpsPerS | Self::Steadiness => Some(Self::OpsPerS),
            Self::TotalCpuNsPerOp | Self::CpuSteadiness => Some(Self::CpuNsPerOp),
            _ => None,
        }
    }

    /// Whether it holds the sums against the median slice.
    pub(crate) fn is_steadiness(self) -> bool {
        matches!(self, Self::Steadiness | Self::CpuSteadiness)
    }

    /// The metric in a sentence.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::OpsPerS => "operations per second",
            Self::CpuNsPerOp => "CPU time per operation",
            Self::TotalOpsPerS => "operations per second over all slices",
            Self::TotalCpuNsPerOp => "CPU time per operation over all slices",
            Self::Steadiness => "operations per second over all slices against the median slice",
            Self::CpuSteadiness => {
                "CPU time per operation over all slices against the median slice"
            }
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
    /// Whether the interval contains 1.
    pub fn holds_one(&self) -> bool {
        self.lo <= 1.0 && self.hi.is_none_or(|hi| 1.0 <= hi)
    }
}

/// JSON has no infinity; `serde_json` writes `null` for it.
fn null_is_infinite<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::INFINITY))
}

/// One metric of one lane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The lane's own figure: the median over rounds of the medians over blocks, or of the figure of each
    /// round for metrics that have one figure per round; of the sums, over the whole run. Infinite, in JSON
    /// `null`, for CPU time per operation if most slices finished no operation.
    #[serde(deserialize_with = "null_is_infinite")]
    pub value: f64,
    /// Lane over reference, the geometric mean of both processes of the reference, from the ratios within
    /// blocks or rounds (not from the `value`s). `None` for the reference itself, if the reference has no
    /// figures, if only one of two counts is zero, if it is infinite, for operations per second that were
    /// offered, and for an overloaded lane.
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
    /// The factor by which the measured time would have to grow for `mde` to reach the margin; `None` if it
    /// does already, and without `mde`.
    pub longer: Option<f64>,
    /// p of the ratio being 1, adjusted for all lanes of the workload; the control's is not adjusted.
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

    /// Whether the run could have found a difference, whether or not it found one. Without data in common, or
    /// with a control that differs, it could not.
    pub fn is_decidable(&self) -> bool {
        self.verdict.is_some() && self.cause.is_none_or(Cause::no_difference)
    }
}

/// Why a verdict is undecided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cause {
    /// The difference is not statistically significant, and the interval reaches beyond the margin.
    NotSignificant,
    /// The interval contains 1, and reaches beyond the margin.
    IntervalHoldsOne,
    /// The run has too few rounds to decide, whatever the data.
    TooFewRounds,
    /// The control differs from the reference.
    ControlDiffers,
    /// The control has no data, so nothing shows that equal programs measure the same.
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
        matches!(self, Self::NotSignificant | Self::IntervalHoldsOne)
    }
}

impl From<Reason> for Cause {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::NotSignificant => Self::NotSignificant,
            Reason::IntervalHoldsOne => Self::IntervalHoldsOne,
            Reason::TooFewRounds { .. } => Self::TooFewRounds,
            Reason::ControlDiffers => Self::ControlDiffers,
            Reason::NoControl => Self::NoControl,
        }
    }
}
