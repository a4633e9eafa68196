pub(super) mod config;
mod identity;
pub(super) mod side;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rtswap_build::revision::Recipe;
use rtswap_harness::lane::PlannedLane;
use rtswap_harness::limits::Limits;
use rtswap_harness::plan::{ALPHA, Request};
use rtswap_harness::record::{GatePlan, Kind, LanePlan, Record, RecordFile as _};
use rtswap_report::{GateReport, HEAD, Style};
use rtswap_stats::Outcome;
use rtswap_workload::Spec;

use crate::Registry;
use crate::cli::args::Setting;
use crate::cli::measure::{Job, Measured, command_line};
use crate::cli::{Exit, INCONCLUSIVE, REGRESSION, args, built, message, select, signals};
use config::Config;
use identity::Program;
use side::{NotBuilt, Resolved, Start};

/// Decide whether one version of a program is slower than another, for CI.
///
/// Base runs in two processes (base and control), head in one, in paired rounds on this machine. The answer is one of
/// three: `regression` (exit code 3), `pass` (0), or `inconclusive` (4). Pass is shown, not assumed: the whole 95 %
/// interval lies within the tolerance. METHODOLOGY.md, "Gates", has the rules and their error rates.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
#[command(after_help = "Examples:\n  \
    rtswap gate                                       HEAD against the main branch, as rtswap.toml says\n  \
    rtswap gate --base v1.2.0 --bin server --run '{exe} --listen {addr}' --workload http\n  \
    rtswap gate --base tokio --head smol --workload tcp-echo\n  \
    rtswap gate --base ./old-server --head ./new-server --run '{exe} --listen {addr}' --workload http\n  \
    rtswap gate --base 'serve:./old --port {port}' --head 'serve:./new --port {port}' --workload tcp-echo\n  \
    rtswap gate --base ./old-lane --head ./new-lane --workload spawn --tolerance 1% --budget 5m\n  \
    rtswap gate --from record.jsonl --format github\n  \
    git bisect run rtswap gate --bisect --base v1.2.0\n  \
    rtswap gate --self-check\n\n\
    Exit codes: 0 pass, 1 failed, 2 wrong usage, 3 regression, 4 inconclusive, 130 interrupted. With --bisect: 0 pass, \
    1 regression, 125 inconclusive or not built, 128 failed, 130 interrupted.")]
pub(super) struct Args {
    /// The old version: a lane spec, `serve:COMMAND`, the path of an executable, or a git revision, which is built
    /// [default: the commit at which head has left the main branch].
    #[arg(long, value_name = "LANE|EXE|REV")]
    base: Option<String>,
    /// The new version [default: HEAD].
    #[arg(long, value_name = "LANE|EXE|REV")]
    head: Option<String>,
    /// The executable that is built of a revision, by cargo's name [default: the only one].
    #[arg(long, value_name = "NAME")]
    bin: Option<String>,
    /// How an executable is started. `{exe}` stands for it. A command with `{addr}` or `{port}` is a server; others
    /// speak the lane protocol (LANES.md) [default: {exe}].
    #[arg(long, value_name = "COMMAND")]
    run: Option<String>,
    /// Workloads: names or globs; may be repeated.
    #[arg(short, long, value_name = "GLOB")]
    workload: Vec<String>,
    /// The largest change for the worse that passes: 2% or 0.02 [default: 2%].
    #[arg(long, value_parser = args::share, value_name = "SHARE")]
    tolerance: Option<f64>,
    /// Call a regression only what is shown to be worse than the tolerance.
    #[arg(long)]
    strict: bool,
    /// What an inconclusive gate exits with: 0 with `pass`, 4 with `fail`.
    #[arg(long, value_enum, value_name = "AS", default_value_t)]
    inconclusive: Inconclusive,
    /// Time for measuring: 90s, 5m [default: 2m].
    #[arg(long, value_parser = args::duration, value_name = "TIME")]
    budget: Option<Duration>,
    /// Exit as `git bisect run` expects: 0 good, 1 bad, 125 to skip the commit, 128 and more to stop.
    #[arg(long, conflicts_with_all = ["from", "self_check", "inconclusive"])]
    bisect: bool,
    /// Measure although base and head load the same code.
    #[arg(long)]
    measure_identical: bool,
    /// Settings and accepted changes [default: rtswap.toml, if there is one].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Report the gate of a record, without measuring.
    #[arg(long, value_name = "RECORD", conflicts_with_all = [
        "base", "head", "bin", "run", "workload", "tolerance", "strict", "budget", "measure_identical", "config", "self_check",
        "seed", "server_cpus", "load_cpus", "out",
    ])]
    from: Option<PathBuf>,
    /// Check that a gate works on this machine: a delay of 600 ns in each message of tcp-echo must be a regression.
    #[arg(long, conflicts_with_all = ["base", "head", "bin", "run", "workload", "measure_identical"])]
    self_check: bool,
    #[command(flatten)]
    setting: Setting,
    /// How to print the result. `github` prints annotations, and adds to the file that `GITHUB_STEP_SUMMARY` names.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// Write the result as a comment for a pull or merge request as well, in Markdown of at most 60,000 characters.
    #[arg(long, value_name = "FILE")]
    comment: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Inconclusive {
    Pass,
    #[default]
    Fail,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people, on a terminal.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For documents and pull requests.
    Markdown,
    /// For GitHub Actions.
    Github,
}

const TOLERANCE: f64 = 0.02;
const BUDGET: Duration = Duration::from_mins(2);
/// The lane that `--self-check` slows down.
const CHECKED: &str = "tokio";
const CHECK_DELAY_NS: u32 = 600;
const CHECK_WORKLOAD: &str = "tcp-echo";
const CHECK_BUDGET: Duration = Duration::from_secs(30);

/// Exit codes for `git bisect run`: this commit cannot be tested; stop.
const SKIP: u8 = 125;
const STOP: u8 = 128;

pub(super) fn run(registry: &Registry, args: &Args) -> Result<ExitCode> {
    if !args.bisect {
        return decide(registry, args);
    }
    decide(registry, args).or_else(|error| {
        if matches!(error.downcast_ref(), Some(Exit::Interrupted(_))) {
            return Err(error);
        }
        note!("rtswap: {error:#}");
        Ok(ExitCode::from(if error.is::<NotBuilt>() { SKIP } else { STOP }))
    })
}

fn decide(registry: &Registry, args: &Args) -> Result<ExitCode> {
    if let Some(path) = &args.from {
        let (record, cut) = Record::read_whole_lines(path)?;
        let report = GateReport::of(&record).ok_or_else(|| {
            Exit::Usage(format!("{} is not the record of a gate", path.display()))
        })?;
        if let Some(line) = cut {
            note!("warning: {} is cut off in line {line}, which is left out", path.display());
        }
        return finish(&report, &record.header.environment.command, args);
    }
    signals::raise_descriptor_limit();
    let cancel = signals::cancel()?;
    let config = Config::read(args.config.as_deref())?;
    let Gate { mut request, plan, is_identical } = gate(registry, args, &config, &cancel)?;
    if is_identical && !args.measure_identical {
        let report = GateReport::identical(plan, ALPHA);
        return finish(&report, &command_line(), args);
    }
    request.gate = Some(plan);
    let Setting { seed, out, servers, .. } = &args.setting;
    let job = Job::begin(request, *seed, out.as_deref(), servers.urls())?;
    let Measured { record, unwritten } = job.measure(cancel)?;
    let report = GateReport::of(&record).expect("the plan has a gate");
    let code = finish(&report, &record.header.environment.command, args)?;
    unwritten.map_or(Ok(code), Err)
}

/// What will be measured.
struct Gate {
    request: Request,
    plan: GatePlan,
    is_identical: bool,
}

fn gate(registry: &Registry, args: &Args, config: &Config, cancel: &AtomicBool) -> Result<Gate> {
    let run = args.run.as_deref().or(config.run.as_deref()).unwrap_or("{exe}");
    if !run.contains("{exe}") {
        let text = format!("`{run}` does not start the executable: it lacks {{exe}}");
        return Err(Exit::Usage(text).into());
    }
    let bin = args.bin.as_deref().or(config.bin.as_deref());
    let start = Start { run, recipe: Recipe { bin, arguments: &config.cargo_args }, cancel };
    let [base, head] = sides(args)?;
    let mut base = side::resolve(registry, "base", &base, &start)?;
    let mut head = side::resolve(registry, HEAD, &head, &start)?;
    let mut lanes = [base.lane, head.lane];
    built::build(registry, &mut lanes, cancel)?;
    [base.lane, head.lane] = lanes;
    let programs = [&base, &head].map(|side| Program::of(&side.lane.launch));
    for (side, program) in [&mut base, &mut head].into_iter().zip(&programs) {
        side.side.code_sha256 = program.as_ref().and_then(|program| program.code_sha256.clone());
    }
    let is_identical = matches!(&programs, [Some(base), Some(head)] if base.is_same(head));
    let workloads = workloads(registry, args, config, [&base, &head])?;
    let tolerance = args.tolerance.or(config.tolerance).unwrap_or(TOLERANCE);
    let accepted = workloads.iter().filter_map(|spec| {
        let name = spec.to_string();
        let accepted = config.accepted(registry, &name, &head.lane.plan.spec)?;
        Some((name, accepted))
    });
    let plan = GatePlan {
        tolerance,
        strict: args.strict,
        pass_inconclusive: args.inconclusive == Inconclusive::Pass,
        accepted: accepted.collect(),
        base: base.side,
        head: head.side,
    };
    let control =
        LanePlan { name: select::CONTROL.to_owned(), control: true, ..base.lane.plan.clone() };
    let control = PlannedLane { plan: control, launch: base.lane.launch.clone() };
    let reference = base.lane.plan.name.clone();
    let lanes = select::taking_part(vec![base.lane, head.lane, control], &[], &workloads)?;
    let (server_cpus, load_cpus) = args.setting.placement()?;
    let budget = if args.self_check { CHECK_BUDGET } else { BUDGET };
    let request = Request {
        workloads,
        lanes,
        reference,
        budget: args.budget.or(config.budget).unwrap_or(budget),
        // At this width, a head that does not differ passes in 98 % of gates.
        precision: Some(tolerance / 2.0),
        margin: tolerance,
        weight: |_| 1,
        slice_ms: None,
        trickle: true,
        limits: Limits::now(),
        server_cpus,
        load_cpus,
        gate: None,
    };
    Ok(Gate { request, plan, is_identical })
}

/// What base and head are.
fn sides(args: &Args) -> Result<[String; 2]> {
    if args.self_check {
        return Ok([CHECKED.to_owned(), format!("{CHECKED}?delay_ns={CHECK_DELAY_NS}")]);
    }
    let head = args.head.clone().unwrap_or_else(|| "HEAD".to_owned());
    let base = match &args.base {
        Some(base) => base.clone(),
        None => side::default_base(&head)?,
    };
    Ok([base, head])
}

/// The workloads that are named, those of the file, or for lanes that ship the quick ones.
fn workloads(
    registry: &Registry,
    args: &Args,
    config: &Config,
    sides: [&Resolved; 2],
) -> Result<Vec<Spec>> {
    if args.self_check {
        return select::workloads(registry, &[CHECK_WORKLOAD.to_owned()]);
    }
    let named = if args.workload.is_empty() { &config.workloads } else { &args.workload };
    let is_own = |side: &Resolved| side.lane.plan.kind == Kind::Command;
    if named.is_empty() && sides.into_iter().any(is_own) {
        let text = "name the workloads of your program: --workload, or `workloads` in rtswap.toml \
                    (`rtswap list` shows all)";
        return Err(Exit::Usage(text.to_owned()).into());
    }
    select::workloads_or(registry, named, false, registry.quick)
}

/// Prints a report, and returns the exit code.
fn finish(report: &GateReport, command: &[String], args: &Args) -> Result<ExitCode> {
    let style = Style::of_stdout();
    let repeat = shlex::try_join(command.iter().map(String::as_str)).unwrap_or_default();
    let for_github = || rtswap_report::github(report, &repeat);
    let text = match args.format {
        Format::Table => rtswap_report::gate_table(report, &style),
        Format::Json => report.json(),
        Format::Markdown => rtswap_report::gate_markdown(report),
        Format::Github => {
            let github = for_github();
            add_summary(&github.comment)?;
            github.annotations
        }
    };
    if let Some(path) = &args.comment {
        std::fs::write(path, for_github().comment)
            .with_context(|| format!("cannot write the comment to {}", path.display()))?;
    }
    io::stdout().write_all(text.as_bytes())?;
    if args.format == Format::Table {
        message::print(&rtswap_report::gate_warnings(report, &style));
    }
    if args.self_check {
        return self_checked(report);
    }
    if args.bisect {
        return Ok(match report.outcome {
            Some(Outcome::Pass) => ExitCode::SUCCESS,
            Some(Outcome::Regression) => ExitCode::from(1),
            Some(Outcome::Inconclusive) | None => ExitCode::from(SKIP),
        });
    }
    Ok(match report.outcome {
        Some(Outcome::Pass) => ExitCode::SUCCESS,
        Some(Outcome::Regression) => ExitCode::from(REGRESSION),
        Some(Outcome::Inconclusive) if report.plan.pass_inconclusive => ExitCode::SUCCESS,
        Some(Outcome::Inconclusive) => ExitCode::from(INCONCLUSIVE),
        None => ExitCode::from(crate::cli::FAILED),
    })
}

/// Adds to the summary of a job on GitHub, if this is one.
fn add_summary(text: &str) -> Result<()> {
    let Some(path) = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty()) else {
        return Ok(());
    };
    let path = Path::new(&path);
    let mut options = std::fs::OpenOptions::new();
    let file = options.append(true).create(true).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write the summary of the job to {}", path.display()))
}

fn self_checked(report: &GateReport) -> Result<ExitCode> {
    if report.outcome == Some(Outcome::Regression) {
        note!("the gate works on this machine: it found the delay of {CHECK_DELAY_NS} ns");
        return Ok(ExitCode::SUCCESS);
    }
    let text = format!(
        "the gate did not find the delay of {CHECK_DELAY_NS} ns in a message; measure for longer with --budget, or on \
         a quieter machine"
    );
    Err(Exit::Inconclusive(text).into())
}
