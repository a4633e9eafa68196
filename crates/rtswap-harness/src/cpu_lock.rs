//! A lock for each CPU, so that two runs do not measure on the same CPUs at once.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::geteuid;

/// How long to wait before looking again.
const STEP: Duration = Duration::from_millis(100);

/// CPUs that this process holds: a second file of the same process would wait for the first.
static HELD: Mutex<BTreeSet<(PathBuf, usize)>> = Mutex::new(BTreeSet::new());

/// CPUs that other runs of this user wait for. Dropping it, and the end of the process, gives them back.
#[derive(Debug, Default)]
pub struct CpuLock(Vec<Held>);

#[derive(Debug)]
struct Held {
    key: (PathBuf, usize),
    /// Locked as long as it is open.
    _file: File,
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// The run that holds a CPU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// The CPU.
    pub cpu: usize,
    /// Its process id, and its command line: empty if it could not be read.
    pub run: String,
}

/// The folder of the locks: `rtswap-UID` in `XDG_RUNTIME_DIR`, or in the folder for temporary files.
pub fn folder() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let parent = runtime.filter(|folder| folder.is_dir()).unwrap_or_else(std::env::temp_dir);
    // With the user's number in both: `sudo` may keep the variable of another user.
    parent.join(format!("rtswap-{}", geteuid().as_raw()))
}

/// Waits until no other run of this user measures on any of `cpus`, and keeps others off them. `waits` is notified
/// once of each run that is waited for. `None` if `cancel` was set meanwhile.
///
/// # Errors
/// If the locks cannot be made in `folder`.
pub fn acquire(
    folder: &Path,
    cpus: &[usize],
    command: &[String],
    cancel: &AtomicBool,
    mut waits: impl FnMut(&Holder),
) -> io::Result<Option<CpuLock>> {
    make(folder)?;
    let mut lock = CpuLock::default();
    // In the same order in every run, so that no two wait for each other.
    for cpu in cpus.iter().copied().collect::<BTreeSet<_>>() {
        let key = (folder.to_owned(), cpu);
        if HELD.lock().unwrap_or_else(PoisonError::into_inner).contains(&key) {
            continue;
        }
        let path = folder.join(format!("cpu-{cpu}.lock"));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path)?;
        let mut last = Holder::default();
        loop {
            match file.try_lock() {
                // Some file systems have no locks: then it is as it was without.
                Ok(()) | Err(TryLockError::Error(_)) => break,
                Err(TryLockError::WouldBlock) => {}
            }
            let run = fs::read_to_string(&path).unwrap_or_default();
            let holder = Holder { cpu, run: rtswap_schema::one_line(&run) };
            if holder != last {
                waits(&holder);
                last = holder;
            }
            if cancel.load(Ordering::Relaxed) {
                return Ok(None);
            }
            std::thread::sleep(STEP);
        }
        file.set_len(0)?;
        write!(file, "{} ({})", std::process::id(), command.join(" "))?;
        HELD.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        lock.0.push(Held { key, _file: file });
    }
    Ok(Some(lock))
}

/// Makes the folder, for this user only. A folder of another user's in a shared place is refused.
fn make(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(folder)?;
    if !found.is_dir() || found.uid() != geteuid().as_raw() {
        return Err(io::Error::other("it is not a folder of this user"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Vec<String> {
        ["rtswap".to_owned(), "run".to_owned()].into()
    }

    #[test]
    fn acquire_waits_for_run_on_a_common_cpu() {
        let folder = tempfile::tempdir().unwrap();
        // Another process, of which a second description of the open file is the image.
        let path = folder.path().join("cpu-1.lock");
        fs::write(&path, "77 (rtswap run)").unwrap();
        let other = File::open(&path).unwrap();
        other.lock().unwrap();
        let (free, cancel) = (AtomicBool::new(false), AtomicBool::new(false));
        let mut holders = Vec::new();
        let lock = acquire(folder.path(), &[0], &command(), &free, |it| holders.push(it.clone()));
        assert!(lock.unwrap().is_some() && holders.is_empty(), "no common CPU");
        let waited = acquire(folder.path(), &[1, 2], &command(), &cancel, |it| {
            holders.push(it.clone());
            cancel.store(true, Ordering::Relaxed);
        });
        assert!(waited.unwrap().is_none(), "cancelled");
        assert_eq!(holders, [Holder { cpu: 1, run: "77 (rtswap run)".to_owned() }]);
        drop(other);
        let lock = acquire(folder.path(), &[1, 2], &command(), &free, |_| panic!("it is free"));
        assert_eq!(lock.unwrap().unwrap().0.len(), 2);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{} (rtswap run)", std::process::id()));
    }

    #[test]
    fn acquire_of_held_cpu_in_same_process_does_not_wait() {
        let folder = tempfile::tempdir().unwrap();
        let free = AtomicBool::new(false);
        let acquire = || acquire(folder.path(), &[0], &command(), &free, |_| panic!("it waits"));
        let first = acquire().unwrap().unwrap();
        assert!(acquire().unwrap().unwrap().0.is_empty());
        drop(first);
        assert_eq!(acquire().unwrap().unwrap().0.len(), 1, "it was given back");
    }

    #[test]
    fn acquire_rejects_folder_that_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let refused = acquire(&file, &[0], &command(), &AtomicBool::new(false), |_| ());
        assert!(refused.unwrap_err().to_string().contains("not a folder of this user"));
    }
}
