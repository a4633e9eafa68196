mod candidates;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Result;
use rtswap_build::revision::Recipe;
use rtswap_harness::lane::PlannedLane;
use rtswap_harness::limits::Limits;
use rtswap_harness::plan::{MARGIN, Request};
use rtswap_harness::record::LanePlan;
use rtswap_report::{Interval, Metric, Summary};
use rtswap_stats::{Found, Search, Side, Verdict, side};
use rtswap_workload::Spec;
use serde::Serialize;

use crate::Registry;
use crate::cli::args::{CpuList, Servers};
use crate::cli::gate::config::Config;
use crate::cli::gate::side::{NotBuilt, Resolved, Start, resolve};
use crate::cli::measure::{Job, Measured};
use crate::cli::{Exit, INCONCLUSIVE, args, built, select, signals};
use candidates::Candidate;

/// Find the version or the commit that made a program slower.
///
/// First the two ends are compared: bad must use more CPU time per operation than good. Then several versions between them
/// are lanes of one paired run, with both ends, until the first bad version is found. A version is bad if its whole interval
/// lies above half of the difference between the ends, and good if it lies below. One that does not build is left out.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    rtswap bisect --good tokio@1.48.0 --bad tokio@1.52.2 --workload channel\n  \
    rtswap bisect --good v1.2.0 --bad HEAD --bin server --run '{exe} --listen {addr}' --workload http\n\n\
    Exit codes: 0 found, 1 failed, 2 wrong usage, 4 the ends do not differ, or versions whose side is unknown are left, \
    130 interrupted.")]
pub(super) struct Args {
    /// The last version that is known to be good: a lane spec with a version, or a git revision.
    #[arg(long, value_name = "LANE|REV")]
    good: String,
    /// A later version that is known to be bad.
    #[arg(long, value_name = "LANE|REV")]
    bad: String,
    /// The workload.
    #[arg(short, long, value_name = "NAME")]
    workload: String,
    /// The executable that is built of a commit, by cargo's name [default: the only one].
    #[arg(long, value_name = "NAME")]
    bin: Option<String>,
    /// How an executable is started (`rtswap gate --help`) [default: {exe}].
    #[arg(long, value_name = "COMMAND")]
    run: Option<String>,
    /// How many versions between the ends are measured at a time.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
    at_once: u8,
    /// Time for measuring in each step: 90s, 5m.
    #[arg(long, value_parser = args::duration, value_name = "TIME", default_value = "2m")]
    budget: Duration,
    /// Draw orders from this number instead of a random one.
    #[arg(long)]
    seed: Option<u64>,
    /// CPUs for the lanes: 0 or 0-3 or 0,2.
    #[arg(long, value_name = "LIST")]
    server_cpus: Option<CpuList>,
    /// CPUs for the load generator.
    #[arg(long, value_name = "LIST")]
    load_cpus: Option<CpuList>,
    #[command(flatten)]
    servers: Servers,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people, on a terminal.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// What is known of one version.
#[derive(Clone, Debug, Serialize)]
struct Row {
    version: String,
    /// CPU time per operation over that of the good end, in the last run that had both.
    ratio: Option<Interval>,
    side: Option<Side>,
    /// Why its side is unknown.
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct Report {
    workload: String,
    first_bad: Option<String>,
    /// The version before it.
    last_good: Option<String>,
    /// Versions that are good although an earlier one is bad.
    good_again: Vec<String>,
    versions: Vec<Row>,
}

/// What all steps share.
struct Steps<'a> {
    registry: &'a Registry,
    args: &'a Args,
    start: Start<'a>,
    workload: Spec,
    cancel: Arc<AtomicBool>,
}

/// The relative half-width of the intervals at which a step ends: half of it divides versions that differ by 3 %.
const PRECISION: f64 = 0.01;

pub(super) fn run(registry: &Registry, args: &Args) -> Result<ExitCode> {
    signals::raise_descriptor_limit();
    let cancel = signals::cancel()?;
    let config = Config::read(None)?;
    let run = args.run.as_deref().or(config.run.as_deref()).unwrap_or("{exe}");
    let bin = args.bin.as_deref().or(config.bin.as_deref());
    let recipe = Recipe { bin, arguments: &config.cargo_args };
    let mut workloads = select::workloads(registry, std::slice::from_ref(&args.workload))?;
    if workloads.len() != 1 {
        let text = format!("`{}` is {} workloads; name one", args.workload, workloads.len());
        return Err(Exit::Usage(text).into());
    }
    let all = candidates::between(registry, &args.good, &args.bad)?;
    let steps = Steps {
        registry,
        args,
        start: Start { run, recipe, cancel: &cancel },
        workload: workloads.remove(0),
        cancel: Arc::clone(&cancel),
    };
    let mut rows: Vec<Row> = all
        .iter()
        .map(|it| Row { version: it.name.clone(), ratio: None, side: None, reason: None })
        .collect();
    let last = all.len() - 1;
    let good = steps.resolve(&all[0])?;
    let bad = steps.resolve(&all[last])?;
    steps.confirm(&good, &bad, &mut rows)?;
    note!("{} versions lie between them", last - 1);
    let mut search = Search::new(all.len());
    loop {
        let next = search.next(args.at_once.into());
        if search.found().is_some() {
            break;
        }
        let mut lanes = Vec::new();
        for at in next {
            match steps.resolve(&all[at]) {
                Ok(lane) => lanes.push((at, lane)),
                Err(error) if error.is::<NotBuilt>() => {
                    note!("warning: {} is left out: {error:#}", all[at].name);
                    rows[at].reason = Some(format!("{error:#}"));
                    search.keep(at, Side::Unknown);
                }
                Err(error) => return Err(error),
            }
        }
        if !lanes.is_empty() {
            steps.measure(&good, &bad, lanes, &mut rows, &mut search)?;
        }
    }
    for (at, row) in rows.iter_mut().enumerate() {
        row.side = search.side(at);
    }
    report(&steps.workload, args, &search, rows)
}

impl Steps<'_> {
    fn resolve(&self, candidate: &Candidate) -> Result<PlannedLane> {
        let name = &candidate.name;
        let Resolved { lane, .. } = resolve(self.registry, name, &candidate.text, &self.start)?;
        let mut lanes = [lane];
        built::build(self.registry, &mut lanes, &self.cancel)?;
        let [lane] = lanes;
        Ok(lane)
    }

    /// Compares the ends.
    fn confirm(&self, good: &PlannedLane, bad: &PlannedLane, rows: &mut [Row]) -> Result<()> {
        note!("Comparing the ends, {} and {}", good.plan.name, bad.plan.name);
        let summary = self.run(good, vec![bad.clone()])?;
        let name = self.workload.to_string();
        let cell = summary.cell(&name, &bad.plan.name);
        let figure = cell.and_then(|cell| cell.metrics.get(&Metric::CpuNsPerOp));
        let Some(figure) = figure else {
            let reason = summary.cells.iter().find_map(|cell| cell.reason.clone());
            anyhow::bail!("the ends have no figures: {}", reason.unwrap_or_default());
        };
        let last = rows.len() - 1;
        rows[last].ratio = figure.interval();
        if figure.verdict == Some(Verdict::Worse) {
            return Ok(());
        }
        let ratio = figure.interval().map(|it| {
            format!("{:.3} [{:.3}, {:.3}]", it.ratio, it.lo, it.hi.unwrap_or(f64::INFINITY))
        });
        let verdict = figure.verdict.map(Verdict::as_str).unwrap_or_default();
        Err(Exit::Inconclusive(format!(
            "{} was not shown to be worse than {} ({verdict}, ratio {}), so there is nothing to search for; measure for \
             longer with --budget, or name other ends",
            bad.plan.name,
            good.plan.name,
            ratio.unwrap_or_default()
        ))
        .into())
    }

    /// Measures versions next to both ends.
    fn measure(
        &self,
        good: &PlannedLane,
        bad: &PlannedLane,
        versions: Vec<(usize, PlannedLane)>,
        rows: &mut [Row],
        search: &mut Search,
    ) -> Result<()> {
        let lanes = versions.iter().map(|(_, lane)| lane.clone()).chain([bad.clone()]).collect();
        let summary = self.run(good, lanes)?;
        let name = self.workload.to_string();
        let interval =
            |lane: &str| summary.cell(&name, lane)?.metrics.get(&Metric::CpuNsPerOp)?.interval();
        let bad = interval(&bad.plan.name).map(|it| it.ratio);
        for (at, lane) in versions {
            let its = interval(&lane.plan.name);
            let row = &mut rows[at];
            row.ratio = its;
            let known = its.zip(bad).map(|(its, bad)| {
                let hi = its.hi.unwrap_or(f64::INFINITY);
                side((its.lo, hi), bad, Metric::CpuNsPerOp.direction())
            });
            let side = known.unwrap_or(Side::Unknown);
            if side == Side::Unknown {
                let reason = summary.cell(&name, &lane.plan.name).and_then(|it| it.reason.clone());
                row.reason = Some(reason.unwrap_or_else(|| {
                    "its interval contains half of the difference between the ends".to_owned()
                }));
            }
            note!("{}: {}", lane.plan.name, word(Some(side)));
            search.keep(at, side);
        }
        Ok(())
    }

    /// One paired run against the good end.
    fn run(&self, good: &PlannedLane, others: Vec<PlannedLane>) -> Result<Summary> {
        let control =
            LanePlan { name: select::CONTROL.to_owned(), control: true, ..good.plan.clone() };
        let control = PlannedLane { plan: control, launch: good.launch.clone() };
        let lanes = [good.clone()].into_iter().chain(others).chain([control]).collect();
        let workloads = vec![self.workload];
        let lanes = select::taking_part(lanes, &[], &workloads)?;
        let (server_cpus, load_cpus) =
            select::placement(self.args.server_cpus.as_ref(), self.args.load_cpus.as_ref())?;
        let request = Request {
            workloads,
            lanes,
            reference: good.plan.name.clone(),
            budget: self.args.budget,
            precision: Some(PRECISION),
            margin: MARGIN,
            weight: |_| 1,
            slice_ms: None,
            trickle: true,
            limits: Limits::now(),
            server_cpus,
            load_cpus,
            gate: None,
        };
        let job = Job::begin(request, self.args.seed, None, self.args.servers.urls())?;
        let Measured { record, unwritten } = job.measure(Arc::clone(&self.cancel))?;
        unwritten.map_or(Ok(()), Err)?;
        Ok(Summary::of(&record))
    }
}

fn word(side: Option<Side>) -> &'static str {
    match side {
        Some(Side::Good) => "good",
        Some(Side::Bad) => "bad",
        Some(Side::Unknown) => "unknown",
        None => "not measured",
    }
}

/// Prints the answer, and returns the exit code.
fn report(workload: &Spec, args: &Args, search: &Search, rows: Vec<Row>) -> Result<ExitCode> {
    let (good, bad) = search.bounds();
    let is_found = matches!(search.found(), Some(Found::First(_)));
    let again: Vec<_> =
        search.good_again().into_iter().map(|at| rows[at].version.clone()).collect();
    let text = if args.format == Format::Json {
        let report = Report {
            workload: workload.to_string(),
            first_bad: is_found.then(|| rows[bad].version.clone()),
            last_good: is_found.then(|| rows[good].version.clone()),
            good_again: again,
            versions: rows,
        };
        serde_json::to_string_pretty(&report)?
    } else {
        let mut lines = table(&rows);
        lines.push(String::new());
        let (good, bad) = (&rows[good].version, &rows[bad].version);
        lines.push(if is_found {
            format!("first bad version: {bad} ({good} is good)")
        } else {
            format!("the first bad version lies after {good} and is {bad} at the latest")
        });
        if !again.is_empty() {
            let are = if again.len() == 1 { "is" } else { "are" };
            let again = again.join(", ");
            lines.push(format!(
                "not monotone: {again} {are} good again, so there are several changes"
            ));
        }
        lines.join("\n")
    };
    io::stdout().write_all(text.as_bytes())?;
    io::stdout().write_all(b"\n")?;
    Ok(if is_found { ExitCode::SUCCESS } else { ExitCode::from(INCONCLUSIVE) })
}

fn table(rows: &[Row]) -> Vec<String> {
    let widest = rows.iter().map(|row| row.version.len()).max().unwrap_or(0);
    let line = |row: &Row| {
        let ratio = row.ratio.map_or(String::new(), |it| {
            let hi = it.hi.map_or("∞".to_owned(), |hi| format!("{hi:.3}"));
            format!("{:.3} [{:.3}, {hi}]", it.ratio, it.lo)
        });
        let reason = row.reason.as_deref().map(|it| format!(": {it}")).unwrap_or_default();
        let line = format!("{:widest$}  {ratio:22}  {}{reason}", row.version, word(row.side));
        line.trim_end().to_owned()
    };
    let mut lines: Vec<_> = rows.iter().map(line).collect();
    lines.push(String::new());
    lines.push(
        "ratio: CPU time per operation over that of the good end, with its 95 % confidence interval"
            .to_owned(),
    );
    lines
}
