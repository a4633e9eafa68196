use std::collections::HashSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use globset::{Glob, GlobMatcher};
use rtswap_report::format::counted;
use rtswap_report::history::{History, MetricChoice, Options, svg};
use rtswap_report::{Metric, Style};
use rtswap_schema::history::HistoryEntry;

use super::git::{self, GitError};
use super::{Place, store};
use crate::cli::Format;

/// Show the history: the ratio of each commit to the anchor, change points, and gaps with their reason.
///
/// Each kind of machine is a series of its own.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    rtswap history --workload 'tcp-echo/*' --last 50\n  \
    rtswap history show --metric syscalls_per_op --plot history.svg\n  \
    rtswap history show --any-machine --format json")]
#[group(id = "show")]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// Workloads: names or globs; may be repeated.
    #[arg(short, long, value_name = "GLOB", value_parser = glob)]
    workload: Vec<GlobMatcher>,
    /// Lanes: names or globs; may be repeated.
    #[arg(short, long, value_name = "GLOB", value_parser = glob)]
    lane: Vec<GlobMatcher>,
    /// A metric by its name in JSON, or all [default: the one whose verdict counts].
    #[arg(long, value_name = "NAME", value_parser = metric)]
    metric: Option<MetricChoice>,
    /// One series for all kinds of machine, instead of one for each.
    #[arg(long)]
    any_machine: bool,
    /// The branch whose commits are shown, without those of branches that were merged into it.
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    branch: String,
    /// How many commits of each series the table shows; change points come from all of them.
    #[arg(long, value_name = "N", default_value = "20")]
    last: usize,
    /// Where to put the plots, as SVG. Replaces an existing file.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

fn glob(text: &str) -> Result<GlobMatcher, String> {
    Glob::new(text).map(|glob| glob.compile_matcher()).map_err(|error| error.to_string())
}

fn metric(text: &str) -> Result<MetricChoice, String> {
    if text == "all" {
        return Ok(MetricChoice::All);
    }
    let metric: Result<Metric, _> = serde_json::from_value(text.into());
    metric.map(MetricChoice::One).map_err(|error| {
        // "unknown variant `x`, expected one of `ops_per_s`, …"
        let error = error.to_string();
        let names = error.split_once("expected ").map_or("a metric", |(_, names)| names);
        format!("expected all, or {}", names.replace('`', ""))
    })
}

pub(super) fn run(args: &Args) -> Result<()> {
    let place = args.place.name();
    let Some(read) = args.place.read()? else {
        bail!("{}", nothing_yet(args, &place));
    };
    store::warn(&read.damages);
    if read.entries.is_empty() {
        bail!("{place} has no entries");
    }
    let entries = selected(args, &read.entries)?;
    let line = line(args, &entries)?;
    let history = History::of(
        &entries,
        &Options {
            line: line.as_deref(),
            metric: args.metric.unwrap_or_default(),
            any_machine: args.any_machine,
        },
    );
    if history.series.is_empty() && history.left_out_commits.is_empty() {
        bail!("{place} has no figures of that metric");
    }
    let text = match args.format {
        Format::Table => history.table(args.last, &Style::of_stdout()),
        Format::Json => serde_json::to_string_pretty(&history)? + "\n",
        Format::Markdown => history.markdown(args.last),
    };
    io::stdout().write_all(text.as_bytes())?;
    if !history.left_out_commits.is_empty() {
        note!(
            "note: {} with entries not shown, because {} does not lead to them; `--branch REV` shows another branch",
            counted(history.left_out_commits.len(), "commit"),
            args.branch
        );
    }
    if let Some(path) = &args.plot {
        fs::write(path, svg(&history))
            .with_context(|| format!("cannot write the plots to {}", path.display()))?;
        note!("plots: {}", path.display());
    }
    Ok(())
}

fn nothing_yet(args: &Args, place: &str) -> String {
    match args.place.file {
        Some(_) => format!(
            "there is no history in {place}: `rtswap history add RECORD --anchor NAME --file {place}` begins one"
        ),
        None => format!(
            "there is no history in {place}: `rtswap history fetch` gets that of others (a clone has no notes, nor \
             has actions/checkout), and `rtswap history add RECORD --anchor NAME` begins one"
        ),
    }
}

/// The entries that were asked for.
fn selected(args: &Args, entries: &[HistoryEntry]) -> Result<Vec<HistoryEntry>> {
    // `tcp-echo` stands for all its parameters.
    let matches = |globs: &[GlobMatcher], name: &str| {
        let family = name.split('/').next().unwrap_or(name);
        globs.is_empty() || globs.iter().any(|it| it.is_match(name) || it.is_match(family))
    };
    let all = entries
        .iter()
        .filter(|it| matches(&args.workload, &it.workload) && matches(&args.lane, &it.lane));
    let all: Vec<HistoryEntry> = all.cloned().collect();
    if all.is_empty() {
        let mut there: Vec<String> =
            entries.iter().map(|it| format!("{} on {}", it.workload, it.lane)).collect();
        there.sort_unstable();
        there.dedup();
        let there = rtswap_schema::one_line(&there.join(", "));
        bail!("no such workload or lane in the history: it has {there}");
    }
    Ok(all)
}

/// The commits of the branch; `None` where their order cannot be known, and their time has to do.
fn line(args: &Args, entries: &[HistoryEntry]) -> Result<Option<Vec<String>>> {
    let tip = match git::hash(&args.branch) {
        Ok(Some(tip)) => tip,
        // A file can be shown anywhere.
        Err(GitError::NotRepository | GitError::Missing(_)) if args.place.file.is_some() => {
            return Ok(None);
        }
        // A repository without commits.
        Ok(None) if args.branch == "HEAD" => return Ok(None),
        Ok(None) => {
            return Err(git::commit(&args.branch).err().unwrap_or_else(|| {
                anyhow::anyhow!("`{}` is no commit of this repository", args.branch)
            }));
        }
        Err(error) => return Err(error.into()),
    };
    let line = git::first_parents(&tip)?;
    let known: HashSet<&String> = line.iter().collect();
    let is_missing = entries.iter().any(|it| !known.contains(&it.commit));
    if is_missing && git::is_shallow()? {
        note!("warning: commits are ordered by their time\n  remedy: {}", git::SHALLOW);
        return Ok(None);
    }
    Ok(Some(line))
}
