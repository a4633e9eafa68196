//! Installs what the peers need, into the peers' folder and nowhere else.

mod go;
mod python;
mod tool;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::lookup::{COMPLETE, find, node};
use crate::{InstallError, Needs, Peer, PeerError, PeerFolder};
use python::CHANGING;

/// Receives the progress of an installation.
pub trait Steps {
    /// A step begins that takes a while.
    fn begin(&mut self, what: &str);
    /// The step that began last is done, or a step was not necessary. One line.
    fn done(&mut self, what: &str);
}

/// Which versions of Python packages to get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    /// Those that this version of rtswap was tested with, and nothing but the very files of then: pip compares hashes.
    /// Only wheels, which run no code when they are installed.
    #[default]
    Pinned,
    /// The newest that the index has, built from source where there is no wheel. Nothing is compared.
    Newest,
}

/// An installation.
struct Installer<'a> {
    folder: &'a PeerFolder,
    versions: Versions,
    steps: &'a mut dyn Steps,
    cancel: &'a AtomicBool,
}

/// Installs what these peers need and is not installed. `cancel` ends the installation and its processes.
///
/// # Errors
/// [`InstallError`]. What was installed before stays usable, unless a package was left half installed: then the
/// next attempt makes a new virtual environment.
pub fn install(
    folder: &PeerFolder,
    peers: &[&Peer],
    versions: Versions,
    steps: &mut dyn Steps,
    cancel: &AtomicBool,
) -> Result<(), InstallError> {
    let _lock = lock(folder)?;
    let scratch = scratch(folder);
    // An earlier installation that was killed may have left it.
    let _ = fs::remove_dir_all(&scratch);
    fs::create_dir(&scratch).map_err(folder.cannot("write to"))?;
    let done = Installer { folder, versions, steps, cancel }.install(peers);
    let _ = fs::remove_dir_all(&scratch);
    done
}

impl Installer<'_> {
    fn install(&mut self, peers: &[&Peer]) -> Result<(), InstallError> {
        let mut packages: Vec<&str> = Vec::new();
        let mut python = false;
        for peer in peers {
            if let Needs::Python(more) = peer.needs {
                python = true;
                packages
                    .extend(more.iter().filter(|it| !packages.contains(it)).collect::<Vec<_>>());
            }
        }
        let go = peers.iter().any(|peer| peer.needs == Needs::Go);
        let compiler = if go { self.compiler()? } else { go::Compiler::NotNeeded };
        if compiler == go::Compiler::FromPackage {
            packages.push(go::PACKAGE);
        }
        if python || !packages.is_empty() {
            self.python(&packages)?;
        }
        if go {
            self.go(&compiler)?;
        }
        if peers.iter().any(|peer| peer.needs == Needs::Node) {
            match node(self.folder) {
                Ok(node) => self.steps.done(&format!("Node.js: {}", node.display())),
                Err(missing) => self.steps.done(&format!("Node.js: {missing}")),
            }
        }
        Ok(())
    }
}

/// Removes what was installed. Returns whether anything was.
///
/// # Errors
/// [`InstallError`] if another process installs, or something cannot be removed.
pub fn remove(folder: &PeerFolder) -> Result<bool, InstallError> {
    if !folder.path().is_dir() {
        return Ok(false);
    }
    // What is removed is not run, so its owner does not matter. The lock is written.
    let _lock = lock(folder)?;
    let cannot = folder.cannot("remove");
    let mut any = false;
    for entry in fs::read_dir(folder.path()).map_err(&cannot)? {
        let path = entry.map_err(&cannot)?.path();
        // The user may have named a folder that holds other files.
        if is_ours(&path) {
            any |= path != lock_file(folder);
            let removed =
                if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(&cannot)?;
        }
    }
    match fs::remove_dir(folder.path()) {
        Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => Err(cannot(error).into()),
        _ => Ok(any),
    }
}

/// Whether rtswap made this entry of the folder.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let hashed = ["src-", "go-"].iter().any(|begin| name.starts_with(begin));
    let marked = || path.join(COMPLETE).is_file() || path.join(CHANGING).is_file();
    hashed || matches!(name, "lock" | "scratch") || (name == "venv" && marked())
}

/// The folder for temporary files of the tools.
fn scratch(folder: &PeerFolder) -> PathBuf {
    folder.path().join("scratch")
}

fn lock_file(folder: &PeerFolder) -> PathBuf {
    folder.path().join("lock")
}

/// Excludes other installations until it is dropped.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file is not enough: a child that another thread just forked shares it until `exec`.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

fn lock(folder: &PeerFolder) -> Result<Lock, InstallError> {
    let cannot = folder.cannot("write to");
    folder.create()?;
    let file = File::create(lock_file(folder)).map_err(&cannot)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock(file)),
        Err(Errno::WOULDBLOCK) => Err(InstallError::Locked { folder: folder.path().to_owned() }),
        Err(errno) => Err(cannot(errno.into()).into()),
    }
}

/// Checks that these peers are ready.
///
/// # Errors
/// [`PeerError::NotReady`] of the first peer that is not.
pub fn ready(folder: &PeerFolder, peers: &[&Peer]) -> Result<(), PeerError> {
    for peer in peers {
        let missing = |source| PeerError::NotReady { peer: peer.name, source: Box::new(source) };
        find(folder, peer).map_err(missing)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
