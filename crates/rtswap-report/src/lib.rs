//! Tables, exports and the spliced README: from a record to what a reader sees.
//!
//! ```text
//! Record ── Summary::of ──> Summary ──┬── table, warnings    terminal
//!                                     ├── json               machines
//!                                     ├── markdown           pages
//!                                     └── sections, splice   README
//! ```
//!
//! Everything is computed from the record alone, so statistics can be redone without measuring
//! again, and the same record always gives the same report, byte for byte. Nothing here decides
//! anything: that is `rtswap-stats`. Nothing here does I/O but [`Style::of_stdout`], which looks at the
//! terminal.
//!
//! # What is compared
//!
//! | metric | a figure is | families |
//! |---|---|---|
//! | `ops_per_s`, `cpu_ns_per_op` | one slice's, over the reference's in the same block | all lanes × both metrics |
//! | `syscalls_per_op`, `ctx_switches_per_op` | one round's count, over the reference's in the same round | all lanes × both metrics |
//!
//! Verdicts are adjusted within a family and a workload. Slices without operations or CPU time have no
//! figure. A count of zero against another count has no ratio (see [`Figure::ratio`]): any number put
//! in zero's place would be the ratio.
//!
//! Which verdict counts depends on who was the limit: see [`Cell::deciding`].

mod analyse;
pub mod claim;
mod data;
mod grid;
mod machine;
mod markdown;
mod overview;
mod plot;
mod sentence;
mod splice;
mod style;
mod summary;
pub mod sweep;
mod table;
mod warn;
mod whisker;
pub mod words;

pub use analyse::{ALPHA, precise_enough};
pub use markdown::markdown;
pub use splice::{SpliceError, is_stale, sections, splice};
pub use style::{Style, Tone};
pub use summary::{
    Bound, Cell, Figure, FloorShare, Interval, Latency, Metric, PlanSummary, Role, SCHEMA, Summary,
    Warning, WarningKind, WorkloadSummary,
};
pub use table::{table, warnings};

/// The summary as JSON, indented, with a newline at its end.
pub fn json(summary: &Summary) -> String {
    serde_json::to_string_pretty(summary).expect("a summary is plain data") + "\n"
}
