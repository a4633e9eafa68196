//! Two records, compared in their ratios to a reference that both share.
//!
//! Absolute figures of two runs differ by what the machine did in between, and are not compared. A ratio to the
//! reference is measured in pairs within its run, so the *change* of a lane is its ratio in B over its ratio in A:
//! by how much it differs more, or less, from the reference. METHODOLOGY.md says what its interval leaves out.
//!
//! Ratios of two machines differ even if no program does, so a change is called better or worse only where machine
//! and offered rate are the same.
//!
//! [`Comparison::of`] lists every [`Reason`] not to compare. Those that [block](Reason::blocks) take their cells out;
//! the others are warnings.

mod reason;
mod render;

use rtswap_schema::record::Record;
use rtswap_stats::{Direction, Ratio, quotient};
use serde::Serialize;

pub use reason::{Reason, ReasonKind};
pub use render::{comparison_json, comparison_markdown, comparison_table, comparison_warnings};

use crate::summary::{Cell, Interval, Metric, Role, Summary};

/// The version of the comparison's JSON.
pub const COMPARISON_SCHEMA: u32 = 1;

/// A record with its summary.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The record.
    pub record: &'a Record,
    /// Its summary.
    pub summary: &'a Summary,
}

/// Two records compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// [`COMPARISON_SCHEMA`].
    pub schema: u32,
    /// What stands against comparing, whether or not it blocks.
    pub reasons: Vec<Reason>,
    /// The changes: of each metric of each cell that is comparable.
    pub changes: Vec<Change>,
}

/// The change of one metric of one lane.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The workload's full name.
    pub workload: String,
    /// The lane.
    pub lane: String,
    /// The lane that its ratios are taken against.
    pub against: String,
    /// The lane's version in A and in B, where both are known.
    pub versions: Option<(String, String)>,
    /// The metric.
    pub metric: Metric,
    /// Whether its verdict counts for the workload, in B.
    pub deciding: bool,
    /// The ratio to the reference in A.
    pub a: Interval,
    /// The ratio to the reference in B.
    pub b: Interval,
    /// The ratio in B over that in A, with its 95 % interval.
    pub change: Interval,
    /// What the interval shows.
    pub outcome: Outcome,
}

/// What the interval of a change shows, without adjustment for the number of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The lane has become better, relative to the reference.
    Better,
    /// The lane has become worse, relative to the reference.
    Worse,
    /// The interval excludes 1, but the machine or the offered rate differs too, and either may be the cause.
    Unattributed,
    /// The interval contains 1.
    NotShown,
}

impl Outcome {
    fn of(change: &Interval, direction: Direction, is_clouded: bool) -> Self {
        let is_better = (change.ratio > 1.0) == (direction == Direction::HigherIsBetter);
        match (change.holds_one(), is_clouded, is_better) {
            (true, ..) => Self::NotShown,
            (false, true, _) => Self::Unattributed,
            (false, false, true) => Self::Better,
            (false, false, false) => Self::Worse,
        }
    }
}

impl Comparison {
    /// Compares B with A. A reason whose kind is `allowed` is a warning instead of blocking.
    pub fn of(a: Side, b: Side, allowed: &[ReasonKind]) -> Self {
        let reasons = reason::all(a, b, allowed);
        let mut changes = Vec::new();
        for cell in &b.summary.cells {
            let Some(other) = a.summary.cell(&cell.name, &cell.lane) else { continue };
            if cell.role == Role::Lane && other.role == Role::Lane {
                changes.extend(changes_of(other, cell, &b.summary.reference, &reasons));
            }
        }
        Self { schema: COMPARISON_SCHEMA, reasons, changes }
    }

    /// Whether nothing is comparable.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

fn changes_of(a: &Cell, b: &Cell, reference: &str, reasons: &[Reason]) -> Vec<Change> {
    let is_clouded = reasons.iter().any(|reason| reason.clouds(b));
    let change = |(&metric, figure): (&Metric, &crate::summary::Figure)| {
        if reasons.iter().any(|reason| reason.blocks_cell(b, metric)) {
            return None;
        }
        let (of_a, of_b) = (a.metrics.get(&metric)?.interval()?, figure.interval()?);
        let quotient = quotient(&ratio(of_b), &ratio(of_a))?;
        let hi = Some(quotient.hi).filter(|hi| hi.is_finite());
        let change = Interval { ratio: quotient.ratio, lo: quotient.lo, hi };
        Some(Change {
            workload: b.name.clone(),
            lane: b.lane.clone(),
            against: b.against.as_deref().unwrap_or(reference).to_owned(),
            versions: version(a).zip(version(b)),
            metric,
            deciding: b.deciding == Some(metric),
            a: of_a,
            b: of_b,
            change,
            outcome: Outcome::of(&change, metric.direction(), is_clouded),
        })
    };
    b.metrics.iter().filter_map(change).collect()
}

fn ratio(Interval { ratio, lo, hi }: Interval) -> Ratio {
    Ratio { ratio, lo, hi: hi.unwrap_or(f64::INFINITY) }
}

/// The version that a lane reports.
fn version(cell: &Cell) -> Option<String> {
    Some(cell.info.as_ref()?.get("version")?.as_str()?.to_owned())
}
