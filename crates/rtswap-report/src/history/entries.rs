//! From the summary of a record to entries of the history.

use rtswap_schema::history::{Anchor, ControlRatio, HISTORY_SCHEMA, HistoryEntry, HistoryFigure};
use rtswap_schema::record::{Environment, Kind, Status};
use serde::Serialize;

use crate::format::one_line;
use crate::summary::{Cell, Figure, Metric, Role, Summary, WorkloadSummary};

/// Half the width of a 95 % interval in standard errors.
pub(super) const HALF_WIDTH: f64 = 1.96;

/// What a record measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// The commit that its lanes were built from, the full hash.
    pub commit: String,
    /// The committer's time, seconds since 1970.
    pub commit_unix_s: u64,
    /// What its reference is.
    pub anchor: Anchor,
    /// SHA-256 of the record's file, in hexadecimal.
    pub record_sha256: String,
}

/// The entries of a record: one for each cell of a lane that was compared with the reference, with or without figures.
pub fn entries(summary: &Summary, of: &Measurement) -> Vec<HistoryEntry> {
    let is_compared = |cell: &&Cell| {
        let against = cell.against.as_ref();
        cell.role == Role::Lane && against.is_none_or(|lane| *lane == summary.reference)
    };
    let all = summary.workloads.iter().flat_map(|workload| {
        let cells = summary.cells_of(&workload.name).filter(is_compared);
        cells.map(|cell| entry(summary, workload, cell, of))
    });
    all.collect()
}

fn entry(
    summary: &Summary,
    workload: &WorkloadSummary,
    cell: &Cell,
    of: &Measurement,
) -> HistoryEntry {
    let control = summary.cells_of(&workload.name).find(|cell| cell.role == Role::Control);
    let figures = cell.metrics.iter().filter_map(|(metric, figure)| {
        let control = control.and_then(|control| control.metrics.get(metric));
        Some((name(metric), history_figure(figure, control)?))
    });
    let metrics: std::collections::BTreeMap<_, _> = figures.collect();
    let environment = &summary.environment;
    HistoryEntry {
        schema: HISTORY_SCHEMA,
        commit: of.commit.clone(),
        commit_unix_s: of.commit_unix_s,
        anchor: of.anchor.clone(),
        workload: cell.name.clone(),
        lane: cell.lane.clone(),
        status: cell.status,
        reason: if metrics.is_empty() { Some(reason(cell)) } else { None },
        deciding: Some(name(&workload.deciding)),
        metrics,
        rounds: workload.rounds,
        machine: machine_class(environment),
        rtswap: environment.rtswap.clone(),
        measured_unix_s: environment.started_unix_s,
        head_sha256: executable(environment, cell),
        anchor_sha256: summary
            .cell(&workload.name, &summary.reference)
            .and_then(|cell| executable(environment, cell)),
        record_sha256: of.record_sha256.clone(),
    }
}

/// Why a cell has no ratio.
fn reason(cell: &Cell) -> String {
    let why = || cell.decisive().and_then(|figure| figure.why.clone());
    let reason = cell.reason.clone().or_else(why);
    let reason = reason.unwrap_or_else(|| match cell.status {
        Status::Ok => "no block in common with the anchor".to_owned(),
        _ => "the record gives no reason".to_owned(),
    });
    one_line(&reason)
}

fn history_figure(figure: &Figure, control: Option<&Figure>) -> Option<HistoryFigure> {
    let interval = figure.interval()?;
    let lo = Some(interval.lo).filter(|lo| *lo > 0.0);
    let se_log = lo.zip(interval.hi).map(|(lo, hi)| (hi / lo).ln() / (2.0 * HALF_WIDTH));
    let control = control.and_then(Figure::interval).map(|control| ControlRatio {
        ratio: rounded(control.ratio),
        lo: Some(control.lo).filter(|lo| *lo > 0.0).map(rounded),
        hi: control.hi.map(rounded),
    });
    Some(HistoryFigure {
        ratio: rounded(interval.ratio),
        lo: lo.map(rounded),
        hi: interval.hi.map(rounded),
        se_log: se_log.map(rounded),
        control,
        verdict: figure.verdict.as_ref().map(name),
        cause: figure.cause.as_ref().map(name),
    })
}

/// Six significant digits, so that a line stays short.
fn rounded(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// The name of a metric, verdict or cause in JSON.
pub(super) fn name<T: Serialize>(value: &T) -> String {
    let text = serde_json::to_value(value).ok();
    let text = text.as_ref().and_then(|value| value.as_str());
    text.expect("names are texts").to_owned()
}

/// SHA-256 of the executable of a lane: the first file that its command names, or rtswap.
fn executable(environment: &Environment, cell: &Cell) -> Option<String> {
    if let Some(programs) = environment.lane_programs.get(&cell.lane) {
        return programs.first().map(|program| program.sha256.clone());
    }
    if matches!(cell.kind, Kind::Command | Kind::Peer) {
        return None;
    }
    environment.executable_sha256.clone()
}

/// The kind of machine, which figures of different kinds are not mixed over: CPU model, CPUs, the first two numbers
/// of the kernel's version, virtualisation.
pub fn machine_class(environment: &Environment) -> String {
    let cpu = match one_line(&environment.cpu_model) {
        model if model.is_empty() => "unknown CPU".to_owned(),
        model => model,
    };
    let kernel = match environment.kernel.split_once(' ') {
        Some((system, release)) => {
            let numbers: Vec<&str> =
                release.splitn(3, |c: char| !c.is_ascii_digit()).take(2).collect();
            format!("{system} {}", numbers.join("."))
        }
        None => "unknown kernel".to_owned(),
    };
    let virtual_machine = if environment.virtual_machine { ", virtual" } else { "" };
    format!("{cpu}, {}, {kernel}{virtual_machine}", crate::format::counted(environment.cpus, "CPU"))
}

/// The metric of a name.
pub(super) fn metric(name: &str) -> Option<Metric> {
    serde_json::from_value(name.into()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_class_leaves_out_patch_level() {
        let environment = Environment {
            kernel: "Linux 6.18.44-fc-v595".to_owned(),
            cpu_model: "AMD EPYC".to_owned(),
            cpus: 2,
            virtual_machine: true,
            ..Environment::default()
        };
        assert_eq!(machine_class(&environment), "AMD EPYC, 2 CPUs, Linux 6.18, virtual");
        let other = Environment { kernel: "Linux 6.8-rc1".to_owned(), cpus: 1, ..environment };
        assert_eq!(machine_class(&other), "AMD EPYC, 1 CPU, Linux 6.8, virtual");
        assert_eq!(machine_class(&Environment::default()), "unknown CPU, 0 CPUs, unknown kernel");
    }

    #[test]
    fn rounded_keeps_six_digits() {
        let texts =
            [1.023_456_789, 12_345_678.0, 0.001_234_567_8].map(|it| rounded(it).to_string());
        assert_eq!(texts, ["1.02346", "12345700", "0.00123457"]);
    }
}
