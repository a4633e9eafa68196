//! What the system did to the figures: delays, quotas, clocks, and processes that stay.

use std::collections::{BTreeMap, BTreeSet};

use rtswap_schema::record::{CpuSource, Plan};
use rtswap_stats::median;

use super::{push_new, some};
use crate::data::Data;
use crate::format;
use crate::summary::{Warning, WarningKind};

/// Share of the window for which threads of the load generator may wait for a CPU in the median slice. On a quiet
/// machine of two CPUs, where the harness and the trickle run on the generator's CPU, they wait for 4 to 8 %.
const DELAYED: f64 = 0.1;

/// Share of the lanes' CPUs that other programs may use in the median round. On a quiet machine of two CPUs, where the
/// harness starts lanes and reads `/proc` on either, it is 2 to 5 %; beside a busy loop of nice 19 it was 35 %.
const OTHERS: f64 = 0.15;

/// Processes that a message names.
const NAMED: usize = 3;

/// Observations, collected workload by workload.
#[derive(Default)]
pub(super) struct Notes {
    delayed: (Vec<String>, f64),
    throttled: (Vec<String>, u64),
    others: (Vec<String>, f64),
    /// How often each program used most of that.
    other_programs: BTreeMap<String, usize>,
    /// By lane: the workloads, and the processes.
    left: BTreeMap<String, (Vec<String>, Vec<String>)>,
    /// By source that the record names, or not: the workloads and the lanes.
    stale: BTreeMap<bool, (Vec<String>, BTreeSet<String>)>,
    /// By shards of a lane: the workloads with fewer connections, and the lanes.
    idle_shards: BTreeMap<u64, (Vec<String>, BTreeSet<String>)>,
}

impl Notes {
    pub fn observe(&mut self, data: &Data) {
        let name = &data.plan.name;
        let slices = || data.lanes().flat_map(|lane| data.slices(&lane.name));
        let share = median(slices().filter_map(|slice| {
            Some(slice.load_run_delay_ns? as f64 / (slice.elapsed_ns as f64).max(1.0))
        }));
        if let Some(share) = share.filter(|share| *share > DELAYED) {
            self.delayed.0.push(name.clone());
            self.delayed.1 = self.delayed.1.max(share);
        }
        let throttled_ns: u64 = data.rounds.iter().filter_map(|round| round.throttled_ns).sum();
        if throttled_ns > 0 {
            self.throttled.0.push(name.clone());
            self.throttled.1 += throttled_ns;
        }
        let share = median(data.rounds.iter().filter_map(|round| round.others_cpu));
        if let Some(share) = share.filter(|share| *share > OTHERS) {
            self.others.0.push(name.clone());
            self.others.1 = self.others.1.max(share);
            for program in data.rounds.iter().filter_map(|round| round.others_program.clone()) {
                *self.other_programs.entry(program).or_default() += 1;
            }
        }
        for (lane, processes) in data.rounds.iter().flat_map(|round| &round.left_behind) {
            let (workloads, left) = self.left.entry(lane.clone()).or_default();
            push_new(workloads, name);
            left.extend(processes.iter().cloned());
        }
        for lane in data.lanes().filter(|lane| !lane.control && data.live(&lane.name)) {
            let is_exact = |source| source == Some(CpuSource::TaskClock);
            let mut sources = data.lane_rounds(&lane.name).map(|round| round.cpu_source);
            if let Some(source) = sources.find(|source| !is_exact(*source)) {
                let (workloads, lanes) = self.stale.entry(source.is_some()).or_default();
                push_new(workloads, name);
                lanes.insert(lane.name.clone());
            }
        }
        let conns = data.plan.number("conns").filter(|_| data.plan.by_generator);
        for lane in data.lanes().filter(|lane| !lane.control && data.live(&lane.name)) {
            let mut infos = data.lane_rounds(&lane.name).filter_map(|round| round.info.as_ref());
            let shards = infos.find_map(|info| info.get("shards")?.as_u64());
            if let Some(shards) = shards.filter(|shards| conns.is_some_and(|conns| conns < *shards))
            {
                let (workloads, lanes) = self.idle_shards.entry(shards).or_default();
                push_new(workloads, name);
                lanes.insert(lane.name.clone());
            }
        }
    }

    /// The warnings, the most serious first.
    pub fn warnings(self, plan: &Plan) -> Vec<Warning> {
        let mut all = Vec::new();
        let mut warn = |kind, workloads, lanes, message, remedy: &str| {
            all.push(Warning { kind, workloads, lanes, message, remedy: remedy.to_owned() });
        };
        if !self.throttled.0.is_empty() {
            let (workloads, ns) = self.throttled;
            let message = format!(
                "a CPU quota stopped the lanes or the harness for {} ({}), which widens the intervals",
                format::time(ns as f64),
                some(&workloads)
            );
            let remedy = "raise the quota of the cgroup (`cpu.max`, in cgroup v1 `cpu.cfs_quota_us`) or measure outside \
                          of it";
            warn(WarningKind::Throttled, workloads, Vec::new(), message, remedy);
        }
        if !self.others.0.is_empty() {
            let (workloads, share) = self.others;
            let program = self.other_programs.iter().max_by_key(|(_, rounds)| **rounds);
            let program = program
                .map(|(program, _)| format!(", most of it {}", format::one_line(program)))
                .unwrap_or_default();
            let message = format!(
                "other programs used {} of {} of the lanes{program} ({})",
                format::percent(share),
                numbered(&plan.server_cpus),
                some(&workloads)
            );
            let remedy = "stop that program, or give the lanes other CPUs (`--server-cpus`)";
            warn(WarningKind::OtherPrograms, workloads, Vec::new(), message, remedy);
        }
        if !self.delayed.0.is_empty() {
            let (workloads, share) = self.delayed;
            let message = format!(
                "threads of the load generator waited for {} for up to {} of the median slice ({}), so another \
                 program runs there",
                numbered(&plan.load_cpus),
                format::percent(share),
                some(&workloads)
            );
            let remedy = "stop that program, or give the generator other CPUs (`--load-cpus`)";
            warn(WarningKind::GeneratorDelayed, workloads, Vec::new(), message, remedy);
        }
        for (is_named, (workloads, lanes)) in self.stale {
            let lanes: Vec<String> = lanes.into_iter().collect();
            let message = format!(
                "CPU time of {} comes from the clock of the process, which is wrong by up to a tick of the kernel (1 to 10 \
                 ms) of each slice ({})",
                format::list(&lanes),
                some(&workloads)
            );
            let remedy = if is_named {
                "allow perf events (run as root, or set kernel.perf_event_paranoid to 1), then measure again"
            } else {
                "measure again: this version reads exact CPU time where perf events are allowed"
            };
            warn(WarningKind::StaleClock, workloads, lanes, message, remedy);
        }
        for (lane, (workloads, left)) in self.left {
            let named: Vec<String> = left
                .iter()
                .take(NAMED)
                .map(|process| format!("`{}`", format::one_line(process)))
                .collect();
            let more = left.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let message = format!(
                "{lane} left {} behind, which rtswap ended: {}{more} ({})",
                format::counted(left.len(), "process"),
                named.join(", "),
                some(&workloads)
            );
            let remedy = "end child processes when the lane is stopped; until they are ended they may slow other lanes";
            warn(WarningKind::LeftBehind, workloads, vec![lane], message, remedy);
        }
        for (shards, (workloads, lanes)) in self.idle_shards {
            let lanes: Vec<String> = lanes.into_iter().collect();
            let message = format!(
                "{shards} shards of {} have fewer connections than that ({}), so some of them do nothing",
                format::list(&lanes),
                some(&workloads)
            );
            let remedy = "use at least as many connections as shards (`conns=N`), or give lanes fewer CPUs \
                          (`--server-cpus`)";
            warn(WarningKind::IdleShards, workloads, lanes, message, remedy);
        }
        all
    }
}

fn numbered(cpus: &[usize]) -> String {
    let numbers: Vec<String> = cpus.iter().map(ToString::to_string).collect();
    match &numbers[..] {
        [] => "the CPUs".to_owned(),
        [one] => format!("CPU {one}"),
        several => format!("CPUs {}", format::list(several)),
    }
}
