//! Ratios of a lane to the processes of its reference.

use std::collections::BTreeMap;

use rtswap_schema::record::{Block, LanePlan, Slice};
use rtswap_stats::{Paired, median};

use super::{Data, has_window, slice, timed};
use crate::summary::Metric;

/// The log of a lane's figure over the geometric mean of the references' figures.
///
/// Two equal figures have a ratio of 1, two zeros and two infinities among them. `None` without references, and
/// if the references' figures are zero and infinite.
fn log_ratio(lane: f64, references: &[f64]) -> Option<f64> {
    let base = references.iter().map(|it| it.ln()).sum::<f64>() / references.len() as f64;
    if lane.ln().total_cmp(&base).is_eq() {
        return Some(0.0);
    }
    Some(lane.ln() - base).filter(|log| !log.is_nan())
}

/// The log of a lane's figure over each of the references' figures of the same block.
///
/// Two values, and not one over their mean: in a mean a disturbance of the lane counts fully and one of a
/// reference by half, so that a median over blocks is biased (by -0.45 % for CPU time, in simulation).
fn log_ratios(lane: f64, references: impl Iterator<Item = f64>) -> impl Iterator<Item = f64> {
    references.filter_map(move |reference| log_ratio(lane, &[reference]))
}

/// The sums over slices.
#[derive(Clone, Copy, Default)]
struct Totals {
    ops: u64,
    elapsed_ns: u64,
    cpu_ns: u64,
}

impl Totals {
    fn add(&mut self, slice: &Slice) {
        self.ops += slice.ops;
        self.elapsed_ns += slice.elapsed_ns;
        self.cpu_ns += slice.cpu_ns;
    }

    /// The sums as one long slice.
    fn figure(self, metric: Metric) -> Option<f64> {
        let Self { ops, elapsed_ns, cpu_ns } = self;
        let slice = Slice { ops, elapsed_ns, cpu_ns, ..Slice::default() };
        timed(metric, &slice).filter(|_| has_window(&slice))
    }
}

impl<'a> Data<'a> {
    /// The processes that a lane is compared with: both of the reference, the control among them. The control
    /// itself, and a lane that has a reference of its own, are compared with one.
    pub fn references(&self, lane: &str) -> Vec<&'a str> {
        let against = self.against(lane);
        let plans = &self.record.header.plan.lanes;
        let its = plans.iter().find(|plan| plan.name == lane);
        let mut references = vec![against];
        if its.is_none_or(|plan| !plan.control && plan.against.is_none()) {
            let is_second = |plan: &&LanePlan| {
                plan.control && self.against(&plan.name) == against && self.live(&plan.name)
            };
            references.extend(plans.iter().filter(is_second).map(|plan| plan.name.as_str()));
        }
        references
    }

    /// The log ratios to each of the references, in the blocks that have the lane and any of them.
    pub fn paired(&self, lane: &str, metric: Metric) -> Paired {
        self.paired_with(lane, &self.references(lane), metric)
    }

    /// The log ratios to each of other lanes, in the blocks that have the lane and any of them.
    pub fn paired_with(&self, lane: &str, others: &[&str], metric: Metric) -> Paired {
        let mut rounds: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for block in &self.blocks {
            let figure = |lane: &str| figure(block, lane, metric);
            let Some(own) = figure(lane) else { continue };
            let others = others.iter().filter_map(|lane| figure(lane));
            rounds.entry(block.round).or_default().extend(log_ratios(own, others));
        }
        Paired { rounds: rounds.into_values().collect() }
    }

    /// The log ratios to the references of a metric that has one figure for each round.
    ///
    /// A count of zero has no ratio, and any small number in its place would determine the ratio. So two
    /// zeros are equal, and a single zero in any round leaves the metric without a ratio: leaving out
    /// such rounds alone would bias it.
    pub fn paired_rounds(&self, lane: &str, metric: Metric) -> Result<Paired, ZeroCount> {
        if let Some(of_slices) = metric.summed() {
            return Ok(self.paired_totals(lane, metric, of_slices));
        }
        let mut rounds = Vec::new();
        let references = self.references(lane);
        for at in 0..self.rounds.len() {
            let of = |lane: &str| self.of_round(at, lane, metric);
            let Some(own) = of(lane) else { continue };
            let others: Vec<f64> = references.iter().filter_map(|lane| of(lane)).collect();
            if others.is_empty() {
                continue;
            }
            if (own == 0.0) != others.contains(&0.0) {
                return Err(ZeroCount);
            }
            rounds.push(log_ratio(own, &others).into_iter().collect());
        }
        Ok(Paired { rounds })
    }

    /// The log ratios of the sums over all slices of each round; for the steadiness, less the median of the
    /// slices' log ratios.
    fn paired_totals(&self, lane: &str, metric: Metric, of_slices: Metric) -> Paired {
        let references = self.references(lane);
        let mut rounds: BTreeMap<u32, BTreeMap<&str, Totals>> = BTreeMap::new();
        let mut medians: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for block in &self.blocks {
            let counted = |lane: &str| slice(block, lane).filter(|slice| has_window(slice));
            let Some(own) = counted(lane) else { continue };
            let others: Vec<_> =
                references.iter().filter_map(|it| Some((*it, counted(it)?))).collect();
            if others.is_empty() {
                continue;
            }
            let round = rounds.entry(block.round).or_default();
            // The lane is none of its references.
            round.entry("").or_default().add(own);
            for (lane, slice) in &others {
                round.entry(lane).or_default().add(slice);
            }
            let figures = others.iter().filter_map(|(_, slice)| timed(of_slices, slice));
            if let Some(own) = timed(of_slices, own) {
                medians.entry(block.round).or_default().extend(log_ratios(own, figures));
            }
        }
        let ratio = |round: u32, totals: &BTreeMap<&str, Totals>| {
            let own = totals.get("")?.figure(of_slices)?;
            let others = totals.iter().filter(|(lane, _)| !lane.is_empty());
            let others: Vec<f64> = others.filter_map(|(_, it)| it.figure(of_slices)).collect();
            let log = log_ratio(own, &others).filter(|_| !others.is_empty())?;
            if !metric.is_steadiness() {
                return Some(log);
            }
            let centre = median(medians.get(&round)?.iter().copied())?;
            Some(log - centre).filter(|log| log.is_finite())
        };
        let logs = rounds.iter().filter_map(|(round, totals)| ratio(*round, totals));
        Paired { rounds: logs.map(|log| vec![log]).collect() }
    }

    /// The lane's own sums over the slices of each round; for the steadiness, over the median of the slices.
    pub fn totals_by_round(&self, lane: &str, metric: Metric) -> BTreeMap<u32, f64> {
        let Some(of_slices) = metric.summed() else { return BTreeMap::new() };
        let mut rounds: BTreeMap<u32, Totals> = BTreeMap::new();
        for block in &self.blocks {
            if let Some(own) = slice(block, lane).filter(|slice| has_window(slice)) {
                rounds.entry(block.round).or_default().add(own);
            }
        }
        let medians = self.medians(lane, of_slices);
        let figure = |(round, totals): (u32, Totals)| {
            let total = totals.figure(of_slices)?;
            let base = if metric.is_steadiness() { *medians.get(&round)? } else { 1.0 };
            Some((round, total / base)).filter(|(_, it)| it.is_finite())
        };
        rounds.into_iter().filter_map(figure).collect()
    }

    /// The lane's own sums over all slices, as one figure; for the steadiness, over the median of the slices.
    pub fn total(&self, lane: &str, metric: Metric) -> Option<f64> {
        let of_slices = metric.summed()?;
        let mut totals = Totals::default();
        self.slices(lane).filter(|slice| has_window(slice)).for_each(|slice| totals.add(slice));
        let total = totals.figure(of_slices)?;
        if !metric.is_steadiness() {
            return Some(total);
        }
        let median = self.value(lane, |slice| timed(of_slices, slice))?;
        Some(total / median).filter(|it| it.is_finite())
    }
}

/// A lane's figure in a block.
fn figure(block: &Block, lane: &str, metric: Metric) -> Option<f64> {
    timed(metric, slice(block, lane).filter(|slice| has_window(slice))?)
}

/// Only one of two counts is zero, so there is no ratio.
pub(crate) struct ZeroCount;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_ratio_is_to_geometric_mean() {
        let close = |log: Option<f64>, ratio: f64| (log.unwrap() - ratio.ln()).abs() < 1e-12;
        assert!(close(log_ratio(12.0, &[2.0, 8.0]), 3.0));
        assert!(close(log_ratio(12.0, &[8.0]), 1.5));
    }

    #[test]
    fn log_ratio_orders_nothing_and_infinity() {
        assert_eq!(log_ratio(0.0, &[2.0, 8.0]), Some(f64::NEG_INFINITY));
        assert_eq!(log_ratio(f64::INFINITY, &[2.0]), Some(f64::INFINITY));
        assert_eq!(log_ratio(0.0, &[0.0, 8.0]), Some(0.0));
        assert_eq!(log_ratio(1.0, &[0.0, f64::INFINITY]), None);
    }
}
