use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use rtswap_harness::record::{Record, RecordFile as _};
use rtswap_report::{Summary, is_stale, sections, splice};

use crate::cli::summary;

/// Put a record's results into a document, between its markers.
///
/// Replaces what stands between `<!-- BEGIN: NAME -->` and `<!-- END: NAME -->`, for the names
/// summary, tables, overview and machine. A document that shows several records calls them NAME/summary and
/// so on, with `--name NAME`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    rtswap report --splice README.md results/reference.jsonl --overhead results/overhead.jsonl\n  \
    rtswap report --splice README.md results/overhead.jsonl --name overhead\n  \
    rtswap report --splice README.md results/reference.jsonl --check")]
pub(super) struct Args {
    /// A record that `rtswap run` has kept.
    record: PathBuf,
    /// The document to change.
    #[arg(long, value_name = "DOCUMENT")]
    splice: PathBuf,
    /// What the document calls the record, where it shows several.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Mark what the contract costs each lane, from a record of `rtswap overhead`.
    #[arg(long, value_name = "RECORD")]
    overhead: Option<PathBuf>,
    /// Change nothing; exit with 1 if the document is not up to date.
    #[arg(long)]
    check: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let document = args.splice.display();
    let mut summary = Summary::of(&Record::read(&args.record)?);
    summary::mark_overhead(&mut summary, args.overhead.as_deref())?;
    let text =
        fs::read_to_string(&args.splice).with_context(|| format!("cannot read {document}"))?;
    let name = args.name.as_ref().map(|name| format!(" --name {name}")).unwrap_or_default();
    let overhead = args.overhead.as_ref().map(|path| format!(" --overhead {}", path.display()));
    let overhead = overhead.unwrap_or_default();
    let command =
        format!("rtswap report --splice {document} {}{name}{overhead}", args.record.display());
    let generated = sections(&summary, args.name.as_deref(), &command);
    if !args.check {
        let text = splice(&text, &generated).with_context(|| document.to_string())?;
        fs::write(&args.splice, text).with_context(|| format!("cannot write {document}"))?;
    } else if is_stale(&text, &generated).with_context(|| document.to_string())? {
        bail!(
            "{document} is not what {} says: `{command}` brings it up to date",
            args.record.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}
