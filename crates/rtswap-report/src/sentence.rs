//! A workload's result as sentences.
//!
//! Each clause follows from the decision of its comparison, and from nothing else: a lane is called better, worse or
//! equivalent only if its verdict is, and an undecided lane comes with what the run could have seen.

mod latency;
mod steady;

use rtswap_schema::record::{Kind, Status};
use rtswap_stats::Verdict;

use crate::format;
use crate::summary::{Bound, Cell, Figure, Metric, PlanSummary, Role, WorkloadSummary};

/// Factor between two counts above which they are named as a possible reason for a difference.
const NOTABLE: f64 = 1.1;

/// A run that would have to be longer by more than this factor is of no use.
const FAR_LONGER: f64 = 100.0;

/// The remedy where CPU time decides at unequal load.
const UNEQUAL: &str = "In this closed loop each lane ran at its own rate, so CPU time per operation is not like for like; offer \
    an equal rate (`/rate=60%`).";

/// Which lanes are better or worse than the reference, by how much, and how their counts differ.
pub(crate) fn of(
    workload: &WorkloadSummary,
    cells: &[Cell],
    reference: &str,
    plan: &PlanSummary,
) -> String {
    let result = Comparison { workload, cells, reference };
    if let Some(sentence) = result.incomparable() {
        return std::iter::once(sentence).chain(result.overloaded()).collect::<Vec<_>>().join(" ");
    }
    let mut sentences: Vec<String> = result.load().into_iter().collect();
    sentences.extend(result.differences());
    let figures = result.figures();
    sentences.extend(equivalent(&figures, "", reference, plan.margin));
    sentences.extend(undecided(&figures, "", plan.margin));
    sentences.extend(undecidable(&figures, ""));
    sentences.extend(result.modes());
    sentences.extend(result.unsteady());
    sentences.extend(result.latency(plan.margin));
    sentences.extend(result.stalls());
    sentences.extend(result.overloaded());
    sentences.join(" ")
}

/// The overhead of each lane over the lane that it is paired with.
pub(crate) fn of_pairs(cells: &[Cell], plan: &PlanSummary) -> String {
    let of = |polled: bool| cells.iter().filter(move |cell| (cell.kind == Kind::Polled) == polled);
    let baseline = |cell: &Cell| cell.against.clone().unwrap_or_else(|| "its baseline".to_owned());
    let contract = overheads(of(false), "their native lanes", plan.margin, baseline);
    let polled = overheads(of(true), "their lanes with owned buffers", plan.margin, |cell| {
        format!("{} with owned buffers", baseline(cell))
    });
    [contract, polled].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The overhead on each lane over `baselines`.
fn overheads<'a>(
    cells: impl Iterator<Item = &'a Cell>,
    baselines: &str,
    margin: f64,
    than: impl Fn(&Cell) -> String,
) -> Vec<String> {
    let figures: Vec<_> = cells
        .filter(|cell| cell.role == Role::Lane && cell.live())
        .filter_map(|cell| Some((cell, cell.decisive()?)))
        .collect();
    let mut sentences: Vec<String> =
        equivalent(&figures, "", baselines, margin).into_iter().collect();
    for (cell, figure) in &figures {
        let word = match figure.verdict {
            Some(Verdict::Better) => "less",
            Some(Verdict::Worse) => "more",
            _ => continue,
        };
        let Some(ratio) = figure.ratio else { continue };
        let part = format::percent((ratio - 1.0).abs());
        let (lane, than) = (&cell.lane, than(cell));
        sentences
            .push(format!("{lane} uses {part} {word} CPU time than {than}{}.", bounds(figure)));
    }
    sentences.extend(undecided(&figures, "", margin));
    sentences.extend(undecidable(&figures, ""));
    sentences
}

/// The size of a difference by its interval: ` (between 21 and 23 %)`. Empty without bounds.
fn bounds(figure: &Figure) -> String {
    let (Some(ratio), Some(lo), Some(hi)) = (figure.ratio, figure.lo, figure.hi) else {
        return String::new();
    };
    if ratio >= 2.0 {
        let [lo, hi] = [lo, hi].map(format::number);
        return format!(" (between {lo} and {hi})");
    }
    if figure.interval().is_some_and(|it| it.holds_one()) {
        let signed = |end: f64| {
            format!("{}{}", if end < 1.0 { "-" } else { "+" }, format::percent((end - 1.0).abs()))
        };
        return format!(" (between {} and {})", signed(lo), signed(hi));
    }
    format!(" ({})", format::between((lo - 1.0).abs(), (hi - 1.0).abs()))
}

/// `Equivalent to tokio within 3 %: local (0.998 [0.990, 1.006]).` `what` says in what: ` in capacity`.
fn equivalent(
    figures: &[(&Cell, &Figure)],
    what: &str,
    reference: &str,
    margin: f64,
) -> Option<String> {
    let with_interval = |(cell, figure): &(&Cell, &Figure)| {
        let interval = figure.interval().filter(|_| figure.is(Verdict::Equivalent))?;
        Some(format!("{} ({})", cell.lane, format::interval(&interval)))
    };
    let lanes: Vec<String> = figures.iter().filter_map(with_interval).collect();
    (!lanes.is_empty()).then(|| {
        format!(
            "Equivalent to {reference} within {}{what}: {}.",
            format::chosen(margin),
            format::list(&lanes)
        )
    })
}

/// The lanes in which the run could have found a difference and found none, with the smallest that it finds, and how
/// much longer it would have to take to find one of the margin.
fn undecided(figures: &[(&Cell, &Figure)], what: &str, margin: f64) -> Option<String> {
    let mut found = figures.to_vec();
    found.retain(|(_, figure)| figure.is(Verdict::Undecided) && figure.is_decidable());
    let largest = |of: fn(&Figure) -> Option<f64>| {
        found.iter().filter_map(|(_, figure)| of(figure)).max_by(f64::total_cmp)
    };
    let (mde, longer) = (largest(|it| it.mde), largest(|it| it.longer));
    let lanes: Vec<&str> = found.iter().map(|(cell, _)| cell.lane.as_str()).collect();
    let (first, more) = (lanes.first()?, lanes.len() > 1);
    let whose = if more { "every one of them" } else { first };
    let seen = mde.map_or(String::new(), |mde| {
        let longer = longer.map_or(String::new(), |times| {
            let times = if times > FAR_LONGER {
                format!("more than {FAR_LONGER} times")
            } else {
                format!("{} times", format::count(times))
            };
            format!("; {times} the time would find {}", format::chosen(margin))
        });
        format!(" (this run finds differences of {} in {whose}{longer})", format::percent(mde))
    });
    let verb = if more { "are" } else { "is" };
    let all = more && lanes.len() == figures.len();
    let lanes = if all { "All lanes".to_owned() } else { format::list(&lanes) };
    Some(format!("{lanes} {verb} undecided{what}{seen}."))
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
        if lanes.len() == figures.len() && lanes.len() > 1 {
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

    /// What the load says about the metric that decides.
    fn load(&self) -> Option<String> {
        if self.workload.arrivals.is_some() && self.workload.deciding == Metric::CpuNsPerOp {
            let unit = self.unit();
            return Some(format!(
                "The rate is the same for all lanes, so CPU time per {unit} decides."
            ));
        }
        self.workload.unequal_load.then(|| UNEQUAL.to_owned())
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
        let (lane, reference, unit) = (&cell.lane, self.reference, self.unit());
        let Some(ratio) = figure.ratio else {
            return format!("{lane} finished no {unit} in most slices.");
        };
        let (units, bounds) = (format::plural(unit), bounds(figure));
        let by_speed = cell.deciding == Some(Metric::OpsPerS);
        let part = format::percent((ratio - 1.0).abs());
        let times = format::number(ratio);
        let claim = match (by_speed, ratio) {
            (true, 2.0..) => {
                format!("{lane} handles {times} times as many {units} per second as {reference}")
            }
            (false, 2.0..) => {
                format!("{lane} uses {times} times as much CPU time per {unit} as {reference}")
            }
            (true, _) => {
                let word = if ratio > 1.0 { "more" } else { "fewer" };
                format!("{lane} handles {part} {word} {units} per second than {reference}")
            }
            (false, _) => {
                let word = if ratio > 1.0 { "more" } else { "less" };
                format!("{lane} uses {part} {word} CPU time per {unit} than {reference}")
            }
        };
        let worse = figure.is(Verdict::Worse);
        let bottleneck = match cell.bound {
            Some(Bound::Generator) if by_speed => "; the load generator was its bottleneck",
            _ => "",
        };
        format!("{claim}{bounds}{bottleneck}{}.", self.counts(cell, worse))
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
