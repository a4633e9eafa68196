//! Reasons to distrust figures, each with its remedy.
//!
//! Collected over all workloads, so that a warning that concerns twenty of them appears once.

mod system;

use std::collections::BTreeMap;

use rtswap_schema::record::{Ended, Record, Status, Stop, other_changes};
use rtswap_stats::{median, rounds_needed};

use crate::data::Data;
use crate::format;
use crate::summary::{Bound, Cell, Interval, Metric, Role, Warning, WarningKind, WorkloadSummary};

/// CPUs that a waiting lane may keep busy before it disturbs the other lanes.
const IDLE_BURN: f64 = 0.02;

/// Steal above which the machine counts as busy. On shared runners 1 to 3 % is normal.
const HEAVY_STEAL: f64 = 0.05;

/// CPU pressure above which other programs must be running: lanes with more threads than CPUs reach
/// 0.7 on their own.
const HEAVY_PRESSURE: f64 = 0.9;

/// Share of a workload's slices that may be voided on an ordinary machine.
const MANY_VOIDED: f64 = 0.05;

/// The most workloads that a message names; the JSON names all.
const NAMED: usize = 3;

/// Observations, collected workload by workload.
#[derive(Default)]
pub(crate) struct Notes {
    too_few: Vec<(String, usize, usize)>,
    control_differs: Vec<(String, Metric, Interval)>,
    no_control: Vec<String>,
    control_overloaded: Vec<String>,
    generator: BTreeMap<String, Vec<String>>,
    /// By lane: the workloads, and the largest share.
    idle: BTreeMap<String, (Vec<String>, f64)>,
    steal: (Vec<String>, f64),
    pressure: (Vec<String>, f64),
    voided: (Vec<String>, f64),
    system: system::Notes,
    /// By lane and why it ended: the workloads.
    partly: BTreeMap<(String, String), Vec<String>>,
    /// By reason: workloads and lanes.
    counts: BTreeMap<String, (Vec<String>, Vec<String>)>,
    /// Workloads with fewer blocks than planned, not by the stop rule.
    short: Vec<String>,
    blocks: usize,
    planned: usize,
    alpha: f64,
}

impl Notes {
    /// For verdicts at the level `alpha`.
    pub fn new(alpha: f64) -> Self {
        Self { alpha, ..Self::default() }
    }

    /// Adds the observations on one workload.
    pub fn observe(
        &mut self,
        data: &Data,
        workload: &WorkloadSummary,
        cells: &[Cell],
        control_differs: Option<Interval>,
    ) {
        let name = &workload.name;
        let plan = &data.record.header.plan;
        let compared = cells.iter().filter(|c| c.live() && c.role == Role::Lane).count();
        if compared > 0 && workload.rounds < workload.rounds_needed {
            self.too_few.push((name.clone(), workload.rounds, workload.rounds_needed));
        }
        let control = |c: &Cell| c.role == Role::Control && c.live();
        let reference = cells.iter().any(|c| c.role == Role::Reference && c.live());
        if compared > 0 && reference && !cells.iter().any(control) {
            let overloaded = |c: &Cell| c.role == Role::Control && c.status == Status::Overloaded;
            let is_overloaded = cells.iter().any(overloaded);
            let list =
                if is_overloaded { &mut self.control_overloaded } else { &mut self.no_control };
            list.push(name.clone());
        }
        self.control_differs
            .extend(control_differs.map(|by| (name.clone(), workload.deciding, by)));
        if workload.steal.is_some_and(|steal| steal > HEAVY_STEAL) {
            self.steal.0.push(name.clone());
            self.steal.1 = self.steal.1.max(workload.steal.unwrap_or_default());
        }
        let pressure = median(data.rounds.iter().filter_map(|round| round.cpu_pressure));
        if let Some(pressure) = pressure.filter(|pressure| *pressure > HEAVY_PRESSURE) {
            self.pressure.0.push(name.clone());
            self.pressure.1 = self.pressure.1.max(pressure);
        }
        for cell in cells {
            // A generator that paces an offered rate may spin: its lateness counts, not its CPU time.
            let by_cpu = data.is_paired() || data.is_offered();
            if cell.bound == Some(Bound::Generator) && cell.role != Role::Control && !by_cpu {
                self.generator.entry(name.clone()).or_default().push(cell.lane.clone());
            }
            if let Some(idle) = cell.idle_cpu.filter(|idle| cell.live() && *idle > IDLE_BURN) {
                let (workloads, largest) = self.idle.entry(cell.lane.clone()).or_default();
                workloads.push(name.clone());
                *largest = largest.max(idle);
            }
            if let Some(failure) = data.failure(&cell.lane).filter(|_| cell.live()) {
                let key = (cell.lane.clone(), format::one_line(&failure.reason));
                push_new(self.partly.entry(key).or_default(), name);
            }
            let missing =
                data.lane_rounds(&cell.lane).rev().find_map(|round| round.counts_missing.as_ref());
            if let Some(reason) = missing.filter(|_| cell.live()) {
                let (workloads, lanes) = self.counts.entry(format::one_line(reason)).or_default();
                push_new(workloads, name);
                push_new(lanes, &cell.lane);
            }
        }
        self.system.observe(data);
        let (voided, slices) = data.voided();
        let voided = voided as f64 / (slices as f64).max(1.0);
        if voided > MANY_VOIDED {
            self.voided.0.push(name.clone());
            self.voided.1 = self.voided.1.max(voided);
        }
        let planned = plan.rounds as usize * data.plan.blocks(plan.blocks) as usize;
        if !matches!(workload.stopped, Some(Stop::Precision | Stop::Budget | Stop::Lanes)) {
            self.planned += planned;
            self.blocks += workload.blocks.min(planned);
            if workload.blocks < planned {
                self.short.push(name.clone());
            }
        }
    }

    /// All warnings, the most serious first.
    pub fn warnings(self, record: &Record) -> Vec<Warning> {
        let mut all = Vec::new();
        all.extend(self.interrupted(record));
        all.extend(resumed(record));
        all.extend(other_packages(record));
        all.extend(self.control(record));
        all.extend(self.rounds());
        for ((lane, reason), workloads) in self.partly {
            all.push(Warning {
                kind: WarningKind::PartlyMeasured,
                message: format!(
                    "{lane} has the rounds from before the run was resumed alone: it could not be started again, {reason} ({})",
                    some(&workloads)
                ),
                remedy: format!("make {lane} work, then measure again"),
                workloads,
                lanes: vec![lane],
            });
        }
        for (workload, lanes) in &self.generator {
            all.push(Warning {
                kind: WarningKind::GeneratorBound,
                workloads: vec![workload.clone()],
                lanes: lanes.clone(),
                message: format!(
                    "the load generator was the bottleneck for {} in {workload}, so their operations per second do not compare the lanes",
                    format::list(lanes)
                ),
                remedy: "compare CPU time per operation, or give the generator more CPUs and the lanes fewer"
                    .to_owned(),
            });
        }
        for (lane, (workloads, share)) in self.idle {
            all.push(Warning {
                kind: WarningKind::IdleBurn,
                message: format!(
                    "{lane} kept up to {} of a CPU busy while other lanes were measured, which slows them ({})",
                    format::percent(share),
                    some(&workloads)
                ),
                remedy: format!("measure the other lanes again without {lane}"),
                workloads,
                lanes: vec![lane],
            });
        }
        if !self.steal.0.is_empty() {
            all.push(Warning {
                kind: WarningKind::Steal,
                message: format!(
                    "the hypervisor gave up to {} of the CPU time to other machines ({}), which widens the intervals",
                    format::percent(self.steal.1),
                    some(&self.steal.0)
                ),
                remedy: "measure at a quieter hour, or on a machine without co-tenants".to_owned(),
                workloads: self.steal.0,
                lanes: Vec::new(),
            });
        }
        if !self.pressure.0.is_empty() {
            all.push(Warning {
                kind: WarningKind::Busy,
                message: format!(
                    "tasks waited for a CPU {} of the time ({}), so other programs were running; ratios may be \
                     wrong",
                    format::percent(self.pressure.1),
                    some(&self.pressure.0)
                ),
                remedy: "stop the other programs, then measure again".to_owned(),
                workloads: self.pressure.0,
                lanes: Vec::new(),
            });
        }
        if !self.voided.0.is_empty() {
            all.push(Warning {
                kind: WarningKind::Voided,
                message: format!(
                    "up to {} of the slices do not count, because the load generator was disturbed ({})",
                    format::percent(self.voided.1),
                    some(&self.voided.0)
                ),
                remedy: "other programs stop the load generator: stop them, or measure on a quiet machine"
                    .to_owned(),
                workloads: self.voided.0,
                lanes: Vec::new(),
            });
        }
        all.extend(self.system.warnings(&record.header.plan));
        for (reason, (workloads, lanes)) in self.counts {
            all.push(Warning {
                kind: WarningKind::CountsMissing,
                message: format!(
                    "system calls and context switches of {} were not counted ({})",
                    format::list(&lanes),
                    some(&workloads)
                ),
                // The reason from the harness names the remedy.
                remedy: reason,
                workloads,
                lanes,
            });
        }
        all
    }

    fn interrupted(&self, record: &Record) -> Option<Warning> {
        let ended = record.footer.as_ref().map(|footer| footer.ended);
        let how = match ended {
            Some(Ended::Complete) if self.short.is_empty() => return None,
            Some(Ended::Complete) => "blocks are missing although the run was completed",
            Some(Ended::Interrupted) => "the run was interrupted",
            None => "the run was killed, or has not ended yet",
        };
        let blocks = if self.blocks < self.planned {
            format!(": the record has {} of {} planned blocks", self.blocks, self.planned)
        } else {
            String::new()
        };
        Some(Warning {
            kind: WarningKind::Interrupted,
            workloads: self.short.clone(),
            lanes: Vec::new(),
            message: format!("{how}{blocks}"),
            remedy: "complete the record with `rtswap run --resume RECORD`".to_owned(),
        })
    }

    fn control(&self, record: &Record) -> Vec<Warning> {
        let reference = &record.header.plan.reference;
        let mut all: Vec<Warning> = self
            .control_differs
            .iter()
            .map(|(workload, metric, by)| Warning {
                kind: WarningKind::ControlDiffers,
                workloads: vec![workload.clone()],
                lanes: Vec::new(),
                message: format!(
                    "two processes of {reference} differ from each other in {} ({}) in {workload}, so nothing is decided in it",
                    metric.words(),
                    format::interval(by)
                ),
                remedy: "look for what treats the two differently (CPUs, memory, other programs), then measure again"
                    .to_owned(),
            })
            .collect();
        if !self.control_overloaded.is_empty() {
            all.push(Warning {
                kind: WarningKind::NoControl,
                workloads: self.control_overloaded.clone(),
                lanes: Vec::new(),
                message: format!(
                    "the control is overloaded, so nothing is decided ({})",
                    some(&self.control_overloaded)
                ),
                remedy: "offer a lower rate".to_owned(),
            });
        }
        if !self.no_control.is_empty() {
            all.push(Warning {
                kind: WarningKind::NoControl,
                workloads: self.no_control.clone(),
                lanes: Vec::new(),
                message: format!(
                    "without a control nothing shows that equal programs measure the same, so nothing is decided ({})",
                    some(&self.no_control)
                ),
                remedy: "measure with the control lane".to_owned(),
            });
        }
        all
    }

    fn rounds(&self) -> Option<Warning> {
        let fewest = self.too_few.iter().map(|(_, rounds, _)| *rounds).min()?;
        let needed = self.too_few.iter().map(|(_, _, needed)| *needed).max()?;
        let workloads: Vec<String> = self.too_few.iter().map(|(name, ..)| name.clone()).collect();
        let least = rounds_needed(1, self.alpha);
        Some(Warning {
            kind: WarningKind::TooFewRounds,
            message: format!(
                "too few rounds for so many comparisons: {fewest} of at least {needed} ({})",
                some(&workloads)
            ),
            remedy: format!(
                "measure at least {needed} rounds, or fewer lanes (a single one needs {least})"
            ),
            workloads,
            lanes: Vec::new(),
        })
    }
}

fn push_new(list: &mut Vec<String>, item: &str) {
    if !list.iter().any(|have| have == item) {
        list.push(item.to_owned());
    }
}

/// The differences that were accepted with `--force`.
fn resumed(record: &Record) -> Option<Warning> {
    let differences: Vec<String> = record
        .resumed
        .iter()
        .flat_map(|resumed| &resumed.differences)
        .map(|difference| format::one_line(difference))
        .collect();
    (!differences.is_empty()).then(|| Warning {
        kind: WarningKind::Resumed,
        workloads: Vec::new(),
        lanes: Vec::new(),
        message: format!(
            "the run was resumed with --force although something had changed ({}), so its rounds may not be comparable",
            differences.join("; ")
        ),
        remedy: "measure again on one machine and with the same programs".to_owned(),
    })
}

/// Lanes of two versions of a runtime whose lockfiles differ in more than that.
fn other_packages(record: &Record) -> Vec<Warning> {
    let pairs = other_changes(&record.header.plan.lanes).into_iter();
    let each = pairs.map(|(first, second, others)| {
        let others: Vec<_> = others.iter().map(ToString::to_string).collect();
        let package = first.built.as_ref().map_or("", |built| &built.package);
        Warning {
            kind: WarningKind::OtherPackages,
            workloads: Vec::new(),
            lanes: vec![first.name.clone(), second.name.clone()],
            message: format!(
                "{} and {} also differ in {}, so a difference between them need not come from {package}",
                first.name,
                second.name,
                format::list(&others)
            ),
            remedy: format!("measure workloads that do not use them, or versions of {package} that share them"),
        }
    });
    each.collect()
}

fn some(workloads: &[String]) -> String {
    match workloads.len() {
        n if n > NAMED => format!("{} and {} more", workloads[..NAMED].join(", "), n - NAMED),
        _ => workloads.join(", "),
    }
}
