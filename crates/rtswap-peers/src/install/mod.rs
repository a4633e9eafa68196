//! Getting what runs the peers, into the peers' folder and nowhere else.

mod go;
mod python;
mod tool;

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use rustix::fs::{FlockOperation, flock};

use crate::found::{COMPLETE, find, node};
use crate::{Needs, Peer, Place};
use python::CHANGING;

/// Who hears what is being done.
pub trait Steps {
    /// Something that takes a while begins.
    fn begin(&mut self, what: &str);
    /// What was begun last is done, or something is found done already. One line.
    fn done(&mut self, what: &str);
}

/// Why something was not installed.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// One line: what went wrong, and what to do.
    #[error("{0}")]
    Failed(String),
    /// The user has had enough. The next attempt mends what is left.
    #[error("interrupted")]
    Interrupted,
}

/// An installation under way.
struct Job<'a> {
    place: &'a Place,
    steps: &'a mut dyn Steps,
    cancel: &'a AtomicBool,
}

/// Gets what these peers need, unless it is there. `cancel` ends it early, and whatever it has started.
///
/// # Errors
/// [`Trouble`] if something cannot be had. What was there before is there still, as long as no package was
/// half installed; then the next attempt makes all of it anew.
pub fn install(
    place: &Place,
    peers: &[&Peer],
    steps: &mut dyn Steps,
    cancel: &AtomicBool,
) -> Result<(), Trouble> {
    let _lock = lock(place)?;
    let scratch = scratch(place);
    // What an earlier one has left that was killed.
    let _ = fs::remove_dir_all(&scratch);
    fs::create_dir(&scratch).map_err(|error| failed(place, "write to", &error))?;
    let mut job = Job { place, steps, cancel };
    let done = job.all(peers);
    let _ = fs::remove_dir_all(&scratch);
    done
}

impl Job<'_> {
    fn all(&mut self, peers: &[&Peer]) -> Result<(), Trouble> {
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
            match node(self.place) {
                Ok(node) => self.steps.done(&format!("Node.js: {}", node.display())),
                Err(missing) => self.steps.done(&format!("Node.js: {missing}")),
            }
        }
        Ok(())
    }

    fn failed(&self, what: &str, error: &io::Error) -> Trouble {
        failed(self.place, what, error)
    }
}

/// Removes what was installed. Returns whether there was anything.
///
/// # Errors
/// [`Trouble`] if somebody is installing, or something cannot be removed.
pub fn remove(place: &Place) -> Result<bool, Trouble> {
    if !place.folder().is_dir() {
        return Ok(false);
    }
    let _lock = lock(place)?;
    let cannot = |error: io::Error| failed(place, "remove", &error);
    let mut any = false;
    for entry in fs::read_dir(place.folder()).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        // The folder may have been named by the user, and hold what is not ours.
        if is_ours(&path) {
            any |= path != lock_file(place);
            let removed =
                if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(cannot)?;
        }
    }
    match fs::remove_dir(place.folder()) {
        Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => Err(cannot(error)),
        _ => Ok(any),
    }
}

fn is_ours(path: &std::path::Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let hashed = ["src-", "go-"].iter().any(|begin| name.starts_with(begin));
    let marked = || path.join(COMPLETE).is_file() || path.join(CHANGING).is_file();
    hashed || matches!(name, "lock" | "scratch") || (name == "venv" && marked())
}

/// The folder of what the tools write and nobody needs afterwards.
fn scratch(place: &Place) -> PathBuf {
    place.folder().join("scratch")
}

fn lock_file(place: &Place) -> PathBuf {
    place.folder().join("lock")
}

/// Keeps others from installing; until it is dropped.
fn lock(place: &Place) -> Result<File, Trouble> {
    let cannot = |error: io::Error| failed(place, "write to", &error);
    fs::create_dir_all(place.folder()).map_err(cannot)?;
    let file = File::create(lock_file(place)).map_err(cannot)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Trouble::Failed(format!(
            "another `rtswap peers` is at work in {}; try again when it is done",
            place.folder().display()
        ))),
        Err(error) => Err(cannot(error.into())),
    }
}

fn failed(place: &Place, what: &str, error: &io::Error) -> Trouble {
    Trouble::Failed(place.cannot(what, error))
}

/// Of these, the first that is not there, and what to do.
///
/// # Errors
/// That.
pub fn ready(place: &Place, peers: &[&Peer]) -> Result<(), String> {
    for peer in peers {
        find(place, peer).map_err(|missing| format!("{}: {missing}", peer.name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
