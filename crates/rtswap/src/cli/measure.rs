//! From a plan to a finished record, for every subcommand that measures.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, anyhow};
use rtswap_harness::backend::ProcessBackend;
use rtswap_harness::cpu_lock::{self, CpuLock, Holder};
use rtswap_harness::lane::PlannedLane;
use rtswap_harness::limits::Limits;
use rtswap_harness::machine::{self, topology::Topology};
use rtswap_harness::plan::{self, Request};
use rtswap_harness::record::{
    Ended, Environment, Header, LaneFailure, LanePlan, Line, Plan, Record, RecordFile as _, SCHEMA,
    Status, WorkloadPlan, Writer,
};
use rtswap_harness::schedule::{self, OVERRUN};
use rtswap_report::format;
use rtswap_service::{ServiceError, Services};
use rtswap_workload::{Resources, Uses};

use crate::Registry;
use crate::cli::caution::{self, Caution};
use crate::cli::lane_spec::LaneSpec;
use crate::cli::progress::Progress;
use crate::cli::{Exit, built, own_request, resume};

/// The default folder of records.
pub(super) const FOLDER: &str = "rtswap-records";

/// A run that is planned and whose record is open.
pub(super) struct Job {
    record: Record,
    /// That of this process, which may have resumed the run.
    environment: Environment,
    lanes: Vec<PlannedLane>,
    writer: Writer,
    limit: Option<Duration>,
    resumed: bool,
    services: Services,
}

impl Job {
    /// A new run. Unless they are given, the seed is drawn and the record goes into [`FOLDER`]. `urls` are those
    /// of the user's servers, which are not started.
    pub fn begin(
        request: Request,
        seed: Option<u64>,
        out: Option<&Path>,
        urls: Resources,
    ) -> Result<Self> {
        let uses = request.workloads.iter().flat_map(|spec| spec.family().uses).copied().collect();
        reach(&uses, &urls)?;
        let limit = Some(request.budget);
        let lanes = request.lanes.clone();
        let mut header = Header {
            schema: SCHEMA,
            seed: seed.unwrap_or_else(|| rand::random::<u64>() >> 16),
            environment: machine::environment(command_line()),
            plan: plan::make(request),
        };
        own_request::read_into(&mut header.plan.workloads)?;
        own_request::check_reference(&header.plan)?;
        let too_large = too_large(&header.plan)?;
        let mut writer = create(out, header.environment.started_unix_s)?;
        header.environment.lane_programs = resume::lane_programs(&header.plan);
        header.environment.folder = resume::folder_for(writer.path());
        writer.write(&Line::Header(Box::new(header.clone())))?;
        let mut record = Record::new(header);
        let services = services(&record.header.plan, urls);
        let without_service = without_service(&record.header.plan, &services);
        for line in too_large.into_iter().chain(without_service) {
            writer.write(&line)?;
            record.push(line);
        }
        let environment = record.header.environment.clone();
        Ok(Self { record, environment, lanes, writer, limit, resumed: false, services })
    }

    /// The rest of an interrupted run, without a budget. With `force` even if the machine or a program has changed,
    /// which the record then says.
    pub fn resume(
        registry: &Registry,
        path: &Path,
        urls: Resources,
        force: bool,
        cancel: &AtomicBool,
    ) -> Result<Self> {
        // Locked before the last line is mended: another process may be writing it.
        let mut writer = Writer::append(path)?;
        let (whole, _) = Record::read_whole_lines(path)?;
        let path = &std::path::absolute(path)?;
        resume::enter_folder(&whole.header.environment, path);
        // Before the comparison, which includes the executables.
        let mut lanes = recorded_lanes(registry, &whole.header.plan)?;
        built::build(registry, &mut lanes, cancel)?;
        let (environment, resumed) = resume::compare(&whole.header, &lanes, writer.path(), force)?;
        let mut record = Record::recover(path)?;
        if let Some(resumed) = resumed {
            let line = Line::Resumed(Box::new(resumed));
            writer.write(&line)?;
            record.push(line);
        }
        let plan = &record.header.plan;
        reach(&plan.workloads.iter().flat_map(|it| &it.uses).copied().collect(), &urls)?;
        let services = services(&record.header.plan, urls);
        // Where workloads may stop on precision, the plan has more rounds than the budget.
        let left_s = (plan.budget_s - plan::measured_s(&record)).max(0.0);
        let limit = plan.precision.map(|_| Duration::from_secs_f64(left_s));
        Ok(Self { record, environment, lanes, writer, limit, resumed: true, services })
    }

    /// Where its record is.
    pub fn path(&self) -> &Path {
        self.writer.path()
    }

    /// Measures the plan, with progress on standard error. `cancel` ends it early.
    ///
    /// # Errors
    /// Also if the record could not be written to its end.
    pub fn carry_out(self, cancel: Arc<AtomicBool>) -> Result<Record> {
        let Measured { record, unwritten } = self.measure(cancel)?;
        unwritten.map_or(Ok(record), Err)
    }

    /// The same, and keeps in memory what was measured before the record could not be written any more.
    pub fn measure(mut self, cancel: Arc<AtomicBool>) -> Result<Measured> {
        let plan = self.record.header.plan.clone();
        let path = self.writer.path().to_owned();
        let go_on = |path: &Path| {
            let path = path.display();
            Exit::Interrupted(format!(
                "; `rtswap run --resume {path}` goes on, `rtswap summary {path}` shows what there is"
            ))
        };
        let Some(_lock) = lock_cpus(&plan.server_cpus, &plan.load_cpus, &cancel)? else {
            return Err(go_on(&path).into());
        };
        announce(&plan, self.limit, &path, self.resumed);
        warn_of_sharing(&plan.server_cpus, &plan.load_cpus);
        warn_of_environment(&self.environment, &plan.server_cpus, &plan.load_cpus);
        let mut backend = ProcessBackend::new(
            self.lanes,
            plan.server_cpus.clone(),
            plan.load_cpus.clone(),
            self.services,
            cancel,
        )
        .context("cannot start the load generator")?;
        let mut progress = Progress::new(Duration::from_secs_f64(plan::expected_s(&plan)));
        let is_precise = |record: &Record, workload: &str| {
            plan.precision
                .is_some_and(|width| rtswap_report::precise_enough(record, workload, width))
        };
        let ended = schedule::run(
            &mut self.record,
            &mut backend,
            &mut self.writer,
            &mut progress,
            &is_precise,
            self.limit,
        );
        progress.finish();
        drop(backend);
        let unwritten = match ended {
            Ok(Ended::Interrupted) => return Err(go_on(&path).into()),
            Ok(Ended::Complete) => None,
            Err(error) => {
                let path = path.display();
                Some(anyhow!(
                    "{:#}: it lacks what was measured from then on; the results above are those of {}; make room, \
                     and `rtswap run --resume {path}` measures the rest",
                    anyhow::Error::from(error),
                    format::counted(self.record.rounds.len(), "finished round"),
                ))
            }
        };
        Ok(Measured { record: self.record, unwritten })
    }
}

/// What was measured.
pub(super) struct Measured {
    pub record: Record,
    /// Why the record's file lacks its end, if it does. To be returned once the results are printed.
    pub unwritten: Option<anyhow::Error>,
}

/// Waits for other runs on these CPUs, and keeps others off them. `None` if `cancel` was set meanwhile.
pub(super) fn lock_cpus(
    server_cpus: &[usize],
    load_cpus: &[usize],
    cancel: &AtomicBool,
) -> Result<Option<CpuLock>> {
    let folder = cpu_lock::folder();
    let waits = |holder: &Holder| {
        note!(
            "waiting for another run on CPU {}: process {}\n  \
               remedy: end it, or give each run CPUs of its own, with --server-cpus and --load-cpus",
            holder.cpu,
            holder.run
        );
    };
    let cpus = [server_cpus, load_cpus].concat();
    let lock = cpu_lock::acquire(&folder, &cpus, &command_line(), cancel, waits);
    lock.with_context(|| {
        let folder = folder.display();
        format!("cannot lock the CPUs in {folder}; set XDG_RUNTIME_DIR to a folder of your own")
    })
}

/// Fails if a server of the user's cannot be reached, because only the user can start it.
pub(super) fn reach(uses: &BTreeSet<Uses>, urls: &Resources) -> Result<()> {
    Ok(rtswap_service::reach(uses, urls)?)
}

/// Starts the services that the workloads of a plan use.
fn services(plan: &Plan, urls: Resources) -> Services {
    let uses = plan.workloads.iter().flat_map(|workload| &workload.uses).copied().collect();
    Services::start(&uses, &rtswap_service::Config { cpus: plan.load_cpus.clone(), urls })
}

/// Warns of the workloads whose service is missing, and loses them.
fn without_service(plan: &Plan, services: &Services) -> Vec<Line> {
    let mut lines = Vec::new();
    for workload in &plan.workloads {
        let Some(missing) = services.missing(&workload.uses) else { continue };
        let (status, reason) = lost_to(missing);
        note!("warning: {} cannot be measured: {reason}", workload.name);
        lines.extend(lost(plan, workload, status, &reason));
    }
    lines
}

/// The status of a workload whose service is missing, and the reason.
pub(super) fn lost_to(missing: &ServiceError) -> (Status, String) {
    let status = match missing {
        ServiceError::NotInstalled { .. } => Status::Skipped,
        _ => Status::Failed,
    };
    (status, missing.with_causes())
}

/// A workload that all of its lanes lose.
fn lost(plan: &Plan, workload: &WorkloadPlan, status: Status, reason: &str) -> Vec<Line> {
    let lanes = plan.lanes.iter().filter(|lane| lane.does(&workload.family));
    let lost = lanes.map(|lane| {
        Line::LaneFailure(LaneFailure {
            workload: workload.name.clone(),
            lane: lane.name.clone(),
            round: 0,
            status,
            reason: reason.to_owned(),
            rounds_count: false,
        })
    });
    lost.collect()
}

/// Warns of the workloads that exceed this machine's limits, and loses them.
fn too_large(plan: &Plan) -> Result<Vec<Line>> {
    let limits = Limits::now();
    let mut lines = Vec::new();
    let mut any_fits = false;
    let mut last = String::new();
    for workload in &plan.workloads {
        let Some(reason) = limits.exceeds_limits(workload) else {
            any_fits = true;
            continue;
        };
        last = format!("{} cannot be measured: {reason}", workload.name);
        note!("warning: {last}");
        lines.extend(lost(plan, workload, Status::Skipped, &reason));
    }
    if any_fits { Ok(lines) } else { Err(Exit::Usage(last).into()) }
}

/// The command line, with replacement characters for bytes that are not Unicode.
pub(super) fn command_line() -> Vec<String> {
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

/// The lanes of a recorded plan, which holds their specs. Those that have to be built are not yet.
fn recorded_lanes(registry: &Registry, plan: &Plan) -> Result<Vec<PlannedLane>> {
    let lane = |plan: &LanePlan| {
        let launch = LaneSpec::parse(registry, &plan.spec)?.launch();
        Ok(PlannedLane { plan: LanePlan { built: None, ..plan.clone() }, launch })
    };
    plan.lanes.iter().map(lane).collect()
}

/// Prints what will run, and how long it will take.
fn announce(plan: &Plan, limit: Option<Duration>, path: &Path, resumed: bool) {
    let all_s = plan::expected_s(plan);
    let rounds = format::rounds(plan.rounds, plan.blocks, plan.blocks_most());
    let rounds = if plan.precision.is_some() { format!("at most {rounds}") } else { rounds };
    let most_s = limit.map_or(f64::INFINITY, |limit| limit.mul_f64(OVERRUN).as_secs_f64());
    let time = if all_s <= most_s {
        format!("about {all_s:.0} s")
    } else {
        format!("about {all_s:.0} s, so no more of them than fit into {most_s:.0} s")
    };
    let lanes: Vec<_> = plan.lanes.iter().map(|lane| lane.name.as_str()).collect();
    let workloads: Vec<_> = plan.workloads.iter().map(|it| it.name.as_str()).collect();
    note!(
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

/// Warns of CPUs that lanes and load generator share.
pub(super) fn warn_of_sharing(server_cpus: &[usize], load_cpus: &[usize]) {
    let shared: Vec<_> =
        server_cpus.iter().copied().filter(|cpu| load_cpus.contains(cpu)).collect();
    if !shared.is_empty() {
        note!(
            "warning: lanes and load generator share CPU {}, and take it from each other\n  \
               remedy: give each CPUs of their own, with --server-cpus and --load-cpus",
            numbers(&shared)
        );
    }
}

/// Warns of what can falsify a figure.
pub(super) fn warn_of_environment(
    environment: &Environment,
    server_cpus: &[usize],
    load_cpus: &[usize],
) {
    let shared = Topology::of(&machine::cpus()).shared_cores(server_cpus, load_cpus);
    for Caution { found, remedy } in caution::cautions(environment, &shared) {
        note!("warning: {found}\n  remedy: {remedy}");
    }
}

pub(super) fn numbers(cpus: &[usize]) -> String {
    cpus.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
