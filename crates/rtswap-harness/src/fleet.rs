//! The real thing: lane processes, the load generator, and the kernel's counters.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2Serializer};
use rand::RngExt as _;
use rand_pcg::Pcg64;
use rtswap_lane::{Ready, SliceDone};
use rtswap_load::{Config, Generator, Http, LoadError, Session, Target, Traffic};
use rtswap_service::Services;
use rtswap_workload::{Answer, ParamValue, SMALL_MESSAGE_BYTES};

use crate::counters::{CpuClock, SyscallCounter, memory_bytes};
use crate::lane::{Lane, Launch, Trouble};
use crate::machine::{Weather, time_wait};
use crate::plan::count_ms;
use crate::record::{Counts, LanePlan, LaneRound, Slice, Status, WorkloadPlan};
use crate::schedule::{Bench, Conditions, RoundResult};

/// The most bytes by which a lane's environment is made longer: more than a page, so that stacks
/// begin at any offset of one.
const PAD_MOST: usize = 6000;
/// The longest that a lane may ask to be warmed up for.
const WARM_UP_MOST: Duration = Duration::from_secs(2);

/// Real lanes, measured on real clocks.
#[derive(Debug)]
pub struct Fleet {
    lanes: Vec<(LanePlan, Launch)>,
    server_cpus: Vec<usize>,
    generator: Generator,
    services: Services,
    /// Whether one of them has ended since the round began.
    broken: bool,
    cancel: Arc<AtomicBool>,
    begin: Instant,
    weather: Option<Weather>,
    alive: BTreeMap<usize, Alive>,
    /// Slices in a row, by lane, in which it has worked and its CPU clock stood still.
    still: BTreeMap<usize, u32>,
}

/// So many of them are no chance. One is: the kernel brings a clock up to date when its thread leaves the
/// CPU or at a tick, and on a busy machine both may come late.
const STILL_MOST: u32 = 3;

/// Latencies in nanoseconds, where the workload has any.
type Latency = Option<Histogram<u64>>;

/// A lane's process of this round.
#[derive(Debug)]
struct Alive {
    lane: Lane,
    ready: Ready,
    session: Option<Session>,
    clock: CpuClock,
    latency: Latency,
    idle: Idle,
    memory: Memory,
}

/// What a lane takes, bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    /// Before its connections were opened.
    base: Option<u64>,
    /// With all of them open.
    full: Option<u64>,
}

/// What a lane does while others work.
#[derive(Debug)]
struct Idle {
    since: Instant,
    cpu: Duration,
    time: Duration,
    cpu_used: Duration,
}

impl Fleet {
    /// Starts the generator's threads; lanes are started by round. `cancel` ends whatever is under
    /// way.
    ///
    /// # Errors
    /// If a generator thread cannot be started or pinned.
    pub fn new(
        lanes: Vec<(LanePlan, Launch)>,
        server_cpus: Vec<usize>,
        load_cpus: Vec<usize>,
        services: Services,
        cancel: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let mut config = Config::new(load_cpus);
        config.cancel = Arc::clone(&cancel);
        Ok(Self {
            lanes,
            server_cpus,
            generator: Generator::new(config)?,
            services,
            broken: false,
            cancel,
            begin: Instant::now(),
            weather: None,
            alive: BTreeMap::new(),
            still: BTreeMap::new(),
        })
    }

    fn ready(&self, workload: &WorkloadPlan, mut lane: Lane) -> Result<Alive, Trouble> {
        let ready = lane.ready(&self.cancel)?;
        let mut memory = Memory::default();
        let session = match (workload.by_generator, ready.addr) {
            (false, _) => None,
            (true, None) => return Err(Trouble::failed("it is ready but names no address")),
            (true, Some(addr)) => {
                let target = target(workload, addr);
                let connect = |lane: &mut Lane, to| {
                    self.generator.connect(to).map_err(|error| blame(lane, &error))
                };
                if counts_memory(workload) {
                    // What the first connection takes and leaves is not what each one takes.
                    let one = Target { conns: 1, traffic: Traffic::Kept { active: 1 }, ..target };
                    drop(connect(&mut lane, one)?);
                    memory.base = memory_bytes(lane.pid());
                }
                if workload.reconnects { None } else { Some(connect(&mut lane, target)?) }
            }
        };
        let gone = |lane: &mut Lane| Trouble::failed(lane.explain("its CPU clock cannot be read"));
        let Ok(clock) = CpuClock::of(lane.pid()) else { return Err(gone(&mut lane)) };
        let Some(cpu) = clock.now() else { return Err(gone(&mut lane)) };
        let idle =
            Idle { since: Instant::now(), cpu, time: Duration::ZERO, cpu_used: Duration::ZERO };
        Ok(Alive { lane, ready, session, clock, latency: None, idle, memory })
    }

    /// Exchanges and checks a fixed amount of work with a lane that was started, without timing it.
    /// Returns the operations done and what the lane says it is.
    ///
    /// # Errors
    /// [`Trouble`] if the lane drops out.
    pub fn verify(&mut self, on: &WorkloadPlan, lane: usize) -> Result<(u64, Ready), Trouble> {
        /// Messages on each connection.
        const MESSAGES: u64 = 50;
        let cancel = Arc::clone(&self.cancel);
        let name = &self.lanes[lane].0.name;
        let alive = self.alive.get_mut(&lane).expect("the lane was started");
        let ops = if let Some(session) = &mut alive.session {
            let Target { conns, traffic, .. } = session.target();
            let conns = match traffic {
                Traffic::Kept { active } => active as u64,
                Traffic::Churn | Traffic::Http(_) => conns as u64,
            };
            let verified = self.generator.verify(session, MESSAGES);
            verified.map_err(|error| blame(&mut alive.lane, &error))?;
            conns * MESSAGES
        } else {
            let ops = alive.lane.slice(Duration::from_millis(1), &cancel)?.ops;
            let done = self.services.check(&on.uses, name, &on.params, ops);
            done.map_err(|error| Trouble::Lost(Status::Invalid, error.with_causes()))?;
            ops
        };
        Ok((ops, alive.ready.clone()))
    }

    /// A lane that fails because its server has ended is not to be blamed without saying so.
    fn because_of_service(&mut self, workload: &WorkloadPlan, trouble: Trouble) -> Trouble {
        let Trouble::Lost(status, reason) = trouble else { return trouble };
        match self.services.revive(&workload.uses) {
            Ok(()) => Trouble::Lost(status, reason),
            Err(end) => {
                self.broken = true;
                Trouble::Lost(status, format!("{}; {reason}", end.with_causes()))
            }
        }
    }

    /// Lets a lane work for as long as it asked to before anything counts.
    fn warm(&mut self, workload: &WorkloadPlan, lane: usize) -> Result<(), Trouble> {
        let alive = self.alive.get(&lane).expect("it is ready");
        match Duration::from_millis(alive.ready.warm_up_ms).min(WARM_UP_MOST) {
            Duration::ZERO => Ok(()),
            time => self.measure(workload, lane, Duration::ZERO, time, None).map(drop),
        }
    }

    /// A slice, its latencies, and the counts if `counter` is given.
    fn measure(
        &mut self,
        workload: &WorkloadPlan,
        lane: usize,
        warmup: Duration,
        window: Duration,
        counter: Option<SyscallCounter>,
    ) -> Result<(Slice, Latency, Option<Counts>), Trouble> {
        let name = self.lanes[lane].0.name.clone();
        let alive = self.alive.get_mut(&lane).expect("the lane was started");
        let probe = Probe { clock: alive.clock, counter: Arc::new(Mutex::new(counter)) };
        alive.idle_ends();
        let measured = if workload.by_generator {
            alive.loaded(&self.generator, workload, warmup, window, probe)
        } else {
            alive.driven(warmup, window, &probe, &self.cancel)
        };
        alive.idle_begins();
        let Measured { mut slice, latency, begin, end } = match measured {
            Ok(measured) => measured,
            Err(trouble) => return Err(self.because_of_service(workload, trouble)),
        };
        let done = self.services.check(&workload.uses, &name, &workload.params, slice.ops);
        done.map_err(|error| Trouble::Lost(Status::Invalid, error.with_causes()))?;
        let alive = self.alive.get_mut(&lane).expect("the lane was started");
        slice.lane = name;
        let (Some(before), Some(after)) = (begin.cpu, end.cpu) else {
            return Err(Trouble::failed(alive.lane.explain("its CPU clock is gone")));
        };
        slice.cpu_ns = nanos(after.saturating_sub(before));
        let still = self.still.entry(lane).or_default();
        *still = if slice.ops > 0 && slice.cpu_ns == 0 { *still + 1 } else { 0 };
        if *still >= STILL_MOST {
            return Err(Trouble::failed(
                "its operations took no CPU time of its own process: does a child do the work? \
                 Start the lane with exec, and not in a pipe",
            ));
        }
        if let Some(latency) = &latency {
            slice.p50_ns = Some(latency.value_at_quantile(0.50));
            slice.p99_ns = Some(latency.value_at_quantile(0.99));
            slice.max_ns = Some(latency.max());
        }
        let counts = begin.counts.zip(end.counts).map(|(begin, end)| Counts {
            ops: slice.ops,
            syscalls: end.syscalls - begin.syscalls,
            ctx_switches: end.ctx_switches - begin.ctx_switches,
        });
        Ok((slice, latency, counts))
    }
}

/// Reads a lane's counters at the ends of the window.
#[derive(Debug)]
struct Probe {
    clock: CpuClock,
    // Shared, because the generator's thread reads it.
    counter: Arc<Mutex<Option<SyscallCounter>>>,
}

/// What a probe found.
struct Reading {
    cpu: Option<Duration>,
    counts: Option<Counts>,
}

impl Probe {
    fn read(&self) -> Reading {
        let mut counter = self.counter.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = counter.as_mut().and_then(|counter| counter.read().ok());
        Reading { cpu: self.clock.now(), counts }
    }
}

struct Measured {
    slice: Slice,
    latency: Latency,
    begin: Reading,
    end: Reading,
}

impl Alive {
    fn loaded(
        &mut self,
        generator: &Generator,
        workload: &WorkloadPlan,
        warmup: Duration,
        window: Duration,
        probe: Probe,
    ) -> Result<Measured, Trouble> {
        if self.session.is_none() {
            let addr = self.ready.addr.expect("it was started for the generator");
            let connected = generator.connect(target(workload, addr));
            self.session = Some(connected.map_err(|error| blame(&mut self.lane, &error))?);
        }
        let session = self.session.as_mut().expect("it was just connected");
        let done = generator
            .slice(session, warmup, window, move || probe.read())
            .map_err(|error| blame(&mut self.lane, &error))?;
        if workload.reconnects {
            self.memory.full = memory_bytes(self.lane.pid());
            self.session = None;
            self.settle();
        }
        let slice = Slice {
            ops: done.ops,
            elapsed_ns: nanos(done.elapsed),
            load_cpu_ns: Some(nanos(done.load_cpu)),
            ..Slice::default()
        };
        let (begin, end) = done.probes;
        Ok(Measured { slice, latency: Some(done.latency), begin, end })
    }

    fn driven(
        &mut self,
        warmup: Duration,
        window: Duration,
        probe: &Probe,
        cancel: &AtomicBool,
    ) -> Result<Measured, Trouble> {
        if !warmup.is_zero() {
            self.lane.slice(warmup, cancel)?;
        }
        let begin = probe.read();
        let done = self.lane.slice(window, cancel)?;
        let end = probe.read();
        let latency = decode(&done)?;
        let slice = Slice { ops: done.ops, elapsed_ns: done.elapsed_ns, ..Slice::default() };
        Ok(Measured { slice, latency, begin, end })
    }

    /// Waits until the lane has done with the connections that were closed, lest it do so in the time
    /// of another.
    fn settle(&self) {
        const STILL: Duration = Duration::from_millis(3);
        const LONGEST: Duration = Duration::from_secs(2);
        let begin = Instant::now();
        let mut used = self.clock.now();
        while begin.elapsed() < LONGEST {
            std::thread::sleep(STILL);
            let now = self.clock.now();
            if now == used {
                return;
            }
            used = now;
        }
    }

    fn idle_ends(&mut self) {
        if let Some(cpu) = self.clock.now() {
            self.idle.time += self.idle.since.elapsed();
            self.idle.cpu_used += cpu.saturating_sub(self.idle.cpu);
        }
    }

    fn idle_begins(&mut self) {
        self.idle.since = Instant::now();
        self.idle.cpu = self.clock.now().unwrap_or(self.idle.cpu);
    }
}

impl Bench for Fleet {
    fn start(
        &mut self,
        workload: &WorkloadPlan,
        lanes: &[usize],
        rng: &mut Pcg64,
    ) -> Vec<Result<(), Trouble>> {
        self.weather = Weather::now();
        // What has ended between two rounds is nobody's fault.
        let _ = self.services.revive(&workload.uses);
        self.broken = false;
        // All are started before the first is waited for.
        let started: Vec<_> = lanes
            .iter()
            .map(|&lane| {
                let pad = rng.random_range(0..PAD_MOST);
                let (plan, launch) = &self.lanes[lane];
                let given = self.services.resources(&workload.uses, &plan.name);
                let given = given.map_err(|error| Trouble::failed(error.with_causes()))?;
                Lane::start(launch, &workload.name, given, &self.server_cpus, pad)
            })
            .collect();
        let ready: Vec<_> = lanes
            .iter()
            .zip(started)
            .map(|(&lane, started)| {
                let alive = started.and_then(|started| self.ready(workload, started));
                let alive = alive.map_err(|trouble| self.because_of_service(workload, trouble))?;
                self.alive.insert(lane, alive);
                Ok(())
            })
            .collect();
        // Once all are there, so that none is disturbed by another that starts.
        let warm = |(&lane, ready): (&usize, Result<(), Trouble>)| {
            ready.and_then(|()| self.warm(workload, lane)).inspect_err(|_| {
                self.alive.remove(&lane);
            })
        };
        lanes.iter().zip(ready).map(warm).collect()
    }

    fn slice(&mut self, workload: &WorkloadPlan, lane: usize) -> Result<Slice, Trouble> {
        let warmup = Duration::from_millis(workload.warmup_ms);
        let window = Duration::from_millis(workload.slice_ms);
        let (slice, latency, _) = self.measure(workload, lane, warmup, window, None)?;
        let alive = self.alive.get_mut(&lane).expect("it was just measured");
        match (&mut alive.latency, latency) {
            (Some(sum), Some(more)) => sum.add(more).expect("it widens itself"),
            (sum @ None, more) => *sum = more,
            (Some(_), None) => {}
        }
        Ok(slice)
    }

    fn finish(&mut self, workload: &WorkloadPlan, lanes: &[usize]) -> BTreeMap<usize, RoundResult> {
        let mut results: BTreeMap<_, _> = lanes
            .iter()
            .map(|lane| {
                let alive = &self.alive[lane];
                let result = LaneRound {
                    receipt: serde_json::to_value(&alive.ready.receipt).ok(),
                    memory_base_bytes: alive.memory.base,
                    memory_bytes: alive.memory.full.or_else(|| memory_bytes(alive.lane.pid())),
                    idle_cpu: share(alive.idle.cpu_used, alive.idle.time),
                    latency_hdr: alive.latency.as_ref().map(encode),
                    ..LaneRound::default()
                };
                (*lane, Ok(result))
            })
            .collect();
        // Opened for all before the first slice and closed after the last: each opening and closing
        // of the tracepoint makes the kernel patch itself and wait.
        let keep_open = lanes.first().map(|lane| SyscallCounter::open(self.alive[lane].lane.pid()));
        for lane in lanes {
            // With a server that has ended a lane's connections are gone; what it has measured is not.
            let counted = if self.broken {
                Ok(Err("the server of all lanes had ended".to_owned()))
            } else {
                self.count(workload, *lane)
            };
            let result = results.get_mut(lane).expect("one for each");
            match (counted, result.as_mut()) {
                (Err(trouble), _) => *result = Err(trouble),
                (Ok(Ok(counts)), Ok(round)) => round.counts = Some(counts),
                (Ok(Err(missing)), Ok(round)) => round.counts_missing = Some(missing),
                (Ok(_), Err(_)) => {}
            }
        }
        drop(keep_open);
        results
    }

    fn stop(&mut self, lane: Option<usize>) {
        match lane {
            Some(lane) => drop(self.alive.remove(&lane)),
            None => self.alive.clear(),
        }
    }

    fn broken(&self) -> bool {
        self.broken
    }

    fn weather(&mut self) -> Conditions {
        let (before, now) = (self.weather.as_ref(), Weather::now());
        let both = before.zip(now);
        Conditions {
            steal: both.and_then(|(before, now)| now.steal_since(before)),
            cpu_pressure: both.and_then(|(before, now)| now.pressure_since(before)),
            time_wait: time_wait(),
        }
    }

    fn now(&mut self) -> Duration {
        self.begin.elapsed()
    }

    fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }
}

impl Fleet {
    /// A slice of which only the counts are used; or why there are none.
    fn count(
        &mut self,
        workload: &WorkloadPlan,
        lane: usize,
    ) -> Result<Result<Counts, String>, Trouble> {
        let counter = match SyscallCounter::open(self.alive[&lane].lane.pid()) {
            Ok(counter) => counter,
            Err(missing) => return Ok(Err(missing)),
        };
        let window = Duration::from_millis(count_ms(workload));
        let warmup = window / 4;
        let (.., counts) = self.measure(workload, lane, warmup, window, Some(counter))?;
        Ok(counts.ok_or_else(|| "the kernel's counters cannot be read".to_owned()))
    }
}

/// What the generator is to do with a lane that listens at `addr`.
pub fn target(workload: &WorkloadPlan, addr: SocketAddr) -> Target {
    let param = |name| workload.number(name);
    let size = param("size").unwrap_or(SMALL_MESSAGE_BYTES) as usize;
    let conns = param("conns").unwrap_or(1) as usize;
    let traffic = match workload.traffic {
        rtswap_workload::Traffic::Echo => {
            Traffic::Kept { active: param("active").map_or(conns, |active| active as usize) }
        }
        rtswap_workload::Traffic::Churn => Traffic::Churn,
        rtswap_workload::Traffic::Http => Traffic::Http(http(workload)),
    };
    Target { addr, size, conns, traffic }
}

/// What is asked of a lane that serves HTTP, and what it is to answer.
fn http(workload: &WorkloadPlan) -> Http {
    let named = |param, default| match workload.params.get(param) {
        Some(ParamValue::Name(name)) => name.as_str(),
        _ => default,
    };
    let Answer { path, content_type, body } = Answer::named(named("body", "plaintext"));
    let pipeline = workload.number("pipeline").unwrap_or(1) as usize;
    Http { path, content_type, body, pipeline, h2: named("h2", "false") == "true" }
}

/// Whether the workload is about what its connections take: most of them do nothing.
fn counts_memory(workload: &WorkloadPlan) -> bool {
    workload.params.contains_key("active")
}

/// Whose fault an error of the generator is: the lane's, unless the run was interrupted.
fn blame(lane: &mut Lane, error: &LoadError) -> Trouble {
    match error {
        LoadError::Cancelled => Trouble::Cancelled,
        wrong if wrong.is_wrong_answer() => Trouble::Lost(Status::Invalid, wrong.to_string()),
        other => {
            lane.gave_up().unwrap_or_else(|| Trouble::failed(lane.explain(&other.to_string())))
        }
    }
}

fn decode(done: &SliceDone) -> Result<Latency, Trouble> {
    let Some(text) = &done.latency_hdr else { return Ok(None) };
    let nonsense = |why: String| Trouble::failed(format!("its latencies are no histogram: {why}"));
    let bytes = STANDARD.decode(text).map_err(|error| nonsense(error.to_string()))?;
    let read = Deserializer::new().deserialize(&mut bytes.as_slice());
    let mut latency: Histogram<u64> = read.map_err(|error| nonsense(error.to_string()))?;
    // It is as wide as this slice needed; a later one may need more.
    latency.auto(true);
    Ok(Some(latency))
}

fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    V2Serializer::new().serialize(histogram, &mut bytes).expect("a vector takes all");
    STANDARD.encode(bytes)
}

fn share(cpu: Duration, time: Duration) -> Option<f64> {
    (!time.is_zero()).then(|| cpu.as_secs_f64() / time.as_secs_f64())
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}
