//! Re-analysis of records by random halves of their rounds: which estimator has the smallest error?
//!
//! `cargo run --release -p rtswap-stats --example halves RECORD…`, some seconds for each record. The rounds of a cell are
//! divided at random into two halves, again and again. Both halves measure the same thing, so the difference of
//! an estimator between them is error. Printed is its root mean square relative to that of the first estimator,
//! as the geometric mean over all cells (lane × workload) of a record, for CPU time per operation and, in closed
//! loops, for time per operation.
//!
//! Below that is the mean over all cells of what an estimator says more than the chosen one. The chosen one has no bias if lane and
//! reference are the same program, because they can be exchanged: what another one says more of all lanes alike is bias.
//!
//! What differs from run to run and not from round to round is not seen.

mod records;

use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_pcg::Pcg64Mcg;
use records::{Figure, Series, mean, median};

const SPLITS: u64 = 200;

/// What a round says of a lane, for one way of looking at slices.
#[derive(Clone, Copy)]
enum Slices {
    /// Against the reference.
    One,
    /// Against the mean of the reference and its second process.
    Both,
    /// Against each of them, as two values.
    Each,
    /// Against both, after the trend of the slices around each has been taken from it.
    Trend(usize, f64),
    /// Against each, after the same.
    TrendEach(usize, f64),
    /// Against both, after the median of all lanes of the block has been taken from it.
    Common,
    /// Against the reference slice that is nearer in time.
    Nearest,
}

type Centre = fn(&[f64]) -> f64;

/// Name, slices, centre within a round, centre over rounds.
type Estimator = (&'static str, Slices, Centre, Centre);

/// Of [`ESTIMATORS`].
const CHOSEN: usize = 4;

const ESTIMATORS: [Estimator; 17] = [
    ("one reference, median, mean", Slices::One, middle, mean),
    ("one, median, Hodges-Lehmann", Slices::One, middle, hodges_lehmann),
    ("mean of two, median, mean", Slices::Both, middle, mean),
    ("mean of two, median, Hodges-Lehmann", Slices::Both, middle, hodges_lehmann),
    ("each of two, median, Hodges-Lehmann (chosen)", Slices::Each, middle, hodges_lehmann),
    ("each of two, median, median", Slices::Each, middle, middle),
    ("each of two, midmean, Hodges-Lehmann", Slices::Each, midmean, hodges_lehmann),
    ("each of two, Hodges-Lehmann twice", Slices::Each, hodges_lehmann, hodges_lehmann),
    ("each of two, median, midmean", Slices::Each, middle, midmean),
    (
        "mean of two, trend +-2, median, Hodges-Lehmann",
        Slices::Trend(2, 1.0),
        middle,
        hodges_lehmann,
    ),
    (
        "mean of two, trend +-4, median, Hodges-Lehmann",
        Slices::Trend(4, 1.0),
        middle,
        hodges_lehmann,
    ),
    (
        "mean of two, trend +-8, median, Hodges-Lehmann",
        Slices::Trend(8, 1.0),
        middle,
        hodges_lehmann,
    ),
    (
        "each of two, trend +-4, median, Hodges-Lehmann",
        Slices::TrendEach(4, 1.0),
        middle,
        hodges_lehmann,
    ),
    (
        "each of two, half of it, median, Hodges-Lehmann",
        Slices::TrendEach(4, 0.5),
        middle,
        hodges_lehmann,
    ),
    ("mean of two, common mode, median, Hodges-Lehmann", Slices::Common, middle, hodges_lehmann),
    ("nearest of two, median, Hodges-Lehmann", Slices::Nearest, middle, hodges_lehmann),
    ("mean of two, mean, mean", Slices::Both, mean, mean),
];

/// One figure of one record.
struct Column<'a> {
    record: &'a str,
    figure: Figure,
    /// Of each cell and estimator: the estimate from all rounds and the log of its error.
    cells: Vec<[(f64, f64); ESTIMATORS.len()]>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let all = records::read(std::env::args().skip(1))?;
    let mut columns: Vec<Column> = Vec::new();
    for series in &all {
        let is_of =
            |column: &Column| column.record == series.record && column.figure == series.figure;
        let at = columns.iter().position(is_of).unwrap_or_else(|| {
            columns.push(Column {
                record: &series.record,
                figure: series.figure,
                cells: Vec::new(),
            });
            columns.len() - 1
        });
        columns[at].cells.extend(series.cells().map(|lane| {
            ESTIMATORS.map(|(_, slices, within, over)| {
                let rounds = values(series, lane, slices);
                let rounds =
                    rounds.iter().filter(|round| !round.is_empty()).map(|round| within(round));
                let rounds: Vec<f64> = rounds.collect();
                (over(&rounds), error(&rounds, over).ln())
            })
        }));
    }
    if columns.is_empty() {
        return Err(
            "no workload to analyse: name records with a reference, a control and another lane"
                .into(),
        );
    }
    for (at, column) in columns.iter().enumerate() {
        let first = median(column.cells.iter().map(|cell| cell[0].1)).exp();
        println!(
            "{at}: {}, {:?}, {} cells; standard error of the first line {:.2} %",
            column.record,
            column.figure,
            column.cells.len(),
            100.0 * first
        );
    }
    println!("\nStandard error relative to the first line");
    print(&columns, |column, i| {
        let relative: Vec<f64> = column.cells.iter().map(|cell| cell[i].1 - cell[0].1).collect();
        format!("{:5.2}", mean(&relative).exp())
    });
    println!("\nMedian over the cells of the difference from the chosen estimate, %");
    print(&columns, |column, i| {
        let difference = median(column.cells.iter().map(|cell| cell[i].0 - cell[CHOSEN].0));
        format!("{:5.2}", 100.0 * difference)
    });
    Ok(())
}

fn print(columns: &[Column], figure: impl Fn(&Column, usize) -> String) {
    print!("{:49}", "");
    for at in 0..columns.len() {
        print!("  {at:>5}");
    }
    println!();
    for (i, (name, ..)) in ESTIMATORS.iter().enumerate() {
        let row: Vec<String> = columns.iter().map(|column| figure(column, i)).collect();
        println!("{name:49}  {}", row.join("  "));
    }
}

/// Root mean square difference of the estimates from random halves, halved: the error of an estimate from all rounds.
fn error(rounds: &[f64], over: Centre) -> f64 {
    let mut rng = Pcg64Mcg::seed_from_u64(1);
    let mut rounds: Vec<f64> = rounds.iter().copied().filter(|x| x.is_finite()).collect();
    let half = rounds.len() / 2;
    let mut squares = 0.0;
    for _ in 0..SPLITS {
        rounds.shuffle(&mut rng);
        squares += (over(&rounds[..half]) - over(&rounds[half..2 * half])).powi(2);
    }
    (squares / SPLITS as f64).sqrt().max(1e-9) / 2.0
}

/// The log ratios of a lane, by round.
fn values(series: &Series, lane: usize, slices: Slices) -> Vec<Vec<f64>> {
    series
        .rounds
        .iter()
        .map(|round| {
            let adjusted = match slices {
                Slices::Trend(reach, share) | Slices::TrendEach(reach, share) => {
                    without_trend(round, reach, share)
                }
                Slices::Common => without_common_mode(round),
                _ => round.clone(),
            };
            adjusted.iter().flat_map(|block| ratios(block, lane, slices)).collect()
        })
        .collect()
}

fn ratios(block: &[(usize, f64)], lane: usize, slices: Slices) -> Vec<f64> {
    let at = |lane: usize| block.iter().position(|slice| slice.0 == lane);
    let (Some(mine), Some(first), Some(second)) = (at(lane), at(0), at(1)) else {
        return Vec::new();
    };
    let to = |reference: usize| block[mine].1 - block[reference].1;
    match slices {
        Slices::One => vec![to(first)],
        Slices::Each | Slices::TrendEach(..) => vec![to(first), to(second)],
        Slices::Nearest => {
            vec![if mine.abs_diff(first) < mine.abs_diff(second) { to(first) } else { to(second) }]
        }
        _ => vec![f64::midpoint(to(first), to(second))],
    }
}

type Round = Vec<Vec<(usize, f64)>>;

/// How far each slice of a round lies from the median of its lane.
fn residuals(round: &Round) -> Vec<f64> {
    let slices: Vec<(usize, f64)> = round.iter().flatten().copied().collect();
    let lanes = slices.iter().map(|slice| slice.0 + 1).max().unwrap_or(0);
    let level =
        |lane: usize| median(slices.iter().filter(|slice| slice.0 == lane).map(|slice| slice.1));
    let levels: Vec<f64> = (0..lanes).map(level).collect();
    slices.iter().map(|slice| slice.1 - levels[slice.0]).collect()
}

fn without_trend(round: &Round, reach: usize, share: f64) -> Round {
    let residuals = residuals(round);
    let mut at = 0;
    let mut adjust = |slice: &(usize, f64)| {
        let from = at.max(reach) - reach;
        let to = (at + reach + 1).min(residuals.len());
        let around: Vec<f64> = (from..to).filter(|i| *i != at).map(|i| residuals[i]).collect();
        at += 1;
        (slice.0, if around.is_empty() { slice.1 } else { slice.1 - share * middle(&around) })
    };
    round.iter().map(|block| block.iter().map(&mut adjust).collect()).collect()
}

fn without_common_mode(round: &Round) -> Round {
    let residuals = residuals(round);
    let mut at = 0;
    round
        .iter()
        .map(|block| {
            let common = middle(&residuals[at..at + block.len()]);
            at += block.len();
            block.iter().map(|slice| (slice.0, slice.1 - common)).collect()
        })
        .collect()
}

fn middle(values: &[f64]) -> f64 {
    median(values.iter().copied())
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
    middle(&(0..values.len()).flat_map(pairs).collect::<Vec<_>>())
}
