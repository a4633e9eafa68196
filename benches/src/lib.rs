//! What `cargo bench` runs: the shared workloads on every lane, measured and drawn by criterion.
//!
//! A target is one family of workloads, a group one workload (`spawn/tasks=1000`), a function one lane
//! (`tokio`), and an iteration one *operation* of the workload, as `rtswap list` defines it. So
//! criterion's report draws the runtimes beside each other, in nanoseconds per operation.
//!
//! # Why a lane is a process here, too
//!
//! Each target starts lanes of the `rtswap` executable, which it has cargo build first, and orders slices
//! of them:
//!
//! - Runtimes are not alone in a process. async-std and smol share the one reactor of async-io, and
//!   threads of async-std's, once started, never end: they wait in it and take what smol waits for.
//! - The lanes of the registry are what is measured everywhere else: on the server CPUs, with a worker
//!   or a shard on each, and with the load generator on the other ones. A lane or runtime that is added
//!   to the registry is here, too.
//!
//! # Why not criterion's `to_async`
//!
//! It polls the workload in `block_on`, on the thread of the benchmark. On a multi-threaded runtime
//! that is none of the workers, so every task that is spawned and joined crosses threads, and the
//! figure is that of the crossing. And it would need an executor for each runtime, of which criterion
//! has two. A lane spawns the workload onto its runtime, which was started and has warmed up before,
//! reads the clock in there, and tells what it did: that goes to `iter_custom`.
#![warn(missing_docs)]

mod args;
mod paired;
mod program;
mod subject;
mod targets;

use std::env;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use criterion::{
    BenchmarkGroup, Criterion, PlottingBackend, SamplingMode, Throughput, measurement::WallTime,
};
use rtswap_schema::workload::{Spec, families};

use args::{Args, Mode};
use program::Listed;
use subject::{Missing, Subject};
use targets::{Samples, TARGETS, Target};

/// Before the first sample; a lane was started just now.
const WARM_UP: Duration = Duration::from_millis(500);

/// Bootstrap resamples. Criterion's 100,000 take longer than the measurement and change digits that
/// mean nothing with 40 samples.
const RESAMPLES: usize = 10_000;

/// The change that criterion calls one. The same executable measured again, 3 s each, differed from
/// the run before by 2 to 30 % on a shared machine: a smaller threshold reports the machine.
const NOISE: f64 = 0.1;

/// The exit code of a wrong command line.
const USAGE: u8 = 2;

/// The `main` of every target: which one it is, its name says under which it was started.
///
/// # Panics
/// If a workload's verification fails, with what it found, or a lane breaks.
pub fn main() -> ExitCode {
    let name = env::args_os().next().unwrap_or_default();
    let target = TARGETS.iter().find(|target| name == target.name);
    if target.is_none() && name != "paired" {
        eprintln!("this is not started by hand: `cargo bench` starts it");
        return ExitCode::from(USAGE);
    }
    let args = match Args::of_process() {
        Ok(args) => args,
        Err(error) => {
            eprintln!("the filter is not a regular expression: {error}");
            return ExitCode::from(USAGE);
        }
    };
    match run(target, &args) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn run(target: Option<&Target>, args: &Args) -> Result<ExitCode, String> {
    // Without `--list` no target knows whether its filter matches before it knows the lanes.
    let Some(target) = target else { return paired::run(args) };
    let program = program::build()?;
    let runtimes = program::runtimes(&program)?;
    criterion(&program, &runtimes, target, args);
    Ok(ExitCode::SUCCESS)
}

fn criterion(program: &Path, runtimes: &[Listed], target: &Target, args: &Args) {
    let Samples { number, length } = target.samples;
    let mut criterion = Criterion::default()
        .sample_size(number)
        .measurement_time(length * number as u32)
        .warm_up_time(WARM_UP)
        .nresamples(RESAMPLES)
        .noise_threshold(NOISE)
        // The same pictures whether or not gnuplot is installed.
        .plotting_backend(PlottingBackend::Plotters)
        // After the defaults, which the command line overrules.
        .configure_from_args();
    if let Some(pattern) = args.pattern() {
        criterion = criterion.with_filter(pattern);
    }
    for workload in target.workloads {
        let spec =
            Spec::parse(workload, families::CATALOGUE).expect("a test holds the names right");
        let mut group = criterion.benchmark_group(spec.to_string());
        // Samples of one length. Criterion's linear mode makes the first ones far shorter than a
        // slice, for a regression against an overhead per call, which the lane's own clock leaves out.
        group.sampling_mode(SamplingMode::Flat);
        group.throughput(Throughput::Elements(1));
        for lane in runtimes {
            if args.matches(&format!("{spec}/{}", lane.name)) {
                measure(&mut group, &spec, program, lane, args.mode);
            }
        }
        group.finish();
    }
    criterion.final_summary();
}

fn measure(
    group: &mut BenchmarkGroup<'_, WallTime>,
    spec: &Spec,
    program: &Path,
    lane: &Listed,
    mode: Mode,
) {
    let name = lane.name.as_str();
    let started = match mode {
        Mode::Bench | Mode::Test => Subject::start(program, spec, name).map(Some),
        // Nothing is called, so nothing is started.
        Mode::List | Mode::Load => match &lane.reason {
            None => Ok(None),
            Some(reason) => Err(Missing::LeftOut(reason.clone())),
        },
    };
    let mut subject = match started {
        Ok(subject) => subject,
        Err(Missing::LeftOut(why)) => {
            eprintln!("{spec}: {name} is left out: {why}");
            return;
        }
        Err(Missing::Broken(why)) => panic!("{spec}: {name}: {why}"),
    };
    group.bench_function(name, |bencher| {
        let subject = subject.as_mut().expect("criterion calls nothing in the other modes");
        bencher.iter_custom(|ops| {
            subject.run(ops).unwrap_or_else(|why| panic!("{spec}: {name}: {why}"))
        });
    });
}
