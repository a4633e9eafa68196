//! One workload over the values of one of its parameters: figures that grow with the load.

use std::fmt::Write as _;

use rtswap_schema::record::{Kind, LanePlan, Record, Status};
use rtswap_stats::{Paired, estimate};
use serde::Serialize;

use crate::analyse::options;
use crate::data::Data;
use crate::grid::{Column, MISSING, status_word, tone};
use crate::style::{Style, Tone};
use crate::summary::{Cell, Figure, Interval, Metric, Role, Summary};
use crate::{format, machine, table};

/// A sweep in figures.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Sweep {
    /// The workload's name without parameters.
    pub workload: String,
    /// Its other parameters, as a name spells them: `size=1024`; empty without any.
    pub fixed: String,
    /// The parameter that varies.
    pub over: String,
    /// One operation's noun.
    pub unit: String,
    /// The lane that ratios are taken against.
    pub reference: String,
    /// Its values, ascending.
    pub values: Vec<u64>,
    /// The lanes, in listing order, the reference among them.
    pub lanes: Vec<Series>,
}

/// One lane's points.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Series {
    /// The lane.
    pub lane: String,
    /// What it stands for.
    pub kind: Kind,
    /// One for each of the sweep's values.
    pub points: Vec<Point>,
}

/// One lane at one value.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Point {
    /// The outcome.
    pub status: Status,
    /// Why there are no figures.
    pub reason: Option<String>,
    /// CPU time of the lane per operation, nanoseconds: median over blocks, mean over rounds (of the
    /// logarithm), with its 95 % interval.
    pub cpu_ns_per_op: Option<Interval>,
    /// CPU time per operation, lane over reference; `None` for the reference.
    pub cpu_ratio: Option<Figure>,
    /// System calls of the lane per operation.
    pub syscalls_per_op: Option<f64>,
    /// Memory per open connection, bytes.
    pub memory_per_conn_bytes: Option<f64>,
}

/// The entry of a table for a point.
type Entry<'a> = &'a dyn Fn(&Point) -> Option<(String, Tone)>;

/// Why a record is not a sweep.
#[derive(Debug, thiserror::Error)]
#[error("not a sweep: {0}; `rtswap sweep --over PARAM=VALUE,VALUE` records one")]
pub struct NoSweep(&'static str);

impl Sweep {
    /// The sweep that a record holds.
    ///
    /// # Errors
    /// [`NoSweep`] if its workloads do not differ in exactly one parameter.
    pub fn of(record: &Record, summary: &Summary) -> Result<Self, NoSweep> {
        let plans = &record.header.plan.workloads;
        let [first, others @ ..] = &plans[..] else {
            return Err(NoSweep("the record has no workload"));
        };
        if others.iter().any(|other| other.family != first.family) {
            return Err(NoSweep("the record has several workloads"));
        }
        let differs = |name: &&String| {
            others.iter().any(|other| other.params.get(*name) != first.params.get(*name))
        };
        let mut varied = first.params.keys().filter(differs);
        let (Some(over), None) = (varied.next(), varied.next()) else {
            return Err(NoSweep("its workloads do not differ in exactly one parameter"));
        };
        let mut plans: Vec<_> = plans.iter().collect();
        if plans.iter().any(|plan| plan.number(over).is_none()) {
            return Err(NoSweep("the parameter that varies is not a quantity"));
        }
        plans.sort_by_key(|plan| plan.number(over));
        let series = |lane: &LanePlan| Series {
            lane: lane.name.clone(),
            kind: lane.kind,
            points: plans
                .iter()
                .filter_map(|plan| {
                    let cell = summary.cell(&plan.name, &lane.name)?;
                    Some(Point::of(&Data::of(record, plan), cell))
                })
                .collect(),
        };
        let lanes = record.header.plan.lanes.iter();
        let takes_part = |lane: &&LanePlan| !lane.control && lane.does(&first.family);
        let fixed = first.params.iter().filter(|(name, _)| *name != over);
        Ok(Self {
            workload: first.family.clone(),
            fixed: fixed
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
                .join("/"),
            over: over.clone(),
            unit: first.unit.clone(),
            reference: summary.reference.clone(),
            values: plans.iter().filter_map(|plan| plan.number(over)).collect(),
            lanes: lanes.filter(takes_part).map(series).collect(),
        })
    }

    /// `tcp-echo/size=1024`.
    pub(crate) fn name(&self) -> String {
        match self.fixed.as_str() {
            "" => self.workload.clone(),
            fixed => format!("{}/{fixed}", self.workload),
        }
    }

    /// The tables, for a terminal.
    pub fn table(&self, summary: &Summary, style: &Style) -> String {
        let mut parts = Vec::new();
        for (title, mut columns) in self.tables() {
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
            parts.push(lines.join("\n"));
            parts.push(String::new());
        }
        for loss in self.losses() {
            parts.push(style.paint(&style.wrap(&loss, "", "  "), Tone::Unsure));
        }
        let machine = style.wrap(&machine::line(summary), "", "");
        parts.extend(machine.lines().map(|line| style.paint(line, Tone::Faint)));
        parts.join("\n") + "\n"
    }

    /// The tables, for documents.
    pub fn markdown(&self, summary: &Summary) -> String {
        let mut text = String::new();
        for (title, columns) in self.tables() {
            let _ = writeln!(text, "**{title}**\n");
            let heads: Vec<_> = columns.iter().map(|column| column.head[1].as_str()).collect();
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
        let _ = writeln!(text, "\n<sub>{}</sub>", machine::line(summary));
        text
    }

    /// A table for each figure: a row for each lane, a column for each value.
    fn tables(&self) -> Vec<(String, Vec<Column>)> {
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
        tables
            .into_iter()
            .filter(|(_, entry)| any(entry))
            .map(|(title, entry)| (title, self.columns(entry)))
            .collect()
    }

    fn columns(&self, entry: Entry<'_>) -> Vec<Column> {
        let column = |head: String, right, entries| Column {
            head: [String::new(), head],
            entries,
            right,
            dispensable: 0,
        };
        let names = self.lanes.iter().map(|lane| (lane.lane.clone(), Tone::Strong)).collect();
        let mut columns = vec![column("lane".to_owned(), false, names)];
        for (at, value) in self.values.iter().enumerate() {
            let entries = self.lanes.iter().map(|lane| match lane.points.get(at) {
                Some(point) if point.status != Status::Ok => {
                    (status_word(point.status).to_owned(), Tone::Unsure)
                }
                Some(point) => entry(point).unwrap_or((MISSING.to_owned(), Tone::Faint)),
                None => (MISSING.to_owned(), Tone::Faint),
            });
            columns.push(column(format!("{}={value}", self.over), true, entries.collect()));
        }
        columns
    }

    fn losses(&self) -> Vec<String> {
        let mut losses = Vec::new();
        for lane in &self.lanes {
            for (point, value) in lane.points.iter().zip(&self.values) {
                if let Some(reason) = &point.reason {
                    let (over, status) = (&self.over, status_word(point.status));
                    let reason = format::one_line(reason);
                    losses.push(format!("{}, {over}={value}: {status}: {reason}", lane.lane));
                }
            }
        }
        losses
    }
}

impl Point {
    fn of(data: &Data, cell: &Cell) -> Self {
        let lane = cell.lane.as_str();
        let own = data.figures(lane, Metric::CpuNsPerOp);
        let own = estimate(&Paired::from_figures(&own), &options(data.record));
        let live = cell.live();
        let figure = |metric| cell.metrics.get(&metric).filter(|_| live);
        Self {
            status: cell.status,
            reason: cell.reason.clone(),
            cpu_ns_per_op: own.filter(|_| live).map(Interval::from),
            cpu_ratio: figure(Metric::CpuNsPerOp).filter(|_| cell.role != Role::Reference).cloned(),
            syscalls_per_op: figure(Metric::SyscallsPerOp).map(|figure| figure.value),
            memory_per_conn_bytes: cell.memory_per_conn_bytes,
        }
    }
}
