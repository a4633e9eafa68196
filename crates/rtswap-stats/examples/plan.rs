//! The differences that a plan finds: the figures behind the default number of rounds and blocks.
//!
//! `cargo run --release -p rtswap-stats --example plan`, about a minute. Simulated workloads of
//! six lanes and a control, two metrics (throughput and CPU time), Holm at 0.05 over all 14
//! comparisons; see `rtswap_stats::simulate` for the noise.

use rtswap_stats::simulate::{Noise, Plan, Run, family};
use rtswap_stats::{Comparison, Decision, Options, Reason, Verdict, decide, estimate};

const RUNS: u64 = 500;
const EFFECT: f64 = 0.02;
const ALPHA: f64 = 0.05;
const OPTIONS: Options = Options { confidence: 0.95, resamples: 1000, seed: 1 };

fn main() {
    let cost = Noise::cpu_time();
    println!("Slice-to-slice deviation, 12 rounds x 20 blocks, mean of 50 runs:");
    for (name, noise) in [("throughput", Noise::throughput()), ("cpu time", cost)] {
        let runs = (0..50).map(|s| Run::new(&noise, &[0.0; 7], Plan::new(12, 20), s));
        let sum: f64 = runs.map(|run| run.slice_deviation()).sum();
        println!("  {name:10} {:.1} %", 100.0 * sum / 50.0);
    }

    println!(
        "\nA lane whose CPU time is {:.0} % higher is found worse, of {RUNS} runs",
        100.0 * EFFECT
    );
    println!("(and the run's mean minimum detectable effect):");
    println!("  blocks   10 rounds       12 rounds       16 rounds       20 rounds");
    for blocks in [3, 5, 8, 12, 20, 30] {
        print!("  {blocks:6}");
        for rounds in [10, 12, 16, 20] {
            let effects = [0.0, 0.0, 0.0, 0.0, 0.0, EFFECT];
            let (mut called, mut mde) = (0, 0.0);
            simulated(&effects, cost, Plan::new(rounds, blocks), |_, decisions| {
                let lane = decisions[decisions.len() - 1];
                called += u64::from(lane.verdict == Verdict::Worse);
                mde += lane.mde / RUNS as f64;
            });
            print!("   {:5.1} % ({:.1} %)", percent(called), 100.0 * mde);
        }
        println!();
    }

    println!("\nWithout any true difference, of {RUNS} runs:");
    println!("  rounds x blocks   some lane differs   control differs   interval contains 1");
    for plan in [Plan::new(12, 5), Plan::new(12, 20), Plan::new(12, 30), Plan::new(20, 20)] {
        let (mut alarms, mut broken) = (0, 0);
        simulated(&[0.0; 6], cost, plan, |family, decisions| {
            alarms += u64::from(decisions.iter().any(|d| d.verdict != Verdict::Undecided));
            let differs = |(c, d): (&Comparison, &Decision)| {
                c.control && d.reason == Some(Reason::ControlDiffers)
            };
            broken += u64::from(family.iter().zip(decisions).any(differs));
        });
        let holds = (0..RUNS * 4)
            .filter(|seed| {
                let run = Run::new(&cost, &[0.0], plan, *seed);
                estimate(&run.paired(1), &OPTIONS).is_some_and(|e| e.holds(1.0))
            })
            .count() as f64;
        println!(
            "  {:6} x {:<6}   {:15.1} %   {:13.1} %   {:17.1} %",
            plan.rounds,
            plan.blocks,
            percent(alarms),
            percent(broken),
            holds / 4.0 / RUNS as f64 * 100.0,
        );
    }
}

fn simulated(
    effects: &[f64],
    cost: Noise,
    plan: Plan,
    mut see: impl FnMut(&[Comparison], &[Decision]),
) {
    let none = vec![0.0; effects.len()];
    for seed in 0..RUNS {
        let metrics = [(Noise::throughput(), &none[..]), (cost, effects)];
        let family = family(&metrics, plan, &OPTIONS, seed);
        see(&family, &decide(&family, ALPHA));
    }
}

fn percent(count: u64) -> f64 {
    100.0 * count as f64 / RUNS as f64
}
