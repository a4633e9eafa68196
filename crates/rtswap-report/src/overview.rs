//! Workloads × lanes: the ratio and the verdict of every cell.

use std::ops::Range;

use rtswap_stats::Verdict;

use crate::format;
use crate::grid::{Column, MISSING, status_word, tone};
use crate::style::Tone;
use crate::summary::{Cell, Metric, Role, Summary};

/// The overview of a summary.
pub(crate) struct Overview<'a> {
    summary: &'a Summary,
    /// The lanes to compare, in listing order.
    pub lanes: Vec<&'a str>,
}

impl<'a> Overview<'a> {
    pub fn of(summary: &'a Summary) -> Self {
        let mut lanes: Vec<&str> = Vec::new();
        for cell in summary.cells.iter().filter(|cell| cell.role == Role::Lane) {
            if !lanes.contains(&cell.lane.as_str()) {
                lanes.push(&cell.lane);
            }
        }
        Self { summary, lanes }
    }

    /// The workloads' names, and the given lanes.
    pub fn columns(&self, lanes: Range<usize>) -> Vec<Column> {
        let workloads = &self.summary.workloads;
        let names = workloads.iter().map(|w| (w.name.clone(), Tone::Plain)).collect();
        let column = |head: &str, entries| Column {
            head: [String::new(), head.to_owned()],
            entries,
            right: false,
            dispensable: 0,
        };
        let mut columns = vec![column("workload", names)];
        for lane in &self.lanes[lanes] {
            let entries = workloads.iter().map(|w| entry(self.summary.cell(&w.name, lane)));
            columns.push(column(lane, entries.collect()));
        }
        columns
    }

    /// The meaning of the signs.
    pub fn key(&self, unicode: bool) -> String {
        let [better, worse, same, none] =
            if unicode { ["▲", "▼", "≈", "○"] } else { ["+", "-", "~", "o"] };
        let margin = format::chosen(self.summary.plan.margin);
        let reference = match self.summary.base() {
            "baseline" => "the lane that each is compared with",
            base => base,
        };
        let by_cpu = self
            .summary
            .cells
            .iter()
            .any(|cell| cell.role == Role::Lane && cell.deciding == Some(Metric::CpuNsPerOp));
        let cpu =
            if by_cpu { "; cpu: ratio of CPU time per operation, lower is better" } else { "" };
        let overhead = if self.summary.cells.iter().any(|cell| cell.overhead.is_some()) {
            "; ‡: the contract's own overhead is part of it, see the workload's table"
        } else {
            ""
        };
        format!(
            "Ratios to {reference}. {better}: better than {reference}; {worse}: worse; {same}: equivalent within {margin}; {none}: undecided; ?: undecided, the run cannot decide{cpu}{overhead}."
        )
    }
}

fn entry(cell: Option<&Cell>) -> (String, Tone) {
    let Some(cell) = cell else { return (MISSING.to_owned(), Tone::Faint) };
    if !cell.live() {
        return (status_word(cell.status).to_owned(), Tone::Unsure);
    }
    let Some(figure) = cell.decisive() else { return (MISSING.to_owned(), Tone::Faint) };
    let sign = match figure.verdict {
        Some(Verdict::Better) => "▲",
        Some(Verdict::Worse) => "▼",
        Some(Verdict::Equivalent) => "≈",
        Some(_) if figure.is_decidable() => "○",
        _ => "?",
    };
    if cell.against.is_some() {
        // An overhead needs its interval, since most are close to none.
        let interval = figure.interval().map_or(MISSING.to_owned(), |it| format::interval(&it));
        return (format!("{interval} {sign}"), tone(figure));
    }
    let ratio = figure.interval().map_or(MISSING.to_owned(), |it| format::ratio(&it));
    let mark = if cell.overhead.is_some() { " ‡" } else { "" };
    let cpu = if cell.deciding == Some(Metric::CpuNsPerOp) { " cpu" } else { "" };
    (format!("{ratio} {sign}{cpu}{mark}"), tone(figure))
}
