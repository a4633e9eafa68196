use std::fmt;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::pace::{Part, Quota, Role, Signals, Watch, Window};
use crate::pattern::Pattern;
use crate::share::{Opening, Share};
use crate::worker::{Started, Worker};
use crate::{LoadError, Target};

/// How many connections may wait to be accepted by a lane, over all threads. Half of the backlog
/// that lanes listen with (1024).
const WAVE: usize = 512;

/// Significant decimal digits that latencies are kept to.
const DIGITS: u8 = 3;

/// How to set up a [`Generator`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The CPUs to load from: one thread is pinned to each.
    pub cpus: Vec<usize>,
    /// Longest latency that is told apart; a longer one is recorded as this one. Default 60 s.
    pub max_latency: Duration,
    /// How long no byte may move on any connection of a thread, and none end that is due to,
    /// before the lane counts as hung.
    /// Also the limit of opening one connection. Default 5 s.
    pub stall: Duration,
    /// How long the messages in flight at the end of a slice may take to come in, or those of a
    /// wave of new connections to be answered; with churn, the first operations of all loops.
    /// Default 30 s.
    pub drain: Duration,
    /// How long a [`Generator::verify`] may take. Default 60 s.
    pub verify: Duration,
    /// Set this, say on Ctrl-C, to end what is under way with [`LoadError::Cancelled`], within
    /// some 10 ms.
    pub cancel: Arc<AtomicBool>,
}

impl Config {
    /// The defaults, on the given CPUs.
    pub fn new(cpus: impl Into<Vec<usize>>) -> Self {
        Self {
            cpus: cpus.into(),
            max_latency: Duration::from_mins(1),
            stall: Duration::from_secs(5),
            drain: Duration::from_secs(30),
            verify: Duration::from_mins(1),
            cancel: Arc::default(),
        }
    }
}

/// The open connections to one lane. Dropping it closes them, without asking the lane.
///
/// It costs nothing while no slice runs on it. An error in it closes it.
pub struct Session {
    target: Target,
    /// By thread. Empty once closed.
    shares: Vec<Share>,
}

impl Session {
    /// What the session was opened to.
    pub fn target(&self) -> Target {
        self.target
    }

    /// Whether no error has closed the session yet.
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

/// What a slice measured. Everything covers the counted window, and only that.
#[derive(Clone, Debug)]
pub struct Slice<P> {
    /// Operations: messages that came back whole and right; with [`Traffic::Churn`], those whose
    /// connection was also closed by the lane.
    ///
    /// [`Traffic::Churn`]: crate::Traffic::Churn
    pub ops: u64,
    /// How long the window was; at least as long as asked.
    pub elapsed: Duration,
    /// CPU time, user and system, of the generator's threads.
    pub load_cpu: Duration,
    /// Time from before the first byte was sent to after the last one was compared, in
    /// nanoseconds, to three digits; one value per operation. With churn, from before `connect`
    /// was called to after the end of the lane's stream was seen.
    pub latency: Histogram<u64>,
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

/// The load generator: threads that sleep until a session is to be opened, verified or measured.
///
/// One order is carried out at a time; a second caller waits. Dropping the generator ends its
/// threads. Sessions are independent of it and close their connections when they are dropped.
pub struct Generator {
    config: Config,
    workers: Vec<Worker>,
    /// Held while an order is carried out.
    turn: Mutex<()>,
}

impl Generator {
    /// Starts the threads and pins them.
    ///
    /// # Errors
    ///
    /// If no CPU is given, a thread cannot be started or pinned (the CPU does not exist or is not
    /// allowed for this process), or `max_latency` is out of the range of a histogram.
    pub fn new(config: Config) -> io::Result<Self> {
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
        if config.cpus.is_empty() {
            return Err(invalid("the load generator needs at least one CPU".into()));
        }
        let highest = u64::try_from(config.max_latency.as_nanos()).unwrap_or(u64::MAX);
        let latency = Histogram::new_with_bounds(1, highest, DIGITS)
            .map_err(|error| invalid(format!("max_latency of {highest} ns: {error}")))?;
        let workers = (config.cpus.iter())
            .map(|&cpu| Worker::new(cpu, latency.clone()))
            .collect::<io::Result<_>>()?;
        Ok(Self { config, workers, turn: Mutex::default() })
    }

    /// Opens connections to a lane, spread over the threads, and exchanges one message on each, so
    /// that afterwards all are known to be accepted and to work.
    ///
    /// They are opened in waves that stay below the backlog of a lane. For churn, one operation is
    /// done on each loop, and nothing stays open.
    ///
    /// # Errors
    ///
    /// See [`LoadError`]. Connections opened until then are closed.
    pub fn connect(&self, target: Target) -> Result<Session, LoadError> {
        target.check()?;
        let Target { addr, size, conns, .. } = target;
        let _turn = self.take_turn();
        let watch = self.watch(addr, self.config.drain);
        let pattern = Arc::new(Pattern::new(size, conns));
        // A thread without connections would have no share.
        let threads = self.workers.len().min(conns);
        let started = (self.workers.iter().zip(0..threads))
            .map(|(worker, thread)| {
                let opening = Opening {
                    target,
                    numbers: conns * thread / threads..conns * (thread + 1) / threads,
                    wave: (WAVE / threads).max(1),
                    pattern: Arc::clone(&pattern),
                };
                let watch = watch.clone();
                worker.start(Arc::clone(&watch.signals.abort), move |bench| {
                    Share::open(opening, &mut bench.scratch, &watch)
                })
            })
            .collect();
        let shares = finish(started)?;
        Ok(Session { target, shares })
    }

    /// Exchanges exactly `messages` messages on each active connection, or does as many operations
    /// on each loop, and checks them.
    ///
    /// # Errors
    ///
    /// See [`LoadError`]. The session is closed by any.
    pub fn verify(&self, session: &mut Session, messages: u64) -> Result<(), LoadError> {
        let shares = take_shares(session)?;
        if messages == 0 {
            session.shares = shares;
            return Ok(());
        }
        let _turn = self.take_turn();
        let watch = self.watch(session.target.addr, self.config.verify);
        let started = (shares.into_iter().zip(self.workers.iter().cycle()))
            .map(|(mut share, worker)| {
                let watch = watch.clone();
                worker.start(Arc::clone(&watch.signals.abort), move |bench| {
                    let mut pace = Quota::new(messages, watch);
                    share.exchange(&mut bench.scratch, &mut pace)?;
                    Ok(share)
                })
            })
            .collect();
        session.shares = finish(started)?;
        Ok(())
    }

    /// Runs one slice: `warmup` uncounted, then `window` counted; then no more is sent, and what is
    /// in flight is taken in and checked, but not counted. No churned connection is left open.
    ///
    /// `probe` is called twice, by a thread of the generator, at the start and at the end of the
    /// counted window, so that what it reads (the lane's CPU clock, say) covers the window. It
    /// delays the load for as long as it takes, and must not panic.
    ///
    /// With several threads, the window is that of the first one; the others step over its edges at
    /// their next message, so each may misplace one message at either edge.
    ///
    /// # Errors
    ///
    /// See [`LoadError`]. The session is closed by any.
    pub fn slice<P: Send + 'static>(
        &self,
        session: &mut Session,
        warmup: Duration,
        window: Duration,
        mut probe: impl FnMut() -> P + Send + 'static,
    ) -> Result<Slice<P>, LoadError> {
        let shares = take_shares(session)?;
        let _turn = self.take_turn();
        let watch = self.watch(session.target.addr, self.config.drain);
        let (seen, probes) = sync_channel(2);
        let mut leader = Some(Role::Leader {
            edge: Instant::now() + warmup,
            window,
            probe: Box::new(move || {
                let _ = seen.try_send(probe());
            }),
        });
        let started = (shares.into_iter().zip(self.workers.iter().cycle()))
            .map(|(mut share, worker)| {
                let role = leader.take().unwrap_or(Role::Follower);
                let watch = watch.clone();
                worker.start(Arc::clone(&watch.signals.abort), move |bench| {
                    let mut pace = Window::new(role, watch, &mut bench.latency);
                    share.exchange(&mut bench.scratch, &mut pace)?;
                    Ok((share, pace.into_part()))
                })
            })
            .collect();
        let (shares, mut parts): (Vec<_>, Vec<_>) = finish(started)?.into_iter().unzip();
        session.shares = shares;
        let mut total = parts.remove(0);
        for Part { ops, cpu, latency, .. } in parts {
            total.ops += ops;
            total.cpu += cpu;
            let added = total.latency.add(latency);
            debug_assert!(added.is_ok(), "all threads have the same bounds");
        }
        let probe = || probes.recv().expect("a slice that ended has met both edges");
        Ok(Slice {
            ops: total.ops,
            elapsed: total.elapsed,
            load_cpu: total.cpu,
            latency: total.latency,
            probes: (probe(), probe()),
        })
    }

    /// Closes a session; the same as dropping it.
    pub fn close(&self, session: Session) {
        drop(session);
    }

    fn watch(&self, addr: SocketAddr, limit: Duration) -> Watch {
        Watch {
            addr,
            cancel: Arc::clone(&self.config.cancel),
            signals: Arc::new(Signals::default()),
            stall: self.config.stall,
            limit,
        }
    }

    fn take_turn(&self) -> impl Drop + '_ {
        // It guards no data that a panic could have left half done.
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generator").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Takes the shares out of a session, so that an error leaves it closed.
fn take_shares(session: &mut Session) -> Result<Vec<Share>, LoadError> {
    let addr = session.target.addr;
    let shares = mem::take(&mut session.shares);
    if shares.is_empty() {
        return Err(LoadError::SessionClosed { addr });
    }
    Ok(shares)
}

/// Waits for all threads, whatever happens, and returns what they found; of their errors, the
/// first that is no mere consequence of another.
fn finish<T>(started: Vec<Started<T>>) -> Result<Vec<T>, LoadError> {
    let mut found = Vec::with_capacity(started.len());
    let mut failed = None;
    for job in started {
        match job.finish() {
            Ok(part) => found.push(part),
            Err(error) => match failed {
                None | Some(LoadError::Cancelled) => failed = Some(error),
                Some(_) => {}
            },
        }
    }
    match failed {
        None => Ok(found),
        Some(error) => Err(error),
    }
}
