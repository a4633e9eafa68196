//! The figures of all cells, with intervals.

use std::collections::BTreeMap;

use rtswap_schema::record::Record;
use rtswap_stats::{Paired, estimate};

use super::measure::Measure;
use crate::analyse::options;
use crate::data::Data;
use crate::summary::{Cell, Metric, Summary};

/// One figure of one cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Series<'a> {
    /// The cell.
    pub cell: &'a Cell,
    /// What the figure is.
    pub measure: Measure,
    /// The figure, finite, in [`Measure::unit`].
    pub value: f64,
    /// Its 95 % interval, if it is bounded on both sides. Of a ratio, that of the paired comparison. Of a lane's
    /// own figure, over the rounds: it contains the drift of the machine during the run, and not the
    /// difference to another run or machine.
    pub interval: Option<(f64, f64)>,
}

/// The figures of all cells.
pub(super) fn all<'a>(record: &'a Record, summary: &'a Summary) -> Vec<Series<'a>> {
    let mut all = Vec::new();
    for plan in &record.header.plan.workloads {
        let data = Data::of(record, plan);
        for cell in summary.cells_of(&plan.name) {
            of_cell(&data, cell, &mut all);
        }
    }
    all.retain(|series| series.value.is_finite());
    all
}

fn of_cell<'a>(data: &Data<'a>, cell: &'a Cell, all: &mut Vec<Series<'a>>) {
    for (&metric, figure) in &cell.metrics {
        // What was offered says nothing about the lane.
        if metric == Metric::OpsPerS && data.is_offered() {
            continue;
        }
        let interval = own_interval(data, &cell.lane, metric, figure.value);
        all.push(Series { cell, measure: Measure::Value(metric), value: figure.value, interval });
        if let Some(ratio) = figure.ratio {
            let interval = figure.lo.zip(figure.hi).filter(bounded);
            all.push(Series { cell, measure: Measure::Ratio(metric), value: ratio, interval });
        }
    }
    let memory = [
        (Measure::Memory, cell.memory_bytes),
        (Measure::MemoryPerConn, cell.memory_per_conn_bytes),
    ];
    for (measure, value) in memory {
        all.extend(value.map(|value| Series { cell, measure, value, interval: None }));
    }
}

/// The interval of a lane's own figure over the rounds. It contains the figure, which is a median, where the
/// interval is that of the Hodges-Lehmann estimator.
fn own_interval(data: &Data, lane: &str, metric: Metric, value: f64) -> Option<(f64, f64)> {
    let rounds = each_round(data, lane, metric);
    let rounds: Vec<Vec<(f64, f64)>> = rounds.into_values().map(|it| vec![(it, 1.0)]).collect();
    if rounds.len() < 2 {
        return None;
    }
    let estimate = estimate(&Paired::from_figures(&rounds), &options(data.record))?;
    Some((estimate.lo.min(value), estimate.hi.max(value))).filter(bounded)
}

fn bounded((lo, hi): &(f64, f64)) -> bool {
    // 0 is no bound of a figure's logarithm.
    *lo > 0.0 && hi.is_finite()
}

/// The lane's own figure in each round: of the slices, their median.
pub(super) fn each_round(data: &Data, lane: &str, metric: Metric) -> BTreeMap<u32, f64> {
    if metric.is_timed() {
        return data.medians(lane, metric);
    }
    if metric.summed().is_some() {
        return data.totals_by_round(lane, metric);
    }
    data.by_round(lane, metric)
}
