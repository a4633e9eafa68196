//! A process that is a lane.

mod spawn;

use std::env;
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Lane;

pub use spawn::{die_with_parent, spawn_confined};

/// The exit code of a wrong command line.
const USAGE: u8 = 2;

/// The `main` of an executable that is any one of the lanes: `rtswap-lane-tokio NAME`.
///
/// It speaks the lane protocol on standard input and output (LANES.md), and dies with its parent.
pub fn main(lanes: &[Lane]) -> ExitCode {
    let mut args = env::args();
    let program = args.next().unwrap_or_default();
    let (name, rest) = (args.next(), args.next());
    let lane = lanes.iter().find(|lane| name.as_deref() == Some(&lane.name));
    let (Some(lane), None) = (lane, rest) else {
        let names: Vec<_> = lanes.iter().map(|lane| lane.name.as_str()).collect();
        let text = format!(
            "usage: {program} LANE\n\nBe a lane: take orders on standard input, answer on standard output.\n\n\
             Lanes: {}",
            names.join(", ")
        );
        if matches!(name.as_deref(), Some("--help" | "-h")) {
            println!("{text}");
            return ExitCode::SUCCESS;
        }
        eprintln!("{text}");
        return ExitCode::from(USAGE);
    };
    if let Err(error) = die_with_parent() {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    raise_descriptor_limit();
    lane.host()
}

/// Raises the limit of descriptors as far as this user may: connections need one each.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // If it is refused, opening too many fails with the reason.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
