//! CPU time of a lane.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use perf_event::events::Software;
use perf_event::{Builder, Counter};

use super::tasks::attach;
use crate::record::CpuSource;

/// CPU time of a process: of all its threads, including those that have ended, workers of `io_uring` among them.
///
/// It is read from the perf event `TASK_CLOCK`, which is exact at the moment of reading and includes the processes
/// that the process starts. Where perf is refused it is the CPU clock of the process, which lacks the time of
/// running threads since the kernel's last tick: [`source`](Self::source) says which. Clones read the same clock.
#[derive(Clone, Debug)]
pub struct CpuClock(Source);

#[derive(Clone, Debug)]
enum Source {
    // Shared, because a generator's thread reads it.
    TaskClock(Arc<Mutex<Vec<Counter>>>),
    ProcessClock(ClockId),
}

impl CpuClock {
    /// The clock of process `pid`. The earlier in the life of the process, the fewer counters there are: one if it
    /// has one thread, because all later threads inherit that.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn of(pid: u32) -> io::Result<Self> {
        let counters = attach(pid, |tid| {
            // Without the kernel's part, which perf refuses to users; this event includes it in any case.
            Builder::new(Software::TASK_CLOCK)
                .observe_pid(tid)
                .any_cpu()
                .inherit(true)
                .enabled(true)
                .build()
        });
        match counters {
            Ok(counters) if !counters.is_empty() => {
                Ok(Self(Source::TaskClock(Arc::new(Mutex::new(counters)))))
            }
            _ => Self::process_clock(pid),
        }
    }

    /// The CPU clock of process `pid`, which needs no permission.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn process_clock(pid: u32) -> io::Result<Self> {
        let clock = clock_getcpuclockid(Pid::from_raw(pid.cast_signed()))?;
        Ok(Self(Source::ProcessClock(clock)))
    }

    /// CPU time used since some instant before the first reading; `None` if it cannot be read, because the process
    /// is gone.
    pub fn now(&self) -> Option<Duration> {
        match &self.0 {
            Source::TaskClock(counters) => {
                let mut counters = counters.lock().unwrap_or_else(PoisonError::into_inner);
                let ns: io::Result<u64> = counters.iter_mut().map(Counter::read).sum();
                ns.ok().map(Duration::from_nanos)
            }
            Source::ProcessClock(clock) => clock_gettime(*clock).ok().map(Duration::from),
        }
    }

    /// Where the readings come from.
    pub fn source(&self) -> CpuSource {
        match self.0 {
            Source::TaskClock(_) => CpuSource::TaskClock,
            Source::ProcessClock(_) => CpuSource::ProcessClock,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};
    use std::time::Instant;

    use super::*;

    /// A shell that computes, and a child of it if `child`, until it is killed.
    struct Spinning(Child);

    impl Spinning {
        fn start(script: &str) -> Self {
            Self(Command::new("sh").args(["-c", script]).stdout(Stdio::null()).spawn().unwrap())
        }

        /// The perf clock; `None`, and a message, if perf is refused.
        fn task_clock(&self) -> Option<CpuClock> {
            let clock = CpuClock::of(self.0.id()).unwrap();
            if clock.source() == CpuSource::TaskClock {
                return Some(clock);
            }
            assert!(std::env::var_os("CI").is_none(), "CI must be able to open perf counters");
            eprintln!("SKIPPED: sudo sysctl kernel.perf_event_paranoid=2");
            None
        }
    }

    impl Drop for Spinning {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    const SPIN: &str = "while :; do :; done";

    /// Long enough for a machine that gives a process a tenth of a CPU.
    fn until_changed(clock: &CpuClock) {
        let (before, begin) = (clock.now().unwrap(), Instant::now());
        while clock.now().unwrap() == before {
            assert!(begin.elapsed() < Duration::from_secs(10), "it stands still at {before:?}");
        }
    }

    #[test]
    fn both_clocks_advance_while_process_computes() {
        let child = Spinning::start(SPIN);
        until_changed(&CpuClock::of(child.0.id()).unwrap());
        until_changed(&CpuClock::process_clock(child.0.id()).unwrap());
    }

    #[test]
    fn task_clock_is_exact_where_process_clock_moves_by_ticks() {
        let child = Spinning::start(SPIN);
        let Some(exact) = child.task_clock() else { return };
        // On a CPU of its own, because a process that leaves the CPU has an exact clock.
        let [cpu, other] = two_cpus();
        pin(Some(child.0.id()), other);
        pin(None, cpu);
        let by_ticks = CpuClock::process_clock(child.0.id()).unwrap();
        assert_eq!(by_ticks.source(), CpuSource::ProcessClock);
        let start = exact.now().unwrap();
        let (mut last, mut changes) = ([start; 2], [0; 2]);
        while last[0] < start + Duration::from_millis(120) {
            let now = [&exact, &by_ticks].map(|clock| clock.now().unwrap());
            assert!(now[0] >= last[0], "{now:?} after {last:?}");
            (0..2).for_each(|clock| changes[clock] += u32::from(now[clock] != last[clock]));
            last = now;
        }
        // 120 ms are at most 120 ticks.
        assert!(
            changes[0] > 2 * changes[1],
            "changes of the counter and of the clock: {changes:?}"
        );
    }

    fn two_cpus() -> [usize; 2] {
        let allowed = rustix::thread::sched_getaffinity(None).unwrap();
        let mut cpus = (0..rustix::thread::CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
        let first = cpus.next().unwrap();
        [first, cpus.next().unwrap_or(first)]
    }

    fn pin(pid: Option<u32>, cpu: usize) {
        let mut cpus = rustix::thread::CpuSet::new();
        cpus.set(cpu);
        let pid = pid.and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed()));
        rustix::thread::sched_setaffinity(pid, &cpus).unwrap();
    }

    #[test]
    fn task_clock_never_exceeds_time_of_one_thread() {
        let child = Spinning::start(SPIN);
        let Some(clock) = child.task_clock() else { return };
        for _ in 0..20 {
            let (begin, before) = (Instant::now(), clock.now().unwrap());
            std::thread::sleep(Duration::from_millis(5));
            let used = clock.now().unwrap().saturating_sub(before);
            let passed = begin.elapsed();
            assert!(used <= passed, "{used:?} in {passed:?}");
        }
    }

    #[test]
    fn task_clock_includes_kernel_and_later_children() {
        // The shell itself only waits; `dd` is almost always in the kernel.
        let mut shell = Command::new("sh")
            .args(["-c", "read go; dd if=/dev/zero of=/dev/null bs=4k; true"])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (stdin, child) = (shell.stdin.take().unwrap(), Spinning(shell));
        let Some(clock) = child.task_clock() else { return };
        io::Write::write_all(&mut &stdin, b"go\n").unwrap();
        let (begin, start) = (Instant::now(), clock.now().unwrap());
        while clock.now().unwrap() < start + Duration::from_millis(50) {
            assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", clock.now());
        }
        let dd = super::super::tasks::threads(child.0.id()).unwrap();
        assert_eq!(dd.len(), 2, "{dd:?}");
        let dd = Pid::from_raw(*dd.iter().find(|tid| **tid != child.0.id().cast_signed()).unwrap());
        nix::sys::signal::kill(dd, nix::sys::signal::Signal::SIGKILL).unwrap();
    }

    #[test]
    fn task_clock_counts_threads_that_exist_already() {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            while ended.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {}
        });
        let clock = CpuClock::of(std::process::id()).unwrap();
        let begin = Instant::now();
        let start = clock.now().unwrap();
        while clock.now().unwrap() < start + Duration::from_millis(20) {
            assert!(begin.elapsed() < Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(end);
        thread.join().unwrap();
    }

    #[test]
    fn process_clock_of_ended_process_is_none() {
        let child = Spinning::start(SPIN);
        let clock = CpuClock::process_clock(child.0.id()).unwrap();
        assert!(clock.now().is_some());
        drop(child);
        assert!(clock.now().is_none());
    }

    #[test]
    fn clock_rejects_absent_process() {
        // Linux has no process id above 2^22.
        let error = CpuClock::of((1 << 22) + 1).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::SRCH.raw_os_error()), "{error}");
    }
}
