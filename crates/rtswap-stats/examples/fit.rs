//! The noise model of `rtswap_stats::simulate` against records.
//!
//! `cargo run --release -p rtswap-stats --example fit RECORD… [--plot FILE.svg]`, some seconds. Printed are, for the model and for each
//! record (medians over its workloads):
//! - the deviation of the reference's slices around their median;
//! - the correlation of a slice with the one 1, 2, 4, 8 and 16 slices later, whatever their lanes;
//! - the deviation of the log ratios of two processes of the reference, over the blocks of a round;
//! - the deviation of the medians of rounds, of all lanes, and their tails: kurtosis (3 for a normal distribution) and the
//!   share beyond three robust standard deviations.
//!
//! The model is simulated with the rounds, blocks and lanes of the workload with the most rounds.

mod plot;
mod records;

use records::{Figure, Series, mean, median};
use rtswap_stats::simulate::{Noise, Plan, Run};

/// Distances of two slices.
pub const LAGS: [usize; 5] = [1, 2, 4, 8, 16];

/// What is compared.
pub struct Statistics {
    pub name: String,
    pub slice_deviation: f64,
    pub correlations: [f64; LAGS.len()],
    pub pair_deviations: [f64; 2],
    pub round_deviation: f64,
    /// The distances of all medians of rounds from their cell's median, in robust standard deviations, ascending.
    pub rounds: Vec<f64>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut paths: Vec<String> = std::env::args().skip(1).collect();
    let plot = match paths.iter().position(|arg| arg == "--plot") {
        Some(at) if at + 1 < paths.len() => {
            Some(paths.drain(at..at + 2).nth(1).unwrap_or_default())
        }
        Some(_) => return Err("--plot without a file: name one, such as fit.svg".into()),
        None => None,
    };
    let all = records::read(paths.into_iter())?;
    let mut panels = Vec::new();
    for (figure, title, noise) in [
        (Figure::Cpu, "CPU time per operation", Noise::cpu_time()),
        (Figure::Time, "time per operation, closed loop", Noise::throughput()),
    ] {
        let mut records: Vec<(&str, Vec<&Series>)> = Vec::new();
        for series in all.iter().filter(|series| series.figure == figure) {
            match records.last_mut() {
                Some((name, of)) if *name == series.record => of.push(series),
                _ => records.push((&series.record, vec![series])),
            }
        }
        let like = records.iter().flat_map(|(_, of)| of).max_by_key(|series| series.rounds.len());
        let Some(like) = like else { continue };
        let simulated: Vec<Series> = (0..40).map(|seed| simulated(&noise, like, seed)).collect();
        let mut rows = vec![statistics("model", &simulated.iter().collect::<Vec<_>>())];
        rows.extend(records.iter().map(|(name, of)| statistics(name, of)));
        println!(
            "{title}\n{:24} slices   {}  pairs  robust   rounds  kurtosis  beyond 3",
            "",
            LAGS.map(|lag| format!("lag {lag:2}")).join("  ")
        );
        for row in &rows {
            let correlations = row.correlations.map(|it| format!("{it:6.2}")).join("  ");
            let beyond = row.rounds.iter().filter(|x| x.abs() > 3.0).count() as f64
                / row.rounds.len() as f64;
            println!(
                "{:24} {:4.1} %   {correlations}  {:4.1} %  {:4.1} %  {:4.2} %   {:7.1}  {:6.1} %",
                row.name,
                100.0 * row.slice_deviation,
                100.0 * row.pair_deviations[0],
                100.0 * row.pair_deviations[1],
                100.0 * row.round_deviation,
                kurtosis(&row.rounds),
                100.0 * beyond
            );
        }
        println!();
        panels.push((title, rows));
    }
    if let Some(path) = plot {
        std::fs::write(&path, plot::svg(&panels)?)
            .map_err(|error| format!("cannot write {path}: {error}"))?;
    }
    Ok(())
}

/// The model's slices in the shape of a record's.
fn simulated(noise: &Noise, like: &Series, seed: u64) -> Series {
    let lanes = 2 + like.cells().count();
    let blocks = like.rounds.iter().map(Vec::len).max().unwrap_or(1);
    let run = Run::new(noise, &vec![0.0; lanes - 1], Plan::new(like.rounds.len(), blocks), seed);
    let block = |(figures, order): (&Vec<f64>, &Vec<usize>)| {
        order.iter().map(|lane| (*lane, figures[*lane])).collect()
    };
    let rounds = run.figures.iter().zip(&run.orders);
    Series {
        record: "model".to_owned(),
        figure: like.figure,
        lanes: (0..lanes).map(|lane| lane.to_string()).collect(),
        rounds: rounds
            .map(|(figures, orders)| figures.iter().zip(orders).map(block).collect())
            .collect(),
    }
}

fn statistics(name: &str, of: &[&Series]) -> Statistics {
    let over =
        |statistic: &dyn Fn(&Series) -> f64| median(of.iter().map(|series| statistic(series)));
    let mut rounds: Vec<f64> = of
        .iter()
        .flat_map(|series| series.cells().flat_map(|lane| standardised(series, lane)))
        .collect();
    rounds.sort_unstable_by(f64::total_cmp);
    Statistics {
        name: name.to_owned(),
        slice_deviation: over(&|series| deviation(&slices(series, 0).collect::<Vec<_>>())),
        correlations: LAGS.map(|lag| over(&|series| correlation(series, lag))),
        pair_deviations: [deviation as fn(&[f64]) -> f64, robust_deviation]
            .map(|deviation| over(&|series| deviation(&pairs(series)))),
        round_deviation: over(&|series| {
            median(series.cells().map(|lane| robust_deviation(&round_medians(series, lane))))
        }),
        rounds,
    }
}

/// The log ratios of the two processes of the reference, less their median in the round.
fn pairs(series: &Series) -> Vec<f64> {
    let rounds = ratios_to_first(series, 1).into_iter().map(|round| {
        let centre = median(round.iter().copied());
        round.into_iter().map(move |x| x - centre)
    });
    rounds.flatten().collect()
}

fn slices(series: &Series, lane: usize) -> impl Iterator<Item = f64> {
    series
        .rounds
        .iter()
        .flatten()
        .flatten()
        .filter(move |slice| slice.0 == lane)
        .map(|slice| slice.1)
}

/// Correlation of slices `lag` slices apart within a round, each less its lane's median over the run.
fn correlation(series: &Series, lag: usize) -> f64 {
    let levels: Vec<f64> =
        (0..series.lanes.len()).map(|lane| median(slices(series, lane))).collect();
    let (mut products, mut pairs, mut squares, mut count) = (0.0, 0.0, 0.0, 0.0);
    for round in &series.rounds {
        let rest: Vec<f64> =
            round.iter().flatten().map(|slice| slice.1 - levels[slice.0]).collect();
        for (at, x) in rest.iter().enumerate() {
            (squares, count) = (squares + x * x, count + 1.0);
            if let Some(y) = rest.get(at + lag) {
                (products, pairs) = (products + x * y, pairs + 1.0);
            }
        }
    }
    (products / pairs) / (squares / count)
}

fn round_medians(series: &Series, lane: usize) -> Vec<f64> {
    ratios_to_both(series, lane).into_iter().filter(|round| !round.is_empty()).map(median).collect()
}

fn standardised(series: &Series, lane: usize) -> Vec<f64> {
    let rounds = round_medians(series, lane);
    let (centre, scale) = (median(rounds.iter().copied()), robust_deviation(&rounds));
    rounds.iter().map(|x| (x - centre) / scale).filter(|x| x.is_finite()).collect()
}

fn robust_deviation(values: &[f64]) -> f64 {
    let centre = median(values.iter().copied());
    1.4826 * median(values.iter().map(|x| (x - centre).abs()))
}

fn deviation(values: &[f64]) -> f64 {
    let centre = mean(values);
    (values.iter().map(|x| (x - centre).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

fn kurtosis(values: &[f64]) -> f64 {
    let centre = mean(values);
    let moment = |power: i32| {
        values.iter().map(|x| (x - centre).powi(power)).sum::<f64>() / values.len() as f64
    };
    moment(4) / moment(2).powi(2)
}

/// The log ratios of a lane to both processes of the reference, by round: two for each block.
fn ratios_to_both(series: &Series, lane: usize) -> Vec<Vec<f64>> {
    ratios(series, lane, &[0, 1])
}

/// The log ratios of a lane to the reference alone.
fn ratios_to_first(series: &Series, lane: usize) -> Vec<Vec<f64>> {
    ratios(series, lane, &[0])
}

fn ratios(series: &Series, lane: usize, references: &[usize]) -> Vec<Vec<f64>> {
    let of = |block: &[(usize, f64)], lane: usize| {
        block.iter().find(|slice| slice.0 == lane).map(|slice| slice.1)
    };
    let block = |block: &Vec<(usize, f64)>| -> Vec<f64> {
        let all = references
            .iter()
            .filter_map(|to| Some(of(block, lane)? - of(block, *to)?))
            .collect::<Vec<_>>();
        if all.len() == references.len() { all } else { Vec::new() }
    };
    series.rounds.iter().map(|round| round.iter().flat_map(block).collect()).collect()
}
