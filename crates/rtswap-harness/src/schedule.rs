//! In which order things are measured, and when it is enough. Knows nothing of processes or clocks,
//! so that it can be tested without either.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;

use crate::lane::Trouble;
use crate::plan::ROUNDS_LEAST;
use crate::record::{
    Block, Ended, Footer, LanePlan, LaneRound, Line, Lost, Plan, Record, RecordError, Round, Slice,
    Stop, WorkloadPlan,
};

/// What a scheduler needs done.
pub trait Bench {
    /// Starts a fresh process for each of `lanes` (indices into the plan), in this order.
    /// One result for each.
    fn start(
        &mut self,
        workload: &WorkloadPlan,
        lanes: &[usize],
        rng: &mut Pcg64,
    ) -> Vec<Result<(), Trouble>>;

    /// One slice of one lane.
    ///
    /// # Errors
    /// [`Trouble`] if the lane drops out.
    fn slice(&mut self, workload: &WorkloadPlan, lane: usize) -> Result<Slice, Trouble>;

    /// Counts, memory and the rest for the lanes still in. Their processes are still alive.
    fn finish(&mut self, workload: &WorkloadPlan, lanes: &[usize]) -> BTreeMap<usize, RoundResult>;

    /// Ends a lane's process, or all.
    fn stop(&mut self, lane: Option<usize>);

    /// Whether something that all lanes of the round work with has ended: those that are alive cannot go
    /// on with it, and would fail without a fault of theirs. Fresh processes can.
    fn broken(&self) -> bool {
        false
    }

    /// How the machine was since the start of the round.
    fn weather(&mut self) -> Conditions;

    /// Time since the run began.
    fn now(&mut self) -> Duration;

    /// Whether the user wants it to end.
    fn cancelled(&self) -> bool;
}

/// How the machine was during a round; `None` for what it does not tell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions {
    /// [`Round::steal`].
    pub steal: Option<f64>,
    /// [`Round::cpu_pressure`].
    pub cpu_pressure: Option<f64>,
    /// [`Round::time_wait`].
    pub time_wait: Option<u64>,
}

/// What a lane has at the end of a round, or why it has nothing.
pub type RoundResult = Result<LaneRound, Trouble>;

/// Hears of progress, between slices and never within.
pub trait Observer {
    /// A round of a workload begins.
    fn round(&mut self, workload: &WorkloadPlan, round: u32);
    /// A share of the plan is done, 0 to 1.
    fn done(&mut self, share: f64);
    /// A lane has dropped out.
    fn lost(&mut self, lost: &Lost);
}

/// Where lines go, besides into the record in memory.
pub trait Sink {
    /// Keeps a line.
    ///
    /// # Errors
    /// If it cannot be written: the run ends.
    fn write(&mut self, line: &Line) -> Result<(), RecordError>;
}

impl Sink for crate::record::Writer {
    fn write(&mut self, line: &Line) -> Result<(), RecordError> {
        crate::record::Writer::write(self, line)
    }
}

/// Whether a workload is measured well enough: looks at widths only.
pub type Precise<'a> = &'a dyn Fn(&Record, &str) -> bool;

/// Carries out the plan of `record`, or what is left of it, and returns how it ended.
///
/// Rounds go around all workloads, so that a drift of the machine meets all of them, and so that a
/// run that is cut short has measured all of them alike. With `limit` a workload ends before the round
/// that would exceed it, but for [`ROUNDS_LEAST`] rounds it may be exceeded by 30 %.
///
/// # Errors
/// If the record cannot be written.
pub fn run(
    record: &mut Record,
    bench: &mut dyn Bench,
    sink: &mut dyn Sink,
    observer: &mut dyn Observer,
    precise: Precise<'_>,
    limit: Option<Duration>,
) -> Result<Ended, RecordError> {
    let plan = record.header.plan.clone();
    // What was measured well enough before the run was resumed stays so.
    let mut stopped =
        record.footer.as_ref().map(|footer| footer.stopped.clone()).unwrap_or_default();
    stopped.retain(|_, stop| *stop != Stop::Budget);
    let mut run = Run { plan: &plan, record, bench, sink, observer, stopped };
    let ended = run.rounds(precise, limit);
    run.bench.stop(None);
    let ended = ended?;
    let footer =
        Footer { ended, elapsed_s: run.bench.now().as_secs_f64(), stopped: run.stopped.clone() };
    run.keep(Line::Footer(footer))?;
    Ok(ended)
}

/// By how much a run may exceed its limit to reach [`ROUNDS_LEAST`].
pub const OVERRUN: f64 = 1.3;

struct Run<'a> {
    plan: &'a Plan,
    record: &'a mut Record,
    bench: &'a mut dyn Bench,
    sink: &'a mut dyn Sink,
    observer: &'a mut dyn Observer,
    stopped: BTreeMap<String, Stop>,
}

/// The run is to end where it is.
struct Interrupted;

/// How a round ended.
enum End {
    /// As planned.
    Complete,
    /// With nothing left to compare.
    Stop(Stop),
    /// Too early: what it has measured counts, and another has to take its place.
    Broken,
}

impl Run<'_> {
    fn rounds(
        &mut self,
        precise: Precise<'_>,
        limit: Option<Duration>,
    ) -> Result<Ended, RecordError> {
        let mut progress: Vec<_> = self.plan.workloads.iter().map(|it| self.so_far(it)).collect();
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
                // Work that is already on record is not done again: the run was resumed.
                if turn < so_far.skip {
                    continue;
                }
                let begin = self.bench.now();
                let expected = longest.get(&workload.name).copied().unwrap_or_default();
                // Too few rounds decide nothing: rather be late than have nothing to show.
                let slack = if so_far.complete < ROUNDS_LEAST { OVERRUN } else { 1.0 };
                if limit.is_some_and(|limit| begin + expected > limit.mul_f64(slack)) {
                    self.stopped.insert(workload.name.clone(), Stop::Budget);
                    continue;
                }
                let end = loop {
                    match self.round(workload, so_far.next)? {
                        // Each such round costs a lane, so that there is an end to them.
                        Ok(End::Broken) => so_far.next += 1,
                        end => break end,
                    }
                };
                match end {
                    Err(Interrupted) => return Ok(Ended::Interrupted),
                    Ok(End::Stop(stop)) => {
                        self.stopped.insert(workload.name.clone(), stop);
                    }
                    Ok(End::Complete | End::Broken) => {
                        so_far.next += 1;
                        so_far.complete += 1;
                        let took = self.bench.now().saturating_sub(begin);
                        let longest: &mut Duration =
                            longest.entry(workload.name.clone()).or_default();
                        *longest = took.max(*longest);
                        if so_far.complete >= self.plan.rounds {
                            self.stopped.insert(workload.name.clone(), Stop::Rounds);
                        } else if precise(self.record, &workload.name) {
                            self.stopped.insert(workload.name.clone(), Stop::Precision);
                        }
                    }
                }
                self.observer.done(share(self.plan, &self.stopped, self.record));
            }
        }
        Ok(Ended::Complete)
    }

    fn so_far(&self, workload: &WorkloadPlan) -> SoFar {
        let mine = |name: &str| name == workload.name;
        let finished =
            self.record.rounds.iter().filter(|round| mine(&round.workload)).count() as u32;
        let blocks = self.record.blocks.iter().filter(|block| mine(&block.workload));
        let next = blocks.map(|block| block.round + 1).max().unwrap_or(0).max(finished);
        SoFar { complete: finished, skip: finished, next }
    }

    /// The lanes that take part in the workload and have not lost it.
    fn lanes_in(&self, workload: &WorkloadPlan) -> Vec<usize> {
        let lost: BTreeSet<_> = self
            .record
            .lost
            .iter()
            .filter(|lost| lost.workload == workload.name)
            .map(|lost| lost.lane.as_str())
            .collect();
        let is_in =
            |lane: &LanePlan| lane.does(&workload.family) && !lost.contains(lane.name.as_str());
        (0..self.plan.lanes.len()).filter(|&index| is_in(&self.plan.lanes[index])).collect()
    }

    /// One round.
    fn round(
        &mut self,
        workload: &WorkloadPlan,
        round: u32,
    ) -> Result<Result<End, Interrupted>, RecordError> {
        let mut rng = rng(self.record.header.seed, &workload.name, round);
        self.observer.round(workload, round);
        let mut lanes = self.lanes_in(workload);
        lanes.shuffle(&mut rng);
        let started = self.bench.start(workload, &lanes, &mut rng);
        for (lane, started) in lanes.into_iter().zip(started) {
            let Err(trouble) = started else { continue };
            if self.drop_out(workload, round, lane, trouble)?.is_err() {
                return Ok(Err(Interrupted));
            }
            // The first pays, and the others that failed are as innocent as those that did not.
            if self.bench.broken() {
                return Ok(Ok(self.break_off(workload)));
            }
        }
        for block in 0..workload.blocks(self.plan.blocks) {
            let lanes = self.lanes_in(workload);
            if !self.worth_going_on(&lanes) {
                self.bench.stop(None);
                return Ok(Ok(End::Stop(Stop::Lanes)));
            }
            let lanes = self.drawn(lanes, &mut rng);
            let mut slices = Vec::with_capacity(lanes.len());
            for lane in lanes {
                if self.bench.cancelled() {
                    return Ok(Err(Interrupted));
                }
                match self.bench.slice(workload, lane) {
                    Ok(slice) => slices.push(slice),
                    Err(trouble) => {
                        if self.drop_out(workload, round, lane, trouble)?.is_err() {
                            return Ok(Err(Interrupted));
                        }
                        if self.bench.broken() {
                            break;
                        }
                    }
                }
            }
            let name = workload.name.clone();
            self.keep(Line::Block(Block { workload: name, round, block, slices }))?;
            if self.bench.broken() {
                return Ok(Ok(self.break_off(workload)));
            }
        }
        self.finish(workload, round)
    }

    /// Ends a round whose lanes cannot go on.
    fn break_off(&mut self, workload: &WorkloadPlan) -> End {
        self.bench.stop(None);
        let lanes = self.lanes_in(workload);
        if self.worth_going_on(&lanes) { End::Broken } else { End::Stop(Stop::Lanes) }
    }

    fn finish(
        &mut self,
        workload: &WorkloadPlan,
        round: u32,
    ) -> Result<Result<End, Interrupted>, RecordError> {
        let lanes = self.lanes_in(workload);
        let mut finished = BTreeMap::new();
        for (lane, result) in self.bench.finish(workload, &lanes) {
            match result {
                Ok(result) => {
                    finished.insert(self.plan.lanes[lane].name.clone(), result);
                }
                Err(trouble) => {
                    if self.drop_out(workload, round, lane, trouble)?.is_err() {
                        return Ok(Err(Interrupted));
                    }
                }
            }
        }
        let Conditions { steal, cpu_pressure, time_wait } = self.bench.weather();
        self.bench.stop(None);
        self.keep(Line::Round(Round {
            workload: workload.name.clone(),
            round,
            lanes: finished,
            steal,
            cpu_pressure,
            time_wait,
        }))?;
        let lanes = self.lanes_in(workload);
        Ok(Ok(if self.worth_going_on(&lanes) { End::Complete } else { End::Stop(Stop::Lanes) }))
    }

    /// The lanes in random order, each beside the lane that it is compared with, or one lane away from it
    /// where a chain of pairs has three.
    ///
    /// Which, unless the plan pairs them, may stand anywhere in the block.
    fn drawn(&self, lanes: Vec<usize>, rng: &mut Pcg64) -> Vec<usize> {
        let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
        for lane in lanes {
            let plan = &self.plan.lanes[lane];
            let head = self.head(plan);
            match groups.iter_mut().find(|(name, _)| *name == head) {
                Some((_, group)) => group.push(lane),
                None => groups.push((head, vec![lane])),
            }
        }
        groups.shuffle(rng);
        for (_, group) in &mut groups {
            group.shuffle(rng);
        }
        groups.into_iter().flat_map(|(_, group)| group).collect()
    }

    /// The lane at the end of a chain of pairs: of the polled form of an adapter it is the native one.
    fn head<'p>(&'p self, mut lane: &'p LanePlan) -> &'p str {
        // No chain is longer than there are lanes, unless a record that was written by others goes around.
        for _ in 0..self.plan.lanes.len() {
            let Some(against) = lane.against.as_deref() else { break };
            let Some(next) = self.plan.lanes.iter().find(|other| other.name == against) else {
                return against;
            };
            lane = next;
        }
        &lane.name
    }

    /// Ratios need the reference and somebody else.
    fn worth_going_on(&self, lanes: &[usize]) -> bool {
        let has_reference =
            lanes.iter().any(|&lane| self.plan.lanes[lane].name == self.plan.reference);
        has_reference && (lanes.len() > 1 || self.plan.lanes.len() == 1)
    }

    fn drop_out(
        &mut self,
        workload: &WorkloadPlan,
        round: u32,
        lane: usize,
        trouble: Trouble,
    ) -> Result<Result<(), Interrupted>, RecordError> {
        let Trouble::Lost(status, reason) = trouble else { return Ok(Err(Interrupted)) };
        self.bench.stop(Some(lane));
        let lost = Lost {
            workload: workload.name.clone(),
            lane: self.plan.lanes[lane].name.clone(),
            round,
            status,
            reason,
        };
        self.observer.lost(&lost);
        self.keep(Line::Lost(lost))?;
        Ok(Ok(()))
    }

    fn keep(&mut self, line: Line) -> Result<(), RecordError> {
        self.sink.write(&line)?;
        self.record.push(line);
        Ok(())
    }
}

/// What is on record of a workload.
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

/// Its own stream for each round, so that a resumed run draws as an unbroken one would.
fn rng(seed: u64, workload: &str, round: u32) -> Pcg64 {
    // FNV-1a: any stable hash will do, and std's is not stable.
    let hash = workload.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Pcg64::seed_from_u64(seed ^ hash.rotate_left(round))
}
