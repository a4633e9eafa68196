//! The order of slices and the end of each workload. It uses neither processes nor clocks directly, so that
//! it can be tested without either.

mod draw;
mod rate;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::Rng as _;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;
use rtswap_lane::Pace;

use crate::lane::LaneError;
use crate::plan::{ROUNDS_LEAST, counted_rounds};
use crate::record::{
    Block, Ended, Footer, LaneFailure, LanePlan, LaneRound, Line, Plan, Record, RecordError, Round,
    Slice, Stop, WorkloadPlan,
};

/// Starts, measures and stops lanes for the scheduler.
pub trait Backend {
    /// Starts a fresh process for each of `lanes` (indices into the plan), in this order.
    /// One result for each.
    fn start(
        &mut self,
        workload: &WorkloadPlan,
        lanes: &[usize],
        rng: &mut Pcg64,
    ) -> Vec<Result<(), LaneError>>;

    /// Lets a lane work for as long as in a slice, without a figure.
    ///
    /// # Errors
    /// [`LaneError`] if it fails.
    fn warm_up(
        &mut self,
        workload: &WorkloadPlan,
        lane: usize,
        pace: Option<&Pace>,
    ) -> Result<(), LaneError>;

    /// One slice of one lane, at a pace or as a closed loop.
    ///
    /// # Errors
    /// [`LaneError`] if the lane has no figure.
    fn slice(
        &mut self,
        workload: &WorkloadPlan,
        lane: usize,
        pace: Option<&Pace>,
    ) -> Result<Slice, LaneError>;

    /// Operations per second of one lane in a closed loop, from a slice that is kept nowhere else.
    ///
    /// # Errors
    /// [`LaneError`] if the lane has no figure.
    fn capacity(&mut self, workload: &WorkloadPlan, lane: usize) -> Result<f64, LaneError>;

    /// Memory and the other figures of a round, for the lanes that have not lost the workload, and counts of system
    /// calls if `counts` is set. Their processes are still running.
    fn finish(
        &mut self,
        workload: &WorkloadPlan,
        lanes: &[usize],
        counts: bool,
    ) -> BTreeMap<usize, RoundResult>;

    /// Ends a lane's process, or all.
    fn stop(&mut self, lane: Option<usize>);

    /// Whether a service that all lanes of the round use has ended. Their processes would fail through no
    /// fault of the lanes; new processes use the restarted service.
    fn service_ended(&self) -> bool {
        false
    }

    /// Processes that stopped lanes have left behind, and that were ended, by lane, since the last call.
    fn left_behind(&mut self) -> BTreeMap<String, Vec<String>> {
        BTreeMap::new()
    }

    /// The machine since the start of the round.
    fn conditions(&mut self) -> Conditions;

    /// Time since the run began.
    fn now(&mut self) -> Duration;

    /// Whether the user has interrupted the run.
    fn cancelled(&self) -> bool;

    /// The same, after a lane has failed: the signal that interrupts the run may have reached the lane first.
    fn cancelled_soon(&self) -> bool {
        self.cancelled()
    }
}

/// The machine during a round; `None` for a figure that it does not provide.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// [`Round::steal`].
    pub steal: Option<f64>,
    /// [`Round::cpu_pressure`].
    pub cpu_pressure: Option<f64>,
    /// [`Round::time_wait`].
    pub time_wait: Option<u64>,
    /// [`Round::throttled_ns`].
    pub throttled_ns: Option<u64>,
    /// [`Round::others_cpu`].
    pub others_cpu: Option<f64>,
    /// [`Round::others_program`].
    pub others_program: Option<String>,
}

/// The figures of a lane at the end of a round.
pub type RoundResult = Result<LaneRound, LaneError>;

/// Is notified of progress between slices, never during one.
pub trait Observer {
    /// A round of a workload begins.
    fn round_started(&mut self, workload: &WorkloadPlan, round: u32);
    /// A share of the plan is done, 0 to 1.
    fn progressed(&mut self, share: f64);
    /// A lane has lost a workload.
    fn lane_lost(&mut self, lost: &LaneFailure);
    /// Processes of lanes had to be ended, by lane.
    fn left_behind(&mut self, _left: &BTreeMap<String, Vec<String>>) {}
}

/// Stores lines in addition to the record in memory.
pub trait Sink {
    /// Stores a line.
    ///
    /// # Errors
    /// If it cannot be written, which ends the run.
    fn write(&mut self, line: &Line) -> Result<(), RecordError>;
}

impl Sink for crate::record::Writer {
    fn write(&mut self, line: &Line) -> Result<(), RecordError> {
        crate::record::Writer::write(self, line)
    }
}

/// Whether the intervals of a workload are narrow enough. It looks at widths only.
pub type IsPrecise<'a> = &'a dyn Fn(&Record, &str) -> bool;

/// Why a round ends before its last block.
#[derive(Debug, thiserror::Error)]
enum ScheduleError {
    /// The user has interrupted the run.
    #[error("the run was interrupted")]
    Interrupted,
    /// The record cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Measures the plan of `record`, or the rest of it, and returns how the run ended.
///
/// Rounds alternate between the workloads, so that drift of the machine affects all of them and an
/// interrupted run has measured all of them alike. With `limit` a workload ends before the round that would
/// exceed it, except that [`ROUNDS_LEAST`] rounds may exceed it by 30 %.
///
/// # Errors
/// If the record cannot be written.
pub fn run(
    record: &mut Record,
    backend: &mut dyn Backend,
    sink: &mut dyn Sink,
    observer: &mut dyn Observer,
    is_precise: IsPrecise<'_>,
    limit: Option<Duration>,
) -> Result<Ended, RecordError> {
    let plan = record.header.plan.clone();
    // Workloads that were complete before the run was resumed stay so.
    let mut stopped =
        record.footer.as_ref().map(|footer| footer.stopped.clone()).unwrap_or_default();
    stopped.retain(|_, stop| *stop != Stop::Budget);
    let mut run =
        Run { plan: &plan, record, backend, sink, observer, stopped, finished: BTreeMap::new() };
    let ended = run.rounds(is_precise, limit);
    run.backend.stop(None);
    // Of a round that has no line in the record.
    let left_behind = run.backend.left_behind();
    if !left_behind.is_empty() {
        run.observer.left_behind(&left_behind);
    }
    let ended = match ended {
        Ok(()) => Ended::Complete,
        Err(ScheduleError::Interrupted) => Ended::Interrupted,
        Err(ScheduleError::Record(error)) => return Err(error),
    };
    let footer =
        Footer { ended, elapsed_s: run.backend.now().as_secs_f64(), stopped: run.stopped.clone() };
    run.keep(Line::Footer(footer))?;
    Ok(ended)
}

/// How many slices in a row may be voided before the block goes on without a slice of that lane.
const VOIDED_MOST: u32 = 2;

/// By how much a run may exceed its limit to reach [`ROUNDS_LEAST`].
pub const OVERRUN: f64 = 1.3;

struct Run<'a> {
    plan: &'a Plan,
    record: &'a mut Record,
    backend: &'a mut dyn Backend,
    sink: &'a mut dyn Sink,
    observer: &'a mut dyn Observer,
    stopped: BTreeMap<String, Stop>,
    /// Workloads of which the record had finished rounds, with the first round of this run.
    finished: BTreeMap<String, u32>,
}

/// How a round ended.
enum RoundEnd {
    /// As planned.
    Complete,
    /// The workload is measured no further.
    Stop(Stop),
    /// Early, because a service has ended. Its blocks count, and another round takes its place.
    ServiceEnded,
}

impl Run<'_> {
    fn rounds(
        &mut self,
        is_precise: IsPrecise<'_>,
        limit: Option<Duration>,
    ) -> Result<(), ScheduleError> {
        let mut progress: Vec<_> = self.plan.workloads.iter().map(|it| self.so_far(it)).collect();
        let resumed = self.plan.workloads.iter().zip(&progress).filter(|(_, it)| it.complete > 0);
        self.finished = resumed.map(|(workload, it)| (workload.name.clone(), it.next)).collect();
        let mut longest = BTreeMap::new();
        for turn in 0..self.plan.rounds {
            for (workload, so_far) in self.plan.workloads.iter().zip(&mut progress) {
                if self.stopped.contains_key(&workload.name) {
                    continue;
                }
                if so_far.complete >= self.plan.rounds {
                    self.stopped.insert(workload.name.clone(), Stop::Rounds);
                    continue;
                }
                // A resumed run does not repeat the rounds of its record.
                if turn < so_far.skip {
                    continue;
                }
                let begin = self.backend.now();
                let expected = longest.get(&workload.name).copied().unwrap_or_default();
                // Fewer rounds cannot decide anything, so the run may overrun for them.
                let slack = if so_far.complete < ROUNDS_LEAST { OVERRUN } else { 1.0 };
                if limit.is_some_and(|limit| begin + expected > limit.mul_f64(slack)) {
                    self.stopped.insert(workload.name.clone(), Stop::Budget);
                    continue;
                }
                let end = loop {
                    match self.round(workload, so_far.next)? {
                        // Each such round costs a lane, which bounds their number.
                        RoundEnd::ServiceEnded => so_far.next += 1,
                        end => break end,
                    }
                };
                match end {
                    RoundEnd::Stop(stop) => {
                        self.stopped.insert(workload.name.clone(), stop);
                    }
                    RoundEnd::Complete | RoundEnd::ServiceEnded => {
                        so_far.next += 1;
                        so_far.complete += 1;
                        let took = self.backend.now().saturating_sub(begin);
                        let longest: &mut Duration =
                            longest.entry(workload.name.clone()).or_default();
                        *longest = took.max(*longest);
                        if so_far.complete >= self.plan.rounds {
                            self.stopped.insert(workload.name.clone(), Stop::Rounds);
                        } else if is_precise(self.record, &workload.name) {
                            self.stopped.insert(workload.name.clone(), Stop::Precision);
                        }
                    }
                }
                let rounds = share(self.plan, &self.stopped, self.record);
                // The plan has more rounds than fit where workloads may stop on precision.
                let time = limit.map_or(0.0, |limit| self.backend.now().div_duration_f64(limit));
                self.observer.progressed(rounds.max(time).min(1.0));
            }
        }
        Ok(())
    }

    fn so_far(&self, workload: &WorkloadPlan) -> SoFar {
        let of_workload = |name: &str| name == workload.name;
        let finished =
            self.record.rounds.iter().filter(|round| of_workload(&round.workload)).count() as u32;
        let blocks = self.record.blocks.iter().filter(|block| of_workload(&block.workload));
        let next = blocks.map(|block| block.round + 1).max().unwrap_or(0).max(finished);
        SoFar { complete: finished, skip: finished, next }
    }

    /// The lanes that take part in the workload and have not lost it.
    fn lanes_in(&self, workload: &WorkloadPlan) -> Vec<usize> {
        let lost: BTreeSet<_> = self
            .record
            .failures
            .iter()
            .filter(|lost| lost.workload == workload.name)
            .map(|lost| lost.lane.as_str())
            .collect();
        let is_in =
            |lane: &LanePlan| lane.does(&workload.family) && !lost.contains(lane.name.as_str());
        (0..self.plan.lanes.len()).filter(|&index| is_in(&self.plan.lanes[index])).collect()
    }

    /// One round.
    fn round(&mut self, workload: &WorkloadPlan, round: u32) -> Result<RoundEnd, ScheduleError> {
        let mut rng = draw::rng(self.record.header.seed, &workload.name, round);
        self.observer.round_started(workload, round);
        let mut lanes = self.lanes_in(workload);
        lanes.shuffle(&mut rng);
        let started = self.backend.start(workload, &lanes, &mut rng);
        for (lane, started) in lanes.into_iter().zip(started) {
            let Err(error) = started else { continue };
            self.drop_lane(workload, round, lane, error)?;
            // Only the first lane loses the workload: it may have caused the end, the others did not.
            if self.backend.service_ended() {
                return Ok(self.end_early(workload));
            }
        }
        let capacities = self.capacities(workload, round, &mut rng)?;
        if self.backend.service_ended() {
            return Ok(self.end_early(workload));
        }
        self.warm_up(workload, round, &mut rng)?;
        if self.backend.service_ended() {
            return Ok(self.end_early(workload));
        }
        for block in 0..workload.blocks(self.plan.blocks) {
            let lanes = self.lanes_in(workload);
            if !self.is_comparable(&lanes) {
                self.backend.stop(None);
                return Ok(RoundEnd::Stop(Stop::Lanes));
            }
            // The same instants for all lanes of a block.
            let pace = self.pace(workload, &mut rng);
            let lanes = draw::order(self.plan, lanes, &mut rng);
            let mut slices = Vec::with_capacity(lanes.len());
            for lane in lanes {
                if let Err(error) = self.slices(workload, lane, pace.as_ref(), &mut slices) {
                    self.drop_lane(workload, round, lane, error)?;
                    if self.backend.service_ended() {
                        break;
                    }
                }
            }
            let name = workload.name.clone();
            self.keep(Line::Block(Block { workload: name, round, block, slices }))?;
            if self.backend.service_ended() {
                return Ok(self.end_early(workload));
            }
        }
        self.finish(workload, round, &capacities)
    }

    /// A block that is not recorded: in the first slice of a process, caches and predictors are cold and memory is
    /// mapped.
    fn warm_up(
        &mut self,
        workload: &WorkloadPlan,
        round: u32,
        rng: &mut Pcg64,
    ) -> Result<(), ScheduleError> {
        let pace = self.pace(workload, rng);
        for lane in draw::order(self.plan, self.lanes_in(workload), rng) {
            if self.backend.cancelled() {
                return Err(ScheduleError::Interrupted);
            }
            if let Err(error) = self.backend.warm_up(workload, lane, pace.as_ref()) {
                self.drop_lane(workload, round, lane, error)?;
                if self.backend.service_ended() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The pace of the next block; `None` in a closed loop.
    fn pace(&self, workload: &WorkloadPlan, rng: &mut Pcg64) -> Option<Pace> {
        let rate_per_s = self.record.offered_per_s(workload)?;
        Some(Pace { rate_per_s, arrivals: workload.arrivals(), seed: rng.next_u64() })
    }

    /// One slice of a lane, and others in place of slices that the harness has spoilt.
    fn slices(
        &mut self,
        workload: &WorkloadPlan,
        lane: usize,
        pace: Option<&Pace>,
        slices: &mut Vec<Slice>,
    ) -> Result<(), LaneError> {
        for _ in 0..=VOIDED_MOST {
            if self.backend.cancelled() {
                return Err(LaneError::Cancelled);
            }
            let slice = self.backend.slice(workload, lane, pace)?;
            let is_voided = slice.voided.is_some();
            slices.push(slice);
            if !is_voided {
                break;
            }
        }
        Ok(())
    }

    /// Ends a round whose service has ended.
    fn end_early(&mut self, workload: &WorkloadPlan) -> RoundEnd {
        self.backend.stop(None);
        let lanes = self.lanes_in(workload);
        let comparable = self.is_comparable(&lanes);
        if comparable { RoundEnd::ServiceEnded } else { RoundEnd::Stop(Stop::Lanes) }
    }

    fn finish(
        &mut self,
        workload: &WorkloadPlan,
        round: u32,
        capacities: &BTreeMap<usize, f64>,
    ) -> Result<RoundEnd, ScheduleError> {
        let lanes = self.lanes_in(workload);
        let mut finished = BTreeMap::new();
        let counts = self.so_far(workload).complete < counted_rounds(self.plan);
        for (lane, result) in self.backend.finish(workload, &lanes, counts) {
            match result {
                Ok(mut result) => {
                    result.capacity_per_s = capacities.get(&lane).copied();
                    finished.insert(self.plan.lanes[lane].name.clone(), result);
                }
                Err(error) => self.drop_lane(workload, round, lane, error)?,
            }
        }
        let conditions = self.backend.conditions();
        self.backend.stop(None);
        let left_behind = self.backend.left_behind();
        if !left_behind.is_empty() {
            self.observer.left_behind(&left_behind);
        }
        self.keep(Line::Round(Round {
            workload: workload.name.clone(),
            round,
            lanes: finished,
            steal: conditions.steal,
            cpu_pressure: conditions.cpu_pressure,
            time_wait: conditions.time_wait,
            throttled_ns: conditions.throttled_ns,
            others_cpu: conditions.others_cpu,
            others_program: conditions.others_program,
            left_behind,
        }))?;
        let lanes = self.lanes_in(workload);
        let comparable = self.is_comparable(&lanes);
        Ok(if comparable { RoundEnd::Complete } else { RoundEnd::Stop(Stop::Lanes) })
    }

    /// Ratios need the reference and another lane.
    fn is_comparable(&self, lanes: &[usize]) -> bool {
        let has_reference =
            lanes.iter().any(|&lane| self.plan.lanes[lane].name == self.plan.reference);
        has_reference && (lanes.len() > 1 || self.plan.lanes.len() == 1)
    }

    /// Stops a lane and records that it has lost the workload.
    fn drop_lane(
        &mut self,
        workload: &WorkloadPlan,
        round: u32,
        lane: usize,
        error: LaneError,
    ) -> Result<(), ScheduleError> {
        let LaneError::Failure(status, reason) = error else {
            return Err(ScheduleError::Interrupted);
        };
        if self.backend.cancelled_soon() {
            return Err(ScheduleError::Interrupted);
        }
        self.backend.stop(Some(lane));
        // It was measured before the run was resumed, and has no slice since.
        let rounds_count = self.finished.get(&workload.name).is_some_and(|&first| {
            let name = &self.plan.lanes[lane].name;
            let since = |block: &&Block| block.workload == workload.name && block.round >= first;
            let mut slices = self.record.blocks.iter().filter(since).flat_map(|it| &it.slices);
            !slices.any(|slice| slice.lane == *name)
        });
        let lost = LaneFailure {
            workload: workload.name.clone(),
            lane: self.plan.lanes[lane].name.clone(),
            round,
            status,
            reason,
            rounds_count,
        };
        self.observer.lane_lost(&lost);
        Ok(self.keep(Line::LaneFailure(lost))?)
    }

    fn keep(&mut self, line: Line) -> Result<(), RecordError> {
        self.sink.write(&line)?;
        self.record.push(line);
        Ok(())
    }
}

/// The rounds of a workload on record.
struct SoFar {
    /// Rounds that were finished.
    complete: u32,
    /// The same at the beginning.
    skip: u32,
    /// The next round's number: above that of any block, so that a round that was cut off keeps its
    /// blocks and is not mixed with new processes.
    next: u32,
}

/// How much of the plan is done, 0 to 1.
fn share(plan: &Plan, stopped: &BTreeMap<String, Stop>, record: &Record) -> f64 {
    let done: f64 = plan
        .workloads
        .iter()
        .map(|workload| {
            if stopped.contains_key(&workload.name) {
                return 1.0;
            }
            let rounds = record.rounds.iter().filter(|round| round.workload == workload.name);
            (rounds.count() as f64 / f64::from(plan.rounds).max(1.0)).min(1.0)
        })
        .sum();
    done / (plan.workloads.len() as f64).max(1.0)
}
