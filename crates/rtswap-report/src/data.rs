//! One workload's share of a record, by lane.

mod offered;
mod paired;

use std::collections::BTreeMap;

use rtswap_schema::record::{
    Block, Deciding, LaneFailure, LanePlan, LaneRound, Record, Round, Slice, WorkloadPlan,
};
use rtswap_stats::median;

pub(crate) use self::offered::Overload;
use self::offered::Percentiles;
use crate::summary::{Metric, Role};

/// One workload's share of a record.
pub(crate) struct Data<'a> {
    pub record: &'a Record,
    pub plan: &'a WorkloadPlan,
    pub blocks: Vec<&'a Block>,
    pub rounds: Vec<&'a Round>,
    failures: BTreeMap<&'a str, &'a LaneFailure>,
    /// The latencies of each round, by lane.
    percentiles: Vec<BTreeMap<&'a str, Percentiles>>,
    overloaded: BTreeMap<&'a str, Overload>,
}

impl<'a> Data<'a> {
    pub fn of(record: &'a Record, plan: &'a WorkloadPlan) -> Self {
        let mine = |name: &str| name == plan.name;
        let mut this = Self {
            record,
            plan,
            blocks: record.blocks.iter().filter(|block| mine(&block.workload)).collect(),
            rounds: record.rounds.iter().filter(|round| mine(&round.workload)).collect(),
            failures: record
                .failures
                .iter()
                .filter(|failure| mine(&failure.workload))
                .map(|failure| (failure.lane.as_str(), failure))
                .collect(),
            percentiles: Vec::new(),
            overloaded: BTreeMap::new(),
        };
        this.percentiles = this.rounds.iter().map(|round| Percentiles::of_lanes(round)).collect();
        if this.is_offered() {
            let overload = |lane: &'a LanePlan| Some((lane.name.as_str(), this.grown(&lane.name)?));
            this.overloaded = this.lanes().filter_map(overload).collect();
        }
        this
    }

    /// Whether operations are offered at a rate; otherwise the workload is a closed loop.
    pub fn is_offered(&self) -> bool {
        self.plan.rate().is_some()
    }

    /// The metrics that are compared. Each is a family of comparisons of its own.
    pub fn metrics(&self) -> impl Iterator<Item = Metric> {
        Metric::compared(self.is_offered())
    }

    /// The metric whose verdict counts, fixed in the plan.
    pub fn deciding(&self) -> Metric {
        match self.plan.deciding {
            Some(Deciding::OpsPerS) => Metric::OpsPerS,
            _ => Metric::CpuNsPerOp,
        }
    }

    pub fn reference(&self) -> &'a str {
        &self.record.header.plan.reference
    }

    /// The lane that the ratios of a lane are taken against.
    pub fn against(&self, lane: &str) -> &'a str {
        let plan = self.record.header.plan.lanes.iter().find(|plan| plan.name == lane);
        plan.and_then(|plan| plan.against.as_deref()).unwrap_or(self.reference())
    }

    /// Whether each lane has a reference of its own.
    pub fn is_paired(&self) -> bool {
        self.record.header.plan.lanes.iter().any(|lane| lane.against.is_some())
    }

    /// The lanes that take part, in listing order.
    pub fn lanes(&self) -> impl Iterator<Item = &'a LanePlan> {
        let family = &self.plan.family;
        self.record.header.plan.lanes.iter().filter(move |lane| lane.does(family))
    }

    pub fn role(&self, lane: &LanePlan) -> Role {
        let others = || self.record.header.plan.lanes.iter();
        if lane.control {
            Role::Control
        } else if lane.name == self.reference()
            // A lane that has a reference itself is compared, even if it is another lane's reference.
            || (lane.against.is_none()
                && others().any(|other| other.against.as_ref() == Some(&lane.name)))
        {
            Role::Reference
        } else {
            Role::Lane
        }
    }

    pub fn failure(&self, lane: &str) -> Option<&'a LaneFailure> {
        self.failures.get(lane).copied()
    }

    /// Whether the lane has figures that count.
    pub fn live(&self, lane: &str) -> bool {
        self.failure(lane).is_none_or(|failure| failure.rounds_count)
            && !self.overloaded.contains_key(lane)
            && self.slices(lane).any(|slice| slice.ops > 0 && has_window(slice))
    }

    /// The lanes to compare: those with figures whose reference has figures too.
    pub fn compared(&self) -> Vec<&'a LanePlan> {
        let both = |lane: &&LanePlan| self.live(&lane.name) && self.live(self.against(&lane.name));
        self.lanes().filter(|lane| self.role(lane) != Role::Reference).filter(both).collect()
    }

    /// The lane's slices that count.
    pub fn slices(&self, lane: &str) -> impl Iterator<Item = &'a Slice> {
        self.blocks.iter().filter_map(move |block| slice(block, lane))
    }

    /// The lane's own figure: the median over rounds of the medians over blocks.
    pub fn value(&self, lane: &str, figure: impl Fn(&Slice) -> Option<f64>) -> Option<f64> {
        let mut rounds: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for block in &self.blocks {
            if let Some(value) = slice(block, lane).filter(|s| has_window(s)).and_then(&figure) {
                rounds.entry(block.round).or_default().push(value);
            }
        }
        median(rounds.into_values().filter_map(median))
    }

    /// The lane's own figures by round, each paired with 1, so that they can be estimated like ratios.
    pub fn figures(&self, lane: &str, metric: Metric) -> Vec<Vec<(f64, f64)>> {
        let mut rounds: BTreeMap<u32, Vec<(f64, f64)>> = BTreeMap::new();
        for block in &self.blocks {
            let slice = slice(block, lane).filter(|slice| has_window(slice));
            if let Some(value) = slice.and_then(|slice| timed(metric, slice)) {
                rounds.entry(block.round).or_default().push((value, 1.0));
            }
        }
        rounds.into_values().collect()
    }

    /// The lane's own figure of a metric of the slices, by round: the median over the blocks.
    pub fn medians(&self, lane: &str, metric: Metric) -> BTreeMap<u32, f64> {
        let mut rounds: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for block in &self.blocks {
            let slice = slice(block, lane).filter(|slice| has_window(slice));
            if let Some(value) = slice.and_then(|slice| timed(metric, slice)) {
                rounds.entry(block.round).or_default().push(value);
            }
        }
        let of_round = |(round, values)| Some((round, median(values)?));
        rounds.into_iter().filter_map(of_round).collect()
    }

    /// The operations of the lane's slices that count, by round.
    pub fn ops_by_round(&self, lane: &str) -> BTreeMap<u32, u64> {
        let mut rounds = BTreeMap::new();
        for block in &self.blocks {
            if let Some(slice) = slice(block, lane) {
                *rounds.entry(block.round).or_default() += slice.ops;
            }
        }
        rounds
    }

    /// The lane's own figure of a metric that has one for each round: the median over rounds.
    pub fn per_round(&self, lane: &str, metric: Metric) -> Option<f64> {
        median((0..self.rounds.len()).filter_map(|at| self.of_round(at, lane, metric)))
    }

    /// The lane's own figure of such a metric, by round.
    pub fn by_round(&self, lane: &str, metric: Metric) -> BTreeMap<u32, f64> {
        let figure = |at: usize| Some((self.rounds[at].round, self.of_round(at, lane, metric)?));
        (0..self.rounds.len()).filter_map(figure).collect()
    }

    fn of_round(&self, at: usize, lane: &str, metric: Metric) -> Option<f64> {
        if metric.is_latency() {
            return self.percentiles.get(at)?.get(lane)?.get(metric);
        }
        counted(metric, self.rounds[at].lanes.get(lane)?)
    }

    /// Operations per system call that waits for I/O or collects its events: the median over rounds.
    pub fn ops_per_wait(&self, lane: &str) -> Option<f64> {
        median(self.lane_rounds(lane).filter_map(|round| {
            let counts = round.counts.filter(|counts| counts.ops > 0)?;
            let waits = counts.waits.filter(|waits| *waits > 0)?;
            Some(counts.ops as f64 / waits as f64)
        }))
    }

    /// Memory per open connection, bytes: the median over rounds.
    pub fn memory_per_conn(&self, lane: &str) -> Option<f64> {
        let conns = self.plan.number("conns")? as f64;
        median(self.lane_rounds(lane).filter_map(|round| {
            let (base, full) = (round.memory_base_bytes?, round.memory_bytes?);
            Some(full.saturating_sub(base) as f64 / conns)
        }))
    }

    /// The lane at the end of each round.
    pub fn lane_rounds(&self, lane: &str) -> impl DoubleEndedIterator<Item = &'a LaneRound> {
        self.rounds.iter().filter_map(move |round| round.lanes.get(lane))
    }

    /// Rounds that have slices which count.
    pub fn rounds_measured(&self) -> usize {
        let counts = |block: &&&Block| block.slices.iter().any(|slice| slice.voided.is_none());
        let mut rounds: Vec<u32> =
            self.blocks.iter().filter(counts).map(|block| block.round).collect();
        rounds.sort_unstable();
        rounds.dedup();
        rounds.len()
    }
}

/// The lane's slice of a block, if it counts.
fn slice<'a>(block: &'a Block, lane: &str) -> Option<&'a Slice> {
    block.slices.iter().find(|slice| slice.lane == lane && slice.voided.is_none())
}

/// Whether a slice has figures: its clock advanced. One without operations has figures too.
pub(crate) fn has_window(slice: &Slice) -> bool {
    slice.elapsed_ns > 0
}

/// The figure of a slice. A slice that used CPU time and finished no operation has an infinite CPU time per
/// operation; one that did neither has none.
pub(crate) fn timed(metric: Metric, slice: &Slice) -> Option<f64> {
    let ops = slice.ops as f64;
    match metric {
        Metric::OpsPerS => Some(ops / (slice.elapsed_ns as f64 / 1e9)),
        Metric::CpuNsPerOp => Some(slice.cpu_ns as f64 / ops).filter(|ns| !ns.is_nan()),
        _ => None,
    }
}

fn counted(metric: Metric, lane: &LaneRound) -> Option<f64> {
    let counts = || lane.counts.filter(|counts| counts.ops > 0);
    let per_op = |count: u64, ops: u64| count as f64 / ops as f64;
    match metric {
        Metric::SyscallsPerOp => counts().map(|it| per_op(it.syscalls, it.ops)),
        Metric::CtxSwitchesPerOp => counts().map(|it| per_op(it.ctx_switches, it.ops)),
        Metric::CapacityPerS => lane.capacity_per_s.filter(|per_s| *per_s > 0.0),
        _ => None,
    }
}
