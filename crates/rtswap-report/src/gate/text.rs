//! The report of a gate for people: on a terminal, and as Markdown.

use rtswap_stats::Outcome;

use super::{GateReport, GateRow, change, change_interval, side};
use crate::format;
use crate::grid::Column;
use crate::markdown::{code, escaped, rows};
use crate::style::{Style, Tone};
use crate::summary::Metric;
use crate::table::{laid_out, warnings_of};

/// The terms of every gate.
const LEGEND: &str = "change: head against base, positive for the worse, with its 95 % confidence interval, from paired \
    blocks. pass: the whole interval lies within the limit. regression: worse, and statistically significant over the \
    whole gate. inconclusive: neither was shown. System calls are a family of their own: a regression in them counts, and \
    an inconclusive row does not.";

/// The report for a terminal, without its warnings: a table, then the answer.
pub fn gate_table(report: &GateReport, style: &Style) -> String {
    let style = *style;
    let mut parts = Vec::new();
    if !report.rows.is_empty() {
        parts.push(laid_out(&columns(report), style).join("\n"));
    }
    for failure in &report.failures {
        let line =
            format!("{} has no figure of {}: {}", failure.workload, failure.lane, failure.reason);
        parts.push(style.paint(&style.wrap(&line, "", "  "), Tone::Bad));
    }
    if let Some(why) = &report.no_counts {
        let line = format!("system calls were not counted: {why}");
        parts.push(style.paint(&style.wrap(&line, "", "  "), Tone::Unsure));
    }
    if !report.rows.is_empty() {
        parts.push(style.paint(&style.wrap(LEGEND, "", ""), Tone::Faint));
    }
    let mut answer = Vec::new();
    for (at, sentence) in sentences(report).into_iter().enumerate() {
        let wrapped = style.wrap(&sentence, "", "  ");
        answer.push(if at == 0 { style.paint(&wrapped, tone(report.outcome)) } else { wrapped });
    }
    parts.push(answer.join("\n"));
    parts.join("\n\n") + "\n"
}

/// The warnings of a gate, one paragraph each; empty without any.
pub fn gate_warnings(report: &GateReport, style: &Style) -> String {
    warnings_of(&report.warnings, style)
}

/// The report as GitHub-flavoured Markdown: the answer first, what passed folded.
pub fn gate_markdown(report: &GateReport) -> String {
    let mut sentences = sentences(report).into_iter();
    let mut parts = vec![format!("**{}**", escaped(&sentences.next().unwrap_or_default()))];
    parts.extend(sentences.map(|sentence| escaped(&sentence)));
    for failure in &report.failures {
        let GateFailureText { workload, lane, reason } = failure_text(failure);
        parts.push(format!("- {workload} has no figure of {lane}: {reason}"));
    }
    let (passed, others): (Vec<_>, Vec<_>) =
        report.rows.iter().partition(|row| row.judgement.outcome == Outcome::Pass);
    if !others.is_empty() {
        parts.push(rows(&columns_of(&others)));
    }
    if !passed.is_empty() {
        let summary = format!("{} passed", format::counted(passed.len(), "row"));
        parts.push(format!(
            "<details><summary>{summary}</summary>\n\n{}\n\n</details>",
            rows(&columns_of(&passed))
        ));
    }
    if let Some(why) = &report.no_counts {
        parts.push(format!("System calls were not counted: {}", escaped(why)));
    }
    if !report.warnings.is_empty() {
        let warnings = report.warnings.iter().map(|warning| {
            format!("- {}. *Remedy: {}.*", escaped(&warning.message), escaped(&warning.remedy))
        });
        parts.push(format!("Warnings:\n\n{}", warnings.collect::<Vec<_>>().join("\n")));
    }
    if !report.rows.is_empty() {
        parts.push(format!("<sub>{}</sub>", escaped(LEGEND)));
    }
    parts.join("\n\n") + "\n"
}

struct GateFailureText {
    workload: String,
    lane: String,
    reason: String,
}

fn failure_text(failure: &super::GateFailure) -> GateFailureText {
    GateFailureText {
        workload: code(&failure.workload),
        lane: code(&failure.lane),
        reason: escaped(&format::one_line(&failure.reason)),
    }
}

pub(super) fn tone(outcome: Option<Outcome>) -> Tone {
    match outcome {
        Some(Outcome::Pass) => Tone::Good,
        Some(Outcome::Inconclusive) => Tone::Unsure,
        Some(Outcome::Regression) | None => Tone::Bad,
    }
}

/// The answer, then the rows that it rests on, one sentence each.
pub(super) fn sentences(report: &GateReport) -> Vec<String> {
    let mut sentences = vec![headline(report)];
    sentences.extend(report.with(Outcome::Regression).map(regression));
    let doubtful = report.with(Outcome::Inconclusive).filter(|row| row.decides());
    sentences.extend(doubtful.map(inconclusive));
    sentences.extend(report.rows.iter().filter(|row| row.judgement.improved).map(improvement));
    let accepting = report.with(Outcome::Pass).filter(|row| row.decides());
    sentences
        .extend(accepting.filter_map(|row| Some(format!("{}: {}", row.workload, accepted(row)?))));
    sentences
}

/// The answer in a sentence.
pub(super) fn headline(report: &GateReport) -> String {
    let (base, head) = (side(&report.plan.base), side(&report.plan.head));
    let tolerance = format::chosen(report.plan.tolerance);
    if report.identical {
        return format!("pass: {head} and {base} load the same code; nothing was measured");
    }
    let count = |outcome| {
        let workloads = report.with(outcome).map(|row| row.workload.as_str());
        format::counted(unique(workloads), "workload")
    };
    match report.outcome {
        Some(Outcome::Pass) => format!(
            "pass: {head} is not worse than {base} by more than {tolerance}{} in any of {}",
            if report.rows.iter().any(|row| row.accepted.is_some()) {
                ", or what was accepted,"
            } else {
                ""
            },
            format::counted(
                unique(report.rows.iter().map(|row| row.workload.as_str())),
                "workload"
            )
        ),
        Some(Outcome::Regression) => {
            format!("regression: {head} is worse than {base} in {}", count(Outcome::Regression))
        }
        Some(Outcome::Inconclusive) => {
            let doubtful = report.with(Outcome::Inconclusive).filter(|row| row.decides());
            let doubtful = format::counted(doubtful.count(), "workload");
            format!(
                "inconclusive: in {doubtful} it was shown neither that {head} is worse than {base} nor that it is \
                 within {tolerance}"
            )
        }
        None => {
            let failed = unique(report.failures.iter().map(|it| it.workload.as_str()));
            format!("failed: {} without a figure", format::counted(failed, "workload"))
        }
    }
}

fn unique<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.collect::<std::collections::BTreeSet<_>>().len()
}

fn what(row: &GateRow) -> &'static str {
    match row.metric {
        Metric::SyscallsPerOp => "system calls per operation",
        _ => "CPU time per operation",
    }
}

fn regression(row: &GateRow) -> String {
    let judgement = &row.judgement;
    let accepted = accepted(row).map(|it| format!("; {it}")).unwrap_or_default();
    format!(
        "{}: {} changed by {}, beyond the limit of {}{accepted}",
        row.workload,
        what(row),
        change_interval(judgement),
        format::chosen(judgement.limit)
    )
}

fn inconclusive(row: &GateRow) -> String {
    let judgement = &row.judgement;
    let doubt = judgement.doubt.map(|it| it.to_string()).unwrap_or_default();
    let missed = if judgement.mde.is_finite() {
        format!("; a change of less than {} may have been missed", format::percent(judgement.mde))
    } else {
        String::new()
    };
    let more = match row.more_minutes {
        Some(minutes) if minutes < 60.0 => {
            format!("; about {} more would decide", minutes_text(minutes))
        }
        Some(_) => "; more than an hour more would be needed".to_owned(),
        None => String::new(),
    };
    format!(
        "{}: {} changed by {}: {doubt}{missed}{more}",
        row.workload,
        what(row),
        change_interval(judgement)
    )
}

fn minutes_text(minutes: f64) -> String {
    format::counted((minutes.ceil() as usize).max(1), "minute")
}

fn improvement(row: &GateRow) -> String {
    format!(
        "{}: better, {} changed by {}",
        row.workload,
        what(row),
        change_interval(&row.judgement)
    )
}

/// What was accepted for a row.
pub(super) fn accepted(row: &GateRow) -> Option<String> {
    let it = row.accepted.as_ref()?;
    Some(format!(
        "up to {} accepted since {}: {}",
        format::chosen(it.up_to),
        format::one_line(&it.since),
        format::one_line(&it.why)
    ))
}

fn columns(report: &GateReport) -> Vec<Column> {
    columns_of(&report.rows.iter().collect::<Vec<_>>())
}

fn columns_of(rows: &[&GateRow]) -> Vec<Column> {
    let column =
        |head: [&str; 2], right: bool, entry: &dyn Fn(&GateRow) -> (String, Tone)| Column {
            head: head.map(str::to_owned),
            entries: rows.iter().map(|row| entry(row)).collect(),
            right,
            dispensable: 0,
        };
    let plain = |text: String| (text, Tone::Plain);
    let value = |row: &GateRow, value: Option<f64>| match value {
        None => "–".to_owned(),
        Some(value) if row.metric == Metric::SyscallsPerOp => format::number(value),
        Some(value) => format::time(value),
    };
    vec![
        column(["", "workload"], false, &|row| plain(row.workload.clone())),
        column(["", "per operation"], false, &|row| {
            plain(if row.decides() { "CPU time" } else { "system calls" }.to_owned())
        }),
        // As a scale. Head's own median, next to it, would seem to be another estimate of the change, without pairs.
        column(["", "base"], true, &|row| plain(value(row, row.base))),
        column(["", "change"], true, &|row| plain(change_interval(&row.judgement))),
        column(["", "limit"], true, &|row| {
            let mark = if row.accepted.is_some() { " accepted" } else { "" };
            plain(format!("{}{mark}", change(row.judgement.limit)))
        }),
        column(["", "outcome"], false, &|row| {
            let judgement = &row.judgement;
            let outcome = judgement.outcome;
            let text = if judgement.improved {
                "pass, better".to_owned()
            } else {
                outcome.as_str().to_owned()
            };
            (text, tone(Some(outcome)))
        }),
    ]
}
