//! The figures behind the choice of estimator and interval, on the crate's documentation page.
//!
//! `cargo run --release -p rtswap-stats --example choices`, about a minute. What was not chosen is
//! written out here, so that the comparison can be repeated when the noise is known better.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use rtswap_stats::simulate::{Noise, Plan, Run};
use rtswap_stats::{Options, Paired, estimate, precise_enough};

const RUNS: u64 = 1500;
const RESAMPLES: usize = 1000;

fn main() {
    for (name, noise) in [("cpu time", Noise::cpu_time()), ("throughput", Noise::throughput())] {
        centres(name, &noise);
    }
    intervals(&Noise::cpu_time());
    stopping(&Noise::cpu_time());
}

/// Standard error of the estimated log ratio, by what is taken within and over rounds.
fn centres(name: &str, noise: &Noise) {
    type Centre = fn(&[f64]) -> f64;
    let pairs: [(&str, Centre, Centre); 4] = [
        ("median, mean", median, mean),
        ("median, Hodges-Lehmann", median, hodges_lehmann),
        ("interquartile mean, mean", midmean, mean),
        ("mean, mean", mean, mean),
    ];
    println!("Standard error at 12 rounds, {name}: within a round, over rounds");
    for blocks in [5, 8, 12, 20, 30] {
        print!("  {blocks:2} blocks");
        for (pair, within, over) in pairs {
            let squares = (0..RUNS).map(|seed| {
                let paired = Run::new(noise, &[0.0], Plan::new(12, blocks), seed).paired(1);
                let rounds: Vec<f64> = paired.rounds.iter().map(|round| within(round)).collect();
                over(&rounds).powi(2)
            });
            let error = (squares.sum::<f64>() / RUNS as f64).sqrt();
            print!("   {pair} {:.2} %", 100.0 * error);
        }
        println!();
    }
}

/// Coverage and mean half width of 95 % intervals.
fn intervals(noise: &Noise) {
    // The 97.5 % quantiles of Student's t with 11 degrees of freedom and of the normal.
    let (n, t, z) = (12.0_f64, 2.200_985, 1.959_964);
    let widen = (n / (n - 1.0)).sqrt() * t / z;
    let names = [
        "rounds, percentile",
        "rounds, percentile, widened (chosen)",
        "rounds then blocks, percentile",
        "rounds then blocks, widened",
        "Student's t",
    ];
    let mut covered = [0.0; 5];
    let mut width = [0.0; 5];
    for seed in 0..RUNS {
        let paired = Run::new(noise, &[0.0], Plan::new(12, 20), seed).paired(1);
        let medians: Vec<f64> = paired.rounds.iter().map(|round| median(round)).collect();
        let centre = mean(&medians);
        let squares: f64 = medians.iter().map(|x| (x - centre).powi(2)).sum();
        let half = t * (squares / (n - 1.0) / n).sqrt();
        let options = Options { resamples: RESAMPLES, seed, ..Options::default() };
        let Some(chosen) = estimate(&paired, &options) else { continue };
        let (lo, hi) = (chosen.lo.ln(), chosen.hi.ln());
        let narrow = |end: f64| centre + (end - centre) / widen;
        let (low, high) = rounds_then_blocks(&paired, seed);
        let wide = |end: f64| centre + (end - centre) * widen;
        let ends = [
            (narrow(lo), narrow(hi)),
            (lo, hi),
            (low, high),
            (wide(low), wide(high)),
            (centre - half, centre + half),
        ];
        for (i, (lo, hi)) in ends.into_iter().enumerate() {
            covered[i] += f64::from(u8::from(lo <= 0.0 && 0.0 <= hi)) / RUNS as f64;
            width[i] += (hi - lo) / 2.0 / RUNS as f64;
        }
    }
    println!("95 % intervals at 12 rounds x 20 blocks, cpu time: coverage, mean half width");
    for (i, name) in names.iter().enumerate() {
        println!("  {name:38} {:.3}  {:.2} %", covered[i], 100.0 * width[i]);
    }
}

/// What stopping on width does to the coverage, by the round from which it is asked.
fn stopping(noise: &Noise) {
    println!(
        "Stopping when the interval is narrow enough, at most 30 rounds x 20 blocks, cpu time:"
    );
    for precision in [0.0075, 0.01] {
        for first in [6, 10] {
            let (mut rounds, mut covered, mut low_p) = (0, 0, 0);
            for seed in 0..RUNS {
                let all = Run::new(noise, &[0.0], Plan::new(30, 20), seed).paired(1);
                let options = Options { resamples: RESAMPLES, ..Options::default() };
                let stopped = (first..=30)
                    .filter_map(|n| {
                        let rounds = all.rounds[..n].to_vec();
                        estimate(&Paired { rounds }, &options)
                    })
                    .find(|e| e.rounds == 30 || precise_enough(e, precision));
                if let Some(e) = stopped {
                    rounds += e.rounds;
                    covered += usize::from(e.holds(1.0));
                    low_p += usize::from(e.p < 0.05);
                }
            }
            let runs = RUNS as f64;
            println!(
                "  ±{:.2} %, asked from round {first:2}: {:.1} rounds, coverage {:.3}, p < 0.05 in {:.3}",
                100.0 * precision,
                rounds as f64 / runs,
                covered as f64 / runs,
                low_p as f64 / runs,
            );
        }
    }
}

/// The percentile interval when both levels are drawn with replacement.
fn rounds_then_blocks(paired: &Paired, seed: u64) -> (f64, f64) {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let rounds = &paired.rounds;
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let drawn: Vec<f64> = (0..rounds.len())
                .map(|_| {
                    let round = &rounds[rng.random_range(0..rounds.len())];
                    let blocks: Vec<f64> =
                        (0..round.len()).map(|_| round[rng.random_range(0..round.len())]).collect();
                    median(&blocks)
                })
                .collect();
            mean(&drawn)
        })
        .collect();
    means.sort_unstable_by(f64::total_cmp);
    (means[RESAMPLES / 40], means[RESAMPLES - 1 - RESAMPLES / 40])
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    values
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn median(values: &[f64]) -> f64 {
    rtswap_stats::median(values.iter().copied()).unwrap()
}

/// The mean of the middle half.
fn midmean(values: &[f64]) -> f64 {
    let values = sorted(values);
    let cut = values.len() / 4;
    mean(&values[cut..values.len() - cut])
}

/// The median of the means of all pairs.
fn hodges_lehmann(values: &[f64]) -> f64 {
    let pairs = |i: usize| values[i..].iter().map(move |x| f64::midpoint(values[i], *x));
    median(&(0..values.len()).flat_map(pairs).collect::<Vec<_>>())
}
