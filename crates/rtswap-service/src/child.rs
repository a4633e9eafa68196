//! A server's process.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Gid, Pid, Uid, User, geteuid};
use rtswap_lane::process::spawn_confined;

/// How long a server may take to stop before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// Whose process a server is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Account {
    /// The user's.
    Own,
    /// Somebody's who has no rights: we are root, and the server refuses to be.
    Other(Uid, Gid),
}

impl Account {
    /// The account that the server's package has made, if we are root.
    pub fn of(name: &str) -> Result<Self, String> {
        if !geteuid().is_root() {
            return Ok(Self::Own);
        }
        match User::from_name(name) {
            Ok(Some(user)) => Ok(Self::Other(user.uid, user.gid)),
            _ => Err(format!(
                "it does not run as root, and there is no user `{name}` that it could run as: \
                 add one (useradd --system {name}), or run rtswap as another user"
            )),
        }
    }
}

/// The folder of a server, which is removed with it.
#[derive(Debug)]
pub(crate) struct Home {
    folder: tempfile::TempDir,
    account: Account,
    cpus: Vec<usize>,
}

/// A process of a server. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    log: File,
    stop: Signal,
}

impl Home {
    pub fn new(name: &str, account: Account, cpus: &[usize]) -> Result<Self, String> {
        let folder = tempfile::Builder::new().prefix(&format!("rtswap-{name}-")).tempdir();
        let folder = folder.map_err(|error| crate::folder::cannot("folder", &error))?;
        let home = Self { folder, account, cpus: cpus.to_vec() };
        home.give("")?;
        Ok(home)
    }

    /// Gives something in the folder to whom the server runs as.
    fn give(&self, name: &str) -> Result<(), String> {
        let Account::Other(uid, gid) = self.account else { return Ok(()) };
        let path = self.path(name);
        chown(&path, Some(uid.as_raw()), Some(gid.as_raw()))
            .map_err(|error| format!("cannot give {} to its user: {error}", path.display()))
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file that the server may read.
    pub fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let path = self.path(name);
        fs::write(&path, text).map_err(|error| crate::folder::cannot("file", &error))?;
        self.give(name)
    }

    /// Makes a folder that is the server's.
    pub fn make(&self, name: &str) -> Result<(), String> {
        let made = fs::create_dir(self.path(name));
        made.map_err(|error| crate::folder::cannot("folder", &error))?;
        self.give(name)
    }

    /// Starts `program`, on the CPUs of servers and as whom it has to run. What it says goes into
    /// a file, whose end is told when it fails.
    ///
    /// It is this program that is started, which becomes the other once it is sure to die with us: between
    /// fork and exec that would take unsafe code, and whoever changes the user afterwards loses it.
    pub fn spawn(
        &self,
        program: &Path,
        arguments: &[OsString],
        stop: Signal,
    ) -> Result<Child, String> {
        let log = OpenOptions::new().create(true).append(true).read(true).open(self.path("log"));
        let log = log.map_err(|error| crate::folder::cannot("file", &error))?;
        let started = || {
            let mut command = Command::new("/proc/self/exe");
            command
                .args(["lane", "--exec", &quoted(program, arguments)])
                .env("LC_ALL", "C")
                .current_dir(self.folder.path())
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log.try_clone()?);
            if let Account::Other(uid, gid) = self.account {
                command.uid(uid.as_raw()).gid(gid.as_raw());
            }
            spawn_confined(&mut command, &self.cpus)
        };
        let child = started().map_err(|error| {
            let remedy = match self.account {
                Account::Own => String::new(),
                Account::Other(uid, _) => {
                    let folder = std::env::temp_dir();
                    let folder = folder.display();
                    format!("; user {uid} may not enter {folder}: set TMPDIR to another folder")
                }
            };
            format!("cannot start {}: {error}{remedy}", program.display())
        })?;
        Ok(Child { process: child, log, stop })
    }

    /// Runs a program to its end.
    pub fn run(
        &self,
        program: &Path,
        arguments: &[OsString],
        limit: Duration,
    ) -> Result<(), String> {
        let mut child = self.spawn(program, arguments, Signal::SIGTERM)?;
        let until = Instant::now() + limit;
        while Instant::now() < until {
            match child.ended() {
                Some(status) if status.success() => return Ok(()),
                Some(status) => {
                    let program = program.display();
                    return Err(format!("{program} ended ({status}){}", child.words()));
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        Err(format!("{} took more than {} s", program.display(), limit.as_secs()))
    }
}

impl Child {
    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Its last lines.
    pub fn words(&mut self) -> String {
        const LAST_BYTES: u64 = 500;
        let mut text = Vec::new();
        let length = self.log.seek(SeekFrom::End(0)).unwrap_or(0);
        let _ = self.log.seek(SeekFrom::Start(length.saturating_sub(LAST_BYTES)));
        let _ = self.log.read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text);
        let breaks = |c: char| c.is_whitespace() || c.is_control();
        let text = text.split(breaks).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        if text.is_empty() { text } else { format!("; it said: {text}") }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.process.id().cast_signed());
        if self.ended().is_none() {
            let _ = kill(pid, self.stop);
        }
        let until = Instant::now() + STOP_LIMIT;
        while self.ended().is_none() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        // The group even so, in case it has left something running.
        let _ = killpg(pid, Signal::SIGKILL);
        let _ = self.process.wait();
    }
}

/// A command as a shell reads it.
fn quoted(program: &Path, arguments: &[OsString]) -> String {
    let words = std::iter::once(program.as_os_str()).chain(arguments.iter().map(AsRef::as_ref));
    let quoted = words.map(|word| format!("'{}'", word.to_string_lossy().replace('\'', r"'\''")));
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_each_word_as_it_is() {
        let words = ["", "a b", "it's", "$HOME", "\"x\""];
        let arguments: Vec<_> = ["%s|"].iter().chain(&words).map(OsString::from).collect();
        let printed = Command::new("sh")
            .arg("-c")
            .arg(quoted(Path::new("printf"), &arguments))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(printed.stdout).unwrap(), words.join("|") + "|");
    }
}
