//! Workloads with an offered rate: latency, backlog and capacity.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use rtswap_schema::record::{LaneRound, Offered, OfferedRate, Slice, WorkloadPlan};
use rtswap_schema::workload::{ParamValue, Rate};
use rtswap_stats::simulate::{self, Noise};

use super::{ELAPSED_NS, Lane, Run, own};

pub const HTTP: &str = "http/conns=32/rate=60%";

/// Operations per second that 60 % come to.
const PER_S: f64 = 21_300.0;
const CAPACITY_PER_S: f64 = 42_000.0;
const LATENCY_NS: f64 = 100_000.0;

/// HTTP requests at a rate, `60%` or a number.
pub fn http(rate: &str) -> WorkloadPlan {
    let name = format!("http/conns=32/rate={rate}");
    WorkloadPlan {
        params: BTreeMap::from([
            ("conns".to_owned(), ParamValue::Number(32)),
            ("rate".to_owned(), ParamValue::Name(rate.to_owned())),
        ]),
        by_generator: true,
        ..own(&name, "request", "one request answered")
    }
}

/// The simulated rounds of a workload with an offered rate.
pub struct Rounds {
    per_s: f64,
    load_ns: f64,
    samples: u64,
    /// By lane and round: factors of latency and of capacity.
    factors: BTreeMap<String, Vec<(f64, f64)>>,
}

impl Rounds {
    pub fn of(run: &Run, workload: &WorkloadPlan, seed: u64) -> Option<Self> {
        let per_s = match workload.rate()? {
            Rate::PerSecond(number) => f64::from(number),
            Rate::Share(percent) => PER_S / 60.0 * f64::from(percent),
        };
        let lanes = run.all();
        let figures = |noise: &Noise, effect: fn(&Lane) -> f64, seed| {
            let effects: Vec<f64> = lanes[1..].iter().map(|lane| effect(lane) - 1.0).collect();
            let size = simulate::Plan::new(run.rounds as usize, 1);
            simulate::Run::new(noise, &effects, size, seed).figures
        };
        let latencies = figures(&Noise::cpu_time(), |lane| lane.latency, seed + 1000);
        let capacities = figures(&Noise::throughput(), |lane| 1.0 / lane.cost, seed + 2000);
        let factor = |at: usize, round: usize| {
            // The simulation has the other lanes relative to the reference.
            let own = if at == 0 { lanes[0].latency } else { 1.0 };
            (own * latencies[round][0][at].exp(), capacities[round][0][at].exp())
        };
        let of_lane = |(at, lane): (usize, &Lane)| {
            let rounds = (0..run.rounds as usize).map(|round| factor(at, round));
            (lane.name.clone(), rounds.collect())
        };
        let factors = lanes.iter().enumerate().map(of_lane).collect();
        Some(Self { per_s, load_ns: run.load_ns, samples: run.samples, factors })
    }

    /// What a share of capacity came to.
    pub fn resolved(&self, workload: &WorkloadPlan) -> Option<OfferedRate> {
        matches!(workload.rate(), Some(Rate::Share(_))).then(|| OfferedRate {
            workload: workload.name.clone(),
            per_s: self.per_s,
            capacity_per_s: BTreeMap::from([("tokio".to_owned(), CAPACITY_PER_S)]),
        })
    }

    /// A slice in which the lane finishes what was offered, apart from the growth of its backlog.
    pub fn slice(&self, lane: &Lane, cost_ns: f64) -> Slice {
        let due = self.per_s * ELAPSED_NS as f64 / 1e9;
        let ops = due * (1.0 - lane.growth);
        Slice {
            lane: lane.name.clone(),
            ops: ops as u64,
            elapsed_ns: ELAPSED_NS,
            cpu_ns: (cost_ns * ops) as u64,
            load_cpu_ns: Some((self.load_ns * ops) as u64),
            offered: Some(Offered {
                ops: due as u64,
                backlog_start: 3,
                backlog_end: 3 + (due * lane.growth).round() as u64,
                late_p99_ns: Some(12_000),
                late_max_ns: Some(900_000),
            }),
            ..Slice::default()
        }
    }

    pub fn lane_round(&self, closed: LaneRound, lane: &Lane, round: usize) -> LaneRound {
        let (latency, capacity) = self.factors[&lane.name][round];
        LaneRound {
            latency_hdr: Some(self.histogram(lane, latency)),
            capacity_per_s: Some(CAPACITY_PER_S * capacity),
            ..closed
        }
    }

    /// Exponential latencies, the tail longer by its factor.
    fn histogram(&self, lane: &Lane, factor: f64) -> String {
        let mut histogram: Histogram<u64> = Histogram::new(3).unwrap();
        for i in 0..self.samples {
            let share = (i as f64 + 0.5) / self.samples as f64;
            let tail = if share > 0.995 { lane.tail } else { 1.0 };
            let latency = LATENCY_NS * factor * tail * (1.0 - (1.0 - share).ln());
            histogram.record(latency as u64).unwrap();
        }
        histogram.record(lane.stall_ns.unwrap_or(1)).unwrap();
        rtswap_schema::histogram::encode(&histogram)
    }
}
