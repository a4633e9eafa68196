//! Work that the kernel does in threads of its own.

use std::fs;
use std::time::{Duration, Instant};

/// The process that starts the kernel's threads.
const KTHREADD: i32 = 2;

/// CPU time of the kernel's threads, which take down rings and write pages back after a process has gone on.
///
/// Holds no file open: descriptors may be few where connections are many.
#[derive(Debug)]
pub struct KernelWork(Vec<String>);

impl KernelWork {
    /// The threads that there are now. None where the kernel hides them, as in a container: nothing is waited for
    /// then.
    pub fn list() -> Self {
        let path = format!("/proc/{KTHREADD}/task/{KTHREADD}/children");
        let threads = fs::read_to_string(path).unwrap_or_default();
        let path = |tid: &str| format!("/proc/{tid}/schedstat");
        Self(threads.split_ascii_whitespace().map(path).collect())
    }

    /// CPU time that they have used. The time of a running thread is added at the next tick.
    pub fn cpu_time(&self) -> Duration {
        let of = |path: &String| -> Option<u64> {
            // The error of a thread that has ended.
            let text = fs::read_to_string(path).ok()?;
            text.split_ascii_whitespace().next()?.parse().ok()
        };
        Duration::from_nanos(self.0.iter().filter_map(of).sum())
    }

    /// Waits until they have used next to nothing for some milliseconds, at most 60 ms. Returns how long it took.
    pub fn wait_until_quiet() -> Duration {
        const STEP: Duration = Duration::from_millis(2);
        /// Rings are taken down after a grace period of the kernel, some milliseconds after they were closed.
        const QUIET_STEPS: u32 = 5;
        const QUIET: Duration = Duration::from_micros(100);
        const LONGEST: Duration = Duration::from_millis(60);
        let begin = Instant::now();
        // The work may be done by threads that were started for it.
        let work = Self::list();
        let (mut before, mut quiet) = (work.cpu_time(), 0);
        while quiet < QUIET_STEPS && begin.elapsed() < LONGEST {
            std::thread::sleep(STEP);
            let now = work.cpu_time();
            quiet = if now.saturating_sub(before) < QUIET { quiet + 1 } else { 0 };
            before = now;
        }
        begin.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_threads_are_listed_and_their_time_does_not_shrink() {
        let work = KernelWork::list();
        if work.0.is_empty() {
            eprintln!("SKIPPED: the kernel's threads are hidden");
            return;
        }
        let before = work.cpu_time();
        assert!(before > Duration::ZERO);
        KernelWork::wait_until_quiet();
        assert!(work.cpu_time() >= before);
    }
}
