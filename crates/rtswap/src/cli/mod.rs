//! The command line.
#![deny(clippy::print_stderr, reason = "it panics where standard error is closed: use `note!`")]

#[macro_use]
mod message;
mod args;
mod bisect;
mod built;
mod caution;
mod claim;
mod compare;
mod completions;
mod doctor;
mod export;
mod gate;
mod history;
mod lane;
mod lane_spec;
mod lanes;
mod list;
mod measure;
mod named;
mod origin;
mod over;
mod overhead;
mod own_request;
mod peers;
mod progress;
mod report;
mod resume;
mod run;
mod select;
mod serve;
mod server;
mod signals;
mod summary;
mod sweep;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::Registry;
use args::{CpuList, Format};

/// The tool failed, or a lane or workload that was named has no figure.
pub const FAILED: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// A gate has found a regression.
pub const REGRESSION: u8 = 3;
/// No decision was possible where one was asked for.
pub const INCONCLUSIVE: u8 = 4;
/// Ended by Ctrl-C or a termination signal.
pub const INTERRUPTED: u8 = 130;

/// Measure async runtimes side by side: the same unchanged workloads on tokio, smol, tokio-uring, monoio
/// and others, in randomised blocks that cancel the machine's drift.
#[derive(Debug, Parser)]
#[command(
    name = "rtswap",
    version,
    after_help = "Examples:\n  \
        rtswap run                                  the default table, in about two minutes\n  \
        rtswap run --quick                          a first impression, in half a minute\n  \
        rtswap run --workload 'tcp-echo/*' --budget 5m\n  \
        rtswap gate --base ./old --head ./new       is the new version slower?\n  \
        rtswap sweep --workload idle --over conns=100,1000,10000\n  \
        rtswap overhead                             what the contract itself costs\n  \
        rtswap claim                                uvloop against asyncio, gevent, Node.js, Go and Rust\n  \
        rtswap run --lane tokio@1.50.0 --lane tokio@1.51.0 --workload channel\n  \
        rtswap history                              what each commit measured, and which ones changed it\n  \
        rtswap peers install                        uvloop, Node.js, Go and other peers\n  \
        rtswap export --format csv record.jsonl     a record in the format of another tool\n  \
        rtswap compare before.jsonl after.jsonl     two records, in their ratios to the reference\n  \
        rtswap list                                 lanes and workloads\n  \
        rtswap doctor --self-test                   what this machine can see\n\n\
        Exit codes: 0 done, 1 failed or no figure of a named lane or workload, 2 wrong usage, \
        3 a regression in a gate, 4 inconclusive where a decision was asked for, 130 interrupted.\n\
        make exits with 2 for every code but 0: a recipe that needs the code keeps it with \
        `rtswap run; echo $$? > code`."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    List(list::Args),
    Doctor(doctor::Args),
    Gate(gate::Args),
    Bisect(bisect::Args),
    Sweep(sweep::Args),
    #[command(alias = "tax")]
    Overhead(overhead::Args),
    Claim(claim::Args),
    Verify(verify::Args),
    Lanes(lanes::Args),
    Peers(peers::Args),
    Summary(summary::Args),
    Report(report::Args),
    Export(export::Args),
    History(history::Args),
    Compare(compare::Args),
    Serve(serve::Args),
    Origin(origin::Args),
    Completions(completions::Args),
    #[command(hide = true)]
    Lane(lane::Args),
}

/// Ends a command early, with a message of one line.
#[derive(Debug, thiserror::Error)]
enum Exit {
    /// The command line names something that does not exist.
    #[error("{0}")]
    Usage(String),
    /// No decision was possible.
    #[error("{0}")]
    Inconclusive(String),
    /// Ctrl-C.
    #[error("interrupted{0}")]
    Interrupted(String),
}

/// Runs the command line of this process.
pub fn main(registry: &Registry) -> ExitCode {
    main_with(registry, std::env::args_os())
}

/// Runs the command line `args`, the program's name first.
pub fn main_with(registry: &Registry, args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        // clap prints to where it belongs and knows 0 (help) from 2 (usage).
        Err(error) => error.exit(),
    };
    let done = match cli.command {
        Command::Run(args) => run::run(registry, &args),
        Command::List(args) => list::run(registry, &args),
        Command::Doctor(args) => doctor::run(registry, &args),
        Command::Gate(args) => gate::run(registry, &args),
        Command::Bisect(args) => bisect::run(registry, &args),
        Command::Sweep(args) => sweep::run(registry, &args),
        Command::Overhead(args) => overhead::run(registry, &args),
        Command::Claim(args) => claim::run(registry, &args),
        Command::Verify(args) => verify::run(registry, &args),
        Command::Lanes(args) => lanes::run(registry, &args),
        Command::Peers(args) => peers::run(&args),
        Command::Summary(args) => summary::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Export(args) => export::run(&args),
        Command::History(args) => history::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Serve(args) => serve::run(registry, &args),
        Command::Origin(args) => origin::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Lane(args) => return lane::run(registry, &args),
    };
    match done {
        Ok(code) => code,
        // The reader has closed the pipe: `rtswap list | head -1`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            note!("rtswap: {error:#}");
            ExitCode::from(match error.downcast_ref() {
                Some(Exit::Usage(_)) => USAGE,
                Some(Exit::Inconclusive(_)) => INCONCLUSIVE,
                Some(Exit::Interrupted(_)) => INTERRUPTED,
                None if error.is::<lane_spec::LaneSpecError>() => USAGE,
                None => FAILED,
            })
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
