//! What stands against comparing two records.

use std::collections::{BTreeMap, BTreeSet};

use rtswap_schema::record::{CpuSource, Environment, Plan, WorkloadPlan};
use rtswap_schema::workload::Rate;
use serde::Serialize;
use serde_json::Value;

use super::Side;
use crate::format;
use crate::grid::loss;
use crate::summary::{Cell, Metric, Role, Summary, WarningKind};

/// What stands against comparing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ReasonKind {
    /// The workload is in one record alone, or has other parameters.
    Parameters,
    /// The lane is in one record alone, or has no figures in one.
    Missing,
    /// The lane is compared with another reference.
    Reference,
    /// The reference has another version or configuration.
    ReferenceVersion,
    /// Slices or their warm-up have another length.
    Slice,
    /// Lanes or generator have other CPUs.
    Placement,
    /// CPU time comes from another clock.
    Clock,
    /// Another compiler.
    Toolchain,
    /// Another version of rtswap.
    Harness,
    /// Another version of the record's format.
    Schema,
    /// Another machine, kernel, C library or other variables of the environment.
    Machine,
    /// Another offered rate, though the same share of capacity.
    Rate,
    /// A record is not to be trusted, or is the same as the other.
    Doubt,
}

impl ReasonKind {
    /// Whether it blocks unless it is allowed.
    fn blocks(self) -> bool {
        !matches!(self, Self::Machine | Self::Rate | Self::Doubt)
    }

    /// Whether it can be allowed: the ratios are of the same thing.
    pub fn can_be_allowed(self) -> bool {
        self.blocks() && !matches!(self, Self::Parameters | Self::Missing | Self::Reference)
    }

    /// The subject in a sentence.
    fn subject(self) -> &'static str {
        match self {
            Self::Parameters => "parameters",
            Self::Missing => "figures",
            Self::Reference => "reference",
            Self::ReferenceVersion => "the reference's version or configuration",
            Self::Slice => "length of slices",
            Self::Placement => "placement",
            Self::Clock => "clock of CPU time",
            Self::Toolchain => "toolchain",
            Self::Harness => "version of rtswap",
            Self::Schema => "schema of the record",
            Self::Machine => "machine",
            Self::Rate => "offered rate",
            Self::Doubt => "trust",
        }
    }
}

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Its kind.
    pub kind: ReasonKind,
    /// Whether it takes its cells out of the comparison; otherwise it is a warning.
    pub blocks: bool,
    /// The workloads that it concerns; empty for all.
    pub workloads: Vec<String>,
    /// The lanes that it concerns; empty for all.
    pub lanes: Vec<String>,
    /// What A has.
    pub a: String,
    /// What B has.
    pub b: String,
}

impl Reason {
    /// Whether it takes a metric of a cell out of the comparison.
    pub(super) fn blocks_cell(&self, cell: &Cell, metric: Metric) -> bool {
        let concerns = |names: &[String], name: &str| {
            names.is_empty() || names.iter().any(|known| known == name)
        };
        let is_cpu =
            matches!(metric, Metric::CpuNsPerOp | Metric::TotalCpuNsPerOp | Metric::CpuSteadiness);
        self.blocks
            && concerns(&self.workloads, &cell.name)
            && concerns(&self.lanes, &cell.lane)
            && (self.kind != ReasonKind::Clock || is_cpu)
    }

    /// Whether a change of the cell may come of this, and not of the lane.
    pub(super) fn clouds(&self, cell: &Cell) -> bool {
        let concerns = self.workloads.is_empty() || self.workloads.contains(&cell.name);
        matches!(self.kind, ReasonKind::Machine | ReasonKind::Rate) && concerns
    }

    /// The reason as a sentence.
    pub fn message(&self) -> String {
        let mut whose = Vec::new();
        if !self.workloads.is_empty() {
            whose.push(format::list(&self.workloads));
        }
        if !self.lanes.is_empty() {
            whose.push(format::list(&self.lanes));
        }
        let whose =
            if whose.is_empty() { String::new() } else { format!(" of {}", whose.join(", ")) };
        format!("{}{whose}: A has {}; B has {}", self.kind.subject(), self.a, self.b)
    }
}

/// The reasons, blocking ones first, each once.
pub(super) fn all(a: Side, b: Side, allowed: &[ReasonKind]) -> Vec<Reason> {
    let mut found = Found { allowed, reasons: Vec::new() };
    headers(a, b, &mut found);
    machines(&a.record.header.environment, &b.record.header.environment, &mut found);
    let of = |side: Side| -> BTreeMap<String, WorkloadPlan> {
        let plans = side.record.header.plan.workloads.iter();
        plans.map(|plan| (plan.name.clone(), plan.clone())).collect()
    };
    let (of_a, of_b) = (of(a), of(b));
    for (name, plan) in &of_a {
        match of_b.get(name) {
            Some(other) => workload(a, b, plan, other, &mut found),
            None => found.workload_without_other(plan, &of_b, true),
        }
    }
    for plan in of_b.values().filter(|plan| !of_a.contains_key(&plan.name)) {
        found.workload_without_other(plan, &of_a, false);
    }
    doubts(a, b, &mut found);
    found.join_lanes();
    found.reasons.sort_by_key(|reason| (!reason.blocks, reason.kind));
    found.reasons
}

struct Found<'a> {
    allowed: &'a [ReasonKind],
    reasons: Vec<Reason>,
}

impl Found<'_> {
    fn add(&mut self, kind: ReasonKind, workload: &str, lane: &str, a: &str, b: &str) {
        let (a, b) = (format::one_line(a), format::one_line(b));
        let names = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        let same = |it: &&mut Reason| {
            let one_lane = it.lanes.first().map(String::as_str).unwrap_or_default() == lane;
            it.kind == kind && one_lane && (&it.a, &it.b) == (&a, &b) && !it.workloads.is_empty()
        };
        // The same of several workloads is one reason.
        if let Some(known) = self.reasons.iter_mut().find(same) {
            known.workloads.extend(names(workload));
            return;
        }
        self.reasons.push(Reason {
            kind,
            blocks: kind.blocks() && !self.allowed.contains(&kind),
            workloads: names(workload).into_iter().collect(),
            lanes: names(lane).into_iter().collect(),
            a,
            b,
        });
    }

    /// The same of several lanes in the same workloads becomes one reason.
    fn join_lanes(&mut self) {
        let mut joined: Vec<Reason> = Vec::new();
        for reason in self.reasons.drain(..) {
            let same = |it: &&mut Reason| {
                !it.lanes.is_empty()
                    && !reason.lanes.is_empty()
                    && (it.kind, &it.a, &it.b, &it.workloads)
                        == (reason.kind, &reason.a, &reason.b, &reason.workloads)
            };
            match joined.iter_mut().find(same) {
                Some(known) => known.lanes.extend(reason.lanes),
                None => joined.push(reason),
            }
        }
        self.reasons = joined;
    }

    /// Adds the reason if the two differ.
    fn differ(&mut self, kind: ReasonKind, workload: &str, lane: &str, a: &str, b: &str) {
        if a != b {
            self.add(kind, workload, lane, a, b);
        }
    }

    fn workload_without_other(
        &mut self,
        plan: &WorkloadPlan,
        others: &BTreeMap<String, WorkloadPlan>,
        in_a: bool,
    ) {
        let family: Vec<&str> = others
            .values()
            .filter(|other| other.family == plan.family)
            .map(|other| other.name.as_str())
            .collect();
        let other =
            if family.is_empty() { "no such workload".to_owned() } else { format::list(&family) };
        // The same words for each, so that they become one reason.
        let (a, b) = if in_a { ("these", other.as_str()) } else { (other.as_str(), "these") };
        self.add(ReasonKind::Parameters, &plan.name, "", a, b);
    }
}

fn headers(a: Side, b: Side, found: &mut Found) {
    let (in_a, in_b) = (&a.record.header, &b.record.header);
    let mut differ = |kind, a: &str, b: &str| found.differ(kind, "", "", a, b);
    differ(ReasonKind::Schema, &in_a.schema.to_string(), &in_b.schema.to_string());
    differ(ReasonKind::Harness, &in_a.environment.rtswap, &in_b.environment.rtswap);
    differ(ReasonKind::Placement, &placement(&in_a.plan), &placement(&in_b.plan));
    let toolchain =
        |it: &Environment| it.rustc.clone().unwrap_or_else(|| "an unknown one".to_owned());
    differ(ReasonKind::Toolchain, &toolchain(&in_a.environment), &toolchain(&in_b.environment));
    let (vars_a, vars_b) = (&in_a.environment.variables, &in_b.environment.variables);
    let names: BTreeSet<&String> = vars_a.keys().chain(vars_b.keys()).collect();
    for name in names {
        let value = |all: &BTreeMap<String, String>| match all.get(name) {
            Some(value) => format!("{name}={value}"),
            None => format!("no {name}"),
        };
        differ(ReasonKind::Machine, &value(vars_a), &value(vars_b));
    }
    let (clock_a, clock_b) = (clocks(a), clocks(b));
    differ(ReasonKind::Clock, &clock_a, &clock_b);
    differ(ReasonKind::Reference, &a.summary.reference, &b.summary.reference);
}

/// The numbers of CPUs, and whether they are apart. Which CPUs they are is the machine's business.
fn placement(plan: &Plan) -> String {
    let (server, load) = (plan.server_cpus.len(), plan.load_cpus.len());
    let apart = !plan.server_cpus.iter().any(|cpu| plan.load_cpus.contains(cpu));
    let apart = if apart { "" } else { ", shared" };
    format!("{} for lanes and {load} for the load generator{apart}", format::counted(server, "CPU"))
}

fn clocks(side: Side) -> String {
    let rounds = side.record.rounds.iter().flat_map(|round| round.lanes.values());
    let sources: BTreeSet<&str> = rounds
        .map(|lane| match lane.cpu_source {
            Some(CpuSource::TaskClock) => "TASK_CLOCK",
            // Records of before had this one alone.
            _ => "the clock of the process",
        })
        .collect();
    format::list(&sources.into_iter().collect::<Vec<_>>())
}

fn machines(a: &Environment, b: &Environment, found: &mut Found) {
    let facts = |it: &Environment| {
        let known = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
        [
            ("kernel", it.kernel.clone()),
            ("CPU", it.cpu_model.clone()),
            ("CPUs", it.cpus.to_string()),
            ("virtual machine", it.virtual_machine.to_string()),
            ("cores", known(it.topology.map(|topology| topology.cores.to_string()))),
            ("CPU quota", known(it.cpu_quota.map(|quota| quota.to_string()))),
            ("governors", it.governors.join(",")),
            ("address-space randomisation", known(it.aslr.clone())),
            ("huge pages", known(it.transparent_huge_pages.clone())),
            ("ticks per second", known(it.tick_hz.map(|hz| hz.to_string()))),
            ("allocator", known(it.allocator.clone())),
        ]
    };
    for ((what, in_a), (_, in_b)) in facts(a).into_iter().zip(facts(b)) {
        let named = |value: String| format!("{what} {value}");
        found.differ(ReasonKind::Machine, "", "", &named(in_a), &named(in_b));
    }
    let differing = a.mitigations.iter().filter(|it| b.mitigations.get(it.0) != Some(it.1)).count();
    if differing > 0 || a.mitigations.len() != b.mitigations.len() {
        found.add(
            ReasonKind::Machine,
            "",
            "",
            "other mitigations of CPU vulnerabilities",
            "its own",
        );
    }
}

fn workload(a: Side, b: Side, in_a: &WorkloadPlan, in_b: &WorkloadPlan, found: &mut Found) {
    let name = &in_a.name;
    let names: BTreeSet<&String> = in_a.params.keys().chain(in_b.params.keys()).collect();
    for param in names {
        let value = |plan: &WorkloadPlan| match plan.params.get(param) {
            Some(value) => format!("{param}={value}"),
            None => format!("no {param}"),
        };
        found.differ(ReasonKind::Parameters, name, "", &value(in_a), &value(in_b));
    }
    let slice = |plan: &WorkloadPlan| {
        let trickle = match plan.trickle_ms {
            Some(ms) => format!(", a message every {ms} ms between them"),
            None => String::new(),
        };
        let anew = if plan.reconnects { ", connections opened for each" } else { "" };
        format!("{} ms after {} ms of warm-up{trickle}{anew}", plan.slice_ms, plan.warmup_ms)
    };
    found.differ(ReasonKind::Slice, name, "", &slice(in_a), &slice(in_b));
    if let Some(Rate::Share(_)) = in_a.rate() {
        let offered = |side: Side, plan: &WorkloadPlan| {
            side.record.offered_per_s(plan).map_or("an unknown rate".to_owned(), |per_s| {
                format!("{} {}/s", format::rate(per_s), format::plural(&plan.unit))
            })
        };
        found.differ(ReasonKind::Rate, name, "", &offered(a, in_a), &offered(b, in_b));
    }
    lanes(a.summary, b.summary, name, found);
}

fn lanes(a: &Summary, b: &Summary, workload: &str, found: &mut Found) {
    let is_lane = |cell: &&Cell| cell.role == Role::Lane;
    let mut bases = BTreeSet::new();
    for cell in a.cells_of(workload).filter(is_lane) {
        let Some(other) = b.cell(workload, &cell.lane) else {
            found.add(ReasonKind::Missing, workload, &cell.lane, "figures", "no such lane");
            continue;
        };
        if !(cell.live() && other.live()) {
            let state = |cell: &Cell| if cell.live() { "figures".to_owned() } else { loss(cell) };
            found.add(ReasonKind::Missing, workload, &cell.lane, &state(cell), &state(other));
        }
        let against = |cell: &Cell| cell.against.clone();
        let (of_a, of_b) = (against(cell), against(other));
        let word = |it: &Option<String>, summary: &Summary| {
            it.clone().unwrap_or_else(|| summary.reference.clone())
        };
        let (base, other_base) = (word(&of_a, a), word(&of_b, b));
        if of_a.is_some() || of_b.is_some() {
            found.differ(ReasonKind::Reference, workload, &cell.lane, &base, &other_base);
        }
        if base == other_base {
            bases.insert(base);
        }
    }
    for cell in b.cells_of(workload).filter(is_lane) {
        if a.cell(workload, &cell.lane).is_none() {
            found.add(ReasonKind::Missing, workload, &cell.lane, "no such lane", "figures");
        }
    }
    for base in bases {
        if let (Some(in_a), Some(in_b)) = (a.cell(workload, &base), b.cell(workload, &base)) {
            references(a, b, in_a, in_b, found);
        }
    }
}

/// A reference of the same name that is another program makes all its ratios those to something else.
fn references(a: &Summary, b: &Summary, in_a: &Cell, in_b: &Cell, found: &mut Found) {
    let kind = ReasonKind::ReferenceVersion;
    let facts = |cell: &Cell| -> BTreeMap<String, String> {
        let info = cell.info.as_ref().and_then(Value::as_object);
        let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
        let facts = info.into_iter().flatten().map(|(key, value)| (key.clone(), text(value)));
        facts.collect()
    };
    let (of_a, of_b) = (facts(in_a), facts(in_b));
    let name = &in_a.lane;
    let mut add = |a: &str, b: &str| {
        found.differ(kind, &in_a.name, "", &format!("{name}: {a}"), &format!("{name}: {b}"));
    };
    let keys: BTreeSet<&String> = of_a.keys().chain(of_b.keys()).collect();
    for key in keys {
        let value = |facts: &BTreeMap<String, String>| {
            format!("{key} {}", facts.get(key).map_or("unknown", String::as_str))
        };
        add(&value(&of_a), &value(&of_b));
    }
    let program = |summary: &Summary| {
        let files = summary.environment.lane_programs.get(name);
        let files = files.into_iter().flatten();
        files
            .map(|file| format!("{} {:.12}", file.name, file.sha256))
            .collect::<Vec<_>>()
            .join(", ")
    };
    add(&program(a), &program(b));
}

fn doubts(a: Side, b: Side, found: &mut Found) {
    let (in_a, in_b) = (&a.record.header, &b.record.header);
    let when = |it: &Environment| format::date(it.started_unix_s);
    let is_same = in_a.seed == in_b.seed
        && in_a.environment.started_unix_s == in_b.environment.started_unix_s;
    if is_same {
        let run = format!("the run of {}", when(&in_a.environment));
        found.add(ReasonKind::Doubt, "", "", &run, "the same run");
    } else if in_a.environment.git_revision != in_b.environment.git_revision
        && in_a.environment.rtswap == in_b.environment.rtswap
    {
        let revision = |it: &Environment| {
            let known = it.git_revision.as_deref().unwrap_or("unknown");
            format!("rtswap of revision {known:.12}")
        };
        let (a, b) = (revision(&in_a.environment), revision(&in_b.environment));
        found.add(ReasonKind::Doubt, "", "", &a, &b);
    }
    for (side, is_a) in [(a, true), (b, false)] {
        let control =
            side.summary.warnings.iter().filter(|it| it.kind == WarningKind::ControlDiffers);
        for workload in control.flat_map(|warning| &warning.workloads) {
            let (bad, good) = ("a control that differs from the reference", "see its own warnings");
            let (a, b) = if is_a { (bad, good) } else { (good, bad) };
            found.add(ReasonKind::Doubt, workload, "", a, b);
        }
    }
}
