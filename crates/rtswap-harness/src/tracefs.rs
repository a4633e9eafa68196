//! Numbers of tracepoints, for which tracefs need not be mounted.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// Where tracefs is mounted, newest place first.
const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// The numbers that were read: they stay the same until the machine is restarted.
static KNOWN: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// The number of a tracepoint: `raw_syscalls/sys_enter`.
///
/// Where tracefs is not mounted, root reads it in a mount namespace of a thread that ends at once, which leaves
/// nothing behind.
///
/// # Errors
/// [`ErrorKind::NotFound`] if the kernel has no such tracepoint, or if tracefs is not mounted and this user may not
/// mount it; [`ErrorKind::PermissionDenied`] if this user may not read it. [`remedy`] has the remedy.
pub fn tracepoint_id(name: &str) -> io::Result<u64> {
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(id) = known().get(name) {
        return Ok(*id);
    }
    let id = match mounted() {
        Some(place) => read(&place, name)?,
        None => read_unmounted(name)?,
    };
    known().insert(name.to_owned(), id);
    Ok(id)
}

/// What makes the number of a tracepoint readable after this error.
pub fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound if mounted().is_none() => {
            "run as root, or `sudo mount -t tracefs tracefs /sys/kernel/tracing -o mode=755`"
        }
        ErrorKind::NotFound => "use a kernel with CONFIG_FTRACE_SYSCALLS",
        _ => "run as root, or `sudo mount -o remount,mode=755 /sys/kernel/tracing`",
    }
}

/// Where tracefs is mounted. A user who may not look into the folder cannot tell, so it counts as mounted.
fn mounted() -> Option<PathBuf> {
    let is_mounted = |place: &&str| match fs::metadata(Path::new(place).join("events")) {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::PermissionDenied && *place == PLACES[0],
    };
    PLACES.into_iter().find(is_mounted).map(PathBuf::from)
}

fn read(place: &Path, name: &str) -> io::Result<u64> {
    let id = fs::read_to_string(place.join("events").join(name).join("id"))?;
    id.trim().parse().map_err(io::Error::other)
}

/// Reads the number in a mount namespace of a thread of its own, which ends with the thread.
fn read_unmounted(name: &str) -> io::Result<u64> {
    let read_in_namespace = || {
        unshare(CloneFlags::CLONE_NEWNS)?;
        // So that nothing is propagated to the namespace of this process.
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>)?;
        // Over any folder, because nothing else sees this mount.
        let place = Path::new(PLACES[0]);
        let place = if place.is_dir() { place } else { Path::new("/sys") };
        mount(Some("tracefs"), place, Some("tracefs"), MsFlags::empty(), None::<&str>)?;
        read(place, name)
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, read_in_namespace)?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
    })
    .map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied => {
            io::Error::new(ErrorKind::NotFound, format!("tracefs is not mounted, {error}"))
        }
        _ => error,
    })
}
