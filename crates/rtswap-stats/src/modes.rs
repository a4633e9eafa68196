//! Two modes in one lane.

use serde::{Deserialize, Serialize};
use statrs::distribution::{Binomial, DiscreteCDF as _};

use crate::estimate::centre;
use crate::order::median;
use crate::signed_rank::Walsh;

/// Fewest rounds whose medians are looked at.
const ROUNDS: usize = 8;
/// Fewest values that are looked at, over all rounds.
const VALUES: usize = 48;
/// The smallest share of a mode.
const SHARE: f64 = 0.15;
/// The fewest rounds in a mode.
const ROUNDS_OF_MODE: usize = 3;
/// Ashman's D above which two modes are apart. D = 2 is where a mixture of two normal distributions becomes
/// bimodal; halves of one normal distribution have a D of 2.3, halves of a uniform one 2.7.
const APART: f64 = 3.0;
/// Level of the test that there are fewer values between the modes than in them. Values of a block and of
/// neighbouring blocks depend on each other, so the level of independent values has to be far lower.
const VALLEY_LEVEL: f64 = 1e-6;
/// The variance within rounds over the whole, both of the membership in a mode, below which whole rounds are in
/// one mode.
const PURE: f64 = 0.4;

/// Two modes of one lane.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Modes {
    /// The lower mode over the lane's centre, a ratio: multiply it by the lane's estimate.
    pub low: f64,
    /// The higher mode over the lane's centre.
    pub high: f64,
    /// Share of the higher mode, 0 to 1: of rounds if their medians show the modes, otherwise of values.
    pub share_high: f64,
    /// Whether whole rounds are in one mode: processes differ, or modes last for several rounds. Otherwise the mode
    /// changes within rounds.
    pub by_round: bool,
}

/// Whether a lane has two modes: `groups` holds for each round the natural logs of the lane's ratio to
/// the reference, as in [`Paired::rounds`](crate::Paired::rounds). Values that are not finite are ignored. `None` if
/// two modes were not shown.
///
/// Two modes are shown in one of two ways. Each mode has at least 15 % of rounds or values.
/// - **By the medians of the rounds**, at least eight and three in each mode: the largest empty interval between
///   two neighbouring medians is wider than 1.5 + 40 / rounds standard deviations within the modes, and than 2. (Of
///   samples from one normal distribution, 0.3 % reach that for 8 rounds, fewer for more.)
/// - **By the values of all rounds**, at least 48: divided where the distances from the medians of both parts are smallest in
///   sum, the parts have an Ashman's D of at least 3 (Ashman, Bird & Zepf, *Detecting Bimodality in Astronomical
///   Datasets*, The Astronomical Journal 108, 1994; median and median absolute deviation in place of the moments), and the
///   middle third between the medians holds fewer values than as wide an interval around either, by a
///   sign test. A distribution with one mode has at least as many in the middle as in the emptier one. Tails, which every
///   record has, do not make it fail, as they do a comparison of one normal distribution against two.
///
/// Conservative: `tests/modes.rs` holds false alarms under the noise of [`simulate`](crate::simulate) below 1 %, and holds
/// what is found.
pub fn modes(groups: &[Vec<f64>]) -> Option<Modes> {
    let Found { overall, split, by_round, .. } = find(groups)?;
    Some(Modes {
        low: (split.low - overall).exp(),
        high: (split.high - overall).exp(),
        share_high: split.share_high,
        by_round,
    })
}

/// Both modes as natural logs, if they change less often from round to round than independent rounds do.
pub(crate) fn lasting(groups: &[Vec<f64>]) -> Option<(f64, f64)> {
    let Found { medians, split, .. } = find(groups)?;
    let boundary = f64::midpoint(split.low, split.high);
    let changes =
        medians.windows(2).filter(|pair| (pair[0] > boundary) != (pair[1] > boundary)).count()
            as f64;
    let (n, high) =
        (medians.len() as f64, medians.iter().filter(|x| **x > boundary).count() as f64);
    // Runs of independent rounds, normal approximation (Wald & Wolfowitz, The Annals of Mathematical Statistics 11, 1940).
    let mixed = 2.0 * high * (n - high);
    let deviation = (mixed * (mixed - n) / (n * n * (n - 1.0))).max(0.0).sqrt();
    (changes + 0.5 < mixed / n - 0.25 * deviation).then_some((split.low, split.high))
}

struct Found {
    /// Of the rounds.
    medians: Vec<f64>,
    overall: f64,
    split: Split,
    by_round: bool,
}

fn find(groups: &[Vec<f64>]) -> Option<Found> {
    let finite = |round: &Vec<f64>| round.iter().copied().filter(|x| x.is_finite()).collect();
    let groups: Vec<Vec<f64>> =
        groups.iter().map(finite).filter(|round: &Vec<f64>| !round.is_empty()).collect();
    let medians: Vec<f64> =
        groups.iter().filter_map(|round| median(round.iter().copied())).collect();
    let (of_rounds, of_values) = (of_rounds(&medians), of_values(&groups.concat()));
    // Values that cannot be distinguished one by one show nothing about the time in rounds.
    let by_round = of_values.as_ref().is_none_or(|split| share_within(&groups, split) < PURE);
    let split = of_rounds.or(of_values)?;
    let overall = centre(&medians, &Walsh::of(&medians))?;
    Some(Found { medians, overall, split, by_round })
}

/// Two parts of a list of values.
struct Split {
    low: f64,
    high: f64,
    share_high: f64,
}

impl Split {
    /// `sorted` divided before `at`, by the medians of both parts.
    fn of(sorted: &[f64], at: usize) -> Option<Self> {
        let (low, high) = sorted.split_at(at);
        Some(Self {
            low: median(low.iter().copied())?,
            high: median(high.iter().copied())?,
            share_high: high.len() as f64 / sorted.len() as f64,
        })
    }
}

fn of_rounds(medians: &[f64]) -> Option<Split> {
    let n = medians.len();
    let least = ROUNDS_OF_MODE.max((SHARE * n as f64).ceil() as usize);
    if n < ROUNDS {
        return None;
    }
    let sorted = sorted(medians);
    let gap = |at: &usize| sorted[*at] - sorted[*at - 1];
    let within = |at: usize| {
        let (low, high) = sorted.split_at(at);
        ((squares(low) + squares(high)) / (n - 2) as f64).sqrt()
    };
    let needed = (1.5 + 40.0 / n as f64).max(2.0);
    let widest = (least..=n - least).max_by(|a, b| gap(a).total_cmp(&gap(b)))?;
    // Equal medians in each mode are exact counts, and two of them are two modes.
    (gap(&widest) > needed * within(widest)).then(|| Split::of(&sorted, widest))?
}

fn of_values(values: &[f64]) -> Option<Split> {
    let n = values.len();
    if n < VALUES {
        return None;
    }
    let sorted = sorted(values);
    let least = (SHARE * n as f64).ceil() as usize;
    let distances = Distances::of(&sorted);
    let cost = |at: &usize| distances.distance(0, *at) + distances.distance(*at, n);
    let at = (least..=n - least).min_by(|a, b| cost(a).total_cmp(&cost(b)))?;
    let split = Split::of(&sorted, at)?;
    let gap = split.high - split.low;
    let variance =
        f64::midpoint(spread(&sorted[..at], split.low), spread(&sorted[at..], split.high));
    if gap <= 0.0 || gap < APART * variance.sqrt() {
        return None;
    }
    let around = |centre: f64| {
        let from = sorted.partition_point(|x| *x < centre - gap / 6.0);
        sorted.partition_point(|x| *x <= centre + gap / 6.0) - from
    };
    let between = around(f64::midpoint(split.low, split.high));
    let emptier = around(split.low).min(around(split.high));
    let signs = Binomial::new(0.5, (between + emptier) as u64).ok()?;
    (signs.cdf(between as u64) < VALLEY_LEVEL).then_some(split)
}

/// The variance of the membership in a mode within rounds, over that of all values.
fn share_within(groups: &[Vec<f64>], split: &Split) -> f64 {
    let boundary = f64::midpoint(split.low, split.high);
    let variance = |values: &mut dyn Iterator<Item = &f64>| {
        let (mut high, mut all) = (0.0, 0.0);
        for value in values {
            high += f64::from(u8::from(*value > boundary));
            all += 1.0;
        }
        high * (all - high) / all
    };
    let within: f64 = groups.iter().map(|round| variance(&mut round.iter())).sum();
    within / variance(&mut groups.iter().flatten())
}

/// Sums of distances from medians of parts of a sorted list.
struct Distances<'a> {
    sorted: &'a [f64],
    /// The sum of all values before.
    before: Vec<f64>,
}

impl<'a> Distances<'a> {
    fn of(sorted: &'a [f64]) -> Self {
        let mut before = vec![0.0];
        before.extend(sorted.iter().scan(0.0, |sum, x| {
            *sum += x;
            Some(*sum)
        }));
        Self { sorted, before }
    }

    fn distance(&self, from: usize, to: usize) -> f64 {
        let middle = from + (to - from) / 2;
        let sum = |from: usize, to: usize| self.before[to] - self.before[from];
        let median = self.sorted[middle];
        median * (middle - from) as f64 - sum(from, middle) + sum(middle, to)
            - median * (to - middle) as f64
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// The sum of squared distances from the mean.
fn squares(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|x| (x - mean).powi(2)).sum()
}

/// The variance of a normal distribution with the same median absolute deviation.
fn spread(values: &[f64], centre: f64) -> f64 {
    let deviation = median(values.iter().map(|x| (x - centre).abs())).unwrap_or(0.0);
    (1.4826 * deviation).powi(2)
}
