//! What glommio needs of the kernel. It panics, or ends the process, where that is missing, so it
//! is asked first.

use std::io;
use std::sync::OnceLock;

use io_uring::{IoUring, Probe, opcode, squeue};
use rustix::process::{Resource, getrlimit};

use crate::{IO_MEMORY, RING_DEPTH};

/// Without so much in `RLIMIT_MEMLOCK`, glommio refuses to start: also as root, and though rings
/// have not been locked memory since Linux 5.12.
const LOCKED_MEMORY: u64 = 512 << 10;

/// [`check`], once per process: for every `block_on` it would be a cost that glommio has not.
pub(crate) fn checked() -> io::Result<()> {
    static CHECKED: OnceLock<()> = OnceLock::new();
    if CHECKED.get().is_none() {
        check()?;
        CHECKED.get_or_init(|| ());
    }
    Ok(())
}

pub(crate) fn check() -> io::Result<()> {
    enough_locked_memory(getrlimit(Resource::Memlock).current)?;
    let ring = IoUring::new(RING_DEPTH as u32).map_err(|error| explain(&error))?;
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe).map_err(|error| explain(&error))?;
    // The youngest operation that glommio insists on.
    if !probe.is_supported(opcode::Recv::CODE) {
        return Err(explain(&io::Error::from_raw_os_error(38)));
    }
    // Its third ring polls disks.
    IoUring::<squeue::Entry>::builder()
        .setup_iopoll()
        .build(RING_DEPTH as u32)
        .map(drop)
        .map_err(|error| explain(&error))
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

/// Adds what to do about it. The kind stays; the errno is in the text.
fn explain(error: &io::Error) -> io::Error {
    let remedy = match error.raw_os_error() {
        Some(1) => {
            "allow it: `sysctl kernel.io_uring_disabled=0`, or a seccomp profile that permits it"
        }
        Some(12) => {
            "raise the limit of locked memory: `ulimit -l`, or LimitMEMLOCK= in a systemd unit"
        }
        Some(38) => "needs Linux 5.8 or a seccomp profile that permits it",
        _ => "see io_uring_setup(2)",
    };
    io::Error::new(error.kind(), format!("no io_uring here: {error}; {remedy}"))
}

pub(crate) fn registered() -> &'static str {
    let _ = IO_MEMORY;
    "?"
}
