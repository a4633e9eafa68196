use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use rtswap_harness::limits::Limits;
use rtswap_harness::plan::{MARGIN, Request};
use rtswap_harness::record::{Kind, Record, RecordFile as _};
use rtswap_report::claim::{self, CLAIMS, Finding, PUBLISHED_SIZE, SUBJECT};
use rtswap_report::{Style, Summary};
use rtswap_workload::Spec;
use serde_json::json;

use crate::Registry;
use crate::cli::args::Setting;
use crate::cli::measure::{Job, Measured};
use crate::cli::{Exit, Format, args, lane_spec, message, named, select, signals};

/// Test the claims of uvloop's authors: measure it against asyncio, gevent, Node.js and Go, and against the
/// Rust runtimes if there is time.
///
/// Echo servers, with messages of 1, 10 and 100 KiB on 10 and on 32 connections, each in its own
/// language; `rtswap peers install` gets what they need. A claim holds, or does not, if the whole 95 %
/// interval says so, and is undecided if the control differs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    rtswap claim\n  \
    rtswap claim --budget 120s\n  \
    rtswap claim --budget 10m --lane tokio --lane smol\n  \
    rtswap claim --record results/claim.jsonl --format markdown")]
pub(super) struct Args {
    /// More lanes: names or globs. By default the default runtimes, with a budget of four minutes or more.
    #[arg(short, long, value_name = "GLOB")]
    lane: Vec<String>,
    /// Only the lanes that the claims are about, which get more rounds in the same time.
    #[arg(long, conflicts_with = "lane")]
    claims_only: bool,
    /// Time that it may take: 90s, 5m.
    #[arg(long, value_parser = args::duration, value_name = "TIME", default_value = "5m")]
    budget: Duration,
    #[command(flatten)]
    setting: Setting,
    /// Exit with 4 if a claim is undecided.
    #[arg(long)]
    decide: bool,
    /// How to print the results.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// Show what a record says, without measuring anything.
    #[arg(long, value_name = "RECORD", conflicts_with_all = [
        "lane", "claims_only", "budget", "seed", "server_cpus", "load_cpus", "out",
    ])]
    record: Option<PathBuf>,
}

/// Messages of uvloop's authors, bytes.
const SIZES: [u64; 3] = [1_024, 10_240, 102_400];
/// Their connections, and those of the other tables here.
const CONNS: [u64; 2] = [10, 32];

/// How much more time is spent where there are published figures to compare with; the load generator is the
/// limit with the largest messages anyway, where it has one CPU.
const PUBLISHED_WEIGHT: u32 = 3;

/// In less time nothing could be decided with so many lanes.
const RUNTIMES_FROM: Duration = Duration::from_mins(4);

pub(super) fn run(registry: &Registry, args: &Args) -> Result<ExitCode> {
    let Measured { record, unwritten } = match &args.record {
        Some(path) => Measured { record: Record::read(path)?, unwritten: None },
        None => measure(registry, args)?,
    };
    let summary = Summary::of(&record);
    if summary.reference != SUBJECT {
        let reference = &summary.reference;
        bail!(
            "this is not a record of `rtswap claim`: its reference is {reference}, not {SUBJECT}"
        );
    }
    show(&summary, args.format)?;
    unwritten.map_or(Ok(()), Err)?;
    // With --record no lane can be named.
    if !args.setting.allow_missing {
        let named = named::named(&record.header.plan.lanes, &args.lane, None);
        named::check_summary(&named, &summary)?;
    }
    let undecided = |it: &claim::Judgement| it.finding == Finding::Undecided;
    let undecided = claim::judge(&summary).into_iter().filter(undecided).count();
    if args.decide && undecided > 0 {
        let all = CLAIMS.len() * summary.workloads.len();
        return Err(Exit::Inconclusive(format!("{undecided} of {all} are undecided")).into());
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(registry: &Registry, args: &Args) -> Result<Measured> {
    signals::raise_descriptor_limit();
    let cancel = signals::cancel()?;
    let subject = lane_spec::registered(registry, SUBJECT)?;
    if let Err(missing) = subject.available() {
        bail!("the claims are about {SUBJECT}, which is not ready: {missing}");
    }
    let request = request(registry, args)?;
    let Setting { seed, out, servers, .. } = &args.setting;
    Job::begin(request, *seed, out.as_deref(), servers.urls())?.measure(cancel)
}

fn request(registry: &Registry, args: &Args) -> Result<Request> {
    let mut workloads = Vec::new();
    for (size, conns) in SIZES.iter().flat_map(|size| CONNS.map(|conns| (size, conns))) {
        let name = format!("tcp-echo/size={size}/conns={conns}");
        workloads.push(Spec::parse(&name, registry.catalogue)?);
    }
    let lanes = select::lanes(registry, &lanes(registry, args), SUBJECT)?;
    let (server_cpus, load_cpus) = args.setting.placement()?;
    Ok(Request {
        lanes: select::taking_part(lanes, &args.lane, &workloads)?,
        workloads,
        reference: SUBJECT.to_owned(),
        budget: args.budget,
        precision: None,
        margin: MARGIN,
        weight,
        slice_ms: None,
        trickle: true,
        limits: Limits::now(),
        server_cpus,
        load_cpus,
        gate: None,
    })
}

/// The lanes that the claims are about, and the additional ones.
fn lanes(registry: &Registry, args: &Args) -> Vec<String> {
    let mut names: Vec<String> = CLAIMS.iter().map(|claim| claim.than.to_owned()).collect();
    names.extend(args.lane.clone());
    if args.lane.is_empty() && !args.claims_only && args.budget >= RUNTIMES_FROM {
        let additional = |lane: &&rtswap_lane::Lane| lane.kind == Kind::Runtime && lane.in_default;
        names.extend(registry.lanes.iter().filter(additional).map(|lane| lane.name.clone()));
    }
    names
}

fn weight(spec: &Spec) -> u32 {
    if spec.number("size") == Some(PUBLISHED_SIZE) { PUBLISHED_WEIGHT } else { 1 }
}

/// All lanes first and the claims last, which is what stands above the prompt then.
fn show(summary: &Summary, format: Format) -> Result<()> {
    let style = Style::of_stdout();
    let text = match format {
        Format::Table => {
            let table = rtswap_report::table(summary, &style);
            format!("{table}\n{}", claim::claims(summary, &style))
        }
        Format::Json => {
            let claims = claim::judge(summary);
            let all =
                json!({ "schema": rtswap_report::SCHEMA, "claims": claims, "summary": summary });
            serde_json::to_string_pretty(&all)? + "\n"
        }
        Format::Markdown => {
            let claims = claim::claims_in_markdown(summary);
            format!("### Claims\n\n{claims}\n\n{}", rtswap_report::markdown(summary))
        }
    };
    io::stdout().write_all(text.as_bytes())?;
    if format == Format::Table {
        message::print(&rtswap_report::warnings(summary, &style));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(line: &[&str]) -> Vec<String> {
        lanes(&Registry::standard(), &args::parsed(line))
    }

    #[test]
    fn lanes_has_runtimes_with_enough_budget() {
        let claimed = ["gevent", "node", "go", "asyncio"];
        assert_eq!(named(&["--budget", "120s"]), claimed);
        assert_eq!(named(&["--budget", "5m", "--claims-only"]), claimed);
        let all = named(&["--budget", "4m"]);
        assert_eq!(all, named(&[]));
        assert!(all.iter().any(|lane| lane == "tokio") && all.iter().any(|lane| lane == "glommio"));
        assert!(all.iter().all(|lane| !lane.contains("floor") && lane != "uvicorn-uvloop"));
        assert_eq!(named(&["--budget", "60s", "--lane", "smol"])[4..], ["smol"]);
    }

    #[test]
    fn weight_is_higher_for_published_size() {
        let weight = |name| weight(&Spec::parse(name, Registry::standard().catalogue).unwrap());
        assert_eq!(weight("tcp-echo/size=1024/conns=10"), PUBLISHED_WEIGHT);
        assert_eq!(weight("tcp-echo/size=10240/conns=32"), 1);
    }
}
