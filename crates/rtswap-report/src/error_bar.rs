//! A ratio and its interval as an error bar.

use crate::summary::Interval;

/// Relative difference that the scale covers at least, on both sides, so that noise looks small if no
/// lane differs.
const LEAST_REACH: f64 = 0.02;

/// The scale that the lanes of one table share, in natural-log units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    lo: f64,
    hi: f64,
}

impl Scale {
    /// The scale that contains all intervals, and 1.
    pub fn of(intervals: impl IntoIterator<Item = Interval>) -> Self {
        let reach = LEAST_REACH.ln_1p();
        let mut scale = Self { lo: -reach, hi: reach };
        for interval in intervals {
            for end in [interval.ratio, interval.lo, interval.hi.unwrap_or(interval.ratio)] {
                let log = end.ln();
                if log.is_finite() {
                    scale.lo = scale.lo.min(log);
                    scale.hi = scale.hi.max(log);
                }
            }
        }
        scale
    }

    /// The ratios at its ends.
    pub fn ends(self) -> (f64, f64) {
        (self.lo.exp(), self.hi.exp())
    }

    fn at(self, ratio: f64, width: usize) -> usize {
        let share = (ratio.ln().clamp(self.lo, self.hi) - self.lo) / (self.hi - self.lo);
        (share * (width - 1) as f64).round() as usize
    }

    /// A dot at the ratio, a line over its interval, and an upright line at 1.
    pub fn draw(self, interval: &Interval, width: usize) -> String {
        let mut line = vec![' '; width];
        let (lo, hi) = (interval.lo, interval.hi.unwrap_or(f64::INFINITY));
        line[self.at(lo, width)..=self.at(hi, width)].fill('─');
        line[self.at(1.0, width)] = '│';
        line[self.at(interval.ratio, width)] = '●';
        line.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(ratio: f64, lo: f64, hi: f64) -> Interval {
        Interval { ratio, lo, hi: Some(hi) }
    }

    #[test]
    fn draw_uses_logarithmic_scale() {
        let (half, twice) = (interval(0.5, 0.4, 0.6), interval(2.0, 1.6, 2.5));
        let scale = Scale::of([half, twice]);
        assert_eq!(scale.draw(&half, 21), "──●──     │          ");
        assert_eq!(scale.draw(&twice, 21), "          │    ───●──");
    }

    #[test]
    fn scale_has_least_reach() {
        let noise = interval(1.001, 0.998, 1.004);
        assert_eq!(Scale::of([noise]).draw(&noise, 11), "    ─●─    ");
    }

    #[test]
    fn draw_keeps_unbounded_interval_inside() {
        let open = Interval { ratio: 1.1, lo: 0.0, hi: None };
        assert_eq!(Scale::of([open]).draw(&open, 8), "─│─────●");
    }
}
