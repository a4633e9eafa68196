//! What the figures show: ratios by client, and where clients disagree. Pure.

use std::collections::{BTreeMap, BTreeSet};

use rtswap_stats::median;
use serde::Serialize;

use super::record::{Figures, Load, Measurement, Record, WorkloadRecord};
use super::stats::{Mean, geometric_mean};

/// The client that the others are compared with.
pub const SLICES: &str = "slices";
/// The generator that sleeps.
pub const SLEEPING: &str = "sustained-sleeping";
/// The clients that are part of rtswap, in the order of columns.
const OWN: [&str; 3] = [SLICES, "sustained", SLEEPING];

/// Differences in CPU time per operation at the rate up to here are no disagreement.
const RATE_MARGIN: f64 = 0.05;
/// Differences in operations per second at saturation up to here are no disagreement.
const SATURATION_MARGIN: f64 = 0.10;

/// A figure that lanes are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Operations per second.
    OpsPerS,
    /// CPU time of the lane per operation.
    CpuNsPerOp,
}

/// The record and what follows from it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// All figures.
    #[serde(flatten)]
    pub record: Record,
    /// Every lane against the reference, by client.
    pub ratios: Vec<Ratio>,
    /// Where clients disagree.
    pub disagreements: Vec<Disagreement>,
}

/// A lane against the reference, as a client sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// The workload.
    pub workload: String,
    /// The load.
    pub load: Load,
    /// The metric.
    pub metric: Metric,
    /// The client.
    pub client: String,
    /// The lane.
    pub lane: String,
    /// The geometric mean over repetitions.
    pub mean: f64,
    /// Its 95 % interval; `None` with fewer than two repetitions.
    pub lo: Option<f64>,
    /// The upper end.
    pub hi: Option<f64>,
    /// Repetitions with this ratio.
    pub repetitions: usize,
}

/// A lane whose ratio depends on the client.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Disagreement {
    /// The workload.
    pub workload: String,
    /// The load.
    pub load: Load,
    /// The metric.
    pub metric: Metric,
    /// The lane.
    pub lane: String,
    /// The other client.
    pub client: String,
    /// The ratio in slices.
    pub slices: f64,
    /// The ratio with the other client.
    pub other: f64,
    /// In words.
    pub sentence: String,
}

impl Outcome {
    /// Computes ratios and disagreements.
    pub fn of(record: Record) -> Self {
        let ratios: Vec<_> = (record.workloads.iter())
            .flat_map(|workload| ratios(workload, &record.lanes, &record.reference))
            .collect();
        let disagreements = disagreements(&ratios, &record.reference);
        Self { record, ratios, disagreements }
    }

    /// The ratio of a lane, if it has one.
    pub fn ratio(
        &self,
        workload: &str,
        load: Load,
        metric: Metric,
        client: &str,
        lane: &str,
    ) -> Option<&Ratio> {
        find(&self.ratios, workload, load, metric, client, lane)
    }
}

impl Ratio {
    /// The factor by which the interval extends to either side, less 1.
    pub fn half_width(&self) -> Option<f64> {
        Some(self.hi? / self.mean - 1.0)
    }

    /// Whether both have intervals, and these do not overlap.
    fn is_apart_from(&self, other: &Self) -> bool {
        match (self.lo, self.hi, other.lo, other.hi) {
            (Some(lo), Some(hi), Some(other_lo), Some(other_hi)) => hi < other_lo || other_hi < lo,
            _ => false,
        }
    }

    /// The difference in the logarithm.
    fn distance(&self, other: &Self) -> f64 {
        (self.mean / other.mean).ln().abs()
    }

    fn text(&self) -> String {
        match (self.lo, self.hi) {
            (Some(lo), Some(hi)) => format!("{:.2} [{lo:.2}, {hi:.2}]", self.mean),
            _ => format!("{:.2}", self.mean),
        }
    }
}

/// The metrics of a load.
pub fn metrics(load: Load) -> &'static [Metric] {
    match load {
        Load::Saturation => &[Metric::OpsPerS, Metric::CpuNsPerOp],
        // All lanes do the same number of operations.
        Load::Rate => &[Metric::CpuNsPerOp],
    }
}

/// The clients of a load, in the order of columns.
pub fn clients(workload: &WorkloadRecord, load: Load) -> Vec<&str> {
    let of_load = workload.measurements.iter().filter(|it| it.load == load);
    let all: BTreeSet<&str> = of_load.map(|it| it.client.as_str()).collect();
    let own = OWN.into_iter().filter(|name| all.contains(name));
    own.chain(all.iter().copied().filter(|name| !OWN.contains(name))).collect()
}

/// The median of a figure over all measurements of a lane.
pub fn typical(
    workload: &WorkloadRecord,
    load: Load,
    client: &str,
    lane: &str,
    figure: impl Fn(&Figures) -> Option<f64>,
) -> Option<f64> {
    let is_asked = |it: &&Measurement| it.load == load && it.client == client && it.lane == lane;
    let measurements = workload.measurements.iter().filter(is_asked);
    median(measurements.filter_map(|it| figure(&it.figures)))
}

fn figure(metric: Metric, figures: &Figures) -> f64 {
    match metric {
        Metric::OpsPerS => figures.ops_per_s,
        Metric::CpuNsPerOp => figures.cpu_ns_per_op(),
    }
}

fn ratios(workload: &WorkloadRecord, lanes: &[String], reference: &str) -> Vec<Ratio> {
    let mut found = Vec::new();
    for load in [Load::Saturation, Load::Rate] {
        for &metric in metrics(load) {
            for client in clients(workload, load) {
                for lane in lanes.iter().filter(|lane| *lane != reference) {
                    let logs = logs(workload, (load, metric, client), lane, reference);
                    let Some(Mean { ratio, interval }) = geometric_mean(&logs) else { continue };
                    found.push(Ratio {
                        workload: workload.name.clone(),
                        load,
                        metric,
                        client: client.to_owned(),
                        lane: lane.clone(),
                        mean: ratio,
                        lo: interval.map(|(lo, _)| lo),
                        hi: interval.map(|(_, hi)| hi),
                        repetitions: logs.len(),
                    });
                }
            }
        }
    }
    found
}

/// The logarithm of the ratio by repetition: the median over the blocks of slices, as in `rtswap run`.
fn logs(
    workload: &WorkloadRecord,
    (load, metric, client): (Load, Metric, &str),
    lane: &str,
    reference: &str,
) -> Vec<f64> {
    let of = |name: &str| -> BTreeMap<(u32, Option<u32>), f64> {
        let is_asked =
            |it: &&Measurement| it.load == load && it.client == client && it.lane == name;
        let measurements = workload.measurements.iter().filter(is_asked);
        let value = |it: &Measurement| figure(metric, &it.figures);
        let pairs = measurements.map(|it| ((it.repetition, it.block), value(it)));
        pairs.filter(|(_, value)| value.is_finite() && *value > 0.0).collect()
    };
    let reference = of(reference);
    let mut by_repetition: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for (at, value) in of(lane) {
        if let Some(base) = reference.get(&at) {
            by_repetition.entry(at.0).or_default().push((value / base).ln());
        }
    }
    by_repetition.into_values().filter_map(median).collect()
}

fn find<'a>(
    ratios: &'a [Ratio],
    workload: &str,
    load: Load,
    metric: Metric,
    client: &str,
    lane: &str,
) -> Option<&'a Ratio> {
    ratios.iter().find(|it| {
        it.workload == workload
            && it.load == load
            && it.metric == metric
            && it.client == client
            && it.lane == lane
    })
}

fn disagreements(ratios: &[Ratio], reference: &str) -> Vec<Disagreement> {
    let mut found = Vec::new();
    for other in ratios {
        let margin = match (other.load, other.metric) {
            (Load::Rate, Metric::CpuNsPerOp) => RATE_MARGIN,
            (Load::Saturation, Metric::OpsPerS) => SATURATION_MARGIN,
            _ => continue,
        };
        let Ratio { workload, load, metric, client, lane, .. } = other;
        let Some(slices) = find(ratios, workload, *load, *metric, SLICES, lane) else { continue };
        if slices.distance(other) <= (1.0 + margin).ln() || !slices.is_apart_from(other) {
            continue;
        }
        let sleeping = find(ratios, workload, *load, *metric, SLEEPING, lane);
        found.push(Disagreement {
            workload: workload.clone(),
            load: *load,
            metric: *metric,
            lane: lane.clone(),
            client: client.clone(),
            slices: slices.mean,
            other: other.mean,
            sentence: sentence(slices, other, sleeping, reference, margin),
        });
    }
    found
}

fn sentence(
    slices: &Ratio,
    other: &Ratio,
    sleeping: Option<&Ratio>,
    reference: &str,
    margin: f64,
) -> String {
    let Ratio { workload, client, lane, .. } = other;
    let (load, metric) = match other.metric {
        Metric::OpsPerS => ("at saturation", "operations per second"),
        Metric::CpuNsPerOp => ("at the rate", "CPU time per operation"),
    };
    let percent = rtswap_report::format::percent(slices.distance(other).exp() - 1.0);
    let why = match sleeping {
        _ if client == SLEEPING => {
            "; this client sleeps, so that each answer has to wake it, on CPU time of the lane"
                .to_owned()
        }
        Some(sleeping)
            if !OWN.contains(&client.as_str())
                && sleeping.distance(other) <= (1.0 + margin).ln() =>
        {
            format!(
                "; {SLEEPING} has {:.2}, so the reason is that {client} sleeps, and that each answer has to wake \
             it, on CPU time of the lane",
                sleeping.mean
            )
        }
        _ => String::new(),
    };
    format!(
        "{workload} {load}: {lane} has {} times the {metric} of {reference} in slices, but {} with {client}, \
         a difference of {percent}{why}.",
        slices.text(),
        other.text()
    )
}

#[cfg(test)]
pub mod tests {
    use rand::{RngExt as _, SeedableRng as _};
    use rand_pcg::Pcg64;
    use rtswap_harness::record::Environment;

    use super::super::record::{ClientInfo, SCHEMA};
    use super::*;

    /// The true ratio of smol to tokio, by client, load and metric.
    type Truth = fn(&str, Load, Metric) -> f64;

    const CLIENTS: [(&str, &[Load]); 6] = [
        (SLICES, &[Load::Saturation, Load::Rate]),
        ("sustained", &[Load::Saturation, Load::Rate]),
        (SLEEPING, &[Load::Rate]),
        ("wrk", &[Load::Saturation]),
        ("wrk2", &[Load::Rate]),
        ("h2load", &[Load::Saturation, Load::Rate]),
    ];

    /// A run with noise of `deviation` in each measurement, and ten times as much that all lanes of a turn share.
    fn record(truth: Truth, deviation: f64, repetitions: u32) -> Record {
        let mut rng = Pcg64::seed_from_u64(7);
        // The sum of twelve is near to normal, with deviation 1.
        let mut normal = || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
        let mut measurements = Vec::new();
        for repetition in 0..repetitions {
            for (client, loads) in CLIENTS {
                for &load in loads {
                    for block in 0..if client == SLICES { 10 } else { 1 } {
                        let shared = (10.0 * deviation * normal()).exp();
                        for lane in ["tokio", "smol"] {
                            let mut value = |base: f64, metric| {
                                let ratio =
                                    if lane == "smol" { truth(client, load, metric) } else { 1.0 };
                                base * ratio * shared * (deviation * normal()).exp()
                            };
                            let ops_per_s = value(150_000.0, Metric::OpsPerS);
                            let cpu_ns_per_op = value(6_600.0, Metric::CpuNsPerOp);
                            let ops = 1_000_000;
                            measurements.push(Measurement {
                                repetition,
                                client: client.to_owned(),
                                load,
                                block: (client == SLICES).then_some(block),
                                lane: lane.to_owned(),
                                figures: Figures {
                                    ops,
                                    ops_per_s,
                                    cpu_ns: (cpu_ns_per_op * ops as f64) as u64,
                                    p50_ns: Some(100e3),
                                    p99_ns: Some(1_234_567.0),
                                    ..Figures::default()
                                },
                            });
                        }
                    }
                }
            }
        }
        let client = |name: &str, missing: Option<&str>| ClientInfo {
            name: name.to_owned(),
            version: missing.is_none().then(|| "1.0".to_owned()),
            missing: missing.map(ToOwned::to_owned),
        };
        Record {
            agree_schema: SCHEMA,
            environment: Environment::default(),
            seed: 7,
            reference: "tokio".to_owned(),
            lanes: vec!["tokio".to_owned(), "smol".to_owned()],
            repetitions,
            seconds: 2,
            rate: "30%".to_owned(),
            server_cpus: vec![0],
            load_cpus: vec![1],
            clients: vec![client("wrk", None), client("oha", Some("install oha"))],
            workloads: vec![WorkloadRecord {
                name: "http/body=plaintext/conns=32/pipeline=1".to_owned(),
                unit: "request".to_owned(),
                rate_per_s: Some(20_000.0),
                capacity_per_s: BTreeMap::new(),
                measurements,
            }],
            failures: Vec::new(),
        }
    }

    /// An outcome in which foreign clients that sleep see another ratio at the rate.
    pub fn sleepers_disagree() -> Outcome {
        let truth: Truth = |client, load, _| match (client, load) {
            (SLEEPING | "wrk2", Load::Rate) => 1.05,
            (_, Load::Rate) => 1.20,
            (_, Load::Saturation) => 0.90,
        };
        Outcome::of(record(truth, 0.005, 5))
    }

    /// An outcome of so many repetitions without any difference.
    pub fn agree(repetitions: u32) -> Outcome {
        Outcome::of(record(|_, _, _| 0.9, 0.005, repetitions))
    }

    #[test]
    fn ratios_cancel_noise_that_lanes_share() {
        let outcome = agree(5);
        // Three clients at saturation with two metrics (four, with slices), five at the rate with one.
        assert_eq!(outcome.ratios.len(), 4 * 2 + 5);
        for ratio in &outcome.ratios {
            assert!((ratio.mean / 0.9).ln().abs() < 0.02, "{ratio:?}");
            assert!(ratio.half_width().unwrap() < 0.03, "{ratio:?}");
            assert_eq!(ratio.repetitions, 5);
        }
        assert_eq!(outcome.disagreements, []);
    }

    #[test]
    fn ratio_of_slices_is_median_of_blocks() {
        let mut record = record(|_, _, _| 1.1, 0.0, 1);
        for measurement in &mut record.workloads[0].measurements {
            // Less than half of the blocks are spoilt.
            if measurement.lane == "smol" && measurement.block.is_some_and(|block| block < 4) {
                measurement.figures.cpu_ns *= 100;
            }
        }
        let outcome = Outcome::of(record);
        let name = "http/body=plaintext/conns=32/pipeline=1";
        let ratio = outcome.ratio(name, Load::Rate, Metric::CpuNsPerOp, SLICES, "smol").unwrap();
        assert!((ratio.mean - 1.1).abs() < 1e-3, "{ratio:?}");
        assert_eq!((ratio.lo, ratio.hi), (None, None), "one repetition has no interval");
    }

    #[test]
    fn disagreement_names_sleeping_as_reason_for_foreign_client() {
        let outcome = sleepers_disagree();
        let found: Vec<_> = outcome.disagreements.iter().map(|it| it.client.as_str()).collect();
        assert_eq!(found, [SLEEPING, "wrk2"]);
        let sentence = &outcome.disagreements[1].sentence;
        assert!(sentence.contains("at the rate: smol has 1.2"), "{sentence}");
        assert!(sentence.contains("with wrk2, a difference of 1"), "{sentence}");
        assert!(sentence.contains("the reason is that wrk2 sleeps"), "{sentence}");
    }

    #[test]
    fn disagreement_needs_margin_and_intervals_apart() {
        let differing: Truth = |client, load, _| match (client, load) {
            ("wrk", Load::Saturation) => 0.7,
            _ => 0.9,
        };
        let found = Outcome::of(record(differing, 0.005, 5)).disagreements;
        assert_eq!(found.len(), 1, "{found:#?}");
        assert_eq!((found[0].metric, found[0].client.as_str()), (Metric::OpsPerS, "wrk"));
        assert!(!found[0].sentence.contains("sleep"), "no client sleeps at saturation: {found:?}");
        assert_eq!(Outcome::of(record(differing, 0.2, 5)).disagreements, [], "too noisy");
        assert_eq!(Outcome::of(record(differing, 0.0, 1)).disagreements, [], "no interval");
        let small: Truth = |client, load, _| match (client, load) {
            ("wrk", _) => 0.98,
            ("wrk2", _) => 0.93,
            _ => 0.9,
        };
        assert_eq!(Outcome::of(record(small, 0.0005, 5)).disagreements, [], "within the margins");
    }

    #[test]
    fn outcome_survives_json() {
        let outcome = sleepers_disagree();
        let text = serde_json::to_string(&outcome).unwrap();
        let record: Record = serde_json::from_str(&text).unwrap();
        assert_eq!(record.check_schema(), Ok(()));
        assert_eq!(serde_json::to_string(&Outcome::of(record.clone())).unwrap(), text);
        let newer = Record { agree_schema: SCHEMA + 1, ..record };
        assert!(newer.check_schema().unwrap_err().contains("schema 2"));
    }
}
