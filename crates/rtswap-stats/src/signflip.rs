//! The sign-flip permutation test.

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;

/// Up to this number of rounds, all 2^n assignments of signs are counted.
///
/// Two sorted halves of 2^15 sums take about 2 ms; beyond, time would double every two rounds.
const EXACT_ROUNDS: usize = 30;

/// Draws of the Monte Carlo test beyond [`EXACT_ROUNDS`]. Its smallest p, 1/65,536, still
/// reaches a level of 0.05 after Holm over 3,000 comparisons.
const DRAWS: u32 = 65_535;

/// Sums that differ by less than this part of the observed one are the same sum, rounded
/// in another order.
const ROUNDING: f64 = 1e-9;

/// The smallest p that the test can give over `rounds` rounds, 2^(1-n): all on the same side.
pub(crate) fn smallest_p(rounds: usize) -> f64 {
    (1.0 - rounds as f64).exp2()
}

/// Two-sided p-value of the mean of `rounds` being 0, by flipping signs.
///
/// If lane and reference are the same program, then which of the two was called the lane is
/// chance, so each round's log ratio is as likely as its negative, whatever its distribution and
/// even if the rounds' distributions differ. The test is therefore exact: no normality, no
/// large sample. p is the share of the 2^n assignments of signs whose sum is at least as far from
/// 0 as the one observed; the smallest possible is 2^(1-n).
///
/// Source: Fisher, *The Design of Experiments* (1935), chapter III. Beyond 30 rounds p is drawn,
/// with (1 + k) / (1 + N) so that it stays valid (Phipson & Smyth, *Permutation P-values Should
/// Never Be Zero*, 2010).
pub(crate) fn p_value(rounds: &[f64], seed: u64) -> f64 {
    let observed = rounds.iter().sum::<f64>().abs();
    let size: f64 = rounds.iter().map(|x| x.abs()).sum();
    let reach = observed - size * ROUNDING;
    if rounds.is_empty() || reach <= 0.0 {
        return 1.0;
    }
    if rounds.len() <= EXACT_ROUNDS { exact(rounds, reach) } else { drawn(rounds, reach, seed) }
}

/// Counts over all assignments: the sums of each half, sorted, then one sweep over both
/// (Horowitz & Sahni 1974), 2^(n/2) instead of 2^n steps.
fn exact(rounds: &[f64], reach: f64) -> f64 {
    let (left, right) = rounds.split_at(rounds.len() / 2);
    let (left, right) = (signed_sums(left), signed_sums(right));
    let mut beyond = 0_usize;
    let mut first = right.len();
    for a in &left {
        while first > 0 && a + right[first - 1] >= reach {
            first -= 1;
        }
        beyond += right.len() - first;
    }
    // Each assignment has its mirror image, so the other tail holds just as many.
    2.0 * beyond as f64 / (left.len() * right.len()) as f64
}

/// All sums of ±x over `values`, ascending.
fn signed_sums(values: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0];
    for x in values {
        sums = sums.iter().flat_map(|sum| [sum - x, sum + x]).collect();
    }
    sums.sort_unstable_by(f64::total_cmp);
    sums
}

fn drawn(rounds: &[f64], reach: f64, seed: u64) -> f64 {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let beyond = (0..DRAWS)
        .filter(|_| {
            let mut sum = 0.0;
            for chunk in rounds.chunks(64) {
                let mut signs = rng.next_u64();
                for x in chunk {
                    sum += if signs & 1 == 0 { *x } else { -x };
                    signs >>= 1;
                }
            }
            sum.abs() >= reach
        })
        .count();
    (1 + beyond) as f64 / f64::from(1 + DRAWS)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "the p-values are counts over powers of two, exact")]

    use super::*;

    fn counted(rounds: &[f64]) -> f64 {
        let observed = rounds.iter().sum::<f64>().abs();
        let n = rounds.len();
        let beyond = (0_u32..1 << n)
            .filter(|signs| {
                let sum: f64 =
                    (0..n).map(|i| if signs >> i & 1 == 0 { rounds[i] } else { -rounds[i] }).sum();
                sum.abs() >= observed - 1e-12
            })
            .count();
        beyond as f64 / f64::from(1_u32 << n)
    }

    const MIXED: [f64; 9] = [0.5, -0.1, 0.3, 0.2, 0.7, -0.4, 0.05, 0.6, 0.11];

    #[test]
    fn exact_equals_count_over_all_signs() {
        for n in 1..=MIXED.len() {
            assert_eq!(p_value(&MIXED[..n], 0), counted(&MIXED[..n]), "n = {n}");
        }
    }

    #[test]
    fn p_value_of_rounds_on_one_side_is_smallest_p() {
        for n in 1..=20 {
            let rounds: Vec<f64> = (0..n).map(|i| 1.0 + i as f64 / 100.0).collect();
            assert_eq!(p_value(&rounds, 0), smallest_p(n));
            assert_eq!(p_value(&vec![0.1; n], 0), smallest_p(n));
        }
    }

    #[test]
    fn p_value_without_difference_is_one() {
        assert_eq!(p_value(&[], 0), 1.0);
        assert_eq!(p_value(&[0.0; 12], 0), 1.0);
        assert_eq!(p_value(&[0.1, -0.1, 0.2, -0.2], 0), 1.0);
    }

    #[test]
    fn drawn_is_close_to_exact_and_never_zero() {
        let reach = MIXED.iter().sum::<f64>() - 1e-9;
        let (exact, drawn_p) = (exact(&MIXED, reach), drawn(&MIXED, reach, 7));
        assert!((exact - drawn_p).abs() < 0.005, "{exact} {drawn_p}");
        assert!(p_value(&[0.01; 80], 7) > 0.0);
        assert!(p_value(&[0.01; 80], 7) < 1e-4);
    }
}
