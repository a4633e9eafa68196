//! When to send the next message, and when to give up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};

use crate::LoadError;

/// Longest wait for events. It bounds how long a thread with nothing to do takes to see that it
/// was cancelled or that another thread has failed.
const TICK: Duration = Duration::from_millis(10);

/// Decides, within an exchange, what happens next.
pub(crate) trait Pace {
    /// Called before each wait, with the latest time and whether bytes have moved since the call
    /// before. Returns how long to wait at most, or why to give up.
    fn tick(
        &mut self,
        now: Instant,
        moved: bool,
        outstanding: usize,
    ) -> Result<Duration, LoadError>;

    /// Called for each message that came back whole and right, the `nth` of its connection in this
    /// exchange. Returns whether to send another.
    fn completed(&mut self, now: Instant, begun: Instant, nth: u64) -> bool;

    /// How many messages may be begun on a connection that has completed so many in this exchange.
    fn left(&self, completed: u64) -> u64;

    /// Whether nothing more is to be begun, on any connection.
    fn is_over(&self) -> bool;
}

/// Where a slice stands.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Phase {
    Warmup,
    Counted,
    Drain,
}

/// What the threads that work on one order share.
#[derive(Default)]
pub(crate) struct Signals {
    /// The [`Phase`] that the leader is in.
    phase: AtomicU8,
    /// Set by the first thread that fails, so that the others stop.
    pub(crate) abort: Arc<AtomicBool>,
}

/// Gives up on a lane that hangs, and on request.
#[derive(Clone)]
pub(crate) struct Watch {
    pub(crate) addr: SocketAddr,
    pub(crate) cancel: Arc<AtomicBool>,
    pub(crate) signals: Arc<Signals>,
    /// Limit without a byte moved.
    pub(crate) stall: Duration,
    /// Limit of all of an exchange that is bounded by a count, or of the drain of a slice.
    pub(crate) limit: Duration,
}

impl Watch {
    pub(crate) fn cancelled(&self) -> Result<(), LoadError> {
        // A thread that stops because another has failed says the same; the caller reports the
        // failure.
        if self.cancel.load(Ordering::Relaxed) || self.signals.abort.load(Ordering::Relaxed) {
            return Err(LoadError::Cancelled);
        }
        Ok(())
    }
}

/// A watch under way.
struct Guard {
    watch: Watch,
    moved_at: Option<Instant>,
    limit_from: Option<Instant>,
}

impl Guard {
    fn new(watch: Watch) -> Self {
        Self { watch, moved_at: None, limit_from: None }
    }

    fn check(&mut self, now: Instant, moved: bool, outstanding: usize) -> Result<(), LoadError> {
        let Watch { addr, stall, limit, .. } = self.watch;
        self.watch.cancelled()?;
        let over = |since: Instant, after: Duration| now.saturating_duration_since(since) >= after;
        if self.limit_from.is_some_and(|from| over(from, limit)) {
            return Err(LoadError::Overdue { addr, after: limit, outstanding });
        }
        if moved {
            self.moved_at = Some(now);
        } else if over(*self.moved_at.get_or_insert(now), stall) {
            return Err(LoadError::Stalled { addr, after: stall, outstanding });
        }
        Ok(())
    }
}

/// A number of messages per connection.
pub(crate) struct Quota {
    messages: u64,
    guard: Guard,
}

impl Quota {
    /// `messages` must not be 0: an exchange begins one on every connection.
    pub(crate) fn new(messages: u64, watch: Watch) -> Self {
        let mut guard = Guard::new(watch);
        guard.limit_from = Some(Instant::now());
        Self { messages, guard }
    }
}

impl Pace for Quota {
    fn tick(
        &mut self,
        now: Instant,
        moved: bool,
        outstanding: usize,
    ) -> Result<Duration, LoadError> {
        self.guard.check(now, moved, outstanding)?;
        Ok(TICK)
    }

    fn completed(&mut self, _now: Instant, _begun: Instant, nth: u64) -> bool {
        nth < self.messages
    }

    fn left(&self, completed: u64) -> u64 {
        self.messages.saturating_sub(completed)
    }

    fn is_over(&self) -> bool {
        // Those that have not begun their share are still to do it.
        false
    }
}

/// Calls the caller's probe; without result, as that goes to the caller directly.
pub(crate) type Probe = Box<dyn FnMut() + Send>;

/// One thread's part in deciding when the counted window starts and ends.
///
/// Were every thread to compare the time with an agreed instant, the window of a thread that is
/// held up at an edge would end elsewhere than the window of the probe. So one thread, the leader,
/// goes by the clock, and the others by its lead, of which they learn at their next message.
pub(crate) enum Role {
    Leader {
        /// When the window is to start; then when it is to end.
        edge: Instant,
        window: Duration,
        probe: Probe,
    },
    Follower,
}

/// A slice: warm-up, counted window and drain.
pub(crate) struct Window<'h> {
    role: Role,
    guard: Guard,
    phase: Phase,
    started: Instant,
    elapsed: Duration,
    cpu: Duration,
    ops: u64,
    latency: &'h mut Histogram<u64>,
}

/// What one thread saw of the counted window.
pub(crate) struct Part {
    pub(crate) ops: u64,
    /// By the leader's clock; zero from the other threads.
    pub(crate) elapsed: Duration,
    pub(crate) cpu: Duration,
    pub(crate) latency: Histogram<u64>,
}

impl<'h> Window<'h> {
    /// Clears `latency` and records into it: its pages are in memory already.
    pub(crate) fn new(role: Role, watch: Watch, latency: &'h mut Histogram<u64>) -> Self {
        latency.reset();
        Self {
            role,
            guard: Guard::new(watch),
            phase: Phase::Warmup,
            started: Instant::now(),
            elapsed: Duration::ZERO,
            cpu: Duration::ZERO,
            ops: 0,
            latency,
        }
    }

    pub(crate) fn into_part(self) -> Part {
        Part { ops: self.ops, elapsed: self.elapsed, cpu: self.cpu, latency: self.latency.clone() }
    }

    /// The phase to be in now.
    fn due(&self, now: Instant) -> Phase {
        let signals = &self.guard.watch.signals;
        match &self.role {
            Role::Leader { edge, .. } if now >= *edge => match self.phase {
                Phase::Warmup => Phase::Counted,
                Phase::Counted | Phase::Drain => Phase::Drain,
            },
            Role::Leader { .. } => self.phase,
            Role::Follower => match signals.phase.load(Ordering::Relaxed) {
                0 => Phase::Warmup,
                1 => Phase::Counted,
                _ => Phase::Drain,
            },
        }
    }

    /// Steps over an edge of the window. What was completed at `now` belongs to what was before.
    #[cold]
    fn cross(&mut self, now: Instant, into: Phase) {
        if let Role::Leader { edge, window, probe } = &mut self.role {
            probe();
            let signals = &self.guard.watch.signals;
            signals.phase.store(into as u8, Ordering::Relaxed);
            match into {
                // The end is counted from the actual start, so a late start does not make the
                // window short. The time the probe takes is inside the window at its start and
                // outside at its end, for operations and for the probe alike.
                Phase::Warmup | Phase::Counted => {
                    self.started = now;
                    *edge = now + *window;
                }
                Phase::Drain => self.elapsed = now - self.started,
            }
        }
        match (self.phase, into) {
            (Phase::Warmup, Phase::Counted) => self.cpu = thread_cpu(),
            (Phase::Counted, Phase::Drain) => self.cpu = thread_cpu().saturating_sub(self.cpu),
            // A follower that was not scheduled during all of the window has seen nothing of it.
            _ => {}
        }
        if into == Phase::Drain {
            self.guard.limit_from = Some(now);
        }
        self.phase = into;
    }
}

impl Pace for Window<'_> {
    fn tick(
        &mut self,
        now: Instant,
        moved: bool,
        outstanding: usize,
    ) -> Result<Duration, LoadError> {
        self.guard.check(now, moved, outstanding)?;
        let due = self.due(now);
        if due != self.phase {
            self.cross(now, due);
        }
        Ok(match &self.role {
            Role::Leader { edge, .. } if self.phase != Phase::Drain => {
                edge.saturating_duration_since(now).min(TICK)
            }
            _ => TICK,
        })
    }

    #[inline]
    fn completed(&mut self, now: Instant, begun: Instant, _nth: u64) -> bool {
        if self.phase == Phase::Counted {
            self.ops += 1;
            let latency = now.saturating_duration_since(begun);
            let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
            self.latency.saturating_record(nanos);
        }
        let due = self.due(now);
        if due != self.phase {
            self.cross(now, due);
        }
        !self.is_over()
    }

    fn left(&self, _completed: u64) -> u64 {
        u64::MAX
    }

    fn is_over(&self) -> bool {
        self.phase == Phase::Drain
    }
}

/// CPU time of the calling thread.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}
