//! Messages at the instants of a schedule for a given time: one slice of an offered load.

use std::collections::VecDeque;
use std::iter::Peekable;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rtswap_schema::record::Offered;
use rtswap_schema::schedule::Schedule;

use super::phases::{Phases, Role};
use super::watchdog::{Limits, Phase};
use crate::{LoadError, Waiting};

/// The messages of one thread, and when they are due.
pub(crate) struct Arrivals {
    schedule: Peekable<Schedule>,
    /// What the schedule counts from.
    start: Instant,
    /// The window in which messages count, by when they are due.
    counted_from: Instant,
    counted_until: Instant,
}

/// Messages that are due and were not sent, and what is known of those that were.
///
/// The window has two ends that are nearly the same instant: the planned one, which decides whether a
/// message counts as offered and whether its latency counts, and the one at which the leader has read the
/// probe, which decides whether a completed message counts as an operation.
pub(crate) struct PacedWindow<'h> {
    phases: Phases,
    arrivals: Arrivals,
    /// Due, and not sent: no connection was free.
    queue: VecDeque<Due>,
    /// When messages that are not sent are given up. A lane that is not overloaded has answered them long
    /// before.
    give_up_after: Duration,
    give_up_at: Option<Instant>,
    waiting: Waiting,
    /// At the last tick.
    ticked_at: Instant,
    /// Time in the counted window in which nothing was due and nothing came.
    idle: Duration,
    ops: u64,
    offered: Offered,
    /// Messages due so far that are not completed.
    backlog: u64,
    histograms: &'h mut Histograms,
}

/// Histograms of one thread, in nanoseconds. They are kept, because their pages are mapped already.
#[derive(Clone)]
pub(crate) struct Histograms {
    pub(crate) latency: Histogram<u64>,
    /// How late messages were sent because of the generator.
    pub(crate) late: Histogram<u64>,
}

#[derive(Clone, Copy)]
struct Due {
    at: Instant,
    /// When the generator noticed that it was due.
    noticed_at: Instant,
}

/// What one thread measured.
pub(crate) struct ThreadPaced {
    pub(crate) ops: u64,
    /// By the leader's clock; zero from the other threads.
    pub(crate) elapsed: Duration,
    /// Without the time in which it waited.
    pub(crate) cpu: Duration,
    /// Without lateness, which is that of all threads together.
    pub(crate) offered: Offered,
    pub(crate) histograms: Histograms,
}

impl Arrivals {
    /// The messages of `schedule`, counted from `start`, which count after `warmup` for a time of `window`.
    pub(crate) fn new(
        schedule: Schedule,
        start: Instant,
        warmup: Duration,
        window: Duration,
    ) -> Self {
        let counted_from = start + warmup;
        let counted_until = counted_from + window;
        Self { schedule: schedule.peekable(), start, counted_from, counted_until }
    }

    /// When the next message is due; `None` after the window.
    #[inline]
    fn next_at(&mut self) -> Option<Instant> {
        let at = self.start + Duration::from_nanos(*self.schedule.peek()?);
        (at < self.counted_until).then_some(at)
    }

    fn counts(&self, at: Instant) -> bool {
        self.counted_from <= at && at < self.counted_until
    }
}

impl<'h> PacedWindow<'h> {
    /// The least time that messages of the window are waited for, after its end.
    const GIVE_UP_LEAST: Duration = Duration::from_millis(250);

    /// Clears `histograms` and records into them.
    pub(crate) fn new(
        role: Role,
        limits: Limits,
        arrivals: Arrivals,
        waiting: Waiting,
        histograms: &'h mut Histograms,
    ) -> Self {
        histograms.latency.reset();
        histograms.late.reset();
        let window = arrivals.counted_until - arrivals.counted_from;
        let arrivals_start = arrivals.start;
        Self {
            phases: Phases::new(role, limits),
            arrivals,
            queue: VecDeque::new(),
            give_up_after: window.max(Self::GIVE_UP_LEAST),
            give_up_at: None,
            waiting,
            ticked_at: arrivals_start,
            idle: Duration::ZERO,
            ops: 0,
            offered: Offered::default(),
            backlog: 0,
            histograms,
        }
    }

    pub(crate) fn into_result(self) -> ThreadPaced {
        let Phases { elapsed, cpu, .. } = self.phases;
        let Self { ops, offered, idle, .. } = self;
        let cpu = match self.waiting {
            Waiting::Spin => cpu.saturating_sub(idle),
            Waiting::Sleep => cpu,
        };
        ThreadPaced { ops, elapsed, cpu, offered, histograms: self.histograms.clone() }
    }

    /// Called before each wait. Returns the longest time to wait, or why the exchange is given up.
    /// `outstanding` messages are under way.
    pub(crate) fn tick(
        &mut self,
        now: Instant,
        moved: bool,
        outstanding: usize,
    ) -> Result<Duration, LoadError> {
        // Without a message under way, no byte is due.
        self.phases.check(now, moved || outstanding == 0, outstanding)?;
        self.collect(now);
        if self.give_up_at.is_some_and(|at| now >= at) {
            self.queue.clear();
        }
        let wait = self.phases.wait_max(now);
        let next = self.arrivals.next_at().map(|at| at.saturating_duration_since(now));
        let wait = match self.waiting {
            Waiting::Spin => Duration::ZERO,
            Waiting::Sleep => next.map_or(wait, |next| next.min(wait)),
        };
        if !moved && self.queue.is_empty() && self.phases.phase() == Phase::Counted {
            self.idle += now.saturating_duration_since(self.ticked_at);
        }
        self.ticked_at = now;
        Ok(wait)
    }

    /// Queues the messages that have become due, and enters the phase that is due.
    #[inline]
    pub(crate) fn collect(&mut self, now: Instant) {
        while let Some(at) = self.arrivals.next_at().filter(|&at| at <= now) {
            self.arrivals.schedule.next();
            self.queue.push_back(Due { at, noticed_at: now });
            self.backlog += 1;
            self.offered.ops += u64::from(self.arrivals.counts(at));
        }
        if self.phases.follow(now) {
            match self.phases.phase() {
                Phase::Warmup => {}
                Phase::Counted => self.offered.backlog_start = self.backlog,
                Phase::Drain => {
                    self.offered.backlog_end = self.backlog;
                    self.give_up_at = Some(now + self.give_up_after);
                }
            }
        }
    }

    /// Takes up to `most` messages that are due, for a connection that has been free since `free_since`, and
    /// puts the instants at which they were due to the end of `taken`.
    pub(crate) fn take(
        &mut self,
        most: usize,
        now: Instant,
        free_since: Instant,
        taken: &mut VecDeque<Instant>,
    ) -> u64 {
        let count = most.min(self.queue.len());
        for Due { at, noticed_at } in self.queue.drain(..count) {
            if self.arrivals.counts(at) {
                // A message that found no free connection waited for the lane, except for the time until
                // it was noticed.
                let sent_late = now.saturating_duration_since(at.max(free_since));
                let late = sent_late.max(noticed_at.saturating_duration_since(at));
                self.histograms.late.saturating_record(nanos(late));
            }
            taken.push_back(at);
        }
        count as u64
    }

    /// Whether a message is due.
    #[inline]
    pub(crate) fn has_due(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Counts a message that was due at `at` and has been answered at `now`.
    #[inline]
    pub(crate) fn completed(&mut self, now: Instant, at: Instant) {
        self.backlog -= 1;
        if self.phases.phase() == Phase::Counted {
            self.ops += 1;
        }
        if self.arrivals.counts(at) {
            self.histograms.latency.saturating_record(nanos(now.saturating_duration_since(at)));
        }
        self.collect(now);
    }

    /// Whether the window is over and every message was answered or given up.
    pub(crate) fn is_over(&self, outstanding: usize) -> bool {
        self.phases.phase() == Phase::Drain && outstanding == 0 && self.queue.is_empty()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use rtswap_schema::protocol::Pace;
    use rtswap_schema::workload::Arrivals as Kind;

    use super::*;

    const MS: Duration = Duration::from_millis(1);
    /// Of 10,000 a second: a message is due each 100 µs.
    const PACE: Pace = Pace { rate_per_s: 10_000.0, arrivals: Kind::Constant, seed: 1 };

    fn histograms() -> Histograms {
        let histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3).unwrap();
        Histograms { latency: histogram.clone(), late: histogram }
    }

    /// A window of 10 ms after a warm-up of 10 ms, from `start`.
    fn window(start: Instant, histograms: &mut Histograms) -> PacedWindow<'_> {
        let addr: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let limits = Limits {
            addr,
            cancel: Arc::default(),
            signals: Arc::default(),
            stall: Duration::MAX,
            total: Duration::MAX,
        };
        let role = Role::Leader { edge: start + 10 * MS, window: 10 * MS, probe: Box::new(|| ()) };
        let arrivals = Arrivals::new(Schedule::new(&PACE, 0, 1), start, 10 * MS, 10 * MS);
        PacedWindow::new(role, limits, arrivals, Waiting::Sleep, histograms)
    }

    /// Takes what is due and answers it after `latency`.
    fn serve(window: &mut PacedWindow<'_>, now: Instant, latency: Duration) -> u64 {
        let mut taken = VecDeque::new();
        let count = window.take(usize::MAX, now, window.arrivals.start, &mut taken);
        for at in taken {
            window.completed(now + latency, at);
        }
        count
    }

    #[test]
    fn punctual_generator_counts_messages_due_in_window() {
        let (start, mut histograms) = (Instant::now(), histograms());
        let mut paced = window(start, &mut histograms);
        let mut sent = 0;
        for step in 0..=2000 {
            let now = start + step * MS / 100;
            let wait = paced.tick(now, true, 0).unwrap();
            assert!(wait <= Duration::from_micros(100) || step >= 1990, "{step}: {wait:?}");
            sent += serve(&mut paced, now, Duration::from_micros(5));
        }
        assert!(paced.is_over(0));
        let ThreadPaced { ops, elapsed, offered, histograms, .. } = paced.into_result();
        assert_eq!((sent, ops, elapsed), (200, 100, 10 * MS));
        // The first message of the window is due at its start.
        assert_eq!((offered.ops, offered.backlog_start, offered.backlog_end), (100, 1, 0));
        assert_eq!((histograms.latency.len(), histograms.late.len()), (100, 100));
        assert!(histograms.latency.max() < 5_100, "{}", histograms.latency.max());
        assert_eq!(histograms.late.max(), 0);
    }

    #[test]
    fn stopped_generator_is_late_and_not_the_lane() {
        let (start, mut histograms) = (Instant::now(), histograms());
        let mut paced = window(start, &mut histograms);
        paced.tick(start + 10 * MS, true, 0).unwrap();
        serve(&mut paced, start + 10 * MS, Duration::ZERO);
        // Nothing ran for 100 ms.
        let now = start + 110 * MS;
        paced.tick(now, true, 0).unwrap();
        serve(&mut paced, now, Duration::ZERO);
        let late = paced.into_result().histograms.late;
        assert!(late.value_at_quantile(0.5) > 90_000_000, "{}", late.value_at_quantile(0.5));
    }

    #[test]
    fn wait_for_a_connection_is_latency_and_not_lateness() {
        let (start, mut histograms) = (Instant::now(), histograms());
        let mut paced = window(start, &mut histograms);
        let mut now = start;
        // The generator looks in time, and the only connection is busy until the end of the window.
        while now < start + 20 * MS {
            paced.tick(now, true, 1).unwrap();
            now += MS / 10;
        }
        paced.tick(now, true, 1).unwrap();
        let mut taken = VecDeque::new();
        assert_eq!(paced.take(usize::MAX, now, now, &mut taken), 200);
        for at in taken {
            paced.completed(now, at);
        }
        let ThreadPaced { offered, histograms, .. } = paced.into_result();
        assert_eq!((offered.backlog_start, offered.backlog_end), (101, 200));
        assert!((offered.backlog_growth() - 0.99).abs() < 1e-9);
        assert!(histograms.late.max() < 1_000, "{}", histograms.late.max());
        assert!(histograms.latency.max() >= 9_900_000, "{}", histograms.latency.max());
    }

    #[test]
    fn unsent_messages_are_given_up_after_the_window() {
        let (start, mut histograms) = (Instant::now(), histograms());
        let mut paced = window(start, &mut histograms);
        paced.tick(start + 10 * MS, true, 1).unwrap();
        paced.tick(start + 20 * MS, true, 1).unwrap();
        paced.tick(start + 269 * MS, true, 0).unwrap();
        assert!(paced.has_due() && !paced.is_over(0));
        paced.tick(start + 270 * MS, true, 0).unwrap();
        assert!(paced.is_over(0));
        let offered = paced.into_result().offered;
        assert_eq!((offered.ops, offered.backlog_end), (100, 200));
    }
}
