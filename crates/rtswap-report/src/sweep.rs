//! One workload over the values of one of its parameters: figures that grow with the load.

mod curve;
mod load;
mod objective;
mod tables;

use rtswap_schema::record::{Kind, LanePlan, Record, Status, WorkloadPlan};
use rtswap_stats::{Paired, estimate};
use serde::Serialize;

pub use self::load::{Knee, LaneLoad, Load, Percentiles, Range};
pub use self::objective::{AtObjective, InvalidObjective, Objective};
use crate::analyse::options;
use crate::data::Data;
use crate::summary::{Cell, Figure, Interval, Metric, Role, Summary};

/// The parameter whose values are offered rates.
const RATE: &str = "rate";

/// A sweep in figures.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Sweep {
    /// The workload's name without parameters.
    pub workload: String,
    /// Its other parameters, as a name spells them: `size=1024`; empty without any.
    pub fixed: String,
    /// The parameter that varies.
    pub over: String,
    /// One operation's noun.
    pub unit: String,
    /// The lane that ratios are taken against.
    pub reference: String,
    /// Its values, ascending. The values of `rate` are rounded operations per second; [`Load`] has them as
    /// they were given.
    pub values: Vec<u64>,
    /// The load that was offered; `None` unless the parameter is `rate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    /// The lanes, in listing order, the reference among them.
    pub lanes: Vec<Series>,
}

/// One lane's points.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Series {
    /// The lane.
    pub lane: String,
    /// What it stands for.
    pub kind: Kind,
    /// How it takes the offered load; `None` unless the parameter is `rate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<LaneLoad>,
    /// One for each of the sweep's values.
    pub points: Vec<Point>,
}

/// One lane at one value.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Point {
    /// The outcome.
    pub status: Status,
    /// Why there are no figures.
    pub reason: Option<String>,
    /// CPU time of the lane per operation, nanoseconds: median over blocks, mean over rounds (of the
    /// logarithm), with its 95 % interval.
    pub cpu_ns_per_op: Option<Interval>,
    /// CPU time per operation, lane over reference; `None` for the reference.
    pub cpu_ratio: Option<Figure>,
    /// Latencies; `None` unless the parameter is `rate`, and for an overloaded lane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ns: Option<Percentiles>,
    /// The percentile [`Load::percentile`] of latency, lane over reference; `None` for the reference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ratio: Option<Figure>,
    /// System calls of the lane per operation.
    pub syscalls_per_op: Option<f64>,
    /// Memory per open connection, bytes.
    pub memory_per_conn_bytes: Option<f64>,
}

/// Why a record is not a sweep, or not one that an objective applies to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoSweep {
    /// It holds no sweep.
    #[error("not a sweep: {0}; `rtswap sweep --over PARAM=VALUE,VALUE` records one")]
    Record(&'static str),
    /// It holds a sweep over another parameter, whose latencies have no objective.
    #[error(
        "an objective needs a sweep over `rate`, and this is one over `{over}`; \
         `rtswap sweep --over rate=10%..100%` records one"
    )]
    NotRate {
        /// The parameter.
        over: String,
    },
}

impl Sweep {
    /// The sweep that a record holds.
    ///
    /// # Errors
    /// [`NoSweep::Record`] if its workloads do not differ in exactly one parameter.
    pub fn of(record: &Record, summary: &Summary) -> Result<Self, NoSweep> {
        Self::with(record, summary, None)
    }

    /// The sweep over `rate` that a record holds, with the capacity of each lane at an objective.
    ///
    /// # Errors
    /// As [`Sweep::of`], and [`NoSweep::NotRate`] if another parameter varies.
    pub fn at(record: &Record, summary: &Summary, objective: Objective) -> Result<Self, NoSweep> {
        Self::with(record, summary, Some(objective))
    }

    fn with(
        record: &Record,
        summary: &Summary,
        objective: Option<Objective>,
    ) -> Result<Self, NoSweep> {
        let (over, mut plans) = varied(record)?;
        let load = (over == RATE).then(|| Load::of(record, &mut plans, objective)).transpose()?;
        if load.is_none() && objective.is_some() {
            return Err(NoSweep::NotRate { over });
        }
        let first = plans[0];
        let data: Vec<Data> = plans.iter().map(|plan| Data::of(record, plan)).collect();
        let points = |lane: &str| {
            let cell = |data: &Data| {
                let cell = summary.cell(&data.plan.name, lane)?;
                Some(Point::of(data, cell, load.as_ref()))
            };
            data.iter().filter_map(cell).collect::<Vec<_>>()
        };
        let series = |lane: &LanePlan| {
            let points = points(&lane.name);
            let its = load.as_ref().map(|load| load.lane(&data, &lane.name, &points));
            Series { lane: lane.name.clone(), kind: lane.kind, load: its, points }
        };
        let lanes = record.header.plan.lanes.iter();
        let takes_part = |lane: &&LanePlan| !lane.control && lane.does(&first.family);
        let lanes = lanes.filter(takes_part).map(series).collect();
        let fixed = first.params.iter().filter(|(name, _)| **name != over);
        let fixed = match &load {
            Some(_) => first
                .name
                .split('/')
                .skip(1)
                .filter(|part| !part.starts_with("rate="))
                .map(str::to_owned)
                .collect(),
            None => fixed.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
        };
        let values = match &load {
            Some(load) => load.offered_per_s.iter().map(|per_s| per_s.round() as u64).collect(),
            None => plans.iter().filter_map(|plan| plan.number(&over)).collect(),
        };
        Ok(Self {
            workload: first.family.clone(),
            fixed: fixed.join("/"),
            over,
            unit: first.unit.clone(),
            reference: summary.reference.clone(),
            values,
            load,
            lanes,
        })
    }

    /// `tcp-echo/size=1024`.
    pub(crate) fn name(&self) -> String {
        match self.fixed.as_str() {
            "" => self.workload.clone(),
            fixed => format!("{}/{fixed}", self.workload),
        }
    }
}

/// The parameter in which the workloads of a record differ, and the workloads in the order of its values.
fn varied(record: &Record) -> Result<(String, Vec<&WorkloadPlan>), NoSweep> {
    let plans = &record.header.plan.workloads;
    let [first, others @ ..] = &plans[..] else {
        return Err(NoSweep::Record("the record has no workload"));
    };
    if others.iter().any(|other| other.family != first.family) {
        return Err(NoSweep::Record("the record has several workloads"));
    }
    let differs = |name: &&String| {
        others.iter().any(|other| other.params.get(*name) != first.params.get(*name))
    };
    let mut varied = first.params.keys().filter(differs);
    let (Some(over), None) = (varied.next(), varied.next()) else {
        return Err(NoSweep::Record("its workloads do not differ in exactly one parameter"));
    };
    let mut plans: Vec<_> = plans.iter().collect();
    if over == RATE {
        if plans.iter().any(|plan| plan.rate().is_none()) {
            return Err(NoSweep::Record("one of its workloads has no rate"));
        }
    } else if plans.iter().any(|plan| plan.number(over).is_none()) {
        return Err(NoSweep::Record("the parameter that varies is not a quantity"));
    }
    plans.sort_by_key(|plan| plan.number(over));
    Ok((over.clone(), plans))
}

impl Point {
    fn of(data: &Data, cell: &Cell, load: Option<&Load>) -> Self {
        let lane = cell.lane.as_str();
        let own = data.figures(lane, Metric::CpuNsPerOp);
        let own = estimate(&Paired::from_figures(&own), &options(data.record));
        let live = cell.live();
        let figure = |metric| cell.metrics.get(&metric).filter(|_| live);
        let ratio = |metric| figure(metric).filter(|_| cell.role != Role::Reference).cloned();
        Self {
            status: cell.status,
            reason: cell.reason.clone(),
            cpu_ns_per_op: own.filter(|_| live).map(Interval::from),
            cpu_ratio: ratio(Metric::CpuNsPerOp),
            latency_ns: load.filter(|_| live).map(|_| Percentiles::of(data, cell)),
            latency_ratio: load.and_then(|load| ratio(load.percentile)),
            syscalls_per_op: figure(Metric::SyscallsPerOp).map(|figure| figure.value),
            memory_per_conn_bytes: cell.memory_per_conn_bytes,
        }
    }
}
