//! Why something was not built.

use std::error::Error;
use std::io;
use std::iter;
use std::path::PathBuf;
use std::process::ExitStatus;

use crate::cache::FOLDER_VAR;
use crate::source::SOURCE_VAR;

/// Why something was not built.
///
/// A message is one line that names the thing and the remedy. The cause, if there is one, is the
/// [`source`](Error::source); [`with_causes`](Self::with_causes) has both.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The user interrupted it. What was half built counts as nothing.
    #[error("interrupted")]
    Interrupted,
    /// There is no cargo.
    #[error(
        "there is no `{program}` on PATH, and lanes of other versions are built with it; install Rust: https://rustup.rs"
    )]
    NoCargo {
        /// `cargo` or `rustc`.
        program: &'static str,
    },
    /// Cargo or rustc cannot be run.
    #[error("cannot run {program}")]
    Run {
        /// `cargo` or `rustc`.
        program: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The environment names no folder for what is built.
    #[error("no folder for built lanes: HOME is not set; set {FOLDER_VAR} to a folder")]
    NoFolder,
    /// The cache cannot be read or written.
    #[error("cannot {action} {}; {}", .path.display(), remedy(.source))]
    Cache {
        /// `write to`, `remove` and so on.
        action: &'static str,
        /// The folder or file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Another user could have written what would be run.
    #[error("others than you may write to {}, and what is in it would be run; set {FOLDER_VAR} to a folder of yours", .path.display())]
    Foreign {
        /// The cache.
        path: PathBuf,
    },
    /// The folder that is to be a checkout of rtswap is none.
    #[error("{SOURCE_VAR} names {}, which is no checkout of rtswap: it has no crates/{adapter}/Cargo.toml", .folder.display())]
    NoCheckout {
        /// The folder.
        folder: PathBuf,
        /// The adapter's crate.
        adapter: String,
    },
    /// The source cannot be read.
    #[error("cannot read the source in {}", .path.display())]
    Source {
        /// The folder.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A folder has no such crate.
    #[error("{} has no crate `{package}`: {found}", .folder.display())]
    NoCrate {
        /// The folder.
        folder: PathBuf,
        /// The crate.
        package: String,
        /// What it has.
        found: String,
    },
    /// The repository of a crate is not known.
    #[error("the repository of `{package}` is not known here; name it: git:URL#{revision}")]
    NoRepository {
        /// The crate.
        package: String,
        /// The revision.
        revision: String,
    },
    /// There is no such version.
    #[error("there is no {package} {version}{}", published(.candidates))]
    NoVersion {
        /// The crate.
        package: String,
        /// The version.
        version: String,
        /// Versions that there are, nearest first.
        candidates: Vec<String>,
    },
    /// The adapter does not accept that version.
    #[error("{adapter} does not accept {package} {version}: it would be built with {used}")]
    NotAccepted {
        /// The adapter's crate.
        adapter: String,
        /// The crate.
        package: String,
        /// The version that was asked for.
        version: String,
        /// The version that cargo chose for the adapter.
        used: String,
    },
    /// Cargo is offline, and lacks something.
    #[error(
        "cargo is offline and lacks packages or their index; unset CARGO_NET_OFFLINE or `net.offline`: {last}"
    )]
    Offline {
        /// Cargo's last lines.
        last: String,
    },
    /// A repository has no such revision.
    #[error("there is no commit, tag or branch `{revision}` in {url}")]
    NoRevision {
        /// The repository.
        url: String,
        /// The revision.
        revision: String,
    },
    /// The registry or repository cannot be reached.
    #[error("cargo cannot reach the registry or the repository; check the network: {last}")]
    NoNetwork {
        /// Cargo's last lines.
        last: String,
    },
    /// There is no such toolchain.
    #[error(
        "there is no toolchain `{toolchain}` (`rustup toolchain list` shows those that are installed): {last}"
    )]
    NoToolchain {
        /// The toolchain.
        toolchain: String,
        /// The last lines of the program.
        last: String,
    },
    /// There was no room for what is built.
    #[error(
        "no space left to build in; `rtswap lanes clean --all` frees what was built before: {last}"
    )]
    NoSpace {
        /// Cargo's last lines.
        last: String,
    },
    /// Cargo failed in another way.
    #[error("cargo failed ({status}): {last}")]
    Cargo {
        /// How it ended.
        status: ExitStatus,
        /// Its last lines.
        last: String,
    },
    /// Cargo did what was not expected of it.
    #[error("cargo built no executable `{name}`")]
    NoExecutable {
        /// The name of the executable.
        name: String,
    },
    /// The lockfile that cargo has written cannot be read.
    #[error("cannot read the lockfile of cargo")]
    Lockfile(#[from] cargo_lock::Error),
}

fn published(candidates: &[String]) -> String {
    if candidates.is_empty() {
        return String::new();
    }
    format!("; there are {}", candidates.join(", "))
}

fn remedy(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("make room, or set {FOLDER_VAR} to a folder on another disk")
        }
        _ => format!("set {FOLDER_VAR} to a folder that you may write to"),
    }
}

impl BuildError {
    /// Whether the version or its build is to blame: the lane has failed, and other lanes can be built.
    pub fn is_of_lane(&self) -> bool {
        matches!(
            self,
            Self::NoVersion { .. }
                | Self::NoRevision { .. }
                | Self::NotAccepted { .. }
                | Self::Offline { .. }
                | Self::NoNetwork { .. }
                | Self::NoSpace { .. }
                | Self::Cargo { .. }
                | Self::NoExecutable { .. }
        )
    }

    /// Whether the command line or an environment variable names something that does not exist.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::NoCrate { .. }
                | Self::NoRepository { .. }
                | Self::NoCheckout { .. }
                | Self::NoToolchain { .. }
        )
    }

    /// The same, where cargo's lines name these folders by their last part alone.
    pub(crate) fn hide(mut self, folders: &[PathBuf]) -> Self {
        if let Self::Offline { last }
        | Self::NoNetwork { last }
        | Self::NoSpace { last }
        | Self::Cargo { last, .. } = &mut self
        {
            for folder in folders {
                let name = folder.file_name().unwrap_or_default().to_string_lossy();
                *last = last.replace(&*folder.to_string_lossy(), &format!("…/{name}"));
            }
        }
        self
    }

    /// The message and its causes, in one line.
    pub fn with_causes(&self) -> String {
        let mut line = self.to_string();
        for cause in iter::successors(self.source(), |&cause| cause.source()) {
            line.push_str(": ");
            line.push_str(&cause.to_string());
        }
        line
    }
}
