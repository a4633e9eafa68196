//! Running somebody else's tool to its end.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{Job, Trouble, scratch};

/// How long a tool may take to tidy up when it is interrupted.
const GRACE: Duration = Duration::from_secs(3);
/// Lines of its output that are quoted when it fails.
const LAST_LINES: usize = 3;

impl Job<'_> {
    /// Runs a tool and returns what it has printed. It writes nothing outside of the peers' folder if it
    /// goes by `TMPDIR`.
    pub fn run(&self, tool: &mut Command, what: &str) -> Result<String, Trouble> {
        let scratch = scratch(self.place);
        let output = scratch.join("output");
        let file = File::create(&output).map_err(|error| self.failed("write to", &error))?;
        let twin = file.try_clone().map_err(|error| self.failed("write to", &error))?;
        tool.env("PATH", self.place.path())
            .env("TMPDIR", &scratch)
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(twin)
            // A group of its own: Ctrl-C is ours to handle, and ends what it has started, too.
            .process_group(0);
        let program = tool.get_program().display().to_string();
        let child = tool.spawn();
        let child = child
            .map_err(|error| Trouble::Failed(format!("{what}: cannot run {program}: {error}")))?;
        let status = self.wait(child)?;
        let said = String::from_utf8_lossy(&fs::read(&output).unwrap_or_default()).into_owned();
        if status.success() {
            return Ok(said);
        }
        let last = last_lines(&said);
        let words = if last.is_empty() { last } else { format!("; it said: {last}") };
        Err(Trouble::Failed(format!("{what} failed ({status}){words}")))
    }

    fn wait(&self, mut child: Child) -> Result<ExitStatus, Trouble> {
        const LOOK: Duration = Duration::from_millis(20);
        let group = Pid::from_child(&child);
        let mut asked: Option<Instant> = None;
        loop {
            if let Some(status) =
                child.try_wait().map_err(|error| self.failed("wait in", &error))?
            {
                if asked.is_none() {
                    return Ok(status);
                }
                // Whatever of it has not listened.
                let _ = kill_process_group(group, Signal::KILL);
                return Err(Trouble::Interrupted);
            }
            match asked {
                None if self.cancel.load(Ordering::Relaxed) => {
                    let _ = kill_process_group(group, Signal::INT);
                    asked = Some(Instant::now());
                }
                Some(since) if since.elapsed() > GRACE => {
                    let _ = kill_process_group(group, Signal::KILL);
                }
                _ => {}
            }
            thread::sleep(LOOK);
        }
    }
}

/// The end of a tool's output, as part of a message.
fn last_lines(said: &str) -> String {
    let tells = |line: &&str| !line.is_empty() && !line.starts_with("[notice]");
    let lines: Vec<_> = said.split(['\n', '\r']).map(str::trim).filter(tells).collect();
    let last = lines[lines.len().saturating_sub(LAST_LINES)..].join(" | ");
    last.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_one_and_move_no_cursor() {
        let said = "one\ntwo\n\nthree\r\n\u{1b}[31mfour\n[notice] A new release of pip\n";
        assert_eq!(last_lines(said), "two | three | [31mfour");
        assert_eq!(last_lines(""), "");
    }
}
