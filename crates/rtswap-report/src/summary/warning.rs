//! Reasons to distrust the figures.

use serde::{Deserialize, Serialize};

/// The subject of a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WarningKind {
    /// The run was killed or interrupted: blocks are missing.
    Interrupted,
    /// The run was resumed on a changed machine or with changed programs.
    Resumed,
    /// A lane was not measured to the end.
    PartlyMeasured,
    /// The run has too few rounds to decide.
    TooFewRounds,
    /// The control differs from the reference.
    ControlDiffers,
    /// There is no control, so nothing is decided.
    NoControl,
    /// The load generator was the bottleneck.
    GeneratorBound,
    /// A lane kept a CPU busy while other lanes were measured.
    IdleBurn,
    /// The hypervisor gave CPU time to other machines.
    Steal,
    /// Other programs used the CPUs.
    Busy,
    /// System calls and context switches were not counted.
    CountsMissing,
    /// Slices do not count because the load generator or the harness was disturbed.
    Voided,
    /// Other programs used the lanes' CPUs.
    OtherPrograms,
    /// Threads of the load generator waited for a CPU.
    GeneratorDelayed,
    /// A CPU quota stopped the lanes or the harness.
    Throttled,
    /// CPU time comes from a clock that is stale by up to a tick of the kernel.
    StaleClock,
    /// Lanes left processes behind.
    LeftBehind,
    /// Lanes have more shards than the workload has connections.
    IdleShards,
    /// Lanes of two versions of a runtime differ in other packages as well.
    OtherPackages,
}

/// A reason to distrust figures, with its remedy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The subject.
    pub kind: WarningKind,
    /// The workloads that it concerns; empty for the whole run.
    pub workloads: Vec<String>,
    /// The lanes that it concerns; empty for all.
    pub lanes: Vec<String>,
    /// What was observed.
    pub message: String,
    /// The remedy.
    pub remedy: String,
}
