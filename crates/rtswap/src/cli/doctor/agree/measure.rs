//! Measures a plan: repetitions with fresh processes, all clients in random order, each on all lanes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_pcg::Pcg64;
use rtswap_harness::backend::{ProcessBackend, target};
use rtswap_harness::counters::CpuClock;
use rtswap_harness::lane::LaneError;
use rtswap_harness::machine;
use rtswap_harness::record::{Environment, Slice, WorkloadPlan};
use rtswap_harness::schedule::Backend as _;
use rtswap_lane::Pace;
use rtswap_load::{Config, Generator, LoadError, Waiting};
use rtswap_service::Services;
use rtswap_workload::{Answer, Rate};

use super::clients::{Client, Foreign, Installed, ProcessError, Task};
use super::plan::{BLOCKS, CAPACITY_PASSES, Plan, WARM_UP, Workload};
use super::record::{Failure, Figures, Load, Measurement, Record, SCHEMA, WorkloadRecord};
use crate::cli::progress::Progress;
use crate::cli::{Exit, measure as job};

/// How many slices in a row may be voided before the block goes on without that lane.
const VOIDED_MOST: u32 = 2;
/// After the last client, so that all lanes have the trickle again when slices begin.
const SETTLE: Duration = Duration::from_millis(50);

/// A run under way.
pub struct Measure<'a> {
    plan: &'a Plan,
    installed: &'a Installed,
    backend: ProcessBackend,
    spinning: Generator,
    sleeping: Generator,
    cancel: Arc<AtomicBool>,
    rng: Pcg64,
    progress: Progress,
    /// Turns that have begun, and all turns.
    turns: (u32, u32),
    record: Record,
    /// The lanes that have no further figures, by workload.
    lost: BTreeSet<(usize, usize)>,
}

/// Why one measurement has no figures.
enum Lost {
    /// The user has interrupted the run.
    Cancelled,
    /// The lane failed.
    Lane(String),
    /// The client failed, or found something wrong.
    Client(String),
}

impl From<LaneError> for Lost {
    fn from(error: LaneError) -> Self {
        match error {
            LaneError::Cancelled => Self::Cancelled,
            LaneError::Failure(_, reason) => Self::Lane(reason),
        }
    }
}

/// One turn of a client over all lanes.
#[derive(Clone, Copy)]
struct Turn {
    client: Client,
    load: Load,
}

impl<'a> Measure<'a> {
    /// Starts the generators.
    pub fn new(plan: &'a Plan, installed: &'a Installed, cancel: Arc<AtomicBool>) -> Result<Self> {
        let generator = |waiting| {
            let mut config = Config::new(plan.load_cpus.clone());
            (config.cancel, config.waiting) = (Arc::clone(&cancel), waiting);
            Generator::new(config).context("cannot start the load generator")
        };
        let (mut lanes, server, load) =
            (plan.lanes.clone(), plan.server_cpus.clone(), plan.load_cpus.clone());
        for lane in &mut lanes {
            // No other client takes a list.
            lane.launch.one_address = true;
        }
        let backend =
            ProcessBackend::new(lanes, server, load, Services::default(), Arc::clone(&cancel))
                .context("cannot start the load generator")?;
        let turns: usize =
            plan.workloads.iter().map(|it| 1 + installed.turns(it.family).len()).sum();
        Ok(Self {
            plan,
            installed,
            backend,
            spinning: generator(Waiting::Spin)?,
            sleeping: generator(Waiting::Sleep)?,
            rng: Pcg64::seed_from_u64(plan.seed),
            progress: Progress::new(plan.expected(installed)),
            turns: (0, turns as u32 * plan.repetitions),
            cancel,
            record: record(plan, installed),
            lost: BTreeSet::new(),
        })
    }

    /// Where it is measured.
    pub fn environment(&self) -> &Environment {
        &self.record.environment
    }

    /// Measures everything.
    ///
    /// # Errors
    /// If the user interrupts the run, or the reference has failed.
    pub fn run(mut self) -> Result<Record> {
        for repetition in 0..self.plan.repetitions {
            for workload in 0..self.plan.workloads.len() {
                let done = self.repetition(repetition, workload);
                self.backend.stop(None);
                if done.is_err() {
                    self.progress.finish();
                    return Err(Exit::Interrupted(String::new()).into());
                }
            }
        }
        self.progress.finish();
        Ok(self.record)
    }

    fn repetition(&mut self, repetition: u32, number: usize) -> Result<(), Lost> {
        let plan = self.plan;
        let workload = &plan.workloads[number];
        self.announce(repetition, workload, "start");
        let mut lanes = self.live(number);
        lanes.shuffle(&mut self.rng);
        let started = self.backend.start(&workload.paced, &lanes, &mut self.rng);
        for (lane, started) in lanes.into_iter().zip(started) {
            if let Err(error) = started {
                self.lose(repetition, number, lane, "", error.into())?;
            }
        }
        if self.record.workloads[number].rate_per_s.is_none() {
            self.find_rate(repetition, number)?;
        }
        let mut turns: Vec<_> = (self.installed.turns(workload.family).into_iter())
            .map(|(client, load)| Turn { client, load })
            .collect();
        // One turn stands for the slices of both loads, which alternate.
        turns.push(Turn { client: Client::Slices, load: Load::Saturation });
        turns.shuffle(&mut self.rng);
        for turn in turns {
            self.announce(repetition, workload, turn.client.name());
            self.turns.0 += 1;
            if turn.client == Client::Slices {
                self.slices(repetition, number)?;
            } else {
                self.long(repetition, number, turn)?;
            }
        }
        Ok(())
    }

    /// Shows progress. Never while something is measured.
    fn announce(&mut self, repetition: u32, workload: &Workload, what: &str) {
        let (begun, all) = self.turns;
        let text = format!("repetition {}, {}, {what}", repetition + 1, workload.family.name());
        self.progress.step(f64::from(begun) / f64::from(all.max(1)), &text);
    }

    /// The lanes of a workload that have not lost it.
    fn live(&self, number: usize) -> Vec<usize> {
        let mut lanes = self.plan.lanes_of(&self.plan.workloads[number]);
        lanes.retain(|&lane| !self.lost.contains(&(number, lane)));
        lanes
    }

    /// The lanes in an order drawn afresh.
    fn drawn(&mut self, number: usize) -> Vec<usize> {
        let mut lanes = self.live(number);
        lanes.shuffle(&mut self.rng);
        lanes
    }

    /// The rate of all lanes and clients: a share of the slowest lane's capacity.
    fn find_rate(&mut self, repetition: u32, number: usize) -> Result<(), Lost> {
        let workload = &self.plan.workloads[number];
        let mut figures: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for _ in 0..CAPACITY_PASSES {
            for lane in self.drawn(number) {
                match self.backend.capacity(&workload.saturation, lane) {
                    Ok(per_s) => figures.entry(lane).or_default().push(per_s),
                    Err(error) => self.lose(repetition, number, lane, "slices", error.into())?,
                }
            }
        }
        let live = self.live(number);
        figures.retain(|lane, _| live.contains(lane));
        let capacity = figures.into_iter().filter_map(|(lane, all)| {
            Some((self.plan.lanes[lane].plan.name.clone(), rtswap_stats::median(all)?))
        });
        let capacity: BTreeMap<_, _> = capacity.collect();
        let slowest = capacity.values().copied().fold(f64::INFINITY, f64::min);
        let rate = match self.plan.rate {
            Rate::PerSecond(per_s) => f64::from(per_s),
            // A whole number, because clients accept nothing else.
            Rate::Share(percent) => (slowest * f64::from(percent) / 100.0).round().max(1.0),
        };
        let of_workload = &mut self.record.workloads[number];
        of_workload.rate_per_s = rate.is_finite().then_some(rate);
        of_workload.capacity_per_s = capacity;
        Ok(())
    }

    fn rate_per_s(&self, number: usize) -> f64 {
        self.record.workloads[number].rate_per_s.unwrap_or(1.0)
    }

    /// The slices of all lanes, as `rtswap run` measures them.
    fn slices(&mut self, repetition: u32, number: usize) -> Result<(), Lost> {
        thread::sleep(SETTLE);
        let workload = &self.plan.workloads[number];
        for block in 0..BLOCKS {
            for load in [Load::Saturation, Load::Rate] {
                let (plan, pace) = match load {
                    Load::Saturation => (&workload.saturation, None),
                    Load::Rate => (&workload.paced, Some(self.pace(number))),
                };
                for lane in self.drawn(number) {
                    match self.slice(plan, lane, pace.as_ref()) {
                        Ok(Some(slice)) => {
                            let figures = of_slice(&slice);
                            let at = (repetition, Client::Slices, load, Some(block));
                            self.keep(number, lane, at, figures);
                        }
                        Ok(None) => {}
                        Err(error) => self.lose(repetition, number, lane, "slices", error)?,
                    }
                }
            }
        }
        Ok(())
    }

    /// A slice, or another in place of one that the harness has spoilt.
    fn slice(
        &mut self,
        workload: &WorkloadPlan,
        lane: usize,
        pace: Option<&Pace>,
    ) -> Result<Option<Slice>, Lost> {
        for _ in 0..=VOIDED_MOST {
            let slice = self.backend.slice(workload, lane, pace)?;
            if slice.voided.is_none() && slice.ops > 0 {
                return Ok(Some(slice));
            }
        }
        Ok(None)
    }

    fn pace(&mut self, number: usize) -> Pace {
        let arrivals = self.plan.workloads[number].paced.arrivals();
        Pace { rate_per_s: self.rate_per_s(number), arrivals, seed: self.rng.next_u64() }
    }

    /// A client that loads each lane for seconds.
    fn long(&mut self, repetition: u32, number: usize, turn: Turn) -> Result<(), Lost> {
        let Turn { client, load } = turn;
        for lane in self.drawn(number) {
            let done = match client {
                Client::Foreign(foreign) => self.foreign(number, lane, foreign, load),
                _ => self.sustained(number, lane, turn),
            };
            match done {
                Ok(figures) => self.keep(number, lane, (repetition, client, load, None), figures),
                Err(error) => self.lose(repetition, number, lane, client.name(), error)?,
            }
        }
        Ok(())
    }

    /// The generator of `rtswap run`, for seconds.
    fn sustained(&mut self, number: usize, lane: usize, turn: Turn) -> Result<Figures, Lost> {
        let pace = (turn.load == Load::Rate).then(|| self.pace(number));
        let workload = &self.plan.workloads[number].saturation;
        let generator = match turn.client {
            Client::SustainedSleeping => &self.sleeping,
            _ => &self.spinning,
        };
        let window = Duration::from_secs(self.plan.seconds.into());
        let load = |addr: SocketAddr, clock: CpuClock| {
            let mut session = generator.connect(target(workload, [addr]))?;
            let probe = move || clock.now();
            match &pace {
                None => generator.slice(&mut session, WARM_UP, window, probe),
                Some(pace) => generator.paced_slice(&mut session, pace, WARM_UP, window, probe),
            }
        };
        let slice = self.backend.load_from_outside(lane, load)?;
        let percentile = |q| Some(slice.latency.value_at_quantile(q) as f64);
        let figures = Figures {
            ops: slice.ops,
            ops_per_s: slice.ops_per_s(),
            cpu_ns: used(slice.probes)?,
            p50_ns: percentile(0.50),
            p90_ns: percentile(0.90),
            p99_ns: percentile(0.99),
            p999_ns: percentile(0.999),
            late_p99_ns: slice.offered.and_then(|offered| offered.late_p99_ns),
        };
        if figures.ops == 0 { Err(Lost::Lane("no operation".to_owned())) } else { Ok(figures) }
    }

    /// Another client.
    fn foreign(
        &mut self,
        number: usize,
        lane: usize,
        client: Foreign,
        load: Load,
    ) -> Result<Figures, Lost> {
        let plan = self.plan;
        let workload = &plan.workloads[number];
        let body = workload.saturation.params.get("body").map(ToString::to_string);
        let conns = workload.number("conns");
        let rate_per_s = (load == Load::Rate).then(|| self.rate_per_s(number));
        let (installed, cancel) = (self.installed, &self.cancel);
        let run = |addr: SocketAddr, clock: CpuClock| {
            let task = Task {
                addr,
                path: body.as_deref().map_or("/", |body| Answer::named(body).path),
                size: workload.number("size"),
                conns,
                threads: plan.load_cpus.len().min(conns as usize),
                seconds: plan.seconds,
                rate_per_s,
                folder: installed.folder(),
            };
            let before = clock.now();
            let count = installed.run(client, &task, &plan.load_cpus, cancel);
            Ok::<_, LoadError>((count, (before, clock.now())))
        };
        let (count, clocks) = self.backend.load_from_outside(lane, run)?;
        let count = count.map_err(|error| match error {
            ProcessError::Cancelled => Lost::Cancelled,
            ProcessError::Failed(reason) => Lost::Client(reason),
        })?;
        Ok(Figures {
            ops: count.ops,
            ops_per_s: count.ops_per_s,
            // A client that claims operations and has made no load.
            cpu_ns: used(clocks).map_err(|lost| match lost {
                Lost::Lane(reason) => Lost::Client(format!("{reason}; it reports {}", count.ops)),
                other => other,
            })?,
            p50_ns: count.p50_ns,
            p90_ns: count.p90_ns,
            p99_ns: count.p99_ns,
            p999_ns: count.p999_ns,
            late_p99_ns: None,
        })
    }

    fn keep(
        &mut self,
        number: usize,
        lane: usize,
        (repetition, client, load, block): (u32, Client, Load, Option<u32>),
        figures: Figures,
    ) {
        self.record.workloads[number].measurements.push(Measurement {
            repetition,
            client: client.name().to_owned(),
            load,
            block,
            lane: self.plan.lanes[lane].plan.name.clone(),
            figures,
        });
    }

    /// Notes a failure. A lane that failed has no further figures of the workload; a client that failed
    /// tries the next lane.
    fn lose(
        &mut self,
        repetition: u32,
        number: usize,
        lane: usize,
        client: &str,
        lost: Lost,
    ) -> Result<(), Lost> {
        let (of_client, reason) = match lost {
            Lost::Cancelled => return Err(lost),
            Lost::Lane(reason) => {
                self.lost.insert((number, lane));
                self.backend.stop(Some(lane));
                (None, reason)
            }
            Lost::Client(reason) => (Some(client.to_owned()), reason),
        };
        let failure = Failure {
            workload: self.plan.workloads[number].name.clone(),
            lane: self.plan.lanes[lane].plan.name.clone(),
            client: of_client,
            repetition,
            reason,
        };
        self.progress.warn(&failure.to_string());
        self.record.failures.push(failure);
        Ok(())
    }
}

/// CPU time between two readings of a lane's clock.
fn used((before, after): (Option<Duration>, Option<Duration>)) -> Result<u64, Lost> {
    let (Some(before), Some(after)) = (before, after) else {
        return Err(Lost::Lane("cannot read its CPU clock: the process has ended".to_owned()));
    };
    match after.saturating_sub(before).as_nanos() as u64 {
        0 => {
            Err(Lost::Lane("the lane's own process used no CPU time for its operations".to_owned()))
        }
        ns => Ok(ns),
    }
}

fn of_slice(slice: &Slice) -> Figures {
    Figures {
        ops: slice.ops,
        ops_per_s: slice.ops as f64 * 1e9 / slice.elapsed_ns.max(1) as f64,
        cpu_ns: slice.cpu_ns,
        p50_ns: slice.p50_ns.map(|ns| ns as f64),
        p90_ns: None,
        p99_ns: slice.p99_ns.map(|ns| ns as f64),
        p999_ns: None,
        late_p99_ns: slice.offered.as_ref().and_then(|offered| offered.late_p99_ns),
    }
}

/// A record without figures.
fn record(plan: &Plan, installed: &Installed) -> Record {
    let workload = |workload: &Workload| WorkloadRecord {
        name: workload.name.clone(),
        unit: workload.unit.clone(),
        rate_per_s: None,
        capacity_per_s: BTreeMap::new(),
        measurements: Vec::new(),
    };
    Record {
        agree_schema: SCHEMA,
        environment: machine::environment(job::command_line()),
        seed: plan.seed,
        reference: plan.lanes[0].plan.name.clone(),
        lanes: plan.lanes.iter().map(|lane| lane.plan.name.clone()).collect(),
        repetitions: plan.repetitions,
        seconds: plan.seconds,
        rate: plan.rate.to_string(),
        server_cpus: plan.server_cpus.clone(),
        load_cpus: plan.load_cpus.clone(),
        clients: installed.infos.clone(),
        workloads: plan.workloads.iter().map(workload).collect(),
        failures: Vec::new(),
    }
}
