//! Tables, pages and exports: from a record to its report.
//!
//! ```text
//! Record ── Summary::of ──> Summary ──┬── table, warnings    terminal
//!                                     ├── json               machines
//!                                     ├── markdown           pages
//!                                     ├── sections, splice   README
//!                                     ├── export             other tools
//!                                     └── compare            another record
//! ```
//!
//! Everything is computed from the record alone, so statistics can be redone without measuring
//! again, and the same record always gives the same report, byte for byte. The decisions are those of
//! `rtswap-stats`. The only I/O is in [`Style::of_stdout`], which asks for the terminal's width.
//!
//! # What is compared
//!
//! | metric | workloads | a figure is |
//! |---|---|---|
//! | `ops_per_s` | closed loop | one slice's, over the references' in the same block |
//! | `cpu_ns_per_op` | all | one slice's, over the references' in the same block |
//! | `total_ops_per_s` | closed loop | that of all slices of a round together, over the references' |
//! | `total_cpu_ns_per_op` | all | that of all slices of a round together, over the references' |
//! | `steadiness`, `cpu_steadiness` | closed loop; all | the ratio of the sums of a round over the median ratio of its slices |
//! | `syscalls_per_op`, `ctx_switches_per_op` | all | one round's count, over the references' in the same round |
//! | `p50_ns`, `p90_ns`, `p99_ns`, `p999_ns` | all with latencies | the percentile of one round's latencies, over the references' in the same round |
//! | `capacity_per_s` | offered rate | one round's, over the references' in the same round |
//!
//! The reference runs in two processes, and a lane is divided by the geometric mean of both, or of the one that has
//! a figure. The control is the second process over the first. A lane with a reference of its own (`against`) has
//! that one alone.
//!
//! Each metric of a workload is a family: verdicts are adjusted over its lanes, the control left out. One metric
//! [decides](WorkloadSummary::deciding), fixed in the plan. A slice without operations has 0 operations per second, and an
//! infinite CPU time per operation if it used CPU time. Voided slices count nowhere. A count of zero against
//! another count has no ratio (see [`Figure::ratio`]), since any number in place of zero would determine it. A
//! percentile of a round needs at least ten samples above it.
//!
//! At an offered rate, latency counts from when an operation was due. A closed loop omits the operations that
//! would have waited, so its latencies are labelled. A lane whose backlog grows by more than 5 %
//! of the offered operations in more than half of its slices is `overloaded` and takes part in no comparison.

mod analyse;
pub mod claim;
pub mod compare;
mod data;
mod error_bar;
pub mod export;
pub mod format;
mod gate;
mod grid;
pub mod history;
mod machine;
mod markdown;
mod overview;
pub mod plot;
mod sentence;
mod splice;
mod style;
mod summary;
pub mod sweep;
mod table;
mod warn;

pub use analyse::precise_enough;
pub use gate::{
    GATE_SCHEMA, GateFailure, GateReport, GateRow, GitHub, HEAD, gate_markdown, gate_table,
    gate_warnings, github,
};
pub use markdown::markdown;
pub use splice::{SpliceError, is_stale, sections, splice};
pub use style::{Style, Tone};
pub use summary::{
    Bound, Cause, Cell, Figure, FloorShare, Interval, Latency, Metric, Modes, PlanSummary, Role,
    SCHEMA, STALL, Summary, Warning, WarningKind, WorkloadSummary,
};
pub use table::{table, warnings};

/// The summary as JSON, indented, with a newline at its end.
pub fn json(summary: &Summary) -> String {
    serde_json::to_string_pretty(summary).expect("a summary is plain data") + "\n"
}
