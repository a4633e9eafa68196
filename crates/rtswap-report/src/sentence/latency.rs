//! Latency and overload at an offered rate, as sentences.

use rtswap_schema::record::Status;
use rtswap_stats::Verdict;

use super::{Comparison, bounds, equivalent, undecidable, undecided};
use crate::format;
use crate::summary::{Cell, Figure, Metric, Role, STALL};

/// Share of the rounds in which a lane must stall to be named: a single pause may be the machine's.
const STALLED: f64 = 0.25;

/// The percentiles that sentences are about.
const NAMED: [Metric; 2] = [Metric::P99Ns, Metric::P999Ns];

impl<'a> Comparison<'a> {
    /// The lanes by their verdicts in the 99th and the 99.9th percentile. In a closed loop, where latency does not
    /// decide, only those that differ.
    pub fn latency(&self, margin: f64) -> Vec<String> {
        let mut sentences = Vec::new();
        let is_offered = self.workload.arrivals.is_some();
        for metric in NAMED {
            sentences.extend(self.different(metric));
            if is_offered {
                let figures = self.figures_of(metric);
                let what = format!(" in {}", metric.words());
                sentences.extend(equivalent(&figures, &what, self.reference, margin));
                sentences.extend(undecided(&figures, &what, margin));
            }
        }
        if !is_offered {
            return sentences;
        }
        let [p99, p999] = NAMED.map(|metric| undecidable(&self.figures_of(metric), " in latency"));
        if p99 == p999 {
            // The same reason, once.
            sentences.extend(p99);
        } else {
            for metric in NAMED {
                let what = format!(" in {}", metric.words());
                sentences.extend(undecidable(&self.figures_of(metric), &what));
            }
        }
        sentences
    }

    fn figures_of(&self, metric: Metric) -> Vec<(&'a Cell, &'a Figure)> {
        self.lanes().filter_map(|cell| Some((cell, cell.metrics.get(&metric)?))).collect()
    }

    /// `Compared with tokio, the 99th percentile of latency is 50 % higher on smol (between 46 and 54 %)`.
    fn different(&self, metric: Metric) -> Option<String> {
        let mut found = self.figures_of(metric);
        found.retain(|(_, figure)| figure.is(Verdict::Better) || figure.is(Verdict::Worse));
        let ratio = |figure: &Figure| figure.ratio.unwrap_or(1.0);
        found.sort_by(|a, b| ratio(b.1).total_cmp(&ratio(a.1)));
        let lanes = found.iter().filter_map(|(cell, figure)| on_lane(cell, figure));
        let lanes: Vec<String> = lanes.collect();
        let (reference, what) = (self.reference, metric.words());
        let closed = if self.workload.arrivals.is_none() { "closed-loop " } else { "" };
        let what = what.replacen("latency", &format!("{closed}latency"), 1);
        (!lanes.is_empty())
            .then(|| format!("Compared with {reference}, {what} is {}.", format::list(&lanes)))
    }

    /// The lanes that stop for much longer than most operations take, again and again.
    pub fn stalls(&self) -> Vec<String> {
        let stalls = |cell: &Cell| {
            let stalled = cell.stalled_rounds.unwrap_or(0);
            let is_repeated = stalled as f64 >= STALLED * self.workload.rounds as f64;
            is_repeated && stalled >= 2 && times(cell).is_some_and(|times| times > STALL)
        };
        let live = || self.cells.iter().filter(|cell| cell.live());
        let lanes: Vec<&Cell> =
            live().filter(|cell| cell.role != Role::Control && stalls(cell)).collect();
        let is_base = |cell: &&Cell| matches!(cell.role, Role::Control | Role::Reference);
        let of_machine = live().filter(is_base).any(stalls);
        if of_machine && !lanes.is_empty() {
            let named = lanes.iter().filter_map(|cell| {
                let max = format::time(cell.latency_ns?.max as f64);
                Some(format!("{} ({max})", cell.lane))
            });
            return vec![format!(
                "The longest latency is more than {STALL} times the 99th percentile for {}; {} or its control is \
                 affected too, so the machine may be the cause.",
                format::list(&named.collect::<Vec<_>>()),
                self.reference
            )];
        }
        lanes.into_iter().filter_map(stall).collect()
    }

    /// The lanes that do not keep up with the offered rate, apart from the reference.
    pub fn overloaded(&self) -> Option<String> {
        let is_overloaded =
            |cell: &&Cell| cell.role == Role::Lane && cell.status == Status::Overloaded;
        let lanes: Vec<&str> =
            self.cells.iter().filter(is_overloaded).map(|cell| cell.lane.as_str()).collect();
        if lanes.is_empty() {
            return None;
        }
        let (is, does) = if lanes.len() == 1 { ("is", "does") } else { ("are", "do") };
        let rate = self.workload.offered_per_s.map_or("the offered rate".to_owned(), |per_s| {
            format!("{} {} per second", format::rate(per_s), format::plural(self.unit()))
        });
        let lanes = format::list(&lanes);
        Some(format!("{lanes} {is} overloaded and {does} not keep up with {rate}."))
    }
}

/// `50 % higher on smol (between 46 and 54 %)`.
fn on_lane(cell: &Cell, figure: &Figure) -> Option<String> {
    let (ratio, lane, bounds) = (figure.ratio?, &cell.lane, bounds(figure));
    if ratio >= 2.0 {
        let ratio = format::number(ratio);
        return Some(format!("{ratio} times as high on {lane}{bounds}"));
    }
    let part = format::percent((ratio - 1.0).abs());
    let word = if ratio > 1.0 { "higher" } else { "lower" };
    Some(format!("{part} {word} on {lane}{bounds}"))
}

/// How many times the 99th percentile the longest latency is.
fn times(cell: &Cell) -> Option<f64> {
    let latency = cell.latency_ns?;
    Some(latency.max as f64 / latency.p99.max(1) as f64)
}

/// `pause.py stalls: its longest latency of 61.0 ms is 90 times its 99th percentile`.
fn stall(cell: &Cell) -> Option<String> {
    let times = times(cell)?;
    let max = format::time(cell.latency_ns?.max as f64);
    let lane = &cell.lane;
    Some(format!(
        "{lane} stalls: its longest latency of {max} is {times:.0} times its 99th percentile."
    ))
}
