//! The rows and columns of a workload's table, the same for all output formats.

mod lines;

use rtswap_schema::record::Status;
use rtswap_stats::Verdict;

use crate::error_bar::Scale;
use crate::format;
use crate::style::Tone;
use crate::summary::{
    Cell, Figure, Interval, Latency, Metric, Modes, Role, Summary, WorkloadSummary,
};

/// The entry of a lane without a figure that other lanes have.
pub(crate) const MISSING: &str = "–";

/// The width of the error bars in the table of a workload with an offered rate.
const OFFERED_ERROR_BARS: usize = 15;

/// One column.
pub(crate) struct Column {
    /// Two lines of heading.
    pub head: [String; 2],
    pub entries: Vec<(String, Tone)>,
    pub right: bool,
    /// Columns with higher values are left out first if the table is too wide; 0 never.
    pub dispensable: u8,
}

impl Column {
    /// The column under another heading.
    fn under(self, head: [&str; 2]) -> Self {
        Self { head: head.map(str::to_owned), ..self }
    }
}

/// The lanes of a workload with figures, best first, and those without.
pub(crate) struct Grid<'a> {
    pub summary: &'a Summary,
    pub workload: &'a WorkloadSummary,
    rows: Vec<&'a Cell>,
    pub failures: Vec<&'a Cell>,
}

impl<'a> Grid<'a> {
    pub fn of(summary: &'a Summary, workload: &'a WorkloadSummary) -> Self {
        // The native lanes of a paired run appear in the ratios alone.
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
        Self { summary, workload, rows, failures: cells().filter(|cell| !cell.live()).collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The columns with any entries, in order. `error_bars` is the width of the column of error bars;
    /// `None` leaves it out.
    pub fn columns(&self, error_bars: Option<usize>) -> Vec<Column> {
        let mut columns = if self.workload.arrivals.is_some() {
            self.offered_columns(error_bars)
        } else {
            self.closed_columns(error_bars)
        };
        columns.retain(|column| column.entries.iter().any(|(text, _)| text != MISSING));
        columns
    }

    fn closed_columns(&self, error_bars: Option<usize>) -> Vec<Column> {
        let lead = self.workload.deciding;
        let other = if lead == Metric::OpsPerS { Metric::CpuNsPerOp } else { Metric::OpsPerS };
        let total =
            if lead == Metric::OpsPerS { Metric::TotalOpsPerS } else { Metric::TotalCpuNsPerOp };
        let error_bars = error_bars.map(|width| self.error_bar_column(lead, width));
        let latency = |name: &str, dispensable, entry: fn(&Latency) -> Option<u64>| {
            self.column(
                ["closed-loop", &format!("latency {name}")],
                dispensable,
                true,
                move |cell| {
                    let ns = cell.latency_ns.as_ref().and_then(entry)?;
                    Some(format::time(ns as f64))
                },
            )
        };
        let others = [
            self.verdict_column(),
            self.overhead_column(),
            self.column(["share of", "best floor"], 3, true, |cell| {
                cell.of_floor.as_ref().map(|it| format::percent(it.share))
            }),
            self.column(["", "streams"], 3, false, |cell| cell.note("streams")),
            self.column(["", "files"], 3, false, |cell| cell.note("files")),
            self.column(self.value_head(other), 4, true, |cell| value(cell, other)),
            self.bare_ratio_column(other, 6),
            self.bare_ratio_column(total, 7).under(["all slices,", "ratio"]),
            self.use_column(3),
            self.modes_column(2),
            self.column(["system", "calls/op"], 5, true, |cell| value(cell, Metric::SyscallsPerOp)),
            self.column(["", "ops/wait"], 13, true, |cell| cell.ops_per_wait.map(format::count)),
            self.column(["context", "switches/op"], 14, true, |cell| {
                value(cell, Metric::CtxSwitchesPerOp)
            }),
            latency("p50", 11, |it| Some(it.p50)),
            latency("p99", 8, |it| Some(it.p99)),
            self.bare_ratio_column(Metric::P99Ns, 8),
            latency("p99.9", 10, |it| it.p999),
            self.bare_ratio_column(Metric::P999Ns, 10),
            latency("max", 9, |it| Some(it.max)),
            self.column(["", "memory"], 12, true, |cell| cell.memory_bytes.map(format::bytes)),
            self.column(["memory per", "connection"], 1, true, |cell| {
                cell.memory_per_conn_bytes.map(format::bytes)
            }),
        ];
        self.leading(lead).into_iter().chain(error_bars).chain(others).collect()
    }

    /// The lane, its deciding figure and the ratio.
    fn leading(&self, lead: Metric) -> [Column; 4] {
        [
            self.column(["", "lane"], 0, false, |cell| Some(cell.lane.clone())),
            self.column(["compared", "with"], 1, false, |cell| {
                cell.against.clone().filter(|_| self.summary.is_chained())
            }),
            self.column(self.value_head(lead), 1, true, |cell| value(cell, lead)),
            self.ratio_column(lead),
        ]
    }

    /// How much of their CPUs the lane and the generator used.
    fn use_column(&self, dispensable: u8) -> Column {
        let head = if self.workload.by_generator {
            ["CPUs used:", "lane/generator"]
        } else {
            ["CPUs used", "by the lane"]
        };
        self.column(head, dispensable, true, |cell| {
            let lane = cell.lane_use.map(share)?;
            Some(match cell.generator_use.map(share) {
                Some(generator) => format!("{lane}/{generator} %"),
                None => format!("{lane} %"),
            })
        })
    }

    /// What of the lane's cost is the contract's own.
    fn overhead_column(&self) -> Column {
        self.column(["overhead of", "contract ‡"], 1, true, |cell| {
            cell.overhead.as_ref().map(format::interval)
        })
    }

    /// `12.1 µs 60 %, 20.3 µs 40 %`.
    fn modes_column(&self, dispensable: u8) -> Column {
        self.column(["modes of CPU", "time per op"], dispensable, false, |cell| {
            let Modes { low_ns, high_ns, share_high, .. } = cell.modes?;
            Some(format!(
                "{} {} %, {} {} %",
                format::time(low_ns),
                share(1.0 - share_high),
                format::time(high_ns),
                share(share_high)
            ))
        })
    }

    /// The columns of a workload with an offered rate. CPU time decides; operations per second are offered.
    fn offered_columns(&self, error_bars: Option<usize>) -> Vec<Column> {
        let lead = self.workload.deciding;
        // The error bars are narrow, since latency needs the width.
        let error_bars = error_bars.map(|width| {
            let column = self.error_bar_column(lead, width.min(OFFERED_ERROR_BARS));
            Column { dispensable: 6, ..column }
        });
        let latency = |name: &str, dispensable, metric, merged: fn(&Latency) -> Option<u64>| {
            self.column(["latency", name], dispensable, true, move |cell| {
                value(cell, metric).or_else(|| {
                    let merged = cell.latency_ns.as_ref().and_then(merged);
                    merged.map(|ns| format::time(ns as f64))
                })
            })
        };
        let others = [
            self.verdict_column(),
            self.overhead_column(),
            self.modes_column(3),
            latency("p50", 3, Metric::P50Ns, |it| Some(it.p50)),
            latency("p99", 1, Metric::P99Ns, |it| Some(it.p99)),
            self.bare_ratio_column(Metric::P99Ns, 1),
            latency("p99.9", 2, Metric::P999Ns, |it| it.p999),
            self.bare_ratio_column(Metric::P999Ns, 2),
            self.column(["capacity,", "op/s"], 5, true, |cell| value(cell, Metric::CapacityPerS)),
            self.bare_ratio_column(Metric::CapacityPerS, 5),
            self.bare_ratio_column(Metric::TotalCpuNsPerOp, 8).under(["all slices,", "ratio"]),
            self.use_column(4),
            self.column(["system", "calls/op"], 8, true, |cell| value(cell, Metric::SyscallsPerOp)),
            self.column(["", "ops/wait"], 7, true, |cell| cell.ops_per_wait.map(format::count)),
            self.column(["", "memory"], 9, true, |cell| cell.memory_bytes.map(format::bytes)),
            self.column(["context", "switches/op"], 10, true, |cell| {
                value(cell, Metric::CtxSwitchesPerOp)
            }),
            self.column(["share of", "best floor"], 4, true, |cell| {
                cell.of_floor.as_ref().map(|it| format::percent(it.share))
            }),
            self.column(["", "streams"], 4, false, |cell| cell.note("streams")),
            self.column(["", "files"], 4, false, |cell| cell.note("files")),
        ];
        self.leading(lead).into_iter().chain(error_bars).chain(others).collect()
    }

    /// The ratio without its interval, in the color of its verdict, next to the figure.
    fn bare_ratio_column(&self, metric: Metric, dispensable: u8) -> Column {
        let entries = self.rows.iter().map(|cell| {
            let figure = cell.metrics.get(&metric);
            let ratio =
                figure.and_then(|figure| Some((format::ratio(&figure.interval()?), tone(figure))));
            ratio.unwrap_or_else(|| (MISSING.to_owned(), Tone::Faint))
        });
        Column {
            head: [String::new(), "ratio".to_owned()],
            entries: entries.collect(),
            right: true,
            dispensable,
        }
    }

    /// The heading of a figure, with a mark where the lane counts its own operations.
    fn value_head(&self, metric: Metric) -> [&'static str; 2] {
        match (metric, self.is_self_reported()) {
            (Metric::OpsPerS, false) => ["operations", "per second"],
            (Metric::OpsPerS, true) => ["operations", "per second †"],
            (_, false) => ["CPU time", "per op"],
            (_, true) => ["CPU time", "per op †"],
        }
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
                Some(interval) => (format::interval(&interval), tone(figure)),
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

    fn error_bar_column(&self, lead: Metric, width: usize) -> Column {
        let interval = |cell: &Cell| cell.metrics.get(&lead).and_then(Figure::interval);
        let scale = Scale::of(self.rows.iter().copied().filter_map(interval));
        let one = Interval { ratio: 1.0, lo: 1.0, hi: Some(1.0) };
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
        let ends = match lead {
            Metric::OpsPerS => ["slower", "faster"],
            _ => ["less CPU", "more"],
        };
        Column {
            head: [spread(ends[0], ends[1]), spread(&format!("{lo:.2}"), &format!("{hi:.2}"))],
            entries: entries.collect(),
            right: false,
            dispensable: 5,
        }
    }

    fn verdict_column(&self) -> Column {
        let entries = self.rows.iter().map(|cell| match cell.decisive() {
            _ if cell.role == Role::Reference => (MISSING.to_owned(), Tone::Faint),
            Some(figure) => (verdict(cell, figure).to_owned(), tone(figure)),
            None => (MISSING.to_owned(), Tone::Faint),
        });
        Column {
            head: [String::new(), "verdict".to_owned()],
            entries: entries.collect(),
            right: false,
            dispensable: 0,
        }
    }
}

/// Why a lane has no figures: `unsupported: io_uring is blocked`.
pub(crate) fn loss(cell: &Cell) -> String {
    let reason = cell.reason.as_deref().map(format::one_line).unwrap_or_default();
    let reason = if reason.is_empty() { "no reason was recorded".to_owned() } else { reason };
    format!("{}: {reason}", status_word(cell.status))
}

pub(crate) fn status_word(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Unsupported => "unsupported",
        Status::Failed => "failed",
        Status::Invalid => "invalid",
        Status::Skipped => "skipped",
        Status::Overloaded => "overloaded",
        _ => "no figures",
    }
}

pub(crate) fn tone(figure: &Figure) -> Tone {
    match figure.verdict {
        Some(Verdict::Better) => Tone::Good,
        Some(Verdict::Worse) => Tone::Bad,
        Some(_) if !figure.is_decidable() => Tone::Unsure,
        _ => Tone::Plain,
    }
}

/// The verdict in the words of the metric that decides.
fn verdict(cell: &Cell, figure: &Figure) -> &'static str {
    let rate = cell.deciding == Some(Metric::OpsPerS);
    match figure.verdict {
        Some(Verdict::Better) if rate => "faster",
        Some(Verdict::Better) => "less CPU",
        Some(Verdict::Worse) if rate => "slower",
        Some(Verdict::Worse) => "more CPU",
        Some(Verdict::Equivalent) => "equivalent",
        Some(_) if figure.is_decidable() => "undecided",
        Some(_) => "undecided ?",
        None => MISSING,
    }
}

/// The sort key, lower for better lanes: from the ratio if there is one, otherwise from the figure.
fn rank(metric: Metric, cell: &Cell) -> f64 {
    let Some(figure) = cell.metrics.get(&metric) else { return f64::INFINITY };
    let log = match (cell.role, figure.ratio) {
        (Role::Reference, _) => 0.0,
        (_, Some(ratio)) => ratio.ln(),
        (_, None) => figure.value.ln(),
    };
    if metric == Metric::OpsPerS { -log } else { log }
}

/// A share in whole per cent.
fn share(share: f64) -> String {
    format!("{:.0}", share * 100.0)
}

fn value(cell: &Cell, metric: Metric) -> Option<String> {
    let value = cell.metrics.get(&metric)?.value;
    if !value.is_finite() {
        return Some("∞".to_owned());
    }
    Some(match metric {
        Metric::OpsPerS | Metric::CapacityPerS => format::rate(value),
        Metric::SyscallsPerOp | Metric::CtxSwitchesPerOp => format::count(value),
        _ => format::time(value),
    })
}
