use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;
use rtswap_harness::record::Record;
use rtswap_report::compare::{
    Comparison, ReasonKind, Side, comparison_json, comparison_markdown, comparison_table,
    comparison_warnings,
};
use rtswap_report::{Style, Summary};

use crate::cli::{Exit, Format, message, summary};

/// Compare two records in their ratios to a reference that both share.
///
/// The change of a lane is its ratio to the reference in B over that in A. Absolute figures of two runs are not
/// compared: between them the machine changes. Each reason not to compare is printed; those of another machine are
/// warnings.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    rtswap compare before.jsonl after.jsonl\n  \
    rtswap compare before.jsonl after.jsonl --allow toolchain\n  \
    rtswap compare a.jsonl b.jsonl --format json | jq '.changes[] | select(.outcome == \"worse\")'\n\n\
    Exit codes: 0 done, 1 unreadable record, 2 wrong usage, 4 nothing is comparable.")]
pub(super) struct Args {
    /// The record of before.
    a: PathBuf,
    /// The record of after.
    b: PathBuf,
    /// Compare all the same, with a warning; may be repeated.
    #[arg(long, value_enum, value_name = "REASON")]
    allow: Vec<Allowed>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

/// A difference that the user takes for harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Allowed {
    /// The reference has another version or configuration.
    ReferenceVersion,
    /// Slices or their warm-up have another length.
    Slice,
    /// Lanes or load generator have more or fewer CPUs.
    Placement,
    /// CPU time comes from another clock.
    Clock,
    /// Another compiler.
    Toolchain,
    /// Another version of rtswap.
    Harness,
    /// Another version of the record's format.
    Schema,
}

impl Allowed {
    fn kind(self) -> ReasonKind {
        match self {
            Self::ReferenceVersion => ReasonKind::ReferenceVersion,
            Self::Slice => ReasonKind::Slice,
            Self::Placement => ReasonKind::Placement,
            Self::Clock => ReasonKind::Clock,
            Self::Toolchain => ReasonKind::Toolchain,
            Self::Harness => ReasonKind::Harness,
            Self::Schema => ReasonKind::Schema,
        }
    }
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let (a, b) = (read(&args.a)?, read(&args.b)?);
    let (of_a, of_b) = (Summary::of(&a), Summary::of(&b));
    let allowed: Vec<ReasonKind> = args.allow.iter().map(|it| it.kind()).collect();
    let sides = [Side { record: &a, summary: &of_a }, Side { record: &b, summary: &of_b }];
    let comparison = Comparison::of(sides[0], sides[1], &allowed);
    let style = Style::of_stdout();
    let text = match args.format {
        Format::Table => comparison_table(&comparison, &style),
        Format::Json => comparison_json(&comparison),
        Format::Markdown => comparison_markdown(&comparison),
    };
    io::stdout().write_all(text.as_bytes())?;
    // JSON and Markdown contain the reasons.
    if args.format == Format::Table {
        message::print(&comparison_warnings(&comparison, &style));
    }
    if !comparison.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let (a, b) = (args.a.display(), args.b.display());
    let can_be_allowed = comparison.reasons.iter().any(|it| it.blocks && it.kind.can_be_allowed());
    let remedy = if can_be_allowed {
        "`--allow REASON` compares across differences that do not matter to you"
    } else {
        "measure the same workloads and lanes against the same reference"
    };
    Err(Exit::Inconclusive(format!("nothing in {a} and {b} is comparable: {remedy}")).into())
}

fn read(path: &Path) -> Result<Record> {
    let (record, cut) = summary::read(path)?;
    summary::warn_cut(path, &record, cut);
    Ok(record)
}
