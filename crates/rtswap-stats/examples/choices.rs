//! The figures behind the choice of estimator, test and interval, on the crate's documentation page.
//!
//! `cargo run --release -p rtswap-stats --example choices`, about a minute. What was not chosen is
//! written out here, so that the comparison can be repeated when the noise is known better. Six lanes, of which two
//! are the reference.

use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_pcg::Pcg64Mcg;
use rtswap_stats::simulate::{Lasts, Mode, Noise, Plan, Run, family};
use rtswap_stats::{Options, Paired, Rule, Verdict, decide, estimate, precise_enough};

const RUNS: u64 = 1000;
const LANES: [f64; 5] = [0.0; 5];

type View = fn(&Run, usize) -> Paired;
type Centre = fn(&[f64]) -> f64;
type Interval<'a> = &'a dyn Fn(&Paired) -> (f64, f64);

fn main() {
    let cpu = Noise::cpu_time();
    let noises = [
        ("CPU time", cpu),
        ("throughput", Noise::throughput()),
        ("CPU time, stale clock", cpu.stale()),
        ("CPU time, disturbed rounds", cpu.heavy_tailed()),
    ];
    for (name, noise) in &noises {
        centres(name, noise);
    }
    for (name, noise) in &noises {
        intervals(name, noise);
    }
    modes();
    gate();
    stopping();
}

/// Standard error and bias of the estimated log ratio, by reference and by what is taken within and over rounds.
fn centres(name: &str, noise: &Noise) {
    let choices: [(&str, View, Centre, Centre); 7] = [
        ("one reference, median, mean", Run::paired, median, mean),
        ("one reference, median, Hodges-Lehmann", Run::paired, median, hodges_lehmann),
        (
            "mean of two references, median, Hodges-Lehmann",
            Run::paired_to_mean,
            median,
            hodges_lehmann,
        ),
        ("each of two references, median, mean", Run::paired_to_each, median, mean),
        (
            "each of two references, median, Hodges-Lehmann (chosen)",
            Run::paired_to_each,
            median,
            hodges_lehmann,
        ),
        (
            "each of two references, mean of the middle half, Hodges-Lehmann",
            Run::paired_to_each,
            midmean,
            hodges_lehmann,
        ),
        ("each of two references, mean, mean", Run::paired_to_each, mean, mean),
    ];
    println!("Standard error (bias) at 12 rounds of 4, 8 and 20 blocks, {name}");
    for (choice, view, within, over) in choices {
        print!("  {choice:63}");
        for blocks in [4, 8, 20] {
            let (mut sum, mut squares) = (0.0, 0.0);
            for seed in 0..RUNS {
                let paired = view(&Run::new(noise, &LANES, Plan::new(12, blocks), seed), 2);
                let rounds: Vec<f64> = paired.rounds.iter().map(|round| within(round)).collect();
                let error = over(&rounds);
                sum += error;
                squares += error * error;
            }
            let bias = sum / RUNS as f64;
            let error = (squares / RUNS as f64 - bias * bias).sqrt();
            print!("  {:.2} % ({:+.2} %)", 100.0 * error, 100.0 * bias);
        }
        println!();
    }
    println!();
}

/// Coverage and mean half width of 95 % intervals.
fn intervals(name: &str, noise: &Noise) {
    println!("95 % intervals, {name}: coverage, mean half width; 12, 32 and 90 rounds of 8 blocks");
    let choices: [(&str, Interval); 3] = [
        ("signed-rank, each of two references (chosen)", &|paired| {
            estimate(paired, &Options::default())
                .map_or((f64::NAN, f64::NAN), |e| (e.lo.ln(), e.hi.ln()))
        }),
        ("Student's t over the medians of rounds", &student),
        ("bootstrap of rounds, percentile, widened", &bootstrap),
    ];
    for (choice, interval) in choices {
        print!("  {choice:46}");
        for rounds in [12, 32, 90] {
            print!("  {}", covered(noise, Run::paired_to_each, rounds, interval));
        }
        println!();
    }
    print!("  {:46}", "signed-rank, mean of two references");
    for rounds in [12, 32, 90] {
        print!("  {}", covered(noise, Run::paired_to_mean, rounds, choices[0].1));
    }
    println!("\n");
}

fn covered(noise: &Noise, view: View, rounds: usize, interval: Interval) -> String {
    let (mut covered, mut width) = (0.0, 0.0);
    for seed in 0..RUNS {
        let (lo, hi) = interval(&view(&Run::new(noise, &LANES, Plan::new(rounds, 8), seed), 2));
        covered += f64::from(u8::from(lo <= 0.0 && 0.0 <= hi)) / RUNS as f64;
        width += (hi - lo) / 2.0 / RUNS as f64;
    }
    format!("{covered:.3} {:.2} %", 100.0 * width)
}

/// The 97.5 % quantile of Student's t with one degree of freedom less than `rounds`.
fn t(rounds: usize) -> f64 {
    match rounds {
        12 => 2.200_985,
        32 => 2.039_513,
        _ => 1.986_979,
    }
}

fn student(paired: &Paired) -> (f64, f64) {
    let medians: Vec<f64> = paired.rounds.iter().map(|round| median(round)).collect();
    let (centre, n) = (mean(&medians), medians.len() as f64);
    let squares: f64 = medians.iter().map(|x| (x - centre).powi(2)).sum();
    let half = t(medians.len()) * (squares / (n - 1.0) / n).sqrt();
    (centre - half, centre + half)
}

fn bootstrap(paired: &Paired) -> (f64, f64) {
    const RESAMPLES: usize = 400;
    let medians: Vec<f64> = paired.rounds.iter().map(|round| median(round)).collect();
    let mut rng = Pcg64Mcg::seed_from_u64(1);
    let n = medians.len();
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| (0..n).map(|_| medians[rng.random_range(0..n)]).sum::<f64>() / n as f64)
        .collect();
    means.sort_unstable_by(f64::total_cmp);
    let widen = (n as f64 / (n as f64 - 1.0)).sqrt() * t(n) / 1.959_964;
    let centre = mean(&medians);
    (
        centre - widen * (centre - means[RESAMPLES / 40]),
        centre + widen * (means[RESAMPLES - 1 - RESAMPLES / 40] - centre),
    )
}

/// Coverage with modes, with rounds in their order and in random order, which hides that modes last.
fn modes() {
    println!(
        "Coverage of the centre of a lane with two modes (0.3 apart), as measured and without extending the interval:"
    );
    for (name, share_high, lasts) in [
        ("half of the processes", 0.5, Lasts::Process),
        ("three processes in ten", 0.3, Lasts::Process),
        ("half of the time, changing after half a round", 0.5, Lasts::Slices(24.0)),
        ("half of the time, changing after two rounds", 0.5, Lasts::Slices(96.0)),
        ("half of the time, changing after five rounds", 0.5, Lasts::Slices(240.0)),
    ] {
        print!("  {name:46}");
        let mode = [(2, Mode { gap: 0.3, share_high, lasts })];
        let run = |rounds, seed| {
            Run::with_modes(&Noise::cpu_time(), &LANES, &mode, Plan::new(rounds, 8), seed)
                .paired_to_each(2)
        };
        let Some(truth) = estimate(&run(2000, 1), &Options::default()) else { continue };
        for rounds in [12, 32] {
            let (mut ordered, mut shuffled) = (0.0, 0.0);
            for seed in 0..RUNS {
                let mut paired = run(rounds, 1000 + seed);
                let holds = |paired: &Paired| {
                    let e = estimate(paired, &Options::default());
                    f64::from(u8::from(e.is_some_and(|e| e.holds(truth.ratio)))) / RUNS as f64
                };
                ordered += holds(&paired);
                paired.rounds.shuffle(&mut Pcg64Mcg::seed_from_u64(seed));
                shuffled += holds(&paired);
            }
            print!("   {rounds} rounds {ordered:.3}, {shuffled:.3}");
        }
        println!();
    }
    println!();
}

/// What a gate at the control's interval does: right calls and false alarms inside of it.
fn gate() {
    println!(
        "Calls of one lane in five whose ratio lies within the control's interval, 16 rounds of 8 blocks:"
    );
    for (name, effect) in
        [("of right calls of 2 %", 0.02), ("of right calls of 4 %", 0.04), ("of false alarms", 0.0)]
    {
        let (mut called, mut inside) = (0, 0);
        for seed in 0..4 * RUNS {
            let effects = [0.0, 0.0, 0.0, effect];
            let family =
                family(&Noise::cpu_time(), &effects, Plan::new(16, 8), &Options::default(), seed);
            let decisions = decide(&family, &Rule { alpha: 0.05, margin: 0.03 });
            let control = family[0].estimate;
            for (row, decision) in
                family.iter().zip(&decisions).skip(if effect > 0.0 { 4 } else { 1 })
            {
                if matches!(decision.verdict, Verdict::Better | Verdict::Worse) {
                    called += 1;
                    inside += i32::from(
                        control.lo.min(1.0) <= row.estimate.ratio
                            && row.estimate.ratio <= control.hi.max(1.0),
                    );
                }
            }
        }
        println!("  {name:24} {inside} of {called}");
    }
    println!();
}

/// What stopping on width does to the coverage, by the round from which it is asked.
fn stopping() {
    println!(
        "Stopping when the interval is narrow enough, at most 40 rounds of 8 blocks, CPU time:"
    );
    for precision in [0.01, 0.015] {
        for first in [6, 10] {
            let (mut rounds, mut covered, mut low_p) = (0, 0, 0);
            for seed in 0..RUNS {
                let all =
                    Run::new(&Noise::cpu_time(), &LANES, Plan::new(40, 8), seed).paired_to_each(2);
                let stopped = (first..=40)
                    .filter_map(|n| {
                        estimate(&Paired { rounds: all.rounds[..n].to_vec() }, &Options::default())
                    })
                    .find(|e| e.rounds == 40 || precise_enough(e, precision));
                if let Some(e) = stopped {
                    rounds += e.rounds;
                    covered += usize::from(e.holds(1.0));
                    low_p += usize::from(e.p < 0.05);
                }
            }
            let runs = RUNS as f64;
            println!(
                "  ±{:.1} %, asked from round {first:2}: {:.1} rounds, coverage {:.3}, p < 0.05 in {:.3}",
                100.0 * precision,
                rounds as f64 / runs,
                covered as f64 / runs,
                low_p as f64 / runs,
            );
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn median(values: &[f64]) -> f64 {
    rtswap_stats::median(values.iter().copied()).unwrap_or(f64::NAN)
}

/// The mean of the middle half.
fn midmean(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_unstable_by(f64::total_cmp);
    let cut = values.len() / 4;
    mean(&values[cut..values.len() - cut])
}

/// The median of the means of all pairs.
fn hodges_lehmann(values: &[f64]) -> f64 {
    let pairs = |i: usize| values[i..].iter().map(move |x| f64::midpoint(values[i], *x));
    median(&(0..values.len()).flat_map(pairs).collect::<Vec<_>>())
}
