//! The method against a known truth, under the noise of a shared machine. Fixed seeds.

use rtswap_stats::simulate::{Noise, Plan, Run, family};
use rtswap_stats::{Comparison, Decision, Options, Reason, Verdict, decide, estimate};

const ALPHA: f64 = 0.05;

/// Six lanes; `family` adds the control.
const SAME: [f64; 6] = [0.0; 6];

/// One lane uses 2 % more CPU time than the reference.
const WORSE: [f64; 6] = [0.0, 0.0, 0.0, 0.0, 0.0, 0.02];

/// The plan of the default budget of two minutes for one workload on all lanes: the tests of
/// `rtswap-harness` hold its planner to at least this.
const DEFAULT: Plan = Plan::new(32, 16);

/// Blocks of an ordinary plan.
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
fn decide_has_at_most_five_percent_false_alarms() {
    let alarms = (0..1000)
        .filter(|seed| {
            let (_, decisions) = workload(&SAME, Plan::new(12, 20), *seed);
            assert_eq!(decisions.len(), 14);
            decisions.iter().any(|d| d.verdict != Verdict::Undecided)
        })
        .count();
    assert!(alarms <= 50, "{alarms} of 1000");
    // A method that never finds a difference would pass the line above too.
    assert!(alarms > 0);
}

fn found_worse(plan: Plan) -> usize {
    (0..400)
        .filter(|seed| {
            let (_, decisions) = workload(&WORSE, plan, 10_000 + seed);
            decisions.last().map(|d| d.verdict) == Some(Verdict::Worse)
        })
        .count()
}

#[test]
fn decide_finds_two_percent_in_95_of_100_runs_of_the_default_plan() {
    let found = found_worse(DEFAULT);
    assert!(found >= 380, "{found} of 400");
}

#[test]
fn decide_finds_detectable_effect_in_80_of_100_runs() {
    // Ten rounds are where the sign-flip test is bluntest.
    for plan in [Plan::new(10, 20), Plan::new(12, 20), Plan::new(20, 12)] {
        let runs = 400;
        let mdes = (0..100).map(|seed| workload(&SAME, plan, seed).1[13].mde);
        let mde = mdes.sum::<f64>() / 100.0;
        let mut effects = SAME;
        effects[5] = mde;
        let found = (0..runs)
            .filter(|seed| workload(&effects, plan, 50_000 + seed).1[13].verdict == Verdict::Worse)
            .count();
        let power = found as f64 / runs as f64;
        assert!((0.74..0.86).contains(&power), "{plan:?}: {mde}, {power}");
    }
}

#[test]
fn interval_covers_true_ratio_at_stated_confidence() {
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
                noise.direction
            );
        }
    }
}

#[test]
fn simulated_throughput_deviates_by_a_fifth_between_slices() {
    let deviation = (0..200)
        .map(|seed| Run::new(&Noise::throughput(), &SAME, Plan::new(12, 20), seed))
        .map(|run| run.slice_deviation())
        .sum::<f64>()
        / 200.0;
    assert!(deviation >= 0.20, "{deviation}");
}

#[test]
fn control_that_differs_leaves_its_metric_undecided_and_no_other() {
    let mut effects = SAME;
    effects[5] = 0.05;
    let mut checked = 0;
    for seed in 0..20 {
        let (mut family, before) = workload(&effects, Plan::new(12, BLOCKS), seed);
        // One true control in a hundred differs by chance.
        if before[13].verdict != Verdict::Worse {
            continue;
        }
        checked += 1;
        // Now the lane that differs is the cost's control.
        family[7].control = false;
        family[13].control = true;
        let after = decide(&family, ALPHA);
        let broken = |d: &Decision| d.reason == Some(Reason::ControlDiffers);
        assert!(after[7..].iter().all(broken));
        assert_eq!(after[..7], before[..7]);
    }
    assert!(checked >= 18, "{checked}");
}

#[test]
fn decisions_depend_on_data_and_seed_alone() {
    let plan = Plan::new(12, 5);
    assert_eq!(workload(&WORSE, plan, 3).1, workload(&WORSE, plan, 3).1);
    assert_ne!(workload(&WORSE, plan, 3).1, workload(&WORSE, plan, 4).1);
}
