use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rtswap_service::spawn::die_with_parent;

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
        if die_with_parent().is_err() {
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
