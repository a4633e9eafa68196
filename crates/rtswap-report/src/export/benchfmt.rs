//! The Go benchmark format, for benchstat.
//!
//! One line for each round and cell, because the round is the unit of inference: blocks of a round share their
//! processes, and as samples they would make intervals too narrow. The number of iterations is the operations of
//! the round. A name ends in the number of the lanes' CPUs, as in Go in that of its threads, or benchstat would
//! take the `-8` of `tokio-events-8` for it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rtswap_stats::Direction;

use super::measure::Measure;
use super::name::encoded;
use super::series::each_round;
use super::{Export, ExportError, Exported};
use crate::data::Data;
use crate::format::one_line;
use crate::summary::{Cell, Metric};

const UNPAIRED: &str = "benchstat compares unpaired: it does not know that rounds of two lanes with the same number \
    were measured together, so its intervals contain the drift that rtswap's ratios cancel";

/// The units, in the order of the columns. Nanoseconds come out as seconds in benchstat.
const UNITS: [(Measure, &str); 11] = [
    (Measure::Value(Metric::CpuNsPerOp), "cpu-ns/op"),
    (Measure::Value(Metric::OpsPerS), "ops/s"),
    (Measure::Value(Metric::TotalCpuNsPerOp), "total-cpu-ns/op"),
    (Measure::Value(Metric::TotalOpsPerS), "total-ops/s"),
    (Measure::Value(Metric::SyscallsPerOp), "syscalls/op"),
    (Measure::Value(Metric::CtxSwitchesPerOp), "ctx-switches/op"),
    (Measure::Value(Metric::P50Ns), "p50-ns"),
    (Measure::Value(Metric::P90Ns), "p90-ns"),
    (Measure::Value(Metric::P99Ns), "p99-ns"),
    (Measure::Value(Metric::P999Ns), "p999-ns"),
    (Measure::Value(Metric::CapacityPerS), "capacity-ops/s"),
];

pub(super) fn write(export: &Export) -> Result<Exported, ExportError> {
    let mut lines = String::new();
    let mut used = Vec::new();
    for plan in &export.record.header.plan.workloads {
        let data = Data::of(export.record, plan);
        for cell in export.cells.iter().filter(|cell| cell.name == plan.name && cell.live()) {
            cell_lines(export, &data, cell, &mut lines, &mut used);
        }
    }
    if lines.is_empty() {
        return Err(ExportError::Nothing { what: "a figure for each round" });
    }
    let mut text = configuration(export);
    for (measure, unit) in UNITS.into_iter().filter(|(measure, _)| used.contains(measure)) {
        let better = match measure.direction() {
            Direction::HigherIsBetter => "higher",
            Direction::LowerIsBetter => "lower",
        };
        let _ = writeln!(text, "Unit {unit} better={better}");
    }
    Ok(Exported { text: text + &lines, notes: vec![UNPAIRED] })
}

/// What separates tables in benchstat: its figures are not to be compared across these.
fn configuration(export: &Export) -> String {
    let header = &export.record.header;
    let environment = &header.environment;
    let cpus = |cpus: &[usize]| cpus.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let keys = [
        ("rtswap", environment.rtswap.clone()),
        ("toolchain", environment.rustc.clone().unwrap_or_default()),
        ("cpu", environment.cpu_model.clone()),
        ("kernel", environment.kernel.clone()),
        ("server-cpus", cpus(&header.plan.server_cpus)),
        ("load-cpus", cpus(&header.plan.load_cpus)),
        ("reference", header.plan.reference.clone()),
    ];
    let mut text = String::new();
    for (key, value) in keys {
        let value = one_line(&value);
        // A key without a value would delete it.
        if !value.is_empty() {
            let _ = writeln!(text, "{key}: {value}");
        }
    }
    text
}

fn cell_lines(
    export: &Export,
    data: &Data,
    cell: &Cell,
    lines: &mut String,
    used: &mut Vec<Measure>,
) {
    let chosen: Vec<Measure> = export.series_of(cell).map(|series| series.measure).collect();
    let mut rounds: BTreeMap<u32, Vec<(Measure, &str, f64)>> = BTreeMap::new();
    for (measure, unit) in UNITS {
        let Some(metric) = measure.metric().filter(|_| chosen.contains(&measure)) else { continue };
        for (round, value) in each_round(data, &cell.lane, metric) {
            if value.is_finite() {
                rounds.entry(round).or_default().push((measure, unit, value));
            }
        }
    }
    let name = name(cell, export.record.header.plan.server_cpus.len());
    let ops = data.ops_by_round(&cell.lane);
    for (round, figures) in rounds {
        let ops = ops.get(&round).copied().unwrap_or(0);
        let _ = write!(lines, "{name} {ops}");
        for (measure, unit, value) in figures {
            let _ = write!(lines, " {value} {unit}");
            if !used.contains(&measure) {
                used.push(measure);
            }
        }
        lines.push('\n');
    }
}

/// `BenchmarkTcpEcho/size=1024/conns=32/lane=tokio-1`.
fn name(cell: &Cell, cpus: usize) -> String {
    let (family, params) = match cell.name.split_once('/') {
        Some((family, params)) => (family, format!("/{params}")),
        None => (cell.name.as_str(), String::new()),
    };
    let camel: String = family.split('-').map(capitalised).collect();
    let (camel, params) = (encoded(&camel, ""), encoded(&params, ""));
    format!("Benchmark{camel}{params}/lane={}-{}", encoded(&cell.lane, "/%"), cpus.max(1))
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
