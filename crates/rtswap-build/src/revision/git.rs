//! The git repository of the user.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rtswap_schema::one_line;

use super::RevisionError;

/// Branches that may be the main one, the first that exists.
const MAIN: [&str; 5] = ["origin/HEAD", "origin/main", "origin/master", "main", "master"];

/// A git repository.
#[derive(Clone, Debug)]
pub struct Repository {
    root: PathBuf,
}

/// A commit that is checked out in a worktree. Dropping it removes the worktree.
pub(super) struct Tree<'a> {
    repository: &'a Repository,
    path: PathBuf,
}

impl Repository {
    /// The repository that a folder is in.
    ///
    /// # Errors
    /// If it is in none, or there is no git.
    pub fn of(folder: &Path) -> Result<Self, RevisionError> {
        let output = run(folder, &["rev-parse".as_ref(), "--show-toplevel".as_ref()])?;
        match text(&output) {
            Some(root) => Ok(Self { root: root.into() }),
            None => Err(RevisionError::NoRepository(folder.to_owned())),
        }
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The full hash of a commit.
    ///
    /// # Errors
    /// If there is no such revision.
    pub fn commit(&self, revision: &str) -> Result<String, RevisionError> {
        let peeled = format!("{revision}^{{commit}}");
        // A revision that begins with a dash is no option.
        let words = ["rev-parse", "--verify", "--quiet", "--end-of-options", &peeled];
        self.git(&words)?.ok_or_else(|| RevisionError::NoRevision {
            revision: revision.to_owned(),
            root: self.root.clone(),
            is_shallow: self.is_shallow(),
        })
    }

    /// The commit from which two have diverged.
    ///
    /// # Errors
    /// If there is none.
    pub fn merge_base(&self, base: &str, head: &str) -> Result<String, RevisionError> {
        self.git(&["merge-base", base, head])?.ok_or_else(|| RevisionError::NoMergeBase {
            base: base.to_owned(),
            head: head.to_owned(),
            is_shallow: self.is_shallow(),
        })
    }

    /// The main branch.
    ///
    /// # Errors
    /// If there is none of the usual names.
    pub fn main_branch(&self) -> Result<&'static str, RevisionError> {
        let exists = |name: &&&str| self.commit(name).is_ok();
        MAIN.iter().find(exists).copied().ok_or(RevisionError::NoMainBranch)
    }

    /// The commits from one to another, both included, oldest first, along the first parents.
    ///
    /// # Errors
    /// If the one is no ancestor of the other.
    pub fn commits(&self, good: &str, bad: &str) -> Result<Vec<String>, RevisionError> {
        let range = format!("{good}..{bad}");
        let listed = self.git(&["rev-list", "--first-parent", "--reverse", &range])?;
        let is_ancestor = self.git(&["merge-base", "--is-ancestor", good, bad])?.is_some();
        match listed.filter(|text| is_ancestor && !text.is_empty()) {
            Some(text) => {
                let later = text.lines().map(str::to_owned);
                Ok(std::iter::once(good.to_owned()).chain(later).collect())
            }
            None => Err(RevisionError::NoAncestor { good: good.to_owned(), bad: bad.to_owned() }),
        }
    }

    /// Whether tracked files have changes that are not committed.
    ///
    /// # Errors
    /// If git fails.
    pub fn has_changes(&self) -> Result<bool, RevisionError> {
        let words = ["status", "--porcelain", "--untracked-files=no"];
        Ok(self.git(&words)?.is_some_and(|text| !text.is_empty()))
    }

    fn is_shallow(&self) -> bool {
        let answer = self.git(&["rev-parse", "--is-shallow-repository"]);
        answer.is_ok_and(|text| text.as_deref() == Some("true"))
    }

    /// Checks a commit out, in place of what is at `path`.
    pub(super) fn check_out(&self, commit: &str, path: &Path) -> Result<Tree<'_>, RevisionError> {
        let tree = Tree { repository: self, path: path.to_owned() };
        tree.remove();
        let failed = |last: &Output| RevisionError::Git {
            what: "worktree",
            last: one_line(&String::from_utf8_lossy(&last.stderr)),
        };
        // The hooks of the repository are for the user's own checkouts.
        let add = ["-c", "core.hooksPath=/dev/null", "worktree", "add", "--force", "--detach"];
        let add = add.iter().map(OsStr::new).chain([path.as_os_str(), OsStr::new(commit)]);
        let added = run(&self.root, &add.collect::<Vec<_>>())?;
        if !added.status.success() {
            return Err(failed(&added));
        }
        if path.join(".gitmodules").exists() {
            let update = ["submodule", "update", "--init", "--recursive"].map(OsStr::new);
            let updated = run(path, &update)?;
            if !updated.status.success() {
                return Err(failed(&updated));
            }
        }
        Ok(tree)
    }

    /// What a command of git prints; `None` if it fails.
    fn git(&self, words: &[&str]) -> Result<Option<String>, RevisionError> {
        let words: Vec<_> = words.iter().map(OsStr::new).collect();
        Ok(text(&run(&self.root, &words)?))
    }
}

impl Tree<'_> {
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn remove(&self) {
        // Twice: also where it is locked. It fails where there is none, or only a folder.
        let remove = ["worktree", "remove", "--force", "--force"].map(OsStr::new);
        let words: Vec<_> = remove.into_iter().chain([self.path.as_os_str()]).collect();
        let _ = run(&self.repository.root, &words);
        let _ = fs::remove_dir_all(&self.path);
    }
}

impl Drop for Tree<'_> {
    fn drop(&mut self) {
        self.remove();
    }
}

fn run(folder: &Path, words: &[&OsStr]) -> Result<Output, RevisionError> {
    let mut command = Command::new("git");
    command.current_dir(folder).args(words).env("LC_ALL", "C");
    // In a hook of git's they name the repository that the hook runs for.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        command.env_remove(name);
    }
    command.output().map_err(|error| match error.kind() {
        ErrorKind::NotFound => RevisionError::NoGit,
        _ => RevisionError::Git { what: "start", last: error.to_string() },
    })
}

fn text(output: &Output) -> Option<String> {
    let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    output.status.success().then_some(text)
}
