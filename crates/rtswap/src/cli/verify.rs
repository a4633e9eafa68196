use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result};
use rand::SeedableRng as _;
use rand_pcg::Pcg64;
use rtswap_harness::fleet::Fleet;
use rtswap_harness::lane::Trouble;
use rtswap_harness::limits::Limits;
use rtswap_harness::plan;
use rtswap_harness::record::{Kind, Status};
use rtswap_harness::schedule::Bench as _;
use rtswap_service::Services;

use crate::Registry;
use crate::cli::args::Servers;
use crate::cli::{Exit, FAILED, measure, select, signals};
use crate::registry::Lane;

/// Check that every lane does every workload right, without timing anything.
///
/// Exits with 1 if a lane fails or does its work wrong; what a machine cannot run is no failure.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    rtswap verify\n  \
    rtswap verify --peers --workload tcp-echo --workload http\n  \
    rtswap verify --lane 'mine=python3 lane.py' --workload tcp-echo")]
pub(super) struct Args {
    /// Workloads: names or globs; all of the default run unless given.
    #[arg(short, long, value_name = "GLOB")]
    workload: Vec<String>,
    /// Lanes: names, globs, or NAME=COMMAND.
    #[arg(short, long, value_name = "GLOB")]
    lane: Vec<String>,
    /// Lanes in other languages as well (`rtswap peers list`).
    #[arg(long)]
    peers: bool,
    /// Every workload with every value of its parameters.
    #[arg(long, conflicts_with = "workload")]
    all: bool,
    #[command(flatten)]
    servers: Servers,
}

pub(super) fn run(registry: &Registry, args: &Args) -> Result<ExitCode> {
    signals::raise_descriptor_limit();
    let cancel = signals::cancel()?;
    let workloads = select::workloads_or(registry, &args.workload, args.all, registry.default)?;
    let default = |lane: &Lane| lane.kind != Kind::Peer;
    let spelled = select::with_peers(registry, &args.lane, args.peers, default);
    let lanes = select::lanes_or(registry, &spelled, default)?;
    let (server_cpus, load_cpus) = select::placement(None, None)?;
    let plans: Vec<_> = lanes.iter().map(|(plan, _)| plan.clone()).collect();
    let uses = workloads.iter().flat_map(|spec| spec.family().uses).copied().collect();
    let config = rtswap_service::Config { cpus: load_cpus.clone(), urls: args.servers.urls() };
    measure::reach(&uses, &config.urls)?;
    let services = Services::start(&uses, &config);
    let missing = workloads.iter().map(|spec| services.missing(spec.family().uses));
    let missing: Vec<_> = missing.map(|missing| missing.map(measure::lost_to)).collect();
    let mut fleet = Fleet::new(lanes, server_cpus, load_cpus, services, cancel.clone())
        .context("cannot start the load generator")?;
    let width = plans.iter().map(|plan| plan.name.len()).max().unwrap_or(0);
    let limits = Limits::now();
    let mut wrong = 0;
    let mut stdout = io::stdout();
    for (spec, missing) in workloads.iter().zip(missing) {
        writeln!(stdout, "{spec}")?;
        let workload = plan::workload(spec, plan::SLICE_MS);
        if let Some(reason) = limits.misfit(&workload) {
            writeln!(stdout, "  skipped: {reason}")?;
            continue;
        }
        if let Some((status, reason)) = missing {
            writeln!(stdout, "  {}: {reason}", word(status))?;
            wrong += u32::from(status == Status::Failed);
            continue;
        }
        for (index, plan) in plans.iter().enumerate() {
            let name = &plan.name;
            if !plan.does(&workload.family) {
                continue;
            }
            // Order does not matter here, so the stream may be the same for all.
            let mut rng = Pcg64::seed_from_u64(0);
            let started = fleet.start(&workload, &[index], &mut rng).swap_remove(0);
            let verified = started.and_then(|()| fleet.verify(&workload, index));
            fleet.stop(Some(index));
            match verified {
                Ok((ops, ready)) => {
                    let receipt = ready.receipt;
                    writeln!(
                        stdout,
                        "  {name:width$}  ok, {ops} operations ({} {}, {}, workers: {})",
                        receipt.runtime, receipt.version, receipt.driver, receipt.workers
                    )?;
                }
                Err(Trouble::Lost(status, reason)) => {
                    writeln!(stdout, "  {name:width$}  {}: {reason}", word(status))?;
                    wrong += u32::from(matches!(status, Status::Failed | Status::Invalid));
                }
                Err(Trouble::Cancelled) => return Err(Exit::Interrupted(String::new()).into()),
            }
            if cancel.load(Ordering::Relaxed) {
                return Err(Exit::Interrupted(String::new()).into());
            }
        }
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Ok | Status::Failed => "failed",
        Status::Unsupported => "unsupported",
        Status::Invalid => "invalid",
        Status::Skipped => "skipped",
    }
}
