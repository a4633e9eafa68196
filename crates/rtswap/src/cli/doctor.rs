mod check;
mod facts;
mod outcome;
mod self_test;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use rtswap_report::Style;

use crate::Registry;
use crate::cli::{CpuList, FAILED, args, select};
use check::Status;
use facts::Facts;

/// Check this machine, or show which differences it can detect.
///
/// Without --self-test: checks everything that is known to distort a measurement and prints a remedy for each
/// problem. Changes nothing. Exits with 1 if a check is bad, otherwise with 0; warnings are not bad.
///
/// With --self-test: measures tokio against itself and against itself slowed down by about 1, 2 and 5 % of its
/// CPU time per message, in the way `rtswap run` measures lanes, and shows which of these differences were
/// detected. One interval in twenty misses the true effect by chance. Exits with 0 if every lane slowed down by 1.5 % or more was detected and the control shows no
/// difference, otherwise with 4.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    rtswap doctor\n  \
    rtswap doctor --format json | jq '.[] | select(.status != \"ok\")'\n  \
    rtswap doctor --self-test\n  \
    rtswap doctor --self-test --budget 5m --delays 20,40,80\n  \
    rtswap doctor --self-test --format json > self-test.json")]
pub(super) struct Args {
    /// Measure known differences and show which were detected.
    #[arg(long)]
    self_test: bool,
    /// Time limit of the self-test: 90s, 5m.
    #[arg(
        long, value_parser = args::duration, value_name = "TIME", default_value = "2m",
        requires = "self_test"
    )]
    budget: Duration,
    /// Delays per message in nanoseconds, one lane each, instead of 1, 2 and 5 %.
    #[arg(
        long, value_name = "NS,NS,...", value_delimiter = ',', requires = "self_test",
        value_parser = clap::value_parser!(u64).range(1..=1_000_000_000)
    )]
    delays: Vec<u64>,
    /// Seed of the random order; random by default.
    #[arg(long, requires = "self_test")]
    seed: Option<u64>,
    /// Record of the self-test; a new file.
    #[arg(short, long, value_name = "FILE", requires = "self_test")]
    out: Option<PathBuf>,
    /// CPUs of the lanes: 0 or 0-3 or 0,2.
    #[arg(long, value_name = "LIST")]
    server_cpus: Option<CpuList>,
    /// CPUs of the load generator.
    #[arg(long, value_name = "LIST")]
    load_cpus: Option<CpuList>,
    /// Output format.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Output,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people, on a terminal.
    #[default]
    Table,
    /// For programs.
    Json,
}

pub(super) fn run(registry: &Registry, args: &Args) -> Result<ExitCode> {
    let (server, load) = select::placement(args.server_cpus.as_ref(), args.load_cpus.as_ref())?;
    if args.self_test {
        return self_test::run(registry, args, server, load);
    }
    let checks = check::all(&Facts::of(registry, server, load));
    print(args.format, &checks, |style| check::text(&checks, style))?;
    let bad = checks.iter().any(|check| check.status == Status::Bad);
    Ok(if bad { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

fn print<T: serde::Serialize>(
    format: Output,
    value: &T,
    text: impl FnOnce(Style) -> String,
) -> Result<()> {
    let text = match format {
        Output::Table => text(Style::of_stdout()),
        Output::Json => serde_json::to_string_pretty(value)? + "\n",
    };
    Ok(io::stdout().write_all(text.as_bytes())?)
}
