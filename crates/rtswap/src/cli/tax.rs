use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use rtswap_harness::limits::Limits;
use rtswap_harness::plan::{Request, SLICE_MS};
use rtswap_harness::record::{Kind, LanePlan};

use crate::Registry;
use crate::cli::args::Setting;
use crate::cli::measure::Job;
use crate::cli::{Exit, Format, args, select, signals, summary};
use rtswap_lane::{Lane, native_name, polled_name};

/// Measure what the contract costs: each adapter beside the same program written by hand for its
/// runtime, and beside the same program over streams that are polled.
///
/// Those that are compared run next to each other in every block. A ratio of 1 is no tax. NAME is
/// compared with native-NAME, and poll-NAME, which takes part in tcp-echo, with NAME.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    rtswap tax\n  \
    rtswap tax --lane 'monoio*' --workload tcp-echo --budget 60s\n  \
    rtswap tax --format markdown > tax.md")]
pub(super) struct Args {
    /// Adapters' lanes: names or globs; all that have a native lane unless given.
    #[arg(short, long, value_name = "GLOB")]
    lane: Vec<String>,
    /// Workloads: names or globs; may be repeated.
    #[arg(short, long, value_name = "GLOB")]
    workload: Vec<String>,
    /// Time that it may take: 90s, 5m.
    #[arg(long, value_parser = args::seconds, value_name = "TIME", default_value = "5m")]
    budget: Duration,
    /// Stop a workload once every interval is this narrow: 1% or 0.01 means ± 1 %.
    #[arg(long, value_parser = args::share, value_name = "WIDTH")]
    precision: Option<f64>,
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
    for (adapter, _) in &adapters {
        lanes.extend(pair(registry, adapter)?);
        lanes.extend(polled(registry, adapter)?);
    }
    // The native lane that comes first is the reference of the run, and its control shows the noise.
    let reference = lanes[0].name.clone();
    lanes.push(LanePlan {
        name: select::CONTROL.to_owned(),
        control: true,
        against: Some(reference.clone()),
        ..lanes[0].clone()
    });
    if let Some(spec) = workloads.iter().find(|spec| !lanes[0].does(spec.family().name)) {
        let known = lanes[0].families.join(", ");
        return Err(Exit::Usage(format!("`{spec}` has no native lane, only {known} have")).into());
    }
    let (server_cpus, load_cpus) = args.setting.placement()?;
    let request = Request {
        workloads,
        lanes,
        reference,
        budget: args.budget,
        precision: args.precision,
        weight: |_| 1,
        slice_ms: SLICE_MS,
        limits: Limits::now(),
        server_cpus,
        load_cpus,
    };
    let Setting { seed, out, servers, .. } = &args.setting;
    let job = Job::begin(request, *seed, out.as_deref(), servers.urls())?;
    summary::print(&job.carry_out(registry, cancel)?, args.format)
}

/// An adapter's lane behind the native one that it is compared with.
fn pair(registry: &Registry, adapter: &LanePlan) -> Result<[LanePlan; 2]> {
    let name = native_name(&adapter.name);
    if adapter.kind != Kind::Runtime || registry.lane(&name).is_none() {
        let name = &adapter.name;
        return Err(Exit::Usage(format!("`{name}` has no native lane to compare it with")).into());
    }
    let (native, _) = select::lanes_or(registry, &[name], |_| false)?.swap_remove(0);
    let families = native.families.clone();
    let against = Some(native.name.clone());
    Ok([native, LanePlan { against, families, ..adapter.clone() }])
}

/// The lane of the same adapter whose streams are polled, which is compared with it.
fn polled(registry: &Registry, adapter: &LanePlan) -> Result<Option<LanePlan>> {
    let name = polled_name(&adapter.name);
    if registry.lane(&name).is_none() {
        return Ok(None);
    }
    let (polled, _) = select::lanes_or(registry, &[name], |_| false)?.swap_remove(0);
    Ok(Some(LanePlan { against: Some(adapter.name.clone()), ..polled }))
}
