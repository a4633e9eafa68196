//! Many comparisons at once.

/// Holm's step-down adjustment: the probability of any false alarm in the family is at most the level
/// that the adjusted p-values are compared with, however the comparisons depend on each other.
///
/// Returned in the order of `p`. A `NaN` counts as 1. (Holm, *A Simple Sequentially Rejective
/// Multiple Test Procedure*, Scandinavian Journal of Statistics 6, 1979.) Holm rather than
/// Benjamini-Hochberg, because a single wrong row of a table matters, and rather than Bonferroni,
/// because Holm is never less powerful.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let known = |i: usize| if p[i].is_nan() { 1.0 } else { p[i] };
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| known(a).total_cmp(&known(b)));
    let mut adjusted = vec![1.0; p.len()];
    let mut highest = 0.0_f64;
    for (rank, &i) in order.iter().enumerate() {
        let left = (p.len() - rank) as f64;
        highest = highest.max(known(i) * left).min(1.0);
        adjusted[i] = highest;
    }
    adjusted
}

/// The fewest rounds at which `comparisons` comparisons can all be decided at `alpha`:
/// the smallest n with 2^(1-n) × comparisons ≤ alpha, the left side being the smallest p that a
/// two-sided signed-rank test over n rounds can give, at Holm's strictest step.
///
/// 12 comparisons at 0.05 need 9 rounds, 14 need 10. An `alpha` of 0 needs `usize::MAX`.
pub fn rounds_needed(comparisons: usize, alpha: f64) -> usize {
    if alpha.is_nan() || alpha <= 0.0 {
        return usize::MAX;
    }
    let (mut rounds, mut reachable) = (1, comparisons as f64);
    while reachable > alpha {
        rounds += 1;
        reachable /= 2.0;
    }
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signed_rank::smallest_p;

    #[test]
    fn holm_gives_textbook_values() {
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (got, want) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((got - want).abs() < 1e-12, "{adjusted:?}");
        }
        assert!(holm(&[]).is_empty());
        assert_eq!(holm(&[0.2]), [0.2]);
        assert_eq!(holm(&[f64::NAN, 0.01]), [1.0, 0.02]);
    }

    #[test]
    fn rounds_needed_follows_smallest_p_of_signed_rank_test() {
        assert_eq!(rounds_needed(1, 0.05), 6);
        assert_eq!(rounds_needed(12, 0.05), 9);
        assert_eq!(rounds_needed(14, 0.05), 10);
        assert_eq!(rounds_needed(0, 0.05), 1);
        assert_eq!(rounds_needed(1, 0.0), usize::MAX);
        for comparisons in 1..200 {
            let smallest = smallest_p(rounds_needed(comparisons, 0.05)) * comparisons as f64;
            assert!(smallest <= 0.05 && smallest * 2.0 > 0.05);
        }
    }
}
