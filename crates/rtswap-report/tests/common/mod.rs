//! Records of simulated runs with known ratios.
// Each test file uses a part of it.
#![allow(dead_code)]

mod offered;

use std::collections::BTreeMap;
use std::ops::Range;

use hdrhistogram::Histogram;
use rtswap_schema::record::{
    Block, Counts, CpuSource, Ended, Environment, Footer, Header, Kind, LaneFailure, LanePlan,
    LaneRound, Plan, Record, Round, SCHEMA, Slice, Status, Stop, WorkloadPlan,
};
use rtswap_schema::workload::ParamValue;
use rtswap_stats::simulate::{self, Noise};

#[allow(unused_imports)]
pub use offered::{HTTP, http};

pub const ECHO: &str = "tcp-echo/size=1024/conns=32";

/// CPU time of the reference for one operation.
const REFERENCE_NS: f64 = 8_000.0;
const ELAPSED_NS: u64 = 50_000_000;

/// A simulated lane.
#[derive(Clone)]
pub struct Lane {
    pub name: String,
    /// CPU time per operation, relative to the reference: 1.1 is 10 % more.
    pub cost: f64,
    pub syscalls_per_op: f64,
    pub ctx_switches_per_op: f64,
    pub failure: Option<(Status, String)>,
    pub idle_cpu: f64,
    pub counts_missing: Option<String>,
    /// The most CPUs that it can keep busy.
    pub at_most: f64,
    /// Rounds in which it has slices.
    pub rounds: Range<u32>,
    pub kind: Kind,
    pub against: Option<String>,
    pub families: Vec<String>,
    /// Memory per connection, for workloads that measure it.
    pub conn_bytes: u64,
    /// Notes that the lane reports about itself.
    pub notes: Vec<(&'static str, &'static str)>,
    /// Operations per call that waits for events.
    pub ops_per_wait: Option<f64>,
    /// Latency at an offered rate, relative to the reference.
    pub latency: f64,
    /// The same above the 99.5th percentile alone, on top of `latency`.
    pub tail: f64,
    /// The longest latency, of one operation in each round, nanoseconds.
    pub stall_ns: Option<u64>,
    /// Share of the offered operations by which the backlog grows in each slice.
    pub growth: f64,
    /// Every so many blocks a slice ends in a pause: it finishes no operation.
    pub pause_every: Option<u32>,
    /// In every so many rounds, its CPU time is higher by the factor.
    pub mode: Option<(u32, f64)>,
}

pub fn lane(name: &str, cost: f64) -> Lane {
    Lane {
        name: name.to_owned(),
        cost,
        syscalls_per_op: 2.0,
        ctx_switches_per_op: 0.05,
        failure: None,
        idle_cpu: 0.001,
        counts_missing: None,
        at_most: 0.99,
        rounds: 0..u32::MAX,
        kind: Kind::Runtime,
        against: None,
        families: Vec::new(),
        conn_bytes: 4096,
        notes: Vec::new(),
        ops_per_wait: None,
        latency: 1.0,
        tail: 1.0,
        stall_ns: None,
        growth: 0.0,
        pause_every: None,
        mode: None,
    }
}

impl Lane {
    pub fn calls(mut self, syscalls: f64, switches: f64) -> Self {
        self.syscalls_per_op = syscalls;
        self.ctx_switches_per_op = switches;
        self
    }

    /// Latency at an offered rate, and that of the slowest operations on top of it.
    pub fn late(mut self, latency: f64, tail: f64) -> Self {
        (self.latency, self.tail) = (latency, tail);
        self
    }

    pub fn stalling(mut self, stall_ns: u64) -> Self {
        self.stall_ns = Some(stall_ns);
        self
    }

    pub fn growing(mut self, growth: f64) -> Self {
        self.growth = growth;
        self
    }

    pub fn noting(mut self, name: &'static str, note: &'static str) -> Self {
        self.notes.push((name, note));
        self
    }

    pub fn against(mut self, lane: &str) -> Self {
        self.against = Some(lane.to_owned());
        self
    }

    pub fn polled(mut self) -> Self {
        self.kind = Kind::Polled;
        self
    }

    pub fn floor(mut self) -> Self {
        self.kind = Kind::Floor;
        self.families = vec!["tcp-echo".to_owned()];
        self
    }

    pub fn lost(mut self, status: Status, reason: &str) -> Self {
        self.failure = Some((status, reason.to_owned()));
        self
    }
}

/// A simulated run. The first lane is the reference.
#[derive(Clone)]
pub struct Run {
    pub workloads: Vec<WorkloadPlan>,
    pub lanes: Vec<Lane>,
    pub control: Option<Lane>,
    pub rounds: u32,
    pub blocks: u32,
    pub seed: u64,
    /// CPU time of the generator for one operation; it has one CPU.
    pub load_ns: f64,
    pub steal: f64,
    pub noise: Noise,
    /// Latencies of each lane and round of a workload with an offered rate.
    pub samples: u64,
}

pub fn run(lanes: Vec<Lane>) -> Run {
    Run {
        workloads: vec![echo()],
        lanes,
        control: Some(lane("control", 1.0)),
        rounds: 12,
        blocks: 20,
        seed: 7,
        load_ns: 1_900.0,
        steal: 0.01,
        noise: Noise::cpu_time(),
        samples: 20_000,
    }
}

pub fn echo() -> WorkloadPlan {
    WorkloadPlan {
        name: ECHO.to_owned(),
        family: "tcp-echo".to_owned(),
        operation: "one message sent to the lane and back, its content compared".to_owned(),
        unit: "message".to_owned(),
        params: BTreeMap::from([
            ("size".to_owned(), ParamValue::Number(1024)),
            ("conns".to_owned(), ParamValue::Number(32)),
        ]),
        by_generator: true,
        slice_ms: 50,
        warmup_ms: 5,
        ..WorkloadPlan::default()
    }
}

pub fn own(name: &str, unit: &str, operation: &str) -> WorkloadPlan {
    WorkloadPlan {
        name: name.to_owned(),
        family: name.split('/').next().unwrap().to_owned(),
        operation: operation.to_owned(),
        unit: unit.to_owned(),
        params: BTreeMap::new(),
        by_generator: false,
        slice_ms: 50,
        warmup_ms: 5,
        ..WorkloadPlan::default()
    }
}

impl Run {
    fn all(&self) -> Vec<Lane> {
        let mut all = self.lanes.clone();
        all.extend(self.control.clone());
        all
    }

    fn header(&self) -> Header {
        let reference = self.lanes[0].name.clone();
        let plan = |lane: &Lane| LanePlan {
            name: lane.name.clone(),
            spec: if lane.name == "control" { reference.clone() } else { lane.name.clone() },
            control: lane.name == "control",
            kind: lane.kind,
            against: lane.against.clone(),
            families: lane.families.clone(),
            built: None,
        };
        Header {
            schema: SCHEMA,
            seed: self.seed,
            environment: Environment {
                rtswap: "0.1.0".to_owned(),
                command: ["rtswap", "run", "--rounds", "12"].map(str::to_owned).to_vec(),
                started_unix_s: 1_769_862_896,
                kernel: "Linux 6.12.8".to_owned(),
                cpu_model: "Imaginary CPU @ 2.10GHz".to_owned(),
                cpus: 2,
                memory_bytes: 8 << 30,
                virtual_machine: true,
                ..Environment::default()
            },
            plan: Plan {
                reference: reference.clone(),
                lanes: self.all().iter().map(plan).collect(),
                workloads: self.workloads.clone(),
                rounds: self.rounds,
                blocks: self.blocks,
                server_cpus: vec![0],
                load_cpus: vec![1],
                budget_s: 300.0,
                precision: None,
                rule: None,
                gate: None,
            },
        }
    }

    pub fn record(&self) -> Record {
        let mut record = Record::new(self.header());
        for (i, workload) in self.workloads.iter().enumerate() {
            self.measure(&mut record, workload, self.seed + i as u64);
        }
        let stopped = self.workloads.iter().map(|w| (w.name.clone(), Stop::Rounds)).collect();
        record.footer = Some(Footer { ended: Ended::Complete, elapsed_s: 181.0, stopped });
        record
    }

    fn measure(&self, record: &mut Record, workload: &WorkloadPlan, seed: u64) {
        let lanes = self.all();
        let offered = offered::Rounds::of(self, workload, seed);
        record.offered_rates.extend(offered.as_ref().and_then(|it| it.resolved(workload)));
        let effects: Vec<f64> = lanes[1..].iter().map(|lane| lane.cost - 1.0).collect();
        let size = simulate::Plan::new(self.rounds as usize, self.blocks as usize);
        let costs = simulate::Run::new(&self.noise, &effects, size, seed).figures;
        for (round, blocks) in costs.iter().enumerate() {
            for (number, block) in blocks.iter().enumerate() {
                let present = lanes.iter().zip(block).filter(|(lane, _)| {
                    lane.failure.is_none() && lane.rounds.contains(&(round as u32))
                });
                record.blocks.push(Block {
                    workload: workload.name.clone(),
                    round: round as u32,
                    block: number as u32,
                    slices: present
                        .map(|(lane, log)| {
                            let factor = match lane.mode {
                                Some((every, factor)) if (round as u32).is_multiple_of(every) => {
                                    factor
                                }
                                _ => 1.0,
                            };
                            let cost = log.exp() * factor;
                            let at = round as u32 * self.blocks + number as u32;
                            let pauses =
                                lane.pause_every.is_some_and(|every| at.is_multiple_of(every));
                            match &offered {
                                Some(offered) => offered.slice(lane, REFERENCE_NS * cost),
                                None if pauses => self.pause(workload, lane),
                                None => self.slice(workload, lane, cost),
                            }
                        })
                        .collect(),
                });
            }
            let live = lanes.iter().filter(|lane| lane.failure.is_none());
            record.rounds.push(Round {
                workload: workload.name.clone(),
                round: round as u32,
                lanes: live
                    .filter(|lane| {
                        lane.families.is_empty() || lane.families.contains(&workload.family)
                    })
                    .map(|lane| {
                        let its = lane_round(lane, workload, round as u64);
                        let its = match &offered {
                            Some(offered) => offered.lane_round(its, lane, round),
                            None => its,
                        };
                        (lane.name.clone(), its)
                    })
                    .collect(),
                steal: Some(self.steal),
                cpu_pressure: Some(0.1),
                time_wait: None,
                throttled_ns: None,
                others_cpu: Some(0.01),
                others_program: None,
                left_behind: BTreeMap::new(),
            });
        }
        for lane in &lanes {
            if let Some((status, reason)) = &lane.failure {
                record.failures.push(LaneFailure {
                    workload: workload.name.clone(),
                    lane: lane.name.clone(),
                    round: 0,
                    status: *status,
                    reason: reason.clone(),
                    rounds_count: false,
                });
            }
        }
    }

    /// A slice in which the lane slept: it finished nothing and used next to no CPU time.
    fn pause(&self, workload: &WorkloadPlan, lane: &Lane) -> Slice {
        Slice { ops: 0, cpu_ns: 30_000, ..self.slice(workload, lane, 1.0) }
    }

    /// The slower of the lane and the generator keeps its CPU busy.
    fn slice(&self, workload: &WorkloadPlan, lane: &Lane, cost: f64) -> Slice {
        let cost_ns = REFERENCE_NS * cost;
        let load_ns = if workload.by_generator { self.load_ns } else { 0.0 };
        let per_s = (lane.at_most / cost_ns).min(0.99 / load_ns) * 1e9;
        let ops = (per_s * ELAPSED_NS as f64 / 1e9).round();
        Slice {
            lane: lane.name.clone(),
            ops: ops as u64,
            elapsed_ns: ELAPSED_NS,
            cpu_ns: (cost_ns * ops) as u64,
            load_cpu_ns: workload.by_generator.then_some((load_ns * ops) as u64),
            ..Slice::default()
        }
    }
}

fn lane_round(lane: &Lane, workload: &WorkloadPlan, round: u64) -> LaneRound {
    // Counts vary a little between rounds.
    let ops = 6_000 + 13 * round;
    let counts = Counts {
        ops,
        syscalls: (lane.syscalls_per_op * ops as f64) as u64 + round % 3,
        ctx_switches: (lane.ctx_switches_per_op * ops as f64) as u64,
        waits: lane.ops_per_wait.map(|per_wait| (ops as f64 / per_wait) as u64),
    };
    let memory = 3_500_000 + round * 4096;
    let conns = workload.number("active").and(workload.number("conns")).unwrap_or(0);
    let notes: BTreeMap<_, _> = lane.notes.iter().copied().collect();
    LaneRound {
        info: Some(serde_json::json!({ "driver": "epoll", "threads": 1, "notes": notes })),
        counts: lane.counts_missing.is_none().then_some(counts),
        counts_missing: lane.counts_missing.clone(),
        memory_base_bytes: workload.params.get("active").map(|_| memory),
        memory_bytes: Some(memory + conns * lane.conn_bytes),
        idle_cpu: Some(lane.idle_cpu),
        latency_hdr: Some(histogram(lane, 13_000)),
        cpu_source: Some(CpuSource::TaskClock),
        ..LaneRound::default()
    }
}

/// Latencies of one round, all longer than the reference's by the factor.
pub fn latencies(factor: f64) -> String {
    histogram(&lane("", factor), 13_000)
}

fn histogram(lane: &Lane, values: u64) -> String {
    let mut histogram: Histogram<u64> = Histogram::new(3).unwrap();
    for i in 1..=values {
        let ns = 250_000.0 * lane.cost * (0.5 + i as f64 / values as f64);
        histogram.record(ns as u64).unwrap();
    }
    // One message of each of 32 connections waits for the pause.
    if lane.pause_every.is_some() {
        histogram.record_n(60_000_000, 32).unwrap();
    }
    rtswap_schema::histogram::encode(&histogram)
}
