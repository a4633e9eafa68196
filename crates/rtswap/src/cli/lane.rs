use std::num::NonZeroI32;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rtswap_harness::lane::PARENT;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::Registry;
use crate::cli::{FAILED, USAGE};

/// Be a lane: take orders on standard input, answer on standard output (see LANES.md).
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The lane to be.
    #[arg(required_unless_present = "exec")]
    name: Option<String>,
    /// A command to become instead, once it is sure to die with its parent.
    #[arg(long, value_name = "COMMAND", conflicts_with = "name")]
    exec: Option<String>,
    /// Live on when the process that started it dies.
    #[arg(long)]
    orphan: bool,
}

pub(super) fn run(registry: &Registry, args: &Args) -> ExitCode {
    if !args.orphan {
        // The end of standard input says the same, but only to a lane that reads it just then.
        let told = set_parent_process_death_signal(Some(Signal::KILL));
        // The parent may have died before that: then somebody else is the parent now.
        let parent = std::env::var(PARENT).ok().and_then(|pid| pid.parse().ok());
        let orphaned = parent.is_some_and(|pid: i32| {
            getppid().map(Pid::as_raw_nonzero).map(NonZeroI32::get) != Some(pid)
        });
        if told.is_err() || orphaned {
            return ExitCode::from(FAILED);
        }
    }
    super::signals::raise_descriptor_limit();
    if let Some(command) = &args.exec {
        // Only returns if it fails.
        let error = Command::new("sh").arg("-c").arg(format!("exec {command}")).exec();
        eprintln!("rtswap: cannot run sh: {error}");
        return ExitCode::from(FAILED);
    }
    let name = args.name.as_deref().unwrap_or_default();
    let Some(lane) = registry.lane(name) else {
        eprintln!("rtswap: no lane is called `{name}`; `rtswap list` shows them all");
        return ExitCode::from(USAGE);
    };
    lane.host()
}
