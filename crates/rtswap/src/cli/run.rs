use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Result;
use clap::Parser as _;
use rtswap_harness::limits::Limits;
use rtswap_harness::plan::{Request, SLICE_MS};
use rtswap_harness::record::Record;
use rtswap_report::Summary;

use crate::Registry;
use crate::cli::args::Setting;
use crate::cli::measure::{Job, Measured};
use crate::cli::{Cli, Command, Format, args, built, named, select, signals, summary};

/// Measure lanes side by side and print which are faster, by how much, and why.
///
/// Exits with 1 if a lane that is named with --lane or --reference, and not by a glob, fails or has no figure, and if
/// a workload that is named likewise has no figure at all.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
#[command(after_help = "Examples:\n  \
    rtswap run\n  \
    rtswap run --workload 'tcp-echo/size=1024/*' --lane 'tokio*' --budget 5m\n  \
    rtswap run --workload 'http/rate=60%/arrivals=poisson' --lane tokio --lane smol\n  \
    rtswap run --workload http/rate=20k --workload http\n  \
    rtswap run --workload spawn --precision 0.5% --format json > spawn.json\n  \
    rtswap run --all-lanes --budget 5m\n  \
    rtswap run --lane 'mine=python3 lane.py' --workload tcp-echo\n  \
    rtswap run --lane tokio@1.50.0 --lane tokio@1.51.0 --workload channel\n  \
    rtswap run --lane 'base=serve:./old {addr}' --lane 'head=serve:./new {addr}' --reference base \
    --workload http/path=/users/7\n  \
    rtswap run --peers --workload tcp-echo --workload http\n  \
    rtswap run --resume rtswap-records/1700000000-123.jsonl")]
pub(super) struct Args {
    /// Workloads: names or globs (`rtswap list` shows them); may be repeated.
    #[arg(short, long, value_name = "GLOB")]
    workload: Vec<String>,
    /// Lanes: names, globs, `NAME@VERSION`, `NAME?delay_ns=N`, `NAME?cpu_clock=process`, `NAME=COMMAND`, or
    /// `NAME=serve:COMMAND`; may be repeated.
    ///
    /// A version of the runtime is built first: `tokio@1.50.0`, `tokio@git:REV`, `tokio@path:../tokio`, with
    /// `?toolchain=T&rustflags=FLAGS` where they differ (`rtswap lanes build --help`).
    ///
    /// COMMAND speaks the lane protocol (LANES.md). After `serve:` it is any server; `{addr}` in it stands for where it
    /// is to listen.
    ///
    /// A glob matches lanes in other languages only if it begins as only their names do: `uv*`, `asyncio*` and
    /// `go*`, but not `*` or `g*`.
    #[arg(short, long, value_name = "GLOB")]
    lane: Vec<String>,
    /// Lanes in other languages as well, those that do these workloads (`rtswap peers list`).
    #[arg(long)]
    peers: bool,
    /// Every lane that ships, instead of one for each runtime and the floor on epoll; the same as `--lane '*'`.
    #[arg(long, conflicts_with_all = ["lane", "quick"])]
    all_lanes: bool,
    /// Every workload with every value of its parameters.
    #[arg(long, conflicts_with_all = ["workload", "quick"])]
    all: bool,
    /// The lane that ratios are taken against [default: tokio].
    #[arg(long, value_name = "LANE")]
    reference: Option<String>,
    /// Time that the run may take: 90s, 5m.
    #[arg(long, value_parser = args::duration, value_name = "TIME")]
    budget: Option<Duration>,
    /// Stop a workload once every interval is this narrow, and spend the time on the others: 1% or 0.01 means ± 1 %
    /// [default: 1%; none with --quick].
    #[arg(long, value_parser = args::share, value_name = "WIDTH")]
    precision: Option<f64>,
    /// Call lanes equivalent whose whole interval lies within this difference: 3% or 0.03.
    #[arg(long, value_parser = args::share, value_name = "SHARE", default_value = "3%")]
    margin: f64,
    /// Few workloads and few blocks: a first impression in about 30 seconds, or three for each workload where
    /// that is more.
    #[arg(long)]
    quick: bool,
    /// Length of an ordinary slice in milliseconds, instead of 20, or of 100 at an offered rate without --quick.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=10_000), value_name = "MS")]
    slice_ms: Option<u64>,
    /// Send nothing to lanes that wait, instead of a message every few milliseconds.
    ///
    /// Without messages, the runtimes on async-io fall into a state that services do not know (METHODOLOGY.md).
    #[arg(long)]
    no_trickle: bool,
    #[command(flatten)]
    setting: Setting,
    /// How to print the results.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// Go on with a record that was cut short, instead of a new one.
    #[arg(long, value_name = "RECORD", conflicts_with_all = [
        "workload", "lane", "peers", "all_lanes", "all", "reference", "budget", "precision", "margin", "quick", "slice_ms", "no_trickle", "seed",
        "server_cpus", "load_cpus", "out",
    ])]
    resume: Option<PathBuf>,
    /// Resume although the machine or a program has changed; the record then says so.
    #[arg(long, requires = "resume")]
    force: bool,
}

/// Narrow enough for a default margin of 3 %.
const PRECISION: f64 = 0.01;
const BUDGET: Duration = Duration::from_mins(2);
const BUDGET_QUICK: Duration = Duration::from_secs(27);
/// What `--quick` allows for each workload at least, so that with many of them each has its turn: a round
/// of nine lanes takes a second and a half, and twice that where the machine is slow.
const QUICK_EACH: Duration = Duration::from_secs(3);

pub(super) fn run(registry: &Registry, args: &Args) -> Result<ExitCode> {
    signals::raise_descriptor_limit();
    let cancel = signals::cancel()?;
    let job = match &args.resume {
        Some(path) => {
            Job::resume(registry, path, args.setting.servers.urls(), args.force, &cancel)?
        }
        None => begin(registry, args, &cancel)?,
    };
    let Measured { record, unwritten } = job.measure(cancel)?;
    let summary = Summary::of(&record);
    summary::print(&summary, args.format)?;
    unwritten.map_or(Ok(()), Err)?;
    let begun = args.resume.as_ref().and_then(|_| begun_with(&record));
    let begun = begun.as_ref().unwrap_or(args);
    if !args.setting.allow_missing && !begun.setting.allow_missing {
        named::check_summary(&named_lanes(&record, begun), &summary)?;
        named::check_workloads(&select::named_workloads(registry, &begun.workload), &summary)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn begin(registry: &Registry, args: &Args, cancel: &AtomicBool) -> Result<Job> {
    let Setting { seed, out, servers, .. } = &args.setting;
    let mut request = request(registry, args)?;
    built::build(registry, &mut request.lanes, cancel)?;
    Job::begin(request, *seed, out.as_deref(), servers.urls())
}

/// The arguments that began a record, if `rtswap run` did.
fn begun_with(record: &Record) -> Option<Args> {
    match Cli::try_parse_from(&record.header.environment.command).ok()?.command {
        Command::Run(args) => Some(args),
        _ => None,
    }
}

fn named_lanes<'a>(record: &'a Record, args: &Args) -> Vec<&'a str> {
    let plan = &record.header.plan;
    let reference = args.reference.as_ref().map(|_| plan.reference.as_str());
    named::named(&plan.lanes, &args.lane, reference)
}

fn request(registry: &Registry, args: &Args) -> Result<Request> {
    let default = if args.quick { registry.quick } else { registry.default };
    let workloads = select::workloads_or(registry, &args.workload, args.all, default)?;
    let every = ["*".to_owned()];
    let patterns = if args.all_lanes { &every[..] } else { &args.lane };
    let specs = select::with_peers(registry, patterns, args.peers, |lane| lane.in_default);
    let reference = args.reference.as_deref().unwrap_or(select::default_reference(registry));
    let lanes = select::lanes(registry, &specs, reference)?;
    let reference = lanes[0].plan.name.clone();
    let (server_cpus, load_cpus) = args.setting.placement()?;
    let lanes = select::taking_part(lanes, &args.lane, &workloads)?;
    let budget = budget(args, workloads.len());
    Ok(Request {
        workloads,
        lanes,
        limits: Limits::now(),
        reference,
        budget,
        precision: args.precision.or((!args.quick).then_some(PRECISION)),
        margin: args.margin,
        weight: |_| 1,
        slice_ms: args.slice_ms.or(args.quick.then_some(SLICE_MS)),
        trickle: !args.no_trickle,
        server_cpus,
        load_cpus,
        gate: None,
    })
}

fn budget(args: &Args, workloads: usize) -> Duration {
    match args.budget {
        Some(budget) => budget,
        None if args.quick => BUDGET_QUICK.max(QUICK_EACH * workloads as u32),
        None => BUDGET,
    }
}

#[cfg(test)]
mod tests {
    use rtswap_harness::record::{Environment, Header, Plan, SCHEMA};

    use super::*;

    fn seconds(line: &[&str], workloads: usize) -> u64 {
        budget(&args::parsed(line), workloads).as_secs()
    }

    #[test]
    fn begun_with_reads_command_of_record() {
        let record = |command: &[&str]| {
            let command = command.iter().map(ToString::to_string).collect();
            let environment = Environment { command, ..Environment::default() };
            let plan: Plan = serde_json::from_value(serde_json::json!({
                "reference": "smol", "lanes": [], "workloads": [], "rounds": 1, "blocks": 1,
                "server_cpus": [0], "load_cpus": [0], "budget_s": 1.0, "precision": null,
            }))
            .unwrap();
            Record::new(Header { schema: SCHEMA, seed: 1, environment, plan })
        };
        let begun = begun_with(&record(&["rtswap", "run", "--lane", "mine=true", "--quick"]));
        assert_eq!(begun.unwrap().lane, ["mine=true"]);
        assert!(begun_with(&record(&["rtswap", "overhead"])).is_none());
        assert!(begun_with(&record(&["rtswap", "run", "--flag-of-another-version"])).is_none());
    }

    #[test]
    fn budget_of_quick_run_grows_with_workloads() {
        assert_eq!(seconds(&["--quick"], 5), 27);
        assert_eq!(seconds(&["--quick"], 58), 174);
        assert_eq!(seconds(&["--quick", "--budget", "9s"], 58), 9);
        assert_eq!(seconds(&[], 58), 120);
    }
}
