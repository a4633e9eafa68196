//! The kernel's counters for a lane's process.

mod cpu;
mod delay;
mod kernel;
mod tasks;

use std::ffi::CStr;
use std::io;
use std::os::fd::AsRawFd as _;

use perf_event::events::{Software, Tracepoint};
use perf_event::{Builder, Counter};
use perf_event_open_sys::ioctls::SET_FILTER;
use procfs::ProcError;
use procfs::process::Process;

use self::tasks::{AttachError, attach};
use crate::record::Counts;
use crate::tracefs;

pub use self::cpu::CpuClock;
pub use self::delay::{busiest_on, own_threads, run_delay, run_delay_of};
pub use self::kernel::KernelWork;

/// Proportional set size of a process and its descendants, in bytes: what they share counts once.
pub fn memory_bytes(pid: u32) -> Option<u64> {
    let own = of_process(pid.cast_signed())?;
    let processes = tasks::processes(pid).ok()?;
    let descendants = processes.into_iter().filter(|process| *process != pid.cast_signed());
    // One that has ended meanwhile has none.
    Some(own + descendants.filter_map(of_process).sum::<u64>())
}

fn of_process(pid: i32) -> Option<u64> {
    let rollup = Process::new(pid).ok()?.smaps_rollup().ok()?;
    rollup.memory_map_rollup.0.first()?.extension.map.get("Pss").copied()
}

/// Why system calls and context switches are not counted. The text names the remedy.
#[derive(Debug, thiserror::Error)]
pub enum CounterError {
    /// The tracepoint's number is not readable.
    #[error(
        "cannot read the tracepoint raw_syscalls:sys_enter ({source}): {}",
        tracefs::remedy(source)
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
    /// The lane starts threads while counters are opened.
    #[error("the lane kept starting threads, so that not all of them could be counted: run again")]
    Unstable,
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

/// Families of system calls that wait for I/O or collect what it brought; the architecture may lack some.
const WAITS: [&str; 7] =
    ["epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6"];

/// Only the calls that wait: others submit.
const RING_WAIT: (&str, &CStr) = ("io_uring_enter", c"min_complete > 0");

/// A tracepoint, and the filter of its events.
type WaitTracepoint = (Tracepoint, Option<&'static CStr>);

/// Counters on every thread of a process and of its descendants, and on the threads that these start.
///
/// Keep them open only while counting: as long as one is open, every system call on the machine takes
/// the kernel's slow path.
#[derive(Debug)]
pub struct SyscallCounter {
    syscalls: Vec<Counter>,
    switches: Vec<Counter>,
    /// `None` if the kernel has no tracepoint for each system call.
    waits: Option<Vec<Counter>>,
}

impl SyscallCounter {
    /// Opens and starts the counters.
    ///
    /// # Errors
    /// [`CounterError`] if the kernel refuses.
    pub fn open(pid: u32) -> Result<Self, CounterError> {
        let tracepoint = sys_enter().map_err(|source| CounterError::Tracepoint { source })?;
        let waits = wait_tracepoints();
        let opened = attach(pid, |tid| OfThread::open(tid, tracepoint, waits.as_deref()))?;
        let mut counter = Self {
            syscalls: Vec::new(),
            switches: Vec::new(),
            waits: waits.as_ref().map(|_| Vec::new()),
        };
        for OfThread { syscalls, switches, waits } in opened {
            counter.syscalls.push(syscalls);
            counter.switches.push(switches);
            // A part of the calls would be a wrong count.
            counter.waits = counter.waits.zip(waits).map(|(mut all, more)| {
                all.extend(more);
                all
            });
        }
        Ok(counter)
    }

    /// The counts so far; `ops` is left at 0.
    ///
    /// # Errors
    /// [`CounterError::Read`] if a counter cannot be read.
    pub fn read(&mut self) -> Result<Counts, CounterError> {
        let syscalls = sum(&mut self.syscalls)?;
        let waits = self.waits.as_mut().map(|waits| sum(waits)).transpose()?;
        Ok(Counts { ops: 0, syscalls, ctx_switches: sum(&mut self.switches)?, waits })
    }
}

/// The counters of one thread and of those that it starts.
struct OfThread {
    syscalls: Counter,
    switches: Counter,
    waits: Option<Vec<Counter>>,
}

impl OfThread {
    fn open(tid: i32, calls: Tracepoint, waits: Option<&[WaitTracepoint]>) -> io::Result<Self> {
        let on = |builder: &mut Builder| {
            builder.observe_pid(tid).any_cpu().inherit(true).include_kernel();
            builder.enabled(true).build()
        };
        let syscalls = on(&mut Builder::new(calls))?;
        let switches = on(&mut Builder::new(Software::CONTEXT_SWITCHES))?;
        let wait = |(tracepoint, filter): &WaitTracepoint| {
            on(&mut Builder::new(*tracepoint)).and_then(|opened| filtered(opened, *filter))
        };
        // Some kernels refuse filters.
        let waits = waits.and_then(|all| all.iter().map(wait).collect::<io::Result<_>>().ok());
        Ok(Self { syscalls, switches, waits })
    }
}

impl From<AttachError> for CounterError {
    fn from(error: AttachError) -> Self {
        match error {
            AttachError::Threads(pid, source) => Self::Threads { pid, source },
            AttachError::Refused(source) => Self::Refused { source },
            AttachError::Unstable => Self::Unstable,
        }
    }
}

fn sum(counters: &mut [Counter]) -> Result<u64, CounterError> {
    let sum: io::Result<u64> = counters.iter_mut().map(Counter::read).sum();
    sum.map_err(|source| CounterError::Read { source })
}

fn sys_enter() -> io::Result<Tracepoint> {
    tracepoint("raw_syscalls/sys_enter")
}

fn tracepoint(name: &str) -> io::Result<Tracepoint> {
    Ok(Tracepoint::with_id(tracefs::tracepoint_id(name)?))
}

/// The tracepoints of the calls that wait, each with a filter; `None` if the kernel has none.
fn wait_tracepoints() -> Option<Vec<WaitTracepoint>> {
    let of = |name| tracepoint(&format!("syscalls/sys_enter_{name}")).ok();
    let (ring, filter) = RING_WAIT;
    let ring = of(ring).map(|tracepoint| (tracepoint, Some(filter)));
    let all: Vec<_> =
        WAITS.into_iter().filter_map(of).map(|tracepoint| (tracepoint, None)).chain(ring).collect();
    // A kernel with tracepoints for system calls has one for the call of any event loop.
    (!all.is_empty()).then_some(all)
}

/// The counter of those events that the filter lets pass.
fn filtered(counter: Counter, filter: Option<&CStr>) -> io::Result<Counter> {
    let Some(filter) = filter else { return Ok(counter) };
    // SAFETY: the descriptor is open, and the kernel reads a string that ends with a zero.
    let result = unsafe { SET_FILTER(counter.as_raw_fd(), filter.as_ptr().cast_mut()) };
    if result == 0 { Ok(counter) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

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

    #[test]
    fn memory_bytes_includes_descendants() {
        use std::process::{Command, Stdio};
        // The shell waits for `cat`, which waits for the end of its input.
        let mut command = Command::new("sh");
        command.args(["-c", "cat; true"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut shell = command.spawn().unwrap();
        while tasks::processes(shell.id()).unwrap().len() < 2 {
            std::thread::yield_now();
        }
        let own = of_process(shell.id().cast_signed()).unwrap();
        let all = memory_bytes(shell.id()).unwrap();
        // Each process has pages of its own: tens of KiB at least.
        assert!(all > own + 10_000, "{own} {all}");
        drop(shell.stdin.take());
        shell.wait().unwrap();
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
    fn syscall_counter_counts_calls_that_wait() {
        if !may_count() || wait_tracepoints().is_none() {
            eprintln!(
                "SKIPPED: system calls: run as root with tracefs mounted, on a kernel with syscalls/"
            );
            return;
        }
        let mut counter = SyscallCounter::open(std::process::id()).unwrap();
        let before = counter.read().unwrap().waits.unwrap();
        for _ in 0..1000 {
            rustix::event::poll(&mut [], Some(&rustix::time::Timespec::default())).unwrap();
        }
        let after = counter.read().unwrap().waits.unwrap();
        // Other tests of this process wait, too.
        assert!(after >= before + 1000, "{before} before, {after} after");
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
