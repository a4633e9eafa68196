//! Temporary folders, which the next run removes if this one is killed.

use std::env;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use nix::unistd::geteuid;
use rustix::fs::OFlags;
use tempfile::TempDir;

/// How the name of each such folder begins.
const PREFIX: &str = "rtswap-run-";

/// A folder in the system's folder for temporary files, open to this user alone. Dropping it removes it.
///
/// It is locked as long as this process lives, however the process ends: [`sweep`] takes what is not locked.
#[derive(Debug)]
pub struct HeldFolder {
    // Removed before it is unlocked.
    folder: TempDir,
    lock: File,
}

impl HeldFolder {
    /// Creates a folder. Its name holds `name`.
    ///
    /// # Errors
    /// If the folder cannot be created or opened.
    pub fn new(name: &str) -> io::Result<Self> {
        Self::new_in(&env::temp_dir(), name)
    }

    fn new_in(parent: &Path, name: &str) -> io::Result<Self> {
        loop {
            let folder = tempfile::Builder::new()
                .prefix(&format!("{PREFIX}{name}-"))
                .permissions(Permissions::from_mode(0o700))
                .tempdir_in(parent)?;
            let lock = match open(folder.path()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened?,
            };
            // A file system that has no locks on folders refuses them to `sweep` as well.
            let _ = lock.lock();
            // Another run may have swept between creation and lock.
            if is_at(folder.path(), &lock) {
                return Ok(Self { folder, lock });
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder itself, whatever is at its path.
    pub fn handle(&self) -> &File {
        &self.lock
    }
}

/// Removes the folders of this user's runs that were killed. What cannot be removed is left to the next run: a
/// server may still be about to die.
pub fn sweep() {
    sweep_in(&env::temp_dir());
}

fn sweep_in(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            let _ = remove_unlocked(&entry.path());
        }
    }
}

fn remove_unlocked(path: &Path) -> io::Result<()> {
    let folder = open(path)?;
    let own = folder.metadata()?.uid() == geteuid().as_raw();
    // The lock is kept until the folder is gone.
    if own && folder.try_lock().is_ok() && is_at(path, &folder) {
        fs::remove_dir_all(path)?;
    }
    Ok(())
}

/// Opens a folder, and nothing that a link leads to.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

/// Whether the open folder is the one at the path.
fn is_at(path: &Path, folder: &File) -> bool {
    let place = |found: fs::Metadata| (found.dev(), found.ino());
    let there = fs::symlink_metadata(path).map(place);
    there.is_ok_and(|there| folder.metadata().is_ok_and(|found| place(found) == there))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};
    use std::path::PathBuf;
    use std::process::{Command, Stdio};

    use super::*;

    /// What a killed run leaves: a folder with something in it, and no lock.
    fn abandon(parent: &Path) -> PathBuf {
        let HeldFolder { folder, lock } = HeldFolder::new_in(parent, "test").unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        fs::write(folder.path().join("data/file"), "x").unwrap();
        drop(lock);
        folder.keep()
    }

    #[test]
    fn sweep_takes_what_is_not_held() {
        let parent = tempfile::tempdir().unwrap();
        let held = HeldFolder::new_in(parent.path(), "test").unwrap();
        fs::write(held.path().join("file"), "x").unwrap();
        let abandoned = abandon(parent.path());
        sweep_in(parent.path());
        assert!(!abandoned.exists());
        assert!(held.path().join("file").exists(), "its owner lives");
        let path = held.path().to_owned();
        drop(held);
        assert!(!path.exists());
    }

    #[test]
    fn sweep_follows_no_link_and_takes_nothing_of_others() {
        let (parent, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let parent = parent.path();
        fs::write(target.path().join("file"), "x").unwrap();
        let link = parent.join(format!("{PREFIX}test-link"));
        symlink(target.path(), &link).unwrap();
        let inner = abandon(parent);
        symlink(target.path(), inner.join("link")).unwrap();
        sweep_in(parent);
        assert!(!inner.exists() && fs::symlink_metadata(&link).is_ok());
        assert!(target.path().join("file").exists(), "what a link leads to is left alone");
        if geteuid().is_root() {
            let foreign = abandon(parent);
            chown(&foreign, Some(65_534), None).unwrap();
            sweep_in(parent);
            assert!(foreign.join("data/file").exists(), "it belongs to another user");
        }
    }

    /// Holds a folder until it is killed, in a process of its own: `sweep_takes_what_a_killed_process_held`.
    #[test]
    #[ignore = "another test starts it"]
    fn hold() {
        let held = HeldFolder::new("test").unwrap();
        println!("holds {}", held.path().display());
        std::thread::park();
    }

    #[test]
    fn sweep_takes_what_a_killed_process_held() {
        use std::io::{BufRead as _, BufReader};
        let parent = tempfile::tempdir().unwrap();
        let mut holder = Command::new("/proc/self/exe")
            .args(["--exact", "held::tests::hold", "--ignored", "--nocapture"])
            .env("TMPDIR", parent.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines().map_while(Result::ok);
        let path = lines.find_map(|line| Some(line.split_once("holds ")?.1.to_owned()));
        let path = PathBuf::from(path.unwrap());
        sweep_in(parent.path());
        assert!(path.exists(), "its owner lives");
        holder.kill().unwrap();
        holder.wait().unwrap();
        assert!(path.exists(), "a killed process removes nothing");
        sweep_in(parent.path());
        assert!(!path.exists());
    }
}
