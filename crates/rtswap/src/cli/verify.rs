use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result};
use rand::SeedableRng as _;
use rand_pcg::Pcg64;
use rtswap_harness::backend::ProcessBackend;
use rtswap_harness::lane::LaneError;
use rtswap_harness::limits::Limits;
use rtswap_harness::plan;
use rtswap_harness::record::{Kind, LanePlan, Status, WorkloadPlan};
use rtswap_harness::schedule::Backend as _;
use rtswap_service::Services;

use crate::Registry;
use crate::cli::args::Servers;
use crate::cli::{Exit, FAILED, built, measure, named, own_request, select, signals};
use rtswap_lane::Lane;

/// Check that every lane does every workload correctly, without timing anything.
///
/// Exits with 1 if a lane fails or does its work wrong, or if a lane that is named with --lane, and not by a
/// glob, does no workload at all. Otherwise a lane that this machine cannot run is no failure.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    rtswap verify\n  \
    rtswap verify --peers --workload tcp-echo --workload http\n  \
    rtswap verify --shards 4\n  \
    rtswap verify --lane 'mine=python3 lane.py' --workload tcp-echo\n  \
    rtswap verify --lane 'mine=serve:./server {addr}' --workload http/path=/users/7")]
pub(super) struct Args {
    /// Workloads: names or globs; all of the default run unless given.
    #[arg(short, long, value_name = "GLOB")]
    workload: Vec<String>,
    /// Lanes: names, globs, NAME@VERSION, NAME=COMMAND, or NAME=serve:COMMAND (`rtswap run --help`).
    #[arg(short, long, value_name = "GLOB")]
    lane: Vec<String>,
    /// Lanes in other languages as well (`rtswap peers list`).
    #[arg(long)]
    peers: bool,
    /// Every workload with every value of its parameters.
    #[arg(long, conflicts_with = "workload")]
    all: bool,
    /// How many CPUs each lane is told to use, with a shard or a worker for each; more than the machine has share
    /// them. All server CPUs unless given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    shards: Option<u16>,
    #[command(flatten)]
    servers: Servers,
}

pub(super) fn run(registry: &Registry, args: &Args) -> Result<ExitCode> {
    signals::raise_descriptor_limit();
    let cancel = signals::cancel()?;
    let workloads = select::workloads_or(registry, &args.workload, args.all, registry.default)?;
    let mut planned: Vec<_> = workloads.iter().map(|spec| plan::workload(spec, None)).collect();
    own_request::read_into(&mut planned)?;
    let default = |lane: &Lane| lane.kind != Kind::Peer;
    let specs = select::with_peers(registry, &args.lane, args.peers, default);
    let mut lanes = select::lanes_or(registry, &specs, default)?;
    built::build(registry, &mut lanes, &cancel)?;
    let (mut server_cpus, load_cpus) = select::placement(None, None)?;
    if let Some(shards) = args.shards {
        server_cpus = server_cpus.into_iter().cycle().take(shards.into()).collect();
    }
    let plans: Vec<_> = lanes.iter().map(|lane| lane.plan.clone()).collect();
    let uses = workloads.iter().flat_map(|spec| spec.family().uses).copied().collect();
    let config = rtswap_service::Config { cpus: load_cpus.clone(), urls: args.servers.urls() };
    measure::reach(&uses, &config.urls)?;
    let services = Services::start(&uses, &config);
    let missing = workloads.iter().map(|spec| services.missing(spec.family().uses));
    let missing: Vec<_> = missing.map(|missing| missing.map(measure::lost_to)).collect();
    let mut backend = ProcessBackend::new(lanes, server_cpus, load_cpus, services, cancel.clone())
        .context("cannot start the load generator")?;
    let width = plans.iter().map(|plan| plan.name.len()).max().unwrap_or(0);
    let limits = Limits::now();
    let mut outcomes = Vec::new();
    let mut stdout = io::stdout();
    for ((spec, workload), missing) in workloads.iter().zip(planned).zip(missing) {
        writeln!(stdout, "{spec}")?;
        if let Some(reason) = limits.exceeds_limits(&workload) {
            writeln!(stdout, "  skipped: {reason}")?;
            outcomes.extend(of_all(&plans, &workload, Status::Skipped));
            continue;
        }
        if let Some((status, reason)) = missing {
            writeln!(stdout, "  {}: {reason}", named::word(status))?;
            outcomes.extend(of_all(&plans, &workload, status));
            continue;
        }
        for (index, plan) in plans.iter().enumerate() {
            let name = &plan.name;
            if !plan.does(&workload.family) {
                continue;
            }
            // Order does not matter here, so the stream may be the same for all.
            let mut rng = Pcg64::seed_from_u64(0);
            let started = backend.start(&workload, &[index], &mut rng).swap_remove(0);
            let verified = started.and_then(|()| backend.verify(&workload, index));
            backend.stop(Some(index));
            let status = match verified {
                Ok((ops, ready)) => {
                    let info = ready.info;
                    writeln!(
                        stdout,
                        "  {name:width$}  ok, {ops} operations ({} {}, {}, workers: {}, shards: {})",
                        info.runtime, info.version, info.driver, info.workers, info.shards
                    )?;
                    Status::Ok
                }
                Err(LaneError::Failure(status, reason)) => {
                    writeln!(stdout, "  {name:width$}  {}: {reason}", named::word(status))?;
                    status
                }
                Err(LaneError::Cancelled) => return Err(Exit::Interrupted(String::new()).into()),
            };
            outcomes.push((name.as_str(), workload.name.clone(), status));
            if cancel.load(Ordering::Relaxed) {
                return Err(Exit::Interrupted(String::new()).into());
            }
        }
    }
    let named = named::named(&plans, &args.lane, None);
    named::check(
        &named,
        outcomes.iter().map(|(lane, workload, status)| (*lane, workload.as_str(), *status)),
    )?;
    let failed = |status| matches!(status, Status::Failed | Status::Invalid);
    let any_failed = outcomes.iter().any(|(.., status)| failed(*status));
    Ok(if any_failed { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
}

/// The same status for each lane that takes part in a workload.
fn of_all<'a>(
    lanes: &'a [LanePlan],
    workload: &WorkloadPlan,
    status: Status,
) -> impl Iterator<Item = (&'a str, String, Status)> {
    let taking_part = lanes.iter().filter(|lane| lane.does(&workload.family));
    taking_part.map(move |lane| (lane.name.as_str(), workload.name.clone(), status))
}
