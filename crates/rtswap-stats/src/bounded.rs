//! The median over rounds of figures that some rounds know only to lie between bounds.

use serde::{Deserialize, Serialize};

use crate::Options;
use crate::estimate::{resampled, widening};
use crate::order::median_of;

/// A figure that is known exactly (`lo` equals `hi`), or to lie between two values.
///
/// An end without a bound is infinite: a capacity above the highest rate that was measured lies between that
/// rate and infinity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// The lowest possible value; -∞ without a bound, never +∞.
    pub lo: f64,
    /// The highest possible value; +∞ without a bound, never -∞.
    pub hi: f64,
}

impl Bounds {
    /// A figure that is known.
    pub const fn exact(value: f64) -> Self {
        Self { lo: value, hi: value }
    }

    /// A figure without any bound.
    pub const UNKNOWN: Self = Self { lo: f64::NEG_INFINITY, hi: f64::INFINITY };

    /// The bounds of the difference of two figures.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self { lo: self.lo - other.hi, hi: self.hi - other.lo }
    }

    /// Whether `value` is possible.
    pub fn holds(&self, value: f64) -> bool {
        self.lo <= value && value <= self.hi
    }
}

/// A median over rounds, and its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct BoundedMedian {
    /// The median.
    pub median: Bounds,
    /// Its confidence interval; [`Bounds::UNKNOWN`] with one round.
    pub interval: Bounds,
    /// Rounds with a figure.
    pub rounds: usize,
}

/// The median of one figure for each round, with its bootstrap interval over rounds; `None` without rounds.
///
/// The median lies between the median of the lower bounds and that of the upper bounds. So rounds without an
/// upper bound are not left out, which would bias the median, and it stays exact as long as fewer than half
/// of the rounds are bounded on one side only.
///
/// The interval is the percentile interval of the resampled medians, of the lower bounds for its lower end
/// and of the upper bounds for its upper end, widened for the number of rounds like that of
/// [`estimate`](crate::estimate). `tests/bounded.rs` holds its coverage to the truth.
///
/// # Panics
/// If `options.confidence` is not between 0 and 1.
pub fn bounded_median(rounds: &[Bounds], options: &Options) -> Option<BoundedMedian> {
    assert!(
        options.confidence > 0.0 && options.confidence < 1.0,
        "confidence must lie between 0 and 1, such as 0.95; it is {}",
        options.confidence
    );
    let lows: Vec<f64> = rounds.iter().map(|round| round.lo).collect();
    let highs: Vec<f64> = rounds.iter().map(|round| round.hi).collect();
    let median = |values: &[f64]| median_of(&mut values.to_vec());
    let (lo, hi) = (median(&lows)?, median(&highs)?);
    let interval = if rounds.len() < 2 {
        Bounds::UNKNOWN
    } else {
        Bounds {
            lo: lower_end(&lows, lo, options),
            // The mirror image.
            hi: -lower_end(&highs.iter().map(|high| -high).collect::<Vec<_>>(), -hi, options),
        }
    };
    Some(BoundedMedian { median: Bounds { lo, hi }, interval, rounds: rounds.len() })
}

/// The lower end of the interval around the median `centre` of `values`, which may be -∞.
fn lower_end(values: &[f64], centre: f64, options: &Options) -> f64 {
    let middle = |drawn: &mut [f64]| median_of(drawn).unwrap_or(f64::NAN);
    let mut medians = resampled(values, middle, options);
    medians.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - options.confidence) / 2.0;
    // Not between two medians: one of them may be infinite.
    let low = medians[((medians.len() - 1) as f64 * tail).floor() as usize];
    if low.is_finite() {
        centre - widening(values.len(), tail) * (centre - low).max(0.0)
    } else {
        f64::NEG_INFINITY
    }
}
