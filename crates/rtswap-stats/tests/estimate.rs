//! Properties of every estimate, whatever the data.

#![expect(clippy::float_cmp, reason = "where equality is tested, it is exact by construction")]

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use rtswap_stats::{Estimate, Options, Paired, estimate, holm, pooled, precise_enough};

fn of(rounds: Vec<Vec<f64>>) -> Option<Estimate> {
    estimate(&Paired { rounds }, &Options::default())
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= 1e-12 * a.abs().max(b.abs()).max(1.0)
}

#[test]
fn estimate_averages_medians_of_rounds() {
    let e = of(vec![vec![0.1, 9.0, -4.0], vec![0.3, 0.1], vec![0.3]]).unwrap();
    assert!(close(e.ratio, (0.6_f64 / 3.0).exp()));
    assert_eq!((e.rounds, e.blocks), (3, 6));
    assert!(e.lo < e.ratio && e.ratio < e.hi);
}

#[test]
fn estimate_is_none_without_data() {
    assert_eq!(of(vec![]), None);
    assert_eq!(of(vec![vec![], vec![]]), None);
    assert_eq!(of(vec![vec![f64::NAN], vec![f64::INFINITY]]), None);
}

#[test]
fn estimate_ignores_empty_rounds_and_infinite_values() {
    let clean = vec![vec![0.1, 0.2], vec![0.05], vec![0.3, 0.1, 0.2]];
    let mut dirty = clean.clone();
    dirty[0].insert(1, f64::NAN);
    dirty[2].push(f64::NEG_INFINITY);
    dirty.insert(1, vec![]);
    dirty.push(vec![f64::INFINITY]);
    assert_eq!(of(clean), of(dirty));
}

#[test]
fn estimate_of_one_block_has_no_bounds() {
    let e = of(vec![vec![0.2]]).unwrap();
    assert!(close(e.ratio, 0.2_f64.exp()));
    assert_eq!((e.lo, e.hi, e.p), (0.0, f64::INFINITY, 1.0));
    assert!(!precise_enough(&e, 1e9));
    let json = serde_json::to_string(&e).unwrap();
    assert!(json.contains(r#""hi":null"#), "{json}");
    let back: Estimate = serde_json::from_str(&json).unwrap();
    assert_eq!((back.hi, back.se_log), (e.hi, e.se_log));
}

#[test]
fn estimate_of_one_round_has_interval_but_p_of_one() {
    let e = of(vec![(0..20).map(|i| 0.5 + f64::from(i) / 1000.0).collect()]).unwrap();
    assert!(e.lo > 1.6 && e.hi < 1.7 && e.lo < e.ratio && e.ratio < e.hi);
    assert_eq!(e.p, 1.0);
    assert!(!precise_enough(&e, 1.0));
}

#[test]
fn estimate_of_identical_values_has_zero_width() {
    let e = of(vec![vec![2_f64.ln(); 5]; 12]).unwrap();
    assert!(close(e.lo, 2.0) && close(e.hi, 2.0) && close(e.ratio, 2.0));
    assert_eq!((e.se_log, e.p), (0.0, 2_f64.powi(-11)));
    let same = of(vec![vec![0.0; 5]; 12]).unwrap();
    assert_eq!((same.ratio, same.lo, same.hi, same.p), (1.0, 1.0, 1.0, 1.0));
    assert!(precise_enough(&same, 0.0));
}

#[test]
fn from_figures_takes_two_zeros_as_equal_and_ignores_one() {
    let paired =
        Paired::from_figures(&[vec![(0.0, 0.0), (3.0, 0.0), (0.0, 3.0)], vec![(4.0, 2.0)]]);
    let e = estimate(&paired, &Options::default()).unwrap();
    assert!(close(e.ratio, 2_f64.sqrt()));
    assert_eq!(e.blocks, 2);
}

#[test]
fn precise_enough_depends_on_width_alone() {
    let at = |centre: f64, spread: f64| {
        of((0..12).map(|i| vec![centre + spread * f64::from(i % 2)]).collect()).unwrap()
    };
    assert!(precise_enough(&at(0.0, 0.002), 0.005));
    assert!(precise_enough(&at(3.0, 0.002), 0.005));
    assert!(!precise_enough(&at(0.0, 0.2), 0.005));
}

#[test]
fn pooled_interval_narrows_with_root_of_count() {
    let one = of((0..12).map(|i| vec![0.01 * f64::from(i % 5) - 0.02]).collect()).unwrap();
    assert_eq!(pooled(&[one]), Some(one));
    assert_eq!(pooled(&[]), None);
    assert_eq!(pooled(&[of(vec![vec![0.2]]).unwrap()]), None);
    let four = pooled(&[one; 4]).unwrap();
    assert!(close(four.ratio, one.ratio));
    assert!(close(four.half_width() * 2.0, one.half_width()));
    assert!(close(four.se_log * 2.0, one.se_log));
    assert_eq!((four.rounds, four.blocks), (48, 48));
    assert!(four.p < one.p);
    let exact = of(vec![vec![0.0; 5]; 12]).unwrap();
    assert_eq!(pooled(&[exact; 3]).unwrap().p, 1.0);
}

#[test]
#[should_panic(expected = "confidence must lie between 0 and 1")]
fn estimate_panics_on_confidence_in_percent() {
    let options = Options { confidence: 95.0, ..Options::default() };
    let _ = estimate(&Paired::default(), &options);
}

fn rounds() -> impl Strategy<Value = Vec<Vec<f64>>> {
    let block = prop_oneof![9 => -0.5..0.5_f64, 1 => -3.0..3.0_f64];
    prop::collection::vec(prop::collection::vec(block, 0..8), 1..16)
}

fn with_seed(rounds: &[Vec<f64>], seed: u64) -> Option<Estimate> {
    let options = Options { resamples: 200, seed, ..Options::default() };
    estimate(&Paired { rounds: rounds.to_vec() }, &options)
}

proptest! {
    // The same cases every time, so that a failure in CI can be reproduced.
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn estimate_of_exchanged_lanes_is_inverse(rounds in rounds(), seed: u64) {
        let swapped = Paired { rounds: rounds.clone() }.swapped();
        match (with_seed(&rounds, seed), with_seed(&swapped.rounds, seed)) {
            (Some(a), Some(b)) => {
                prop_assert!(close(a.ratio, 1.0 / b.ratio));
                prop_assert!(close(a.lo, 1.0 / b.hi));
                prop_assert!(close(a.hi, 1.0 / b.lo));
                prop_assert_eq!((a.p, a.se_log), (b.p, b.se_log));
            }
            (a, b) => prop_assert_eq!(a, b),
        }
    }

    #[test]
    fn estimate_of_scaled_figures_keeps_interval_width(rounds in rounds(), seed: u64) {
        let shifted: Vec<Vec<f64>> = rounds
            .iter()
            .map(|round| round.iter().map(|x| x + 2_f64.ln()).collect())
            .collect();
        match (with_seed(&rounds, seed), with_seed(&shifted, seed)) {
            (Some(a), Some(b)) => {
                prop_assert!((a.ratio * 2.0 / b.ratio - 1.0).abs() < 1e-9);
                prop_assert_eq!(a.hi.is_finite(), b.hi.is_finite());
                if a.hi.is_finite() {
                    prop_assert!((a.half_width() - b.half_width()).abs() < 1e-9);
                }
            }
            (a, b) => prop_assert!(a.is_none() && b.is_none()),
        }
    }

    #[test]
    fn estimate_ignores_order_of_blocks_within_round(rounds in rounds(), seed: u64) {
        let reversed: Vec<Vec<f64>> =
            rounds.iter().map(|round| round.iter().rev().copied().collect()).collect();
        let (a, b) = (with_seed(&rounds, seed), with_seed(&reversed, seed));
        if a.is_some_and(|e| e.rounds == 1) {
            // The bootstrap draws from the blocks of a single round.
            prop_assert_eq!(a.map(|e| (e.ratio, e.p)), b.map(|e| (e.ratio, e.p)));
        } else {
            prop_assert_eq!(a, b);
        }
    }

    #[test]
    fn interval_contains_ratio_and_p_is_probability(rounds in rounds(), seed: u64) {
        let e = with_seed(&rounds, seed);
        prop_assert_eq!(e.is_some(), rounds.iter().any(|round| !round.is_empty()));
        if let Some(e) = e {
            prop_assert!(e.holds(e.ratio));
            prop_assert!(e.p > 0.0 && e.p <= 1.0);
            prop_assert!(e.p >= (1.0 - e.rounds as f64).exp2());
        }
    }

    #[test]
    fn holm_keeps_order_and_lies_between_raw_p_and_bonferroni(
        p in prop::collection::vec(0.0..=1.0_f64, 0..30),
    ) {
        let adjusted = holm(&p);
        prop_assert_eq!(adjusted.len(), p.len());
        for i in 0..p.len() {
            prop_assert!(p[i] <= adjusted[i] && adjusted[i] <= (p[i] * p.len() as f64).min(1.0));
            for j in 0..p.len() {
                prop_assert!(p[i] > p[j] || adjusted[i] <= adjusted[j]);
            }
        }
    }

    #[test]
    fn holm_ignores_order_of_rows(
        p in prop::collection::vec(0.0..=1.0_f64, 1..30),
        by in 0..30_usize,
    ) {
        let by = by % p.len();
        let mut rotated = p.clone();
        rotated.rotate_left(by);
        let mut adjusted = holm(&p);
        adjusted.rotate_left(by);
        prop_assert_eq!(holm(&rotated), adjusted);
    }
}
