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
//! | metric | a figure is | families |
//! |---|---|---|
//! | `ops_per_s`, `cpu_ns_per_op` | one slice's, over the reference's in the same block | all lanes × both metrics |
//! | `syscalls_per_op`, `ctx_switches_per_op` | one round's count, over the reference's in the same round | all lanes × both metrics |
//!
//! Verdicts are adjusted within a family and a workload. Slices without operations or CPU time have no
//! figure. A count of zero against another count has no ratio (see [`Figure::ratio`]), since any number
//! in place of zero would determine it.
//!
//! The bottleneck determines which verdict counts: see [`Cell::deciding`].

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
    ALPHA, Bound, Cause, Cell, Figure, FloorShare, Interval, Latency, Metric, PlanSummary, Role,
    SCHEMA, Summary, Warning, WarningKind, WorkloadSummary,
};
pub use table::{table, warnings};

/// The summary as JSON, indented, with a newline at its end.
pub fn json(summary: &Summary) -> String {
    serde_json::to_string_pretty(summary).expect("a summary is plain data") + "\n"
}
