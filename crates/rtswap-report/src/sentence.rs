//! A workload's result as sentences.
//!
//! Each clause must hold for all data that lead to it. So no lanes are called equal: if no difference was
//! found, the sentence states the largest difference that the interval allows.

mod latency;

use rtswap_schema::record::{Kind, Status};
use rtswap_stats::Verdict;

use crate::format;
use crate::summary::{Bound, Cause, Cell, Figure, Interval, Metric, Role, WorkloadSummary};

/// Factor between two counts above which they are named as a possible reason for a difference.
const NOTABLE: f64 = 1.1;

/// The smallest difference that a sentence states, since no smaller one can be excluded.
const LEAST_PART: f64 = 0.0001;

/// Which lanes are better or worse than the reference, by how much, and how their counts differ.
pub(crate) fn of(workload: &WorkloadSummary, cells: &[Cell], reference: &str) -> String {
    let result = Comparison { workload, cells, reference };
    if let Some(sentence) = result.incomparable() {
        return std::iter::once(sentence).chain(result.overloaded()).collect::<Vec<_>>().join(" ");
    }
    let mut sentences: Vec<String> = result.bottleneck().into_iter().collect();
    sentences.extend(result.differences());
    let figures = result.figures();
    if let Some((lanes, reach)) = no_difference(&figures) {
        let most = reach.map(|it| format!("; the intervals allow up to {it}")).unwrap_or_default();
        let what = if workload.arrivals.is_some() { " in CPU time" } else { "" };
        sentences
            .push(format!("No difference from {reference}{what} was found for {lanes}{most}."));
    }
    sentences.extend(undecidable(&figures, ""));
    sentences.extend(result.latency());
    sentences.extend(result.stalls());
    sentences.extend(result.overloaded());
    sentences.join(" ")
}

/// The overhead of each lane over the lane that it is paired with.
pub(crate) fn of_pairs(cells: &[Cell]) -> String {
    let of = |polled: bool| cells.iter().filter(move |cell| (cell.kind == Kind::Polled) == polled);
    let baseline = |cell: &Cell| cell.against.clone().unwrap_or_else(|| "its baseline".to_owned());
    let contract = overheads(of(false), "The contract", baseline);
    let polled =
        overheads(of(true), "Polling", |cell| format!("{} with owned buffers", baseline(cell)));
    [contract, polled].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The overhead of `what` on each lane.
fn overheads<'a>(
    cells: impl Iterator<Item = &'a Cell>,
    what: &str,
    than: impl Fn(&Cell) -> String,
) -> Vec<String> {
    let figures: Vec<_> = cells
        .filter(|cell| cell.role == Role::Lane && cell.live())
        .filter_map(|cell| Some((cell, cell.decisive()?)))
        .collect();
    let mut sentences = Vec::new();
    if let Some((lanes, reach)) = no_difference(&figures) {
        sentences.push(match reach {
            Some(reach) => {
                format!("{what} costs {lanes} less than {reach} of CPU time, if anything.")
            }
            None => format!("No overhead was found for {lanes}."),
        });
    }
    for (cell, figure) in &figures {
        let Some(Interval { ratio, lo, hi: Some(hi) }) = figure.interval() else { continue };
        let word = match figure.verdict {
            Some(Verdict::Better) => "less",
            Some(Verdict::Worse) => "more",
            _ => continue,
        };
        let part = format::percent((ratio - 1.0).abs());
        let parts = format::between((lo - 1.0).abs(), (hi - 1.0).abs());
        let (lane, than) = (&cell.lane, than(cell));
        sentences.push(format!("{lane} uses {part} {word} CPU time than {than} ({parts})."));
    }
    sentences.extend(undecidable(&figures, ""));
    sentences
}

/// The lanes without a difference that was found, and the largest that their intervals allow.
fn no_difference(figures: &[(&Cell, &Figure)]) -> Option<(String, Option<String>)> {
    let found = || {
        let no_difference = |figure: &Figure| figure.cause.is_some_and(Cause::no_difference);
        figures.iter().filter(move |(_, figure)| no_difference(figure))
    };
    let lanes: Vec<&str> = found().map(|(cell, _)| cell.lane.as_str()).collect();
    let reaches = found().map(|(_, it)| it.interval()?.reach());
    let reach = reaches.reduce(|a, b| Some(a?.max(b?)))?;
    Some((format::list(&lanes), reach.map(|reach| format::percent(reach.max(LEAST_PART)))))
}

/// The lanes that the run cannot decide, grouped by reason, which is mostly the same for all. `what` says in what
/// they are undecided: ` in capacity`.
fn undecidable(figures: &[(&Cell, &Figure)], what: &str) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for (cell, figure) in figures {
        if !figure.is(Verdict::Undecided) || figure.is_decidable() {
            continue;
        }
        let why = figure.why.as_deref().unwrap_or("no reason was recorded");
        match reasons.iter_mut().find(|(reason, _)| *reason == why) {
            Some((_, lanes)) => lanes.push(&cell.lane),
            None => reasons.push((why, vec![&cell.lane])),
        }
    }
    let sentence = |(why, lanes): (&str, Vec<&str>)| {
        if lanes.len() == figures.len() {
            return format!("All lanes are undecided{what}: {why}.");
        }
        let verb = if lanes.len() == 1 { "is" } else { "are" };
        format!("{} {verb} undecided{what}: {why}.", format::list(&lanes))
    };
    reasons.into_iter().map(sentence).collect()
}

/// A workload whose lanes are compared with one reference.
struct Comparison<'a> {
    workload: &'a WorkloadSummary,
    cells: &'a [Cell],
    reference: &'a str,
}

impl<'a> Comparison<'a> {
    /// Why no lanes can be compared.
    fn incomparable(&self) -> Option<String> {
        let reference = self.reference;
        if self.cells.iter().all(|cell| !cell.live()) {
            let begun = self.cells.iter().any(|cell| cell.status != Status::Skipped);
            let sentence = if begun {
                "No lane has figures; each has its reason above."
            } else {
                "Not measured; each lane has its reason above."
            };
            return Some(sentence.to_owned());
        }
        let its_cell = self.cells.iter().find(|cell| cell.role == Role::Reference);
        if its_cell.is_some_and(|cell| cell.status == Status::Overloaded) {
            return Some(format!(
                "The reference {reference} is overloaded, so there are no ratios; offer a lower rate{}.",
                self.slowest_capacity()
            ));
        }
        if !its_cell.is_some_and(Cell::live) {
            return Some(format!(
                "The reference {reference} has no figures, so there are no ratios."
            ));
        }
        if self.lanes().next().is_none() {
            return Some(format!("Only {reference} has figures, so there is nothing to compare."));
        }
        None
    }

    /// What a lower rate has to be lower than.
    fn slowest_capacity(&self) -> String {
        let capacity = |cell: &Cell| Some(cell.metrics.get(&Metric::CapacityPerS)?.value);
        let lanes = self.cells.iter().filter(|cell| cell.role != Role::Control);
        let slowest = lanes.filter_map(|cell| Some((cell, capacity(cell)?)));
        let slowest = slowest.min_by(|a, b| a.1.total_cmp(&b.1));
        slowest.map_or(String::new(), |(cell, per_s)| {
            format!(
                " (the lowest capacity is that of {}: {} {} per second)",
                cell.lane,
                format::rate(per_s),
                format::plural(self.unit())
            )
        })
    }

    fn lanes(&self) -> impl Iterator<Item = &'a Cell> {
        let live = || self.cells.iter().filter(|cell| cell.role == Role::Lane && cell.live());
        // Floors are a lower bound, and compared only if there are no other lanes.
        let only_floors = live().all(|cell| cell.kind == Kind::Floor);
        live().filter(move |cell| only_floors || cell.kind != Kind::Floor)
    }

    fn unit(&self) -> &str {
        &self.workload.unit
    }

    /// Why CPU time decides, if it decides for all lanes.
    fn bottleneck(&self) -> Option<String> {
        if self.workload.deciding == Metric::OpsPerS {
            return None;
        }
        let unit = self.unit();
        if self.workload.arrivals.is_some() {
            return Some(format!(
                "The rate is the same for all lanes, so CPU time per {unit} decides."
            ));
        }
        let cells = || self.cells.iter().filter(|cell| cell.live());
        let generator = |cell: &Cell| cell.bound == Some(Bound::Generator);
        let bottleneck = if cells().all(generator) {
            "The load generator was the bottleneck".to_owned()
        } else if cells().any(generator) {
            "The load generator was the bottleneck for some lanes".to_owned()
        } else {
            format!("{} did not use its CPUs to the full", self.reference)
        };
        Some(format!(
            "{bottleneck}, so CPU time per {unit} decides, not {} per second.",
            format::plural(unit)
        ))
    }

    /// The lanes with their deciding figures, in listing order.
    fn figures(&self) -> Vec<(&'a Cell, &'a Figure)> {
        self.lanes().filter_map(|cell| Some((cell, cell.decisive()?))).collect()
    }

    /// In each direction the largest difference in full, the others in brief.
    fn differences(&self) -> Vec<String> {
        let size = |figure: &Figure| figure.ratio.map_or(0.0, |ratio| ratio.ln().abs());
        let mut sentences = Vec::new();
        for verdict in [Verdict::Better, Verdict::Worse] {
            let mut found = self.figures();
            found.retain(|(_, figure)| figure.is(verdict));
            found.sort_by(|a, b| size(b.1).total_cmp(&size(a.1)));
            let Some(((cell, figure), others)) = found.split_first() else { continue };
            sentences.push(self.difference(cell, figure));
            let others: Vec<String> =
                others.iter().filter_map(|(cell, figure)| brief(cell, figure)).collect();
            if !others.is_empty() {
                sentences.push(format!("Also {verdict}: {}.", format::list(&others)));
            }
        }
        sentences
    }

    /// `smol handles 22 % fewer messages per second than tokio (between 21 and 23 %)`, and the counts that
    /// differ.
    fn difference(&self, cell: &Cell, figure: &Figure) -> String {
        let (Some(ratio), Some(lo)) = (figure.ratio, figure.lo) else { return String::new() };
        let hi = figure.hi.unwrap_or(f64::INFINITY);
        let (lane, reference, unit) = (&cell.lane, self.reference, self.unit());
        let units = format::plural(unit);
        let by_speed = cell.deciding == Some(Metric::OpsPerS);
        let part = format::percent((ratio - 1.0).abs());
        let parts = format::between((lo - 1.0).abs(), (hi - 1.0).abs());
        let times = format::number(ratio);
        let bounds = format!("between {} and {}", format::number(lo), format::number(hi));
        let claim = match (by_speed, ratio) {
            (true, 2.0..) => {
                format!(
                    "{lane} handles {times} times as many {units} per second as {reference} ({bounds})"
                )
            }
            (false, 2.0..) => {
                format!(
                    "{lane} uses {times} times as much CPU time per {unit} as {reference} ({bounds})"
                )
            }
            (true, _) => {
                let word = if ratio > 1.0 { "more" } else { "fewer" };
                format!(
                    "{lane} handles {part} {word} {units} per second than {reference} ({parts})"
                )
            }
            (false, _) => {
                let word = if ratio > 1.0 { "more" } else { "less" };
                format!("{lane} uses {part} {word} CPU time per {unit} than {reference} ({parts})")
            }
        };
        let worse = figure.is(Verdict::Worse);
        // Where CPU time decides for all lanes, the first sentence has the bottleneck.
        let bottleneck = match cell.bound {
            Some(Bound::Generator) if self.workload.deciding == Metric::OpsPerS => {
                "; the load generator was its bottleneck, so CPU time decides"
            }
            Some(Bound::None) if self.workload.deciding == Metric::OpsPerS => {
                "; it did not use its CPUs to the full, so CPU time decides"
            }
            _ => "",
        };
        format!("{claim}{bottleneck}{}.", self.counts(cell, worse))
    }

    /// The exact count that differs in the direction of a difference; if there is none, the system calls
    /// that differ in the other direction.
    fn counts(&self, cell: &Cell, worse: bool) -> String {
        let mut opposite = String::new();
        for (metric, what) in [
            (Metric::SyscallsPerOp, "system calls"),
            (Metric::CtxSwitchesPerOp, "context switches"),
        ] {
            let Some((own, its)) = self.count(cell, metric) else { continue };
            let (unit, reference) = (self.unit(), self.reference);
            let counts = format!(
                "makes {} {what} per {unit}, {reference} {}",
                format::count(own),
                format::count(its)
            );
            if own.max(its) < NOTABLE * own.min(its) || own.max(its) < 0.01 {
                continue;
            }
            if (own > its) == worse {
                return format!("; it {counts}");
            }
            if metric == Metric::SyscallsPerOp {
                opposite = format!(", although it {counts}");
            }
        }
        opposite
    }

    fn count(&self, cell: &Cell, metric: Metric) -> Option<(f64, f64)> {
        let reference = self.cells.iter().find(|cell| cell.role == Role::Reference)?;
        Some((cell.metrics.get(&metric)?.value, reference.metrics.get(&metric)?.value))
    }
}

/// `compio (24 % more)`.
fn brief(cell: &Cell, figure: &Figure) -> Option<String> {
    let ratio = figure.ratio?;
    let part = format::percent((ratio - 1.0).abs());
    let times = format::number(ratio);
    let difference = match (cell.deciding? == Metric::OpsPerS, ratio) {
        (true, 2.0..) => format!("{times} times as many"),
        (false, 2.0..) => format!("{times} times as much CPU time"),
        (true, _) => format!("{part} {}", if ratio > 1.0 { "more" } else { "fewer" }),
        (false, _) => format!("{part} {} CPU time", if ratio > 1.0 { "more" } else { "less" }),
    };
    Some(format!("{} ({difference})", cell.lane))
}
