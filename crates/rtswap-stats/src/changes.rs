//! Change points of a series of measured log ratios, such as one for each commit.

mod cost;

use crate::order::median;
use cost::Cost;

/// One measured value of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// The natural log of a ratio.
    pub value: f64,
    /// Its standard error, above 0.
    pub se: f64,
}

/// How the distance of a point from the level of its segment counts, in units of the point's standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Its absolute value. The level is a weighted median, which single wild points do not move.
    Absolute,
    /// Its square. The level is a weighted mean.
    Squares,
}

/// Points from `start` up to, and without, `end` that share a level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    /// Its first point.
    pub start: usize,
    /// The point after its last.
    pub end: usize,
    /// The level, natural log of a ratio.
    pub level: f64,
    /// The level's standard error, from those of the points and [`Found::scale`].
    pub se: f64,
}

/// A point from which on the level is another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// The first point of the new level.
    pub at: usize,
    /// The least index that `at` may have, by [`Search::slack`].
    pub earliest: usize,
    /// The largest index that `at` may have.
    pub latest: usize,
    /// The new level less the old one, natural log.
    pub step: f64,
    /// The step's standard error.
    pub se: f64,
}

/// What a search has found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Factor by which the points scatter more than their standard errors say, at least 1.
    pub scale: f64,
    /// The segments, which cover the series.
    pub segments: Vec<Segment>,
    /// The changes between them.
    pub changes: Vec<Change>,
}

/// A search for the partition of a series into levels that has the least cost: the losses of all points, and the
/// penalty for each segment.
///
/// The search is exact. It takes time in n² log n: 200 points take a few milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Search {
    /// The loss of a point.
    pub loss: Loss,
    /// The cost of a segment.
    pub penalty: f64,
    /// The least number of points in a segment.
    pub shortest: usize,
    /// A change may lie wherever the losses exceed the least by at most this.
    pub slack: f64,
}

impl Default for Search {
    /// Calibrated by `cargo run --release -p rtswap-stats --example changes`.
    fn default() -> Self {
        Self { loss: Loss::Absolute, penalty: 6.0, shortest: 2, slack: 2.0 }
    }
}

/// The standard errors of real records are too small by about this factor, which a series can show only after
/// [`SHORT`] points.
const USUAL_SCALE: f64 = 1.5;

/// Points below which [`USUAL_SCALE`] is the least scale.
const SHORT: usize = 20;

/// The median of |x| of a standard normal x.
const NORMAL_MAD: f64 = 0.674_489_75;

/// Standard error of a median over that of a mean, of normal values.
const MEDIAN_SE: f64 = 1.253_314;

impl Search {
    /// The best partition. Points whose value or standard error is not finite, or whose standard error is not above
    /// 0, must be left out before.
    ///
    /// # Panics
    /// If there is such a point.
    pub fn find(&self, points: &[Point]) -> Found {
        let usable =
            |point: &Point| point.value.is_finite() && point.se.is_finite() && point.se > 0.0;
        assert!(
            points.iter().all(usable),
            "a point of a series needs a value and a standard error"
        );
        let scale = scale(points);
        let scaled: Vec<Point> =
            points.iter().map(|it| Point { se: it.se * scale, ..*it }).collect();
        let segments: Vec<Segment> = self
            .ends(&scaled)
            .windows(2)
            .map(|pair| self.segment(&scaled, pair[0], pair[1]))
            .collect();
        let changes =
            segments.windows(2).map(|pair| self.change(&scaled, pair[0], pair[1])).collect();
        Found { scale, segments, changes }
    }

    /// Where the segments of the best partition begin and end: 0, …, n.
    fn ends(&self, points: &[Point]) -> Vec<usize> {
        let n = points.len();
        if n == 0 {
            return Vec::new();
        }
        let shortest = self.shortest.clamp(1, n);
        // The least cost of the first so many points, and where their last segment begins.
        let mut best = vec![(f64::INFINITY, 0); n + 1];
        best[0].0 = 0.0;
        let mut cost = Cost::new(self.loss, points);
        for start in 0..n {
            if best[start].0.is_infinite() {
                continue;
            }
            let before = best[start].0 + self.penalty;
            cost.clear();
            for (at, best) in best[1..].iter_mut().enumerate().skip(start) {
                cost.add(at);
                let total = before + cost.value();
                if at + 1 - start >= shortest && total < best.0 {
                    *best = (total, start);
                }
            }
        }
        let mut ends = vec![n];
        while let Some(&end) = ends.last().filter(|end| **end > 0) {
            ends.push(best[end].1);
        }
        ends.reverse();
        ends
    }

    fn segment(&self, points: &[Point], start: usize, end: usize) -> Segment {
        let mut cost = Cost::new(self.loss, points);
        (start..end).for_each(|at| cost.add(at));
        let weight: f64 = points[start..end].iter().map(|point| point.se.powi(-2)).sum();
        let factor = match self.loss {
            // Of one or two points it is their mean.
            Loss::Absolute if end - start > 2 => MEDIAN_SE,
            _ => 1.0,
        };
        Segment { start, end, level: cost.level(), se: factor / weight.sqrt() }
    }

    fn change(&self, points: &[Point], before: Segment, after: Segment) -> Change {
        let (start, end) = (before.start, after.end);
        let mut cost = Cost::new(self.loss, points);
        // The cost of the points before each index, and of those from it on.
        let mut sums = vec![0.0; end - start + 1];
        for at in start..end {
            cost.add(at);
            sums[at + 1 - start] += cost.value();
        }
        cost.clear();
        for at in (start..end).rev() {
            cost.add(at);
            sums[at - start] += cost.value();
        }
        let least = sums[after.start - start];
        let may_be = |at: &usize| sums[at - start] <= least + self.slack;
        let shortest = self.shortest.max(1);
        let mut places = (start + shortest..=end - shortest).filter(may_be);
        let earliest = places.next().unwrap_or(after.start).min(after.start);
        let latest = places.next_back().unwrap_or(after.start).max(after.start);
        Change {
            at: after.start,
            earliest,
            latest,
            step: after.level - before.level,
            se: before.se.hypot(after.se),
        }
    }
}

/// Factor by which neighbours differ more than their standard errors say, from the median of the differences, which
/// changes of the level do not move.
fn scale(points: &[Point]) -> f64 {
    let differences = points
        .windows(2)
        .map(|pair| ((pair[1].value - pair[0].value) / pair[0].se.hypot(pair[1].se)).abs());
    let found = median(differences).map_or(1.0, |median| median / NORMAL_MAD);
    let least = if points.len() < SHORT { USUAL_SCALE } else { 1.0 };
    found.max(least)
}
