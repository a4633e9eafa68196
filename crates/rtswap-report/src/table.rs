//! Tables for a terminal.

use comfy_table::{Cell as TableCell, CellAlignment, Row, Table, presets};

use crate::format;
use crate::grid::{Column, Grid, loss};
use crate::machine;
use crate::overview::Overview;
use crate::style::{Style, Tone};
use crate::summary::{Cell, PlanSummary, Summary, Warning};

/// Columns between two columns.
const GAP: u16 = 2;

/// The terms of every report.
const LEGEND: &str = "op: operation. ratio: the lane's figure divided by that of each of the reference's two processes in \
    the same block, summarized over blocks and rounds, with its 95 % confidence interval. control: one process of the reference \
    divided by the other; if it differs from 1, nothing is decided. to detect: to find four times out of five. \
    faster, slower: by operations per second; less CPU, more CPU: by CPU time per operation. equivalent: the whole \
    interval lies within the margin. undecided: none of these was shown; undecided ?: the run cannot decide. all slices: \
    from the sums over all slices of a round; the other figures are those of the median slice. CPUs used: shares of their \
    CPUs that the lane and the load generator used. share of best floor: CPU time per operation of the hand-written \
    lane that uses the least, divided by the lane's.";

/// The terms of reports on workloads that use polled streams or files.
const PATHS: &str = " streams: native, the runtime's own are polled; readiness, the runtime waits for readiness and \
    calls the system, where its own streams give the kernel their buffer; bridged, through a buffer, with a copy each \
    way. files: what does their I/O: threads of a pool, the ring (io_uring), or the runtime's own thread in place.";

/// The terms of reports on served workloads without a rate.
const SATURATED: &str = " operations per second of a served workload without a rate: a closed loop at saturation, in which \
    each response is followed at once by the next request. closed-loop latency: from when a request was sent; requests \
    that would have waited for their turn are not sent, so it is lower than what clients see that do not wait for each \
    other.";

/// The terms of reports on workloads with an offered rate.
const OFFERED: &str = " offered: due at this rate, the same for all lanes. latency at an offered rate: from when an operation \
    was due to its end, so that waiting counts; p50, p99, p99.9: the percentile of a round, median over rounds, with the \
    ratio to the reference from the same rounds. capacity: operations per second in a closed loop at saturation. \
    overloaded: the lane does not keep up with the offered rate. late: from when an operation was due until the load \
    generator sent it, a part of the latency.";

/// The terms of reports with operations per wait.
const WAITS: &str = " ops/wait: operations per system call that waits for I/O or collects its events, so how much work a \
    lane finds per wake-up.";

/// How often the verdicts of the whole table may be wrong: `At most 5 % of such runs call any lane of a workload
/// better or worse that is not; of the 8 workloads together, at most 34 %.`
pub(crate) fn false_verdicts(summary: &Summary) -> String {
    let PlanSummary { alpha, margin, .. } = summary.plan;
    let decided = summary.workloads.iter().filter(|it| it.mde.contains_key(&it.deciding)).count();
    let together = 1.0 - (1.0 - alpha).powi(i32::try_from(decided).unwrap_or(i32::MAX));
    let together = if decided > 1 {
        format!(
            ", and in at most {} of such tables of {decided} workloads",
            format::percent(together)
        )
    } else {
        String::new()
    };
    format!(
        "Wrong verdicts: a lane of a workload is falsely called better or worse in at most {} of such runs{together}; \
         a lane that differs by {} is called equivalent in at most 2.5 %.",
        format::chosen(alpha),
        format::chosen(margin)
    )
}

/// The meaning of a report's terms.
pub(crate) fn legend(summary: &Summary) -> String {
    let notes = |cell: &Cell| cell.note("streams").or(cell.note("files")).is_some();
    let paths = if summary.cells.iter().any(notes) { PATHS } else { "" };
    let workloads = || summary.workloads.iter();
    let saturated = workloads().any(|it| it.by_generator && it.arrivals.is_none());
    let offered = workloads().any(|it| it.arrivals.is_some());
    let waits = summary.cells.iter().any(|cell| cell.ops_per_wait.is_some());
    let more = [(saturated, SATURATED), (offered, OFFERED), (waits, WAITS)];
    let more: String = more.into_iter().filter(|(is, _)| *is).map(|(_, terms)| terms).collect();
    format!("{LEGEND}{more}{paths}")
}

/// The whole report, without its [`warnings`], which belong on standard error.
pub fn table(summary: &Summary, style: &Style) -> String {
    let style = *style;
    let mut parts: Vec<String> = summary
        .workloads
        .iter()
        .map(|workload| block(&Grid::of(summary, workload), style))
        .collect();
    if summary.workloads.len() > 1 {
        parts.push(overview(&Overview::of(summary), style));
    }
    let faint = |text: &str| {
        let wrapped = style.wrap(text, "", "");
        wrapped.lines().map(|line| style.paint(line, Tone::Faint)).collect::<Vec<_>>().join("\n")
    };
    let lines = [false_verdicts(summary), legend(summary), machine::line(summary)];
    parts.push(lines.map(|line| faint(&line)).join("\n"));
    parts.join("\n\n") + "\n"
}

/// The warnings, one paragraph each; empty without any.
pub fn warnings(summary: &Summary, style: &Style) -> String {
    warnings_of(&summary.warnings, style)
}

pub(crate) fn warnings_of(warnings: &[Warning], style: &Style) -> String {
    let mut text = String::new();
    for warning in warnings {
        let message = style.wrap(&format!("warning: {}", warning.message), "", "  ");
        let message = message.replacen("warning:", &style.paint("warning:", Tone::Unsure), 1);
        text += &message;
        text.push('\n');
        text += &style.wrap(&format!("remedy: {}", warning.remedy), "  ", "  ");
        text.push('\n');
    }
    text
}

fn block(grid: &Grid, style: Style) -> String {
    let workload = grid.workload;
    let heading = format!("{}: one operation is {}", workload.name, workload.operation);
    let heading = match grid.offered() {
        Some(offered) => format!("{heading}; {offered}"),
        None => heading,
    };
    let heading = style.wrap(&heading, "", "  ");
    let heading = heading.replacen(&workload.name, &style.paint(&workload.name, Tone::Strong), 1);
    let mut parts = vec![heading];
    parts.extend(grid.sensitivity().map(|it| style.paint(&style.wrap(&it, "", "  "), Tone::Faint)));
    if !grid.is_empty() {
        parts.push(String::new());
        parts.push(fitted(grid, style));
    }
    if !grid.failures.is_empty() {
        let widest = grid.failures.iter().map(|cell| cell.lane.chars().count()).max().unwrap_or(0);
        // A long name leaves two thirds of the width to the reason.
        let indent = " ".repeat((widest + 2).min(style.width / 3));
        for cell in &grid.failures {
            let line = format!("{:widest$}  {}", cell.lane, loss(cell));
            parts.push(style.paint(&style.wrap(&line, "", &indent), Tone::Unsure));
        }
    }
    parts.push(String::new());
    parts.extend(grid.footnotes().map(|note| style.wrap(note, "", "  ")));
    if !grid.is_empty() {
        let foot = style.wrap(&grid.foot(), "", "  ");
        parts.extend(foot.lines().map(|line| style.paint(line, Tone::Faint)));
    }
    parts.push(style.wrap(&workload.sentence, "", ""));
    parts.join("\n")
}

/// Leaves out columns, the least important first, until the table fits.
fn fitted(grid: &Grid, style: Style) -> String {
    // Wide enough for the heading "less CPU  more".
    let error_bars = if style.width >= 150 { 31 } else { 15 };
    let mut columns = grid.columns(Some(error_bars));
    loop {
        let lines = laid_out(&columns, style);
        let width = widest(&lines);
        let least = columns.iter().map(|c| c.dispensable).max().unwrap_or(0);
        if width <= style.width {
            return lines.join("\n");
        }
        if least == 0 {
            if let Some(names) = columns.first_mut() {
                narrow(names, width - style.width);
            }
            return laid_out(&columns, style).join("\n");
        }
        columns.retain(|column| column.dispensable < least);
    }
}

/// Breaks long names, when no other column can be left out.
fn narrow(names: &mut Column, by: usize) {
    let longest = names.entries.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let most = longest.saturating_sub(by).max(8);
    for (name, _) in &mut names.entries {
        *name = format::broken(name, most);
    }
}

pub(crate) fn widest(lines: &[String]) -> usize {
    lines.iter().map(|line| textwrap::core::display_width(line)).max().unwrap_or(0)
}

pub(crate) fn laid_out(columns: &[Column], style: Style) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if style.color {
        table.enforce_styling().style_text_only();
    } else {
        table.force_no_tty();
    }
    let headed = columns.iter().any(|column| !column.head[0].is_empty());
    let heads: Vec<String> = columns
        .iter()
        .map(|column| if headed { column.head.join("\n") } else { column.head[1].clone() })
        .collect();
    let head_lines = heads.iter().map(|head| head.lines().count()).max().unwrap_or(0);
    table.set_header(Row::from(
        heads
            .iter()
            .zip(columns)
            .map(|(head, column)| aligned(TableCell::new(style.text(head)), column)),
    ));
    let rows = columns.first().map_or(0, |column| column.entries.len());
    for row in 0..rows {
        table.add_row(Row::from(columns.iter().map(|column| {
            let (text, tone) = &column.entries[row];
            let mut cell = aligned(TableCell::new(style.text(text)), column);
            if let Some(color) = tone.color() {
                cell = cell.fg(color);
            }
            if let Some(attribute) = tone.attribute() {
                cell = cell.add_attribute(attribute);
            }
            cell
        })));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    let mut lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    let rule = style.text("─").repeat(widest(&lines));
    lines.insert(head_lines, style.paint(&rule, Tone::Faint));
    lines
}

fn aligned(cell: TableCell, column: &Column) -> TableCell {
    let side = if column.right { CellAlignment::Right } else { CellAlignment::Left };
    cell.set_alignment(side)
}

/// As many lanes in a row as fit, the others below.
fn overview(overview: &Overview, style: Style) -> String {
    let mut parts = vec![style.paint("Overview", Tone::Strong), String::new()];
    let mut from = 0;
    while from < overview.lanes.len() {
        let fits = |to: usize| widest(&laid_out(&overview.columns(from..to), style)) <= style.width;
        let to = (from + 1..=overview.lanes.len()).rev().find(|&to| fits(to));
        let mut columns = overview.columns(from..to.unwrap_or(from + 1));
        if to.is_none() {
            // The names of the workload and of one lane are too long for one line.
            let half = style.width / 2 - usize::from(GAP);
            for column in &mut columns {
                column.head[1] = format::broken(&column.head[1], half);
                for (text, _) in &mut column.entries {
                    *text = format::broken(text, half);
                }
            }
        }
        parts.extend(laid_out(&columns, style));
        parts.push(String::new());
        from = to.unwrap_or(from + 1);
    }
    parts.push(style.wrap(&overview.key(style.unicode), "", "  "));
    parts.join("\n")
}
