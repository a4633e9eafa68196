//! `rtswap doctor --agree`: whether other clients see the ratios that `rtswap run` shows.

mod clients;
mod measure;
mod outcome;
mod plan;
mod record;
mod stats;
mod text;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result, anyhow};
use rtswap_workload::Rate;

use crate::Registry;
use crate::cli::{Exit, FAILED, measure as job, signals};
use clients::Installed;
use measure::Measure;
use outcome::Outcome;
use plan::Plan;
use record::Record;

use super::{Output, print};

/// The options of `--agree`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Lanes of --agree, as for `rtswap run`: names, globs or NAME=COMMAND; those of `rtswap run` by default.
    #[arg(short, long, value_name = "GLOB", requires = "agree")]
    lane: Vec<String>,
    /// Workloads of --agree: tcp-echo or http, with parameters; by default both, with 32 connections. Or the one
    /// workload of --self-test: any that tokio does, by default tcp-echo.
    #[arg(short, long, value_name = "GLOB", requires = "mode")]
    pub workload: Vec<String>,
    /// Rate of --agree, the same for all lanes and clients: a share of the capacity of the slowest lane, or
    /// operations per second.
    #[arg(long, value_name = "RATE", default_value = "30%", requires = "agree")]
    rate: Rate,
    /// Repetitions of --agree, each with fresh processes of all lanes. One has no interval.
    #[arg(
        long, value_name = "N", default_value_t = 3, requires = "agree",
        value_parser = clap::value_parser!(u32).range(1..=1000)
    )]
    repetitions: u32,
    /// Seconds for which each client loads each lane.
    #[arg(
        long, value_name = "N", default_value_t = 2, requires = "agree",
        value_parser = clap::value_parser!(u32).range(1..=600)
    )]
    seconds: u32,
    /// Print the figures of an earlier `--agree --out FILE` instead of measuring.
    #[arg(
        long, value_name = "FILE", requires = "agree",
        conflicts_with_all = ["lane", "workload", "rate", "repetitions", "seconds", "seed", "out"]
    )]
    pub from: Option<PathBuf>,
}

pub(super) fn run(
    registry: &Registry,
    args: &super::Args,
    server_cpus: Vec<usize>,
    load_cpus: Vec<usize>,
) -> Result<ExitCode> {
    signals::raise_descriptor_limit();
    let plan = Plan::of(registry, &args.agreement, args.seed, server_cpus, load_cpus)?;
    let out = args.out.as_deref().map(Out::create).transpose()?;
    let cancel = signals::cancel()?;
    let installed = Installed::find(&plan.families(), &plan.load_cpus, &cancel)
        .context("cannot make a temporary folder; set TMPDIR to a folder that can be written")?;
    if cancel.load(Ordering::Relaxed) {
        return Err(Exit::Interrupted(String::new()).into());
    }
    let _lock = job::lock_cpus(&plan.server_cpus, &plan.load_cpus, &cancel)?
        .ok_or_else(|| Exit::Interrupted(String::new()))?;
    announce(&plan, &installed);
    let measure = Measure::new(&plan, &installed, cancel)?;
    job::warn_of_environment(measure.environment(), &plan.server_cpus, &plan.load_cpus);
    let record = measure.run()?;
    let outcome = Outcome::of(record);
    if let Some(out) = out {
        out.write(&outcome)?;
    }
    report(&outcome, args.format)
}

/// Prints the outcome of an earlier run.
pub(super) fn print_from(path: &Path, format: Output) -> Result<ExitCode> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let record: Record = serde_json::from_slice(&text).map_err(|error| {
        let path = path.display();
        anyhow!("{path} is not a file of `rtswap doctor --agree --out FILE`: {error}")
    })?;
    record.check_schema().map_err(|error| anyhow!("{}: {error}", path.display()))?;
    report(&Outcome::of(record), format)
}

fn report(outcome: &Outcome, format: Output) -> Result<ExitCode> {
    print(format, outcome, |style| text::text(outcome, style))?;
    let failures = &outcome.record.failures;
    for failure in failures {
        note!("failed: {failure}");
    }
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// Prints what will run, and how long it will take.
fn announce(plan: &Plan, installed: &Installed) {
    if cfg!(debug_assertions) {
        note!(
            "warning: built without optimisation, so this says little about real runs; \
             `cargo run --release -- doctor --agree`"
        );
    }
    let lanes: Vec<_> = plan.lanes.iter().map(|lane| lane.plan.name.as_str()).collect();
    let workloads: Vec<_> = plan.workloads.iter().map(|it| it.name.as_str()).collect();
    note!(
        "Comparing clients: {} of {}, about {:.0} s\n  \
           workloads: {}\n  \
           lanes: {}, on CPU {}; clients on CPU {}",
        rtswap_report::format::counted(plan.repetitions as usize, "repetition"),
        rtswap_report::format::counted(lanes.len(), "lane"),
        plan.expected(installed).as_secs_f64(),
        workloads.join(", "),
        lanes.join(", "),
        job::numbers(&plan.server_cpus),
        job::numbers(&plan.load_cpus),
    );
    for client in &installed.infos {
        let found = match &client.missing {
            Some(remedy) => format!("missing; {remedy}"),
            None => client.version.clone().unwrap_or("here".to_owned()),
        };
        note!("  {}: {found}", client.name);
    }
    job::warn_of_sharing(&plan.server_cpus, &plan.load_cpus);
}

/// A new file that is removed again unless it is written.
struct Out<'a> {
    path: &'a Path,
    file: File,
    written: bool,
}

impl<'a> Out<'a> {
    fn create(path: &'a Path) -> Result<Self> {
        let file = File::create_new(path)
            .with_context(|| format!("cannot create {}; --out needs a new file", path.display()))?;
        Ok(Self { path, file, written: false })
    }

    fn write(mut self, outcome: &Outcome) -> Result<()> {
        let text = serde_json::to_string_pretty(outcome)? + "\n";
        let written = self.file.write_all(text.as_bytes());
        written.with_context(|| format!("cannot write {}", self.path.display()))?;
        self.written = true;
        Ok(())
    }
}

impl Drop for Out<'_> {
    fn drop(&mut self) {
        if !self.written {
            let _ = fs::remove_file(self.path);
        }
    }
}
