//! Change points of a series, and what confirms them.

use rtswap_stats::changes::{self, Found, Search, Segment};
use rtswap_stats::{Direction, Verdict};
use serde::Serialize;

use super::series::{AnchorUse, Log, Point};
use crate::summary::Interval;

/// Standard errors by which the levels before and after a change of the anchor must differ to be called a change.
pub const JOIN_Z: f64 = 4.0;

/// A point from which on the level is another. It is a candidate until an experiment confirms it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChangePoint {
    /// The first point of the new level: an index into [`Series::points`](super::Series::points).
    pub at: usize,
    /// The last measured commit before the change.
    pub before: String,
    /// The first measured commit after it.
    pub after: String,
    /// The last measured commit that lies before the change, allowing for the uncertainty of its place.
    pub surely_before: String,
    /// The first measured commit that lies after the change, allowing for the uncertainty of its place.
    pub surely_after: String,
    /// Commits from `surely_before`, without it, up to `surely_after`: one of them made the change.
    pub commits: usize,
    /// The new level over the old one.
    pub step: Interval,
    /// What the change means: `better` or `worse`.
    pub verdict: Verdict,
    /// Whether the anchor changes here, too, so that the step includes the measured ratio of the anchors.
    pub is_at_anchor: bool,
    /// Whether the kind of machine changes here, too, which may be the reason.
    pub machine_changes: bool,
}

/// A level of a series.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Level {
    /// Its first point.
    pub first: usize,
    /// Its last point.
    pub last: usize,
    /// The ratio to the first anchor of the chain.
    pub ratio: f64,
}

/// A stretch of one anchor: the indices of its points that count, and what was found in it.
struct Stretch {
    points: Vec<usize>,
    found: Found,
}

/// The change points and levels of a series.
///
/// Within the points of one anchor the search is that of [`changes`]. Where the anchor changes, the level before and
/// the level after, chained, are compared as they are: the error of the link is common to all points behind it, so a
/// search over chained points would take it for a change.
pub(super) fn find(
    anchors: &[AnchorUse],
    points: &[Point],
    direction: Direction,
    search: &Search,
) -> (Vec<ChangePoint>, Vec<Level>) {
    let stretches: Vec<Stretch> =
        (0..anchors.len()).map(|anchor| stretch(points, anchor, search)).collect();
    let mut all = Vec::new();
    let mut levels = Vec::new();
    for (anchor, stretch) in anchors.iter().zip(&stretches) {
        if let Some(before) = anchor.linked_to.map(|to| (&anchors[to], &stretches[to])) {
            all.extend(join(points, before, (anchor, stretch), direction));
        }
        all.extend(within(points, stretch, direction));
        levels.extend(stretch.found.segments.iter().map(|segment| Level {
            first: stretch.points[segment.start],
            last: stretch.points[segment.end - 1],
            ratio: (segment.level + anchor.offset.value).exp(),
        }));
    }
    all.sort_by_key(|change| change.at);
    (all, levels)
}

fn stretch(points: &[Point], anchor: usize, search: &Search) -> Stretch {
    let counts = points.iter().enumerate().filter(|(_, point)| point.anchor == anchor);
    let (indices, logs): (Vec<usize>, Vec<changes::Point>) = counts
        .filter_map(|(at, point)| {
            let Log { value, se } = point.log?;
            Some((at, changes::Point { value, se }))
        })
        .unzip();
    Stretch { points: indices, found: search.find(&logs) }
}

fn within<'a>(
    points: &'a [Point],
    stretch: &'a Stretch,
    direction: Direction,
) -> impl Iterator<Item = ChangePoint> + 'a {
    stretch.found.changes.iter().map(move |change| {
        let index = |at: usize| stretch.points[at];
        let places = Places {
            before: index(change.at - 1),
            at: index(change.at),
            surely_before: index(change.earliest - 1),
            surely_after: index(change.latest),
        };
        change_point(points, places, Log { value: change.step, se: change.se }, direction)
    })
}

/// The change between two anchors, if there is one.
fn join(
    points: &[Point],
    (old, before): (&AnchorUse, &Stretch),
    (new, after): (&AnchorUse, &Stretch),
    direction: Direction,
) -> Option<ChangePoint> {
    let (last, first) = (before.found.segments.last()?, after.found.segments.first()?);
    // The standard error of the link is as much too small as those of the points around it.
    let scale = before.found.scale.max(after.found.scale);
    let link = (new.offset.se.powi(2) - old.offset.se.powi(2)).max(0.0).sqrt();
    let level = |of: &AnchorUse, segment: &Segment| of.offset.value + segment.level;
    let step = Log {
        value: level(new, first) - level(old, last),
        se: last.se.hypot(first.se).hypot(scale * link),
    };
    if step.value.abs() < JOIN_Z * step.se {
        return None;
    }
    let (before, at) = (*before.points.last()?, *after.points.first()?);
    let places = Places { before, at, surely_before: before, surely_after: at };
    Some(change_point(points, places, step, direction))
}

/// Indices of points.
#[derive(Clone, Copy)]
struct Places {
    before: usize,
    at: usize,
    surely_before: usize,
    surely_after: usize,
}

fn change_point(points: &[Point], at: Places, step: Log, direction: Direction) -> ChangePoint {
    let commit = |at: usize| points[at].commit.clone();
    let higher_is_better = direction == Direction::HigherIsBetter;
    let is_better = (step.value > 0.0) == higher_is_better;
    let (first, last) = (&points[at.surely_before], &points[at.surely_after]);
    ChangePoint {
        at: at.at,
        before: commit(at.before),
        after: commit(at.at),
        surely_before: commit(at.surely_before),
        surely_after: commit(at.surely_after),
        commits: last.position.saturating_sub(first.position).max(1),
        step: step.interval(),
        verdict: if is_better { Verdict::Better } else { Verdict::Worse },
        is_at_anchor: points[at.before].anchor != points[at.at].anchor,
        machine_changes: points[at.before].machines != points[at.at].machines,
    }
}
