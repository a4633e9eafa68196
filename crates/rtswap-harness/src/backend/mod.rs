//! The backend with real processes: lanes, the load generator, services and the kernel's counters.

mod latency;
mod own;
mod running;
mod target;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::RngExt as _;
use rand_pcg::Pcg64;
use rtswap_lane::{Pace, Ready};
use rtswap_load::{Config, Generator, LoadError, Target, Traffic, Trickle};
use rtswap_service::Services;

use crate::counters::{
    CounterError, CpuClock, KernelWork, SyscallCounter, busiest_on, own_threads, run_delay,
    run_delay_of,
};
use crate::descendants::{self, Tag};
use crate::lane::{Lane, LaneError, PlannedLane};
use crate::machine::quota::ControlGroups;
use crate::machine::{SystemLoad, UnusedTime, time_wait};
use crate::plan::{capacity_timing, count_ms};
use crate::record::{Counts, CpuSource, LaneRound, Slice, WorkloadPlan};
use crate::schedule::{Backend, Conditions, RoundResult};
use latency::Latency;
use own::Pins;
use running::{Measured, RunningLane, Timing, lane_error, nanos};
pub use target::target;

/// The most bytes of padding in a lane's environment: more than a page, so that stacks begin at any offset
/// of a page.
const PAD_MOST: usize = 6000;
/// The longest warm-up that a lane may ask for.
const WARM_UP_MOST: Duration = Duration::from_secs(2);
/// A lane fails after this many slices in a row with operations and without CPU time. One such slice may
/// be chance: the kernel updates a clock when its thread leaves the CPU or at a tick, and on a busy machine
/// both may come late.
const ZERO_CPU_SLICES_MOST: u32 = 3;

/// The share of a slice for which the threads of the generator may wait for their CPUs.
const LOAD_DELAY_MOST: f64 = 0.25;
/// How many slices in a row are voided for that. On a machine that stays busy the next one counts, with its delay in
/// the record: figures with a warning are more useful than none.
const STARVED_IN_A_ROW_MOST: u32 = 2;
/// The share of the lanes' CPUs used by others above which the program is looked for, which takes 30 ms. On a quiet
/// machine, where the harness itself is one of the others, a round has 0 to 10 %.
const OTHERS_NAMED: f64 = 0.1;
/// CPU time of the kernel's threads during a slice above which the next lane waits until they are quiet.
const KERNEL_WORK: Duration = Duration::from_micros(300);

/// Lane processes, measured on real clocks.
#[derive(Debug)]
pub struct ProcessBackend {
    lanes: Vec<PlannedLane>,
    server_cpus: Vec<usize>,
    generator: Generator,
    /// The threads of the generator, each with its CPU.
    load_threads: BTreeMap<i32, usize>,
    /// The kernel's threads, listed at the start of the round.
    kernel_work: KernelWork,
    trickle: Trickle,
    services: Services,
    /// Whether a service has ended since the round began.
    service_ended: bool,
    cancel: Arc<AtomicBool>,
    begin: Instant,
    /// At the start of the round.
    load_before: Option<SystemLoad>,
    control_groups: ControlGroups,
    /// At the start of the round.
    throttled_before: Option<Duration>,
    /// At the start of the round.
    unused_before: Option<UnusedTime>,
    /// CPU time of lanes that ended before the end of the round.
    ended_cpu: Duration,
    /// The tags of the processes that were started, and what those that ended have left behind.
    tags: BTreeMap<usize, Tag>,
    left_behind: BTreeMap<String, Vec<String>>,
    /// The processes of the round, by lane.
    running: BTreeMap<usize, RunningLane>,
    /// The last pace of each workload: system calls are counted at it.
    paces: BTreeMap<String, Pace>,
    /// What answers to requests of the user's own must be.
    pins: Pins,
    /// Slices in a row that were voided because the generator waited for its CPUs.
    starved_in_a_row: u32,
    /// Slices in a row with operations and without CPU time, by lane.
    zero_cpu_slices: BTreeMap<usize, u32>,
}

/// A slice that was checked.
struct Measurement {
    slice: Slice,
    latency: Latency,
    /// If counters were open.
    counts: Option<Result<Counts, CounterError>>,
}

impl ProcessBackend {
    /// Starts the generator's threads. Lanes are started by round. `cancel` ends any operation under way.
    ///
    /// # Errors
    /// If a generator thread cannot be started or pinned, or if the kernel refuses to make this process the parent
    /// of what lanes leave behind.
    pub fn new(
        lanes: Vec<PlannedLane>,
        server_cpus: Vec<usize>,
        load_cpus: Vec<usize>,
        services: Services,
        cancel: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        descendants::adopt()?;
        // The last one, because the first leads the slices.
        let trickle_cpu = load_cpus.last().copied().unwrap_or_default();
        let mut config = Config::new(load_cpus);
        config.cancel = Arc::clone(&cancel);
        let generator = Generator::new(config)?;
        Ok(Self {
            lanes,
            server_cpus,
            generator,
            load_threads: own_threads("load-"),
            kernel_work: KernelWork::list(),
            trickle: Trickle::start(trickle_cpu, Arc::clone(&cancel))?,
            services,
            service_ended: false,
            cancel,
            begin: Instant::now(),
            load_before: None,
            control_groups: ControlGroups::of_self(),
            throttled_before: None,
            unused_before: None,
            ended_cpu: Duration::ZERO,
            tags: BTreeMap::new(),
            left_behind: BTreeMap::new(),
            running: BTreeMap::new(),
            paces: BTreeMap::new(),
            pins: Pins::default(),
            starved_in_a_row: 0,
            zero_cpu_slices: BTreeMap::new(),
        })
    }

    /// Exchanges and checks a fixed amount of work with a lane that was started, without timing it.
    /// Returns the number of operations and the lane's response to the order to prepare.
    ///
    /// # Errors
    /// [`LaneError`] if the lane fails.
    pub fn verify(&mut self, on: &WorkloadPlan, lane: usize) -> Result<(u64, Ready), LaneError> {
        /// Messages on each connection.
        const MESSAGES: u64 = 50;
        let name = &self.lanes[lane].plan.name;
        let running = self.running.get_mut(&lane).expect("the lane was started");
        let ops = if let Some(session) = &mut running.session {
            let Target { conns, traffic, .. } = session.target();
            let conns = match traffic {
                Traffic::Kept { active } => *active as u64,
                Traffic::Churn | Traffic::Http(_) | Traffic::Own { .. } => *conns as u64,
            };
            let verified = self.generator.verify(session, MESSAGES);
            verified.map_err(|error| lane_error(&mut running.lane, &error))?;
            conns * MESSAGES
        } else {
            let ops = running.lane.slice(Duration::from_millis(1), None, &self.cancel)?.ops;
            let checked = self.services.check(&on.uses, name, &on.params, ops);
            checked.map_err(|error| LaneError::invalid(error.with_causes()))?;
            ops
        };
        Ok((ops, running.ready.clone()))
    }

    /// Lets a load other than the generator of this backend work on a lane that was started. `load` gets the
    /// address of the lane and its CPU clock. No lane gets messages of the trickle meanwhile.
    ///
    /// # Errors
    /// [`LaneError`] if the lane has no address, or for an error of `load`, with the lane's own reason if it
    /// gave one.
    pub fn load_from_outside<T>(
        &mut self,
        lane: usize,
        load: impl FnOnce(SocketAddr, CpuClock) -> Result<T, LoadError>,
    ) -> Result<T, LaneError> {
        for running in self.running.values() {
            running.pause_trickle();
        }
        let running = self.running.get_mut(&lane).expect("the lane was started");
        let loaded = running.load_from_outside(load);
        for running in self.running.values() {
            running.resume_trickle();
        }
        loaded
    }

    /// Restarts a service that has ended, and puts that into the lane's reason.
    fn with_service_end(&mut self, workload: &WorkloadPlan, error: LaneError) -> LaneError {
        let LaneError::Failure(status, reason) = error else { return error };
        match self.services.revive(&workload.uses) {
            Ok(()) => LaneError::Failure(status, reason),
            Err(end) => {
                self.service_ended = true;
                LaneError::Failure(status, format!("{}; {reason}", end.with_causes()))
            }
        }
    }

    /// Lets a lane work for the time that it asked for, without counting.
    fn warm_up_as_asked(&mut self, workload: &WorkloadPlan, lane: usize) -> Result<(), LaneError> {
        let running = self.running.get(&lane).expect("the lane is ready");
        match Duration::from_millis(running.ready.warm_up_ms).min(WARM_UP_MOST) {
            Duration::ZERO => Ok(()),
            window => {
                let timing = Timing { warmup: Duration::ZERO, window };
                self.measure(workload, lane, timing, None, None).map(drop)
            }
        }
    }

    /// A slice, with counts if `counter` is given.
    fn measure(
        &mut self,
        workload: &WorkloadPlan,
        lane: usize,
        timing: Timing,
        pace: Option<&Pace>,
        counter: Option<SyscallCounter>,
    ) -> Result<Measurement, LaneError> {
        let name = self.lanes[lane].plan.name.clone();
        let leaves_work = !workload.by_generator || workload.reconnects;
        let kernel_before = leaves_work.then(|| self.kernel_work.cpu_time());
        let pid = self.running[&lane].lane.pid();
        let delays = |backend: &Self| {
            let load = run_delay_of(backend.load_threads.keys().copied());
            (run_delay(pid), load.filter(|_| workload.by_generator))
        };
        let (begin_at, delays_before) = (Instant::now(), delays(self));
        let running = self.running.get_mut(&lane).expect("the lane was started");
        let measured =
            running.measure(workload, timing, pace, counter, &self.generator, &self.cancel);
        let (took, delays_after) = (begin_at.elapsed(), delays(self));
        if kernel_before
            .is_some_and(|before| self.kernel_work.cpu_time().saturating_sub(before) > KERNEL_WORK)
        {
            KernelWork::wait_until_quiet();
        }
        let Measured { mut slice, latency, begin, end } = match measured {
            Ok(measured) => measured,
            Err(error) => return Err(self.with_service_end(workload, error)),
        };
        let checked = self.services.check(&workload.uses, &name, &workload.params, slice.ops);
        checked.map_err(|error| LaneError::invalid(error.with_causes()))?;
        slice.lane = name;
        let (Some(before), Some(after)) = (begin.cpu, end.cpu) else {
            let running = self.running.get_mut(&lane).expect("the lane was started");
            return Err(LaneError::failed(running.lane.explain("cannot read its CPU clock")));
        };
        let waited = |before: Option<Duration>, after: Option<Duration>| {
            before.zip(after).map(|(before, after)| after.saturating_sub(before))
        };
        slice.run_delay_ns = waited(delays_before.0, delays_after.0).map(nanos);
        let load_delay = waited(delays_before.1, delays_after.1);
        slice.load_run_delay_ns = load_delay.map(nanos);
        if slice.voided.is_none() {
            slice.voided = load_delay.and_then(|delay| self.starved(delay, took));
            self.starved_in_a_row = slice.voided.as_ref().map_or(0, |_| self.starved_in_a_row + 1);
        }
        slice.cpu_ns = nanos(after.saturating_sub(before));
        self.check_cpu_time(lane, &slice)?;
        if let Some(latency) = &latency {
            slice.p50_ns = Some(latency.value_at_quantile(0.50));
            slice.p99_ns = Some(latency.value_at_quantile(0.99));
            slice.max_ns = Some(latency.max());
        }
        let counts = begin.counts.zip(end.counts).map(|(begin, end)| {
            let (begin, end) = (begin?, end?);
            Ok(Counts {
                ops: slice.ops,
                syscalls: end.syscalls - begin.syscalls,
                ctx_switches: end.ctx_switches - begin.ctx_switches,
                waits: end.waits.zip(begin.waits).map(|(end, begin)| end - begin),
            })
        });
        Ok(Measurement { slice, latency, counts })
    }

    /// Why a slice does not count during which the generator waited for its CPUs.
    fn starved(&self, delay: Duration, took: Duration) -> Option<String> {
        let share = delay.as_secs_f64() / (took.as_secs_f64() * self.load_threads.len() as f64);
        if share < LOAD_DELAY_MOST || self.starved_in_a_row >= STARVED_IN_A_ROW_MOST {
            return None;
        }
        let mut cpus: Vec<_> = self.load_threads.values().copied().collect();
        cpus.sort_unstable();
        let by = self.other_on(&cpus).map(|it| format!(" used by {it}")).unwrap_or_default();
        let cpus: Vec<_> = cpus.iter().map(ToString::to_string).collect();
        Some(format!(
            "the load generator waited {:.0} % of the time for its CPU {}{by}",
            share * 100.0,
            cpus.join(",")
        ))
    }

    /// [`rtswap_schema::record::Round::others_cpu`]. All lanes of the round are still running or have ended.
    fn used_by_others(&self) -> Option<f64> {
        let cpu_times: Option<Duration> = self.running.values().map(RunningLane::cpu_time).sum();
        let now = UnusedTime::of(&self.server_cpus)?;
        now.used_by_others_since(self.unused_before.as_ref()?, self.ended_cpu + cpu_times?)
    }

    /// The program other than a lane that uses most of the time of `cpus` now.
    fn other_on(&self, cpus: &[usize]) -> Option<String> {
        let lanes = self.running.values().map(|running| running.lane.pid()).collect();
        let (name, pid) = busiest_on(cpus, &lanes)?;
        Some(format!("{name} (process {pid})"))
    }

    /// Fails a lane whose work is done by another process.
    fn check_cpu_time(&mut self, lane: usize, slice: &Slice) -> Result<(), LaneError> {
        let in_a_row = self.zero_cpu_slices.entry(lane).or_default();
        *in_a_row = if slice.ops > 0 && slice.cpu_ns == 0 { *in_a_row + 1 } else { 0 };
        if *in_a_row < ZERO_CPU_SLICES_MOST {
            return Ok(());
        }
        Err(LaneError::failed(match self.running[&lane].cpu_source() {
            CpuSource::TaskClock => {
                "neither the lane nor a process that it started used CPU time for its operations: another \
                 process does the work"
            }
            _ => {
                "the lane's own process used no CPU time for its operations: if a child does the work, start \
                 the lane with exec and not in a pipe"
            }
        }))
    }

    /// The figures of the round, with the counts of a slice of their own.
    fn finish_lane(
        &mut self,
        workload: &WorkloadPlan,
        lane: usize,
        round: LaneRound,
    ) -> RoundResult {
        let missing = |error: CounterError| LaneRound {
            counts_missing: Some(error.to_string()),
            ..round.clone()
        };
        // The lane's connections are gone with the service, but its slices are complete.
        if self.service_ended {
            return Ok(missing(CounterError::ServiceEnded));
        }
        let counter = match SyscallCounter::open(self.running[&lane].lane.pid()) {
            Ok(counter) => counter,
            Err(error) => return Ok(missing(error)),
        };
        let window = Duration::from_millis(count_ms(workload));
        let timing = Timing { warmup: window / 4, window };
        let pace = self.paces.get(&workload.name).copied();
        let measured = self.measure(workload, lane, timing, pace.as_ref(), Some(counter))?;
        match measured.counts.expect("a counter was given") {
            Ok(counts) => Ok(LaneRound { counts: Some(counts), ..round }),
            Err(error) => Ok(missing(error)),
        }
    }
}

impl Backend for ProcessBackend {
    fn start(
        &mut self,
        workload: &WorkloadPlan,
        lanes: &[usize],
        rng: &mut Pcg64,
    ) -> Vec<Result<(), LaneError>> {
        self.load_before = SystemLoad::now();
        self.throttled_before = self.control_groups.throttled();
        self.unused_before = UnusedTime::of(&self.server_cpus);
        self.ended_cpu = Duration::ZERO;
        self.tags = lanes.iter().map(|&lane| (lane, Tag::new())).collect();
        self.kernel_work = KernelWork::list();
        // A service that has ended between two rounds fails no lane.
        let _ = self.services.revive(&workload.uses);
        self.service_ended = false;
        // All are started before the first is waited for.
        let started: Vec<_> = lanes
            .iter()
            .map(|&lane| {
                let pad = rng.random_range(0..PAD_MOST);
                let PlannedLane { plan, launch } = &self.lanes[lane];
                own::check_lane(workload, plan)?;
                let resources = self.services.resources(&workload.uses, &plan.name);
                let resources =
                    resources.map_err(|error| LaneError::failed(error.with_causes()))?;
                let name = workload.closed_loop();
                Lane::start(launch, &self.tags[&lane], &name, resources, &self.server_cpus, pad)
            })
            .collect();
        let ready: Vec<_> = lanes
            .iter()
            .zip(started)
            .map(|(&lane, started)| {
                let running = started.and_then(|started| {
                    RunningLane::connect(
                        started,
                        &self.lanes[lane].plan.name,
                        workload,
                        &mut self.pins,
                        &self.generator,
                        &self.trickle,
                        &self.cancel,
                    )
                });
                let running = running.map_err(|error| self.with_service_end(workload, error))?;
                self.running.insert(lane, running);
                Ok(())
            })
            .collect();
        // After all are ready, so that no start disturbs a warm-up.
        let warm = |(&lane, ready): (&usize, Result<(), LaneError>)| {
            ready.and_then(|()| self.warm_up_as_asked(workload, lane)).inspect_err(|_| {
                self.running.remove(&lane);
            })
        };
        lanes.iter().zip(ready).map(warm).collect()
    }

    fn warm_up(
        &mut self,
        workload: &WorkloadPlan,
        lane: usize,
        pace: Option<&Pace>,
    ) -> Result<(), LaneError> {
        self.measure(workload, lane, Timing::of(workload), pace, None).map(drop)
    }

    fn slice(
        &mut self,
        workload: &WorkloadPlan,
        lane: usize,
        pace: Option<&Pace>,
    ) -> Result<Slice, LaneError> {
        let Measurement { slice, latency, .. } =
            self.measure(workload, lane, Timing::of(workload), pace, None)?;
        if slice.voided.is_none() {
            self.running.get_mut(&lane).expect("it was just measured").add_latency(latency);
        }
        if let Some(pace) = pace {
            self.paces.insert(workload.name.clone(), *pace);
        }
        Ok(slice)
    }

    fn capacity(&mut self, workload: &WorkloadPlan, lane: usize) -> Result<f64, LaneError> {
        let (warmup, window) = capacity_timing(workload);
        let (warmup, window) = (Duration::from_millis(warmup), Duration::from_millis(window));
        let timing = Timing { warmup, window };
        let Measurement { slice, .. } = self.measure(workload, lane, timing, None, None)?;
        Ok(slice.ops as f64 * 1e9 / slice.elapsed_ns.max(1) as f64)
    }

    fn finish(
        &mut self,
        workload: &WorkloadPlan,
        lanes: &[usize],
        counts: bool,
    ) -> BTreeMap<usize, RoundResult> {
        // Before the first count, as all lanes are in the same state then.
        let rounds: Vec<_> = lanes.iter().map(|lane| self.running[lane].round()).collect();
        if !counts {
            return lanes.iter().copied().zip(rounds.into_iter().map(Ok)).collect();
        }
        // Opened before the first count and closed after the last: each opening and closing of the
        // tracepoint makes the kernel patch itself and wait.
        let keep_open =
            lanes.first().map(|lane| SyscallCounter::open(self.running[lane].lane.pid()));
        let results = lanes
            .iter()
            .zip(rounds)
            .map(|(&lane, round)| (lane, self.finish_lane(workload, lane, round)))
            .collect();
        drop(keep_open);
        results
    }

    fn stop(&mut self, lane: Option<usize>) {
        let tags: BTreeMap<_, _> = if let Some(lane) = lane {
            let running = self.running.remove(&lane);
            self.ended_cpu += running.and_then(|it| it.cpu_time()).unwrap_or_default();
            self.tags.remove_entry(&lane).into_iter().collect()
        } else {
            self.running.clear();
            std::mem::take(&mut self.tags)
        };
        if tags.is_empty() {
            return;
        }
        let ended = descendants::end(&tags.values().cloned().collect::<Vec<_>>());
        for (lane, tag) in tags {
            let of_lane = ended.iter().filter(|it| it.0 == tag).map(|it| it.1.clone());
            let name = self.lanes[lane].plan.name.clone();
            self.left_behind.entry(name).or_default().extend(of_lane);
        }
        self.left_behind.retain(|_, left| !left.is_empty());
    }

    fn left_behind(&mut self) -> BTreeMap<String, Vec<String>> {
        std::mem::take(&mut self.left_behind)
    }

    fn service_ended(&self) -> bool {
        self.service_ended
    }

    fn conditions(&mut self) -> Conditions {
        let both = self.load_before.as_ref().zip(SystemLoad::now());
        let others_cpu = self.used_by_others();
        let others_program = others_cpu
            .filter(|share| *share > OTHERS_NAMED)
            .and_then(|_| self.other_on(&self.server_cpus));
        Conditions {
            others_cpu,
            others_program,
            steal: both.and_then(|(before, now)| now.steal_since(before)),
            cpu_pressure: both.and_then(|(before, now)| now.pressure_since(before)),
            time_wait: time_wait(),
            throttled_ns: self
                .control_groups
                .throttled()
                .map(|now| nanos(now.saturating_sub(self.throttled_before.unwrap_or_default()))),
        }
    }

    fn now(&mut self) -> Duration {
        self.begin.elapsed()
    }

    fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    fn cancelled_soon(&self) -> bool {
        /// A signal that is sent to all processes one by one, as by `pkill`, may reach a lane first.
        const WAIT: Duration = Duration::from_millis(100);
        let until = Instant::now() + WAIT;
        while !self.cancelled() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.cancelled()
    }
}
