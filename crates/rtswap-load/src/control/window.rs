//! An exchange for a given time: one slice.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};

use super::watchdog::{Limits, Phase, Watchdog};
use super::{ExchangeControl, WAIT_MAX};
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

/// Counts one slice: warm-up, counted window and drain.
pub(crate) struct SliceWindow<'h> {
    role: Role,
    watchdog: Watchdog,
    phase: Phase,
    started_at: Instant,
    elapsed: Duration,
    cpu: Duration,
    ops: u64,
    latency: &'h mut Histogram<u64>,
}

/// What one thread measured in the counted window.
pub(crate) struct ThreadSlice {
    pub(crate) ops: u64,
    /// By the leader's clock; zero from the other threads.
    pub(crate) elapsed: Duration,
    pub(crate) cpu: Duration,
    pub(crate) latency: Histogram<u64>,
}

impl<'h> SliceWindow<'h> {
    /// Clears `latency` and records into it, because its pages are mapped already.
    pub(crate) fn new(role: Role, limits: Limits, latency: &'h mut Histogram<u64>) -> Self {
        latency.reset();
        Self {
            role,
            watchdog: Watchdog::new(limits),
            phase: Phase::Warmup,
            started_at: Instant::now(),
            elapsed: Duration::ZERO,
            cpu: Duration::ZERO,
            ops: 0,
            latency,
        }
    }

    pub(crate) fn into_result(self) -> ThreadSlice {
        let Self { ops, elapsed, cpu, .. } = self;
        ThreadSlice { ops, elapsed, cpu, latency: self.latency.clone() }
    }

    /// The phase that this thread should be in.
    #[inline]
    fn due_phase(&self, now: Instant) -> Phase {
        match &self.role {
            Role::Leader { edge, .. } if now >= *edge => match self.phase {
                Phase::Warmup => Phase::Counted,
                Phase::Counted | Phase::Drain => Phase::Drain,
            },
            Role::Leader { .. } => self.phase,
            Role::Follower => self.watchdog.limits.signals.phase(),
        }
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

    #[inline]
    fn follow_phase(&mut self, now: Instant) {
        let due = self.due_phase(now);
        if due != self.phase {
            self.enter(due, now);
        }
    }
}

impl ExchangeControl for SliceWindow<'_> {
    fn tick(
        &mut self,
        now: Instant,
        moved: bool,
        outstanding: usize,
    ) -> Result<Duration, LoadError> {
        self.watchdog.check(now, moved, outstanding)?;
        self.follow_phase(now);
        Ok(match &self.role {
            Role::Leader { edge, .. } if self.phase != Phase::Drain => {
                edge.saturating_duration_since(now).min(WAIT_MAX)
            }
            _ => WAIT_MAX,
        })
    }

    #[inline]
    fn completed(&mut self, now: Instant, started_at: Instant, _nth: u64) -> bool {
        if self.phase == Phase::Counted {
            self.ops += 1;
            let latency = now.saturating_duration_since(started_at);
            let latency_ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
            self.latency.saturating_record(latency_ns);
        }
        self.follow_phase(now);
        !self.is_over()
    }

    fn remaining(&self, _completed: u64) -> u64 {
        u64::MAX
    }

    fn is_over(&self) -> bool {
        self.phase == Phase::Drain
    }
}

/// CPU time of the calling thread.
fn thread_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.try_into().expect("CPU time is not negative")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn limits() -> Limits {
        Limits {
            addr: "127.0.0.1:1".parse().unwrap(),
            cancel: Arc::default(),
            signals: Arc::default(),
            stall: Duration::MAX,
            total: Duration::MAX,
        }
    }

    fn histogram() -> Histogram<u64> {
        Histogram::new_with_bounds(1, 1_000_000_000, 3).unwrap()
    }

    #[test]
    fn leader_counts_messages_between_edges_and_calls_probe_at_both() {
        let (start, calls) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let counter = Arc::clone(&calls);
        let probe = Box::new(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let role = Role::Leader { edge: start + 10 * MS, window: 40 * MS, probe };
        let mut latency = histogram();
        let mut window = SliceWindow::new(role, limits(), &mut latency);
        assert_eq!(window.tick(start + 4 * MS, true, 1).unwrap(), 6 * MS);
        assert!(window.completed(start + 9 * MS, start, 1));
        assert_eq!(calls.load(Ordering::Relaxed), 0);
        // The window starts late, and so ends late.
        assert!(window.completed(start + 12 * MS, start, 2));
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        assert!(window.completed(start + 51 * MS, start + 50 * MS, 3));
        // The message that ends the window still counts.
        assert!(!window.completed(start + 53 * MS, start + 51 * MS, 4));
        assert_eq!(calls.load(Ordering::Relaxed), 2);
        assert!(!window.completed(start + 60 * MS, start, 5));
        let slice = window.into_result();
        assert_eq!((slice.ops, slice.elapsed), (2, 41 * MS));
        let latencies: Vec<_> =
            slice.latency.iter_recorded().map(|value| value.count_at_value()).collect();
        assert_eq!(latencies, [1, 1]);
        assert!(slice.latency.equivalent(slice.latency.max(), 2_000_000));
    }

    #[test]
    fn follower_enters_phases_of_leader_at_its_next_message() {
        let (now, limits) = (Instant::now(), limits());
        let mut latency = histogram();
        let mut window = SliceWindow::new(Role::Follower, limits.clone(), &mut latency);
        assert!(window.completed(now, now, 1));
        limits.signals.set_phase(Phase::Counted);
        assert!(window.completed(now, now, 2));
        assert!(window.completed(now, now, 3));
        limits.signals.set_phase(Phase::Drain);
        assert!(!window.completed(now, now, 4));
        assert!(!window.completed(now, now, 5));
        assert!(window.is_over());
        let slice = window.into_result();
        assert_eq!((slice.ops, slice.elapsed), (2, Duration::ZERO));
    }
}
