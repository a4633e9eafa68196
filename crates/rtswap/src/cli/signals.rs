use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::sys::signal::{SigSet, Signal};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use crate::cli::INTERRUPTED;

/// A flag that Ctrl-C sets. A second Ctrl-C ends the process at once; the kernel then ends the lanes.
pub(super) fn cancel() -> std::io::Result<Arc<AtomicBool>> {
    let cancel = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // In this order: the second signal finds the flag that the first has set.
        flag::register_conditional_shutdown(signal, INTERRUPTED.into(), Arc::clone(&cancel))?;
        flag::register(signal, Arc::clone(&cancel))?;
    }
    Ok(cancel)
}

/// Blocks the signals that end a run, in this thread and those that it starts. A lane leaves them to the harness, which
/// ends the lane: otherwise a signal to all processes looks like a crash of the lane.
pub(super) fn leave_to_harness() -> std::io::Result<()> {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    Ok(signals.thread_block()?)
}

/// As many descriptors as this user may have: connections need one each.
pub(super) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Refused at worst; then opening too many says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
