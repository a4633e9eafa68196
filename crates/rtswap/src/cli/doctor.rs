mod check;
mod cpu;
mod facts;
mod limits;
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

/// Check this machine, or prove what it can see.
///
/// Without --self-test: looks at everything that is known to spoil a measurement, and says for each
/// thing that is not as it should be what to type. Changes nothing. Exits with 0 if nothing is bad
/// (warnings are not), otherwise with 1.
///
/// With --self-test: measures tokio against itself and against itself slowed down by a known amount, about 1,
/// 2 and 5 % of its CPU time for each message, just as `rtswap run` measures lanes, and says which
/// of these differences were found. Exits with 0 if every lane that is slower by 1.5 % or more was
/// called slower, and the lane that is not slower was not; otherwise with 4.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    rtswap doctor\n  \
    rtswap doctor --format json | jq '.[] | select(.status != \"ok\")'\n  \
    rtswap doctor --self-test\n  \
    rtswap doctor --self-test --budget 5m --delays 20,40,80\n  \
    rtswap doctor --self-test --format json > sight.json")]
pub(super) struct Args {
    /// Measure differences that are known, and say which of them were found.
    #[arg(long)]
    self_test: bool,
    /// Time that the self-test may take: 90s, 5m.
    #[arg(
        long, value_parser = args::duration, value_name = "TIME", default_value = "2m",
        requires = "self_test"
    )]
    budget: Duration,
    /// Slow lanes down by these nanoseconds for each message, instead of 1, 2 and 5 %.
    #[arg(
        long, value_name = "NS,NS,...", value_delimiter = ',', requires = "self_test",
        value_parser = clap::value_parser!(u64).range(1..=1_000_000_000)
    )]
    delays: Vec<u64>,
    /// Draw orders from this number instead of a random one.
    #[arg(long, requires = "self_test")]
    seed: Option<u64>,
    /// Where to keep the self-test's record; a new file.
    #[arg(short, long, value_name = "FILE", requires = "self_test")]
    out: Option<PathBuf>,
    /// CPUs for the lanes: 0 or 0-3 or 0,2.
    #[arg(long, value_name = "LIST")]
    server_cpus: Option<CpuList>,
    /// CPUs for the load generator.
    #[arg(long, value_name = "LIST")]
    load_cpus: Option<CpuList>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Output,
}

/// Neither of these is for documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people, on a terminal.
    #[default]
    Table,
    /// For programs.
    Json,
}

pub(super) fn run(registry: &Registry, args: &Args) -> Result<ExitCode> {
    let placement = select::placement(args.server_cpus.as_ref(), args.load_cpus.as_ref())?;
    if args.self_test {
        return self_test::run(registry, args, placement);
    }
    let checks = facts::checks(registry, &placement.0, &placement.1);
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
