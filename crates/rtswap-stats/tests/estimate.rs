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
fn estimate_is_hodges_lehmann_of_medians_of_rounds() {
    let e = of(vec![vec![0.1, 9.0, -4.0], vec![0.4, 0.2], vec![1.0]]).unwrap();
    // Means of pairs: 0.1, 0.2, 0.3, 0.55, 0.65, 1.0.
    assert!(close(e.ratio, 0.425_f64.exp()));
    assert_eq!((e.rounds, e.blocks), (3, 6));
    assert_eq!((e.lo, e.hi, e.p), (0.0, f64::INFINITY, 0.25));
    let json = serde_json::to_string(&e).unwrap();
    assert!(json.contains(r#""hi":null"#), "{json}");
    let back: Estimate = serde_json::from_str(&json).unwrap();
    assert_eq!((back.hi, back.lo), (e.hi, e.lo));
}

#[test]
fn interval_of_six_rounds_is_their_range() {
    let e = of([0.3, 0.1, 0.2, 0.6, 0.5, 0.4].map(|x| vec![x]).to_vec()).unwrap();
    assert!(close(e.lo, 0.1_f64.exp()) && close(e.hi, 0.6_f64.exp()));
    assert_eq!(e.p, 2_f64.powi(-5));
}

#[test]
fn estimate_is_none_without_data() {
    assert_eq!(of(vec![]), None);
    assert_eq!(of(vec![vec![], vec![]]), None);
    assert_eq!(of(vec![vec![f64::NAN]]), None);
    assert_eq!(of(vec![vec![f64::NEG_INFINITY, f64::INFINITY]]), None);
}

#[test]
fn estimate_ignores_empty_rounds_and_nan() {
    let clean = vec![vec![0.1, 0.2], vec![0.05], vec![0.3, 0.1, 0.2]];
    let mut dirty = clean.clone();
    dirty[0].insert(1, f64::NAN);
    dirty.insert(1, vec![]);
    dirty.push(vec![f64::NAN]);
    assert_eq!(of(clean), of(dirty));
}

#[test]
fn estimate_counts_slices_without_operations_as_lowest() {
    let stall = f64::NEG_INFINITY;
    let one = of((0..10).map(|_| vec![stall, 0.1, 0.2, 0.3, stall]).collect()).unwrap();
    assert!(close(one.ratio, 0.1_f64.exp()));
    assert_eq!(one.blocks, 50);
    // Four whole rounds of ten: the interval is unbounded below, the ratio is not.
    let round = |i: i32| if i < 4 { vec![stall] } else { vec![0.01 * f64::from(i)] };
    let four = of((0..10).map(round).collect()).unwrap();
    assert_eq!(four.lo, 0.0);
    assert!(four.ratio > 1.0 && four.ratio.is_finite() && four.hi.is_finite());
    // Six of ten: so is the ratio.
    let six = of((0..10).map(|i| if i < 6 { vec![stall] } else { vec![0.1] }).collect()).unwrap();
    assert_eq!(six.ratio, 0.0);
    let costs = of((0..10).map(|_| vec![f64::INFINITY]).collect()).unwrap();
    assert_eq!((costs.ratio, costs.p), (f64::INFINITY, 2_f64.powi(-9)));
    let json = serde_json::to_string(&costs).unwrap();
    assert_eq!(serde_json::from_str::<Estimate>(&json).unwrap(), costs);
}

#[test]
fn estimate_of_one_block_has_no_bounds() {
    let e = of(vec![vec![0.2]]).unwrap();
    assert!(close(e.ratio, 0.2_f64.exp()));
    assert_eq!((e.lo, e.hi, e.p), (0.0, f64::INFINITY, 1.0));
    assert!(!precise_enough(&e, 1e9));
}

#[test]
fn estimate_of_one_round_has_interval_of_median_and_p_of_one() {
    let e = of(vec![(0..20).map(|i| f64::from(i) / 1000.0).collect()]).unwrap();
    // The sign test at 95 % of 20 values leaves out 5 at each end.
    assert!(close(e.lo, 0.005_f64.exp()) && close(e.hi, 0.014_f64.exp()));
    assert!(close(e.ratio, 0.0095_f64.exp()));
    assert_eq!(e.p, 1.0);
    assert!(e.se_log > 0.001 && e.se_log < 0.004, "{}", e.se_log);
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
fn disturbed_rounds_hardly_widen_interval() {
    let rounds = |disturbed: f64| -> Vec<Vec<f64>> {
        (0..20)
            .map(|i| vec![0.001 * f64::from(i % 10) + if i % 10 == 0 { disturbed } else { 0.0 }])
            .collect()
    };
    let (quiet, disturbed) = (of(rounds(0.0)).unwrap(), of(rounds(0.5)).unwrap());
    assert!((disturbed.ratio / quiet.ratio).ln() < 0.002);
    assert!(disturbed.half_width() < 2.0 * quiet.half_width());
    assert!(disturbed.se_log < 2.0 * quiet.se_log);
}

#[test]
fn interval_contains_both_modes_that_last_for_several_rounds() {
    let rounds = |high: &dyn Fn(u32) -> bool| -> Vec<Vec<f64>> {
        (0..24)
            .map(|i| vec![0.01 * f64::from(i % 7) + if high(i) { 0.5 } else { 0.0 }; 4])
            .collect()
    };
    let lasting = of(rounds(&|i| (6..14).contains(&i))).unwrap();
    assert!(lasting.lo.ln() < 0.04 && lasting.hi.ln() > 0.5, "{lasting:?}");
    let by_process = of(rounds(&|i| i % 3 == 0)).unwrap();
    assert!(by_process.hi.ln() < 0.4, "{by_process:?}");
    assert!(lasting.p < 1e-4 && by_process.p < 1e-4);
}

#[test]
fn from_figures_takes_two_zeros_as_equal_and_one_as_infinite() {
    let paired =
        Paired::from_figures(&[vec![(0.0, 0.0), (0.0, 3.0), (3.0, 0.0)], vec![(4.0, 2.0)]]);
    assert_eq!(paired.rounds[0], [0.0, f64::NEG_INFINITY, f64::INFINITY]);
    let e = estimate(&paired, &Options::default()).unwrap();
    assert!(close(e.ratio, 2_f64.sqrt()));
    assert_eq!(e.blocks, 4);
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
    assert_eq!(pooled(&[of(vec![vec![0.2]; 5]).unwrap()]), None);
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
    let infinite = prop_oneof![Just(f64::INFINITY), Just(f64::NEG_INFINITY)];
    let block = prop_oneof![18 => -0.5..0.5_f64, 2 => -3.0..3.0_f64, 1 => Just(0.1), 1 => infinite];
    prop::collection::vec(prop::collection::vec(block, 0..8), 1..16)
}

proptest! {
    // The same cases every time, so that a failure in CI can be reproduced.
    #![proptest_config(ProptestConfig {
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn estimate_of_exchanged_lanes_is_inverse(rounds in rounds()) {
        let swapped = Paired { rounds: rounds.clone() }.swapped();
        match (of(rounds.clone()), of(swapped.rounds)) {
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
    fn estimate_of_scaled_figures_keeps_interval_width(rounds in rounds()) {
        let shifted: Vec<Vec<f64>> = rounds
            .iter()
            .map(|round| round.iter().map(|x| x + 2_f64.ln()).collect())
            .collect();
        match (of(rounds.clone()), of(shifted)) {
            (Some(a), Some(b)) => {
                prop_assert!(close(a.ratio * 2.0, b.ratio));
                prop_assert!(close(a.lo * 2.0, b.lo) && close(a.hi * 2.0, b.hi));
                prop_assert!(close(a.se_log, b.se_log));
            }
            (a, b) => prop_assert!(a.is_none() && b.is_none()),
        }
    }

    #[test]
    fn estimate_ignores_order_of_blocks_within_round(rounds in rounds()) {
        let reversed: Vec<Vec<f64>> =
            rounds.iter().map(|round| round.iter().rev().copied().collect()).collect();
        prop_assert_eq!(of(rounds.clone()), of(reversed));
    }

    #[test]
    fn interval_contains_ratio_and_p_is_probability(rounds in rounds()) {
        let e = of(rounds.clone());
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
