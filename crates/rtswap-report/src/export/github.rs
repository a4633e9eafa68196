//! The custom JSON of github-action-benchmark.
//!
//! The direction belongs to the action's `tool`, so a file holds the figures of one. The action compares each value
//! with that of the commit before, so ratios to the reference stand in `extra` and, as series of their own, in
//! `…_ratio`.

use rtswap_stats::Direction;
use serde::Serialize;

use super::measure::Measure;
use super::{Export, ExportError, Series, json, name};
use crate::format;
use crate::summary::Interval;

#[derive(Serialize)]
struct Benchmark {
    name: String,
    unit: &'static str,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<String>,
}

pub(super) fn write(export: &Export, direction: Direction) -> Result<String, ExportError> {
    let its = export.series.iter().filter(|series| series.measure.direction() == direction);
    let benchmarks: Vec<Benchmark> = its.map(|series| benchmark(export, series)).collect();
    if benchmarks.is_empty() {
        // The action fails on an empty file.
        let what = match direction {
            Direction::HigherIsBetter => "a figure that is better when it is bigger",
            Direction::LowerIsBetter => "a figure that is better when it is smaller",
        };
        return Err(ExportError::Nothing { what });
    }
    Ok(json(&benchmarks))
}

fn benchmark(export: &Export, series: &Series) -> Benchmark {
    let half_width = |(lo, hi): (f64, f64)| (hi - series.value).max(series.value - lo);
    Benchmark {
        name: format!("{}/{}", name::cell(series.cell), series.measure.name()),
        unit: series.measure.unit(),
        value: series.value,
        range: series.interval.map(|interval| range(half_width(interval))),
        extra: extra(export, series),
    }
}

/// The action reads a number of two characters or more, without exponent.
fn range(half_width: f64) -> String {
    let decimals = if half_width > 0.0 {
        (2.0 - half_width.log10().floor()).clamp(1.0, 17.0) as usize
    } else {
        1
    };
    format!("± {half_width:.decimals$}")
}

/// The ratio with its interval and verdict.
fn extra(export: &Export, series: &Series) -> Option<String> {
    let Measure::Value(metric) = series.measure else { return None };
    let figure = series.cell.metrics.get(&metric)?;
    let Interval { ratio, lo, hi } = figure.interval()?;
    let reference = series.cell.against.as_deref().unwrap_or(&export.summary.reference);
    let interval = format::interval(&Interval { ratio, lo, hi });
    let verdict = figure.verdict.map(|it| format!(", {}", it.as_str())).unwrap_or_default();
    Some(format!("ratio to {} {interval}{verdict}", format::one_line(reference)))
}
