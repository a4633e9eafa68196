use std::io::{stdin, stdout};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rtswap_lane::{Refusal, host, process};

use crate::Registry;
use crate::cli::{FAILED, USAGE, server, signals};

/// The environment variable that a process has which the harness has started.
pub(super) const PARENT_VARIABLE: &str = "RTSWAP_PARENT";

/// Be a lane: take orders on standard input, answer on standard output (see LANES.md).
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The lane to be.
    #[arg(required_unless_present_any = ["exec", "failed", "serve"])]
    name: Option<String>,
    /// A command to become instead, once it is sure to die with its parent.
    #[arg(long, value_name = "COMMAND", conflicts_with = "name")]
    exec: Option<String>,
    /// Answer that the lane has failed, for this reason: what stands for a lane that could not be built.
    #[arg(long, value_name = "REASON", conflicts_with_all = ["name", "exec", "serve"])]
    failed: Option<String>,
    /// The command of a server without the lane protocol, to start and to speak for: `{addr}`, `{host}` and `{port}`
    /// stand for where it listens.
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["name", "exec"])]
    serve: Option<String>,
    /// Live on when the process that started it dies.
    #[arg(long)]
    orphan: bool,
}

pub(super) fn run(registry: &Registry, args: &Args) -> ExitCode {
    if !args.orphan && process::die_with_parent().is_err() {
        return ExitCode::from(FAILED);
    }
    process::raise_descriptor_limit();
    if let Some(command) = &args.exec {
        // Only returns if it fails.
        let error = Command::new("sh").arg("-c").arg(format!("exec {command}")).exec();
        note!("rtswap: cannot run sh: {error}");
        return ExitCode::from(FAILED);
    }
    if let Some(reason) = &args.failed {
        let refusal = Refusal::Failed(reason.clone());
        return host::run("", stdin().lock(), stdout(), |_| Err(refusal.clone()));
    }
    if let Some(command) = &args.serve {
        return server::run(registry, command);
    }
    let name = args.name.as_deref().unwrap_or_default();
    let Some(lane) = registry.lane(name) else {
        note!("rtswap: no lane is called `{name}`; `rtswap list` shows them all");
        return ExitCode::from(USAGE);
    };
    // By hand, Ctrl-C is the way to end it.
    if std::env::var_os(PARENT_VARIABLE).is_some() && signals::leave_to_harness().is_err() {
        return ExitCode::from(FAILED);
    }
    crate::registry::host(lane)
}
