//! Tables, pages and exports: from a record to its report.
//!
//! ```text
//! Record ── Summary::of ──> Summary ──┬── table, warnings    terminal
//!                                     ├── json               machines
//!                                     ├── markdown           pages
//!                                     └── sections, splice   README
//! ```
//!
//! Everything is computed from the record alone, so statistics can be redone without measuring
//! again, and the same record always gives the same report, byte for byte. The decisions are those of
//! `rtswap-stats`. The only I/O is in [`Style::of_stdout`], which asks for the terminal's width.
//!
//! # What is compared
//!
//! | metric | workloads | a figure is | family |
//! |---|---|---|---|
//! | `ops_per_s`, `cpu_ns_per_op` | closed loop | one slice's, over the reference's in the same block | all lanes × both metrics |
//! | `cpu_ns_per_op` | offered rate | one slice's, over the reference's in the same block | all lanes |
//! | `syscalls_per_op`, `ctx_switches_per_op` | all | one round's count, over the reference's in the same round | all lanes × both metrics |
//! | `p50_ns`, `p90_ns`, `p99_ns`, `p999_ns` | offered rate | the percentile of one round's latencies, over the reference's in the same round | all lanes × all four |
//! | `capacity_per_s` | offered rate | one round's, over the reference's in the same round | all lanes |
//!
//! Verdicts are adjusted within a family and a workload. Slices without operations or CPU time have no
//! figure, and voided slices count nowhere. A count of zero against another count has no ratio (see
//! [`Figure::ratio`]), since any number in place of zero would determine it. A percentile of a round needs at
//! least ten samples above it.
//!
//! At an offered rate, latency counts from when an operation was due. A closed loop omits the operations that
//! would have waited, so its latencies are figures without verdicts. A lane whose backlog grows by more than 5 %
//! of the offered operations in more than half of its slices is `overloaded` and takes part in no comparison.
//!
//! The bottleneck determines which verdict counts: see [`Cell::deciding`]. At an offered rate it is CPU time.

mod analyse;
pub mod claim;
mod data;
mod error_bar;
pub mod format;
mod grid;
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
