use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use rtswap_harness::lane::PlannedLane;
use rtswap_harness::limits::Limits;
use rtswap_harness::plan::Request;
use rtswap_harness::record::{Kind, LanePlan};
use rtswap_report::Summary;

use crate::Registry;
use crate::cli::args::Setting;
use crate::cli::lane_spec::LaneSpec;
use crate::cli::measure::{Job, Measured};
use crate::cli::{Exit, Format, args, named, select, signals, summary};
use rtswap_lane::{Lane, native_name, polled_name};

/// Measure the overhead of the contract: each adapter against the same program hand-written for its runtime,
/// and the same program over polled streams against the adapter.
///
/// Lanes that are compared run next to each other in every block. A ratio of 1 is no overhead. NAME is
/// compared with native-NAME, and poll-NAME, which does tcp-echo only, with NAME.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    rtswap overhead\n  \
    rtswap overhead --lane 'monoio*' --workload tcp-echo --budget 60s\n  \
    rtswap overhead --format markdown > overhead.md")]
pub(super) struct Args {
    /// Adapters' lanes: names or globs; all that have a native lane unless given.
    #[arg(short, long, value_name = "GLOB")]
    lane: Vec<String>,
    /// Workloads: names or globs; may be repeated.
    #[arg(short, long, value_name = "GLOB")]
    workload: Vec<String>,
    /// Time that it may take: 90s, 5m.
    #[arg(long, value_parser = args::duration, value_name = "TIME", default_value = "5m")]
    budget: Duration,
    /// Stop a workload once every interval is this narrow: 1% or 0.01 means ± 1 %.
    #[arg(long, value_parser = args::share, value_name = "WIDTH")]
    precision: Option<f64>,
    /// Call lanes equivalent whose whole interval lies within this difference: 3% or 0.03.
    #[arg(long, value_parser = args::share, value_name = "SHARE", default_value = "3%")]
    margin: f64,
    #[command(flatten)]
    setting: Setting,
    /// How to print the results.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

const WORKLOADS: &[&str] = &[
    "tcp-echo/size=1024/conns=32",
    "tcp-echo/size=102400/conns=32",
    "spawn/tasks=1000",
    "sleep/tasks=1000/ms=10",
];

pub(super) fn run(registry: &Registry, args: &Args) -> Result<ExitCode> {
    signals::raise_descriptor_limit();
    let cancel = signals::cancel()?;
    let workloads = select::workloads_or(registry, &args.workload, false, WORKLOADS)?;
    let has_native = |lane: &Lane| registry.lane(&native_name(&lane.name)).is_some();
    let adapters = select::lanes_or(registry, &args.lane, has_native)?;
    let mut lanes = Vec::new();
    for adapter in &adapters {
        lanes.extend(pair(registry, adapter)?);
        lanes.extend(polled(registry, adapter)?);
    }
    // The first native lane is the reference of the run, and its control shows the noise.
    let PlannedLane { plan: first, launch } = lanes[0].clone();
    let reference = first.name.clone();
    let against = Some(reference.clone());
    let control = LanePlan { name: select::CONTROL.to_owned(), control: true, against, ..first };
    lanes.push(PlannedLane { plan: control, launch });
    let first = &lanes[0].plan;
    if let Some(spec) = workloads.iter().find(|spec| !first.does(spec.family().name)) {
        let known = first.families.join(", ");
        return Err(Exit::Usage(format!("`{spec}` has no native lane, only {known} have")).into());
    }
    let (server_cpus, load_cpus) = args.setting.placement()?;
    let request = Request {
        workloads,
        lanes,
        reference,
        budget: args.budget,
        precision: args.precision,
        margin: args.margin,
        weight: |_| 1,
        slice_ms: None,
        trickle: true,
        limits: Limits::now(),
        server_cpus,
        load_cpus,
        gate: None,
    };
    let Setting { seed, out, servers, .. } = &args.setting;
    let job = Job::begin(request, *seed, out.as_deref(), servers.urls())?;
    let Measured { record, unwritten } = job.measure(cancel)?;
    let summary = Summary::of(&record);
    summary::print(&summary, args.format)?;
    unwritten.map_or(Ok(()), Err)?;
    if !args.setting.allow_missing {
        let named = named::named(&record.header.plan.lanes, &args.lane, None);
        named::check_summary(&named, &summary)?;
        named::check_workloads(&select::named_workloads(registry, &args.workload), &summary)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// An adapter's lane after the native one that it is compared with.
fn pair(registry: &Registry, adapter: &PlannedLane) -> Result<[PlannedLane; 2]> {
    let name = native_name(&adapter.plan.name);
    if adapter.plan.kind != Kind::Runtime || registry.lane(&name).is_none() {
        let name = &adapter.plan.name;
        return Err(Exit::Usage(format!("`{name}` has no native lane to compare it with")).into());
    }
    let native = LaneSpec::parse(registry, &name)?.to_planned();
    let mut adapter = adapter.clone();
    adapter.plan.families.clone_from(&native.plan.families);
    adapter.plan.against = Some(native.plan.name.clone());
    Ok([native, adapter])
}

/// The lane of the same adapter over polled streams, which is compared with the adapter.
fn polled(registry: &Registry, adapter: &PlannedLane) -> Result<Option<PlannedLane>> {
    let name = polled_name(&adapter.plan.name);
    if registry.lane(&name).is_none() {
        return Ok(None);
    }
    let mut polled = LaneSpec::parse(registry, &name)?.to_planned();
    polled.plan.against = Some(adapter.plan.name.clone());
    Ok(Some(polled))
}
