//! Limits in time, and the signals that threads of one order share.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use crate::LoadError;

/// Where a slice stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    Warmup,
    Counted,
    Drain,
}

/// State that the threads working on one order share.
#[derive(Default)]
pub(crate) struct Signals {
    /// The [`Phase`] of the leading thread.
    phase: AtomicU8,
    /// Set by the first thread that fails, so that the others stop.
    pub(crate) abort: Arc<AtomicBool>,
}

impl Signals {
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Warmup,
            1 => Phase::Counted,
            _ => Phase::Drain,
        }
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }
}

/// When an exchange is given up.
#[derive(Clone)]
pub(crate) struct Limits {
    /// Address of the lane, for errors.
    pub(crate) addr: SocketAddr,
    pub(crate) cancel: Arc<AtomicBool>,
    pub(crate) signals: Arc<Signals>,
    /// The longest time without a byte.
    pub(crate) stall: Duration,
    /// The longest time for an exchange of a given number of messages, or for the drain of a slice.
    pub(crate) total: Duration,
}

impl Limits {
    pub(crate) fn check_cancelled(&self) -> Result<(), LoadError> {
        // A thread that stops because another has failed returns the same error. The caller reports
        // the failure instead.
        if self.cancel.load(Ordering::Relaxed) || self.signals.abort.load(Ordering::Relaxed) {
            return Err(LoadError::Cancelled);
        }
        Ok(())
    }
}

/// A thread checks its limits every 10 ms. If this much time has passed instead, it did not run.
const STARVED: Duration = Duration::from_millis(500);

/// Applies the limits to one exchange.
pub(super) struct Watchdog {
    pub(super) limits: Limits,
    checked_at: Option<Instant>,
    moved_at: Option<Instant>,
    total_from: Option<Instant>,
}

impl Watchdog {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, checked_at: None, moved_at: None, total_from: None }
    }

    /// Applies the limit on the total time from now on.
    pub(super) fn limit_total(&mut self, now: Instant) {
        self.total_from = Some(now);
    }

    pub(super) fn check(
        &mut self,
        now: Instant,
        moved: bool,
        outstanding: usize,
    ) -> Result<(), LoadError> {
        let Limits { addr, stall, total, .. } = self.limits;
        self.limits.check_cancelled()?;
        // The process was stopped or starved: the lane has not had that time to answer.
        let missed = self.checked_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.checked_at = Some(now);
        if missed > STARVED {
            self.moved_at = self.moved_at.map(|at| at + missed);
            self.total_from = self.total_from.map(|from| from + missed);
        }
        let over = |since: Instant, after: Duration| now.saturating_duration_since(since) >= after;
        if self.total_from.is_some_and(|from| over(from, total)) {
            return Err(LoadError::Overdue { addr, after: total, outstanding });
        }
        if moved {
            self.moved_at = Some(now);
        } else if over(*self.moved_at.get_or_insert(now), stall) {
            return Err(LoadError::Stalled { addr, after: stall, outstanding });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALL: Duration = Duration::from_secs(5);
    const TOTAL: Duration = Duration::from_secs(30);

    fn watchdog() -> Watchdog {
        Watchdog::new(Limits {
            addr: "127.0.0.1:1".parse().unwrap(),
            cancel: Arc::default(),
            signals: Arc::default(),
            stall: STALL,
            total: TOTAL,
        })
    }

    /// Checks every 100 ms from `from` to `to`, in milliseconds.
    fn check(
        watchdog: &mut Watchdog,
        start: Instant,
        (from, to): (u64, u64),
        moved: bool,
    ) -> Result<(), LoadError> {
        let times = (from..=to).step_by(100).map(|ms| start + Duration::from_millis(ms));
        times.into_iter().try_for_each(|now| watchdog.check(now, moved, 3))
    }

    #[test]
    fn check_fails_after_stall_without_bytes() {
        let (mut watchdog, start) = (watchdog(), Instant::now());
        check(&mut watchdog, start, (0, 3_900), false).unwrap();
        check(&mut watchdog, start, (4_000, 4_000), true).unwrap();
        check(&mut watchdog, start, (4_100, 8_900), false).unwrap();
        let error = check(&mut watchdog, start, (9_000, 9_000), false).unwrap_err();
        assert!(matches!(error, LoadError::Stalled { after: STALL, outstanding: 3, .. }));
    }

    #[test]
    fn check_fails_after_total_although_bytes_come() {
        let (mut watchdog, start) = (watchdog(), Instant::now());
        // The limit does not apply yet.
        check(&mut watchdog, start, (0, 60_000), true).unwrap();
        watchdog.limit_total(start + Duration::from_mins(1));
        check(&mut watchdog, start, (60_000, 89_900), true).unwrap();
        let error = check(&mut watchdog, start, (90_000, 90_000), true).unwrap_err();
        assert!(matches!(error, LoadError::Overdue { after: TOTAL, outstanding: 3, .. }));
    }

    #[test]
    fn check_does_not_count_time_in_which_the_thread_was_stopped() {
        let (mut watchdog, start) = (watchdog(), Instant::now());
        watchdog.limit_total(start);
        check(&mut watchdog, start, (0, 4_000), false).unwrap();
        check(&mut watchdog, start, (60_000, 60_900), false).unwrap();
        let error = check(&mut watchdog, start, (61_000, 61_000), false).unwrap_err();
        assert!(matches!(error, LoadError::Stalled { .. }), "{error}");
    }

    #[test]
    fn check_fails_when_cancelled_or_aborted() {
        let cancelled = watchdog();
        cancelled.limits.cancel.store(true, Ordering::Relaxed);
        let aborted = watchdog();
        aborted.limits.signals.abort.store(true, Ordering::Relaxed);
        for mut watchdog in [cancelled, aborted] {
            let error = watchdog.check(Instant::now(), true, 1).unwrap_err();
            assert!(matches!(error, LoadError::Cancelled));
        }
    }
}
