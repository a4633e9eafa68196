//! What `--agree` measures.

use std::time::Duration;

use anyhow::Result;
use rtswap_harness::lane::PlannedLane;
use rtswap_harness::limits::Limits;
use rtswap_harness::plan;
use rtswap_harness::record::WorkloadPlan;
use rtswap_workload::{Drive, Rate, Spec};

use super::Args;
use super::clients::{Family, Installed};
use crate::Registry;
use crate::cli::{Exit, select};

/// The default workloads.
const WORKLOADS: [&str; 2] = ["tcp-echo/size=1024/conns=32", "http/body=plaintext/conns=32"];

/// Blocks of slices in each repetition, of the closed loop and at the rate each.
pub const BLOCKS: u32 = 10;
/// Slices of each lane from which its capacity is computed.
pub const CAPACITY_PASSES: u32 = 3;
/// Not counted before the long windows of rtswap's own generator.
pub const WARM_UP: Duration = Duration::from_millis(100);

/// What is measured.
#[derive(Debug)]
pub struct Plan {
    /// The reference first, without a control.
    pub lanes: Vec<PlannedLane>,
    /// As closed loops.
    pub workloads: Vec<Workload>,
    /// The rate of the paced clients.
    pub rate: Rate,
    /// The time of each client on each lane.
    pub seconds: u32,
    /// Repetitions with fresh processes.
    pub repetitions: u32,
    /// The seed of all orders.
    pub seed: u64,
    /// CPUs of the lanes.
    pub server_cpus: Vec<usize>,
    /// CPUs of the clients.
    pub load_cpus: Vec<usize>,
}

/// A workload at both loads, as `rtswap run` plans it.
#[derive(Debug)]
pub struct Workload {
    /// The full name of the closed loop.
    pub name: String,
    /// Which clients can load it.
    pub family: Family,
    /// The noun for one operation.
    pub unit: String,
    /// The closed loop.
    pub saturation: WorkloadPlan,
    /// At the rate.
    pub paced: WorkloadPlan,
}

impl Plan {
    /// The plan that the command line asks for.
    pub fn of(
        registry: &Registry,
        args: &Args,
        seed: Option<u64>,
        server_cpus: Vec<usize>,
        load_cpus: Vec<usize>,
    ) -> Result<Self> {
        let default = WORKLOADS.iter().filter(|name| Spec::parse(name, registry.catalogue).is_ok());
        let default: Vec<_> = default.copied().collect();
        let specs = select::workloads_or(registry, &args.workload, false, &default)?;
        let reference = select::default_reference(registry);
        let mut lanes = select::lanes(registry, &args.lane, reference)?;
        lanes.retain(|lane| !lane.plan.control);
        let lanes = select::taking_part(lanes, &args.lane, &specs)?;
        let workloads = specs.iter().map(|spec| Workload::of(registry, spec, args.rate));
        Ok(Self {
            lanes,
            workloads: workloads.collect::<Result<_>>()?,
            rate: args.rate,
            seconds: args.seconds,
            repetitions: args.repetitions,
            seed: seed.unwrap_or_else(|| rand::random::<u64>() >> 16),
            server_cpus,
            load_cpus,
        })
    }

    /// The families of the workloads.
    pub fn families(&self) -> Vec<Family> {
        self.workloads.iter().map(|workload| workload.family).collect()
    }

    /// The lanes that take part in a workload, by index.
    pub fn lanes_of(&self, workload: &Workload) -> Vec<usize> {
        let does = |lane: &usize| self.lanes[*lane].plan.does(workload.family.name());
        (0..self.lanes.len()).filter(does).collect()
    }

    /// About how long it takes.
    pub fn expected(&self, installed: &Installed) -> Duration {
        /// For the start and the end of a client, and the start of a lane.
        const AROUND_S: f64 = 0.15;
        let lane_s = |workload: &Workload| {
            let slice = |plan: &WorkloadPlan| (plan.slice_ms + plan.warmup_ms + 2) as f64 / 1000.0;
            let slices = f64::from(BLOCKS) * (slice(&workload.saturation) + slice(&workload.paced));
            let others = installed.turns(workload.family).len() as f64;
            slices + others * (f64::from(self.seconds) + AROUND_S) + AROUND_S
        };
        let workload_s = |it: &Workload| lane_s(it) * self.lanes_of(it).len() as f64;
        let all_s: f64 = self.workloads.iter().map(workload_s).sum();
        Duration::from_secs_f64(all_s * f64::from(self.repetitions))
    }
}

impl Workload {
    fn of(registry: &Registry, spec: &Spec, rate: Rate) -> Result<Self> {
        let usage = |why: String| anyhow::Error::from(Exit::Usage(why));
        let family = match spec.family().name {
            "tcp-echo" => Family::Echo,
            "http" => Family::Http,
            other => {
                return Err(usage(format!(
                    "no other client can load `{other}`: --agree compares clients on tcp-echo and http"
                )));
            }
        };
        if spec.rate().is_some() {
            return Err(usage(format!(
                "`{spec}` has a rate: give it with --rate, for all workloads"
            )));
        }
        if matches!(spec.drive(), Drive::Generator(_))
            && (spec.number("pipeline").unwrap_or(1) != 1 || spec.to_string().contains("h2=true"))
        {
            return Err(usage(format!(
                "cannot compare clients on `{spec}`: not all of them have pipelining or HTTP/2"
            )));
        }
        if spec.is_own_request() {
            return Err(usage(format!(
                "cannot compare clients on `{spec}`: they send the requests that ship"
            )));
        }
        let saturation = plan::workload(spec, None);
        if let Some(reason) = Limits::now().exceeds_limits(&saturation) {
            return Err(usage(format!("{spec} cannot be measured: {reason}")));
        }
        let paced = Spec::parse(&format!("{spec}/rate={rate}"), registry.catalogue)
            .map_err(|error| usage(error.to_string()))?;
        Ok(Self {
            name: spec.to_string(),
            family,
            unit: spec.family().unit.to_owned(),
            paced: plan::workload(&paced, None),
            saturation,
        })
    }

    /// A number among its parameters.
    pub fn number(&self, name: &str) -> u64 {
        self.saturation.number(name).unwrap_or(1)
    }
}
