//! Comma-separated values: a row for each cell and figure, and one for each cell without figures.

use csv::{Terminator, Writer, WriterBuilder};

use super::measure::Measure;
use super::{Export, Series};
use crate::summary::{Cell, Role};
use rtswap_stats::Direction;

const HEADER: [&str; 21] = [
    "workload", "lane", "against", "role", "status", "reason", "metric", "unit", "better", "value",
    "value_lo", "value_hi", "ratio", "ratio_lo", "ratio_hi", "verdict", "p", "mde", "cause",
    "deciding", "rounds",
];

pub(super) fn write(export: &Export) -> String {
    let mut rows = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    row(&mut rows, &HEADER.map(str::to_owned));
    for cell in &export.cells {
        let mut its = export.series_of(cell).filter(|it| !is_ratio(it)).peekable();
        if its.peek().is_none() {
            row(&mut rows, &of_cell(export, cell, None));
        }
        for series in its {
            row(&mut rows, &of_cell(export, cell, Some(series)));
        }
    }
    let bytes = rows.into_inner().expect("a vector takes all bytes");
    String::from_utf8(bytes).expect("all fields are text")
}

/// The ratio stands in the row of its figure.
fn is_ratio(series: &Series) -> bool {
    matches!(series.measure, Measure::Ratio(_))
}

fn row(rows: &mut Writer<Vec<u8>>, fields: &[String; HEADER.len()]) {
    rows.write_record(fields).expect("a vector takes all bytes");
}

fn of_cell(export: &Export, cell: &Cell, series: Option<&Series>) -> [String; HEADER.len()] {
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let measure = series.map(|series| series.measure);
    let metric = measure.and_then(Measure::metric);
    let figure = metric.and_then(|metric| cell.metrics.get(&metric));
    let interval = series.and_then(|series| series.interval);
    let against = match cell.role {
        Role::Reference => "",
        Role::Lane | Role::Control => cell.against.as_deref().unwrap_or(&export.summary.reference),
    };
    let better = measure.map(|it| match it.direction() {
        Direction::HigherIsBetter => "higher",
        Direction::LowerIsBetter => "lower",
    });
    let workload = export.summary.workloads.iter().find(|it| it.name == cell.name);
    [
        cell.name.clone(),
        cell.lane.clone(),
        against.to_owned(),
        word(&cell.role),
        word(&cell.status),
        cell.reason.clone().unwrap_or_default(),
        measure.map(Measure::name).unwrap_or_default().to_owned(),
        measure.map(Measure::unit).unwrap_or_default().to_owned(),
        better.unwrap_or_default().to_owned(),
        number(series.map(|series| series.value)),
        number(interval.map(|(lo, _)| lo)),
        number(interval.map(|(_, hi)| hi)),
        number(figure.and_then(|figure| figure.ratio)),
        number(figure.and_then(|figure| figure.lo)),
        number(figure.and_then(|figure| figure.hi)),
        figure.and_then(|it| it.verdict).map(|it| it.as_str().to_owned()).unwrap_or_default(),
        number(figure.and_then(|figure| figure.p)),
        number(figure.and_then(|figure| figure.mde)),
        figure.and_then(|figure| figure.cause).map(|it| word(&it)).unwrap_or_default(),
        series.map(|_| (cell.deciding == metric).to_string()).unwrap_or_default(),
        workload.map(|it| it.rounds.to_string()).unwrap_or_default(),
    ]
}

/// A word as in the summary's JSON.
fn word(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).ok();
    value.and_then(|it| it.as_str().map(str::to_owned)).unwrap_or_default()
}
