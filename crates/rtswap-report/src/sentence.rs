//! A workload's result in plain words.
//!
//! Each clause must be true of whatever data led to it. So nothing is called equal: a tie is stated as
//! the largest difference that may still be there.

use rtswap_schema::record::{Kind, Status};
use rtswap_stats::Verdict;

use crate::summary::{Bound, Cell, Figure, Interval, Metric, Role, WorkloadSummary};
use crate::words;

/// Factor from which on a count is worth naming beside a difference in time.
const NOTABLE: f64 = 1.1;

/// Who is better than the reference, by how much, how certainly, and what the counters say to it.
pub(crate) fn of(workload: &WorkloadSummary, cells: &[Cell], reference: &str) -> String {
    let about = About { workload, cells, reference };
    if let Some(sentence) = about.nothing() {
        return sentence;
    }
    let mut sentences: Vec<String> = about.limit().into_iter().collect();
    sentences.extend(about.differences());
    sentences.extend(about.ties());
    sentences.extend(about.undecided());
    sentences.join(" ")
}

/// Which lanes take more than the ones that they are paired with, and which do not.
pub(crate) fn of_pairs(cells: &[Cell]) -> String {
    let of = |polled: bool| cells.iter().filter(move |cell| (cell.kind == Kind::Polled) == polled);
    let contract = taxes(of(false), "The contract", |_| "by hand".to_owned());
    let polls = taxes(of(true), "Being polled", |cell| {
        format!("{} over owned buffers", cell.against.as_deref().unwrap_or("the same"))
    });
    [contract, polls].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// What something costs the lanes.
fn taxes<'a>(
    cells: impl Iterator<Item = &'a Cell>,
    what: &str,
    than: impl Fn(&Cell) -> String,
) -> Vec<String> {
    let figures: Vec<_> = cells
        .filter(|cell| cell.role == Role::Lane && cell.live())
        .filter_map(|cell| Some((cell, cell.decisive()?.interval()?)))
        .collect();
    let (free, other): (Vec<_>, Vec<_>) =
        figures.into_iter().partition(|(_, interval)| interval.is_level());
    let mut sentences = Vec::new();
    if !free.is_empty() {
        let lanes: Vec<_> = free.iter().map(|(cell, _)| cell.lane.as_str()).collect();
        let reach = free.iter().filter_map(|(_, interval)| interval.reach()).fold(0.0, f64::max);
        sentences.push(format!(
            "{what} costs {} nothing that this run can see: any difference is below {}.",
            words::list(&lanes),
            words::percent(reach.max(0.0001))
        ));
    }
    for (cell, Interval { ratio, lo, hi }) in other {
        let ends = [Some(lo), hi].map(|end| end.map(|end| words::percent((end - 1.0).abs())));
        let [Some(lo), Some(hi)] = ends else { continue };
        let (part, more) = (words::percent((ratio - 1.0).abs()), ratio > 1.0);
        let (less, most) = if more { (lo, hi) } else { (hi, lo) };
        let word = if more { "more" } else { "less" };
        let (lane, than) = (&cell.lane, than(cell));
        sentences.push(format!(
            "{lane} takes {part} {word} CPU time than {than} (between {less} and {most})."
        ));
    }
    sentences
}

struct About<'a> {
    workload: &'a WorkloadSummary,
    cells: &'a [Cell],
    reference: &'a str,
}

impl<'a> About<'a> {
    /// What there is to say where nothing can be compared.
    fn nothing(&self) -> Option<String> {
        let reference = self.reference;
        if self.cells.iter().all(|cell| !cell.live()) {
            let begun = self.cells.iter().any(|cell| cell.status != Status::Skipped);
            let sentence = if begun {
                "No lane could be measured; the reasons are given with each."
            } else {
                "Not measured; the reasons are given with each lane."
            };
            return Some(sentence.to_owned());
        }
        let its_cell = self.cells.iter().find(|cell| cell.role == Role::Reference);
        if !its_cell.is_some_and(Cell::live) {
            return Some(format!(
                "{reference} is what the others are compared with, and it has no figures here, so there are no ratios."
            ));
        }
        if self.lanes().next().is_none() {
            return Some(format!("Only {reference} has figures, so there is nothing to compare."));
        }
        None
    }

    fn lanes(&self) -> impl Iterator<Item = &'a Cell> {
        let live = || self.cells.iter().filter(|cell| cell.role == Role::Lane && cell.live());
        // A floor is no contestant, unless there is no other.
        let only_floors = live().all(|cell| cell.kind == Kind::Floor);
        live().filter(move |cell| only_floors || cell.kind != Kind::Floor)
    }

    fn unit(&self) -> &str {
        &self.workload.unit
    }

    /// Why CPU time decides, if it does for all.
    fn limit(&self) -> Option<String> {
        if self.workload.deciding == Metric::OpsPerS {
            return None;
        }
        let cells = || self.cells.iter().filter(|cell| cell.live());
        let limit = if cells().all(|cell| cell.bound == Some(Bound::Generator)) {
            "The load generator was the limit, not the lanes".to_owned()
        } else if cells().any(|cell| cell.bound == Some(Bound::Generator)) {
            "The load generator was the limit in part".to_owned()
        } else {
            format!("{} did not keep its CPUs busy all the time", self.reference)
        };
        let unit = self.unit();
        Some(format!(
            "{limit}, so CPU time per {unit} decides, not {} per second.",
            words::plural(unit)
        ))
    }

    /// Those of a verdict, in listing order, with their deciding figures and log ratios.
    fn with(&self, wanted: impl Fn(Verdict) -> bool) -> Vec<(&'a Cell, &'a Figure, f64)> {
        self.lanes()
            .filter_map(|cell| {
                let figure = cell.decisive()?;
                let log = figure.ratio.map_or(0.0, |ratio| ratio.ln().abs());
                wanted(figure.verdict?).then_some((cell, figure, log))
            })
            .collect()
    }

    /// In each direction the largest one in full, the others in brief: the table has the rest.
    fn differences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        for worse in [false, true] {
            let mut found = self.with(|verdict| verdict.differs() && verdict.worse() == worse);
            found.sort_by(|a, b| b.2.total_cmp(&a.2));
            let Some(((cell, figure, _), others)) = found.split_first() else { continue };
            sentences.push(self.difference(cell, figure));
            let others: Vec<String> =
                others.iter().filter_map(|(cell, figure, _)| brief(cell, figure)).collect();
            if !others.is_empty() {
                let word = if worse { "worse" } else { "better" };
                sentences.push(format!("Also {word}: {}.", words::list(&others)));
            }
        }
        sentences
    }

    /// `smol handles 22 % fewer messages per second than tokio (between 21 and 23 %)`, and what the
    /// counters say to it.
    fn difference(&self, cell: &Cell, figure: &Figure) -> String {
        let (Some(ratio), Some(lo)) = (figure.ratio, figure.lo) else { return String::new() };
        let hi = figure.hi.unwrap_or(f64::INFINITY);
        let (lane, reference, unit) = (&cell.lane, self.reference, self.unit());
        let units = words::plural(unit);
        let by_speed = cell.deciding == Some(Metric::OpsPerS);
        let part = words::percent((ratio - 1.0).abs());
        let parts = words::between((lo - 1.0).abs(), (hi - 1.0).abs());
        let times = words::number(ratio);
        let bounds = format!("between {} and {}", words::number(lo), words::number(hi));
        let claim = match (by_speed, ratio) {
            (true, 2.0..) => {
                format!(
                    "{lane} handles {times} times as many {units} per second as {reference} ({bounds})"
                )
            }
            (false, 2.0..) => {
                format!(
                    "{lane} needs {times} times the CPU time per {unit} that {reference} needs ({bounds})"
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
                format!("{lane} needs {part} {word} CPU time per {unit} than {reference} ({parts})")
            }
        };
        let worse = figure.verdict.is_some_and(Verdict::worse);
        // Said once for all where the reference is in the same position.
        let limited = match cell.bound {
            Some(Bound::Generator) if self.workload.deciding == Metric::OpsPerS => {
                "; the load generator was its limit, so CPU time decides"
            }
            Some(Bound::None) if self.workload.deciding == Metric::OpsPerS => {
                "; it did not keep its CPUs busy all the time, so CPU time decides"
            }
            _ => "",
        };
        format!("{claim}{limited}{}.", self.counters(cell, worse))
    }

    /// What the exact counts say to a difference: the one that goes the same way, if any; else
    /// the system calls, if they go the other way.
    fn counters(&self, cell: &Cell, worse: bool) -> String {
        let mut against = String::new();
        for (metric, what, verb) in [
            (Metric::SyscallsPerOp, "system calls", "makes"),
            (Metric::CtxSwitchesPerOp, "context switches", "goes through"),
        ] {
            let Some((own, its)) = self.count(cell, metric) else { continue };
            let (unit, reference) = (self.unit(), self.reference);
            let counts = format!(
                "{verb} {} {what} per {unit} to {reference}'s {}",
                words::count(own),
                words::count(its)
            );
            if own.max(its) < NOTABLE * own.min(its) || own.max(its) < 0.01 {
                continue;
            }
            if (own > its) == worse {
                return format!("; it {counts}");
            }
            if against.is_empty() && metric == Metric::SyscallsPerOp {
                against = format!(", although it {counts}");
            }
        }
        against
    }

    fn count(&self, cell: &Cell, metric: Metric) -> Option<(f64, f64)> {
        let reference = self.cells.iter().find(|cell| cell.role == Role::Reference)?;
        Some((cell.metrics.get(&metric)?.value, reference.metrics.get(&metric)?.value))
    }

    fn ties(&self) -> Option<String> {
        let found = self.with(|verdict| verdict == Verdict::Tie);
        let lanes: Vec<&str> = found.iter().map(|(cell, _, _)| cell.lane.as_str()).collect();
        if lanes.is_empty() {
            return None;
        }
        let reach = found
            .iter()
            .map(|(_, figure, _)| {
                figure.interval().and_then(|i| i.reach()).unwrap_or(f64::INFINITY)
            })
            .fold(0.0, f64::max);
        let verb = if lanes.len() == 1 { "is" } else { "are" };
        let lanes = words::list(&lanes);
        let reference = self.reference;
        Some(if reach.is_finite() {
            let below = words::percent(reach.max(0.0001));
            format!("{lanes} {verb} level with {reference}: any difference is below {below}.")
        } else {
            format!("No difference between {lanes} and {reference} was found.")
        })
    }

    /// Grouped by reason: it is mostly the same for all.
    fn undecided(&self) -> Vec<String> {
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for (cell, figure, _) in self.with(|verdict| verdict == Verdict::Inconclusive) {
            let why = figure.why.as_deref().unwrap_or("the run cannot answer");
            match reasons.iter_mut().find(|(reason, _)| *reason == why) {
                Some((_, lanes)) => lanes.push(&cell.lane),
                None => reasons.push((why, vec![&cell.lane])),
            }
        }
        let all = self.lanes().count();
        reasons
            .into_iter()
            .map(|(why, lanes)| {
                if lanes.len() == all {
                    format!("Nothing is decided: {why}.")
                } else {
                    format!("Nothing is decided about {}: {why}.", words::list(&lanes))
                }
            })
            .collect()
    }
}

/// `compio (24 % more)`.
fn brief(cell: &Cell, figure: &Figure) -> Option<String> {
    let ratio = figure.ratio?;
    let part = words::percent((ratio - 1.0).abs());
    let times = words::number(ratio);
    let difference = match (cell.deciding? == Metric::OpsPerS, ratio) {
        (true, 2.0..) => format!("{times} times as many"),
        (false, 2.0..) => format!("{times} times the CPU time"),
        (true, _) => format!("{part} {}", if ratio > 1.0 { "more" } else { "fewer" }),
        (false, _) => format!("{part} {} CPU time", if ratio > 1.0 { "more" } else { "less" }),
    };
    Some(format!("{} ({difference})", cell.lane))
}
