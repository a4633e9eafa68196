//! What medians of slices do not show: pauses, bursts, and two modes.

use rtswap_stats::Verdict;

use super::{Comparison, bounds};
use crate::format;
use crate::summary::{Cell, Figure, Metric, Modes, Role};

/// The smallest difference between sums and medians that is named. Smaller ones are real, but no pauses.
const NAMED_GAP: f64 = 0.01;

impl<'a> Comparison<'a> {
    /// The lanes whose sums over all slices differ from their median slice otherwise than the reference's do.
    pub fn unsteady(&self) -> Vec<String> {
        let sentence = |cell: &'a Cell| {
            let pause = gap(cell, Metric::Steadiness).map(|it| self.pause(cell, it));
            let burst = || Some(self.burst(cell, gap(cell, Metric::CpuSteadiness)?));
            pause.or_else(burst)
        };
        self.lanes().filter_map(sentence).collect()
    }

    /// `pause.py pauses: compared with tokio, its throughput over all slices is 9 % lower than in its median slice
    /// (between 8 and 10 %).`
    fn pause(&self, cell: &Cell, figure: &Figure) -> String {
        let (lane, reference) = (&cell.lane, self.reference);
        let (part, word, parts) = sizes(figure);
        let who = if figure.is(Verdict::Worse) { lane.as_str() } else { reference };
        let total = cell.metrics.get(&Metric::TotalOpsPerS);
        let total = total.filter(|it| it.is(Verdict::Better) || it.is(Verdict::Worse));
        let total = total.and_then(Figure::interval).map_or(String::new(), |it| {
            format!("; over all slices its ratio is {}", format::interval(&it))
        });
        format!(
            "{who} pauses: compared with {reference}, the throughput of {lane} over all slices is {part} {word} than in \
             its median slice{parts}{total}."
        )
    }

    /// The same for CPU time.
    fn burst(&self, cell: &Cell, figure: &Figure) -> String {
        let (lane, reference) = (&cell.lane, self.reference);
        let (part, word, parts) = sizes(figure);
        format!(
            "Compared with {reference}, the CPU time of {lane} per {} over all slices is {part} {word} than in its median \
             slice{parts}.",
            self.unit()
        )
    }

    /// `smol has two modes: 12.0 µs of CPU time per message in 60 % of the rounds, 20.0 µs in 40 %.`
    pub fn modes(&self) -> Vec<String> {
        let shown = |cell: &&Cell| cell.live() && cell.role != Role::Reference;
        let cells = self.cells.iter().filter(shown);
        let sentence = |cell: &Cell| {
            let Modes { low_ns, high_ns, share_high, by_round } = cell.modes?;
            // The control has the modes of the reference's two processes.
            let lane = if cell.role == Role::Control { self.reference } else { &cell.lane };
            let what = if by_round { "rounds" } else { "slices" };
            Some(format!(
                "{lane} has two modes: {} of CPU time per {} in {:.0} % of the {what}, {} in {:.0} %.",
                format::time(low_ns),
                self.unit(),
                (1.0 - share_high) * 100.0,
                format::time(high_ns),
                share_high * 100.0
            ))
        };
        cells.filter_map(sentence).collect()
    }
}

/// A gap that is decided, and large enough to be named.
fn gap(cell: &Cell, metric: Metric) -> Option<&Figure> {
    let figure = cell.metrics.get(&metric)?;
    let is_decided = figure.is(Verdict::Better) || figure.is(Verdict::Worse);
    let is_large = figure.ratio.is_some_and(|ratio| (ratio - 1.0).abs() >= NAMED_GAP);
    (is_decided && is_large).then_some(figure)
}

/// The size, the direction and the bounds of a gap.
fn sizes(figure: &Figure) -> (String, &'static str, String) {
    let ratio = figure.ratio.unwrap_or(1.0);
    let word = if ratio > 1.0 { "higher" } else { "lower" };
    (format::percent((ratio - 1.0).abs()), word, bounds(figure))
}
