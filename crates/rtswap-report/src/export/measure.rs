//! What a series measures: its stable name, its unit and its direction.

use rtswap_stats::Direction;

use crate::summary::Metric;

/// What a series measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// The lane's own figure.
    Value(Metric),
    /// The lane's figure over the reference's.
    Ratio(Metric),
    /// Proportional set size at the end of a round.
    Memory,
    /// Memory per open connection.
    MemoryPerConn,
}

impl Measure {
    /// Its name: never changes, and is unique.
    pub fn name(self) -> &'static str {
        match self {
            Self::Value(metric) => metric.names().0,
            Self::Ratio(metric) => metric.names().1,
            Self::Memory => "memory_bytes",
            Self::MemoryPerConn => "memory_per_conn_bytes",
        }
    }

    /// The unit of its values.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Value(metric) => match metric {
                Metric::OpsPerS | Metric::TotalOpsPerS | Metric::CapacityPerS => "ops/s",
                Metric::CpuNsPerOp | Metric::TotalCpuNsPerOp => "ns/op",
                Metric::Steadiness | Metric::CpuSteadiness => "ratio",
                Metric::SyscallsPerOp => "syscalls/op",
                Metric::CtxSwitchesPerOp => "switches/op",
                Metric::P50Ns | Metric::P90Ns | Metric::P99Ns | Metric::P999Ns => "ns",
            },
            Self::Ratio(_) => "ratio",
            Self::Memory => "B",
            Self::MemoryPerConn => "B/conn",
        }
    }

    /// Which values are better.
    pub fn direction(self) -> Direction {
        match self {
            Self::Value(metric) | Self::Ratio(metric) => metric.direction(),
            Self::Memory | Self::MemoryPerConn => Direction::LowerIsBetter,
        }
    }

    /// The metric of a figure or of its ratio.
    pub(super) fn metric(self) -> Option<Metric> {
        match self {
            Self::Value(metric) | Self::Ratio(metric) => Some(metric),
            Self::Memory | Self::MemoryPerConn => None,
        }
    }
}

impl Metric {
    /// The names of its figure and of its ratio.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::OpsPerS => ("ops_per_s", "ops_per_s_ratio"),
            Self::CpuNsPerOp => ("cpu_ns_per_op", "cpu_ns_per_op_ratio"),
            Self::TotalOpsPerS => ("total_ops_per_s", "total_ops_per_s_ratio"),
            Self::TotalCpuNsPerOp => ("total_cpu_ns_per_op", "total_cpu_ns_per_op_ratio"),
            Self::Steadiness => ("steadiness", "steadiness_ratio"),
            Self::CpuSteadiness => ("cpu_steadiness", "cpu_steadiness_ratio"),
            Self::SyscallsPerOp => ("syscalls_per_op", "syscalls_per_op_ratio"),
            Self::CtxSwitchesPerOp => ("ctx_switches_per_op", "ctx_switches_per_op_ratio"),
            Self::P50Ns => ("p50_ns", "p50_ns_ratio"),
            Self::P90Ns => ("p90_ns", "p90_ns_ratio"),
            Self::P99Ns => ("p99_ns", "p99_ns_ratio"),
            Self::P999Ns => ("p999_ns", "p999_ns_ratio"),
            Self::CapacityPerS => ("capacity_per_s", "capacity_per_s_ratio"),
        }
    }
}
