//! A comparison as a table, as JSON and as Markdown.

use super::{Change, Comparison, Outcome, Reason};
use crate::format;
use crate::grid::Column;
use crate::markdown::{escaped, rows};
use crate::style::{Style, Tone};
use crate::summary::Metric;
use crate::table::laid_out;

const LEGEND: &str = "ratio: the lane's figure divided by the reference's, within the run, with its 95 % confidence \
    interval. change: the ratio in B divided by the ratio in A. better, worse: the interval of the change excludes 1; not \
    adjusted for the number of lanes, so of lanes that have not changed one in 20 is called. cause unknown: machine or \
    offered rate differ too. The interval contains the noise of both runs, and not what differs between two runs of the \
    same programs on other machines, days or builds.";

/// The comparison as JSON, indented, with a newline at its end.
pub fn comparison_json(comparison: &Comparison) -> String {
    serde_json::to_string_pretty(comparison).expect("a comparison is plain data") + "\n"
}

/// The changes of the deciding metrics, for a terminal.
pub fn comparison_table(comparison: &Comparison, style: &Style) -> String {
    let style = *style;
    let mut parts = Vec::new();
    for (workload, changes) in by_workload(comparison) {
        let heading = style.wrap(&format!("{workload}: {}", metrics(&changes)), "", "  ");
        let heading = heading.replacen(workload, &style.paint(workload, Tone::Strong), 1);
        parts.push(format!("{heading}\n\n{}", laid_out(&columns(&changes), style).join("\n")));
    }
    if parts.is_empty() {
        parts.push("Nothing is comparable.".to_owned());
    }
    let faint = style.wrap(&legend(comparison), "", "");
    let faint: Vec<_> = faint.lines().map(|line| style.paint(line, Tone::Faint)).collect();
    parts.push(faint.join("\n"));
    parts.join("\n\n") + "\n"
}

/// The reasons not to compare, a paragraph each, for standard error; empty without any.
pub fn comparison_warnings(comparison: &Comparison, style: &Style) -> String {
    let mut text = String::new();
    for reason in &comparison.reasons {
        let (word, tone) = word(reason);
        let line = style.wrap(&format!("{word}: {}", reason.message()), "", "  ");
        text += &line.replacen(word, &style.paint(word, tone), 1);
        text.push('\n');
    }
    text
}

/// The comparison as GitHub-flavoured Markdown.
pub fn comparison_markdown(comparison: &Comparison) -> String {
    let mut parts = Vec::new();
    for (workload, changes) in by_workload(comparison) {
        let name = format::one_line(workload).replace('`', "'");
        let metrics = escaped(&metrics(&changes));
        parts.push(format!("### `{name}`\n\n{metrics}\n\n{}", rows(&columns(&changes))));
    }
    if parts.is_empty() {
        parts.push("Nothing is comparable.".to_owned());
    }
    if !comparison.reasons.is_empty() {
        let reasons = comparison.reasons.iter();
        let reasons = reasons.map(|it| format!("- {}: {}", word(it).0, escaped(&it.message())));
        parts.push(reasons.collect::<Vec<_>>().join("\n"));
    }
    parts.push(format!("<sub>{}</sub>", escaped(&legend(comparison))));
    parts.join("\n\n") + "\n"
}

fn word(reason: &Reason) -> (&'static str, Tone) {
    if reason.blocks { ("not comparable", Tone::Bad) } else { ("warning", Tone::Unsure) }
}

fn legend(comparison: &Comparison) -> String {
    let compared = comparison.changes.iter().filter(|change| change.deciding).count();
    format!("{} compared in their deciding metric. {LEGEND}", format::counted(compared, "cell"))
}

/// The changes of the deciding metrics, workload by workload.
fn by_workload(comparison: &Comparison) -> Vec<(&str, Vec<&Change>)> {
    let mut all: Vec<(&str, Vec<&Change>)> = Vec::new();
    for change in comparison.changes.iter().filter(|change| change.deciding) {
        match all.last_mut() {
            Some((workload, changes)) if *workload == change.workload => changes.push(change),
            _ => all.push((&change.workload, vec![change])),
        }
    }
    all
}

/// What is compared: `CPU time per operation, against tokio`.
fn metrics(changes: &[&Change]) -> String {
    let mut metrics: Vec<Metric> = changes.iter().map(|change| change.metric).collect();
    metrics.dedup();
    let words: Vec<&str> = metrics.into_iter().map(Metric::words).collect();
    let mut against: Vec<&str> = changes.iter().map(|change| change.against.as_str()).collect();
    against.dedup();
    format!("{}, against {}", format::list(&words), format::list(&against))
}

fn columns(changes: &[&Change]) -> Vec<Column> {
    let column = |head: &str, right: bool, entry: &dyn Fn(&Change) -> (String, Tone)| Column {
        head: [String::new(), head.to_owned()],
        entries: changes.iter().map(|change| entry(change)).collect(),
        right,
        dispensable: 0,
    };
    let plain = |text: String| (text, Tone::Plain);
    let mut columns = vec![
        column("lane", false, &|it| (format::one_line(&it.lane), Tone::Strong)),
        column("ratio in A", true, &|it| plain(format::interval(&it.a))),
        column("ratio in B", true, &|it| plain(format::interval(&it.b))),
        column("change", true, &|it| plain(format::interval(&it.change))),
        column("", false, &outcome),
    ];
    let changed = |it: &&Change| it.versions.as_ref().is_some_and(|(a, b)| a != b);
    if changes.iter().any(changed) {
        columns.push(column("version", false, &|it| match &it.versions {
            Some((a, b)) if a != b => plain(format::one_line(&format!("{a} to {b}"))),
            _ => plain(String::new()),
        }));
    }
    columns
}

fn outcome(change: &Change) -> (String, Tone) {
    let (word, tone) = match change.outcome {
        Outcome::Better => ("better", Tone::Good),
        Outcome::Worse => ("worse", Tone::Bad),
        Outcome::Unattributed => ("differs, cause unknown", Tone::Unsure),
        Outcome::NotShown => ("no change shown", Tone::Plain),
    };
    (word.to_owned(), tone)
}
