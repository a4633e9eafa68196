//! Runs a client as a child process that ends with this one.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rtswap_lane::process::spawn_confined;
use rtswap_report::format::one_line;
use rustix::process::{Pid, Signal, kill_process_group};

/// How often to look whether the client has ended. Each look takes CPU time that the client may need.
const PERIOD: Duration = Duration::from_millis(10);
/// What a shell exits with if there is no such command, or if it cannot be run.
const NOT_FOUND: [i32; 2] = [126, 127];

/// How a client has ended.
#[derive(Debug)]
pub(super) struct Done {
    pub success: bool,
    code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Why a client has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessError {
    /// The user has interrupted the run.
    Cancelled,
    /// Why, in a line.
    Failed(String),
}

impl Done {
    pub fn was_found(&self) -> bool {
        !self.code.is_some_and(|code| NOT_FOUND.contains(&code))
    }

    /// How it ended and the end of what it has printed.
    pub fn last_words(&self) -> String {
        const MOST: usize = 300;
        let printed = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        let printed = one_line(printed);
        let skipped = printed.chars().count().saturating_sub(MOST);
        let printed: String = printed.chars().skip(skipped).collect();
        let code = match self.code {
            Some(0) => String::new(),
            Some(code) => format!(" with exit code {code}"),
            None => " by a signal".to_owned(),
        };
        if printed.is_empty() { code } else { format!("{code}; it printed: {printed}") }
    }
}

/// Runs a command on CPUs for `limit` at most. It ends with this process.
pub(super) fn run(
    words: &[String],
    cpus: &[usize],
    limit: Duration,
    cancel: &AtomicBool,
) -> Result<Done, ProcessError> {
    let name = words.first().map_or("", String::as_str);
    let failed = |error: io::Error| ProcessError::Failed(format!("cannot run {name}: {error}"));
    // Files, because a client that prints much would block on a pipe that nobody reads.
    let (mut stdout, mut stderr) =
        (tempfile::tempfile().map_err(failed)?, tempfile::tempfile().map_err(failed)?);
    // This executable becomes the command once it is sure to die with this process.
    let mut command = Command::new("/proc/self/exe");
    command
        .args(["lane", "--exec", &quoted(words)])
        .stdin(Stdio::null())
        .stdout(stdout.try_clone().map_err(failed)?)
        .stderr(stderr.try_clone().map_err(failed)?);
    let mut group = Group(spawn_confined(&mut command, cpus).map_err(failed)?);
    let until = Instant::now() + limit;
    let status = loop {
        if cancel.load(Ordering::Relaxed) {
            return Err(ProcessError::Cancelled);
        }
        if let Some(status) = group.0.try_wait().map_err(failed)? {
            break status;
        }
        if Instant::now() > until {
            let s = limit.as_secs();
            return Err(ProcessError::Failed(format!("{name} did not end within {s} s")));
        }
        thread::sleep(PERIOD);
    };
    Ok(Done {
        success: status.success(),
        code: status.code(),
        stdout: printed(&mut stdout).map_err(failed)?,
        stderr: printed(&mut stderr).map_err(failed)?,
    })
}

/// The words as the shell reads them.
fn quoted(words: &[String]) -> String {
    let quote = |word: &String| format!("'{}'", word.replace('\'', r"'\''"));
    words.iter().map(quote).collect::<Vec<_>>().join(" ")
}

fn printed(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A process group, which is killed when this is dropped.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // The id is not reused while the group has members; the error of an empty group is ignored.
        if let Some(pid) = Pid::from_raw(self.0.id().cast_signed()) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(code: Option<i32>, stdout: &str, stderr: &str) -> Done {
        let (stdout, stderr) = (stdout.to_owned(), stderr.to_owned());
        Done { success: code == Some(0), code, stdout, stderr }
    }

    #[test]
    fn last_words_prefers_standard_error() {
        let words = done(Some(1), "out", "unable to connect\n").last_words();
        assert_eq!(words, " with exit code 1; it printed: unable to connect");
        assert_eq!(done(Some(0), "a\nb", " ").last_words(), "; it printed: a b");
        assert_eq!(done(None, "", "").last_words(), " by a signal");
        let long = done(Some(0), &"é".repeat(1000), "").last_words();
        assert_eq!(long.matches('é').count(), 300);
    }

    #[test]
    fn was_found_is_false_for_codes_of_shell() {
        assert!(done(Some(1), "", "").was_found() && done(None, "", "").was_found());
        assert!(!done(Some(127), "", "").was_found() && !done(Some(126), "", "").was_found());
    }

    #[test]
    fn quoted_keeps_words_apart() {
        let words = ["a b".to_owned(), "it's".to_owned(), "$HOME".to_owned()];
        assert_eq!(quoted(&words), r"'a b' 'it'\''s' '$HOME'");
    }
}
