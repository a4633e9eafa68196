//! Runs an external tool until it exits.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{Installer, scratch};
use crate::InstallError;

/// How long an interrupted tool may take to exit before it is killed.
const EXIT_LIMIT: Duration = Duration::from_secs(3);
/// Lines of the output that are quoted if the tool fails.
const LAST_LINES: usize = 3;

impl Installer<'_> {
    /// Runs a tool, `name` in messages, and returns its output. A tool that respects `TMPDIR` writes nothing outside
    /// of the peers' folder.
    pub fn run(&self, tool: &mut Command, name: &str) -> Result<String, InstallError> {
        let scratch = scratch(self.folder);
        let output = scratch.join("output");
        let stdout = File::create(&output).map_err(self.folder.cannot("write to"))?;
        let stderr = stdout.try_clone().map_err(self.folder.cannot("write to"))?;
        tool.env("PATH", self.folder.search_path())
            .env("TMPDIR", &scratch)
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            // A process group of its own: rtswap handles Ctrl-C, and ends the children of the tool as well.
            .process_group(0);
        let child = tool.spawn().map_err(|source| {
            let program = tool.get_program().into();
            InstallError::Spawn { tool: name.to_owned(), program, source }
        })?;
        let status = self.wait(child, name)?;
        let output = String::from_utf8_lossy(&fs::read(&output).unwrap_or_default()).into_owned();
        if status.success() {
            return Ok(output);
        }
        let output = last_lines(&output);
        Err(InstallError::Tool { tool: name.to_owned(), status, output })
    }

    fn wait(&self, mut child: Child, name: &str) -> Result<ExitStatus, InstallError> {
        const POLL_INTERVAL: Duration = Duration::from_millis(20);
        let group = Pid::from_child(&child);
        let mut interrupted: Option<Instant> = None;
        loop {
            let ended = child.try_wait();
            let ended =
                ended.map_err(|source| InstallError::Wait { tool: name.to_owned(), source })?;
            if let Some(status) = ended {
                if interrupted.is_none() {
                    return Ok(status);
                }
                // Children of the tool may have ignored SIGINT.
                let _ = kill_process_group(group, Signal::KILL);
                return Err(InstallError::Interrupted);
            }
            match interrupted {
                None if self.cancel.load(Ordering::Relaxed) => {
                    let _ = kill_process_group(group, Signal::INT);
                    interrupted = Some(Instant::now());
                }
                Some(since) if since.elapsed() > EXIT_LIMIT => {
                    let _ = kill_process_group(group, Signal::KILL);
                }
                _ => {}
            }
            thread::sleep(POLL_INTERVAL);
        }
    }
}

/// The last lines of a tool's output, as part of a message.
fn last_lines(output: &str) -> String {
    let useful = |line: &&str| !line.is_empty() && !line.starts_with("[notice]");
    let lines: Vec<_> = output.split(['\n', '\r']).map(str::trim).filter(useful).collect();
    let last = lines[lines.len().saturating_sub(LAST_LINES)..].join(" | ");
    last.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_lines_joins_lines_and_drops_control_characters() {
        let output = "one\ntwo\n\nthree\r\n\u{1b}[31mfour\n[notice] A new release of pip\n";
        assert_eq!(last_lines(output), "two | three | [31mfour");
        assert_eq!(last_lines(""), "");
    }
}
