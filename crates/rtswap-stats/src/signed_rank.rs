//! The signed-rank test over rounds, its estimator and its interval.

use statrs::distribution::{ContinuousCDF, Normal};

use crate::order::median_of;

/// Up to this number of values the null distribution is exact, which takes about 1 ms. Beyond it is normal, with p
/// too large by a tenth at p = 0.001.
const EXACT_VALUES: usize = 128;

/// The smallest two-sided p over `values` values, 2^(1-n): all on the same side.
pub(crate) fn smallest_p(values: usize) -> f64 {
    (1.0 - values as f64).exp2()
}

/// Two-sided p-value of `values` being symmetric around 0: Wilcoxon's signed-rank test.
///
/// Zeros are left out, and equal sizes share their mean rank. Given the sizes, each sign is equally likely
/// under the hypothesis, so the distribution of the rank sum over the 2^n assignments of signs is computed
/// for the ranks as they are, and p is exact with ties as well. Ranks are doubled to be integers. Infinite
/// values rank above all others.
///
/// Source: Wilcoxon, *Individual Comparisons by Ranking Methods*, Biometrics Bulletin 1 (1945); ties and
/// zeros: Pratt & Gibbons, *Concepts of Nonparametric Theory* (1981), section 3.7.
pub(crate) fn p_value(values: &[f64]) -> f64 {
    let mut values: Vec<f64> = values.iter().copied().filter(|x| *x != 0.0).collect();
    values.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
    let ranks = doubled_ranks(&values);
    let positive = |(x, rank): (&f64, &usize)| if *x > 0.0 { *rank } else { 0 };
    let above: usize = values.iter().zip(&ranks).map(positive).sum();
    let total: usize = ranks.iter().sum();
    let middle = total as f64 / 2.0;
    let distance = (above as f64 - middle).abs();
    if distance == 0.0 {
        return 1.0;
    }
    (2.0 * Null::of(&ranks).at_most(middle - distance)).min(1.0)
}

/// Twice the mid-ranks of values that are sorted by size.
fn doubled_ranks(sorted: &[f64]) -> Vec<usize> {
    let mut ranks = Vec::with_capacity(sorted.len());
    while ranks.len() < sorted.len() {
        let first = ranks.len();
        let size = sorted[first].abs().to_bits();
        let ties = sorted[first..].iter().take_while(|x| x.abs().to_bits() == size).count();
        ranks.resize(first + ties, 2 * first + 1 + ties);
    }
    ranks
}

/// The distribution of the sum of those ranks whose value is positive, each with probability 1/2.
enum Null {
    /// The probability of each sum from 0.
    Exact(Vec<f64>),
    Normal {
        mean: f64,
        deviation: f64,
        /// Half of the step between two sums.
        correction: f64,
    },
}

impl Null {
    /// For ranks of any integer unit.
    fn of(ranks: &[usize]) -> Self {
        if ranks.len() > EXACT_VALUES { Self::normal(ranks) } else { Self::exact(ranks) }
    }

    fn normal(ranks: &[usize]) -> Self {
        let squares: f64 = ranks.iter().map(|rank| (*rank as f64).powi(2)).sum();
        let whole = ranks.iter().all(|rank| rank % 2 == 0);
        Self::Normal {
            mean: ranks.iter().sum::<usize>() as f64 / 2.0,
            deviation: (squares / 4.0).sqrt(),
            correction: if whole { 1.0 } else { 0.5 },
        }
    }

    fn exact(ranks: &[usize]) -> Self {
        let mut sums = vec![0.0; ranks.iter().sum::<usize>() + 1];
        sums[0] = 1.0;
        let mut reached = 0;
        for &rank in ranks {
            reached += rank;
            for sum in (0..=reached).rev() {
                let from = if sum >= rank { sums[sum - rank] } else { 0.0 };
                sums[sum] = f64::midpoint(sums[sum], from);
            }
        }
        Self::Exact(sums)
    }

    /// The probability of a sum of at most `sum`.
    fn at_most(&self, sum: f64) -> f64 {
        match self {
            _ if sum < 0.0 => 0.0,
            Self::Exact(sums) => sums[..sums.len().min(sum as usize + 1)].iter().sum(),
            Self::Normal { mean, deviation, correction } => {
                Normal::standard().cdf((sum + correction - mean) / deviation)
            }
        }
    }
}

/// The largest rank sum k of `values` untied values with 2 P(T ≤ k) ≤ `level`, and that probability; `None` if
/// there is none.
pub(crate) fn critical(values: usize, level: f64) -> Option<(usize, f64)> {
    let null = Null::of(&(1..=values).collect::<Vec<_>>());
    let mut below = 0.0;
    let mut found = None;
    for k in 0..=values * (values + 1) / 4 {
        below = match &null {
            Null::Exact(sums) => below + sums[k],
            Null::Normal { .. } => null.at_most(k as f64),
        };
        if 2.0 * below > level {
            break;
        }
        found = Some((k, 2.0 * below));
    }
    found
}

/// The means of all pairs of values, each value with itself among them: those that are greater than 0 are
/// as many as the rank sum of the positive values (Tukey 1949; Hodges & Lehmann 1963).
pub(crate) struct Walsh {
    /// Ascending; the mean of +∞ and -∞ counts as -∞.
    low: Vec<f64>,
    /// How many there are of +∞ and -∞ together, whose mean is undefined.
    undefined: usize,
    values: usize,
}

impl Walsh {
    /// The pairs of `values`, which are not empty and hold no NaN.
    pub fn of(values: &[f64]) -> Self {
        let mut low = Vec::with_capacity(values.len() * (values.len() + 1) / 2);
        let mut undefined = 0;
        for (at, x) in values.iter().enumerate() {
            for y in &values[at..] {
                let mean = f64::midpoint(*x, *y);
                undefined += usize::from(mean.is_nan());
                low.push(if mean.is_nan() { f64::NEG_INFINITY } else { mean });
            }
        }
        low.sort_unstable_by(f64::total_cmp);
        Self { low, undefined, values: values.len() }
    }

    /// The Hodges-Lehmann estimator: the median of the defined means. `None` without any.
    pub fn centre(&self) -> Option<f64> {
        median_of(&mut self.low[self.undefined..].to_vec())
    }

    /// The `k`-th mean from below, from 0: the smallest that it can be.
    fn smallest(&self, k: usize) -> f64 {
        self.low[k]
    }

    /// The `k`-th mean from above, from 0: the largest that it can be.
    fn largest(&self, k: usize) -> f64 {
        if k < self.undefined {
            f64::INFINITY
        } else {
            self.low[self.low.len() - 1 - (k - self.undefined)]
        }
    }

    /// The interval of centres that the test does not reject at 1 - `confidence`; infinite where there are too few
    /// values for the confidence.
    ///
    /// 0 lies outside exactly if [`p_value`] is at most 1 - `confidence`, for values without zeros and ties. With
    /// them the interval, which contains its ends, is wider.
    pub fn interval(&self, confidence: f64) -> (f64, f64) {
        // Rounding of 1 - 0.95 must not matter where p is exactly that.
        match critical(self.values, (1.0 - confidence) * (1.0 + 1e-12)) {
            Some((k, _)) => (self.smallest(k), self.largest(k)),
            None => (f64::NEG_INFINITY, f64::INFINITY),
        }
    }

    /// The standard error of the centre: half the distance between the means whose rank sums lie `SPREAD` standard
    /// deviations below and above the middle, divided by `SPREAD` (Lehmann, *Nonparametrics* (1975), section 2.4,
    /// solved for the error).
    ///
    /// Disturbed rounds make the standard deviation of the rounds large and affect this one little, like the test.
    pub fn error(&self) -> f64 {
        const SPREAD: f64 = 1.5;
        if self.values < 2 {
            return f64::INFINITY;
        }
        let (n, pairs) = (self.values as f64, self.low.len() as f64);
        let deviation = (pairs * (2.0 * n + 1.0) / 12.0).sqrt();
        let outside = (pairs / 2.0 - SPREAD * deviation - 0.5).max(0.0);
        let (whole, part) = (outside.floor() as usize, outside.fract());
        let between =
            |near: f64, far: f64| if part > 0.0 { near + part * (far - near) } else { near };
        let low = between(self.smallest(whole), self.smallest(whole + 1));
        let high = between(self.largest(whole), self.largest(whole + 1));
        let reached = (pairs / 2.0 - outside - 0.5) / deviation;
        let error = (high - low) / 2.0 / reached;
        if error.is_nan() { f64::INFINITY } else { error }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "the p-values are counts over powers of two, exact")]

    use super::*;

    /// Every assignment of signs to the ranks of `values`.
    fn counted(values: &[f64]) -> f64 {
        let mut values: Vec<f64> = values.iter().copied().filter(|x| *x != 0.0).collect();
        values.sort_unstable_by(|a, b| a.abs().total_cmp(&b.abs()));
        let rank = |x: &f64| {
            let below = values.iter().filter(|y| y.abs() < x.abs()).count() as f64;
            let equal = values.iter().filter(|y| y.abs() == x.abs()).count() as f64;
            below + f64::midpoint(equal, 1.0)
        };
        let ranks: Vec<f64> = values.iter().map(rank).collect();
        let middle = ranks.iter().sum::<f64>() / 2.0;
        let sum = |is_positive: &dyn Fn(usize) -> bool| -> f64 {
            (0..ranks.len()).filter(|i| is_positive(*i)).map(|i| ranks[i]).sum()
        };
        let observed = (sum(&|i| values[i] > 0.0) - middle).abs();
        let beyond = (0_u32..1 << ranks.len())
            .filter(|signs| (sum(&|i| signs >> i & 1 == 0) - middle).abs() >= observed)
            .count();
        beyond as f64 / f64::from(1_u32 << ranks.len())
    }

    const MIXED: [f64; 9] = [0.5, -0.1, 0.3, 0.2, 0.7, -0.4, 0.05, 0.6, 0.11];
    const TIED: [f64; 10] = [0.5, -0.5, 0.3, 0.0, 0.3, 0.3, -0.1, 0.1, 0.7, 0.7];

    #[test]
    fn p_value_equals_count_over_all_signs() {
        for values in [&MIXED[..], &TIED[..]] {
            for n in 1..=values.len() {
                assert_eq!(p_value(&values[..n]), counted(&values[..n]), "{:?}", &values[..n]);
            }
        }
    }

    #[test]
    fn p_value_agrees_with_published_table() {
        // Hollander, Wolfe & Chicken, Nonparametric Statistical Methods (2014), example 3.1: T+ = 40 of 9, 0.039.
        let depression = [-0.952, 0.147, -1.022, -0.430, -0.620, -0.590, -0.490, 0.080, -0.010];
        assert!((p_value(&depression) - 0.039_062_5).abs() < 1e-12);
        // Critical values at 0.05: 8 of 10, 13 of 12, 52 of 20.
        for (n, k) in [(6, 0), (10, 8), (12, 13), (20, 52)] {
            assert_eq!(critical(n, 0.05).unwrap().0, k);
        }
        assert_eq!(critical(5, 0.05), None);
    }

    #[test]
    fn p_value_of_values_on_one_side_is_smallest_p() {
        for n in 1..=EXACT_VALUES {
            let values: Vec<f64> = (0..n).map(|i| 1.0 + i as f64 / 100.0).collect();
            assert_eq!(p_value(&values), smallest_p(n));
            assert_eq!(p_value(&vec![-0.1; n]), smallest_p(n));
        }
    }

    #[test]
    fn p_value_without_difference_is_one() {
        for values in [&[][..], &[0.0; 12], &[0.1, -0.1, 0.2, -0.2]] {
            assert_eq!(p_value(values), 1.0);
        }
    }

    #[test]
    fn p_value_ranks_infinite_values_highest() {
        let infinite = [1.0, -2.0, f64::INFINITY, f64::NEG_INFINITY, f64::INFINITY];
        assert_eq!(p_value(&infinite), counted(&[1.0, -2.0, 3.0, -3.0, 3.0]));
    }

    #[test]
    fn normal_distribution_agrees_with_exact_one_where_it_begins() {
        let ranks: Vec<usize> = (1..=EXACT_VALUES).map(|rank| 2 * rank).collect();
        let (exact, normal) = (Null::exact(&ranks), Null::normal(&ranks));
        let middle: f64 = 128.0 * 129.0 / 2.0;
        for (deviations, tolerance) in [(1.0, 0.005), (2.0, 0.02), (3.1, 0.15)] {
            let sum = 2.0 * (middle * (1.0 - deviations * 0.1019) / 2.0).floor();
            let (exact, normal) = (exact.at_most(sum), normal.at_most(sum));
            assert!(
                normal > exact * 0.995 && normal < exact * (1.0 + tolerance),
                "{exact} {normal}"
            );
        }
    }

    #[test]
    fn interval_excludes_zero_exactly_if_p_is_at_most_level() {
        for shift in (0..60).map(|i| f64::from(i) / 50.0) {
            let values: Vec<f64> = MIXED.iter().map(|x| x - shift + 0.003).collect();
            for confidence in [0.8, 0.9, 0.95] {
                let (lo, hi) = Walsh::of(&values).interval(confidence);
                let p = p_value(&values);
                assert_eq!(p <= 1.0 - confidence, lo > 0.0 || hi < 0.0, "{shift} {p} {lo} {hi}");
            }
        }
    }

    #[test]
    fn centre_is_median_of_pairs_and_ignores_undefined_ones() {
        assert_eq!(Walsh::of(&[1.0, 2.0, 10.0]).centre(), Some(3.75));
        let infinite = [f64::NEG_INFINITY, 1.0, 2.0, 2.5, 3.0, 4.0, f64::INFINITY];
        let walsh = Walsh::of(&infinite);
        assert_eq!(walsh.centre(), Some(2.5));
        assert_eq!(walsh.interval(0.95), (f64::NEG_INFINITY, f64::INFINITY));
    }
}
