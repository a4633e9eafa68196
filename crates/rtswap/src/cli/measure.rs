//! From a plan to a finished record: what every subcommand that measures has in common.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use rtswap_harness::fleet::Fleet;
use rtswap_harness::lane::Launch;
use rtswap_harness::limits::Limits;
use rtswap_harness::machine;
use rtswap_harness::plan::{self, Request};
use rtswap_harness::record::{
    Ended, Header, LanePlan, Line, Lost, Plan, Record, SCHEMA, Status, WorkloadPlan, Writer,
};
use rtswap_harness::schedule::{self, OVERRUN};
use rtswap_report::words;
use rtswap_service::{ServiceError, Services};
use rtswap_workload::{Resources, Uses};

use crate::Registry;
use crate::cli::progress::Progress;
use crate::cli::{Exit, select};

/// Where records go unless told otherwise.
pub(super) const FOLDER: &str = "rtswap-records";

/// A run that is planned, with its record open, and nothing more.
pub(super) struct Job {
    record: Record,
    writer: Writer,
    limit: Option<Duration>,
    resumed: bool,
    services: Services,
}

impl Job {
    /// A new run. Its seed is drawn and its record goes into [`FOLDER`] unless they are given. `urls`
    /// are of servers that need not be started.
    pub fn begin(
        request: Request,
        seed: Option<u64>,
        out: Option<&Path>,
        urls: Resources,
    ) -> Result<Self> {
        let uses = request.workloads.iter().flat_map(|spec| spec.family().uses).copied().collect();
        reach(&uses, &urls)?;
        let limit = Some(request.budget);
        let header = Header {
            schema: SCHEMA,
            seed: seed.unwrap_or_else(|| rand::random::<u64>() >> 16),
            receipt: machine::receipt(command_line()),
            plan: plan::make(request),
        };
        let misfits = misfits(&header.plan)?;
        let mut writer = create(out, header.receipt.started_unix_s)?;
        writer.write(&Line::Header(Box::new(header.clone())))?;
        let mut record = Record::new(header);
        let services = services(&record.header.plan, urls);
        let lost = without(&record.header.plan, &services);
        for line in misfits.into_iter().chain(lost) {
            writer.write(&line)?;
            record.push(line);
        }
        Ok(Self { record, writer, limit, resumed: false, services })
    }

    /// The rest of a run that was cut short. It may take as long as it needs.
    pub fn resume(path: &Path, urls: Resources) -> Result<Self> {
        // In this order: what another process is still writing is not mended.
        let writer = Writer::append(path)?;
        let record = Record::recover(path)?;
        let plan = &record.header.plan;
        reach(&plan.workloads.iter().flat_map(|it| &it.uses).copied().collect(), &urls)?;
        let services = services(&record.header.plan, urls);
        Ok(Self { record, writer, limit: None, resumed: true, services })
    }

    /// Where its record is.
    pub fn path(&self) -> &Path {
        self.writer.path()
    }

    /// Measures what is planned, with progress on standard error. `cancel` ends it early.
    pub fn carry_out(mut self, registry: &Registry, cancel: Arc<AtomicBool>) -> Result<Record> {
        let plan = self.record.header.plan.clone();
        let spelled = launches(registry, &plan)?;
        let path = self.writer.path().to_owned();
        announce(&plan, self.limit, &path, self.resumed);
        warn_of_sharing(&plan);
        let mut fleet = Fleet::new(
            spelled,
            plan.server_cpus.clone(),
            plan.load_cpus.clone(),
            self.services,
            cancel,
        )
        .context("cannot start the load generator")?;
        let mut progress = Progress::new(Duration::from_secs_f64(plan::expected_s(&plan)));
        let precise = |record: &Record, workload: &str| {
            plan.precision
                .is_some_and(|width| rtswap_report::precise_enough(record, workload, width))
        };
        let ended = schedule::run(
            &mut self.record,
            &mut fleet,
            &mut self.writer,
            &mut progress,
            &precise,
            self.limit,
        );
        progress.finish();
        drop(fleet);
        if ended? == Ended::Interrupted {
            let path = path.display();
            return Err(Exit::Interrupted(format!(
                "; `rtswap run --resume {path}` goes on, `rtswap summary {path}` shows what there is"
            ))
            .into());
        }
        Ok(self.record)
    }
}

/// A server of the user's that is not there is told at once: only the user can do something about it.
pub(super) fn reach(uses: &BTreeSet<Uses>, urls: &Resources) -> Result<()> {
    Ok(rtswap_service::reach(uses, urls)?)
}

/// Starts what the workloads of a plan work with.
fn services(plan: &Plan, urls: Resources) -> Services {
    let uses = plan.workloads.iter().flat_map(|workload| &workload.uses).copied().collect();
    Services::start(&uses, &rtswap_service::Config { cpus: plan.load_cpus.clone(), urls })
}

/// What cannot be measured for want of a service is told now.
fn without(plan: &Plan, services: &Services) -> Vec<Line> {
    let mut lines = Vec::new();
    for workload in &plan.workloads {
        let Some(missing) = services.missing(&workload.uses) else { continue };
        let (status, reason) = lost_to(missing);
        eprintln!("warning: {} cannot be measured: {reason}", workload.name);
        lines.extend(lost(plan, workload, status, &reason));
    }
    lines
}

/// How a workload fares without its service.
pub(super) fn lost_to(missing: &ServiceError) -> (Status, String) {
    let status = match missing {
        ServiceError::NotInstalled { .. } => Status::Skipped,
        _ => Status::Failed,
    };
    (status, missing.with_causes())
}

/// A workload lost by all of its lanes.
fn lost(plan: &Plan, workload: &WorkloadPlan, status: Status, reason: &str) -> Vec<Line> {
    let lanes = plan.lanes.iter().filter(|lane| lane.does(&workload.family));
    let lost = lanes.map(|lane| {
        Line::Lost(Lost {
            workload: workload.name.clone(),
            lane: lane.name.clone(),
            round: 0,
            status,
            reason: reason.to_owned(),
        })
    });
    lost.collect()
}

/// What does not fit into this machine's limits is told now, and not measured.
fn misfits(plan: &Plan) -> Result<Vec<Line>> {
    let limits = Limits::now();
    let mut lines = Vec::new();
    let mut fits = false;
    let mut told = String::new();
    for workload in &plan.workloads {
        let Some(reason) = limits.misfit(workload) else {
            fits = true;
            continue;
        };
        told = format!("{} cannot be measured: {reason}", workload.name);
        eprintln!("warning: {told}");
        lines.extend(lost(plan, workload, Status::Skipped, &reason));
    }
    if fits { Ok(lines) } else { Err(Exit::Usage(told).into()) }
}

/// As it was typed, but for what is not Unicode.
fn command_line() -> Vec<String> {
    std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect()
}

fn create(out: Option<&Path>, now_s: u64) -> Result<Writer> {
    if let Some(path) = out {
        return Ok(Writer::create(path)?);
    }
    fs::create_dir_all(FOLDER).with_context(|| {
        format!("cannot make the folder {FOLDER}; `--out FILE` puts the record elsewhere")
    })?;
    // Two runs may begin within a second.
    let ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.subsec_millis());
    Ok(Writer::create(&Path::new(FOLDER).join(format!("{now_s}-{ms:03}.jsonl")))?)
}

/// How to start the lanes of a plan, by their spelling in it.
fn launches(registry: &Registry, plan: &Plan) -> Result<Vec<(LanePlan, Launch)>> {
    plan.lanes
        .iter()
        .map(|lane| {
            let spelling = std::slice::from_ref(&lane.spelling);
            let (_, launch) = select::lanes(registry, spelling, &lane.spelling)?.swap_remove(0);
            Ok((lane.clone(), launch))
        })
        .collect()
}

/// What will run, and how long it will take.
fn announce(plan: &Plan, limit: Option<Duration>, path: &Path, resumed: bool) {
    let all_s = plan::expected_s(plan);
    let rounds = words::rounds(plan.rounds, plan.blocks, plan.blocks_most());
    let most_s = limit.map_or(f64::INFINITY, |limit| limit.mul_f64(OVERRUN).as_secs_f64());
    let time = if all_s <= most_s {
        format!("about {all_s:.0} s")
    } else {
        format!("about {all_s:.0} s, so no more of them than fit into {most_s:.0} s")
    };
    let lanes: Vec<_> = plan.lanes.iter().map(|lane| lane.name.as_str()).collect();
    let workloads: Vec<_> = plan.workloads.iter().map(|it| it.name.as_str()).collect();
    eprintln!(
        "{}: {rounds}, {time}\n  \
           workloads: {}\n  \
           lanes: {}, on CPU {}; load generator on CPU {}\n  \
           record: {}",
        if resumed { "Going on" } else { "Measuring" },
        workloads.join(", "),
        lanes.join(", "),
        numbers(&plan.server_cpus),
        numbers(&plan.load_cpus),
        path.display(),
    );
}

/// What the placement costs, if it costs something.
fn warn_of_sharing(plan: &Plan) {
    let shared: Vec<_> =
        plan.server_cpus.iter().copied().filter(|cpu| plan.load_cpus.contains(cpu)).collect();
    if !shared.is_empty() {
        eprintln!(
            "warning: lanes and load generator share CPU {}, and take it from each other\n  \
               remedy: give each CPUs of their own, with --server-cpus and --load-cpus",
            numbers(&shared)
        );
    }
}

fn numbers(cpus: &[usize]) -> String {
    cpus.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
