//! Change points against a known truth. Fixed seeds.

use rtswap_stats::changes::{Found, Loss, Point, Search};
use rtswap_stats::simulate::{Errors, Step, history};

fn find(points: &[Point]) -> Found {
    Search::default().find(points)
}

fn points(values: &[f64]) -> Vec<Point> {
    values.iter().map(|value| Point { value: *value, se: 0.005 }).collect()
}

/// Mean over `runs` seeds.
fn mean(runs: u64, figure: impl Fn(u64) -> f64) -> f64 {
    (0..runs).map(figure).sum::<f64>() / runs as f64
}

#[test]
fn find_has_at_most_one_false_change_in_200_commits() {
    for errors in Errors::ALL {
        let count = |seed| find(&history(errors, 200, None, 1_000 + seed)).changes.len() as f64;
        let found = mean(300, count);
        assert!(found <= 0.2, "{errors:?}: {found}");
    }
}

#[test]
fn find_has_at_most_one_false_change_in_200_commits_if_every_push_looks() {
    // The two with the most.
    for errors in [Errors::HeavyTailed, Errors::Layout] {
        let ever = mean(30, |seed| {
            let points = history(errors, 200, None, 2_000 + seed);
            let mut seen: Vec<usize> = Vec::new();
            for n in 2..=points.len() {
                for change in find(&points[..n]).changes {
                    if seen.iter().all(|place| place.abs_diff(change.at) > 3) {
                        seen.push(change.at);
                    }
                }
            }
            seen.len() as f64
        });
        assert!(ever <= 1.0, "{errors:?}: {ever}");
    }
}

fn stepped(errors: Errors, size: f64, commits: usize, seed: u64) -> Found {
    let step = Step { at: 60, size: f64::ln_1p(size) };
    find(&history(errors, 60 + commits, Some(step), 3_000 + seed))
}

#[test]
fn find_sees_two_percent_within_eight_commits() {
    for (errors, least) in
        [(Errors::Stated, 0.95), (Errors::Misjudged, 0.93), (Errors::HeavyTailed, 0.8)]
    {
        let found = mean(200, |seed| {
            let changes = stepped(errors, 0.02, 8, seed).changes;
            let near = changes.iter().any(|it| it.step > 0.0 && it.at.abs_diff(60) <= 3);
            f64::from(near)
        });
        assert!(found >= least, "{errors:?}: {found}");
    }
}

#[test]
fn range_holds_step_in_nine_of_ten() {
    for errors in [Errors::Stated, Errors::Misjudged, Errors::HeavyTailed] {
        let (mut found, mut held) = (0_u32, 0_u32);
        for change in (0..200).flat_map(|seed| stepped(errors, 0.02, 20, seed).changes) {
            assert!(change.earliest <= change.at && change.at <= change.latest, "{change:?}");
            found += 1;
            held += u32::from((change.earliest..=change.latest).contains(&60));
        }
        let share = f64::from(held) / f64::from(found);
        assert!(share >= 0.88, "{errors:?}: {share}");
    }
}

#[test]
fn find_gives_level_and_step_with_standard_error() {
    let mut values = vec![0.001, -0.001, 0.0, 0.002, -0.002, 0.001, -0.001, 0.0];
    values.extend([0.041, 0.039, 0.04, 0.042, 0.038, 0.04]);
    let found = find(&points(&values));
    let [change] = found.changes[..] else { panic!("{found:?}") };
    assert_eq!((change.at, change.earliest, change.latest), (8, 8, 8));
    assert!((change.step - 0.04).abs() < 0.002, "{change:?}");
    assert!(change.se > 0.002 && change.se < 0.006, "{change:?}");
    let ends: Vec<_> = found.segments.iter().map(|it| (it.start, it.end)).collect();
    assert_eq!(ends, [(0, 8), (8, 14)]);
}

#[test]
fn single_wild_point_is_no_change() {
    let mut values = vec![0.0; 30];
    for (at, value) in values.iter_mut().enumerate() {
        *value = [0.002, -0.003, 0.001, -0.001][at % 4];
    }
    values[12] = 0.3;
    assert!(find(&points(&values)).changes.is_empty());
}

#[test]
fn precise_points_outweigh_vague_ones() {
    // The vague ones say 5 % more from the middle on, the precise ones do not.
    let value = |at: usize| match at {
        20.. if at.is_multiple_of(2) => Point { value: 0.05, se: 0.05 },
        _ => Point { value: [0.001, -0.001, 0.0005][at % 3], se: 0.002 },
    };
    let found = find(&(0..40).map(value).collect::<Vec<_>>());
    assert!(found.changes.is_empty(), "{found:?}");
}

#[test]
fn search_finds_partition_of_least_cost() {
    // Against all 2^(n-1) partitions.
    for loss in [Loss::Absolute, Loss::Squares] {
        for seed in 0..40 {
            let step = Step { at: 5, size: 0.03 };
            let mut points = history(Errors::HeavyTailed, 10, Some(step), seed);
            // Equal values share a rank's weight.
            points[3].value = points[7].value;
            let search = Search { loss, penalty: 1.5, shortest: 1, slack: 1.0 };
            let found = search.find(&points);
            let ends: Vec<usize> = found.segments.iter().map(|it| it.end).collect();
            let by_hand = (0..1_u32 << (points.len() - 1)).map(|cuts| {
                let cut = |at: &usize| *at == points.len() || cuts & (1 << (at - 1)) != 0;
                (1..=points.len()).filter(cut).collect::<Vec<usize>>()
            });
            let cost = |ends: &[usize]| cost(loss, &points, found.scale, ends);
            let least = by_hand.map(|ends| cost(&ends)).fold(f64::INFINITY, f64::min);
            assert!((cost(&ends) - least).abs() < 1e-9, "{loss:?} {seed}: {} {least}", cost(&ends));
        }
    }
}

/// The cost of a partition, by trying every point's value for a median.
fn cost(loss: Loss, points: &[Point], scale: f64, ends: &[usize]) -> f64 {
    let mut start = 0;
    let mut total = 0.0;
    for end in ends {
        let segment = &points[start..*end];
        let distance = |level: f64| -> f64 {
            let each = segment.iter().map(|it| (it.value - level) / (it.se * scale));
            each.map(|z| if loss == Loss::Absolute { z.abs() } else { z * z }).sum()
        };
        total += 1.5;
        total += match loss {
            Loss::Absolute => {
                segment.iter().map(|it| distance(it.value)).fold(f64::INFINITY, f64::min)
            }
            Loss::Squares => {
                let weight = |it: &Point| it.se.powi(-2);
                let sum: f64 = segment.iter().map(weight).sum();
                distance(segment.iter().map(|it| it.value * weight(it)).sum::<f64>() / sum)
            }
        };
        start = *end;
    }
    total
}

#[test]
fn short_series_have_one_segment_or_none() {
    assert_eq!(find(&[]).segments, []);
    assert_eq!(find(&[]).changes, []);
    let one = find(&points(&[0.01]));
    assert_eq!((one.segments.len(), one.segments[0].level), (1, 0.01));
    assert_eq!(find(&points(&[0.0, 0.5])).segments.len(), 1);
    assert_eq!(find(&points(&[0.0; 12])).segments.len(), 1);
}

#[test]
#[should_panic(expected = "needs a value and a standard error")]
fn find_rejects_point_without_error() {
    find(&[Point { value: 0.0, se: 0.0 }]);
}
