//! Simulated histories: one measured log ratio for each commit, with the standard error that its record states.

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, StudentT};
use rand_pcg::Pcg64Mcg;

use super::normal;
use crate::changes::Point;

/// How far measured ratios lie from the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errors {
    /// Normal, as large as stated.
    Stated,
    /// Normal, 1.5 times as large as stated.
    Misjudged,
    /// 1.5 times as large as stated, Student's t with 3 degrees of freedom: the standard deviation is 2.6 times that
    /// stated.
    HeavyTailed,
    /// Normal, 1.5 times as large as stated, and 7.5 times for one commit in twenty.
    Disturbed,
    /// Normal, as large as stated, and 0.3 % more for the code layout of each commit's build.
    Layout,
}

impl Errors {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Stated, Self::Misjudged, Self::HeavyTailed, Self::Disturbed, Self::Layout];

    fn draw(self, se: f64, rng: &mut Pcg64Mcg) -> f64 {
        match self {
            Self::Stated => se * normal(rng),
            Self::Misjudged => 1.5 * se * normal(rng),
            Self::HeavyTailed => {
                let t = StudentT::new(3.0).expect("3 is above 0");
                1.5 * se * t.sample(rng)
            }
            Self::Disturbed => {
                let factor = if rng.random_bool(0.05) { 7.5 } else { 1.5 };
                factor * se * normal(rng)
            }
            Self::Layout => se * normal(rng) + 0.003 * normal(rng),
        }
    }
}

/// A level that changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The first point of the new level.
    pub at: usize,
    /// The new level less the old one, natural log.
    pub size: f64,
}

/// `n` commits, of which the true log ratio is 0 up to `step`. The stated standard errors are log-normal around 0.5 %,
/// with a deviation of 30 %.
pub fn history(errors: Errors, n: usize, step: Option<Step>, seed: u64) -> Vec<Point> {
    let mut rng = Pcg64Mcg::seed_from_u64(seed);
    let level = |at| step.map_or(0.0, |step| if at >= step.at { step.size } else { 0.0 });
    let point = |at| {
        let se = 0.005 * (0.3 * normal(&mut rng)).exp();
        Point { value: level(at) + errors.draw(se, &mut rng), se }
    };
    (0..n).map(point).collect()
}
