//! A closed loop for a given time: one slice.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::ExchangeControl;
use super::phases::{Phases, Role};
use super::watchdog::{Limits, Phase};
use crate::LoadError;

/// Counts one slice: warm-up, counted window and drain.
pub(crate) struct SliceWindow<'h> {
    phases: Phases,
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
        Self { phases: Phases::new(role, limits), ops: 0, latency }
    }

    pub(crate) fn into_result(self) -> ThreadSlice {
        let Phases { elapsed, cpu, .. } = self.phases;
        ThreadSlice { ops: self.ops, elapsed, cpu, latency: self.latency.clone() }
    }
}

impl ExchangeControl for SliceWindow<'_> {
    fn tick(
        &mut self,
        now: Instant,
        moved: bool,
        outstanding: usize,
    ) -> Result<Duration, LoadError> {
        self.phases.check(now, moved, outstanding)?;
        self.phases.follow(now);
        Ok(self.phases.wait_max(now))
    }

    #[inline]
    fn completed(&mut self, now: Instant, started_at: Instant, _nth: u64) -> bool {
        if self.phases.phase() == Phase::Counted {
            self.ops += 1;
            let latency = now.saturating_duration_since(started_at);
            let latency_ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
            self.latency.saturating_record(latency_ns);
        }
        self.phases.follow(now);
        !self.is_over()
    }

    fn remaining(&self, _completed: u64) -> u64 {
        u64::MAX
    }

    fn is_over(&self) -> bool {
        self.phases.phase() == Phase::Drain
    }
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
