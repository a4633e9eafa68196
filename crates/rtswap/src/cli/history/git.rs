//! The `git` program.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::cli::Exit;

/// What git cannot do.
#[derive(Debug, thiserror::Error)]
pub(super) enum GitError {
    /// It cannot be started.
    #[error("cannot start git: {0}; install git")]
    Missing(io::Error),
    /// The current folder is not in a repository.
    #[error(
        "this folder is not in a git repository: run rtswap in the repository whose commits were measured"
    )]
    NotRepository,
    /// It failed.
    #[error("git {doing} failed: {message}")]
    Failed {
        /// The subcommand.
        doing: String,
        /// The first line of its message that says why.
        message: String,
    },
}

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Commit {
    /// The full hash.
    pub hash: String,
    /// The committer's time, seconds since 1970.
    pub unix_s: u64,
}

/// Git in the current folder.
fn command(args: &[&str]) -> Command {
    let mut command = Command::new("git");
    // Messages are compared, so they must not be translated.
    command.args(args).env("LC_ALL", "C").stdin(Stdio::null());
    command
}

/// Runs git to its end, whatever its exit code.
pub(super) fn output(args: &[&str]) -> Result<Output, GitError> {
    command(args).output().map_err(GitError::Missing)
}

/// Runs git and returns what it prints.
///
/// # Errors
/// If its exit code is not 0.
pub(super) fn run(args: &[&str]) -> Result<String, GitError> {
    text(args[0], &output(args)?)
}

/// Runs git with `input` on its standard input.
pub(super) fn run_with(args: &[&str], input: &str, identity: Identity) -> Result<String, GitError> {
    let mut command = command(args);
    identity.set(&mut command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(GitError::Missing)?;
    let mut stdin = child.stdin.take().expect("it is piped");
    let done = std::thread::scope(|scope| {
        // In a thread, because git answers while it reads. If it ends before, its exit code says why.
        scope.spawn(move || {
            let _ = stdin.write_all(input.as_bytes());
        });
        child.wait_with_output()
    });
    text(args[0], &done.map_err(GitError::Missing)?)
}

/// Runs git where it writes a commit.
pub(super) fn run_as(args: &[&str], identity: Identity) -> Result<String, GitError> {
    run_with(args, "", identity)
}

fn text(doing: &str, output: &Output) -> Result<String, GitError> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failure(doing, output))
}

/// The error of a git that has failed.
pub(super) fn failure(doing: &str, output: &Output) -> GitError {
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("not a git repository (or any") {
        return GitError::NotRepository;
    }
    GitError::Failed { doing: doing.to_owned(), message: reason(&stderr) }
}

/// The line that says why: git and its hooks print others around it.
pub(super) fn reason(stderr: &str) -> String {
    let lines = || stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    let marked = lines()
        .find_map(|line| line.strip_prefix("fatal: ").or_else(|| line.strip_prefix("error: ")));
    let line = marked.or_else(|| lines().next_back()).unwrap_or("no message");
    rtswap_schema::one_line(line)
}

/// The name under which git writes commits of notes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Identity {
    /// The user's.
    User,
    /// rtswap's, because git knows none, as in a container of a CI service.
    Rtswap,
}

impl Identity {
    pub(super) fn find() -> Result<Self, GitError> {
        let known = |what| Ok::<_, GitError>(output(&["var", what])?.status.success());
        let all = known("GIT_COMMITTER_IDENT")? && known("GIT_AUTHOR_IDENT")?;
        Ok(if all { Self::User } else { Self::Rtswap })
    }

    fn set(self, command: &mut Command) {
        if let Self::Rtswap = self {
            for role in ["AUTHOR", "COMMITTER"] {
                command.env(format!("GIT_{role}_NAME"), "rtswap");
                command.env(format!("GIT_{role}_EMAIL"), "rtswap@localhost");
            }
        }
    }
}

/// The folder of the repository that all of its work trees share.
pub(super) fn common_folder() -> Result<PathBuf, GitError> {
    Ok(run(&["rev-parse", "--git-common-dir"])?.trim_end_matches('\n').into())
}

/// Whether the repository has only the latest commits.
pub(super) fn is_shallow() -> Result<bool, GitError> {
    Ok(run(&["rev-parse", "--is-shallow-repository"])?.trim() == "true")
}

/// The hash of a revision's commit; `None` if there is no such revision.
pub(super) fn hash(revision: &str) -> Result<Option<String>, GitError> {
    let commit = format!("{revision}^{{commit}}");
    let args = ["rev-parse", "--verify", "--quiet", "--end-of-options", &commit];
    let done = output(&args)?;
    match done.status.code() {
        Some(0) => Ok(Some(String::from_utf8_lossy(&done.stdout).trim().to_owned())),
        // Quietly: there is none.
        Some(1) => Ok(None),
        _ => match failure("rev-parse", &done) {
            GitError::NotRepository => Err(GitError::NotRepository),
            // A name that is no revision in form, such as `a..b`.
            _ => Ok(None),
        },
    }
}

/// The commit of a revision.
///
/// # Errors
/// If there is no such revision, with what to do in a shallow clone.
pub(super) fn commit(revision: &str) -> anyhow::Result<Commit> {
    let Some(hash) = hash(revision)? else {
        let remedy = if is_shallow()? { SHALLOW } else { "`git fetch` may bring it" };
        let text = format!("`{revision}` is no commit of this repository: {remedy}");
        return Err(Exit::Usage(text).into());
    };
    let time = run(&["show", "--no-patch", "--no-notes", "--format=%ct", &hash])?;
    let unix_s = time.trim().parse().unwrap_or_default();
    Ok(Commit { hash, unix_s })
}

/// What to do in a shallow clone.
pub(super) const SHALLOW: &str = "this clone is shallow: `git fetch --unshallow --tags` gets the rest (in \
    GitHub Actions, `fetch-depth: 0` of actions/checkout)";

/// The commits of a branch as it went on, without the branches that were merged into it, the oldest first.
pub(super) fn first_parents(tip: &str) -> Result<Vec<String>, GitError> {
    let all = run(&["rev-list", "--first-parent", "--reverse", tip, "--"])?;
    Ok(all.lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_is_marked_line_or_last() {
        let stderr = "remote: counting\nfatal: bad thing\nPlease make sure\n";
        assert_eq!(reason(stderr), "bad thing");
        assert_eq!(reason("hook says no\n\n"), "hook says no");
        assert_eq!(reason(""), "no message");
    }
}
