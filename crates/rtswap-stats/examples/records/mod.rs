//! The slices of a record, in the order of measurement.

use std::fs::File;
use std::io::{BufRead as _, BufReader};

use rtswap_schema::record::{Block, Line, Slice};

/// A figure that every slice has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// CPU time of the lane per operation.
    Cpu,
    /// Time per operation, in closed loops.
    Time,
}

/// One figure of one workload of a record.
pub struct Series {
    /// The record's file name.
    pub record: String,
    pub figure: Figure,
    /// All lanes. The first is the reference, the second the control.
    pub lanes: Vec<String>,
    /// Rounds × blocks × slices: lane and natural log of its figure.
    pub rounds: Vec<Vec<Vec<(usize, f64)>>>,
}

/// Reads records. Workloads without reference, control and another lane are left out, and slices without
/// operations, and lanes with a reference of their own.
pub fn read(
    paths: impl Iterator<Item = String>,
) -> Result<Vec<Series>, Box<dyn std::error::Error>> {
    let mut all = Vec::new();
    for path in paths {
        let file = File::open(&path).map_err(|error| format!("cannot open {path}: {error}"))?;
        let (mut header, mut blocks) = (None, Vec::new());
        for (at, line) in BufReader::new(file).lines().enumerate() {
            match serde_json::from_str(&line?)
                .map_err(|e| format!("{path}, line {}: {e}", at + 1))?
            {
                Line::Header(it) => header = Some(it),
                Line::Block(block) => blocks.push(block),
                _ => {}
            }
        }
        let plan =
            header.ok_or_else(|| format!("{path}: no header; expected a record of rtswap"))?.plan;
        let mut lanes = vec![plan.reference.clone()];
        lanes.extend(plan.lanes.iter().filter(|lane| lane.control).map(|lane| lane.name.clone()));
        let others = plan
            .lanes
            .iter()
            .filter(|lane| !lane.control && lane.against.is_none() && lane.name != plan.reference);
        lanes.extend(others.map(|lane| lane.name.clone()));
        let record = path.rsplit('/').next().unwrap_or(&path).to_owned();
        for workload in &plan.workloads {
            let mine: Vec<&Block> = blocks.iter().filter(|b| b.workload == workload.name).collect();
            for figure in [Figure::Cpu, Figure::Time] {
                if figure == Figure::Time && workload.rate().is_some() {
                    continue;
                }
                let rounds = rounds(&mine, &lanes, figure);
                let series =
                    Series { record: record.clone(), figure, lanes: lanes.clone(), rounds };
                if series.cells().next().is_some() {
                    all.push(series);
                }
            }
        }
    }
    Ok(all)
}

fn rounds(blocks: &[&Block], lanes: &[String], figure: Figure) -> Vec<Vec<Vec<(usize, f64)>>> {
    let mut rounds: Vec<Vec<Vec<(usize, f64)>>> = Vec::new();
    let mut last = None;
    for block in blocks {
        if last.replace(block.round) != Some(block.round) {
            rounds.push(Vec::new());
        }
        let slices = block.slices.iter().filter_map(|slice| {
            let lane = lanes.iter().position(|lane| *lane == slice.lane)?;
            Some((lane, of(slice, figure)?))
        });
        if let Some(round) = rounds.last_mut() {
            round.push(slices.collect());
        }
    }
    rounds
}

fn of(slice: &Slice, figure: Figure) -> Option<f64> {
    let ns = match figure {
        Figure::Cpu => slice.cpu_ns,
        Figure::Time => slice.elapsed_ns,
    };
    (slice.voided.is_none() && slice.ops > 0 && ns > 0).then(|| (ns as f64 / slice.ops as f64).ln())
}

impl Series {
    /// The lanes to compare, those with figures in most of the rounds: neither reference nor control.
    pub fn cells(&self) -> impl Iterator<Item = usize> {
        let blocks: usize = self.rounds.iter().map(Vec::len).sum();
        let has = move |lane: usize| {
            let slices = self.rounds.iter().flatten().flatten();
            2 * slices.filter(|slice| slice.0 == lane).count() > blocks
        };
        let comparable = self.rounds.len() >= 8 && has(0) && has(1);
        (2..self.lanes.len()).filter(move |lane| comparable && has(*lane))
    }
}

pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    rtswap_stats::median(values).unwrap_or(f64::NAN)
}

pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
