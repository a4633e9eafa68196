//! The method against a known truth, under the noise of a shared machine. Fixed seeds.

use rtswap_stats::simulate::{Noise, Plan, Run, family};
use rtswap_stats::{Comparison, Decision, Options, Verdict, decide, estimate};

const ALPHA: f64 = 0.05;

/// Six lanes; `family` adds the control.
const SAME: [f64; 6] = [0.0; 6];

/// One lane costs 2 % more than the reference.
const DEARER: [f64; 6] = [0.0, 0.0, 0.0, 0.0, 0.0, 0.02];

/// What the default budget of two minutes buys for one workload on all lanes, at least: `rtswap-harness`
/// holds its planner to it.
const DEFAULT: Plan = Plan::new(32, 16);

/// An ordinary plan, where no particular one is meant.
const BLOCKS: usize = 45;

fn options(seed: u64) -> Options {
    Options { seed, ..Options::default() }
}

fn workload(cost: &[f64], plan: Plan, seed: u64) -> (Vec<Comparison>, Vec<Decision>) {
    let metrics = [(Noise::throughput(), &SAME[..]), (Noise::cpu_time(), cost)];
    // Half the default: the figures are the same, the tests twice as fast.
    let options = Options { resamples: 1000, ..options(seed) };
    let family = family(&metrics, plan, &options, seed);
    let decisions = decide(&family, ALPHA);
    (family, decisions)
}

#[test]
fn at_most_one_null_run_in_twenty_calls_a_difference() {
    let alarms = (0..1000)
        .filter(|seed| {
            let (_, decisions) = workload(&SAME, Plan::new(12, 20), *seed);
            assert_eq!(decisions.len(), 14);
            decisions.iter().any(|d| d.verdict.differs())
        })
        .count();
    assert!(alarms <= 50, "{alarms} of 1000");
    // A method that never says anything would pass the line above too.
    assert!(alarms > 0);
}

fn called_dearer(plan: Plan) -> usize {
    (0..400)
        .filter(|seed| {
            let (_, decisions) = workload(&DEARER, plan, 10_000 + seed);
            decisions.last().map(|d| d.verdict) == Some(Verdict::Dearer)
        })
        .count()
}

#[test]
fn two_percent_on_cost_is_called_in_95_of_100_runs_of_the_default_budget() {
    let called = called_dearer(DEFAULT);
    assert!(called >= 380, "{called} of 400");
}

#[test]
fn an_effect_of_the_detectable_size_is_called_in_80_of_100_runs() {
    // Ten rounds are where the sign-flip test is bluntest.
    for plan in [Plan::new(10, 20), Plan::new(12, 20), Plan::new(20, 12)] {
        let runs = 400;
        let mdes = (0..100).map(|seed| workload(&SAME, plan, seed).1[13].mde);
        let mde = mdes.sum::<f64>() / 100.0;
        let mut effects = SAME;
        effects[5] = mde;
        let called = (0..runs)
            .filter(|seed| workload(&effects, plan, 50_000 + seed).1[13].verdict.worse())
            .count();
        let power = called as f64 / runs as f64;
        assert!((0.74..0.86).contains(&power), "{plan:?}: {mde}, {power}");
    }
}

#[test]
fn the_interval_covers_the_truth_as_often_as_it_says() {
    for noise in [Noise::cpu_time(), Noise::throughput()] {
        for (rounds, effect) in [(10, 0.0), (12, 0.0), (12, 0.02), (20, -0.1)] {
            let runs = 2000;
            let covered = (0..runs)
                .filter(|seed| {
                    let run = Run::new(&noise, &[effect], Plan::new(rounds, 20), *seed);
                    estimate(&run.paired(1), &options(*seed)).is_some_and(|e| e.holds(1.0 + effect))
                })
                .count();
            let coverage = covered as f64 / runs as f64;
            assert!(
                (0.93..=0.98).contains(&coverage),
                "{coverage} at {rounds} rounds, effect {effect}, {:?}",
                noise.better
            );
        }
    }
}

#[test]
fn throughput_slices_deviate_by_at_least_a_fifth() {
    let deviation = (0..200)
        .map(|seed| Run::new(&Noise::throughput(), &SAME, Plan::new(12, 20), seed))
        .map(|run| run.slice_deviation())
        .sum::<f64>()
        / 200.0;
    assert!(deviation >= 0.20, "{deviation}");
}

#[test]
fn a_control_that_differs_makes_its_metric_inconclusive_and_no_other() {
    let mut effects = SAME;
    effects[5] = 0.05;
    let mut checked = 0;
    for seed in 0..20 {
        let (mut family, before) = workload(&effects, Plan::new(12, BLOCKS), seed);
        // One true control in a hundred differs by chance.
        if before[13].verdict != Verdict::Dearer {
            continue;
        }
        checked += 1;
        // Now the lane that differs is the cost's control.
        family[7].control = false;
        family[13].control = true;
        let after = decide(&family, ALPHA);
        let undecided = |d: &Decision| d.verdict == Verdict::Inconclusive;
        assert!(after[7..].iter().all(undecided));
        assert_eq!(after[..7], before[..7]);
    }
    assert!(checked >= 18, "{checked}");
}

#[test]
fn the_same_seed_gives_the_same_decisions() {
    let plan = Plan::new(12, 5);
    assert_eq!(workload(&DEARER, plan, 3).1, workload(&DEARER, plan, 3).1);
    assert_ne!(workload(&DEARER, plan, 3).1, workload(&DEARER, plan, 4).1);
}
