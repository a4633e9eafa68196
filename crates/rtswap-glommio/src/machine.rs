//! What glommio needs of the kernel. It panics, or ends the process, where that is missing, so it
//! is asked first.

use std::sync::OnceLock;
use std::{fs, io};

use glommio::{LocalExecutor, LocalExecutorBuilder, Placement};
use io_uring::{IoUring, Probe, opcode, squeue};
use rtswap_runtime::ring;
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::{IO_MEMORY, PREEMPT_TIMER, RING_DEPTH};

/// The first Linux that has all it needs of `io_uring`.
const SINCE: &str = "5.8";

/// Without so much in `RLIMIT_MEMLOCK`, glommio refuses to start: also as root, and though rings
/// have not been locked memory since Linux 5.12.
const LOCKED_MEMORY: u64 = 512 << 10;

/// An executor with glommio's defaults. The caller's thread is pinned, or not, by the caller.
pub(crate) fn executor() -> io::Result<LocalExecutor> {
    checked()?;
    LocalExecutorBuilder::new(Placement::Unbound)
        .ring_depth(RING_DEPTH)
        .io_memory(IO_MEMORY)
        .preempt_timer(PREEMPT_TIMER)
        .make()
        .map_err(|error| ring::explain(&error.into(), SINCE))
}

/// [`check`], once per process: for every `block_on` it would be a cost that glommio has not.
fn checked() -> io::Result<()> {
    static CHECKED: OnceLock<()> = OnceLock::new();
    if CHECKED.get().is_none() {
        check()?;
        CHECKED.get_or_init(|| ());
    }
    Ok(())
}

pub(crate) fn check() -> io::Result<()> {
    enough_locked_memory(getrlimit(Resource::Memlock).current)?;
    let ring = IoUring::new(RING_DEPTH as u32).map_err(|error| ring::explain(&error, SINCE))?;
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe).map_err(|error| ring::explain(&error, SINCE))?;
    // The youngest operation that glommio insists on.
    if !probe.is_supported(opcode::Recv::CODE) {
        return Err(ring::explain(&Errno::NOSYS.into(), SINCE));
    }
    // Its third ring polls disks.
    IoUring::<squeue::Entry>::builder()
        .setup_iopoll()
        .build(RING_DEPTH as u32)
        .map(drop)
        .map_err(|error| ring::explain(&error, SINCE))
}

/// `limit` is in bytes; `None` is no limit.
fn enough_locked_memory(limit: Option<u64>) -> io::Result<()> {
    match limit {
        Some(limit) if limit < LOCKED_MEMORY => Err(io::Error::new(
            io::ErrorKind::OutOfMemory,
            format!(
                "glommio starts with no less than {} KiB of locked memory, and RLIMIT_MEMLOCK is {} KiB; \
                 raise it: `ulimit -l`, or LimitMEMLOCK= in a systemd unit",
                LOCKED_MEMORY >> 10,
                limit >> 10,
            ),
        )),
        _ => Ok(()),
    }
}

/// Whether the kernel lets glommio register its memory for files, found by trying, once per process.
/// If not, glommio logs a warning and works all the same; sockets never use that memory, but to
/// register it is most of what a start costs.
pub(crate) fn registers_memory() -> &'static str {
    static REGISTERS: OnceLock<&str> = OnceLock::new();
    REGISTERS.get_or_init(|| {
        let before = pinned_kib();
        let executor = executor();
        match (before, pinned_kib(), executor) {
            (Some(before), Some(after), Ok(_)) if after > before => "registered with each ring",
            (Some(_), Some(_), Ok(_)) => "not registered: too little locked memory",
            _ => "unknown whether registered",
        }
    })
}

/// What the kernel holds of this process's memory, by `io_uring` among others.
fn pinned_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let pinned = status.lines().find_map(|line| line.strip_prefix("VmPin:"))?;
    pinned.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_locked_memory_is_refused_with_the_limit_and_the_remedy() {
        let text = enough_locked_memory(Some(64 << 10)).unwrap_err().to_string();
        for tell in ["512 KiB", "64 KiB", "ulimit -l", "LimitMEMLOCK"] {
            assert!(text.contains(tell), "{tell} is not in: {text}");
        }
        assert!(enough_locked_memory(Some(LOCKED_MEMORY)).is_ok());
        assert!(enough_locked_memory(None).is_ok());
    }
}
