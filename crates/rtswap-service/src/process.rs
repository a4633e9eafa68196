//! The process of a database server, and its folder.

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Seek as _, Write as _};
use std::iter;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{
    DirBuilderExt as _, FileExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown, lchown,
};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Gid, Pid, Uid, User, geteuid};
use rtswap_lane::process::spawn_confined;

use crate::ServiceError;
use crate::held::HeldFolder;

/// How long a server may take to stop before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// The account that a server runs as.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Account {
    /// The account that runs rtswap.
    Current,
    /// An unprivileged account, because rtswap runs as root.
    Other(Uid, Gid),
}

impl Account {
    /// The account that the server's package creates if rtswap runs as root, otherwise the current one.
    pub fn of(program: &'static str, user: &'static str) -> Result<Self, ServiceError> {
        if !geteuid().is_root() {
            return Ok(Self::Current);
        }
        match User::from_name(user) {
            Ok(Some(found)) => Ok(Self::Other(found.uid, found.gid)),
            Ok(None) => Err(ServiceError::NoAccount { program, user }),
            Err(errno) => Err(ServiceError::Account { user, source: errno.into() }),
        }
    }
}

/// The folder of a server. Dropping it removes the folder.
///
/// The server's account can enter it and cannot change it: what the account could put there, rtswap would
/// follow as root. It owns files and folders in it.
#[derive(Debug)]
pub(crate) struct ServerFolder {
    folder: HeldFolder,
    account: Account,
    cpus: Vec<usize>,
    /// What the server's programs print. The file has no name by which it could be replaced.
    log: File,
}

/// A process of a server. Dropping it stops the process.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    child: Child,
    log: File,
    stop: Signal,
}

impl ServerFolder {
    pub fn new(name: &str, account: Account, cpus: &[usize]) -> Result<Self, ServiceError> {
        let folder = HeldFolder::new(name).map_err(ServiceError::temporary("folder"))?;
        let log = tempfile::tempfile().map_err(ServiceError::temporary("file"))?;
        let folder = Self { folder, account, cpus: cpus.to_vec(), log };
        if let Account::Other(uid, gid) = account {
            let handle = folder.folder.handle();
            fchown(handle, None, Some(gid.as_raw()))
                .and_then(|()| handle.set_permissions(Permissions::from_mode(0o710)))
                .map_err(|source| folder.not_owned("", uid, source))?;
        }
        Ok(folder)
    }

    fn not_owned(&self, name: &str, uid: Uid, source: io::Error) -> ServiceError {
        ServiceError::Owner { path: self.path(name), uid: uid.as_raw(), source }
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a new file that the server alone may read.
    pub fn write_file(&self, name: &str, text: &str) -> Result<(), ServiceError> {
        let file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.path(name));
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()).map(|()| file));
        let file = written.map_err(ServiceError::temporary("file"))?;
        let Account::Other(uid, gid) = self.account else { return Ok(()) };
        fchown(file, Some(uid.as_raw()), Some(gid.as_raw()))
            .map_err(|source| self.not_owned(name, uid, source))
    }

    /// Creates a folder that the server alone may use.
    pub fn create_folder(&self, name: &str) -> Result<(), ServiceError> {
        let created = DirBuilder::new().mode(0o700).create(self.path(name));
        created.map_err(ServiceError::temporary("folder"))?;
        let Account::Other(uid, gid) = self.account else { return Ok(()) };
        lchown(self.path(name), Some(uid.as_raw()), Some(gid.as_raw()))
            .map_err(|source| self.not_owned(name, uid, source))
    }

    /// Starts `program` on the CPUs of servers and as the server's account. Its output goes to a file, whose
    /// end is part of the message if the program fails.
    ///
    /// The child is this executable, which asks to be killed when its parent dies and then becomes `program`:
    /// asking between fork and exec would take unsafe code, and a change of the user afterwards would reset
    /// it.
    pub fn spawn(
        &self,
        program: &Path,
        arguments: &[OsString],
        stop: Signal,
        input: Stdio,
    ) -> Result<ServerProcess, ServiceError> {
        let start = || {
            let log = &self.log;
            let mut command = Command::new("/proc/self/exe");
            command
                .args(["lane", "--exec"])
                .arg(shell_command(program, arguments)?)
                .env("LC_ALL", "C")
                .current_dir(self.folder.path())
                .stdin(input)
                .stdout(log.try_clone()?)
                .stderr(log.try_clone()?);
            if let Account::Other(uid, gid) = self.account {
                command.uid(uid.as_raw()).gid(gid.as_raw());
            }
            Ok((spawn_confined(&mut command, &self.cpus)?, log.try_clone()?))
        };
        let (child, log) = start().map_err(|source: io::Error| {
            let program = program.to_owned();
            match self.account {
                Account::Current => ServiceError::Spawn { program, source },
                Account::Other(uid, _) => {
                    let (uid, folder) = (uid.as_raw(), std::env::temp_dir());
                    ServiceError::SpawnAs { program, uid, folder, source }
                }
            }
        })?;
        Ok(ServerProcess { child, log, stop })
    }

    /// Runs a program on an input until it exits.
    pub fn run(
        &self,
        program: &Path,
        arguments: &[OsString],
        input: &str,
        limit: Duration,
    ) -> Result<(), ServiceError> {
        let input = anonymous(input).map_err(ServiceError::temporary("file"))?;
        let mut process = self.spawn(program, arguments, Signal::SIGTERM, input.into())?;
        let program = program.to_owned();
        let until = Instant::now() + limit;
        while Instant::now() < until {
            match process.exit_status() {
                Some(status) if status.success() => return Ok(()),
                Some(status) => {
                    let output = process.last_output();
                    return Err(ServiceError::Exited { program, status, output });
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        Err(ServiceError::Timeout { program, limit, output: process.last_output() })
    }
}

impl ServerProcess {
    /// How the process ended, if it has.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The end of the process's output, as one line.
    pub fn last_output(&self) -> String {
        const LAST_BYTES: usize = 500;
        let length = self.log.metadata().map_or(0, |found| found.len());
        let mut text = [0; LAST_BYTES];
        // The position in the file is that of the process as well, and stays.
        let read = self.log.read_at(&mut text, length.saturating_sub(LAST_BYTES as u64));
        let text = String::from_utf8_lossy(&text[..read.unwrap_or(0)]);
        let breaks = |c: char| c.is_whitespace() || c.is_control();
        text.split(breaks).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        if self.exit_status().is_none() {
            let _ = kill(pid, self.stop);
        }
        let until = Instant::now() + STOP_LIMIT;
        while self.exit_status().is_none() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        // The process group as well: the server may have left children.
        let _ = killpg(pid, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// A file without a name that holds a text.
fn anonymous(text: &str) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

/// A command for `sh`.
fn shell_command(program: &Path, arguments: &[OsString]) -> io::Result<OsString> {
    let arguments = arguments.iter().map(|argument| argument.as_bytes());
    let words = iter::once(OsStr::as_bytes(program.as_os_str())).chain(arguments);
    let command = shlex::bytes::try_join(words);
    command
        .map(OsString::from_vec)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_command_keeps_every_word() {
        let words: [&[u8]; 6] = [b"", b"a b", b"it's", b"$HOME", b"\"x\"", b"\xff"];
        let arguments = [b"%s|".as_slice()].into_iter().chain(words);
        let arguments: Vec<_> = arguments.map(|word| OsStr::from_bytes(word).to_owned()).collect();
        let command = shell_command(Path::new("printf"), &arguments).unwrap();
        let printed = Command::new("sh").arg("-c").arg(command).output().unwrap();
        assert_eq!(printed.stdout, [words.join(b"|".as_slice()), b"|".to_vec()].concat());
    }
}
