//! The phases of one slice, and who decides when they change.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::WAIT_MAX;
use super::watchdog::{Limits, Phase, Watchdog};
use crate::LoadError;

/// Calls the caller's probe. The result goes to the caller through a channel.
pub(crate) type Probe = Box<dyn FnMut() + Send>;

/// One thread's part in deciding when the counted window starts and ends.
///
/// If every thread compared the time with an agreed instant, the window of a thread that is
/// descheduled at an edge would end later than the window of the probe. Therefore one thread, the
/// leader, follows the clock. The others follow the leader and notice an edge at their next message.
pub(crate) enum Role {
    Leader {
        /// When the window is to start, and after its start, when it is to end.
        edge: Instant,
        window: Duration,
        probe: Probe,
    },
    Follower,
}

/// Where one thread stands in a slice: warm-up, counted window or drain.
pub(super) struct Phases {
    role: Role,
    watchdog: Watchdog,
    phase: Phase,
    started_at: Instant,
    /// Of the counted window, by the leader's clock; zero in the other threads.
    pub(super) elapsed: Duration,
    /// CPU time of this thread in the counted window.
    pub(super) cpu: Duration,
}

impl Phases {
    pub(super) fn new(role: Role, limits: Limits) -> Self {
        Self {
            role,
            watchdog: Watchdog::new(limits),
            phase: Phase::Warmup,
            started_at: Instant::now(),
            elapsed: Duration::ZERO,
            cpu: Duration::ZERO,
        }
    }

    #[inline]
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// Applies the limits.
    pub(super) fn check(
        &mut self,
        now: Instant,
        moved: bool,
        outstanding: usize,
    ) -> Result<(), LoadError> {
        self.watchdog.check(now, moved, outstanding)
    }

    /// The longest time to wait for events.
    pub(super) fn wait_max(&self, now: Instant) -> Duration {
        match &self.role {
            Role::Leader { edge, .. } if self.phase != Phase::Drain => {
                edge.saturating_duration_since(now).min(WAIT_MAX)
            }
            _ => WAIT_MAX,
        }
    }

    /// Enters the phase that is due, if it is another one, and returns whether it did.
    #[inline]
    pub(super) fn follow(&mut self, now: Instant) -> bool {
        let due = match &self.role {
            Role::Leader { edge, .. } if now >= *edge => match self.phase {
                Phase::Warmup => Phase::Counted,
                Phase::Counted | Phase::Drain => Phase::Drain,
            },
            Role::Leader { .. } => self.phase,
            Role::Follower => self.watchdog.limits.signals.phase(),
        };
        let changes = due != self.phase;
        if changes {
            self.enter(due, now);
        }
        changes
    }

    /// Enters the next phase. A message completed at `now` belongs to the phase before.
    #[cold]
    fn enter(&mut self, next: Phase, now: Instant) {
        if let Role::Leader { edge, window, probe } = &mut self.role {
            probe();
            self.watchdog.limits.signals.set_phase(next);
            match next {
                // The end is computed from the actual start, so that a late start does not shorten
                // the window. The duration of the probe counts at the start of the window and not at
                // its end, for operations and for the probe's own figures alike.
                Phase::Warmup | Phase::Counted => {
                    self.started_at = now;
                    *edge = now + *window;
                }
                Phase::Drain => self.elapsed = now - self.started_at,
            }
        }
        match (self.phase, next) {
            (Phase::Warmup, Phase::Counted) => self.cpu = thread_cpu_time(),
            (Phase::Counted, Phase::Drain) => {
                self.cpu = thread_cpu_time().saturating_sub(self.cpu);
            }
            // A follower that was not scheduled during the whole window goes from warm-up to drain,
            // and has used no CPU time in between.
            _ => {}
        }
        if next == Phase::Drain {
            self.watchdog.limit_total(now);
        }
        self.phase = next;
    }
}

/// CPU time of the calling thread.
fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.try_into().expect("CPU time is not negative")
}
