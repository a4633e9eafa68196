//! A history in git notes: each commit's note has its lines.

use std::collections::BTreeSet;
use std::fs::File;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rand::RngExt as _;

use super::git::{self, GitError, Identity};
use super::store::Read;

/// How often a push is tried while other pushes are faster.
const PUSHES: u32 = 10;

/// A ref of git notes in the repository of the current folder.
#[derive(Debug)]
pub(super) struct Notes {
    name: String,
    folder: std::path::PathBuf,
}

/// What became of a push.
enum Pushed {
    Done,
    /// The remote repository has moved on, or was busy.
    Refused(String),
}

impl Notes {
    /// # Errors
    /// Without git, and outside of a repository.
    pub fn open(name: &str) -> Result<Self> {
        Ok(Self { name: name.to_owned(), folder: git::common_folder()? })
    }

    fn exists(&self) -> Result<bool> {
        Ok(git::output(&["show-ref", "--verify", "--quiet", &self.name])?.status.success())
    }

    /// Holds off other rtswaps of this repository: `git notes add` would overwrite what came in between.
    fn lock(&self) -> Result<File> {
        let lock = File::open(&self.folder).and_then(|folder| folder.lock().map(|()| folder));
        lock.with_context(|| format!("cannot lock {}", self.folder.display()))
    }

    /// All entries; `None` if there are no notes.
    pub fn read(&self) -> Result<Option<Read>> {
        if !self.exists()? {
            return Ok(None);
        }
        let mut read = Read::default();
        for (commit, text) in self.texts()? {
            read.push_lines(&text, &format!("{}, note of {commit}", self.name));
        }
        Ok(Some(read))
    }

    /// The notes by their commits.
    fn texts(&self) -> Result<Vec<(String, String)>> {
        let list = git::run(&["notes", "--ref", &self.name, "list"])?;
        let pairs: Vec<(&str, &str)> = list.lines().filter_map(|it| it.split_once(' ')).collect();
        let wanted: String = pairs.iter().flat_map(|(blob, _)| [blob, "\n"]).collect();
        let answer = git::run_with(&["cat-file", "--batch"], &wanted, Identity::User)?;
        let mut rest = answer.as_str();
        let mut texts = Vec::new();
        for (_, commit) in pairs {
            let parsed = rest.split_once('\n').and_then(|(head, after)| {
                let size: usize = head.rsplit(' ').next()?.parse().ok()?;
                let text = after.get(..size)?;
                rest = after.get(size + 1..)?;
                Some(text.to_owned())
            });
            let text = parsed.with_context(|| format!("cannot read the note of {commit}"))?;
            texts.push((commit.to_owned(), text));
        }
        Ok(texts)
    }

    /// Adds lines to the note of a commit, and returns how many were not there yet.
    pub fn add(&self, commit: &str, lines: &[String]) -> Result<usize> {
        let identity = Identity::find()?;
        let _lock = self.lock()?;
        let done = git::output(&["notes", "--ref", &self.name, "show", commit])?;
        // Lines that are no entries stay: nothing that was measured is thrown away.
        let old = if done.status.success() {
            String::from_utf8_lossy(&done.stdout).into_owned()
        } else {
            String::new()
        };
        // In the order in which a merge leaves them.
        let mut all: BTreeSet<&str> = old.lines().filter(|line| !line.trim().is_empty()).collect();
        let before = all.len();
        all.extend(lines.iter().map(String::as_str));
        let new = all.len() - before;
        if new > 0 {
            let text: String = all.iter().flat_map(|line| [line, "\n"]).collect();
            let args = ["notes", "--ref", &self.name, "add", "--force", "--file", "-", commit];
            git::run_with(&args, &text, identity)?;
        }
        Ok(new)
    }

    /// Merges the notes of a remote repository into those that are here. Returns false if it has none.
    pub fn fetch(&self, remote: &str) -> Result<bool> {
        let unreachable = |message: String| {
            anyhow::anyhow!("cannot fetch {} from `{remote}`: {message}", self.name)
        };
        let found =
            git::output(&["ls-remote", "--exit-code", "--quiet", "--", remote, &self.name])?;
        match found.status.code() {
            Some(0) => {}
            Some(2) => return Ok(false),
            _ => return Err(unreachable(git::reason(&String::from_utf8_lossy(&found.stderr)))),
        }
        let identity = Identity::find()?;
        let _lock = self.lock()?;
        // Into a ref of its own: forced into the notes themselves it would drop what is not pushed yet.
        let scratch = format!("{}-remote", self.name);
        let refspec = format!("+{}:{scratch}", self.name);
        let args =
            ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", remote, &refspec];
        match git::run(&args) {
            Ok(_) => {}
            Err(GitError::Failed { message, .. }) => return Err(unreachable(message)),
            Err(error) => return Err(error.into()),
        }
        let args = ["notes", "--ref", &self.name, "merge", "-q", "-s", "cat_sort_uniq", &scratch];
        git::run_as(&args, identity)?;
        Ok(true)
    }

    /// Merges with the notes of a remote repository, and pushes the result.
    ///
    /// # Errors
    /// If the remote repository cannot be reached, forbids it, or has moved on each time.
    pub fn push(&self, remote: &str) -> Result<()> {
        if !self.exists()? {
            bail!("there is nothing to push in {}: `rtswap history add` comes first", self.name);
        }
        let mut last = String::new();
        for attempt in 1..=PUSHES {
            self.fetch(remote)?;
            match self.push_once(remote)? {
                Pushed::Done => return Ok(()),
                Pushed::Refused(why) => last = why,
            }
            // Pushes at the same time must not meet again.
            let most = 100 * u64::from(attempt);
            std::thread::sleep(Duration::from_millis(rand::rng().random_range(most / 4..most)));
        }
        bail!(
            "`{remote}` refused {} {PUSHES} times, at last: {last}; the entries are kept here: run `rtswap history \
             push` again",
            self.name
        )
    }

    fn push_once(&self, remote: &str) -> Result<Pushed> {
        let refspec = format!("{0}:{0}", self.name);
        let done = git::output(&["push", "--porcelain", "--quiet", "--", remote, &refspec])?;
        if done.status.success() {
            return Ok(Pushed::Done);
        }
        let stdout = String::from_utf8_lossy(&done.stdout);
        // `!` TAB refspec TAB `[rejected] (fetch first)`
        let refusal = stdout.lines().find_map(|it| it.strip_prefix("!\t")?.split('\t').nth(1));
        match refusal {
            // A hook or a rule of the repository: the next time is no better.
            Some(why) if why.contains("declined") || why.contains("protected") => {
                bail!("`{remote}` does not accept {}: {why}; the entries are kept here", self.name)
            }
            Some(why) => Ok(Pushed::Refused(rtswap_schema::one_line(why))),
            None => {
                let why = git::reason(&String::from_utf8_lossy(&done.stderr));
                bail!("cannot push {} to `{remote}`: {why}; the entries are kept here", self.name)
            }
        }
    }
}
