//! Medians over rounds, some of them known between bounds only, against a known truth. Fixed seeds.

use rand::{RngExt as _, SeedableRng as _};
use rand_distr::{Distribution as _, StandardNormal};
use rand_pcg::Pcg64Mcg;
use rtswap_stats::{Bounds, Options, bounded_median};

fn options(seed: u64) -> Options {
    Options { seed, resamples: 400, ..Options::default() }
}

/// Figures around `centre`, skewed upwards now and then as by a disturbance; half of them are above it.
fn figures(centre: f64, rounds: usize, seed: u64) -> Vec<f64> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let mut figure = || {
        let noise: f64 = StandardNormal.sample(&mut rng);
        let factor = if noise > 0.0 && rng.random_range(0.0..1.0) < 0.3 { 5.0 } else { 1.0 };
        centre + 0.05 * noise * factor
    };
    (0..rounds).map(|_| figure()).collect()
}

fn exact(figures: &[f64]) -> Vec<Bounds> {
    figures.iter().copied().map(Bounds::exact).collect()
}

/// Runs of 500 whose interval holds the truth.
fn covered(rounds: usize, bounds: impl Fn(f64) -> Bounds) -> usize {
    let holds = |seed: &u64| {
        let rounds: Vec<_> = figures(2.0, rounds, *seed).into_iter().map(&bounds).collect();
        bounded_median(&rounds, &options(*seed)).unwrap().interval.holds(2.0)
    };
    (0..500).filter(holds).count()
}

#[test]
fn bounded_median_covers_truth_in_93_to_99_percent_of_runs() {
    for rounds in [6, 10, 12, 32] {
        let covered = covered(rounds, Bounds::exact);
        assert!((465..=496).contains(&covered), "{rounds} rounds: {covered} of 500");
    }
}

#[test]
fn bounded_median_covers_truth_if_rounds_are_censored() {
    let censored = |value: f64| {
        if value > 2.02 { Bounds { lo: 2.02, hi: f64::INFINITY } } else { Bounds::exact(value) }
    };
    let covered = covered(12, censored);
    assert!(covered >= 465, "{covered} of 500");
    // Leaving those rounds out would move the median down.
    let estimate = bounded_median(
        &figures(2.0, 201, 1).into_iter().map(censored).collect::<Vec<_>>(),
        &options(1),
    );
    let median = estimate.unwrap().median;
    assert_eq!(median, Bounds::exact(median.lo));
    assert!((1.99..2.01).contains(&median.lo), "{median:?}");
}

#[test]
fn bounded_median_has_no_upper_bound_if_half_of_rounds_have_none() {
    let above = Bounds { lo: 3.0, hi: f64::INFINITY };
    let mut rounds = exact(&[1.0, 1.1, 1.2]);
    rounds.extend([above; 4]);
    let estimate = bounded_median(&rounds, &options(1)).unwrap();
    assert_eq!(estimate.median, above);
    assert_eq!((estimate.interval.hi, estimate.rounds), (f64::INFINITY, 7));
    assert!(estimate.interval.lo.is_finite());
    let below = Bounds { lo: f64::NEG_INFINITY, hi: 0.5 };
    let estimate = bounded_median(&[below; 5], &options(1)).unwrap();
    assert_eq!((estimate.median, estimate.interval), (below, below));
}

#[test]
fn bounded_median_of_mirror_image_is_mirrored() {
    let values = figures(1.0, 11, 3);
    let of = |values: &[f64]| bounded_median(&exact(values), &options(3)).unwrap();
    let mirrored = of(&values.iter().map(|value| -value).collect::<Vec<_>>());
    let estimate = of(&values);
    let back = |it: Bounds| Bounds { lo: -it.hi, hi: -it.lo };
    assert_eq!(estimate.median, back(mirrored.median));
    assert_eq!(estimate.interval, back(mirrored.interval));
}

#[test]
fn bounded_median_of_one_round_has_no_interval() {
    assert_eq!(bounded_median(&[], &options(1)), None);
    let estimate = bounded_median(&[Bounds::exact(4.0)], &options(1)).unwrap();
    assert_eq!((estimate.median, estimate.interval), (Bounds::exact(4.0), Bounds::UNKNOWN));
}

#[test]
fn bounds_of_difference_hold_all_differences() {
    let (exact, above) = (Bounds::exact(2.0), Bounds { lo: 3.0, hi: f64::INFINITY });
    assert_eq!(above.minus(exact), Bounds { lo: 1.0, hi: f64::INFINITY });
    assert_eq!(exact.minus(above), Bounds { lo: f64::NEG_INFINITY, hi: -1.0 });
    assert_eq!(above.minus(above), Bounds::UNKNOWN);
    assert_eq!(exact.minus(Bounds::exact(0.5)), Bounds::exact(1.5));
}
