//! Which of several versions in a row made a program worse.

use serde::{Deserialize, Serialize};

use crate::Direction;

/// Where a version lies between the last known good one and the first known bad one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// As the good end: the whole interval lies below half of the difference between the ends.
    Good,
    /// As the bad end: the whole interval lies above it.
    Bad,
    /// Its interval contains the half, or it could not be measured.
    Unknown,
}

/// The side of a version. `interval` is that of its ratio to the good end, and `bad` the ratio of the bad end, in the
/// same run.
pub fn side(interval: (f64, f64), bad: f64, direction: Direction) -> Side {
    let worse = match direction {
        Direction::LowerIsBetter => 1.0,
        Direction::HigherIsBetter => -1.0,
    };
    let half = bad.ln() * worse / 2.0;
    let ends = [interval.0.ln() * worse, interval.1.ln() * worse];
    let (lo, hi) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
    if ends.iter().any(|end| end.is_nan()) || half.is_nan() {
        Side::Unknown
    } else if hi < half {
        Side::Good
    } else if lo > half {
        Side::Bad
    } else {
        Side::Unknown
    }
}

/// A search among versions in a row, of which the first is good and the last is bad.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// `None` for versions that were not measured.
    sides: Vec<Option<Side>>,
}

/// The outcome of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// This version is the first bad one, and the one before it is good.
    First(usize),
    /// Between the last good and the first bad version, only versions are left whose side is unknown.
    Between(usize, usize),
}

impl Search {
    /// A search among `versions` versions, two or more.
    ///
    /// # Panics
    /// With fewer.
    pub fn new(versions: usize) -> Self {
        assert!(versions >= 2, "a search has two ends");
        let mut sides = vec![None; versions];
        sides[0] = Some(Side::Good);
        sides[versions - 1] = Some(Side::Bad);
        Self { sides }
    }

    /// The last version before the first bad one that is good, and that bad one.
    pub fn bounds(&self) -> (usize, usize) {
        let is = |side| move |at: &usize| self.sides[*at] == Some(side);
        let bad = (1..self.sides.len()).find(is(Side::Bad)).unwrap_or(self.sides.len() - 1);
        let good = (0..bad).rev().find(is(Side::Good)).unwrap_or(0);
        (good, bad)
    }

    /// Up to `most` versions to measure next, evenly spread between the bounds; empty if the search is over.
    pub fn next(&self, most: usize) -> Vec<usize> {
        let (good, bad) = self.bounds();
        let open: Vec<usize> = (good + 1..bad).filter(|&at| self.sides[at].is_none()).collect();
        let count = most.min(open.len());
        // The middle of each of `count + 1` parts, or all of them.
        (1..=count).map(|part| open[(open.len() * part - 1) / (count + 1)]).collect()
    }

    /// Keeps what was measured.
    pub fn keep(&mut self, version: usize, side: Side) {
        self.sides[version] = Some(side);
    }

    /// The side of a version, if it was measured.
    pub fn side(&self, version: usize) -> Option<Side> {
        self.sides[version]
    }

    /// The answer, once nothing is left to measure.
    pub fn found(&self) -> Option<Found> {
        let (good, bad) = self.bounds();
        if bad - good == 1 {
            return Some(Found::First(bad));
        }
        self.next(1).is_empty().then_some(Found::Between(good, bad))
    }

    /// Versions that are good although an earlier one is bad.
    pub fn good_again(&self) -> Vec<usize> {
        let (_, first) = self.bounds();
        (first..self.sides.len()).filter(|&at| self.sides[at] == Some(Side::Good)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn side_divides_at_half_of_the_difference() {
        let interval = |ratio: f64, width: f64| (ratio / (1.0 + width), ratio * (1.0 + width));
        let of = |ratio, width| side(interval(ratio, width), 1.1, Direction::LowerIsBetter);
        assert_eq!(of(1.0, 0.01), Side::Good);
        assert_eq!(of(1.1, 0.01), Side::Bad);
        assert_eq!(of(1.05, 0.01), Side::Unknown);
        assert_eq!(of(1.0, 0.2), Side::Unknown);
        assert_eq!(side((0.0, f64::INFINITY), 1.1, Direction::LowerIsBetter), Side::Unknown);
        assert_eq!(side((f64::NAN, 1.0), 1.1, Direction::LowerIsBetter), Side::Unknown);
        let of = |ratio| side(interval(ratio, 0.01), 1.0 / 1.1, Direction::HigherIsBetter);
        assert_eq!((of(1.0), of(0.9)), (Side::Good, Side::Bad));
    }

    /// Searches with `most` versions at a time, where `first` is the first bad one.
    fn search(versions: usize, first: usize, most: usize) -> (Option<Found>, usize) {
        let mut search = Search::new(versions);
        let mut steps = 0;
        while search.found().is_none() {
            steps += 1;
            for at in search.next(most) {
                search.keep(at, if at >= first { Side::Bad } else { Side::Good });
            }
        }
        (search.found(), steps)
    }

    #[test]
    fn search_finds_every_first_version_in_few_steps() {
        for versions in 2..40 {
            for first in 1..versions {
                for most in 1..5 {
                    let (found, steps) = search(versions, first, most);
                    assert_eq!(found, Some(Found::First(first)));
                    let needed = (versions as f64).log(most as f64 + 1.0).ceil() as usize + 1;
                    assert!(steps <= needed, "{versions} versions, {most} at a time: {steps}");
                }
            }
        }
    }

    #[test]
    fn search_goes_around_versions_whose_side_is_unknown() {
        let mut search = Search::new(5);
        for at in 1..4 {
            search.keep(at, Side::Unknown);
        }
        assert_eq!(search.found(), Some(Found::Between(0, 4)));
        search.keep(3, Side::Bad);
        assert_eq!(search.found(), Some(Found::Between(0, 3)));
        search.keep(1, Side::Good);
        search.keep(2, Side::Good);
        assert_eq!(search.found(), Some(Found::First(3)));
    }

    #[test]
    fn search_names_versions_that_are_good_again() {
        let mut search = Search::new(6);
        search.keep(1, Side::Bad);
        search.keep(3, Side::Good);
        assert_eq!(search.found(), Some(Found::First(1)));
        assert_eq!(search.good_again(), [3]);
    }
}
