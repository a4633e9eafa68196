//! The history of a branch: from records to entries, and from entries to series, change points and plots.
//!
//! ```text
//! Record ── entries ──> HistoryEntry, one line a cell ── History::of ──> Series ──┬── table, markdown, JSON
//!                       (a file, or git notes)                                   └── svg
//! ```
//!
//! A [`Series`] is one metric of one workload on one lane and one kind of machine, as a ratio to an anchor. Where the
//! anchor changes, ratios are chained: the ratio to the old anchor is the ratio to the new one, multiplied by the new
//! anchor's ratio to the old one, which is the entry of the new anchor's commit against the old anchor. Variances of
//! the logarithms add. Without that entry the series breaks.

mod entries;
mod plot;
mod search;
mod series;
mod text;

pub use entries::{Measurement, entries, machine_class};
pub use plot::svg;
pub use search::{ChangePoint, JOIN_Z, Level};
pub use series::{AnchorUse, History, MetricChoice, Options, Point, Series};

/// The beginning of a commit's hash, as people read it.
pub(crate) fn short(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}
