//! What the kernel knows of a lane's process.

use std::io;
use std::time::Duration;

use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use perf_event::events::{Software, Tracepoint};
use perf_event::{Builder, Counter};
use procfs::process::Process;

use crate::record::Counts;

/// The CPU clock of a process: all its threads, those that have ended too, in nanoseconds.
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

/// Counters on every thread of a process, and on those that they start.
///
/// Only to be open while counting: the tracepoint makes every system call on the machine take the
/// kernel's slow path for as long as anybody counts.
#[derive(Debug)]
pub struct SyscallCounter {
    syscalls: Vec<Counter>,
    switches: Vec<Counter>,
}

impl SyscallCounter {
    /// Opens the counters, which count from now on.
    ///
    /// # Errors
    /// If the kernel refuses; the text says what would allow it.
    pub fn open(pid: u32) -> Result<Self, String> {
        let tracepoint = sys_enter().map_err(|error| {
            format!(
                "the tracepoint raw_syscalls:sys_enter is not readable ({error}): run as root, or \
                 `sudo mount -o remount,mode=755 /sys/kernel/tracing`"
            )
        })?;
        let refused = |error: io::Error| {
            format!(
                "perf_event_open is refused ({error}): run as root, or \
                 `sudo sysctl kernel.perf_event_paranoid=-1`"
            )
        };
        let tasks = Process::new(pid.cast_signed())
            .and_then(|process| process.tasks())
            .map_err(|error| format!("its threads cannot be listed ({error})"))?;
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
                (Err(error), _) | (_, Err(error)) if error.raw_os_error() == Some(ESRCH) => {}
                (Err(error), _) | (_, Err(error)) => return Err(refused(error)),
            }
        }
        Ok(counter)
    }

    /// What was counted so far; `ops` is left at 0.
    ///
    /// # Errors
    /// If a counter cannot be read.
    pub fn read(&mut self) -> io::Result<Counts> {
        let syscalls = sum(&mut self.syscalls)?;
        Ok(Counts { ops: 0, syscalls, ctx_switches: sum(&mut self.switches)? })
    }
}

fn sum(counters: &mut [Counter]) -> io::Result<u64> {
    counters.iter_mut().map(Counter::read).sum()
}

const ESRCH: i32 = 3;

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
    use super::*;

    #[test]
    fn the_cpu_clock_of_a_process_that_works_runs() {
        let clock = CpuClock::of(std::process::id()).unwrap();
        let before = clock.now().unwrap();
        while clock.now().unwrap() == before {}
    }

    #[test]
    fn a_process_that_is_gone_has_no_clock() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let clock = CpuClock::of(child.id());
        child.wait().unwrap();
        assert!(clock.is_err() || clock.unwrap().now().is_none());
    }

    #[test]
    fn this_process_has_memory() {
        assert!(memory_bytes(std::process::id()).unwrap() > 0);
    }

    #[test]
    fn system_calls_are_counted_or_the_remedy_is_told() {
        match SyscallCounter::open(std::process::id()) {
            Ok(mut counter) => {
                for _ in 0..1000 {
                    std::fs::metadata("/").unwrap();
                }
                assert!(counter.read().unwrap().syscalls >= 1000);
            }
            Err(why) => assert!(why.contains("run as root"), "{why}"),
        }
    }
}
