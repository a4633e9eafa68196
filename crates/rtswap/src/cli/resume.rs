//! Whether a run may be resumed: on the same machine, with the same programs, in the folder that it was started in.

use std::collections::BTreeMap;
use std::env;
use std::path::{Component, Path, PathBuf};

use anyhow::Result;
use rtswap_harness::machine;
use rtswap_harness::record::{Environment, Header, Kind, Plan, ProgramFile, Resumed};

use crate::cli::Exit;
use crate::cli::measure::command_line;

/// The files that the commands of a plan's lanes name, relative to the current folder.
pub(super) fn lane_programs(plan: &Plan) -> BTreeMap<String, Vec<ProgramFile>> {
    let commands = plan.lanes.iter().filter(|lane| lane.kind == Kind::Command && !lane.control);
    let each = commands.filter_map(|lane| {
        let (_, command) = lane.spec.split_once('=')?;
        Some((lane.name.clone(), machine::programs(command)))
    });
    each.collect()
}

/// The current folder as the header of this record names it.
pub(super) fn folder_for(record: &Path) -> Option<String> {
    let here = env::current_dir().ok()?.canonicalize().ok()?;
    relative(&folder_of(record)?, &here)
}

/// Goes to the folder that the run was started in. Where the header does not name it, or it is gone, commands are
/// resolved against the current folder, and [`compare`] detects other programs.
pub(super) fn enter_folder(environment: &Environment, record: &Path) {
    let folder = environment.folder.as_ref().zip(folder_of(record));
    if let Some((relative, folder)) = folder {
        let _ = env::set_current_dir(folder.join(relative));
    }
}

/// This machine and these programs, and the differences from those of a header, if there are any.
///
/// # Errors
/// If they differ, unless `force`.
pub(super) fn compare(
    header: &Header,
    record: &Path,
    force: bool,
) -> Result<(Environment, Option<Resumed>)> {
    let mut now = machine::environment(command_line());
    now.lane_programs = lane_programs(&header.plan);
    let differences = machine::differences(&header.environment, &now);
    if differences.is_empty() {
        return Ok((now, None));
    }
    let all = differences.join("; ");
    if !force {
        let record = record.display();
        let remedy = if all.ends_with("not found now") || all.contains("not found now;") {
            "resume in the folder that the run was started in, or with --force, which goes on and says so in the record"
        } else {
            "--force goes on, and says so in the record"
        };
        return Err(Exit::Usage(format!("cannot resume {record}: {all}; {remedy}")).into());
    }
    note!("warning: the run goes on although something has changed: {all}");
    Ok((now.clone(), Some(Resumed { environment: now, differences })))
}

fn folder_of(record: &Path) -> Option<PathBuf> {
    Some(record.canonicalize().ok()?.parent()?.to_owned())
}

/// The way from one folder to another, if one contains the other.
fn relative(from: &Path, to: &Path) -> Option<String> {
    if let Ok(below) = to.strip_prefix(from) {
        let below = below.to_str()?;
        return Some(if below.is_empty() { "." } else { below }.to_owned());
    }
    let above = from.strip_prefix(to).ok()?;
    let steps = above.components().filter(|it| matches!(it, Component::Normal(_))).count();
    Some(vec![".."; steps].join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_names_no_folder_outside() {
        let relative = |from: &str, to: &str| relative(Path::new(from), Path::new(to));
        assert_eq!(relative("/home/me/project", "/home/me/project").unwrap(), ".");
        assert_eq!(relative("/home/me/project/records/new", "/home/me/project").unwrap(), "../..");
        assert_eq!(relative("/home/me", "/home/me/project").unwrap(), "project");
        assert_eq!(relative("/tmp", "/home/me/project"), None);
    }
}
