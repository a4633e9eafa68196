//! The user's folder of what was built.

use std::collections::HashSet;
use std::env;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use rtswap_schema::record::Built;
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::BuildError;

/// The environment variable that names the cache.
pub const FOLDER_VAR: &str = "RTSWAP_CACHE";

/// How long to wait before the lock is tried again.
const STEP: Duration = Duration::from_millis(100);
/// What a lane's executable is called in its folder.
pub(crate) const EXECUTABLE: &str = "rtswap-lane";
const MANIFEST: &str = "lane.json";
const UNFINISHED: &str = "unfinished-";

/// The user's folder of what was built, which need not exist.
///
/// In its folder `lanes` are `built`, with a folder for each lane under the digest of all that it was built from;
/// `work`, the package that is being built, with the target folder that all lanes share; and `lock`.
#[derive(Clone, Debug)]
pub struct Cache {
    lanes: PathBuf,
}

/// A lane in the cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// How it was asked for, whatever the lane of its adapter: `tokio@1.50.0`.
    pub spec: String,
    /// What it was built from.
    pub built: Built,
}

/// A lane in the cache, with its place.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The lane.
    pub entry: Entry,
    /// The executable.
    pub executable: PathBuf,
    /// Bytes of its folder.
    pub bytes: u64,
    /// When it was built, if the file system knows.
    pub built_at: Option<SystemTime>,
}

/// Keeps other builds away. Dropping it, and the end of the process, unlocks the cache.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Cache {
    /// The user's cache: `$RTSWAP_CACHE`, or `rtswap` in the folder for caches.
    ///
    /// # Errors
    /// If the environment names no folder.
    pub fn of_user() -> Result<Self, BuildError> {
        let of_variable = |name| env::var_os(name).map(PathBuf::from).filter(|it| it.is_absolute());
        let named = env::var_os(FOLDER_VAR).filter(|name| !name.is_empty());
        let named = named.map(|name| absolute(Path::new(&name)));
        let cache = || {
            let cache = of_variable("XDG_CACHE_HOME");
            Some(cache.or_else(|| Some(of_variable("HOME")?.join(".cache")))?.join("rtswap"))
        };
        named.or_else(cache).map(Self::new).ok_or(BuildError::NoFolder)
    }

    /// Another folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { lanes: folder.into().join("lanes") }
    }

    /// The folder of the lanes.
    pub fn lanes(&self) -> &Path {
        &self.lanes
    }

    /// The package that is being built.
    pub(crate) fn work(&self) -> PathBuf {
        self.lanes.join("work")
    }

    fn built(&self) -> PathBuf {
        self.lanes.join("built")
    }

    /// The lane of that digest, and its executable, if it is there.
    pub(crate) fn find(&self, digest: &str) -> Option<(Entry, PathBuf)> {
        let folder = self.built().join(digest);
        let entry = serde_json::from_slice(&fs::read(folder.join(MANIFEST)).ok()?).ok()?;
        let executable = folder.join(EXECUTABLE);
        executable.is_file().then_some((entry, executable))
    }

    /// Keeps a finished lane under its digest: all of it, or nothing if it fails on the way.
    pub(crate) fn keep(
        &self,
        digest: &str,
        entry: &Entry,
        executable: &Path,
        files: &[PathBuf],
    ) -> Result<PathBuf, BuildError> {
        let folder = self.built();
        make(&folder)?;
        let failed =
            |source| BuildError::Cache { action: "write to", path: folder.clone(), source };
        let unfinished = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(&folder);
        let unfinished = unfinished.map_err(failed)?;
        let place = |name: &str| unfinished.path().join(name);
        fs::copy(executable, place(EXECUTABLE)).map_err(failed)?;
        for file in files {
            let name = file.file_name().unwrap_or_default();
            fs::copy(file, unfinished.path().join(name)).map_err(failed)?;
        }
        let text = serde_json::to_string_pretty(entry).expect("an entry is plain data") + "\n";
        fs::write(place(MANIFEST), text).map_err(failed)?;
        let path = folder.join(digest);
        // One that lacks a part was no lane.
        remove(&path)?;
        fs::rename(unfinished.path(), &path).map_err(failed)?;
        // It has moved.
        let _ = TempDir::keep(unfinished);
        Ok(path.join(EXECUTABLE))
    }

    /// All lanes, by spec.
    pub fn list(&self) -> Vec<Listed> {
        let folders = fs::read_dir(self.built()).into_iter().flatten().flatten();
        let listed = folders.filter_map(|folder| {
            let name = folder.file_name().into_string().ok()?;
            let (entry, executable) = self.find(&name)?;
            let built_at = fs::metadata(&executable).and_then(|it| it.modified()).ok();
            Some(Listed { entry, executable, bytes: size(&folder.path()), built_at })
        });
        let mut all: Vec<_> = listed.collect();
        all.sort_by(|a, b| (&a.entry.spec, &a.executable).cmp(&(&b.entry.spec, &b.executable)));
        all
    }

    /// Removes a lane, and returns the bytes that were freed.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove(&self, listed: &Listed) -> Result<u64, BuildError> {
        remove(listed.executable.parent().unwrap_or(&listed.executable))?;
        Ok(listed.bytes)
    }

    /// Removes all lanes and what they were built with, and returns the bytes that were freed.
    ///
    /// # Errors
    /// If something cannot be removed.
    pub fn clear(&self) -> Result<u64, BuildError> {
        let freed = size(&self.lanes);
        // The lock stays: its holder is this process.
        for part in [self.built(), self.work()] {
            remove(&part)?;
        }
        Ok(freed)
    }

    /// Makes the folder, and waits until no other process builds in it. `waits` is called once if another one does.
    ///
    /// # Errors
    /// If the folder cannot be written to, another user owns it, or `cancel` was set meanwhile.
    pub fn lock(&self, cancel: &AtomicBool, waits: impl FnOnce()) -> Result<Lock, BuildError> {
        make(&self.lanes)?;
        self.check()?;
        let path = self.lanes.join("lock");
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let file =
            opened.map_err(|source| BuildError::Cache { action: "write to", path, source })?;
        let mut waits = Some(waits);
        loop {
            match file.try_lock() {
                // A file system without locks: cargo has its own for the target folder.
                Ok(()) | Err(TryLockError::Error(_)) => break,
                Err(TryLockError::WouldBlock) => {}
            }
            if let Some(waits) = waits.take() {
                waits();
            }
            if cancel.load(Ordering::Relaxed) {
                return Err(BuildError::Interrupted);
            }
            thread::sleep(STEP);
        }
        self.sweep();
        Ok(Lock { _file: file })
    }

    /// Removes what an interrupted build has left.
    fn sweep(&self) {
        for entry in fs::read_dir(self.built()).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Checks that only this user and root can have written what is run from it, if it exists.
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        for path in [self.lanes.clone(), self.built()] {
            let Ok(data) = fs::metadata(&path) else { continue };
            let is_own = [0, geteuid().as_raw()].contains(&data.uid());
            if !is_own || data.mode() & 0o022 != 0 {
                return Err(BuildError::Foreign { path });
            }
        }
        Ok(())
    }
}

/// Makes a folder, private to the user, unless it exists.
pub(crate) fn make(path: &Path) -> Result<(), BuildError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| BuildError::Cache { action: "write to", path: path.to_owned(), source })
}

fn remove(path: &Path) -> Result<(), BuildError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.map_err(|source| BuildError::Cache {
            action: "remove",
            path: path.to_owned(),
            source,
        }),
    }
}

/// Bytes on disk of all files in a folder. A file with several names, as cargo gives to what it has linked, counts once.
fn size(folder: &Path) -> u64 {
    let mut seen = HashSet::new();
    size_of_unseen(folder, &mut seen)
}

fn size_of_unseen(path: &Path, seen: &mut HashSet<(u64, u64)>) -> u64 {
    let Ok(data) = fs::symlink_metadata(path) else { return 0 };
    if !data.is_dir() {
        return if seen.insert((data.dev(), data.ino())) { data.blocks() * 512 } else { 0 };
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| size_of_unseen(&entry.path(), seen)).sum()
}

/// An absolute path, also where the current folder is gone.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
