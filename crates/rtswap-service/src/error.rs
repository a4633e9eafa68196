//! What can go wrong with a service, and with the work of a lane that uses one.

use std::error::Error;
use std::io;
use std::iter;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use humantime::format_duration;

/// Why a service cannot be started, reached or handed to a lane.
///
/// A message names the thing and the remedy. The cause, if there is one, is the
/// [`source`](Error::source); [`with_causes`](Self::with_causes) has both in one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// A server's program is not installed.
    #[error("{program} is not installed: apt-get install {package}, or give --{kind}-url")]
    NotInstalled {
        /// The name of the program.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
        /// The kind of server, as in `--KIND-url`.
        kind: &'static str,
    },
    /// A service cannot start; the source says why.
    #[error("cannot start {service}")]
    Start {
        /// The program's name, or `the HTTPS origin`.
        service: &'static str,
        /// What went wrong.
        source: Box<ServiceError>,
    },
    /// Nothing can be written to the folder for temporary files.
    #[error("cannot make a {what} in {} (set TMPDIR to a writable folder with free space)", .folder.display())]
    Temporary {
        /// `folder`, `file` or `file of 256 MiB`.
        what: String,
        /// The folder for temporary files.
        folder: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A lane cannot be given a path that is not UTF-8: the lane protocol is JSON.
    #[error("the temporary path {} is not UTF-8; set TMPDIR to a folder whose path is", .path.display())]
    NotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// A server is not run as root, and the account of its package does not exist.
    #[error(
        "{program} is not run as root and the user `{user}` does not exist: \
         add the user (useradd --system {user}), or run rtswap as another user"
    )]
    NoAccount {
        /// The name of the program.
        program: &'static str,
        /// The account's name.
        user: &'static str,
    },
    /// No password can be drawn for a server.
    #[error("cannot draw a password from /dev/urandom")]
    Password {
        /// The kernel's answer.
        source: io::Error,
    },
    /// The system's user database cannot be read.
    #[error("cannot look up the user `{user}` (run rtswap as another user than root)")]
    Account {
        /// The account's name.
        user: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// A file cannot be given to the account that a server runs as.
    #[error("cannot change the owner of {} to user {uid} (run rtswap as another user than root)", .path.display())]
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// The account's number.
        uid: u32,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A program cannot be executed.
    #[error("cannot execute {}", .program.display())]
    Spawn {
        /// The program's path.
        program: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A program cannot be executed as another user.
    #[error(
        "cannot execute {} as user {uid} (if that user may not enter {}, set TMPDIR to another folder)",
        .program.display(), .folder.display()
    )]
    SpawnAs {
        /// The program's path.
        program: PathBuf,
        /// The account's number.
        uid: u32,
        /// The folder for temporary files.
        folder: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A server ended before it was ready, or a tool of its failed.
    #[error("{} ended ({status}){}", .program.display(), said(.output))]
    Exited {
        /// The program's path.
        program: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// The end of its output.
        output: String,
    },
    /// A server or a tool of its takes too long.
    #[error("{} is not ready after {}{}", .program.display(), format_duration(*.limit), said(.output))]
    Timeout {
        /// The program's path.
        program: PathBuf,
        /// How long it was given.
        limit: Duration,
        /// The end of its output.
        output: String,
    },
    /// No port can be had.
    #[error("cannot get a free port of 127.0.0.1")]
    Port {
        /// The kernel's answer.
        source: io::Error,
    },
    /// A server ended during the run and was started again.
    #[error("{program} had ended{}{}", .status.map(|status| format!(" ({status})")).unwrap_or_default(), said(.output))]
    Ended {
        /// The program's name.
        program: &'static str,
        /// How it ended, if that is known.
        status: Option<ExitStatus>,
        /// The end of its output.
        output: String,
    },
    /// A server ended during the run and cannot be started again.
    #[error("{ended}; it cannot be started again")]
    Restart {
        /// How it ended.
        ended: Box<ServiceError>,
        /// Why it does not start.
        source: Box<ServiceError>,
    },
    /// What the user gave is not the URL of a server.
    #[error("--{kind}-url: {reason}")]
    Url {
        /// The kind of server.
        kind: &'static str,
        /// What is wrong with the URL, and what one looks like.
        reason: String,
    },
    /// The host of the user's server has no address.
    #[error("cannot resolve the host of --{kind}-url (correct the URL)")]
    Resolve {
        /// The kind of server.
        kind: &'static str,
        /// The resolver's answer.
        source: io::Error,
    },
    /// The user's server does not answer.
    #[error("cannot reach {server} (start it, or correct --{kind}-url)")]
    Unreachable {
        /// The server's kind, host and port.
        server: String,
        /// The kind of server.
        kind: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The user's server takes no connections.
    #[error("{server} refuses connections: {reason}; correct that, or --{kind}-url")]
    Refused {
        /// The server's kind, host and port.
        server: String,
        /// The kind of server.
        kind: &'static str,
        /// What it answers.
        reason: String,
    },
    /// The user's server is not ready yet.
    #[error("{server} is still starting; try again when it is ready")]
    Starting {
        /// The server's kind, host and port.
        server: String,
    },
    /// What answers at the user's URL speaks another protocol.
    #[error("{server} is no {kind} server: it speaks another protocol; correct --{kind}-url")]
    WrongServer {
        /// The server's kind, host and port.
        server: String,
        /// The kind of server.
        kind: &'static str,
    },
    /// The origin's certificate cannot be made.
    #[error("cannot create a certificate for the HTTPS origin")]
    Certificate {
        /// What the library says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The origin's root certificate cannot be written.
    #[error("cannot write the root certificate to {} (choose another file)", .path.display())]
    RootCertificate {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The origin cannot listen.
    #[error("cannot serve on {addr} (choose another address or port)")]
    Listen {
        /// The address that was asked for.
        addr: SocketAddr,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The origin's thread cannot be started.
    #[error("cannot start a thread for the HTTPS origin (see `ulimit -u`)")]
    Thread {
        /// The kernel's answer.
        source: io::Error,
    },
    /// The origin's threads cannot be pinned.
    #[error("cannot pin the HTTPS origin to the CPUs {cpus:?} (choose CPUs that rtswap may use)")]
    Pin {
        /// The CPUs.
        cpus: Vec<usize>,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// What a lane did wrong: its slice does not count.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The lane was started without a folder.
    #[error("the lane was given no folder")]
    NoFolder,
    /// The lane's folder cannot be listed.
    #[error("cannot list the lane's folder {}", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A file of the lane's cannot be read or removed.
    #[error("cannot {action} the lane's file {}", .path.display())]
    File {
        /// `read` or `remove`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The name of a file is not `SIZE-NUMBER`.
    #[error("the lane left an unfinished file `{name}`: a finished file is named SIZE-NUMBER")]
    Unfinished {
        /// The name of the file.
        name: String,
    },
    /// A file is too short or too long.
    #[error("the file `{name}` has {bytes} bytes instead of {expected}")]
    Size {
        /// The name of the file.
        name: String,
        /// Its size.
        bytes: usize,
        /// The size that its name says.
        expected: usize,
    },
    /// A file has the right size and wrong bytes.
    #[error("the file `{name}` has the wrong content")]
    Content {
        /// The name of the file.
        name: String,
    },
    /// Files were to be written, and there is none.
    #[error("the lane reports {ops} operations and left no file")]
    NoFile {
        /// Operations that the lane reports.
        ops: u64,
    },
    /// More downloads are reported than images were served.
    #[error(
        "the lane reports {ops} downloads, but the origin served {served} images{}",
        .size.map(|size| format!(" of {size} bytes")).unwrap_or_default()
    )]
    NotServed {
        /// Operations that the lane reports.
        ops: u64,
        /// Images that were served in full.
        served: u64,
        /// The size of the images that count, in bytes, if the workload has one.
        size: Option<u64>,
    },
}

impl ServiceError {
    /// The message and its causes in one line, as `anyhow` prints them with `{:#}`.
    pub fn with_causes(&self) -> String {
        with_causes(self)
    }

    /// An error of the folder for temporary files.
    pub(crate) fn temporary(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Temporary { what, folder: std::env::temp_dir(), source }
    }

    /// The path as text, for a lane.
    pub(crate) fn utf8(path: &std::path::Path) -> Result<&str, Self> {
        path.to_str().ok_or_else(|| Self::NotUtf8 { path: path.to_owned() })
    }

    /// Whether another program took the port in the meantime, by what the server says.
    pub(crate) fn is_port_in_use(&self) -> bool {
        matches!(self, Self::Exited { output, .. } if output.contains("in use"))
    }
}

impl CheckError {
    /// The message and its causes in one line, as `anyhow` prints them with `{:#}`.
    pub fn with_causes(&self) -> String {
        with_causes(self)
    }
}

fn with_causes(error: &dyn Error) -> String {
    let chain = iter::successors(Some(error), |error| (*error).source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// A process's last output, as the end of a message.
fn said(output: &str) -> String {
    if output.is_empty() { String::new() } else { format!("; it said: {output}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_causes_joins_the_whole_chain() {
        let source = io::Error::from(rustix::io::Errno::NOSPC);
        let temporary =
            ServiceError::Temporary { what: "file".into(), folder: "/x".into(), source };
        let error = ServiceError::Start { service: "redis-server", source: Box::new(temporary) };
        assert_eq!(
            error.with_causes(),
            "cannot start redis-server: cannot make a file in /x (set TMPDIR to a writable folder with \
             free space): No space left on device (os error 28)"
        );
    }

    #[test]
    fn output_is_quoted_only_if_there_is_any() {
        let ended = |output: &str| {
            let output = output.to_owned();
            ServiceError::Ended { program: "postgres", status: None, output }.to_string()
        };
        assert_eq!(ended(""), "postgres had ended");
        assert_eq!(ended("FATAL: x"), "postgres had ended; it said: FATAL: x");
    }
}
