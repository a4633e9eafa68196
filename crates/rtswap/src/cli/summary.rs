use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use rtswap_harness::record::{Record, RecordFile as _};
use rtswap_report::format::counted;
use rtswap_report::{Style, Summary};

use crate::cli::{Exit, Format, message};

/// Compute the results of a record again, without measuring anything.
///
/// Of a record that is cut off, as by a full disk, the whole lines count; a warning says what is missing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    rtswap summary record.jsonl\n  \
    rtswap summary record.jsonl --format json | jq '.cells[] | select(.lane == \"smol\")'\n  \
    rtswap summary record.jsonl --overhead results/overhead.jsonl")]
pub(super) struct Args {
    /// A record that `rtswap run` has kept.
    record: PathBuf,
    /// Mark what the contract costs each lane, from a record of `rtswap overhead`.
    #[arg(long, value_name = "RECORD")]
    overhead: Option<PathBuf>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let (record, cut) = read(&args.record)?;
    let mut summary = Summary::of(&record);
    mark_overhead(&mut summary, args.overhead.as_deref())?;
    print(&summary, args.format)?;
    warn_cut(&args.record, &record, cut);
    Ok(ExitCode::SUCCESS)
}

/// The whole lines of a record, with the number of the last line if that is cut off.
pub(super) fn read(path: &Path) -> Result<(Record, Option<usize>)> {
    Ok(Record::read_whole_lines(path)?)
}

/// Warns of a record that is cut off in a line.
pub(super) fn warn_cut(path: &Path, record: &Record, cut: Option<usize>) {
    let Some(line) = cut else { return };
    let path = path.display();
    let rounds = counted(record.rounds.len(), "finished round");
    note!(
        "warning: {path} is cut off in line {line}, which is left out; it has {rounds}\n  \
           remedy: `rtswap run --resume {path}` drops that line and measures what is missing"
    );
}

/// Marks what the contract costs each lane, if a record of it is given.
pub(super) fn mark_overhead(summary: &mut Summary, record: Option<&Path>) -> Result<()> {
    let Some(path) = record else { return Ok(()) };
    let measured = Summary::of(&Record::read(path)?);
    if !measured.is_paired() {
        let text = format!("{} is not a record of `rtswap overhead`", path.display());
        return Err(Exit::Usage(text).into());
    }
    summary.mark_overhead(&measured);
    Ok(())
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
        message::print(&rtswap_report::warnings(summary, &style));
    }
    Ok(())
}
