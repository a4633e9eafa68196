//! The history as text, for a terminal and for documents.

use rtswap_stats::Verdict;

use super::series::{History, Point, Series};
use super::{ChangePoint, short};
use crate::grid::{Column, MISSING};
use crate::markdown::{code, escaped, rows};
use crate::style::{Style, Tone};
use crate::{format, table};

/// The terms of every history.
const LEGEND: &str = "ratio to anchor: the commit's figure divided by the anchor's, measured in pairs in one run, with its \
    95 % confidence interval. chained: multiplied by the measured ratios of later anchors to the first one. change: the level \
    is another from this commit on; a change point is a candidate until `rtswap gate` confirms it.";

impl History {
    /// The series with their last `last` commits each, for a terminal.
    pub fn table(&self, last: usize, style: &Style) -> String {
        let style = *style;
        let mut parts = Vec::new();
        for series in &self.series {
            let title = style.wrap(&series.title(), "", "  ");
            parts.push(
                title
                    .lines()
                    .map(|it| style.paint(it, Tone::Strong))
                    .collect::<Vec<_>>()
                    .join("\n"),
            );
            parts.push(fitted(series, last, style).join("\n"));
            let sentences = series.sentences();
            let lines = sentences.iter().map(|(text, tone)| {
                // Commands are copied, so they are not wrapped.
                let (text, command) = text.split_once('\n').unwrap_or((text, ""));
                let line = style.paint(&style.wrap(text, "", "  "), *tone);
                if command.is_empty() { line } else { format!("{line}\n  {}", style.text(command)) }
            });
            parts.push(lines.collect::<Vec<_>>().join("\n"));
        }
        if !self.series.is_empty() {
            let legend = style.wrap(LEGEND, "", "");
            parts.push(
                legend
                    .lines()
                    .map(|it| style.paint(it, Tone::Faint))
                    .collect::<Vec<_>>()
                    .join("\n"),
            );
        }
        parts.join("\n\n") + "\n"
    }

    /// The same for documents.
    pub fn markdown(&self, last: usize) -> String {
        let mut parts = Vec::new();
        for series in &self.series {
            parts.push(format!("### {}", escaped(&series.title())));
            parts.push(rows(&series.columns(last)));
            let sentences =
                series.sentences().into_iter().map(|(text, _)| match text.split_once('\n') {
                    Some((text, command)) => format!("- {} {}", escaped(text), code(command)),
                    None => format!("- {}", escaped(&text)),
                });
            parts.push(sentences.collect::<Vec<_>>().join("\n"));
        }
        if !self.series.is_empty() {
            parts.push(format!("<sub>{}</sub>", escaped(LEGEND)));
        }
        parts.join("\n\n") + "\n"
    }
}

/// Leaves out columns, the least important first, until the table fits; then the remarks take several lines.
fn fitted(series: &Series, last: usize, style: Style) -> Vec<String> {
    /// The least width of a remark.
    const LEAST: usize = 12;
    let mut columns = series.columns(last);
    loop {
        let lines = table::laid_out(&columns, style);
        let excess = table::widest(&lines).saturating_sub(style.width);
        let least = columns.iter().map(|it| it.dispensable).max().unwrap_or(0);
        if excess == 0 {
            return lines;
        }
        if least > 0 {
            columns.retain(|column| column.dispensable < least);
            continue;
        }
        if let Some(remarks) = columns.last_mut() {
            let longest = remarks.entries.iter().map(|(text, _)| text.chars().count()).max();
            let room = longest.unwrap_or(0).saturating_sub(excess).max(LEAST);
            for (text, _) in &mut remarks.entries {
                *text = textwrap::fill(text, room);
            }
        }
        return table::laid_out(&columns, style);
    }
}

/// Characters of an anchor's name in one line of the table.
const MOST_OF_NAME: usize = 16;

/// A row of the table.
enum Row<'a> {
    Point(usize, &'a Point),
    Skipped(usize),
    /// The anchor changes, and whether the ratios before and after it can be compared.
    Anchor(usize),
}

impl Series {
    /// What it is, in one line.
    pub fn title(&self) -> String {
        let machine = match &self.machine {
            Some(machine) => format!(" ({machine})"),
            None => String::new(),
        };
        format!("{}, {}: {}{machine}", self.workload, self.lane, self.metric.words())
    }

    fn rows(&self, last: usize) -> Vec<Row<'_>> {
        let from = self.points.len().saturating_sub(last);
        let mut rows = Vec::new();
        for (at, point) in self.points.iter().enumerate().skip(from) {
            let changes = at > 0 && self.points[at - 1].anchor != point.anchor;
            if changes || at == from {
                rows.push(Row::Anchor(point.anchor));
            }
            match self.skipped(at) {
                skipped if skipped > 0 && at > from => rows.push(Row::Skipped(skipped)),
                _ => {}
            }
            rows.push(Row::Point(at, point));
        }
        rows
    }

    fn columns(&self, last: usize) -> Vec<Column> {
        let rows = self.rows(last);
        let column = |head: [&str; 2], dispensable, entry: &dyn Fn(&Row) -> (String, Tone)| {
            let entries = rows.iter().map(entry).collect();
            Column { head: head.map(str::to_owned), entries, right: false, dispensable }
        };
        let none = || (String::new(), Tone::Plain);
        let of_point = |row: &Row, entry: &dyn Fn(&Point) -> (String, Tone)| match row {
            Row::Point(_, point) => entry(point),
            _ => none(),
        };
        let mut columns = vec![
            column(["", "commit"], 0, &|row| match row {
                Row::Point(_, point) => (short(&point.commit).to_owned(), Tone::Plain),
                Row::Skipped(_) => ("...".to_owned(), Tone::Faint),
                Row::Anchor(anchor) => {
                    (format::broken(&self.anchor_name(*anchor), MOST_OF_NAME), Tone::Strong)
                }
            }),
            column(["", "date"], 1, &|row| of_point(row, &|point| (day(point), Tone::Faint))),
            column(["ratio to anchor", "[95 % interval]"], 0, &|row| {
                of_point(row, &|point| match &point.ratio {
                    Some(ratio) => (format::interval(ratio), Tone::Plain),
                    None => (MISSING.to_owned(), Tone::Faint),
                })
            }),
        ];
        if self.anchors.iter().any(|anchor| anchor.linked_to.is_some()) {
            columns.push(column(["ratio to the first anchor", "[95 % interval]"], 2, &|row| {
                of_point(row, &|point| match &point.chained {
                    Some(ratio) => (format::interval(ratio), Tone::Plain),
                    None => (MISSING.to_owned(), Tone::Faint),
                })
            }));
        }
        columns.push(column(["", "change"], 0, &|row| self.remark(row)));
        columns
    }

    /// What is to be said of a row: a change point, or why there is no figure.
    fn remark(&self, row: &Row) -> (String, Tone) {
        match row {
            Row::Skipped(count) => {
                (format!("{} not measured", format::counted(*count, "commit")), Tone::Faint)
            }
            Row::Anchor(anchor) => match &self.anchors[*anchor] {
                it if it.linked_to.is_some() => {
                    let ratio =
                        it.ratio_to_first.as_ref().map(format::interval).unwrap_or_default();
                    (format!("anchor; to the first one: {ratio}"), Tone::Faint)
                }
                it if it.chain > 0 => {
                    ("anchor, not linked: the series begins anew".to_owned(), Tone::Unsure)
                }
                _ => ("anchor".to_owned(), Tone::Faint),
            },
            Row::Point(at, point) => {
                let change = self.changes.iter().find(|change| change.at == *at);
                match (change, &point.note) {
                    (Some(change), _) => (remark(change), tone(change)),
                    (None, Some(note)) => (note.clone(), Tone::Unsure),
                    (None, None) => (String::new(), Tone::Plain),
                }
            }
        }
    }

    /// The name of an anchor, with its commit where it has one.
    pub(super) fn anchor_name(&self, index: usize) -> String {
        format::one_line(&self.anchors[index].anchor.name)
    }

    /// The change points, with the command that tests each, and where the series breaks.
    fn sentences(&self) -> Vec<(String, Tone)> {
        let mut all: Vec<(String, Tone)> =
            self.changes.iter().map(|change| (self.sentence(change), tone(change))).collect();
        if all.is_empty() {
            let used = self.points.iter().filter(|point| point.log.is_some()).count();
            let text = format!("No change point in {}.", format::counted(used, "measured commit"));
            all.push((text, Tone::Plain));
        }
        for (at, pair) in self.anchors.windows(2).enumerate() {
            if pair[0].chain == pair[1].chain {
                continue;
            }
            let (old, new) = (self.anchor_name(at), self.anchor_name(at + 1));
            let text = match &pair[1].anchor.commit {
                Some(commit) => format!(
                    "The series breaks at anchor {new}: its commit {} was not measured against {old}. \
                     remedy: measure it against {old} and add the record.",
                    short(commit)
                ),
                None => format!(
                    "The series breaks at anchor {new}, whose commit is unknown. remedy: give --anchor-commit to \
                     `rtswap history add`."
                ),
            };
            all.push((text, Tone::Unsure));
        }
        all
    }

    fn sentence(&self, change: &ChangePoint) -> String {
        let step = percent_interval(change);
        let verb = if change.step.ratio > 1.0 { "rose" } else { "fell" };
        let is_exact = change.surely_before == change.before && change.surely_after == change.after;
        let range = match change.commits {
            1 => format!("with commit {}", short(&change.after)),
            commits => format!(
                "with one of the {commits} commits after {} up to {}",
                short(&change.surely_before),
                short(&change.surely_after)
            ),
        };
        let likely = if is_exact {
            String::new()
        } else {
            format!(", most likely between {} and {}", short(&change.before), short(&change.after))
        };
        let doubt = match (change.is_at_anchor, change.machine_changes) {
            (_, true) => " The machine changes there, too, and may be the reason.",
            (true, false) => " The anchor changes there, too.",
            _ => "",
        };
        let meaning = if change.verdict == Verdict::Better { "better" } else { "worse" };
        format!(
            "Candidate: {} {verb} by {step} ({meaning}) {range}{likely}.{doubt} To confirm:\n{}",
            self.metric.words(),
            change.gate(&self.workload)
        )
    }
}

impl ChangePoint {
    /// The command that measures the commits around it.
    pub fn gate(&self, workload: &str) -> String {
        format!(
            "rtswap gate --base {} --head {} --workload {}",
            short(&self.surely_before),
            short(&self.surely_after),
            quoted(workload)
        )
    }
}

/// A word of a shell's command line: it is copied from here, and names come from files of others.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/=%._:,+-".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// `worse +2.0 %`.
fn remark(change: &ChangePoint) -> String {
    let meaning = if change.verdict == Verdict::Better { "better" } else { "worse" };
    format!("{meaning}: {:+.1} %", 100.0 * (change.step.ratio - 1.0))
}

fn tone(change: &ChangePoint) -> Tone {
    if change.verdict == Verdict::Better { Tone::Good } else { Tone::Bad }
}

/// The size of a step: `2.0 % [1.3, 2.7]`.
fn percent_interval(change: &ChangePoint) -> String {
    let percent = |ratio: f64| 100.0 * (ratio - 1.0).abs();
    let step = &change.step;
    let mut ends = [percent(step.lo), percent(step.hi.unwrap_or(step.ratio))];
    ends.sort_by(f64::total_cmp);
    format!("{:.1} % [{:.1}, {:.1}]", percent(step.ratio), ends[0], ends[1])
}

fn day(point: &Point) -> String {
    let date = format::date(point.commit_unix_s);
    date.split(' ').next().unwrap_or_default().to_owned()
}
