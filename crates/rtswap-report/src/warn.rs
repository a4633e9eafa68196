//! What a reader should know before trusting the figures, each with its remedy.
//!
//! Collected over all workloads first, so that what is true of twenty of them is said once.

use std::collections::BTreeMap;

use rtswap_schema::record::{Ended, Record, Stop};
use rtswap_stats::{median, rounds_needed};

use crate::analyse::ALPHA;
use crate::data::Data;
use crate::summary::{Bound, Cell, Interval, Metric, Role, Warning, WarningKind, WorkloadSummary};
use crate::words;

/// CPUs kept busy by an idle lane from which on it may disturb the others.
const IDLE_BURN: f64 = 0.02;

/// Steal from which on the machine is called busy. On shared runners 1 to 3 % is everyday.
const HEAVY_STEAL: f64 = 0.05;

/// Pressure from which on something else must be running: lanes that share a CPU with threads of their own
/// reach 0.7.
const HEAVY_PRESSURE: f64 = 0.9;

/// Workloads named in a message; the JSON names all.
const NAMED: usize = 3;

/// What was noticed, workload by workload.
#[derive(Default)]
pub(crate) struct Notes {
    too_few: Vec<(String, usize, usize)>,
    control_differs: Vec<(String, Metric, Interval)>,
    no_control: Vec<String>,
    generator: BTreeMap<String, Vec<String>>,
    /// By lane: the workloads, and the largest share.
    idle: BTreeMap<String, (Vec<String>, f64)>,
    steal: (Vec<String>, f64),
    pressure: (Vec<String>, f64),
    /// By reason: workloads and lanes.
    counts: BTreeMap<String, (Vec<String>, Vec<String>)>,
    /// Workloads with fewer blocks than planned, not by the stop rule.
    short: Vec<String>,
    blocks: usize,
    planned: usize,
}

impl Notes {
    /// Looks at one workload.
    pub fn look(
        &mut self,
        data: &Data,
        workload: &WorkloadSummary,
        cells: &[Cell],
        control_differs: Vec<(Metric, Interval)>,
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
            self.no_control.push(name.clone());
        }
        self.control_differs
            .extend(control_differs.into_iter().map(|(metric, by)| (name.clone(), metric, by)));
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
            let by_cpu = data.is_paired();
            if cell.bound == Some(Bound::Generator) && cell.role != Role::Control && !by_cpu {
                self.generator.entry(name.clone()).or_default().push(cell.lane.clone());
            }
            if let Some(idle) = cell.idle_cpu.filter(|idle| cell.live() && *idle > IDLE_BURN) {
                let (workloads, largest) = self.idle.entry(cell.lane.clone()).or_default();
                workloads.push(name.clone());
                *largest = largest.max(idle);
            }
            let missing =
                data.lane_rounds(&cell.lane).rev().find_map(|round| round.counts_missing.as_ref());
            if let Some(reason) = missing.filter(|_| cell.live()) {
                let (workloads, lanes) = self.counts.entry(words::one_line(reason)).or_default();
                push_new(workloads, name);
                push_new(lanes, &cell.lane);
            }
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

    /// All warnings, the gravest first.
    pub fn warnings(self, record: &Record) -> Vec<Warning> {
        let mut all = Vec::new();
        all.extend(self.interrupted(record));
        all.extend(self.control(record));
        all.extend(self.rounds());
        for (workload, lanes) in &self.generator {
            all.push(Warning {
                kind: WarningKind::GeneratorBound,
                workloads: vec![workload.clone()],
                lanes: lanes.clone(),
                message: format!(
                    "the load generator was the limit for {} in {workload}, so operations per second say little about them",
                    words::list(lanes)
                ),
                remedy: "go by CPU time per operation, or give the generator more CPUs and the lanes fewer"
                    .to_owned(),
            });
        }
        for (lane, (workloads, share)) in self.idle {
            all.push(Warning {
                kind: WarningKind::IdleBurn,
                message: format!(
                    "{lane} kept up to {} of a CPU busy while other lanes worked, which slows them ({})",
                    words::percent(share),
                    some(&workloads)
                ),
                remedy: format!("measure the others again without {lane}"),
                workloads,
                lanes: vec![lane],
            });
        }
        if !self.steal.0.is_empty() {
            all.push(Warning {
                kind: WarningKind::Steal,
                message: format!(
                    "the hypervisor gave up to {} of the CPU time to other machines ({}); the intervals are wider for it",
                    words::percent(self.steal.1),
                    some(&self.steal.0)
                ),
                remedy: "measure at a quieter hour or on a machine of your own".to_owned(),
                workloads: self.steal.0,
                lanes: Vec::new(),
            });
        }
        if !self.pressure.0.is_empty() {
            all.push(Warning {
                kind: WarningKind::Busy,
                message: format!(
                    "something waited for a CPU for {} of the time ({}), so other programs were running here; \
                     ratios may be far from the truth",
                    words::percent(self.pressure.1),
                    some(&self.pressure.0)
                ),
                remedy: "end them, and measure again".to_owned(),
                workloads: self.pressure.0,
                lanes: Vec::new(),
            });
        }
        for (reason, (workloads, lanes)) in self.counts {
            all.push(Warning {
                kind: WarningKind::CountsMissing,
                message: format!(
                    "system calls and context switches of {} were not counted ({})",
                    words::list(&lanes),
                    some(&workloads)
                ),
                // The harness words its reasons together with the remedy.
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
            Some(Ended::Complete) => "the record lacks blocks although the run was completed",
            Some(Ended::Interrupted) => "the run was interrupted",
            None => "the run was killed, or is still going on",
        };
        let blocks = if self.blocks < self.planned {
            format!(": {} of {} planned blocks are there", self.blocks, self.planned)
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
                    "two processes of {reference} differ from each other in {} ({}) in {workload}, so no verdict on it is given",
                    match metric {
                        Metric::OpsPerS => "operations per second",
                        _ => "CPU time per operation",
                    },
                    words::interval(by)
                ),
                remedy: "look for what treats them differently (CPUs, memory, other programs), then measure again"
                    .to_owned(),
            })
            .collect();
        if !self.no_control.is_empty() {
            all.push(Warning {
                kind: WarningKind::NoControl,
                workloads: self.no_control.clone(),
                lanes: Vec::new(),
                message: format!(
                    "without a control lane the noise is unknown, so no verdicts are given ({})",
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
        // One lane and its control in two metrics: the least that can be compared.
        let least = rounds_needed(2 * Metric::TIMED.len(), ALPHA);
        Some(Warning {
            kind: WarningKind::TooFewRounds,
            message: format!(
                "{} cannot decide so many comparisons, whatever the figures ({})",
                words::counted(fewest, "round"),
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

fn some(workloads: &[String]) -> String {
    match workloads.len() {
        n if n > NAMED => format!("{} and {} more", workloads[..NAMED].join(", "), n - NAMED),
        _ => workloads.join(", "),
    }
}
