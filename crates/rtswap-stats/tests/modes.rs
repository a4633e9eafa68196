//! Two modes of a lane: found where they are, and not found where they are not. Fixed seeds.

use rtswap_stats::simulate::{Lasts, Mode, Noise, Plan, Run};
use rtswap_stats::{Modes, modes};

const RUNS: u64 = 1000;

/// What is found in a lane of runs of six lanes.
fn found(noise: &Noise, mode: Option<Mode>, plan: Plan, runs: u64) -> Vec<Modes> {
    let of: Vec<(usize, Mode)> = mode.iter().map(|mode| (2, *mode)).collect();
    let run = |seed| Run::with_modes(noise, &[0.0; 5], &of, plan, seed);
    (0..runs).filter_map(|seed| modes(&run(seed).paired_to_each(2).rounds)).collect()
}

#[test]
fn modes_has_false_alarms_below_one_percent() {
    let cpu = Noise::cpu_time();
    for noise in [cpu, Noise::throughput(), cpu.stale(), cpu.heavy_tailed()] {
        for plan in [
            Plan::new(8, 4),
            Plan::new(10, 8),
            Plan::new(12, 2),
            Plan::new(16, 8),
            Plan::new(32, 8),
        ] {
            let alarms = found(&noise, None, plan, RUNS).len();
            assert!(alarms < RUNS as usize / 100, "{plan:?}: {alarms} of {RUNS}");
        }
    }
}

#[test]
fn modes_finds_processes_that_differ() {
    let mode = Mode { gap: 0.4, share_high: 0.5, lasts: Lasts::Process };
    let found = found(&Noise::cpu_time(), Some(mode), Plan::new(16, 8), 200);
    assert!(found.len() >= 180, "{} of 200", found.len());
    assert!(found.iter().filter(|it| it.by_round).count() >= found.len() - 2);
    let mean = |of: fn(&Modes) -> f64| found.iter().map(of).sum::<f64>() / found.len() as f64;
    assert!((mean(|it| it.share_high) - 0.5).abs() < 0.05);
    assert!((mean(|it| (it.high / it.low).ln()) - 0.4).abs() < 0.02);
    assert!(found.iter().all(|it| it.low < 1.0 && it.high > 1.0));
}

#[test]
fn modes_finds_mode_that_changes_within_rounds() {
    let mode = Mode { gap: 0.5, share_high: 0.5, lasts: Lasts::Slices(20.0) };
    let found = found(&Noise::cpu_time(), Some(mode), Plan::new(32, 8), 200);
    assert!(found.len() >= 190, "{} of 200", found.len());
    assert!(found.iter().filter(|it| it.by_round).count() <= 10);
    let share = found.iter().map(|it| it.share_high).sum::<f64>() / found.len() as f64;
    assert!((share - 0.5).abs() < 0.05, "{share}");
}

#[test]
fn modes_of_exact_counts_are_relative_to_centre() {
    let rounds: Vec<Vec<f64>> =
        (0..10).map(|round| vec![if round % 3 == 0 { 2_f64.ln() } else { 0.0 }; 3]).collect();
    let modes = modes(&rounds).unwrap();
    // With four rounds of ten in the higher mode, the centre lies between both.
    assert!(
        (modes.low - 0.5_f64.sqrt()).abs() < 1e-12 && (modes.high - 2_f64.sqrt()).abs() < 1e-12
    );
    assert!(modes.by_round && (modes.share_high - 0.4).abs() < 1e-12);
}

#[test]
fn modes_is_none_for_few_equal_or_missing_values() {
    assert_eq!(modes(&[]), None);
    assert_eq!(modes(&[vec![], vec![f64::NAN, f64::INFINITY]]), None);
    assert_eq!(modes(&vec![vec![0.1; 20]; 20]), None);
    let two_of_ten: Vec<Vec<f64>> =
        (0..10).map(|round| vec![f64::from(u8::from(round < 2)); 4]).collect();
    assert_eq!(modes(&two_of_ten), None);
}
