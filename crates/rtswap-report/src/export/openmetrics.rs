//! The OpenMetrics text format: a family for each figure, its ratio and its interval, and one for verdicts.
//!
//! All are gauges, which the older Prometheus format has too, so that `promtool` reads the file. Names end in their
//! unit, and times are in seconds, as the specification asks.

use std::fmt::Write as _;

use super::measure::Measure;
use super::{Export, ExportError, Series};
use crate::summary::Metric;

/// A family: its name without the unit, the unit or nothing, the factor from the figure, and the help.
struct Family {
    name: String,
    unit: &'static str,
    factor: f64,
    help: String,
}

pub(super) fn write(export: &Export) -> Result<String, ExportError> {
    if export.series.is_empty() {
        return Err(ExportError::Nothing { what: "a figure" });
    }
    let mut measures: Vec<Measure> = export.series.iter().map(|it| it.measure).collect();
    measures.sort_unstable();
    measures.dedup();
    let mut text = String::new();
    for measure in measures {
        let of_measure = || export.series.iter().filter(|it| it.measure == measure);
        let of = family(measure);
        family_lines(&mut text, &of, of_measure().map(|it| (*it, it.value)));
        for (end, is_lower) in [("lower", true), ("upper", false)] {
            let bound = Family {
                name: format!("{}_{end}", of.name),
                help: format!("The {end} end of the 95 % interval: {}", of.help),
                ..of
            };
            let pick = |(lo, hi): (f64, f64)| if is_lower { lo } else { hi };
            let bounds = of_measure().filter_map(|it| Some((*it, pick(it.interval?))));
            family_lines(&mut text, &bound, bounds);
        }
    }
    verdicts(&mut text, export);
    text.push_str("# EOF\n");
    Ok(text)
}

fn family_lines<'a>(
    text: &mut String,
    family: &Family,
    samples: impl Iterator<Item = (Series<'a>, f64)>,
) {
    let mut samples = samples.peekable();
    if samples.peek().is_none() {
        return;
    }
    let Family { name, unit, factor, help } = family;
    let full = match *unit {
        "" => format!("rtswap_{name}"),
        unit => format!("rtswap_{name}_{unit}"),
    };
    let _ = writeln!(text, "# TYPE {full} gauge");
    if !unit.is_empty() {
        let _ = writeln!(text, "# UNIT {full} {unit}");
    }
    let _ = writeln!(text, "# HELP {full} {help}");
    for (series, value) in samples {
        let _ = writeln!(text, "{full}{{{}}} {}", labels(&series), value * factor);
    }
}

/// The verdicts of all metrics that are compared: 1 for the one that was reached.
fn verdicts(text: &mut String, export: &Export) {
    let verdict = |series: &Series| {
        let metric =
            series.measure.metric().filter(|_| matches!(series.measure, Measure::Value(_)));
        let verdict = series.cell.metrics.get(&metric?)?.verdict?;
        let measure = series.measure.name();
        let labels = format!("{},metric=\"{measure}\",verdict=\"{verdict}\"", labels(series));
        Some(format!("rtswap_verdict{{{labels}}} 1\n"))
    };
    let lines: String = export.series.iter().filter_map(verdict).collect();
    if !lines.is_empty() {
        text.push_str("# TYPE rtswap_verdict gauge\n# HELP rtswap_verdict 1 for the verdict on a metric of a lane.\n");
        text.push_str(&lines);
    }
}

fn labels(series: &Series) -> String {
    let (workload, lane) = (escaped(&series.cell.name), escaped(&series.cell.lane));
    format!("workload=\"{workload}\",lane=\"{lane}\"")
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn family(measure: Measure) -> Family {
    let family = |name: &str, unit, factor, help: &str| Family {
        name: name.to_owned(),
        unit,
        factor,
        help: help.to_owned(),
    };
    match measure {
        Measure::Ratio(metric) => Family {
            // Without the unit of the figure.
            name: value(metric).0.replace("_operations_per_second", "").replace("_of_slices", ""),
            unit: "ratio",
            factor: 1.0,
            help: format!("{} of the lane over that of its reference.", sentence(metric)),
        },
        Measure::Memory => family("memory", "bytes", 1.0, "Proportional set size."),
        Measure::MemoryPerConn => {
            family("memory_per_connection", "bytes", 1.0, "Memory per open connection.")
        }
        Measure::Value(metric) => {
            let (name, unit, factor) = value(metric);
            let help = format!("{}, the lane's own figure.", sentence(metric));
            Family { name: name.to_owned(), unit, factor, help }
        }
    }
}

fn value(metric: Metric) -> (&'static str, &'static str, f64) {
    let seconds = |name| (name, "seconds", 1e-9);
    let plain = |name| (name, "", 1.0);
    match metric {
        Metric::OpsPerS => plain("throughput_operations_per_second"),
        Metric::TotalOpsPerS => plain("total_throughput_operations_per_second"),
        Metric::CapacityPerS => plain("capacity_operations_per_second"),
        Metric::CpuNsPerOp => seconds("cpu_time_per_operation"),
        Metric::TotalCpuNsPerOp => seconds("total_cpu_time_per_operation"),
        Metric::Steadiness => ("steadiness_of_slices", "ratio", 1.0),
        Metric::CpuSteadiness => ("cpu_steadiness_of_slices", "ratio", 1.0),
        Metric::SyscallsPerOp => plain("syscalls_per_operation"),
        Metric::CtxSwitchesPerOp => plain("context_switches_per_operation"),
        Metric::P50Ns => seconds("latency_p50"),
        Metric::P90Ns => seconds("latency_p90"),
        Metric::P99Ns => seconds("latency_p99"),
        Metric::P999Ns => seconds("latency_p999"),
    }
}

/// The metric's words, as the beginning of a sentence.
fn sentence(metric: Metric) -> String {
    let words = metric.words();
    let mut chars = words.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
