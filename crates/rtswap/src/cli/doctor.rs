mod agree;
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
use crate::cli::{CpuList, Exit, FAILED, args, measure, select, signals};
use check::Status;
use facts::Facts;

/// Check this machine, show which differences it can detect, or compare its load generator with other clients.
///
/// Without --self-test and --agree: checks everything that is known to distort a measurement and prints a remedy for each
/// problem. Changes nothing. Exits with 1 if a check is bad, otherwise with 0; warnings are not bad.
///
/// With --self-test: measures tokio against itself and against itself slowed down by about 2 and 5 % of its
/// CPU time per operation, in the way `rtswap run` measures lanes, and shows which of these differences were
/// detected. One interval in twenty misses the true effect by chance. Exits with 0 if every lane slowed down by
/// 1.5 % or more was detected and neither the control nor a third process of tokio shows a difference, otherwise
/// with 4.
///
/// With --agree: loads every lane in one run with the slices of `rtswap run`, with the same generator without a
/// pause, and with clients that are not part of rtswap (wrk, wrk2, h2load, oha, and an echo client in C), as far
/// as they are installed. Shows the ratio of each lane to the reference by client, and names the lanes whose
/// ratio depends on the client: by more than 10 % in operations per second at saturation, or by more than 5 % in
/// CPU time per operation at the rate, with 95 % intervals that do not overlap. Exits with 0 whether or not the
/// clients agree, and with 1 if a lane or a client on a lane failed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    rtswap doctor\n  \
    rtswap doctor --format json | jq '.[] | select(.status != \"ok\")'\n  \
    rtswap doctor --self-test\n  \
    rtswap doctor --self-test --budget 5m --delays 20,40,80\n  \
    rtswap doctor --self-test --workload http/rate=60%\n  \
    rtswap doctor --self-test --format json > self-test.json\n  \
    rtswap doctor --agree\n  \
    rtswap doctor --agree --lane tokio --lane 'mine=COMMAND' --workload tcp-echo --repetitions 5\n  \
    rtswap doctor --agree --out agree.json\n  \
    rtswap doctor --agree --from agree.json")]
pub(super) struct Args {
    /// Measure known differences and show which were detected.
    #[arg(long, group = "mode")]
    self_test: bool,
    /// Compare the figures of `rtswap run` with those of other clients.
    #[arg(long, group = "mode")]
    agree: bool,
    #[command(flatten)]
    agreement: agree::Args,
    /// Time limit of the self-test: 90s, 5m.
    #[arg(
        long, value_parser = args::duration, value_name = "TIME", default_value = "2m",
        requires = "self_test"
    )]
    budget: Duration,
    /// Delays per operation in nanoseconds, one lane each, instead of 2 and 5 %.
    #[arg(
        long, value_name = "NS,NS,...", value_delimiter = ',', requires = "self_test",
        value_parser = clap::value_parser!(u64).range(1..=1_000_000_000)
    )]
    delays: Vec<u64>,
    /// Seed of the random order; random by default.
    #[arg(long, requires = "mode")]
    seed: Option<u64>,
    /// Record of the self-test, or figures of --agree as JSON; a new file.
    #[arg(short, long, value_name = "FILE", requires = "mode")]
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
    if args.agree
        && let Some(path) = &args.agreement.from
    {
        return agree::print_from(path, args.format);
    }
    let (server, load) = select::placement(args.server_cpus.as_ref(), args.load_cpus.as_ref())?;
    if args.self_test {
        // Before the first estimate of the CPU time per message.
        let cancel = signals::cancel()?;
        let _lock = measure::lock_cpus(&server, &load, &cancel)?
            .ok_or_else(|| Exit::Interrupted(String::new()))?;
        return self_test::run(registry, args, server, load);
    }
    if args.agree {
        return agree::run(registry, args, server, load);
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
