//! Whether a run may be resumed: on the same machine, with the same programs, in the folder that it was started in.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use anyhow::Result;
use rtswap_harness::lane::PlannedLane;
use rtswap_harness::machine;
use rtswap_harness::record::{Environment, Header, Kind, LanePlan, Plan, ProgramFile, Resumed};

use rustix::fs::{XattrFlags, getxattr, setxattr};

use crate::cli::measure::command_line;
use crate::cli::{Exit, server};

/// The files that the commands of a plan's lanes name, relative to the current folder.
pub(super) fn lane_programs(plan: &Plan) -> BTreeMap<String, Vec<ProgramFile>> {
    let commands = plan.lanes.iter().filter(|lane| lane.kind == Kind::Command && !lane.control);
    let each = commands.filter_map(|lane| {
        let (_, command) = lane.spec.split_once('=')?;
        let command = command.strip_prefix(server::SERVE).unwrap_or(command);
        Some((lane.name.clone(), machine::programs(command)))
    });
    each.collect()
}

/// An attribute of the record's file with the folder that the run was started in, where the header must not name it. It
/// stays on this machine when the record is published.
const FOLDER: &str = "user.rtswap.folder";

/// The current folder as the header of this record names it. Otherwise it is kept with the file, where the file system
/// can.
pub(super) fn folder_for(record: &Path) -> Option<String> {
    let here = env::current_dir().ok()?.canonicalize().ok()?;
    let relative = relative(&folder_of(record)?, &here);
    if relative.is_none() {
        let _ = setxattr(record, FOLDER, here.as_os_str().as_bytes(), XattrFlags::empty());
    }
    relative
}

/// Goes to the folder that the run was started in. Where neither the header nor the file names it, or it is gone,
/// commands are resolved against the current folder, and [`compare`] detects other programs.
pub(super) fn enter_folder(environment: &Environment, record: &Path) {
    let folder = match &environment.folder {
        Some(relative) => folder_of(record).map(|folder| folder.join(relative)),
        None => kept_folder(record),
    };
    if let Some(folder) = folder {
        let _ = env::set_current_dir(folder);
    }
}

fn kept_folder(record: &Path) -> Option<PathBuf> {
    let mut bytes = vec![0; 4096];
    let length = getxattr(record, FOLDER, &mut bytes[..]).ok()?;
    bytes.truncate(length);
    Some(OsString::from_vec(bytes).into())
}

/// This machine, these programs and the built ones of `lanes`, and the differences from those of a header, if there are any.
///
/// # Errors
/// If they differ, unless `force`.
pub(super) fn compare(
    header: &Header,
    lanes: &[PlannedLane],
    record: &Path,
    force: bool,
) -> Result<(Environment, Option<Resumed>)> {
    let mut now = machine::environment(command_line());
    now.lane_programs = lane_programs(&header.plan);
    let mut differences = machine::differences(&header.environment, &now);
    differences.extend(of_built(&header.plan.lanes, lanes));
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

/// The lanes whose executable was built anew and is another one.
fn of_built(recorded: &[LanePlan], now: &[PlannedLane]) -> Vec<String> {
    let hash = |lane: &LanePlan| Some(lane.built.as_ref()?.executable_sha256.clone());
    let each = recorded.iter().zip(now).filter(|(old, _)| !old.control);
    let changed = each.filter_map(|(old, now)| {
        let name = &old.name;
        match (hash(old)?, hash(&now.plan)) {
            (old, Some(now)) if old == now => None,
            (old, Some(now)) => {
                Some(format!("SHA-256 of the lane {name}: {old} in the record, {now} now"))
            }
            (_, None) => {
                Some(format!("the lane {name}: built in the record, and cannot be built now"))
            }
        }
    });
    changed.collect()
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
    use rtswap_harness::lane::Launch;
    use rtswap_harness::record::Built;

    use super::*;

    #[test]
    fn of_built_names_lanes_with_another_executable() {
        let lane = |name: &str, hash: Option<&str>| {
            let built = hash.map(|hash| {
                Box::new(Built { executable_sha256: hash.to_owned(), ..Built::default() })
            });
            LanePlan { name: name.to_owned(), built, ..LanePlan::default() }
        };
        let now = |plan: LanePlan| {
            let command = Vec::new();
            let launch = Launch { command, delay_ns: 0, process_clock: false, one_address: false };
            PlannedLane { plan, launch }
        };
        let recorded = ["same", "other", "gone"].map(|name| lane(name, Some("11")));
        let lanes = [lane("same", Some("11")), lane("other", Some("22")), lane("gone", None)];
        assert_eq!(
            of_built(&recorded, &lanes.map(now)),
            [
                "SHA-256 of the lane other: 11 in the record, 22 now",
                "the lane gone: built in the record, and cannot be built now",
            ]
        );
        assert!(of_built(&[lane("plain", None)], &[now(lane("plain", None))]).is_empty());
    }

    #[test]
    fn relative_names_no_folder_outside() {
        let relative = |from: &str, to: &str| relative(Path::new(from), Path::new(to));
        assert_eq!(relative("/home/me/project", "/home/me/project").unwrap(), ".");
        assert_eq!(relative("/home/me/project/records/new", "/home/me/project").unwrap(), "../..");
        assert_eq!(relative("/home/me", "/home/me/project").unwrap(), "project");
        assert_eq!(relative("/tmp", "/home/me/project"), None);
    }
}
