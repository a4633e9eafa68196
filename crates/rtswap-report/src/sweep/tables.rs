//! A sweep as tables, for a terminal and for documents.

use std::fmt::Write as _;

use rtswap_schema::record::Status;

use super::load::{KNEE, Range, per_s};
use super::{Point, Series, Sweep};
use crate::grid::{Column, MISSING, status_word, tone};
use crate::style::{Style, Tone};
use crate::summary::{Interval, Summary};
use crate::{format, machine, table};

/// Marks a lane that is overloaded, where the word is too wide.
const OVERLOADED: &str = "×";

/// The entry of a table for a point.
type Entry<'a> = &'a dyn Fn(&Point) -> Option<(String, Tone)>;

/// A table with its title.
type Titled = (String, Vec<Column>);

impl Sweep {
    /// The tables, for a terminal.
    pub fn table(&self, summary: &Summary, style: &Style) -> String {
        let mut parts = Vec::new();
        for (title, mut columns) in self.tables() {
            let title = if self.load.is_some() { style.wrap(&title, "", "  ") } else { title };
            parts.push(style.paint(&title, Tone::Strong));
            parts.push(String::new());
            let mut lines = table::laid_out(&columns, *style);
            if table::widest(&lines) > style.width {
                // Too wide: the ratios without their intervals.
                for (text, _) in columns.iter_mut().flat_map(|column| &mut column.entries) {
                    let middle = text.split_once(" [").map(|(middle, _)| middle.to_owned());
                    *text = middle.unwrap_or_else(|| std::mem::take(text));
                }
                lines = table::laid_out(&columns, *style);
            }
            if self.load.is_some() && table::widest(&lines) > style.width {
                lines = folded(columns, *style);
            }
            parts.push(lines.join("\n"));
            parts.push(String::new());
        }
        for loss in self.losses() {
            parts.push(style.paint(&style.wrap(&loss, "", "  "), Tone::Unsure));
        }
        let faint = self.legend().into_iter().chain([machine::line(summary)]);
        for text in faint {
            let text = style.wrap(&text, "", "");
            parts.extend(text.lines().map(|line| style.paint(line, Tone::Faint)));
        }
        parts.join("\n") + "\n"
    }

    /// The tables, for documents.
    pub fn markdown(&self, summary: &Summary) -> String {
        let mut text = String::new();
        for (title, columns) in self.tables() {
            let _ = writeln!(text, "**{title}**\n");
            let heads: Vec<_> = columns.iter().map(head_in_one_line).collect();
            let _ = writeln!(text, "| {} |", heads.join(" | "));
            let sides: Vec<_> =
                columns.iter().map(|column| if column.right { "--:" } else { ":--" }).collect();
            let _ = writeln!(text, "| {} |", sides.join(" | "));
            for row in 0..self.lanes.len() {
                let row: Vec<_> =
                    columns.iter().map(|column| column.entries[row].0.as_str()).collect();
                let _ = writeln!(text, "| {} |", row.join(" | "));
            }
            text.push('\n');
        }
        for loss in self.losses() {
            let _ = writeln!(text, "- {loss}");
        }
        if let Some(legend) = self.legend() {
            let _ = writeln!(text, "\n<sub>{legend}</sub>");
        }
        let _ = writeln!(text, "\n<sub>{}</sub>", machine::line(summary));
        text
    }

    /// A table for each figure: a row for each lane, a column for each value. Then, of a sweep over the
    /// offered rate, the limits of the lanes.
    fn tables(&self) -> Vec<Titled> {
        let name = self.name();
        let cpu = |point: &Point| {
            let cpu = point.cpu_ns_per_op?;
            Some((format::time(cpu.ratio), Tone::Plain))
        };
        let ratio = |point: &Point| {
            let figure = point.cpu_ratio.as_ref()?;
            Some((format::interval(&figure.interval()?), tone(figure)))
        };
        let calls = |point: &Point| Some((format::count(point.syscalls_per_op?), Tone::Plain));
        let memory =
            |point: &Point| Some((format::bytes(point.memory_per_conn_bytes?), Tone::Plain));
        let tables: [(String, Entry<'_>); 4] = [
            (format!("{name}: CPU time per {}", self.unit), &cpu),
            (format!("{name}: CPU time, ratio to {} [95 % interval]", self.reference), &ratio),
            (format!("{name}: system calls per {}", self.unit), &calls),
            (format!("{name}: memory per connection"), &memory),
        ];
        let any = |entry: Entry<'_>| {
            self.lanes.iter().flat_map(|lane| &lane.points).any(|point| entry(point).is_some())
        };
        let of_figures = tables
            .into_iter()
            .filter(|(_, entry)| any(entry))
            .map(|(title, entry)| (title, self.columns(entry)));
        self.latency_tables().into_iter().chain(of_figures).chain(self.limit_tables()).collect()
    }

    /// The percentile of latency at each rate, and its ratio.
    fn latency_tables(&self) -> Vec<Titled> {
        let Some(load) = &self.load else { return Vec::new() };
        let (name, percentile) = (self.name(), load.percentile_name());
        let latency = |point: &Point| {
            Some((format::time(point.latency(load.percentile)?.ratio), Tone::Plain))
        };
        let ratio = |point: &Point| {
            let figure = point.latency_ratio.as_ref()?;
            Some((format::interval(&figure.interval()?), tone(figure)))
        };
        let offered = format!("by offered {} per second", format::plural(&self.unit));
        let ratio_title =
            format!("{name}: {percentile} of latency, ratio to {} [95 % interval]", self.reference);
        vec![
            (format!("{name}: {percentile} of latency {offered}"), self.columns(&latency)),
            (ratio_title, self.columns(&ratio)),
        ]
    }

    /// How far each lane keeps up, and its capacity at the objective.
    fn limit_tables(&self) -> Vec<Titled> {
        let Some(load) = &self.load else { return Vec::new() };
        let per_second = format!("{} per second", format::plural(&self.unit));
        let percentile = load.percentile_name();
        let limits = [
            self.lane_column(&format!("knee of {percentile}"), |lane| {
                Some(lane.load.as_ref()?.knee?.per_s.text(per_s))
            }),
            self.lane_column("overloaded at", |lane| {
                Some(per_s(lane.load.as_ref()?.overloaded_per_s?))
            }),
            self.lane_column("closed loop", |lane| {
                Some(per_s(lane.load.as_ref()?.closed_loop_per_s?))
            }),
        ];
        let names = || [self.lane_column("lane", |lane| Some(lane.lane.clone()))].into_iter();
        let limits = names().chain(limits).collect();
        let mut tables = vec![(format!("{}: limits, {per_second}", self.name()), limits)];
        if let Some(objective) = &load.objective {
            let title = format!("{}: capacity at {objective}, {per_second}", self.name());
            let columns = [
                self.lane_column("capacity [95 % interval]", |lane| {
                    let at = lane.load.as_ref()?.at_objective?;
                    Some(with_interval(&at.per_s, &at.interval_per_s, &per_s))
                }),
                self.lane_column(&format!("ratio to {}", self.reference), |lane| {
                    let at = lane.load.as_ref()?.at_objective?;
                    Some(ratio_with_interval(&at.ratio?, &at.ratio_interval?))
                }),
            ];
            tables.push((title, names().chain(columns).collect()));
        }
        tables
    }

    /// A column with an entry for each lane; the names of the lanes are the first.
    fn lane_column(&self, head: &str, entry: impl Fn(&Series) -> Option<String>) -> Column {
        let is_name = head == "lane";
        let entries = self.lanes.iter().map(|lane| match entry(lane) {
            Some(text) => (text, if is_name { Tone::Strong } else { Tone::Plain }),
            None => (MISSING.to_owned(), Tone::Faint),
        });
        column(["", head], !is_name, entries.collect())
    }

    fn columns(&self, entry: Entry<'_>) -> Vec<Column> {
        let names = self.lane_column("lane", |lane| Some(lane.lane.clone()));
        let mut columns = vec![names];
        for at in 0..self.values.len() {
            let entries = self.lanes.iter().map(|lane| match lane.points.get(at) {
                Some(point) if point.status == Status::Overloaded && self.load.is_some() => {
                    (OVERLOADED.to_owned(), Tone::Unsure)
                }
                Some(point) if point.status != Status::Ok => {
                    (status_word(point.status).to_owned(), Tone::Unsure)
                }
                Some(point) => entry(point).unwrap_or((MISSING.to_owned(), Tone::Faint)),
                None => (MISSING.to_owned(), Tone::Faint),
            });
            columns.push(column(
                self.head(at).each_ref().map(String::as_str),
                true,
                entries.collect(),
            ));
        }
        columns
    }

    /// The heading of a value: `conns=8`, or the share of capacity above the rate that it came to.
    fn head(&self, at: usize) -> [String; 2] {
        match &self.load {
            None => [String::new(), format!("{}={}", self.over, self.values[at])],
            Some(load) => {
                let share = Some(&load.rates[at]).filter(|rate| rate.ends_with('%'));
                [share.cloned().unwrap_or_default(), per_s(load.offered_per_s[at])]
            }
        }
    }

    fn losses(&self) -> Vec<String> {
        let mut losses = Vec::new();
        for lane in &self.lanes {
            for (at, point) in lane.points.iter().enumerate() {
                // Where a lane is overloaded is a result of a sweep over the offered rate.
                let is_result = self.load.is_some() && point.status == Status::Overloaded;
                if let Some(reason) = point.reason.as_ref().filter(|_| !is_result) {
                    let (over, status) = (&self.over, status_word(point.status));
                    let value = match &self.load {
                        Some(load) => load.rates[at].clone(),
                        None => self.values[at].to_string(),
                    };
                    let reason = format::one_line(reason);
                    losses.push(format!("{}, {over}={value}: {status}: {reason}", lane.lane));
                }
            }
        }
        losses
    }

    /// The terms of a sweep over the offered rate.
    fn legend(&self) -> Option<String> {
        let load = self.load.as_ref()?;
        let percentile = load.percentile_name();
        let mut text = format!(
            "{OVERLOADED}: overloaded, the lane does not keep up with the offered rate, so it has no latency. {percentile} of \
             latency: from when an operation was due, median over rounds. knee: the highest offered rate at which that is at \
             most {KNEE} times the lane's least. closed loop: operations per second if each response is followed at once by \
             the next request."
        );
        if let Some(objective) = &load.objective {
            let _ = write!(
                text,
                " capacity at {objective}: the highest offered rate that meets it, interpolated in each round, median over \
                 rounds. A range: the lane meets it at the lower rate and is overloaded at the next, so the figure lies \
                 between them; measure rates in between for a narrower range."
            );
        }
        Some(text)
    }
}

fn column(head: [&str; 2], right: bool, entries: Vec<(String, Tone)>) -> Column {
    Column { head: head.map(str::to_owned), entries, right, dispensable: 0 }
}

/// `conns=8`, or `10%: 2,130`.
fn head_in_one_line(column: &Column) -> String {
    match &column.head {
        [first, second] if first.is_empty() => second.clone(),
        [first, second] => format!("{first}: {second}"),
    }
}

/// `21,300 [20,900, 21,600]`; the interval without its unknown ends, and nothing if it has none.
fn with_interval(middle: &Range, interval: &Range, figure: &dyn Fn(f64) -> String) -> String {
    let middle = middle.text(figure);
    match (interval.at_least, interval.at_most) {
        (Some(lo), Some(hi)) => format!("{middle} [{}, {}]", figure(lo), figure(hi)),
        (Some(lo), None) => format!("{middle} [{} or more]", figure(lo)),
        (None, Some(hi)) => format!("{middle} [{} or less]", figure(hi)),
        (None, None) => middle,
    }
}

/// The same for a ratio, with the digits that the interval warrants.
fn ratio_with_interval(middle: &Range, interval: &Range) -> String {
    let ratio = middle.known().or(middle.at_least).or(middle.at_most).unwrap_or(1.0);
    let lo = interval.at_least.unwrap_or(ratio);
    let of = Interval { ratio, lo, hi: interval.at_most };
    with_interval(middle, interval, &|end| format::ratio_as(end, &of))
}

/// The table in parts, one below the other, each with the names of the lanes and as many of the other columns
/// as fit.
fn folded(mut columns: Vec<Column>, style: Style) -> Vec<String> {
    let rest = columns.split_off(1);
    let mut lines: Vec<String> = Vec::new();
    let mut part = columns;
    for column in rest {
        part.push(column);
        if part.len() > 2 && table::widest(&table::laid_out(&part, style)) > style.width {
            let last = part.split_off(part.len() - 1);
            lines.extend(table::laid_out(&part, style));
            lines.push(String::new());
            part.truncate(1);
            part.extend(last);
        }
    }
    lines.extend(table::laid_out(&part, style));
    lines
}
