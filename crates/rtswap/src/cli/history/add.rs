use std::path::PathBuf;

use anyhow::{Context as _, Result};
use rtswap_harness::machine;
use rtswap_harness::record::{Record, RecordFile as _};
use rtswap_report::Summary;
use rtswap_report::format::counted;
use rtswap_report::history::{Measurement, entries};
use rtswap_schema::history::{Anchor, HistoryEntry};

use super::{Place, git};
use crate::cli::Exit;

/// The name of the reference in records of `rtswap gate`.
const BASE: &str = "base";

/// Keep what a record says of a commit: the ratio of each cell to the anchor.
///
/// The record's reference is the anchor: the `base` of `rtswap gate`, or the lane that --reference named in `rtswap
/// run`. A record that is there already is not added again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    rtswap history add gate.jsonl --anchor v0.3.0\n  \
    rtswap history add run.jsonl --commit v0.3.1 --anchor v0.3.0 --anchor-lane old\n  \
    rtswap history add gate.jsonl --anchor v0.3.0 --file history.jsonl")]
pub(super) struct Args {
    /// A record whose reference is the anchor.
    record: PathBuf,
    /// The commit that the other lanes were built from.
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    commit: String,
    /// What the reference is: a tag or a version, such as the last release.
    #[arg(long, value_name = "NAME")]
    anchor: String,
    /// The commit of the anchor [default: the tag of that name, if there is one].
    #[arg(long, value_name = "REV")]
    anchor_commit: Option<String>,
    /// The lane that is the anchor [default: base, or the lane of the anchor's name].
    #[arg(long, value_name = "LANE")]
    anchor_lane: Option<String>,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let record = Record::read(&args.record)?;
    let summary = Summary::of(&record);
    check_anchor(args, &record)?;
    let commit = git::commit(&args.commit)?;
    let anchor = anchor(args)?;
    let path = args.record.display();
    let record_sha256 =
        machine::sha256(&args.record).with_context(|| format!("cannot read {path}"))?;
    let measurement = Measurement {
        commit: commit.hash.clone(),
        commit_unix_s: commit.unix_s,
        anchor,
        record_sha256,
    };
    let entries = entries(&summary, &measurement);
    if entries.is_empty() {
        let text = format!("{path} compares no lane with {}", summary.reference);
        return Err(Exit::Usage(text).into());
    }
    let added = args.place.add(&commit.hash, &entries)?;
    report(args, &commit.hash, &entries, added);
    if args.anchor_commit.is_none() && measurement.anchor.commit.is_none() {
        note!(
            "warning: `{}` is no revision here, so that its commit is unknown and ratios cannot be chained to it\n  \
               remedy: fetch its tag, or give --anchor-commit REV",
            args.anchor
        );
    }
    Ok(())
}

/// Checks that the reference of the record is the anchor.
fn check_anchor(args: &Args, record: &Record) -> Result<()> {
    let reference = &record.header.plan.reference;
    let spec = record.header.plan.lanes.iter().find(|lane| lane.name == *reference);
    let is_anchor = match &args.anchor_lane {
        Some(lane) => lane == reference,
        None => {
            reference == BASE
                || *reference == args.anchor
                || spec.is_some_and(|lane| lane.spec == args.anchor)
        }
    };
    if is_anchor {
        return Ok(());
    }
    let wanted = args.anchor_lane.as_ref().unwrap_or(&args.anchor);
    let text = format!(
        "{} compares with `{reference}` and not with the anchor `{wanted}`: if that lane is {}, say so with \
         `--anchor-lane {reference}`",
        args.record.display(),
        args.anchor
    );
    Err(Exit::Usage(text).into())
}

fn anchor(args: &Args) -> Result<Anchor> {
    let commit = match &args.anchor_commit {
        Some(revision) => Some(git::commit(revision)?.hash),
        None => git::hash(&args.anchor)?,
    };
    Ok(Anchor { name: args.anchor.clone(), commit })
}

fn report(args: &Args, commit: &str, entries: &[HistoryEntry], added: usize) {
    let (place, commit) = (args.place.name(), &commit[..commit.len().min(10)]);
    let share = if args.place.file.is_some() { "" } else { "; `rtswap history push` shares them" };
    match added {
        0 => note!("all of this is in {place} already: {} of {commit}", cells(entries.len())),
        added => note!("kept {} of {commit} in {place}{share}", cells(added)),
    }
}

fn cells(count: usize) -> String {
    counted(count, "cell")
}
