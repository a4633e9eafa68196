use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::{FormattedDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use rtswap_harness::record::{LaneFailure, WorkloadPlan};
use rtswap_harness::schedule::Observer;
use rtswap_report::format::list;

/// A bar on standard error, if that is a terminal. It is redrawn between rounds and never by a timer,
/// so that nothing is drawn while a slice is timed.
pub(super) struct Progress {
    bar: ProgressBar,
    begin: Instant,
    expected: Duration,
    share: f64,
}

const STEPS: u64 = 1000;

impl Progress {
    pub fn new(expected: Duration) -> Self {
        let bar = ProgressBar::with_draw_target(Some(STEPS), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}");
        bar.set_style(style.expect("the template is right"));
        Self { bar, begin: Instant::now(), expected, share: 0.0 }
    }

    /// Shows what is about to be measured, after a share of the plan.
    pub fn step(&mut self, share: f64, what: &str) {
        self.progressed(share);
        let left = FormattedDuration(self.left());
        self.bar.set_message(format!("{left} left  {what}"));
    }

    /// Prints a line above the bar.
    pub fn warn(&self, line: &str) {
        self.bar.suspend(|| note!("warning: {line}"));
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// What the plan says at first, and what the run has shown later.
    fn left(&self) -> Duration {
        if self.share < 0.05 {
            return self.expected.saturating_sub(self.begin.elapsed());
        }
        self.begin.elapsed().mul_f64((1.0 - self.share) / self.share)
    }
}

impl Observer for Progress {
    fn round_started(&mut self, workload: &WorkloadPlan, round: u32) {
        let (name, round) = (&workload.name, round + 1);
        let left = FormattedDuration(self.left());
        self.bar.set_message(format!("{left} left  {name}, round {round}"));
    }

    fn progressed(&mut self, share: f64) {
        self.share = share;
        self.bar.set_position((share * STEPS as f64) as u64);
    }

    fn lane_lost(&mut self, lost: &LaneFailure) {
        let LaneFailure { workload, lane, reason, rounds_count, .. } = lost;
        let kept = if *rounds_count { " (its finished rounds count)" } else { "" };
        self.bar.suspend(|| note!("warning: {lane} has lost {workload}{kept}: {reason}"));
    }

    fn left_behind(&mut self, left: &BTreeMap<String, Vec<String>>) {
        for (lane, processes) in left {
            let processes = list(processes);
            self.warn(&format!("{lane} left processes behind, which were ended: {processes}"));
        }
    }
}
