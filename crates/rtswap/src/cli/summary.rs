use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use rtswap_harness::record::{Record, RecordFile as _};
use rtswap_report::{Style, Summary};

use crate::cli::Format;

/// Compute the results of a record again, without measuring anything.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    rtswap summary record.jsonl\n  \
    rtswap summary record.jsonl --format json | jq '.cells[] | select(.lane == \"smol\")'")]
pub(super) struct Args {
    /// A record that `rtswap run` has kept.
    record: PathBuf,
    /// How to print it.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    print(&Summary::of(&Record::read(&args.record)?), args.format)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints results on standard output and their warnings on standard error.
pub(super) fn print(summary: &Summary, format: Format) -> Result<()> {
    let style = Style::of_stdout();
    let text = match format {
        Format::Table => rtswap_report::table(summary, &style),
        Format::Json => rtswap_report::json(summary) + "\n",
        Format::Markdown => rtswap_report::markdown(summary),
    };
    io::stdout().write_all(text.as_bytes())?;
    // Markdown and JSON contain the warnings.
    if format == Format::Table {
        eprint!("{}", rtswap_report::warnings(summary, &style));
    }
    Ok(())
}
