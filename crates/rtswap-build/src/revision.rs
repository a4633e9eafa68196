//! Programs of a git repository, built at a commit.
//!
//! Every commit is checked out at one and the same path, one after the other, so that two commits with the same code give
//! the same executable, paths included. Each checkout is fresh, so all of its files are newer than what was built from
//! another commit, and cargo, which compares times, builds the packages of the repository again. Third-party crates stay
//! built.

mod git;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::cargo::{Cargo, Watch};
use crate::digest::Digester;
use crate::{BuildError, Cache, cache};

pub use git::Repository;

/// Changes with everything that changes the executable and is not part of a recipe.
const FORMAT: &str = "1";

/// What is built at a commit.
#[derive(Clone, Debug, Default)]
pub struct Recipe<'a> {
    /// The executable, by cargo's name; `None` where the package has only one.
    pub bin: Option<&'a str>,
    /// Further arguments of `cargo build --release`.
    pub arguments: &'a [String],
}

/// A commit that is built.
#[derive(Clone, Debug)]
pub struct BuiltRevision {
    /// The executable. Those of two commits have paths of equal length.
    pub executable: PathBuf,
    /// How long the build took; `None` if it was in the cache.
    pub took: Option<Duration>,
}

/// Why a revision was not built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevisionError {
    /// There is no git.
    #[error("there is no `git` on PATH, and revisions are checked out with it; install git")]
    NoGit,
    /// The folder is in no repository.
    #[error("{} is in no git repository; name executables or lanes, or start in the repository", .0.display())]
    NoRepository(PathBuf),
    /// There is no such revision.
    #[error("there is no revision `{revision}` in {}{}", .root.display(), shallow(*.is_shallow))]
    NoRevision {
        /// The revision.
        revision: String,
        /// The repository.
        root: PathBuf,
        /// Whether the repository lacks history.
        is_shallow: bool,
    },
    /// Two revisions have no commit in common.
    #[error("`{base}` and `{head}` have no commit in common{}", shallow(*.is_shallow))]
    NoMergeBase {
        /// One revision.
        base: String,
        /// The other.
        head: String,
        /// Whether the repository lacks history.
        is_shallow: bool,
    },
    /// A search needs commits in a row.
    #[error("{good} is no ancestor of {bad}; name a good commit that came before the bad one")]
    NoAncestor {
        /// The good end.
        good: String,
        /// The bad end.
        bad: String,
    },
    /// Nothing says which branch is the main one.
    #[error(
        "no branch origin/HEAD, origin/main, origin/master, main or master to compare with; name a revision: --base REVISION"
    )]
    NoMainBranch,
    /// Git failed.
    #[error("git {what} failed: {last}")]
    Git {
        /// Its subcommand.
        what: &'static str,
        /// Its last line.
        last: String,
    },
    /// The package has no executable, or several.
    #[error("{}", bins(.0))]
    Bins(Vec<String>),
    /// It does not build.
    #[error(transparent)]
    Build(#[from] BuildError),
}

fn shallow(is_shallow: bool) -> &'static str {
    if is_shallow {
        ": the clone is shallow; fetch its history with `git fetch --unshallow` (`fetch-depth: 0` for actions/checkout)"
    } else {
        ""
    }
}

fn bins(names: &[String]) -> String {
    if names.is_empty() {
        return "the package has no executable; name the package: `cargo-args = [\"--package\", \"NAME\"]` in rtswap.toml"
            .to_owned();
    }
    format!("the package has several executables, {}; choose one with --bin", names.join(", "))
}

/// What is kept next to an executable.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    name: String,
}

impl Repository {
    /// Builds a commit, unless it is in the cache. `folder` is that of the package, relative to the repository.
    ///
    /// # Errors
    /// If it cannot be checked out or built, or the cache cannot be used.
    pub fn build(
        &self,
        cache: &Cache,
        commit: &str,
        folder: &Path,
        recipe: &Recipe<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<BuiltRevision, RevisionError> {
        let place = Place::of(cache, self)?;
        let _lock = cache.lock(watch.cancel, || {
            (watch.line)("waiting for another build");
        })?;
        let cargo = Cargo::new(None, &[]);
        let tree = self.check_out(commit, &place.tree())?;
        let package = tree.path().join(folder);
        let key = {
            let mut digest = Digester::default();
            let folder = folder.to_string_lossy();
            for text in [FORMAT, commit, &folder, recipe.bin.unwrap_or_default()] {
                digest.text(text);
            }
            digest.text(&recipe.arguments.join("\0"));
            digest.text(&cargo.rustflags().join("\0"));
            digest.text(&cargo.rustc(&package)?);
            digest.finish()
        };
        if let Some(executable) = place.find(&key) {
            return Ok(BuiltRevision { executable, took: None });
        }
        let begin = Instant::now();
        let name = match recipe.bin {
            Some(name) => name.to_owned(),
            None => only_bin(&cargo, &package, watch)?,
        };
        let target = place.root.join("target");
        let mut arguments =
            vec![OsStr::new("--release"), OsStr::new("--target-dir"), target.as_os_str()];
        let has_lockfile = [&package, tree.path()].iter().any(|it| it.join("Cargo.lock").exists());
        if has_lockfile {
            arguments.push(OsStr::new("--locked"));
        }
        arguments.extend(recipe.arguments.iter().map(OsStr::new));
        let built = cargo.executable(&package, &name, &arguments, watch)?;
        let executable = place.keep(&key, &name, &built)?;
        Ok(BuiltRevision { executable, took: Some(begin.elapsed()) })
    }
}

/// The only executable of a package.
fn only_bin(cargo: &Cargo, package: &Path, watch: &mut Watch<'_>) -> Result<String, RevisionError> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
        #[serde(default)]
        workspace_default_members: Vec<String>,
    }
    #[derive(Deserialize)]
    struct Package {
        id: String,
        manifest_path: PathBuf,
        targets: Vec<Target>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
        kind: Vec<String>,
    }
    let arguments = ["metadata", "--no-deps", "--format-version", "1"].map(OsStr::new);
    let lines = cargo.run(package, &arguments, watch)?;
    let metadata = lines.iter().find_map(|line| serde_json::from_str::<Metadata>(line).ok());
    let Some(Metadata { packages, workspace_default_members: defaults }) = metadata else {
        return Err(RevisionError::Bins(Vec::new()));
    };
    let manifest = package.join("Cargo.toml");
    let here = packages.iter().any(|package| package.manifest_path == manifest);
    let is_meant = |package: &&Package| {
        if here {
            package.manifest_path == manifest
        } else {
            defaults.is_empty() || defaults.contains(&package.id)
        }
    };
    let targets = packages.iter().filter(is_meant).flat_map(|package| &package.targets);
    let bins = targets.filter(|target| target.kind.iter().any(|kind| kind == "bin"));
    let mut names: Vec<_> = bins.map(|target| target.name.clone()).collect();
    match names.len() {
        1 => Ok(names.remove(0)),
        _ => Err(RevisionError::Bins(names)),
    }
}

/// The folder of a repository in the cache: `tree`, the commit that is checked out; `target`, what cargo builds; and
/// `built`, with a folder for each executable.
struct Place {
    root: PathBuf,
}

impl Place {
    fn of(cache: &Cache, repository: &Repository) -> Result<Self, BuildError> {
        let mut digest = Digester::default();
        digest.part(repository.root().as_os_str().as_encoded_bytes());
        let all = cache.lanes().with_file_name("revisions");
        let root = all.join(&digest.finish()[..16]);
        cache::make(&root)?;
        Ok(Self { root })
    }

    fn tree(&self) -> PathBuf {
        self.root.join("tree")
    }

    fn folder(&self, key: &str) -> PathBuf {
        self.root.join("built").join(&key[..16])
    }

    fn find(&self, key: &str) -> Option<PathBuf> {
        let folder = self.folder(key);
        let Kept { name } =
            serde_json::from_slice(&fs::read(folder.join("built.json")).ok()?).ok()?;
        Some(folder.join(name)).filter(|executable| executable.is_file())
    }

    fn keep(&self, key: &str, name: &str, built: &Path) -> Result<PathBuf, BuildError> {
        let folder = self.folder(key);
        let failed =
            |source| BuildError::Cache { action: "write to", path: folder.clone(), source };
        let parent = self.root.join("built");
        cache::make(&parent)?;
        let unfinished = tempfile::Builder::new().prefix("unfinished-").tempdir_in(&parent);
        let unfinished = unfinished.map_err(failed)?;
        fs::copy(built, unfinished.path().join(name)).map_err(failed)?;
        let kept = serde_json::to_vec(&Kept { name: name.to_owned() }).expect("plain data");
        fs::write(unfinished.path().join("built.json"), kept).map_err(failed)?;
        // One that lacks a part was not built.
        let _ = fs::remove_dir_all(&folder);
        fs::rename(unfinished.path(), &folder).map_err(failed)?;
        // It has moved.
        let _ = unfinished.keep();
        Ok(folder.join(name))
    }
}
