//! The report as GitHub-flavoured Markdown.

use crate::format;
use crate::grid::{Column, Grid, loss};
use crate::machine;
use crate::overview::Overview;
use crate::style::Tone;
use crate::summary::Summary;
use crate::table::{false_verdicts, legend};

/// The whole report, its warnings included.
pub fn markdown(summary: &Summary) -> String {
    let mut parts: Vec<String> =
        summary.workloads.iter().map(|workload| section(&Grid::of(summary, workload))).collect();
    if summary.workloads.len() > 1 {
        parts.push(format!("### Overview\n\n{}", markdown_overview(summary)));
    }
    if !summary.warnings.is_empty() {
        let warnings = summary.warnings.iter().map(|warning| {
            format!("- {}. *Remedy: {}.*", escaped(&warning.message), escaped(&warning.remedy))
        });
        parts.push(format!("### Warnings\n\n{}", warnings.collect::<Vec<_>>().join("\n")));
    }
    parts.push(format!("<sub>{}</sub>", escaped(&false_verdicts(summary))));
    parts.push(format!("<sub>{}</sub>", escaped(&legend(summary))));
    parts.push(format!("<sub>{}</sub>", machine::line(summary)));
    parts.join("\n\n") + "\n"
}

/// Workloads × lanes, transposed if there are more lanes than workloads, because a page is narrow.
pub(crate) fn markdown_overview(summary: &Summary) -> String {
    let overview = Overview::of(summary);
    let mut columns = overview.columns(0..overview.lanes.len());
    if overview.lanes.len() > summary.workloads.len() {
        columns = transposed(&columns);
    }
    format!("{}\n\n{}", rows(&columns), escaped(&overview.key(true)))
}

/// Rows as columns; the first column and the headings hold the names.
fn transposed(columns: &[Column]) -> Vec<Column> {
    let Some((names, others)) = columns.split_first() else { return Vec::new() };
    let heads = std::iter::once("lane".to_owned())
        .chain(names.entries.iter().map(|(name, _)| name.clone()));
    heads
        .enumerate()
        .map(|(at, head)| {
            let entry = |column: &Column| match at.checked_sub(1) {
                None => (column.head[1].clone(), Tone::Plain),
                Some(row) => column.entries[row].clone(),
            };
            let entries = others.iter().map(entry).collect();
            Column { head: [String::new(), head], entries, right: false, dispensable: 0 }
        })
        .collect()
}

/// The tables alone.
pub(crate) fn markdown_tables(summary: &Summary) -> String {
    let tables = summary.workloads.iter().map(|workload| {
        let grid = Grid::of(summary, workload);
        format!("{}\n\n{}", code(&workload.name), rows(&grid.columns(None)))
    });
    tables.collect::<Vec<_>>().join("\n\n")
}

fn section(grid: &Grid) -> String {
    let workload = grid.workload;
    let mut parts = vec![
        format!("### {}", code(&workload.name)),
        match grid.offered() {
            Some(offered) => {
                escaped(&format!("One operation is {}; {offered}.", workload.operation))
            }
            None => format!("One operation is {}.", escaped(&workload.operation)),
        },
    ];
    parts.extend(grid.sensitivity().map(|it| escaped(&it)));
    if !grid.is_empty() {
        // Error bars need a monospaced font.
        parts.push(rows(&grid.columns(None)));
    }
    if !grid.failures.is_empty() {
        let lost = grid
            .failures
            .iter()
            .map(|cell| format!("- {}: {}", code(&cell.lane), escaped(&loss(cell))));
        parts.push(lost.collect::<Vec<_>>().join("\n"));
    }
    parts.extend(grid.footnotes().map(escaped));
    parts.push(escaped(&workload.sentence));
    if !grid.is_empty() {
        parts.push(format!("<sub>{}</sub>", escaped(&grid.foot())));
    }
    parts.join("\n\n")
}

pub(crate) fn rows(columns: &[Column]) -> String {
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let head = |column: &Column| escaped(column.head.join(" ").trim());
    let side = |column: &Column| if column.right { "--:" } else { ":--" }.to_owned();
    let mut lines =
        vec![line(columns.iter().map(head).collect()), line(columns.iter().map(side).collect())];
    let count = columns.first().map_or(0, |column| column.entries.len());
    lines.extend(
        (0..count).map(|row| {
            line(columns.iter().map(|column| escaped(&column.entries[row].0)).collect())
        }),
    );
    lines.join("\n")
}

/// Foreign text (names, reasons) without effect as markup.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let text = format::one_line(text);
    // `[name]: address` defines what all `[name]` lead to.
    let is_definition = text.starts_with('[') && text.contains("]:");
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        // Inside a word, as in io_uring, an underscore is not markup.
        let in_word = before.is_alphanumeric() && chars.peek().is_some_and(|c| c.is_alphanumeric());
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '_' if in_word => out.push(c),
            '|' | '*' | '_' | '\\' => out.extend(['\\', c]),
            // Brackets alone are not markup, and an address after them makes a link or an image.
            ']' if matches!(chars.peek(), Some('(' | '[')) => out.push_str("\\]"),
            '[' if out.is_empty() && is_definition => out.push_str("\\["),
            '`' | '~' | '#' if out.is_empty() => out.extend(['\\', c]),
            // A mention notifies people. A space without width after the sign prevents it, and an entity does not.
            '@' if !before.is_alphanumeric() => out.push_str("@&#8203;"),
            c => out.push(c),
        }
        before = c;
    }
    out
}

pub(crate) fn code(name: &str) -> String {
    format!("`{}`", format::one_line(name).replace('`', "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_leaves_foreign_text_without_effect() {
        let cases = [
            ("@everyone, ask (@x) at a@b", "@&#8203;everyone, ask (@&#8203;x) at a@b"),
            ("tokio@1.50.0", "tokio@1.50.0"),
            ("![it](https://example.org)", "![it\\](https://example.org)"),
            ("[a][b] is [1, 2]", "[a\\][b] is [1, 2]"),
            ("[95 % interval]: https://example.org", "\\[95 % interval]: https://example.org"),
            ("+4 % [+1.0, +11]: doubt", "+4 % [+1.0, +11]: doubt"),
            ("```", "\\```"),
            ("a\n\n# b <img> &amp; |", "a # b &lt;img&gt; &amp;amp; \\|"),
            ("io_uring _em_ *b*", "io_uring \\_em\\_ \\*b\\*"),
        ];
        for (text, expected) in cases {
            assert_eq!(escaped(text), expected, "{text}");
        }
    }
}
