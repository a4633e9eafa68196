//! From paired slices to a ratio with its interval and its p-value.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Deserializer, Serialize};
use statrs::distribution::{Binomial, ContinuousCDF, DiscreteCDF, Normal, StudentsT};

use crate::modes;
use crate::order::median;
use crate::signed_rank::{self, Walsh};

/// Rounds × blocks of ln(lane / reference), both figures taken within one block.
///
/// With two processes of the reference a block has two values, the ratios to each. Their mean is biased: see the
/// [crate's page](crate).
///
/// Rounds may have differing numbers of blocks. An infinite value is a value: a slice without operations has a
/// throughput of 0, so a log ratio of -∞, and an infinite cost. NaN and rounds without values are ignored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Paired {
    /// One list of log ratios for each round, in natural-log units, in the order of measurement.
    pub rounds: Vec<Vec<f64>>,
}

impl Paired {
    /// The log ratios of raw figures: `rounds` holds for each block (lane, reference), both in
    /// the same unit.
    pub fn from_figures(rounds: &[Vec<(f64, f64)>]) -> Self {
        let ln = |&(lane, reference): &(f64, f64)| {
            // Both zero is equality (an exact count of nothing), not missing data.
            if lane == 0.0 && reference == 0.0 { 0.0 } else { (lane / reference).ln() }
        };
        Self { rounds: rounds.iter().map(|r| r.iter().map(ln).collect()).collect() }
    }

    /// The same data with lane and reference exchanged.
    #[must_use]
    pub fn swapped(&self) -> Self {
        Self {
            rounds: self.rounds.iter().map(|round| round.iter().map(|x| -x).collect()).collect(),
        }
    }

    fn usable(&self) -> Vec<Vec<f64>> {
        self.rounds
            .iter()
            .map(|round| round.iter().copied().filter(|x| !x.is_nan()).collect())
            .filter(|round: &Vec<f64>| !round.is_empty())
            .collect()
    }
}

/// Settings of an estimate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// The interval's coverage, between 0 and 1.
    pub confidence: f64,
    /// Bootstrap resamples of [`bounded_median`](crate::bounded_median).
    pub resamples: usize,
    /// The only source of randomness, in [`bounded_median`](crate::bounded_median).
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { confidence: 0.95, resamples: 2000, seed: 0 }
    }
}

/// One lane's ratio to the reference in one metric.
///
/// In JSON an infinite number (`hi` and `se_log` where there are too few rounds) is `null`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Estimate {
    /// Lane over reference; 1 is no difference. 0 or infinite only if half of the values or more are.
    #[serde(deserialize_with = "null_is_infinite")]
    pub ratio: f64,
    /// Lower end of the interval, same unit; 0 without a lower bound.
    #[serde(deserialize_with = "null_is_infinite")]
    pub lo: f64,
    /// Upper end of the interval, same unit; infinite without an upper bound.
    #[serde(deserialize_with = "null_is_infinite")]
    pub hi: f64,
    /// Two-sided p-value of the ratio being 1, before any adjustment.
    pub p: f64,
    /// Standard error of ln(ratio).
    #[serde(deserialize_with = "null_is_infinite")]
    pub se_log: f64,
    /// Rounds that had data.
    pub rounds: usize,
    /// Values that had data, over all rounds: blocks, or twice as many with two references.
    pub blocks: usize,
}

impl Estimate {
    /// Whether the interval contains `ratio`.
    pub fn holds(&self, ratio: f64) -> bool {
        self.lo <= ratio && ratio <= self.hi
    }

    /// Half the interval's width in natural-log units: 0.005 is about ±0.5 %.
    pub fn half_width(&self) -> f64 {
        (self.hi.ln() - self.lo.ln()) / 2.0
    }
}

/// JSON has no infinity; `serde_json` writes `null` for it.
pub(crate) fn null_is_infinite<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::INFINITY))
}

/// The ratio of one lane to the reference; `None` without data.
///
/// - **Ratio**: exp of the Hodges-Lehmann estimator over rounds of the median over blocks.
/// - **p**: exact signed-rank test over the rounds.
/// - **Interval**: the ratios that this test does not reject. It is unbounded where there are too few rounds
///   for the confidence: fewer than 6 at 95 %. If the lane has two [`modes`](crate::modes) that change less often than
///   from round to round, rounds are not independent, and the interval is extended to contain both modes.
///
/// Exchanging lane and reference gives exactly the inverse: -ln(ratio), -ln(hi), -ln(lo),
/// the same p. The reasons for each choice, with figures, are in the [crate's page](crate).
///
/// With one round the interval is that of the median over its blocks, from the sign test. It does not
/// include the difference between processes of the same program, and p is 1: nothing can be decided.
///
/// # Panics
///
/// If `options.confidence` is not between 0 and 1.
pub fn estimate(paired: &Paired, options: &Options) -> Option<Estimate> {
    assert!(
        options.confidence > 0.0 && options.confidence < 1.0,
        "confidence must lie between 0 and 1, such as 0.95; it is {}",
        options.confidence
    );
    let rounds = paired.usable();
    let blocks = rounds.iter().map(Vec::len).sum();
    let medians = rounds.iter().filter_map(|round| median(round.iter().copied()));
    let medians: Vec<f64> = medians.filter(|median| !median.is_nan()).collect();
    let (centre, (lo, hi), se_log, p) = match medians[..] {
        [] => return None,
        [only] if rounds.len() == 1 => {
            let (interval, error) = of_blocks(&rounds[0], options.confidence);
            (only, interval, error, 1.0)
        }
        _ => {
            let walsh = Walsh::of(&medians);
            let (mut lo, mut hi) = walsh.interval(options.confidence);
            let mut error = walsh.error();
            if let Some((low, high)) = modes::lasting(&rounds) {
                (lo, hi) = (lo.min(low), hi.max(high));
                error = error.max((hi - lo) / 4.0);
            }
            let p = signed_rank::p_value(&medians);
            (centre(&medians, &walsh)?, (lo, hi), error, p)
        }
    };
    Some(Estimate {
        ratio: centre.exp(),
        lo: lo.min(centre).exp(),
        hi: hi.max(centre).exp(),
        p,
        se_log,
        rounds: medians.len(),
        blocks,
    })
}

/// The Hodges-Lehmann estimator of the rounds; their median where the former is infinite, which needs three
/// infinite rounds in ten, and the latter is not, which needs five.
pub(crate) fn centre(medians: &[f64], walsh: &Walsh) -> Option<f64> {
    let known = walsh.centre().filter(|centre| centre.is_finite());
    known.or_else(|| median(medians.iter().copied()).filter(|median| !median.is_nan()))
}

/// The interval of the median of `blocks`, from the sign test, and the median's standard error.
fn of_blocks(blocks: &[f64], confidence: f64) -> ((f64, f64), f64) {
    let mut sorted = blocks.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let n = sorted.len();
    let signs = Binomial::new(0.5, n as u64).ok();
    let outside = |k: &usize| {
        signs.is_some_and(|signs| 2.0 * signs.cdf(*k as u64) <= (1.0 - confidence) * (1.0 + 1e-12))
    };
    let interval = match (0..n.div_ceil(2)).take_while(outside).last() {
        Some(k) => (sorted[k], sorted[n - 1 - k]),
        None => (f64::NEG_INFINITY, f64::INFINITY),
    };
    if n < 2 {
        return (interval, f64::INFINITY);
    }
    // One standard deviation of the number of signs, rounded to whole blocks outwards.
    let away = n as f64 / 2.0 - 0.5;
    let k = (away - (n as f64).sqrt() / 2.0).max(0.0).floor();
    let reached = (away - k) / ((n as f64).sqrt() / 2.0);
    let error = (sorted[n - 1 - k as usize] - sorted[k as usize]) / 2.0 / reached;
    (interval, if error.is_nan() { f64::INFINITY } else { error })
}

/// The statistic of `options.resamples` samples drawn from `values` with replacement.
///
/// Which values are drawn depends on the seed alone, not on the values: that makes the interval
/// antisymmetric.
pub(crate) fn resampled(
    values: &[f64],
    statistic: impl Fn(&mut [f64]) -> f64,
    options: &Options,
) -> Vec<f64> {
    let mut rng = Pcg64Mcg::seed_from_u64(options.seed);
    let mut sample = vec![0.0; values.len()];
    (0..options.resamples.max(1))
        .map(|_| {
            for slot in &mut sample {
                *slot = values[rng.random_range(0..values.len())];
            }
            statistic(&mut sample)
        })
        .collect()
}

/// The factor by which a percentile interval over `n` values, two or more, is widened.
///
/// A bootstrap of n values has (n - 1)/n of the true variance, and a normal tail instead of Student's:
/// at n = 12 the plain percentile interval covers 91 % in simulation, not 95 %. The remedy is Hesterberg's
/// "expanded percentile" interval: multiply by √(n/(n-1)) · t/z (*What Teachers Should Know About the
/// Bootstrap*, The American Statistician 69, 2015).
pub(crate) fn widening(n: usize, tail: f64) -> f64 {
    let n = n as f64;
    (n / (n - 1.0)).sqrt() * t_quantile(tail, n - 1.0) / z_quantile(tail)
}

/// The value that Student's t with `freedom` degrees exceeds with probability `tail`.
pub(crate) fn t_quantile(tail: f64, freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::INFINITY, |t| -t.inverse_cdf(tail))
}

fn z_quantile(tail: f64) -> f64 {
    -Normal::standard().inverse_cdf(tail)
}

/// Several estimates of the same thing as one: the control over all workloads of a run.
///
/// The ratio is the geometric mean; the standard error, and each side of the interval, is the
/// root of the sum of squares over the count, as for independent estimates. p is from Student's t
/// with the rounds' degrees of freedom. Estimates with an unbounded interval are left out; `None` if no
/// other is there.
pub fn pooled(estimates: &[Estimate]) -> Option<Estimate> {
    let known: Vec<&Estimate> = estimates.iter().filter(|e| e.half_width().is_finite()).collect();
    match known[..] {
        [] => return None,
        [one] => return Some(*one),
        _ => {}
    }
    let count = known.len() as f64;
    let together = |side: &dyn Fn(&Estimate) -> f64| {
        known.iter().map(|e| side(e).powi(2)).sum::<f64>().sqrt() / count
    };
    let centre = known.iter().map(|e| e.ratio.ln()).sum::<f64>() / count;
    let below = together(&|e| e.ratio.ln() - e.lo.ln());
    let above = together(&|e| e.hi.ln() - e.ratio.ln());
    let se_log = together(&|e| e.se_log);
    let rounds: usize = known.iter().map(|e| e.rounds).sum();
    let freedom = (rounds - known.len()) as f64;
    // The rounds' own floor also guards against a spread of 0 (exact counts).
    let floor = signed_rank::smallest_p(rounds);
    let p = if centre == 0.0 || freedom < 1.0 {
        1.0
    } else {
        let t =
            StudentsT::new(0.0, 1.0, freedom).map_or(1.0, |t| 2.0 * t.sf(centre.abs() / se_log));
        t.clamp(floor, 1.0)
    };
    Some(Estimate {
        ratio: centre.exp(),
        lo: (centre - below).exp(),
        hi: (centre + above).exp(),
        p,
        se_log,
        rounds,
        blocks: known.iter().map(|e| e.blocks).sum(),
    })
}

/// Whether the interval is as narrow as `precision` (relative half width: 0.005 is ±0.5 %).
///
/// For a stop rule. It looks at the width alone: a run that stops as soon as a difference is
/// significant finds one more often than alpha. Ask only from [`rounds_needed`](crate::rounds_needed)
/// rounds on, since nothing can be decided before. One round is never enough.
pub fn precise_enough(estimate: &Estimate, precision: f64) -> bool {
    estimate.rounds >= 2 && estimate.half_width() <= precision.ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_agree_with_tables() {
        for (tail, freedom, want) in [(0.025, 11.0, 2.200_985), (0.025, 1.0, 12.706_205)] {
            assert!((t_quantile(tail, freedom) - want).abs() < 1e-5);
        }
        assert!((t_quantile(0.2, 11.0) - 0.875_530).abs() < 1e-5);
        assert!((z_quantile(0.025) - 1.959_964).abs() < 1e-5);
    }
}
