//! The two sides of a gate: what `--base` and `--head` name.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rtswap_harness::lane::PlannedLane;
use rtswap_harness::record::Side;

use crate::Registry;
use crate::cli::Exit;
use crate::cli::lane_spec::LaneSpec;

/// A side that is ready to be started.
pub(super) struct Resolved {
    pub lane: PlannedLane,
    pub side: Side,
}

/// How executables are started.
pub(super) struct Start<'a> {
    /// A command in which `{exe}` stands for the executable.
    pub run: &'a str,
}

/// The lane that a text names: a lane spec, a command, or an executable.
///
/// `name` is that of the side, `base` or `head`.
pub(super) fn resolve(
    registry: &Registry,
    name: &str,
    text: &str,
    start: &Start,
) -> Result<Resolved> {
    let asked = Side { asked: text.to_owned(), ..Side::default() };
    if let Some(executable) = executable(text)? {
        let words = shlex::try_quote(&executable).map_err(|error| {
            Exit::Usage(format!("the path of an executable has a byte 0: {error}"))
        })?;
        return Ok(Resolved {
            lane: command(registry, name, &start.run.replace("{exe}", &words))?,
            side: asked,
        });
    }
    // `serve:COMMAND` is the command of a lane that needs no name here.
    let is_unnamed = text.starts_with("serve:");
    let spec = if is_unnamed { format!("{name}={text}") } else { text.to_owned() };
    let mut lane = LaneSpec::parse(registry, &spec)?.to_planned();
    name.clone_into(&mut lane.plan.name);
    Ok(Resolved { lane, side: asked })
}

/// The lane of a command, under the name of its side.
fn command(registry: &Registry, name: &str, command: &str) -> Result<PlannedLane> {
    let is_server = command.contains("{addr}") || command.contains("{port}");
    let serve = if is_server && !command.starts_with("serve:") { "serve:" } else { "" };
    let spec = format!("{name}={serve}{command}");
    Ok(LaneSpec::parse(registry, &spec)?.to_planned())
}

/// The absolute path of the executable that a text names, if it names a file: a text with a slash and neither `=` nor
/// `@`, which lane specs have.
fn executable(text: &str) -> Result<Option<String>> {
    let path = Path::new(text);
    if !text.contains('/') || text.contains(['=', '@']) || text.starts_with("serve:") {
        return Ok(None);
    }
    if !path.exists() {
        // The branch `feature/x`.
        return Ok(None);
    }
    let absolute: PathBuf = std::path::absolute(path)?;
    let text = absolute
        .to_str()
        .ok_or_else(|| Exit::Usage(format!("the path {} is not Unicode", absolute.display())))?;
    if !is_executable(&absolute) {
        return Err(
            Exit::Usage(format!("{text} is not executable; build it, or set its mode")).into()
        );
    }
    Ok(Some(text.to_owned()))
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}
