use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rtswap_harness::limits::Limits;
use rtswap_harness::plan::{MARGIN, Request};
use rtswap_harness::record::{Record, RecordFile as _};
use rtswap_report::sweep::{Objective, Sweep};
use rtswap_report::{Style, Summary, plot};
use rtswap_workload::Spec;

use crate::Registry;
use crate::cli::args::Setting;
use crate::cli::measure::{Job, Measured};
use crate::cli::over::Over;
use crate::cli::{Exit, Format, args, built, message, named, select, signals};

/// Measure one workload over several values of a parameter, and plot what grows with it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    rtswap sweep --workload tcp-echo --over conns=1,8,64,512,4096\n  \
    rtswap sweep --workload idle --over conns=100,1000,10000 --lane 'floor-*' --budget 5m\n  \
    rtswap sweep --workload tcp-echo/conns=8 --over size=64,1024,16384 --plot size.svg\n  \
    rtswap sweep --workload http --over rate=10%..100% --objective p99=1ms\n  \
    rtswap sweep --workload http --over rate=5k..50k --lane tokio --lane smol --budget 10m\n  \
    rtswap sweep --record sweep.jsonl --format markdown")]
pub(super) struct Args {
    /// The workload; its other parameters may be named: tcp-echo/size=64.
    #[arg(short, long, value_name = "NAME", required_unless_present = "record")]
    workload: Option<String>,
    /// The parameter to vary, and its values; for rate also a range, of which ten rates are offered.
    ///
    /// `rate=10%..100%` offers shares of the slowest lane's capacity, `rate=5k..50k` operations per second, the
    /// same to all lanes. Latency then counts from when an operation was due. Shares above 100% show how far the
    /// faster lanes keep up.
    #[arg(long, value_name = "PARAM=N,N,...", required_unless_present = "record")]
    over: Option<Over>,
    /// Show how much each lane serves within a latency: p50, p90, p99 or p99.9, and a time. Only over rate.
    #[arg(long, value_name = "PERCENTILE=TIME")]
    objective: Option<Objective>,
    /// Lanes: names, globs, `NAME@VERSION`, `NAME?delay_ns=N`, or `NAME=COMMAND`; may be repeated.
    #[arg(short, long, value_name = "GLOB")]
    lane: Vec<String>,
    /// Lanes in other languages as well, those that do this workload (`rtswap peers list`).
    #[arg(long)]
    peers: bool,
    /// The lane that ratios are taken against [default: tokio].
    #[arg(long, value_name = "LANE")]
    reference: Option<String>,
    /// Time that it may take: 90s, 5m.
    #[arg(long, value_parser = args::duration, value_name = "TIME", default_value = "3m")]
    budget: Duration,
    #[command(flatten)]
    setting: Setting,
    /// Show the sweep that a record holds, instead of measuring one.
    #[arg(long, value_name = "RECORD", conflicts_with_all = [
        "workload", "over", "lane", "peers", "reference", "budget", "seed", "server_cpus", "load_cpus",
        "out",
    ])]
    record: Option<PathBuf>,
    /// Where to put the plots, as SVG; next to the record unless given. Replaces an existing file.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// How to print the results.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

pub(super) fn run(registry: &Registry, args: &Args) -> Result<ExitCode> {
    let (Measured { record, unwritten }, path) = match (&args.record, &args.workload, &args.over) {
        (Some(path), ..) => {
            (Measured { record: Record::read(path)?, unwritten: None }, path.clone())
        }
        (None, Some(workload), Some(over)) => {
            signals::raise_descriptor_limit();
            let cancel = signals::cancel()?;
            check_objective(args.objective.as_ref(), over)?;
            let mut request = request(registry, args, workload, over)?;
            built::build(registry, &mut request.lanes, &cancel)?;
            let Setting { seed, out, servers, .. } = &args.setting;
            let job = Job::begin(request, *seed, out.as_deref(), servers.urls())?;
            let path = job.path().to_owned();
            (job.measure(cancel)?, path)
        }
        (None, ..) => unreachable!("clap asks for both"),
    };
    let summary = Summary::of(&record);
    let sweep = match args.objective {
        Some(objective) => Sweep::at(&record, &summary, objective),
        None => Sweep::of(&record, &summary),
    };
    let sweep = sweep.with_context(|| path.display().to_string())?;
    let plot = args.plot.clone().unwrap_or_else(|| path.with_extension("svg"));
    show(&sweep, &summary, args.format)?;
    write_plot(&sweep, &plot)?;
    if args.format == Format::Table {
        message::print(&rtswap_report::warnings(&summary, &Style::of_stdout()));
    }
    note!("plots: {}", plot.display());
    unwritten.map_or(Ok(()), Err)?;
    // With --record no lane and no workload can be named.
    if args.record.is_none() && !args.setting.allow_missing {
        let plan = &record.header.plan;
        let reference = args.reference.as_ref().map(|_| plan.reference.as_str());
        named::check_summary(&named::named(&plan.lanes, &args.lane, reference), &summary)?;
        let values: Vec<_> = plan.workloads.iter().map(|it| it.name.clone()).collect();
        named::check_workloads(&values, &summary)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Rejects an objective before anything is measured that it does not apply to.
fn check_objective(objective: Option<&Objective>, over: &Over) -> Result<()> {
    if objective.is_some() && over.param != "rate" {
        let message = format!(
            "--objective needs a sweep over rate, and --over names {}; give --over rate=10%..100%",
            over.param
        );
        return Err(Exit::Usage(message).into());
    }
    Ok(())
}

fn show(sweep: &Sweep, summary: &Summary, format: Format) -> Result<()> {
    let text = match format {
        Format::Table => sweep.table(summary, &Style::of_stdout()),
        Format::Json => serde_json::to_string_pretty(sweep)? + "\n",
        Format::Markdown => sweep.markdown(summary),
    };
    Ok(io::stdout().write_all(text.as_bytes())?)
}

fn write_plot(sweep: &Sweep, path: &Path) -> Result<()> {
    fs::write(path, plot::svg(sweep)).with_context(|| {
        format!("cannot write the plots to {}; `--plot FILE` puts them elsewhere", path.display())
    })
}

fn request(registry: &Registry, args: &Args, workload: &str, over: &Over) -> Result<Request> {
    let workloads = workloads(registry, workload, over)?;
    let specs = select::with_peers(registry, &args.lane, args.peers, |lane| lane.in_default);
    let reference = args.reference.as_deref().unwrap_or(select::default_reference(registry));
    let lanes = select::lanes(registry, &specs, reference)?;
    let reference = lanes[0].plan.name.clone();
    let (server_cpus, load_cpus) = args.setting.placement()?;
    Ok(Request {
        lanes: select::taking_part(lanes, &args.lane, &workloads)?,
        workloads,
        reference,
        budget: args.budget,
        precision: None,
        margin: MARGIN,
        weight: |_| 1,
        slice_ms: None,
        trickle: true,
        limits: Limits::now(),
        server_cpus,
        load_cpus,
        gate: None,
    })
}

/// The workload once for each value.
fn workloads(registry: &Registry, workload: &str, over: &Over) -> Result<Vec<Spec>> {
    let mut specs = Vec::new();
    for value in &over.values {
        let name = format!("{workload}/{}={value}", over.param);
        let spec = Spec::parse(&name, registry.catalogue)
            .map_err(|error| Exit::Usage(error.to_string()))?;
        if !specs.contains(&spec) {
            specs.push(spec);
        }
    }
    if specs.len() < 2 {
        return Err(Exit::Usage("a sweep takes two different values or more".to_owned()).into());
    }
    Ok(specs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_has_one_for_each_value() {
        let names = |workload: &str, over: &str| {
            let specs = workloads(&Registry::standard(), workload, &over.parse().unwrap())?;
            Ok(specs.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let error = |it: Result<Vec<String>>| it.unwrap_err().to_string();
        assert_eq!(
            names("tcp-echo/size=64", "conns=1,8,8").unwrap(),
            ["tcp-echo/size=64/conns=1", "tcp-echo/size=64/conns=8"]
        );
        assert!(error(names("tcp-echo", "sise=1,2")).contains("it has `size`, `conns`"));
        assert!(error(names("tcp-echo", "conns=0,1")).contains("from 1 to"));
        assert!(error(names("tpc-echo", "conns=1,2")).contains("did you mean `tcp-echo`?"));
        assert!(error(names("tcp-echo", "conns=1,1")).contains("two different values"));
    }

    #[test]
    fn workloads_has_one_for_each_rate_of_range() {
        let over: Over = "rate=5k..50k".parse().unwrap();
        let specs = workloads(&Registry::standard(), "tcp-echo", &over).unwrap();
        assert_eq!(specs.len(), 10);
        assert!(specs[9].to_string().ends_with("/rate=50000"), "{}", specs[9]);
        // 10k and 10000 are the same rate.
        let over: Over = "rate=10k,10000".parse().unwrap();
        let error = workloads(&Registry::standard(), "tcp-echo", &over).unwrap_err().to_string();
        assert!(error.contains("two different values"), "{error}");
        // A workload that the lane drives at its own pace has no rate.
        let over: Over = "rate=10%..100%".parse().unwrap();
        let error = workloads(&Registry::standard(), "spawn", &over).unwrap_err().to_string();
        assert!(error.contains("has no parameter `rate`"), "{error}");
    }

    #[test]
    fn objective_needs_rate() {
        let objective = "p99=1ms".parse().ok();
        let check = |objective: Option<&Objective>, over: &str| {
            check_objective(objective, &over.parse().unwrap()).map_err(|error| error.to_string())
        };
        assert_eq!(check(objective.as_ref(), "rate=10%..100%"), Ok(()));
        assert_eq!(check(None, "conns=1,8"), Ok(()));
        assert_eq!(
            check(objective.as_ref(), "conns=1,8").unwrap_err(),
            "--objective needs a sweep over rate, and --over names conns; give --over rate=10%..100%"
        );
    }
}
