//! What `critcmp --export` writes: one baseline, here a lane.
//!
//! critcmp shows `mean` and `std_dev`. Both `mean` and `median` are the figure that rtswap reports, a median over
//! rounds, so that a disturbed round does not decide; the deviations are those of the rounds. Their standard errors
//! are those of normally distributed rounds. Only times are exported: critcmp reads all as nanoseconds.

use std::collections::BTreeMap;

use rtswap_stats::median;
use serde::Serialize;

use super::measure::Measure;
use super::series::each_round;
use super::{Export, ExportError, Series, json, name};
use crate::data::Data;
use crate::format;
use crate::summary::{Cell, Metric};

const TIMES: [Metric; 6] = [
    Metric::CpuNsPerOp,
    Metric::TotalCpuNsPerOp,
    Metric::P50Ns,
    Metric::P90Ns,
    Metric::P99Ns,
    Metric::P999Ns,
];

#[derive(Serialize)]
struct Baseline {
    name: String,
    benchmarks: BTreeMap<String, Benchmark>,
}

#[derive(Serialize)]
struct Benchmark {
    baseline: String,
    fullname: String,
    criterion_benchmark_v1: Info,
    criterion_estimates_v1: Estimates,
}

#[derive(Serialize)]
struct Info {
    group_id: String,
    function_id: String,
    value_str: Option<String>,
    throughput: Option<String>,
    full_id: String,
    directory_name: String,
}

#[derive(Serialize)]
struct Estimates {
    mean: Statistic,
    median: Statistic,
    median_abs_dev: Statistic,
    slope: Option<Statistic>,
    std_dev: Statistic,
}

#[derive(Clone, Copy, Serialize)]
struct Statistic {
    confidence_interval: Interval,
    point_estimate: f64,
    standard_error: f64,
}

#[derive(Clone, Copy, Serialize)]
struct Interval {
    confidence_level: f64,
    lower_bound: f64,
    upper_bound: f64,
}

pub(super) fn write(export: &Export) -> Result<String, ExportError> {
    let mut baselines: BTreeMap<&str, Baseline> = BTreeMap::new();
    for plan in &export.record.header.plan.workloads {
        let data = Data::of(export.record, plan);
        let its = export.series.iter().filter(|it| it.cell.name == plan.name);
        for series in its {
            let lane = series.cell.lane.as_str();
            let Some((full_id, benchmark)) = benchmark(&data, series) else { continue };
            let new = || Baseline { name: lane.to_owned(), benchmarks: BTreeMap::new() };
            baselines.entry(lane).or_insert_with(new).benchmarks.insert(full_id, benchmark);
        }
    }
    if baselines.len() > 1 {
        let lanes: Vec<String> = baselines.keys().map(|lane| format::one_line(lane)).collect();
        return Err(ExportError::Several {
            what: "lane",
            with: "--lane",
            found: format::list(&lanes),
        });
    }
    let one = baselines.into_values().next();
    one.map(|baseline| json(&baseline))
        .ok_or(ExportError::Nothing { what: "times of two rounds or more" })
}

fn benchmark(data: &Data, series: &Series) -> Option<(String, Benchmark)> {
    let Measure::Value(metric) = series.measure else { return None };
    if !TIMES.contains(&metric) {
        return None;
    }
    let Cell { lane, name, .. } = series.cell;
    let rounds = each_round(data, lane, metric);
    let rounds: Vec<f64> = rounds.into_values().filter(|it| it.is_finite()).collect();
    let estimates = estimates(series, &rounds)?;
    let group_id = name::encoded(name, "");
    let full_id = format!("{group_id}/{}", series.measure.name());
    let benchmark = Benchmark {
        baseline: lane.clone(),
        fullname: format!("{lane}/{full_id}"),
        criterion_benchmark_v1: Info {
            directory_name: full_id.clone(),
            full_id: full_id.clone(),
            function_id: series.measure.name().to_owned(),
            group_id,
            value_str: None,
            throughput: None,
        },
        criterion_estimates_v1: estimates,
    };
    Some((full_id, benchmark))
}

/// `None` for a single round, whose deviation is not known.
fn estimates(series: &Series, rounds: &[f64]) -> Option<Estimates> {
    if rounds.len() < 2 {
        return None;
    }
    let n = rounds.len() as f64;
    let mean = rounds.iter().sum::<f64>() / n;
    let deviation = (rounds.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
    let centre = median(rounds.iter().copied())?;
    let typical = median(rounds.iter().map(|it| (it - centre).abs()))?;
    // The range of n values holds their median with this confidence, from the sign test.
    let range = || {
        let lo = rounds.iter().copied().fold(series.value, f64::min);
        let hi = rounds.iter().copied().fold(series.value, f64::max);
        (1.0 - 2_f64.powf(1.0 - n), (lo, hi))
    };
    let (confidence_level, (lower_bound, upper_bound)) =
        series.interval.map_or_else(range, |interval| (0.95, interval));
    let figure = Statistic {
        confidence_interval: Interval { confidence_level, lower_bound, upper_bound },
        point_estimate: series.value,
        // Of a median of normally distributed values: √(π/2) σ/√n.
        standard_error: (std::f64::consts::PI / 2.0).sqrt() * deviation / n.sqrt(),
    };
    Some(Estimates {
        mean: figure,
        median: figure,
        // 0.787 σ/√n, of the unscaled median absolute deviation.
        median_abs_dev: normal(typical, 0.787 * deviation / n.sqrt()),
        slope: None,
        std_dev: normal(deviation, deviation / (2.0 * (n - 1.0)).sqrt()),
    })
}

/// A deviation with its standard error.
fn normal(point_estimate: f64, standard_error: f64) -> Statistic {
    let half_width = 1.96 * standard_error;
    Statistic {
        confidence_interval: Interval {
            confidence_level: 0.95,
            lower_bound: (point_estimate - half_width).max(0.0),
            upper_bound: point_estimate + half_width,
        },
        point_estimate,
        standard_error,
    }
}
