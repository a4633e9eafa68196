//! The two sides of a gate: what `--base` and `--head` name.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Context as _, Result};
use rtswap_build::cargo::Watch;
use rtswap_build::revision::{Recipe, Repository, RevisionError};
use rtswap_build::{BuildError, Cache};
use rtswap_harness::lane::PlannedLane;
use rtswap_harness::record::Side;

use crate::Registry;
use crate::cli::lane_spec::{LaneSpec, LaneSpecError};
use crate::cli::{Exit, built};

/// A side that is ready to be started.
pub(in crate::cli) struct Resolved {
    pub lane: PlannedLane,
    pub side: Side,
}

/// A revision does not build.
#[derive(Debug, thiserror::Error)]
#[error("{what} does not build: {why}")]
pub(in crate::cli) struct NotBuilt {
    what: String,
    why: String,
}

/// How executables are built and started.
pub(in crate::cli) struct Start<'a> {
    /// A command in which `{exe}` stands for the executable.
    pub run: &'a str,
    /// What is built at a revision.
    pub recipe: Recipe<'a>,
    pub cancel: &'a AtomicBool,
}

/// The revisions of a gate that names none: `HEAD`, and the commit at which it has left the main branch; on the main
/// branch itself the commit before.
pub(super) fn default_base(head: &str) -> Result<String> {
    let repository = repository()?;
    let main = repository.main_branch().map_err(usage)?;
    let [main, head] = [main, head].map(|revision| repository.commit(revision));
    let (main, head) = (main.map_err(usage)?, head.map_err(usage)?);
    let base = repository.merge_base(&main, &head).map_err(usage)?;
    if base != head {
        return Ok(base);
    }
    Ok(repository.commit(&format!("{head}^")).map_err(usage)?)
}

/// The lane that a text names: a lane spec, a command, an executable or a revision.
///
/// `name` is that of the side, `base` or `head`.
pub(in crate::cli) fn resolve(
    registry: &Registry,
    name: &str,
    text: &str,
    start: &Start,
) -> Result<Resolved> {
    let side = Side { asked: text.to_owned(), ..Side::default() };
    if let Some(executable) = executable(text)? {
        let lane = of_executable(registry, name, &executable, start.run)?;
        return Ok(Resolved { lane, side });
    }
    // `serve:COMMAND` is the command of a lane that needs no name here.
    let is_unnamed = text.starts_with("serve:");
    let spec = if is_unnamed { format!("{name}={text}") } else { text.to_owned() };
    let mut lane = match LaneSpec::parse(registry, &spec) {
        Ok(spec) => spec.to_planned(),
        Err(LaneSpecError::Unknown { .. }) => return revision(registry, name, text, start),
        Err(error) => return Err(error.into()),
    };
    name.clone_into(&mut lane.plan.name);
    Ok(Resolved { lane, side })
}

/// The executable of a revision, built unless it is in the cache.
fn revision(registry: &Registry, name: &str, text: &str, start: &Start) -> Result<Resolved> {
    let neither = |why: String| {
        Exit::Usage(format!("--{name}: `{text}` is no lane (`rtswap list`) and no file, and {why}"))
    };
    let repository = Repository::of(&here()?).map_err(|error| neither(error.to_string()))?;
    let commit = repository.commit(text).map_err(|error| neither(error.to_string()))?;
    if repository.has_changes().map_err(usage)?
        && repository.commit("HEAD").ok() == Some(commit.clone())
    {
        note!(
            "warning: changes that are not committed are not part of {text}\n  remedy: commit them"
        );
    }
    let root = repository.root().canonicalize().unwrap_or_else(|_| repository.root().to_owned());
    let folder = here()?.strip_prefix(&root).map(Path::to_owned).unwrap_or_default();
    let short = commit.get(..10).unwrap_or(&commit);
    let mut began = false;
    let mut line = |text: &str| {
        if !std::mem::replace(&mut began, true) {
            note!("Building {name}, commit {short}");
        }
        if text.starts_with("Compiling ") || text.starts_with("waiting") {
            note!("  {text}");
        }
    };
    let mut watch = Watch { line: &mut line, cancel: start.cancel };
    let cache = Cache::of_user().map_err(built::to_exit)?;
    let built = repository.build(&cache, &commit, &folder, &start.recipe, &mut watch);
    let built = built.map_err(|error| match error {
        RevisionError::Build(error @ BuildError::Interrupted) => built::to_exit(error),
        RevisionError::Build(error) => {
            let what = if name == short { name.to_owned() } else { format!("{name} ({short})") };
            NotBuilt { what, why: error.with_causes() }.into()
        }
        error => usage(error).into(),
    })?;
    if let Some(took) = built.took {
        note!("Built {name}, commit {short}, in {}", built::seconds(took));
    }
    let executable = built.executable.to_str().context("the path of the cache is not Unicode")?;
    let lane = of_executable(registry, name, executable, start.run)?;
    let side = Side {
        asked: text.to_owned(),
        commit: Some(commit),
        build_ms: built.took.map(|took| took.as_millis() as u64),
        ..Side::default()
    };
    Ok(Resolved { lane, side })
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn usage(error: RevisionError) -> Exit {
    Exit::Usage(error.to_string())
}

fn repository() -> Result<Repository> {
    Ok(Repository::of(&here()?).map_err(|error| {
        Exit::Usage(format!("without --base and --head, revisions are compared, but {error}"))
    })?)
}

/// The current folder, without links, as git names it.
fn here() -> Result<PathBuf> {
    let here = env::current_dir().context("there is no current folder")?;
    Ok(here.canonicalize().unwrap_or(here))
}

/// The lane that an executable is, or serves.
fn of_executable(
    registry: &Registry,
    name: &str,
    executable: &str,
    run: &str,
) -> Result<PlannedLane> {
    let word = shlex::try_quote(executable)
        .map_err(|_| Exit::Usage(format!("the path {executable:?} has a byte 0")))?;
    let command = run.replace("{exe}", &word);
    let is_server = command.contains("{addr}") || command.contains("{port}");
    let serve = if is_server { "serve:" } else { "" };
    let spec = format!("{name}={serve}{command}");
    Ok(LaneSpec::parse(registry, &spec)?.to_planned())
}

/// The absolute path of the executable that a text names, if it names a file: a text with a slash and neither `=` nor
/// `@`, which lane specs have.
fn executable(text: &str) -> Result<Option<String>> {
    let path = Path::new(text);
    // A branch may be called `feature/x`.
    if !text.contains('/') || text.contains(['=', '@']) || !path.exists() {
        return Ok(None);
    }
    let absolute = std::path::absolute(path)?;
    let Some(text) = absolute.to_str() else {
        return Err(Exit::Usage(format!("the path {} is not Unicode", path.display())).into());
    };
    if !is_executable(&absolute) {
        let text = format!("{text} is not executable; build it, or set its mode");
        return Err(Exit::Usage(text).into());
    }
    Ok(Some(text.to_owned()))
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}
