//! The load generator and its sessions.

mod thread_share;
mod trickle;
mod worker;

use std::fmt;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rtswap_schema::protocol::Pace;
use rtswap_schema::record::Offered;
use rtswap_schema::schedule::Schedule;

use self::thread_share::ThreadShare;
use self::worker::{RunningJob, Worker};
use crate::control::paced::{Arrivals, Histograms, PacedWindow, ThreadPaced};
use crate::control::phases::Role;
use crate::control::quota::MessageQuota;
use crate::control::watchdog::{Limits, Signals};
use crate::control::window::{SliceWindow, ThreadSlice};
use crate::driver::share::ShareConfig;
use crate::protocol::echo::pattern::Pattern;
use crate::{LoadError, Target};

pub use self::trickle::{Trickle, TrickleLane};

/// How many new connections of all threads may wait for their first answer: half of the backlog that
/// lanes listen with (1024).
const PENDING_MAX: usize = 512;

/// Significant decimal digits of latencies.
const LATENCY_DIGITS: u8 = 3;

/// What a thread of the generator does while no message of a [schedule](Generator::paced_slice) is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Waiting {
    /// Looks again at once. A message is sent when it is due, and the lane need not wake the generator with
    /// each answer, which takes as much of the lane's CPU time as the rest of the message, or more, on a
    /// virtual machine.
    #[default]
    Spin,
    /// Sleeps, as most clients do.
    Sleep,
}

/// How to set up a [`Generator`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The CPUs of the generator: one thread is pinned to each.
    pub cpus: Vec<usize>,
    /// What threads do while no message of a schedule is due.
    pub waiting: Waiting,
    /// The longest latency that is recorded; a longer one is recorded as this one. Default 60 s.
    pub max_latency: Duration,
    /// How long a thread waits without a byte on any of its connections, and without the end of one
    /// that is due to end, before it reports [`LoadError::Stalled`]. Also the limit for opening one
    /// connection. Default 5 s.
    pub stall: Duration,
    /// How long the messages in flight at the end of a slice may take, or the first messages of a
    /// wave of new connections, or with churn the first operations of all loops. Default 30 s.
    pub drain: Duration,
    /// How long [`Generator::verify`] may take. Default 60 s.
    pub verify: Duration,
    /// Set this, for example on Ctrl-C, to end the present call with [`LoadError::Cancelled`] within
    /// about 10 ms.
    pub cancel: Arc<AtomicBool>,
}

impl Config {
    /// The defaults, on the given CPUs.
    pub fn new(cpus: impl Into<Vec<usize>>) -> Self {
        Self {
            cpus: cpus.into(),
            waiting: Waiting::default(),
            max_latency: Duration::from_mins(1),
            stall: Duration::from_secs(5),
            drain: Duration::from_secs(30),
            verify: Duration::from_mins(1),
            cancel: Arc::default(),
        }
    }
}

/// The open connections to one lane. Dropping the session closes them.
///
/// An idle session uses no CPU time. An error closes the session that it happens in.
pub struct Session {
    target: Target,
    /// By thread. Empty once the session is closed.
    shares: Vec<ThreadShare>,
}

impl Session {
    /// The target that the session was opened with.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Whether the session is open. An error closes it.
    pub fn is_open(&self) -> bool {
        !self.shares.is_empty()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("target", &self.target)
            .field("is_open", &self.is_open())
            .finish_non_exhaustive()
    }
}

/// What a slice measured. All figures cover the counted window only.
#[derive(Clone, Debug)]
pub struct Slice<P> {
    /// Operations: messages whose answer was complete and right. With [`Traffic::Churn`], the lane
    /// must also have closed the connection.
    ///
    /// [`Traffic::Churn`]: crate::Traffic::Churn
    pub ops: u64,
    /// Duration of the window; not less than the one requested.
    pub elapsed: Duration,
    /// CPU time of the generator's threads, user and system, without the time that they spin.
    pub load_cpu: Duration,
    /// One latency per operation, in nanoseconds, to three digits: from before its first byte was
    /// sent until after its last byte was compared. With churn, from before `connect` until after
    /// the end of the lane's stream.
    ///
    /// With a pace, it has the messages that were due in the window, also those that were completed after
    /// it, and counts from when a message was due.
    pub latency: Histogram<u64>,
    /// With a pace, what became of the offered load.
    pub offered: Option<Offered>,
    /// What the probe returned at the start and at the end of the window.
    pub probes: (P, P),
}

impl<P> Slice<P> {
    /// CPU time of the generator per operation, in nanoseconds; `None` without operations.
    pub fn load_cpu_ns_per_op(&self) -> Option<f64> {
        (self.ops > 0).then(|| self.load_cpu.as_nanos() as f64 / self.ops as f64)
    }

    /// Operations per second.
    pub fn ops_per_s(&self) -> f64 {
        self.ops as f64 / self.elapsed.as_secs_f64()
    }
}

/// The load generator: threads that open, verify and measure sessions, and sleep otherwise.
///
/// It serves one call at a time; a second caller waits. Dropping the generator ends its threads.
/// Sessions do not depend on it and close their connections when they are dropped.
pub struct Generator {
    config: Config,
    workers: Vec<Worker>,
    /// Held during a call.
    turn: Mutex<()>,
}

impl Generator {
    /// Starts the threads and pins them.
    ///
    /// # Errors
    ///
    /// If there is no CPU, a thread cannot be started or pinned (the CPU does not exist or is not
    /// allowed for this process), or `max_latency` is out of the range of a histogram.
    pub fn new(config: Config) -> io::Result<Self> {
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
        if config.cpus.is_empty() {
            return Err(invalid("no CPU for the load generator: give at least one".into()));
        }
        let highest_ns = u64::try_from(config.max_latency.as_nanos()).unwrap_or(u64::MAX);
        let latency = Histogram::new_with_bounds(1, highest_ns, LATENCY_DIGITS)
            .map_err(|error| invalid(format!("invalid max_latency of {highest_ns} ns: {error}")))?;
        let workers = (config.cpus.iter())
            .map(|&cpu| {
                let histograms = Histograms { latency: latency.clone(), late: latency.clone() };
                Worker::new(cpu, histograms)
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { config, workers, turn: Mutex::default() })
    }

    /// Opens connections to a lane, spread over the threads, and exchanges one message on each, which
    /// shows that the lane has accepted the connection and serves it.
    ///
    /// Connections are opened in waves that are smaller than the backlog of a lane. With churn, each
    /// loop performs one operation, and no connection stays open.
    ///
    /// # Errors
    ///
    /// See [`LoadError`]. Connections opened before the error are closed.
    pub fn connect(&self, target: Target) -> Result<Session, LoadError> {
        target.validate()?;
        let (addr, Target { size, conns, .. }) = (target.first_addr(), target.clone());
        let _turn = self.take_turn();
        let limits = self.limits(addr, self.config.drain);
        let pattern = Arc::new(Pattern::new(size, conns));
        // Every thread of a session has at least one connection.
        let threads = self.workers.len().min(conns);
        let started = (self.workers.iter().zip(0..threads))
            .map(|(worker, thread)| {
                let config = ShareConfig {
                    target: target.clone(),
                    conns: conns * thread / threads..conns * (thread + 1) / threads,
                    pending_max: (PENDING_MAX / threads).max(1),
                    pattern: Arc::clone(&pattern),
                };
                let limits = limits.clone();
                worker.start(Arc::clone(&limits.signals.abort), move |memory| {
                    ThreadShare::open(config, &mut memory.scratch, &limits)
                })
            })
            .collect();
        let shares = finish(started)?;
        Ok(Session { target, shares })
    }

    /// Exchanges exactly `messages` messages on each active connection, or performs as many operations
    /// on each loop, and checks the answers.
    ///
    /// # Errors
    ///
    /// See [`LoadError`]. Any error closes the session.
    pub fn verify(&self, session: &mut Session, messages: u64) -> Result<(), LoadError> {
        let shares = take_shares(session)?;
        if messages == 0 {
            session.shares = shares;
            return Ok(());
        }
        let _turn = self.take_turn();
        let limits = self.limits(session.target.first_addr(), self.config.verify);
        let started = (shares.into_iter().zip(self.workers.iter().cycle()))
            .map(|(mut share, worker)| {
                let limits = limits.clone();
                worker.start(Arc::clone(&limits.signals.abort), move |memory| {
                    let mut control = MessageQuota::new(messages, limits);
                    share.exchange(&mut memory.scratch, &mut control)?;
                    Ok(share)
                })
            })
            .collect();
        session.shares = finish(started)?;
        Ok(())
    }

    /// Runs one slice: `warmup` uncounted, then `window` counted, then the drain: the generator sends
    /// no more messages, and receives and checks those in flight without counting them. No churned
    /// connection stays open.
    ///
    /// A thread of the generator calls `probe` at the start and at the end of the counted window, so
    /// that the probe's readings (of the lane's CPU clock, for example) cover the window. The load
    /// pauses during the call. The probe must not panic.
    ///
    /// The first thread defines the window. Other threads notice its edges at their next message, so
    /// each of them may count one message on the wrong side of an edge.
    ///
    /// # Errors
    ///
    /// See [`LoadError`]. Any error closes the session.
    pub fn slice<P: Send + 'static>(
        &self,
        session: &mut Session,
        warmup: Duration,
        window: Duration,
        probe: impl FnMut() -> P + Send + 'static,
    ) -> Result<Slice<P>, LoadError> {
        let shares = take_shares(session)?;
        let _turn = self.take_turn();
        let limits = self.limits(session.target.first_addr(), self.config.drain);
        let (mut leader, probes) = leader(Instant::now() + warmup, window, probe);
        let started = (shares.into_iter().zip(self.workers.iter().cycle()))
            .map(|(mut share, worker)| {
                let role = leader.take().unwrap_or(Role::Follower);
                let limits = limits.clone();
                worker.start(Arc::clone(&limits.signals.abort), move |memory| {
                    let latency = &mut memory.histograms.latency;
                    let mut control = SliceWindow::new(role, limits, latency);
                    share.exchange(&mut memory.scratch, &mut control)?;
                    Ok((share, control.into_result()))
                })
            })
            .collect();
        let (shares, mut slices): (Vec<_>, Vec<_>) = finish(started)?.into_iter().unzip();
        session.shares = shares;
        let mut total = slices.remove(0);
        for ThreadSlice { ops, cpu, latency, .. } in slices {
            total.ops += ops;
            total.cpu += cpu;
            add(&mut total.latency, latency);
        }
        let ThreadSlice { ops, elapsed, cpu, latency } = total;
        Ok(Slice { ops, elapsed, load_cpu: cpu, latency, offered: None, probes: probes() })
    }

    /// Runs one slice in which messages are sent when they are due, whether or not the lane has answered the
    /// ones before: an open loop.
    ///
    /// The schedule begins with the warm-up and ends with the window. Each message goes out on a connection
    /// that is free. If none is, it waits for one, and the wait is part of its latency, which counts from
    /// when the message was due. After the window, messages that were due in it are completed and their
    /// latency counts, for as long as another window, or 250 ms; after that, those that are not sent are
    /// given up. `ops` are the messages completed in the window.
    ///
    /// Every thread has a part of the schedule and of the connections.
    ///
    /// # Errors
    ///
    /// See [`LoadError`]. Any error closes the session.
    pub fn paced_slice<P: Send + 'static>(
        &self,
        session: &mut Session,
        pace: &Pace,
        warmup: Duration,
        window: Duration,
        probe: impl FnMut() -> P + Send + 'static,
    ) -> Result<Slice<P>, LoadError> {
        /// Threads have read their first job by then, and have no reason to be late.
        const START: Duration = Duration::from_micros(500);
        let shares = take_shares(session)?;
        let _turn = self.take_turn();
        let limits = self.limits(session.target.first_addr(), self.config.drain);
        let start = Instant::now() + START;
        let (mut leader, probes) = leader(start + warmup, window, probe);
        let (threads, waiting) = (shares.len(), self.config.waiting);
        let started = (shares.into_iter().zip(self.workers.iter().cycle()).enumerate())
            .map(|(thread, (mut share, worker))| {
                let role = leader.take().unwrap_or(Role::Follower);
                let limits = limits.clone();
                let schedule = Schedule::new(pace, thread, threads);
                let arrivals = Arrivals::new(schedule, start, warmup, window);
                worker.start(Arc::clone(&limits.signals.abort), move |memory| {
                    let histograms = &mut memory.histograms;
                    let mut control = PacedWindow::new(role, limits, arrivals, waiting, histograms);
                    share.exchange_paced(&mut memory.scratch, &mut control)?;
                    Ok((share, control.into_result()))
                })
            })
            .collect();
        let (shares, mut slices): (Vec<_>, Vec<_>) = finish(started)?.into_iter().unzip();
        session.shares = shares;
        let mut total = slices.remove(0);
        for ThreadPaced { ops, cpu, offered, histograms, .. } in slices {
            total.ops += ops;
            total.cpu += cpu;
            total.offered.ops += offered.ops;
            total.offered.backlog_start += offered.backlog_start;
            total.offered.backlog_end += offered.backlog_end;
            add(&mut total.histograms.latency, histograms.latency);
            add(&mut total.histograms.late, histograms.late);
        }
        let ThreadPaced { ops, elapsed, cpu, offered, histograms } = total;
        let Histograms { latency, late } = histograms;
        let offered = Offered {
            late_p99_ns: Some(late.value_at_quantile(0.99)),
            late_max_ns: Some(late.max()),
            ..offered
        };
        Ok(Slice { ops, elapsed, load_cpu: cpu, latency, offered: Some(offered), probes: probes() })
    }

    /// Closes a session; the same as dropping it.
    pub fn close(&self, session: Session) {
        drop(session);
    }

    fn limits(&self, addr: SocketAddr, total: Duration) -> Limits {
        Limits {
            addr,
            cancel: Arc::clone(&self.config.cancel),
            signals: Arc::new(Signals::default()),
            stall: self.config.stall,
            total,
        }
    }

    fn take_turn(&self) -> impl Drop + '_ {
        // The mutex guards no data, so a panic cannot have left any inconsistent.
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generator").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The role of the first thread of a slice, and what returns the results of the probe after the slice.
fn leader<P: Send + 'static>(
    edge: Instant,
    window: Duration,
    mut probe: impl FnMut() -> P + Send + 'static,
) -> (Option<Role>, impl FnOnce() -> (P, P)) {
    let (report, probes) = sync_channel(2);
    let probe = Box::new(move || {
        let _ = report.try_send(probe());
    });
    let next = move || {
        let next = || probes.recv().expect("the leader has called the probe at both edges");
        (next(), next())
    };
    (Some(Role::Leader { edge, window, probe }), next)
}

/// Adds the histogram of another thread.
fn add(total: &mut Histogram<u64>, more: Histogram<u64>) {
    let added = total.add(more);
    debug_assert!(added.is_ok(), "the histograms of all threads have the same bounds");
}

/// Takes the shares out of a session, so that an error leaves it closed.
fn take_shares(session: &mut Session) -> Result<Vec<ThreadShare>, LoadError> {
    let addr = session.target.first_addr();
    let shares = mem::take(&mut session.shares);
    if shares.is_empty() {
        return Err(LoadError::SessionClosed { addr });
    }
    Ok(shares)
}

/// Waits for all threads and returns their results. Of several errors it returns the first that is
/// not a consequence of another.
fn finish<T>(started: Vec<RunningJob<T>>) -> Result<Vec<T>, LoadError> {
    let mut results = Vec::with_capacity(started.len());
    let mut failed = None;
    for job in started {
        match job.finish() {
            Ok(result) => results.push(result),
            Err(error) => match failed {
                None | Some(LoadError::Cancelled) => failed = Some(error),
                Some(_) => {}
            },
        }
    }
    match failed {
        None => Ok(results),
        Some(error) => Err(error),
    }
}
