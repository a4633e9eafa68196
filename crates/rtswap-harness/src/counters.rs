//! The kernel's counters for a lane's process.

use std::io;
use std::time::Duration;

use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use perf_event::events::{Software, Tracepoint};
use perf_event::{Builder, Counter};
use procfs::ProcError;
use procfs::process::Process;
use rustix::io::Errno;

use crate::record::Counts;

/// The CPU clock of a process: the CPU time of all its threads, including those that have ended.
#[derive(Clone, Copy, Debug)]
pub struct CpuClock(ClockId);

impl CpuClock {
    /// The clock of process `pid`.
    ///
    /// # Errors
    /// If there is no such process.
    pub fn of(pid: u32) -> io::Result<Self> {
        Ok(Self(clock_getcpuclockid(Pid::from_raw(pid.cast_signed()))?))
    }

    /// CPU time used so far; `None` if the process is gone.
    pub fn now(self) -> Option<Duration> {
        clock_gettime(self.0).ok().map(Duration::from)
    }
}

/// Proportional set size of a process, in bytes.
pub fn memory_bytes(pid: u32) -> Option<u64> {
    let rollup = Process::new(pid.cast_signed()).ok()?.smaps_rollup().ok()?;
    rollup.memory_map_rollup.0.first()?.extension.map.get("Pss").copied()
}

/// Why system calls and context switches are not counted. The text names the remedy.
#[derive(Debug, thiserror::Error)]
pub enum CounterError {
    /// The tracepoint's number is not readable.
    #[error(
        "cannot read the tracepoint raw_syscalls:sys_enter ({source}): run as root, or \
         `sudo mount -o remount,mode=755 /sys/kernel/tracing`"
    )]
    Tracepoint {
        /// What the system says.
        source: io::Error,
    },
    /// The kernel refuses to open a counter.
    #[error(
        "perf_event_open is refused ({source}): run as root, or \
         `sudo sysctl kernel.perf_event_paranoid=-1`"
    )]
    Refused {
        /// What the system says.
        source: io::Error,
    },
    /// The threads of the process cannot be listed.
    #[error("cannot list the threads of process {pid} ({source}): is it still running?")]
    Threads {
        /// The process.
        pid: u32,
        /// What `/proc` says.
        source: ProcError,
    },
    /// An open counter cannot be read.
    #[error("cannot read an open perf counter ({source}): run again")]
    Read {
        /// What the system says.
        source: io::Error,
    },
    /// A service that all lanes of the round share has ended, so that no slice can be counted.
    #[error("the server that all lanes use ended before the count")]
    ServiceEnded,
}

/// Counters on every thread of a process, and on the threads that these start.
///
/// Keep them open only while counting: as long as one is open, every system call on the machine takes
/// the kernel's slow path.
#[derive(Debug)]
pub struct SyscallCounter {
    syscalls: Vec<Counter>,
    switches: Vec<Counter>,
}

impl SyscallCounter {
    /// Opens and starts the counters.
    ///
    /// # Errors
    /// [`CounterError`] if the kernel refuses.
    pub fn open(pid: u32) -> Result<Self, CounterError> {
        let tracepoint = sys_enter().map_err(|source| CounterError::Tracepoint { source })?;
        let tasks = Process::new(pid.cast_signed())
            .and_then(|process| process.tasks())
            .map_err(|source| CounterError::Threads { pid, source })?;
        let mut counter = Self { syscalls: Vec::new(), switches: Vec::new() };
        for task in tasks.flatten() {
            let on = |builder: &mut Builder| {
                builder.observe_pid(task.tid).any_cpu().inherit(true).include_kernel();
                builder.enabled(true).build()
            };
            match (
                on(&mut Builder::new(tracepoint)),
                on(&mut Builder::new(Software::CONTEXT_SWITCHES)),
            ) {
                (Ok(syscalls), Ok(switches)) => {
                    counter.syscalls.push(syscalls);
                    counter.switches.push(switches);
                }
                // The thread has ended since it was listed.
                (Err(error), _) | (_, Err(error))
                    if Errno::from_io_error(&error) == Some(Errno::SRCH) => {}
                (Err(source), _) | (_, Err(source)) => {
                    return Err(CounterError::Refused { source });
                }
            }
        }
        Ok(counter)
    }

    /// The counts so far; `ops` is left at 0.
    ///
    /// # Errors
    /// [`CounterError::Read`] if a counter cannot be read.
    pub fn read(&mut self) -> Result<Counts, CounterError> {
        let syscalls = sum(&mut self.syscalls)?;
        Ok(Counts { ops: 0, syscalls, ctx_switches: sum(&mut self.switches)?, waits: None })
    }
}

fn sum(counters: &mut [Counter]) -> Result<u64, CounterError> {
    let sum: io::Result<u64> = counters.iter_mut().map(Counter::read).sum();
    sum.map_err(|source| CounterError::Read { source })
}

fn sys_enter() -> io::Result<Tracepoint> {
    // perf_event's own look-up knows the older place only.
    let id = std::fs::read_to_string("/sys/kernel/tracing/events/raw_syscalls/sys_enter/id")
        .or_else(|_| {
            std::fs::read_to_string("/sys/kernel/debug/tracing/events/raw_syscalls/sys_enter/id")
        })?;
    Ok(Tracepoint::with_id(id.trim().parse().map_err(io::Error::other)?))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn cpu_clock_advances_while_process_computes() {
        let clock = CpuClock::of(std::process::id()).unwrap();
        let before = clock.now().unwrap();
        // Long enough for a machine that gives this process a tenth of a CPU.
        let until = Instant::now() + Duration::from_secs(10);
        while clock.now().unwrap() == before {
            assert!(Instant::now() < until, "the clock stands still at {before:?}");
        }
    }

    #[test]
    fn cpu_clock_of_ended_process_is_none() {
        let mut child = std::process::Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let clock = CpuClock::of(child.id()).unwrap();
        assert!(clock.now().is_some());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(clock.now().is_none());
    }

    #[test]
    fn memory_bytes_includes_written_pages() {
        const MORE: usize = 32 << 20;
        let before = memory_bytes(std::process::id()).unwrap();
        let pages = std::hint::black_box(vec![1_u8; MORE]);
        let after = memory_bytes(std::process::id()).unwrap();
        drop(pages);
        // Half, because other tests of this process free memory meanwhile.
        assert!(after > before + MORE as u64 / 2, "{before} before, {after} after");
    }

    /// Whether this user may count system calls, found without the code under test.
    fn may_count() -> bool {
        let has_tracepoint = ["tracing", "debug/tracing"].iter().any(|folder| {
            let id = format!("/sys/kernel/{folder}/events/raw_syscalls/sys_enter/id");
            std::fs::read_to_string(id).is_ok()
        });
        rustix::process::geteuid().is_root() && has_tracepoint
    }

    #[test]
    fn syscall_counter_counts_calls_of_every_thread() {
        if !may_count() {
            assert!(std::env::var_os("CI").is_none(), "CI must be able to count system calls");
            eprintln!("SKIPPED: system calls: run as root with tracefs mounted");
            return;
        }
        let mut counter = SyscallCounter::open(std::process::id()).unwrap();
        let calls = || {
            for _ in 0..1000 {
                std::fs::metadata("/").unwrap();
            }
        };
        calls();
        let one = counter.read().unwrap();
        std::thread::spawn(calls).join().unwrap();
        let two = counter.read().unwrap();
        assert!(one.syscalls >= 1000, "{one:?}");
        assert!(two.syscalls >= one.syscalls + 1000, "a new thread is not counted: {two:?}");
        assert_eq!(one.ops, 0);
    }

    #[test]
    fn syscall_counter_rejects_absent_process() {
        if !may_count() {
            eprintln!("SKIPPED: system calls: run as root with tracefs mounted");
            return;
        }
        // Linux has no process id above 2^22.
        let absent = (1 << 22) + 1;
        let error = SyscallCounter::open(absent).unwrap_err();
        assert!(matches!(error, CounterError::Threads { pid, .. } if pid == absent), "{error}");
        assert!(std::error::Error::source(&error).is_some());
    }

    #[test]
    fn counter_errors_name_cause_and_remedy() {
        let refused = CounterError::Refused { source: Errno::PERM.into() }.to_string();
        assert!(refused.contains("os error 1") && refused.contains("perf_event_paranoid"));
        let unreadable = CounterError::Tracepoint { source: Errno::ACCESS.into() }.to_string();
        assert!(unreadable.contains("os error 13") && unreadable.contains("mount -o remount"));
    }
}
