//! The differences that a plan finds: the figures behind the default number of rounds and blocks.
//!
//! `cargo run --release -p rtswap-stats --example plan`, about a minute. Simulated workloads of
//! seven lanes, the reference and the control, one metric, Holm at 0.05 over the seven; see `rtswap_stats::simulate` for the noise.

use rtswap_stats::simulate::{Noise, Plan, family};
use rtswap_stats::{Decision, Options, Reason, Rule, Verdict, decide};

const RUNS: u64 = 500;
const EFFECT: f64 = 0.02;
const RULE: Rule = Rule { alpha: 0.05, margin: 0.03 };
const SAME: [f64; 7] = [0.0; 7];
const WORSE: [f64; 7] = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, EFFECT];

fn main() {
    let cpu = Noise::cpu_time();
    println!(
        "A lane whose CPU time is {:.0} % higher is called worse, of {RUNS} runs,",
        100.0 * EFFECT
    );
    println!("(the run's mean minimum detectable effect) and an equal lane equivalent:");
    println!(
        "  blocks   10 rounds               16 rounds               32 rounds               64 rounds"
    );
    for blocks in [2, 4, 8, 16] {
        print!("  {blocks:6}");
        for rounds in [10, 16, 32, 64] {
            let (mut called, mut mde, mut equal) = (0, 0.0, 0);
            simulated(&WORSE, &cpu, Plan::new(rounds, blocks), RUNS, |decisions| {
                let (first, last) = (decisions[1], decisions[7]);
                called += u64::from(last.verdict == Verdict::Worse);
                equal += u64::from(first.verdict == Verdict::Equivalent);
                mde += last.mde / RUNS as f64;
            });
            print!(
                "   {:3.0} % ({:4.1} %) {:3.0} %    ",
                percent(called, RUNS),
                100.0 * mde,
                percent(equal, RUNS)
            );
        }
        println!();
    }

    let runs = 4 * RUNS;
    println!("\nWithout any true difference, of {runs} runs:");
    println!("  noise               rounds x blocks   some lane differs   control differs");
    for (name, noise) in [
        ("CPU time", cpu),
        ("throughput", Noise::throughput()),
        ("stale clock", cpu.stale()),
        ("disturbed rounds", cpu.heavy_tailed()),
    ] {
        for plan in [Plan::new(12, 8), Plan::new(32, 8), Plan::new(64, 8)] {
            let (mut alarms, mut vetoed) = (0, 0);
            simulated(&SAME, &noise, plan, runs, |decisions| {
                let called = |d: &Decision| matches!(d.verdict, Verdict::Better | Verdict::Worse);
                alarms += u64::from(decisions.iter().any(called));
                vetoed += u64::from(decisions[0].reason == Some(Reason::ControlDiffers));
            });
            println!(
                "  {name:18}  {:6} x {:<6}   {:15.1} %   {:13.1} %",
                plan.rounds,
                plan.blocks,
                percent(alarms, runs),
                percent(vetoed, runs),
            );
        }
    }
}

fn simulated(
    effects: &[f64],
    noise: &Noise,
    plan: Plan,
    runs: u64,
    mut see: impl FnMut(&[Decision]),
) {
    for seed in 0..runs {
        see(&decide(&family(noise, effects, plan, &Options::default(), seed), &RULE));
    }
}

fn percent(count: u64, of: u64) -> f64 {
    100.0 * count as f64 / of as f64
}
