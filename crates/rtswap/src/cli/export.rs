use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use globset::GlobMatcher;
use rtswap_harness::record::Record;
use rtswap_report::Summary;
use rtswap_report::export::{self, Direction, Export};

use crate::cli::select::glob;
use crate::cli::{Exit, summary};

/// Write a record in the format of another tool.
///
/// Every figure is a series with a fixed direction and a stable name, WORKLOAD/lane=LANE with the name of the metric.
/// A cell without figures has no series. docs/exports.md says what each format cannot say.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    rtswap export --format csv record.jsonl -o record.csv\n  \
    rtswap export --format benchfmt record.jsonl --lane tokio > tokio.txt\n  \
    rtswap export --format bmf record.jsonl --metric '*_ratio' | bencher run --adapter json --file /dev/stdin\n  \
    rtswap export --format hgrm record.jsonl --workload 'http/*' --lane smol\n\n\
    Exit codes: 0 done, 1 unreadable record or nothing to export, 2 wrong usage or an ambiguous choice.")]
pub(super) struct Args {
    /// A record that `rtswap run` has kept.
    record: PathBuf,
    /// The format to write.
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Format,
    /// The file to write; `-` is standard output.
    #[arg(short, long, value_name = "FILE", default_value = "-", hide_default_value = true)]
    out: PathBuf,
    /// Workloads: full names or globs; may be repeated.
    #[arg(long, value_name = "GLOB")]
    workload: Vec<String>,
    /// Lanes: names or globs; may be repeated.
    #[arg(long, value_name = "GLOB")]
    lane: Vec<String>,
    /// Metrics: names as in csv, or globs; may be repeated.
    #[arg(long, value_name = "GLOB")]
    metric: Vec<String>,
    /// The direction of the figures, for github-action-benchmark, which takes one in each file [default: smaller].
    #[arg(long, value_enum, value_name = "DIRECTION")]
    direction: Option<Better>,
}

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The Go benchmark format, for benchstat: a line for each round.
    Benchfmt,
    /// The Bencher Metric Format.
    Bmf,
    /// The custom JSON of github-action-benchmark.
    GithubActionBenchmark,
    /// A baseline for critcmp: the times of one lane.
    Critcmp,
    /// JUnit XML: a case for each cell.
    Junit,
    /// The OpenMetrics text format, for Prometheus.
    Openmetrics,
    /// Comma-separated values: a row for each figure.
    Csv,
    /// HdrHistogram's percentiles of one cell, in milliseconds.
    Hgrm,
    /// HdrHistogram's interval log of one cell: an interval for each round.
    Hlog,
}

/// Which values are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Better {
    /// Those of `customSmallerIsBetter`.
    Smaller,
    /// Those of `customBiggerIsBetter`.
    Bigger,
}

impl Args {
    fn format(&self) -> Result<export::Format> {
        let direction = match self.direction {
            Some(Better::Bigger) => Direction::HigherIsBetter,
            Some(Better::Smaller) | None => Direction::LowerIsBetter,
        };
        if self.direction.is_some() && self.format != Format::GithubActionBenchmark {
            let text = "--direction is for --format github-action-benchmark: the other formats hold both directions";
            return Err(Exit::Usage(text.to_owned()).into());
        }
        Ok(match self.format {
            Format::Benchfmt => export::Format::Benchfmt,
            Format::Bmf => export::Format::Bmf,
            Format::GithubActionBenchmark => export::Format::GithubActionBenchmark(direction),
            Format::Critcmp => export::Format::Critcmp,
            Format::Junit => export::Format::Junit,
            Format::Openmetrics => export::Format::Openmetrics,
            Format::Csv => export::Format::Csv,
            Format::Hgrm => export::Format::Hgrm,
            Format::Hlog => export::Format::Hlog,
        })
    }
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let format = args.format()?;
    let (record, cut) = summary::read(&args.record)?;
    let computed = Summary::of(&record);
    let mut export = Export::of(&record, &computed);
    narrow(args, &record, &mut export)?;
    let exported = export.write(format).map_err(|error| match error {
        export::ExportError::Several { .. } => Exit::Usage(error.to_string()).into(),
        error => anyhow::Error::from(error),
    })?;
    if args.out == Path::new("-") {
        io::stdout().write_all(exported.text.as_bytes())?;
    } else {
        let name = args.out.display();
        fs::write(&args.out, exported.text).with_context(|| format!("cannot write {name}"))?;
    }
    for text in exported.notes {
        note!("note: {text}");
    }
    summary::warn_cut(&args.record, &record, cut);
    Ok(ExitCode::SUCCESS)
}

/// Keeps the cells and metrics that the command line chooses. Each pattern has to match.
fn narrow(args: &Args, record: &Record, export: &mut Export) -> Result<()> {
    let plan = &record.header.plan;
    let workloads = plan.workloads.iter().map(|workload| workload.name.as_str());
    let workloads = matchers("workload", &args.workload, workloads)?;
    let lanes = matchers("lane", &args.lane, plan.lanes.iter().map(|lane| lane.name.as_str()))?;
    let of_series = export.series().iter().map(|series| series.measure.name());
    let metrics = matchers("metric", &args.metric, of_series)?;
    let chosen = |patterns: &[GlobMatcher], name: &str| {
        patterns.is_empty() || patterns.iter().any(|pattern| pattern.is_match(name))
    };
    export.retain_cells(|cell| chosen(&workloads, &cell.name) && chosen(&lanes, &cell.lane));
    export.retain_measures(|name| chosen(&metrics, name));
    Ok(())
}

/// # Errors
/// A pattern that matches none of the names of the record.
fn matchers<'a>(
    what: &str,
    patterns: &[String],
    names: impl Iterator<Item = &'a str>,
) -> Result<Vec<GlobMatcher>> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    let mut matchers = Vec::new();
    for pattern in patterns {
        // A name may contain what is special in a glob, as `tokio?delay_ns=110`.
        let literal = || globset::escape(pattern);
        let is_name = names.contains(&pattern.as_str());
        let matcher = glob(&if is_name { literal() } else { pattern.clone() })?;
        if !names.iter().any(|name| matcher.is_match(name)) {
            let known = rtswap_report::format::list(&names);
            let known = if known.is_empty() { "none".to_owned() } else { known };
            let text = format!("no {what} of the record matches `{pattern}`; it has {known}");
            return Err(Exit::Usage(rtswap_report::format::one_line(&text)).into());
        }
        matchers.push(matcher);
    }
    Ok(matchers)
}
