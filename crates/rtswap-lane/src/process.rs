//! A process that is a lane.

use std::env;
use std::num::NonZeroI32;
use std::process::ExitCode;

use rtswap_schema::protocol::PARENT;
use rustix::process::{
    Pid, Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal, setrlimit,
};

use crate::Lane;

/// The exit code of a wrong command line.
const USAGE: u8 = 2;

/// The `main` of an executable that is any one of the lanes: `rtswap-lane-tokio NAME`.
///
/// It speaks the lane protocol on standard input and output (LANES.md), and dies with its parent.
pub fn main(lanes: &[Lane]) -> ExitCode {
    let mut args = env::args().skip(1);
    let (name, rest) = (args.next(), args.next());
    let lane = lanes.iter().find(|lane| name.as_deref() == Some(&lane.name));
    let (Some(lane), None) = (lane, rest) else {
        let names: Vec<_> = lanes.iter().map(|lane| lane.name.as_str()).collect();
        let text = format!(
            "usage: {} LANE\n\nBe a lane: take orders on standard input, answer on standard output.\n\n\
             Lanes: {}",
            env!("CARGO_PKG_NAME"),
            names.join(", ")
        );
        if matches!(name.as_deref(), Some("--help" | "-h")) {
            println!("{text}");
            return ExitCode::SUCCESS;
        }
        eprintln!("{text}");
        return ExitCode::from(USAGE);
    };
    if let Err(Orphaned) = die_with_parent() {
        return ExitCode::FAILURE;
    }
    raise_descriptor_limit();
    lane.host()
}

/// The process that started this one is gone.
#[derive(Debug)]
pub struct Orphaned;

/// Has the kernel kill this process when its parent dies. The end of standard input says the same, but
/// only to a lane that reads it just then.
///
/// # Errors
/// If the parent has died already, or the kernel refuses.
pub fn die_with_parent() -> Result<(), Orphaned> {
    let set = set_parent_process_death_signal(Some(Signal::KILL));
    // If the parent died before that, another process is the parent now.
    let parent = env::var(PARENT).ok().and_then(|pid| pid.parse().ok());
    let orphaned = parent.is_some_and(|pid: i32| {
        getppid().map(Pid::as_raw_nonzero).map(NonZeroI32::get) != Some(pid)
    });
    if set.is_err() || orphaned { Err(Orphaned) } else { Ok(()) }
}

/// Raises the limit of descriptors as far as this user may: connections need one each.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // If it is refused, opening too many fails with the reason.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
