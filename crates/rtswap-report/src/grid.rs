//! A workload's table before it is laid out: what stands where, the same for all formats.

use rtswap_schema::record::Stop;
use rtswap_stats::Verdict;

use crate::style::Tone;
use crate::summary::{Cell, Figure, Metric, Role, Summary, WorkloadSummary};
use crate::whisker::Scale;
use crate::words;

/// Stands where a lane has no figure that the others have.
pub(crate) const MISSING: &str = "–";

/// One column.
pub(crate) struct Column {
    /// Two lines.
    pub head: [String; 2],
    pub entries: Vec<(String, Tone)>,
    pub right: bool,
    /// The higher, the sooner it is left out for want of room; 0 never.
    pub dispensable: u8,
}

/// The lanes of a workload that have figures, best first, and those that have none.
pub(crate) struct Grid<'a> {
    pub summary: &'a Summary,
    pub workload: &'a WorkloadSummary,
    rows: Vec<&'a Cell>,
    pub lost: Vec<&'a Cell>,
}

impl<'a> Grid<'a> {
    pub fn of(summary: &'a Summary, workload: &'a WorkloadSummary) -> Self {
        // Pairs are about the lanes that are compared, not about what each is compared with.
        let shown = |cell: &&Cell| match cell.role {
            Role::Control => false,
            Role::Reference => !summary.is_paired(),
            Role::Lane => true,
        };
        let cells = || summary.cells_of(&workload.name).filter(shown);
        let mut rows: Vec<&Cell> = cells().filter(|cell| cell.live()).collect();
        rows.sort_by(|a, b| {
            let (a, b) = (rank(workload.deciding, a), rank(workload.deciding, b));
            a.total_cmp(&b)
        });
        Self { summary, workload, rows, lost: cells().filter(|cell| !cell.live()).collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The columns that have anything in them, in order. `whisker` is the width of the drawn one,
    /// if there is to be one.
    pub fn columns(&self, whisker: Option<usize>) -> Vec<Column> {
        let lead = self.workload.deciding;
        let other = if lead == Metric::OpsPerS { Metric::CpuNsPerOp } else { Metric::OpsPerS };
        let latency = |f: fn(&crate::Latency) -> u64| {
            move |cell: &Cell| cell.latency_ns.as_ref().map(|l| words::time(f(l) as f64))
        };
        let whisker = whisker.map(|width| self.whisker_column(lead, width));
        let columns = [
            self.column(["", "lane"], 0, false, |cell| Some(cell.lane.clone())),
            self.column(["compared", "with"], 1, false, |cell| {
                cell.against.clone().filter(|_| self.summary.is_chained())
            }),
            self.column(value_head(lead), 1, true, |cell| value(cell, lead)),
            self.ratio_column(lead),
        ];
        let others = [
            self.verdict_column(),
            self.column(["share of", "best floor"], 1, true, |cell| {
                cell.of_floor.as_ref().map(|it| words::percent(it.share))
            }),
            self.column(["", "streams"], 1, false, |cell| cell.note("streams")),
            self.column(["", "files"], 1, false, |cell| cell.note("files")),
            self.column(value_head(other), 3, true, |cell| value(cell, other)),
            self.other_ratio_column(other),
            self.column(["system", "calls/op"], 2, true, |cell| value(cell, Metric::SyscallsPerOp)),
            self.column(["context", "switches/op"], 8, true, |cell| {
                value(cell, Metric::CtxSwitchesPerOp)
            }),
            self.column(["latency", "median"], 6, true, latency(|l| l.p50)),
            self.column(["latency", "99 %"], 5, true, latency(|l| l.p99)),
            self.column(["", "memory"], 7, true, |cell| cell.memory_bytes.map(words::bytes)),
            self.column(["memory per", "connection"], 1, true, |cell| {
                cell.memory_per_conn_bytes.map(words::bytes)
            }),
        ];
        let all = columns.into_iter().chain(whisker).chain(others);
        all.filter(|c| c.entries.iter().any(|(text, _)| text != MISSING)).collect()
    }

    fn column(
        &self,
        head: [&str; 2],
        dispensable: u8,
        right: bool,
        entry: impl Fn(&Cell) -> Option<String>,
    ) -> Column {
        let entries = self.rows.iter().map(|cell| {
            let tone = if dispensable == 0 { Tone::Strong } else { Tone::Plain };
            entry(cell).map_or((MISSING.to_owned(), Tone::Faint), |text| (text, tone))
        });
        Column { head: head.map(str::to_owned), entries: entries.collect(), right, dispensable }
    }

    fn ratio_column(&self, lead: Metric) -> Column {
        let entries = self.rows.iter().map(|cell| match cell.metrics.get(&lead) {
            _ if cell.role == Role::Reference => ("reference".to_owned(), Tone::Faint),
            Some(figure) => match figure.interval() {
                Some(interval) => (words::interval(&interval), tone(figure)),
                None => (MISSING.to_owned(), Tone::Faint),
            },
            None => (MISSING.to_owned(), Tone::Faint),
        });
        Column {
            head: [format!("ratio to {}", self.summary.base()), "[95 % interval]".to_owned()],
            entries: entries.collect(),
            right: false,
            dispensable: 0,
        }
    }

    fn whisker_column(&self, lead: Metric, width: usize) -> Column {
        let interval = |cell: &Cell| cell.metrics.get(&lead).and_then(Figure::interval);
        let scale = Scale::of(self.rows.iter().copied().filter_map(interval));
        let one = crate::Interval { ratio: 1.0, lo: 1.0, hi: Some(1.0) };
        let compared = self.rows.iter().any(|cell| interval(cell).is_some());
        let entries = self.rows.iter().map(|cell| {
            let its = if cell.role == Role::Reference { Some(one) } else { interval(cell) };
            match its.filter(|_| compared) {
                Some(its) => {
                    let tone = cell.metrics.get(&lead).map_or(Tone::Plain, tone);
                    (scale.draw(&its, width), tone)
                }
                None => (MISSING.to_owned(), Tone::Faint),
            }
        });
        let spread = |left: &str, right: &str| {
            let gap = width.saturating_sub(left.len() + right.len()).max(1);
            format!("{left}{}{right}", " ".repeat(gap))
        };
        let (lo, hi) = scale.ends();
        let words = match lead {
            Metric::OpsPerS => ["slower", "faster"],
            _ => ["cheaper", "dearer"],
        };
        Column {
            head: [spread(words[0], words[1]), spread(&format!("{lo:.2}"), &format!("{hi:.2}"))],
            entries: entries.collect(),
            right: false,
            dispensable: 4,
        }
    }

    fn verdict_column(&self) -> Column {
        let entries = self.rows.iter().map(|cell| match cell.decisive() {
            _ if cell.role == Role::Reference => (MISSING.to_owned(), Tone::Faint),
            Some(figure) => {
                let verdict = figure.verdict.map_or(MISSING, Verdict::as_str);
                let mark = if self.otherwise(cell) { " *" } else { "" };
                (format!("{verdict}{mark}"), tone(figure))
            }
            None => (MISSING.to_owned(), Tone::Faint),
        });
        Column {
            head: [String::new(), "verdict".to_owned()],
            entries: entries.collect(),
            right: false,
            dispensable: 0,
        }
    }

    fn other_ratio_column(&self, other: Metric) -> Column {
        let mut column = self.column(["ratio to", ""], 4, true, |cell| {
            cell.metrics.get(&other)?.ratio.map(words::ratio)
        });
        self.summary.base().clone_into(&mut column.head[1]);
        column
    }

    /// Whether another metric than the table's decides for this lane.
    fn otherwise(&self, cell: &Cell) -> bool {
        cell.role == Role::Lane
            && cell.deciding != Some(self.workload.deciding)
            && cell.decisive().is_some_and(|figure| figure.ratio.is_some())
    }

    /// What the asterisk means, where there is one.
    pub fn footnote(&self) -> Option<&'static str> {
        self.rows.iter().any(|cell| self.otherwise(cell)).then_some(
            "* by CPU time per operation, because this lane did not keep its CPUs busy all the time",
        )
    }

    /// Noise floor, smallest visible effect, generator and rounds.
    pub fn foot(&self) -> String {
        let (workload, lead) = (self.workload, self.workload.deciding);
        let control = self.summary.cells_of(&workload.name).find(|cell| cell.role == Role::Control);
        let interval = control.and_then(|cell| cell.metrics.get(&lead)?.interval());
        let floor = workload.noise_floor.get(&lead);
        let mut parts = vec![match (interval, floor, control) {
            (Some(interval), Some(floor), _) => format!(
                "noise floor ±{} (control {})",
                words::percent(*floor),
                words::interval(&interval)
            ),
            (_, _, None) => "noise floor unknown (no control lane)".to_owned(),
            (_, _, Some(Cell { reason: Some(reason), status, .. })) => format!(
                "noise floor unknown (control {}: {})",
                status_word(*status),
                words::one_line(reason)
            ),
            _ => "noise floor unknown".to_owned(),
        }];
        // A lane that another metric decides says nothing about this one's sharpness.
        let decided =
            self.rows.iter().filter(|cell| cell.role == Role::Lane && !self.otherwise(cell));
        let mde = decided
            .filter_map(|cell| cell.metrics.get(&lead))
            .filter(|figure| !figure.is(Verdict::Inconclusive))
            .filter_map(|figure| figure.mde)
            .max_by(f64::total_cmp);
        if let Some(mde) = mde {
            parts.push(format!("smallest effect this run could see: {}", words::percent(mde)));
        }
        if let Some(ns) = workload.load_cpu_ns_per_op {
            parts.push(format!("generator {} CPU/op", words::time(ns)));
        }
        if let Some(sockets) = workload.time_wait {
            parts.push(format!("at most {} sockets in TIME_WAIT", words::rate(sockets as f64)));
        }
        let stopped = match workload.stopped {
            Some(Stop::Rounds) => "as planned",
            Some(Stop::Precision) => "then precise enough",
            Some(Stop::Budget) => "then the time was spent",
            Some(Stop::Lanes) => "then no lane was left",
            Some(_) => "then it was stopped",
            None => "then the run was broken off",
        };
        parts.push(format!("{}, {stopped}", words::counted(workload.rounds, "round")));
        parts.join("; ")
    }
}

/// `unsupported: io_uring is blocked`, by lane.
pub(crate) fn loss(cell: &Cell) -> String {
    let reason = cell.reason.as_deref().map(words::one_line).unwrap_or_default();
    let reason = if reason.is_empty() { "no reason was recorded".to_owned() } else { reason };
    format!("{}: {reason}", status_word(cell.status))
}

pub(crate) fn status_word(status: rtswap_schema::record::Status) -> &'static str {
    use rtswap_schema::record::Status;
    match status {
        Status::Ok => "ok",
        Status::Unsupported => "unsupported",
        Status::Failed => "failed",
        Status::Invalid => "did the work wrong",
        Status::Skipped => "skipped",
        _ => "no figures",
    }
}

pub(crate) fn tone(figure: &Figure) -> Tone {
    match figure.verdict {
        Some(Verdict::Faster | Verdict::Cheaper) => Tone::Good,
        Some(Verdict::Slower | Verdict::Dearer) => Tone::Bad,
        Some(Verdict::Inconclusive) => Tone::Unsure,
        Some(Verdict::Tie) | None => Tone::Plain,
    }
}

/// The lower, the better: ratios where there are any, otherwise the figures themselves.
fn rank(metric: Metric, cell: &Cell) -> f64 {
    let Some(figure) = cell.metrics.get(&metric) else { return f64::INFINITY };
    let log = match (cell.role, figure.ratio) {
        (Role::Reference, _) => 0.0,
        (_, Some(ratio)) => ratio.ln(),
        (_, None) => figure.value.ln(),
    };
    if metric == Metric::OpsPerS { -log } else { log }
}

fn value_head(metric: Metric) -> [&'static str; 2] {
    match metric {
        Metric::OpsPerS => ["operations", "per second"],
        _ => ["CPU time", "per op"],
    }
}

fn value(cell: &Cell, metric: Metric) -> Option<String> {
    let value = cell.metrics.get(&metric)?.value;
    Some(match metric {
        Metric::OpsPerS => words::rate(value),
        Metric::CpuNsPerOp => words::time(value),
        Metric::SyscallsPerOp | Metric::CtxSwitchesPerOp => words::count(value),
    })
}
