//! Change points of simulated histories: the figures behind the defaults of `changes::Search`.
//!
//! `cargo run --release -p rtswap-stats --example changes`, two minutes. `simulate::history` says what is simulated.

use std::ops::RangeInclusive;

use rtswap_stats::changes::{Found, Loss, Search};
use rtswap_stats::simulate::{Errors, Step, history};

const RUNS: u64 = 400;
const COMMITS: usize = 200;

fn main() {
    let errors: Vec<String> = Errors::ALL.iter().map(|errors| format!("{errors:?}")).collect();
    println!("False changes in {COMMITS} commits that change nothing, mean of {RUNS} histories:");
    println!("  loss      shortest  penalty   {}", heads(&errors));
    for (loss, shortest, penalty) in candidates() {
        let search = Search { loss, shortest, penalty, ..Search::default() };
        let count = |errors| mean(RUNS, |seed| constant(&search, errors, COMMITS, seed));
        println!("  {loss:8?}  {shortest:8}  {penalty:7.0}   {}", row(Errors::ALL.map(count), 3));
    }

    let search = Search::default();
    println!("\nThe defaults ({search:?}), by the number of commits:");
    println!("  commits   {}", heads(&errors));
    for commits in [5, 10, 20, 50, 100, 200, 400] {
        let count = |errors| mean(RUNS, |seed| constant(&search, errors, commits, seed));
        println!("  {commits:7}   {}", row(Errors::ALL.map(count), 3));
    }
    println!(
        "\nThe same if every push looks: places at which a change is ever shown in {COMMITS} commits:"
    );
    println!(
        "            {}",
        row(Errors::ALL.map(|it| mean(40, |seed| ever(&search, it, seed))), 3)
    );

    println!("\nShare of steps that are found, in %, by the commits since (after 60 others):");
    println!("  step   commits   {}", heads(&errors));
    for size in [0.05, 0.02, 0.01] {
        for commits in [2, 3, 4, 5, 8, 12, 20, 40] {
            let share =
                |errors| 100.0 * mean(RUNS, |seed| is_found(&search, errors, size, commits, seed));
            println!("  {:3.0} %   {commits:7}   {}", 100.0 * size, row(Errors::ALL.map(share), 0));
        }
    }

    let squares = Search { loss: Loss::Squares, penalty: 30.0, ..search };
    let share = |errors| 100.0 * mean(RUNS, |seed| is_found(&squares, errors, 0.02, 8, seed));
    println!("  with squares and a penalty of 30:");
    println!("    2 %         8   {}", row(Errors::ALL.map(share), 0));

    println!(
        "\nShare of found steps whose range holds the step, in % (mean number of places in it):"
    );
    println!("  step   slack   {}", heads(&errors));
    for size in [0.05, 0.02, 0.01] {
        for slack in [1.0, 2.0, 3.0] {
            let search = Search { slack, ..search };
            let share = |errors| format!("{:>12}", ranges(&search, errors, size));
            println!(
                "  {:3.0} %   {slack:5.1}   {}",
                100.0 * size,
                Errors::ALL.map(share).concat()
            );
        }
    }
}

fn candidates() -> Vec<(Loss, usize, f64)> {
    let of = |loss, penalties: &[f64]| {
        let all =
            (1..=3).flat_map(|shortest| penalties.iter().map(move |it| (loss, shortest, *it)));
        all.collect::<Vec<_>>()
    };
    [of(Loss::Squares, &[8.0, 12.0, 20.0, 30.0]), of(Loss::Absolute, &[4.0, 5.0, 6.0, 8.0])]
        .concat()
}

/// Changes that are found where there is none.
fn constant(search: &Search, errors: Errors, commits: usize, seed: u64) -> f64 {
    search.find(&history(errors, commits, None, seed)).changes.len() as f64
}

/// Places at which a change is found with the first so many commits, for any number of them. Places less than four
/// commits apart count once.
fn ever(search: &Search, errors: Errors, seed: u64) -> f64 {
    let points = history(errors, COMMITS, None, seed);
    let mut seen: Vec<usize> = Vec::new();
    for n in 2..=COMMITS {
        for change in search.find(&points[..n]).changes {
            if seen.iter().all(|place| place.abs_diff(change.at) > 3) {
                seen.push(change.at);
            }
        }
    }
    seen.len() as f64
}

const AT: usize = 60;

fn stepped(search: &Search, errors: Errors, size: f64, commits: usize, seed: u64) -> Found {
    let step = Step { at: AT, size: size.ln_1p() };
    search.find(&history(errors, AT + commits, Some(step), 50_000 + seed))
}

/// Whether a rise is found within three commits of the step.
fn is_found(search: &Search, errors: Errors, size: f64, commits: usize, seed: u64) -> f64 {
    let near = |at: usize| at.abs_diff(AT) <= 3;
    let found = stepped(search, errors, size, commits, seed);
    f64::from(found.changes.iter().any(|change| change.step > 0.0 && near(change.at)))
}

fn ranges(search: &Search, errors: Errors, size: f64) -> String {
    let (mut found, mut holds, mut places) = (0_u32, 0_u32, 0);
    for seed in 0..RUNS {
        let changes = stepped(search, errors, size, 20, seed).changes;
        let nearest = changes.iter().min_by_key(|change| change.at.abs_diff(AT));
        if let Some(change) = nearest.filter(|change| change.step > 0.0) {
            let range: RangeInclusive<usize> = change.earliest..=change.latest;
            found += 1;
            holds += u32::from(range.contains(&AT));
            places += range.count();
        }
    }
    let found = f64::from(found);
    format!("{:.0} ({:.1})", 100.0 * f64::from(holds) / found, places as f64 / found)
}

fn mean(runs: u64, figure: impl Fn(u64) -> f64) -> f64 {
    (0..runs).map(figure).sum::<f64>() / runs as f64
}

fn heads(names: &[String]) -> String {
    names.iter().map(|name| format!("{name:>12}")).collect::<Vec<_>>().concat()
}

fn row(figures: [f64; 5], decimals: usize) -> String {
    figures.iter().map(|figure| format!("{figure:12.decimals$}")).collect::<Vec<_>>().concat()
}
