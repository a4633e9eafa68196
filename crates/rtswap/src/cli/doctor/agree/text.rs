//! An outcome as tables for people.

use rtswap_report::{Style, Tone, format};

use super::outcome::{Metric, Outcome, SLEEPING, clients, metrics, typical};
use super::record::{Load, WorkloadRecord};

/// The width of a column of figures, with the space before it.
const COLUMN: usize = 13;

/// The tables, the disagreements, and the clients that are missing.
pub fn text(outcome: &Outcome, style: Style) -> String {
    let mut text = String::new();
    for workload in &outcome.record.workloads {
        text += &style.paint(&workload.name, Tone::Strong);
        text.push('\n');
        for load in [Load::Saturation, Load::Rate] {
            text += &of_load(outcome, workload, load, style);
        }
        text.push('\n');
    }
    text + &conclusion(outcome, style)
}

fn of_load(outcome: &Outcome, workload: &WorkloadRecord, load: Load, style: Style) -> String {
    let clients = clients(workload, load);
    if clients.is_empty() {
        return String::new();
    }
    let (reference, unit) = (&outcome.record.reference, &workload.unit);
    let at = match (load, workload.rate_per_s) {
        (Load::Saturation, _) | (_, None) => "At saturation".to_owned(),
        (Load::Rate, Some(per_s)) => {
            format!("At {} {unit}s per second, the same for all lanes", format::rate(per_s))
        }
    };
    let mut text = format!("\n{at}\n");
    for &metric in metrics(load) {
        let heading = match metric {
            Metric::OpsPerS => {
                format!("{unit}s per second; ratio to {reference} (higher is faster)")
            }
            Metric::CpuNsPerOp => {
                format!("CPU time per {unit}; ratio to {reference} (lower uses less CPU)")
            }
        };
        text += &table(outcome, &heading, &clients, style, |lane, client| {
            let client_figure = |figure: Metric| {
                typical(workload, load, client, lane, |figures| {
                    Some(match figure {
                        Metric::OpsPerS => figures.ops_per_s,
                        Metric::CpuNsPerOp => figures.cpu_ns_per_op(),
                    })
                })
            };
            if lane == reference {
                let value = client_figure(metric)?;
                return Some(match metric {
                    Metric::OpsPerS => format!("{}/s", format::rate(value)),
                    Metric::CpuNsPerOp => format::time(value),
                });
            }
            let ratio = outcome.ratio(&workload.name, load, metric, client, lane)?;
            let differs = outcome.disagreements.iter().any(|it| {
                it.workload == workload.name
                    && (it.load, it.metric) == (load, metric)
                    && (it.client.as_str(), it.lane.as_str()) == (client, lane)
            });
            let width = ratio.half_width().map(|half| match half * 100.0 {
                percent if percent < 99.5 => format!(" ±{percent:.0}%"),
                _ => " ±>99%".to_owned(),
            });
            let mark = if differs { "*" } else { "" };
            Some(format!("{:.2}{}{mark}", ratio.mean, width.unwrap_or_default()))
        });
    }
    if load == Load::Rate {
        let heading = "latency in µs: median / 99th percentile";
        text += &table(outcome, heading, &clients, style, |lane, client| {
            let p50 = typical(workload, load, client, lane, |figures| figures.p50_ns)?;
            let p99 = typical(workload, load, client, lane, |figures| figures.p99_ns)?;
            Some(format!("{:.0}/{:.0}", p50 / 1e3, p99 / 1e3))
        });
    }
    text
}

/// A table with a row for each lane that has a figure, and a column for each client.
fn table(
    outcome: &Outcome,
    heading: &str,
    clients: &[&str],
    style: Style,
    cell: impl Fn(&str, &str) -> Option<String>,
) -> String {
    let widest = outcome.record.lanes.iter().map(|lane| lane.chars().count()).max().unwrap_or(0);
    let row = |first: &str, cells: Vec<String>| {
        let cells: Vec<_> =
            cells.iter().map(|cell| format!("{:>COLUMN$}", style.text(cell))).collect();
        let cells = cells.concat();
        format!("  {first:widest$}{cells}\n")
    };
    let names = clients.iter().map(|name| if *name == SLEEPING { "sleeping" } else { name });
    let head = row("", names.map(ToString::to_string).collect());
    let mut text = format!("  {}\n", style.paint(&style.text(heading), Tone::Faint));
    text += &style.paint(head.trim_end(), Tone::Faint);
    text.push('\n');
    for lane in &outcome.record.lanes {
        let cells: Vec<_> = clients.iter().map(|client| cell(lane, client)).collect();
        if cells.iter().any(Option::is_some) {
            let cells = cells.into_iter().map(|cell| cell.unwrap_or_else(|| "-".to_owned()));
            text += &row(lane, cells.collect());
        }
    }
    text
}

fn conclusion(outcome: &Outcome, style: Style) -> String {
    let record = &outcome.record;
    let paragraph = |text: &str, tone| -> String {
        let text = style.wrap(text, "", "  ");
        text.lines().map(|line| style.paint(line, tone) + "\n").collect()
    };
    let mut text = paragraph(
        &format!(
            "Each ratio is the geometric mean of {}, with its 95 % interval. The row of {} has its figures. \
             slices: the method of `rtswap run`. sustained: its generator for {} s. sleeping: the same, \
             asleep whenever nothing is due.",
            format::counted(record.repetitions as usize, "repetition"),
            record.reference,
            record.seconds
        ),
        Tone::Faint,
    );
    for client in &record.clients {
        if let Some(remedy) = &client.missing {
            text += &paragraph(&format!("{} is missing: {remedy}.", client.name), Tone::Unsure);
        }
    }
    for failure in &record.failures {
        text += &paragraph(&format!("Failed: {failure}"), Tone::Bad);
    }
    text.push('\n');
    if record.repetitions < 2 {
        let why = "One repetition has no interval, so no disagreement can be named; \
                   `--repetitions 3` has.";
        return text + &paragraph(why, Tone::Unsure);
    }
    if outcome.disagreements.is_empty() {
        return text + &paragraph(&agreed(outcome), Tone::Good);
    }
    let number = outcome.disagreements.len();
    text += &paragraph(
        &format!("{} (* in the tables):", format::counted(number, "disagreement")),
        Tone::Unsure,
    );
    for disagreement in &outcome.disagreements {
        text += &paragraph(&disagreement.sentence, Tone::Unsure);
    }
    text
}

fn agreed(outcome: &Outcome) -> String {
    let widths = outcome.ratios.iter().filter_map(super::outcome::Ratio::half_width);
    let widest = rtswap_stats::median(widths).map_or(String::new(), |half| {
        format!(
            " Half of the intervals are wider than ±{}: differences below their width are not seen.",
            format::percent(half)
        )
    });
    format!(
        "No disagreement: no client differs from slices by more than 10 % in operations per second at \
         saturation, or 5 % in CPU time at the rate, with intervals that do not overlap.{widest}"
    )
}

#[cfg(test)]
mod tests {
    use super::super::outcome::tests::{agree, sleepers_disagree};
    use super::super::record::Failure;
    use super::*;

    const STYLE: Style = Style { width: 100, color: false, unicode: true };

    #[test]
    fn text_fits_hundred_columns_and_marks_disagreements() {
        let text = text(&sleepers_disagree(), STYLE);
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        assert!(text.contains("\n2 disagreements (* in the tables):\n"), "{text}");
        assert_eq!(text.matches("%*").count(), 2, "{text}");
        assert!(text.contains("oha is missing: install oha."), "{text}");
        let heads: Vec<_> = text.lines().filter(|line| line.contains("slices  ")).collect();
        assert_eq!(
            heads[0].split_whitespace().collect::<Vec<_>>(),
            ["slices", "sustained", "h2load", "wrk"]
        );
        assert_eq!(
            heads[2].split_whitespace().collect::<Vec<_>>(),
            ["slices", "sustained", "sleeping", "h2load", "wrk2"]
        );
        assert!(text.contains("100/1235"), "{text}");
    }

    #[test]
    fn text_without_disagreement_says_what_is_not_seen() {
        let text = text(&agree(5), STYLE);
        assert!(text.contains("\nNo disagreement: "), "{text}");
        assert!(text.contains("below their width are not seen"), "{text}");
        assert!(!text.contains("%*"), "{text}");
    }

    #[test]
    fn text_of_one_repetition_names_no_disagreement() {
        let text = text(&agree(1), STYLE);
        assert!(text.contains("One repetition has no interval"), "{text}");
        assert!(!text.contains("No disagreement") && !text.contains('±'), "{text}");
    }

    #[test]
    fn text_in_ascii_keeps_columns() {
        let text = text(&agree(5), Style { unicode: false, ..STYLE });
        assert!(text.is_ascii(), "{text}");
    }

    #[test]
    fn text_shows_failures_and_absent_figures() {
        let mut outcome = agree(2);
        outcome.record.failures.push(Failure {
            workload: "http".to_owned(),
            lane: "smol".to_owned(),
            client: Some("wrk".to_owned()),
            repetition: 1,
            reason: "refused".to_owned(),
        });
        outcome.ratios.retain(|ratio| ratio.client != "wrk");
        let text = text(&outcome, STYLE);
        assert!(
            text.contains("Failed: smol on http, loaded by wrk, repetition 2: refused"),
            "{text}"
        );
        let row = text.lines().find(|line| line.starts_with("  smol")).unwrap();
        assert!(row.ends_with(" -"), "{text}");
    }
}
