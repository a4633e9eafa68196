//! The Bencher Metric Format.
//!
//! A measure has `value` and, where it is known, the 95 % interval as `lower_value` and `upper_value`: of a lane's
//! own figure that over its rounds, of a ratio that of the paired comparison. They are never mixed, since the
//! interval of a ratio says nothing about an absolute figure. The direction is not part of the format.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Export, ExportError, json, name};
use crate::summary::Cell;

/// Bencher takes a name that ends so as one whose alerts are to be suppressed.
const IGNORED: [&str; 3] = ["_bencher_ignore", "BencherIgnore", "-bencher-ignore"];

/// The longest name that Bencher takes, bytes.
const LONGEST: usize = 1024;

#[derive(Serialize)]
struct Metric {
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lower_value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upper_value: Option<f64>,
}

pub(super) fn write(export: &Export) -> Result<String, ExportError> {
    let mut benchmarks: BTreeMap<String, BTreeMap<String, Metric>> = BTreeMap::new();
    for series in &export.series {
        let metric = Metric {
            value: series.value,
            lower_value: series.interval.map(|(lo, _)| lo),
            upper_value: series.interval.map(|(_, hi)| hi),
        };
        // The slug of a measure has hyphens.
        let measure = series.measure.name().replace('_', "-");
        benchmarks.entry(benchmark(series.cell)?).or_default().insert(measure, metric);
    }
    if benchmarks.is_empty() {
        return Err(ExportError::Nothing { what: "a figure" });
    }
    Ok(json(&benchmarks))
}

fn benchmark(cell: &Cell) -> Result<String, ExportError> {
    let mut name = name::cell(cell);
    if IGNORED.iter().any(|ignored| name.ends_with(ignored)) {
        // No lane's name contains a slash here.
        name.push('/');
    }
    match name.len() {
        length if length > LONGEST => Err(ExportError::NameTooLong { name, length }),
        _ => Ok(name),
    }
}
