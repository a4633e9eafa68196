//! One lane's process during a round, with its connections, clocks and counters.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rtswap_lane::{Pace, Ready};
use rtswap_load::{Generator, LoadError, Session, Target, Trickle, TrickleLane};
use rtswap_schema::histogram::encode;

use super::latency::{Latency, decode};
use super::own::Pins;
use super::target::{counts_memory, own_target, target, trickle_target};
use crate::counters::{CounterError, CpuClock, SyscallCounter, memory_bytes};
use crate::lane::{Lane, LaneError, STOOD_STILL};
use crate::record::{
    Counts, CpuSource, LaneRound, Offered, Slice, Traffic as WorkloadTraffic, WorkloadPlan,
};

/// A lane that is ready for slices.
#[derive(Debug)]
pub(super) struct RunningLane {
    /// Before the lane, so that it ends before it.
    trickle: Option<TrickleLane>,
    pub lane: Lane,
    pub ready: Ready,
    /// What the generator loads; `None` if the lane drives itself.
    target: Option<Target>,
    pub session: Option<Session>,
    /// When the session was opened or last exchanged a message.
    session_used: Instant,
    clock: CpuClock,
    /// Latencies of all counted slices of the round.
    latency: Latency,
    idle: Idle,
    memory: Memory,
}

/// Memory of a lane, bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    /// Before its connections were opened.
    base: Option<u64>,
    /// With all of them open.
    full: Option<u64>,
}

/// CPU time of a lane while other lanes are measured.
#[derive(Debug)]
struct Idle {
    since: Instant,
    cpu_at_start: Duration,
    time: Duration,
    cpu: Duration,
}

/// The lateness of the generator above which a slice does not count, nanoseconds: of one message in a hundred,
/// and of any.
const LATE_P99_NS_MOST: u64 = 1_000_000;
const LATE_NS_MOST: u64 = 10_000_000;

/// After this time Linux uses a port again whose last connection over the loopback is in `TIME_WAIT`
/// (`net.ipv4.tcp_tw_reuse` is 2 by default).
const PORTS_FREE_AFTER: Duration = Duration::from_millis(1_200);

/// How long connections are kept without a message.
const UNUSED_MOST: Duration = Duration::from_secs(20);

/// Reads a lane's clock and counters at both ends of the window.
#[derive(Clone, Debug)]
struct Probe {
    clock: CpuClock,
    // Shared, because a generator's thread reads it.
    counter: Arc<Mutex<Option<SyscallCounter>>>,
}

/// What a probe has read.
pub(super) struct Reading {
    pub at: Instant,
    pub cpu: Option<Duration>,
    pub counts: Option<Result<Counts, CounterError>>,
}

/// A window as it was measured.
pub(super) struct Measured {
    pub slice: Slice,
    pub latency: Latency,
    pub begin: Reading,
    pub end: Reading,
}

/// The lengths of a slice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// Before the window, not counted.
    pub warmup: Duration,
    /// The counted part.
    pub window: Duration,
}

impl Timing {
    /// Of an ordinary slice.
    pub fn of(workload: &WorkloadPlan) -> Self {
        Self {
            warmup: Duration::from_millis(workload.warmup_ms),
            window: Duration::from_millis(workload.slice_ms),
        }
    }
}

impl RunningLane {
    /// Waits until the lane is ready and opens the connections of its workload.
    pub fn connect(
        mut lane: Lane,
        name: &str,
        workload: &WorkloadPlan,
        pins: &mut Pins,
        generator: &Generator,
        trickle: &Trickle,
        cancel: &AtomicBool,
    ) -> Result<Self, LaneError> {
        let ready = lane.ready(cancel)?;
        let mut memory = Memory::default();
        let target = if workload.by_generator {
            lane.check_addresses(&ready)?;
            let addrs = ready.addresses();
            let exchange = pins.ask(workload, name, &mut lane, addrs[0])?;
            let target = target(workload, addrs);
            Some(match exchange {
                Some(exchange) => own_target(target, exchange, workload),
                None => target,
            })
        } else {
            None
        };
        let session = match &target {
            None => None,
            Some(target) => {
                let connect = |lane: &mut Lane, to| {
                    generator.connect(to).map_err(|error| lane_error(lane, &error))
                };
                if counts_memory(workload) {
                    // The first connection of a shard allocates what later ones share, so it comes before the base.
                    drop(connect(&mut lane, trickle_target(target.clone()))?);
                    memory.base = memory_bytes(lane.pid());
                }
                if workload.reconnects { None } else { Some(connect(&mut lane, target.clone())?) }
            }
        };
        let trickle = match (workload.trickle_ms, &target) {
            (Some(ms), Some(target)) => {
                let to = trickle_target(target.clone());
                let added = trickle.add(to, Duration::from_millis(ms));
                Some(added.map_err(|error| lane_error(&mut lane, &error))?)
            }
            _ => None,
        };
        let clock = lane.cpu_clock()?;
        let Some(cpu_at_start) = clock.now() else {
            return Err(LaneError::failed(lane.explain("cannot read its CPU clock")));
        };
        let idle =
            Idle { since: Instant::now(), cpu_at_start, time: Duration::ZERO, cpu: Duration::ZERO };
        if let Some(trickle) = &trickle {
            trickle.resume();
        }
        Ok(Self {
            trickle,
            lane,
            ready,
            target,
            session,
            session_used: Instant::now(),
            clock,
            latency: None,
            idle,
            memory,
        })
    }

    /// Lets the lane work for one slice, at a pace or as a closed loop.
    pub fn measure(
        &mut self,
        workload: &WorkloadPlan,
        timing: Timing,
        pace: Option<&Pace>,
        counter: Option<SyscallCounter>,
        generator: &Generator,
        cancel: &AtomicBool,
    ) -> Result<Measured, LaneError> {
        let probe = Probe { clock: self.clock.clone(), counter: Arc::new(Mutex::new(counter)) };
        self.pause_trickle();
        self.end_idle();
        let measured = if workload.by_generator {
            self.measure_served(generator, workload, timing, pace, &probe)
        } else {
            self.measure_self_driven(timing, pace, &probe, cancel)
        };
        self.begin_idle();
        self.resume_trickle();
        measured
    }

    /// Lets a load work on the lane that is not the generator's.
    pub fn load_from_outside<T>(
        &mut self,
        load: impl FnOnce(SocketAddr, CpuClock) -> Result<T, LoadError>,
    ) -> Result<T, LaneError> {
        let Some(target) = &self.target else {
            return Err(LaneError::failed("the lane drives itself"));
        };
        let addr = target.addrs[0];
        self.end_idle();
        let loaded = load(addr, self.clock.clone());
        self.begin_idle();
        loaded.map_err(|error| lane_error(&mut self.lane, &error))
    }

    /// CPU time since its start.
    pub fn cpu_time(&self) -> Option<Duration> {
        self.clock.now()
    }

    pub fn cpu_source(&self) -> CpuSource {
        self.clock.source()
    }

    pub fn pause_trickle(&self) {
        if let Some(trickle) = &self.trickle {
            trickle.pause();
        }
    }

    pub fn resume_trickle(&self) {
        if let Some(trickle) = &self.trickle {
            trickle.resume();
        }
    }

    fn measure_served(
        &mut self,
        generator: &Generator,
        workload: &WorkloadPlan,
        Timing { warmup, window }: Timing,
        pace: Option<&Pace>,
        probe: &Probe,
    ) -> Result<Measured, LaneError> {
        // A server may have closed connections without a request: hyper does so after 30 s.
        if self.session_used.elapsed() > UNUSED_MOST {
            self.session = None;
        }
        let slice = |session: &mut Option<Session>| {
            if session.is_none() {
                let target = self.target.clone().expect("it was started for the generator");
                *session = Some(generator.connect(target)?);
            }
            let session = session.as_mut().expect("it was just connected");
            let probe = probe.clone();
            match pace {
                None => generator.slice(session, warmup, window, move || probe.read()),
                Some(pace) => {
                    generator.paced_slice(session, pace, warmup, window, move || probe.read())
                }
            }
        };
        let mut done = slice(&mut self.session);
        // There are many addresses to connect from in IPv4, but one in IPv6.
        if workload.traffic == WorkloadTraffic::Churn
            && matches!(done, Err(LoadError::Ports { .. }))
        {
            std::thread::sleep(PORTS_FREE_AFTER);
            self.session = None;
            done = slice(&mut self.session);
        }
        self.session_used = Instant::now();
        let done = done.map_err(|error| lane_error(&mut self.lane, &error))?;
        if workload.reconnects {
            self.memory.full = memory_bytes(self.lane.pid());
            self.session = None;
            self.wait_until_idle();
        }
        // The generator looks at the clock after each message, and every 10 ms without one.
        let late = done.elapsed.saturating_sub(window);
        let late = (late > STOOD_STILL).then(|| stopped(late));
        let slice = Slice {
            ops: done.ops,
            elapsed_ns: nanos(done.elapsed),
            load_cpu_ns: Some(nanos(done.load_cpu)),
            voided: late.or_else(|| done.offered.as_ref().and_then(voided)),
            offered: done.offered,
            ..Slice::default()
        };
        let (begin, end) = done.probes;
        Ok(Measured { slice, latency: Some(done.latency), begin, end })
    }

    fn measure_self_driven(
        &mut self,
        Timing { warmup, window }: Timing,
        pace: Option<&Pace>,
        probe: &Probe,
        cancel: &AtomicBool,
    ) -> Result<Measured, LaneError> {
        if !warmup.is_zero() {
            self.lane.slice(warmup, pace, cancel)?;
        }
        let stood_still = self.lane.stood_still();
        let begin = probe.read();
        let done = self.lane.slice(window, pace, cancel)?;
        let end = probe.read();
        let latency = decode(&done)?;
        let stood_still = self.lane.stood_still().saturating_sub(stood_still);
        let slice = Slice {
            ops: done.ops,
            // From order to response, as the CPU time, so that both are of the same operations. A pace has a
            // window, and its operations are those of the window.
            elapsed_ns: match pace {
                None => nanos(end.at - begin.at),
                Some(_) => done.elapsed_ns,
            },
            offered: done.offered,
            voided: (!stood_still.is_zero()).then(|| stopped(stood_still)),
            ..Slice::default()
        };
        Ok(Measured { slice, latency, begin, end })
    }

    /// Adds the latencies of a slice to those of the round.
    pub fn add_latency(&mut self, more: Latency) {
        match (&mut self.latency, more) {
            (Some(sum), Some(more)) => sum.add(more).expect("the histogram resizes itself"),
            (sum @ None, more) => *sum = more,
            (Some(_), None) => {}
        }
    }

    /// The figures of the round, without counts.
    pub fn round(&self) -> LaneRound {
        LaneRound {
            info: serde_json::to_value(&self.ready.info).ok(),
            cpu_source: Some(self.clock.source()),
            memory_base_bytes: self.memory.base,
            memory_bytes: self.memory.full.or_else(|| memory_bytes(self.lane.pid())),
            idle_cpu: self.idle.share(),
            latency_hdr: self.latency.as_ref().map(encode),
            trickle_messages: self.trickle.as_ref().map(TrickleLane::messages),
            ..LaneRound::default()
        }
    }

    /// Waits until the lane has handled the closing of its connections, so that it does not do so during
    /// the slice of another lane.
    fn wait_until_idle(&self) {
        const IDLE: Duration = Duration::from_millis(3);
        const LONGEST: Duration = Duration::from_secs(2);
        let begin = Instant::now();
        let mut used = self.clock.now();
        while begin.elapsed() < LONGEST {
            std::thread::sleep(IDLE);
            let now = self.clock.now();
            if now == used {
                return;
            }
            used = now;
        }
    }

    fn end_idle(&mut self) {
        if let Some(cpu) = self.clock.now() {
            self.idle.time += self.idle.since.elapsed();
            self.idle.cpu += cpu.saturating_sub(self.idle.cpu_at_start);
        }
    }

    fn begin_idle(&mut self) {
        self.idle.since = Instant::now();
        self.idle.cpu_at_start = self.clock.now().unwrap_or(self.idle.cpu_at_start);
    }
}

impl Idle {
    /// CPU time per time, 0 to 1 for each thread.
    fn share(&self) -> Option<f64> {
        (!self.time.is_zero()).then(|| self.cpu.as_secs_f64() / self.time.as_secs_f64())
    }
}

impl Probe {
    fn read(&self) -> Reading {
        let mut counter = self.counter.lock().unwrap_or_else(PoisonError::into_inner);
        Reading {
            at: Instant::now(),
            cpu: self.clock.now(),
            counts: counter.as_mut().map(SyscallCounter::read),
        }
    }
}

/// Why a slice does not count although the lane has done nothing wrong: the generator sent too late, because
/// the harness was stopped or starved.
fn voided(offered: &Offered) -> Option<String> {
    let ms = |ns: u64| ns as f64 / 1e6;
    let (p99, most) = (offered.late_p99_ns?, offered.late_max_ns?);
    (p99 > LATE_P99_NS_MOST || most > LATE_NS_MOST).then(|| {
        format!(
            "the load generator was late by {:.1} ms (99 %) and at most {:.1} ms, more than {} or {} ms",
            ms(p99),
            ms(most),
            ms(LATE_P99_NS_MOST),
            ms(LATE_NS_MOST)
        )
    })
}

/// Why a slice does not count in which this process was stopped.
fn stopped(time: Duration) -> String {
    format!("the harness was stopped for {:.1} s", time.as_secs_f64())
}

/// An error of the generator as an error of the lane, with the lane's own reason if it gave one.
pub(super) fn lane_error(lane: &mut Lane, error: &LoadError) -> LaneError {
    match error {
        LoadError::Cancelled => LaneError::Cancelled,
        wrong if wrong.is_wrong_answer() => LaneError::invalid(wrong),
        other => {
            lane.gave_up().unwrap_or_else(|| LaneError::failed(lane.explain(&other.to_string())))
        }
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}
