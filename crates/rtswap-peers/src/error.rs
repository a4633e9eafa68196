//! Why a peer is not ready, and why it cannot be made ready.

use std::error::Error;
use std::io;
use std::iter;
use std::path::PathBuf;
use std::process::ExitStatus;

use crate::FOLDER_VAR;

/// Why a peer cannot be started.
///
/// A message names the thing and the remedy. The cause, if there is one, is the
/// [`source`](Error::source); [`with_causes`](Self::with_causes) has both in one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The environment names no folder for peers.
    #[error("no folder for peers: HOME is not set; set {FOLDER_VAR} to a folder")]
    NoFolder,
    /// The peers' folder cannot be read or written.
    #[error("cannot {action} {} (set {FOLDER_VAR} to another folder)", .folder.display())]
    Folder {
        /// `write to`, `remove` and so on.
        action: &'static str,
        /// The peers' folder.
        folder: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Another user owns what would be run.
    #[error(
        "{} belongs to user {user}, and what is in it would be run; set {FOLDER_VAR} to a folder of yours",
        .path.display()
    )]
    OtherOwner {
        /// The peers' folder, or a folder in it.
        path: PathBuf,
        /// The number of the user.
        user: u32,
    },
    /// Other users may write what would be run.
    #[error(
        "others may write to {path}, and what is in it would be run; run `chmod go-w {path}` if you know all that is \
         in it",
        path = .path.display()
    )]
    OthersWrite {
        /// The peers' folder, or a folder in it.
        path: PathBuf,
    },
    /// A Python package is missing.
    #[error("{package} is not installed; run `rtswap peers install {peer}`")]
    NoPackage {
        /// The name of the package.
        package: &'static str,
        /// The name of the peer.
        peer: &'static str,
    },
    /// There is no virtual environment, or its interpreter is gone.
    #[error("there is no Python virtual environment; run `rtswap peers install {peer}`")]
    NoVenv {
        /// The name of the peer.
        peer: &'static str,
    },
    /// Node.js is missing.
    #[error("there is no `node` on PATH; install Node.js, for example: apt install nodejs")]
    NoNode,
    /// The Go lane is not compiled.
    #[error("the Go lane is not built; run `rtswap peers install {peer}`")]
    NoGoLane {
        /// The name of the peer.
        peer: &'static str,
    },
    /// A peer that was asked for by name is not ready.
    #[error("{peer} is not ready")]
    NotReady {
        /// The name of the peer.
        peer: &'static str,
        /// What is missing.
        source: Box<PeerError>,
    },
}

/// Why something was not installed or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// The user interrupted the installation. The next attempt repairs what is left.
    #[error("interrupted")]
    Interrupted,
    /// The peers' folder cannot be used.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// Another process installs or removes peers.
    #[error("another `rtswap peers` is at work in {}; try again when it is done", .folder.display())]
    Locked {
        /// The peers' folder.
        folder: PathBuf,
    },
    /// `venv` in the peers' folder was not made by rtswap.
    #[error("{} was not made by rtswap; set {FOLDER_VAR} to another folder", .venv.display())]
    ForeignVenv {
        /// The folder.
        venv: PathBuf,
    },
    /// Python is missing.
    #[error(
        "there is no `python3` on PATH; install Python {oldest} or later, for example: \
         apt install python3 python3-venv"
    )]
    NoPython {
        /// The oldest version that works.
        oldest: &'static str,
    },
    /// Python is too old.
    #[error(
        "{} is Python {version}, and {oldest} or later is needed; put a newer one first on PATH",
        .python.display()
    )]
    OldPython {
        /// The interpreter.
        python: PathBuf,
        /// Its version.
        version: String,
        /// The oldest version that works.
        oldest: &'static str,
    },
    /// Go is missing, and Python, with which to get it.
    #[error(
        "there is no `go` on PATH, and no `python3` to get one with; install Go 1.{oldest_minor} or \
         later, for example: apt install golang-go"
    )]
    NoGo {
        /// The oldest version that works is 1.this.
        oldest_minor: u32,
    },
    /// A virtual environment cannot be made.
    #[error("cannot make a virtual environment (on Debian and Ubuntu: apt install python3-venv)")]
    Venv {
        /// What went wrong.
        source: Box<InstallError>,
    },
    /// Python packages cannot be installed.
    #[error(
        "cannot install {packages} (what is installed stays usable; `rtswap peers install` tries again)"
    )]
    Packages {
        /// Their names.
        packages: String,
        /// What went wrong.
        source: Box<InstallError>,
    },
    /// A tool cannot be executed.
    #[error("cannot execute {} for {tool}", .program.display())]
    Spawn {
        /// What was to be done.
        tool: String,
        /// The program.
        program: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The end of a tool cannot be awaited.
    #[error("cannot wait for {tool}")]
    Wait {
        /// What was to be done.
        tool: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A tool failed.
    #[error(
        "{tool} failed ({status}){}",
        if .output.is_empty() { String::new() } else { format!("; it said: {}", .output) }
    )]
    Tool {
        /// What was to be done.
        tool: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its output.
        output: String,
    },
}

impl PeerError {
    /// The message and its causes in one line, as `anyhow` prints them with `{:#}`.
    pub fn with_causes(&self) -> String {
        with_causes(self)
    }
}

impl InstallError {
    /// The message and its causes in one line, as `anyhow` prints them with `{:#}`.
    pub fn with_causes(&self) -> String {
        with_causes(self)
    }
}

fn with_causes(error: &dyn Error) -> String {
    let chain = iter::successors(Some(error), |error| (*error).source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
