//! Gates against a known truth, under the noise of a shared machine. Fixed seeds.

use rtswap_stats::simulate::{Noise, Plan, family};
use rtswap_stats::{Doubt, GateRule, Gated, Judgement, Options, Outcome, gate};

const RULE: GateRule = GateRule { alpha: 0.05, tolerance: 0.02, strict: false };

/// Two minutes for one workload on three lanes, which is what a gate has.
const ONE: Plan = Plan::new(48, 11);
/// The same for each of five workloads.
const FIVE: Plan = Plan::new(24, 4);

/// A gate over workloads with these true changes of head.
fn gated(noise: &Noise, effects: &[f64], plan: Plan, rule: &GateRule, seed: u64) -> Vec<Judgement> {
    let workloads: Vec<Gated> = effects
        .iter()
        .enumerate()
        .map(|(at, effect)| {
            let seed = seed * 1000 + at as u64;
            let rows = family(noise, &[*effect], plan, &Options::default(), seed);
            Gated {
                direction: noise.direction,
                head: rows[1].estimate,
                control: Some(rows[0].estimate),
                accepted: None,
            }
        })
        .collect();
    gate(&workloads, rule)
}

/// The share of `runs` seeds for which `holds`, which METHODOLOGY.md quotes: `--nocapture` prints it.
fn share(what: &str, runs: u64, holds: impl Fn(u64) -> bool) -> f64 {
    let share = (0..runs).filter(|seed| holds(*seed)).count() as f64 / runs as f64;
    println!("{what}: {:.1} % of {runs}", share * 100.0);
    share
}

fn all_pass(judged: &[Judgement]) -> bool {
    judged.iter().all(|it| it.outcome == Outcome::Pass)
}

fn any_regression(judged: &[Judgement]) -> bool {
    judged.iter().any(|it| it.outcome == Outcome::Regression)
}

#[test]
fn gate_without_change_has_at_most_five_percent_false_regressions() {
    for noise in [Noise::cpu_time(), Noise::cpu_time().heavy_tailed(), Noise::throughput()] {
        let alarms = share("no change, five workloads, regression", 600, |seed| {
            any_regression(&gated(&noise, &[0.0; 5], FIVE, &RULE, seed))
        });
        assert!(alarms <= 0.05, "{noise:?}: {alarms}");
    }
}

#[test]
fn gate_without_change_mostly_passes() {
    let noise = Noise::cpu_time();
    let passes = share("no change, one workload, pass", 300, |seed| {
        all_pass(&gated(&noise, &[0.0], ONE, &RULE, seed))
    });
    assert!(passes >= 0.95, "one workload: {passes}");
    let vetoed = share("no change, five workloads, veto of a control", 300, |seed| {
        let judged = gated(&noise, &[0.0; 5], FIVE, &RULE, seed);
        judged.iter().any(|it| it.doubt == Some(Doubt::ControlDiffers))
    });
    assert!(vetoed <= 0.02, "{vetoed}");
}

#[test]
fn change_of_the_tolerance_hardly_ever_passes() {
    let noise = Noise::cpu_time();
    let passes =
        share("2 %, pass", 1000, |seed| all_pass(&gated(&noise, &[0.02], FIVE, &RULE, seed)));
    assert!(passes <= 0.035, "{passes}");
    // Among workloads that have not changed, it is no more.
    let one_of_five = [0.02, 0.0, 0.0, 0.0, 0.0];
    let passes = share("2 % in one of five, pass", 600, |seed| {
        all_pass(&gated(&noise, &one_of_five, FIVE, &RULE, seed))
    });
    assert!(passes <= 0.035, "{passes}");
}

#[test]
fn gate_finds_three_percent() {
    let noise = Noise::cpu_time();
    let found = share("3 %, regression", 300, |seed| {
        any_regression(&gated(&noise, &[0.03], ONE, &RULE, seed))
    });
    assert!(found >= 0.98, "one workload: {found}");
    // Only what is shown to be beyond 2 % is one.
    let strict = GateRule { strict: true, ..RULE };
    let found = share("3 %, strict, regression", 300, |seed| {
        any_regression(&gated(&noise, &[0.03], ONE, &strict, seed))
    });
    assert!((0.3..0.98).contains(&found), "strict: {found}");
}

#[test]
fn strict_gate_calls_change_of_the_tolerance_no_regression() {
    let (noise, strict) = (Noise::cpu_time(), GateRule { strict: true, ..RULE });
    let called = share("2 %, strict, regression", 600, |seed| {
        any_regression(&gated(&noise, &[0.02], FIVE, &strict, seed))
    });
    assert!(called <= 0.035, "{called}");
}

#[test]
fn mde_of_a_gate_is_found_four_times_out_of_five() {
    let noise = Noise::cpu_time();
    let typical = gated(&noise, &[0.0; 5], FIVE, &RULE, 1);
    let mde = typical.iter().map(|it| it.mde).sum::<f64>() / 5.0;
    let found = share("the minimum detectable effect, called", 400, |seed| {
        let judged = gated(&noise, &[mde, 0.0, 0.0, 0.0, 0.0], FIVE, &RULE, seed);
        judged[0].p_adjusted < RULE.alpha && judged[0].change > 0.0
    });
    assert!((0.65..0.95).contains(&found), "{mde}: {found}");
}
