//! From estimates to verdicts.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::estimate::{Estimate, null_is_infinite, t_quantile};
use crate::signflip::smallest_p;
use crate::{holm, rounds_needed};

/// The power at which the minimum detectable effect is stated.
const POWER: f64 = 0.8;

/// The direction of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// A higher ratio is better: throughput.
    HigherIsBetter,
    /// A lower ratio is better: CPU time, system calls, memory, latency.
    LowerIsBetter,
}

/// How a lane compares with the reference in one metric.
///
/// There is no verdict of equivalence: the rule of [`decide`] has no margin within which two lanes
/// count as equivalent, and a difference that was not found may still exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Verdict {
    /// The lane is better than the reference.
    Better,
    /// The lane is worse than the reference.
    Worse,
    /// No difference was found, or the run cannot decide; [`Decision::reason`] says which.
    Undecided,
}

impl Verdict {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Undecided => "undecided",
        }
    }

    fn of(ratio: f64, direction: Direction) -> Self {
        if (ratio > 1.0) == (direction == Direction::HigherIsBetter) {
            Self::Better
        } else {
            Self::Worse
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One row of a family.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// The direction of the metric.
    pub direction: Direction,
    /// Whether this lane is the control: the second process of the reference.
    pub control: bool,
    /// Identifies the metric: the control of the same metric is its noise floor.
    pub metric: usize,
    /// The lane's ratio to the reference.
    pub estimate: Estimate,
}

/// The decision on one comparison.
///
/// In JSON an infinite `mde` is `null`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// p after Holm over the family.
    pub p_adjusted: f64,
    /// Minimum detectable effect, relative (0.006 is 0.6 %): the smallest true difference that a
    /// run like this one finds four times out of five. Infinite if the run can find none.
    #[serde(deserialize_with = "null_is_infinite")]
    pub mde: f64,
    /// Why the verdict is [`Undecided`](Verdict::Undecided); `None` for every other verdict.
    pub reason: Option<Reason>,
}

/// Why a verdict is undecided. Displays as a sentence with the remedy.
///
/// The first three mean that the run could have found a difference and found none
/// ([`no_difference`](Self::no_difference)); the others mean that it cannot decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Reason {
    /// p after Holm is not below alpha.
    NotSignificant,
    /// The interval contains 1.
    IntervalHoldsOne,
    /// The ratio lies within the control's interval.
    InsideNoiseFloor,
    /// p cannot be below alpha with so few rounds, whatever the data.
    TooFewRounds {
        /// Rounds with data.
        rounds: usize,
        /// Rounds that the family needs.
        needed: usize,
    },
    /// The control differs from the reference in this metric.
    ControlDiffers,
    /// The control has no data in this metric, so the noise floor is unknown.
    NoControl,
}

impl Reason {
    /// Whether the run could have found a difference and found none.
    pub fn no_difference(self) -> bool {
        matches!(self, Self::NotSignificant | Self::IntervalHoldsOne | Self::InsideNoiseFloor)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSignificant => f.write_str(
                "the difference is not statistically significant; measure more rounds to find smaller differences",
            ),
            Self::IntervalHoldsOne => f.write_str(
                "the interval contains 1; measure more rounds to find smaller differences",
            ),
            Self::InsideNoiseFloor => f.write_str(
                "the ratio lies within the control's interval; measure more rounds, or on a quieter machine",
            ),
            Self::TooFewRounds { rounds, needed } => write!(
                f,
                "too few rounds for so many comparisons: {rounds} of at least {needed}; measure more rounds, or fewer lanes"
            ),
            Self::ControlDiffers => f.write_str(
                "the control differs from the reference, although both run the same program; look for what treats the two processes differently, then measure again",
            ),
            Self::NoControl => f.write_str(
                "the control has no data for this metric, so the noise floor is unknown; measure with the control lane",
            ),
        }
    }
}

/// The noise floor of a metric.
struct Floor {
    /// The control's interval, extended to contain 1.
    lo: f64,
    hi: f64,
    /// Half its width, in log units.
    half_width: f64,
    /// Why nothing can be decided in this metric.
    broken: Option<Reason>,
}

/// Decides one family: all lanes × metrics of a workload, the control among them.
///
/// A lane is better or worse only if all three conditions hold:
/// 1. p after [`holm`] over the family is below `alpha`;
/// 2. the interval does not contain 1;
/// 3. the ratio lies outside the control's interval in the same metric (extended to contain 1),
///    because the reference shows differences of that size from itself.
///
/// Otherwise no difference was found, and the comparison is undecided. It is also undecided if its
/// rounds cannot reach the level ([`rounds_needed`]), or if its metric's control has no data, has too
/// few rounds, or itself fulfils conditions 1 and 2. Too few rounds in one lane (after a crash) do not
/// affect the other lanes.
///
/// Decisions are in the order of `family`.
pub fn decide(family: &[Comparison], alpha: f64) -> Vec<Decision> {
    let p: Vec<f64> = family.iter().map(|c| c.estimate.p).collect();
    let adjusted = holm(&p);
    let needed = rounds_needed(family.len(), alpha);
    let too_few = |c: &Comparison| {
        (c.estimate.rounds < needed)
            .then_some(Reason::TooFewRounds { rounds: c.estimate.rounds, needed })
    };
    let significant = |c: &Comparison, p: f64| p < alpha && !c.estimate.holds(1.0);
    let floor_of = |metric: usize| {
        let mut floor: Option<Floor> = None;
        for (c, &p) in family.iter().zip(&adjusted) {
            if !c.control || c.metric != metric {
                continue;
            }
            let broken = too_few(c).or_else(|| significant(c, p).then_some(Reason::ControlDiffers));
            let next =
                floor.get_or_insert(Floor { lo: 1.0, hi: 1.0, half_width: 0.0, broken: None });
            next.lo = next.lo.min(c.estimate.lo);
            next.hi = next.hi.max(c.estimate.hi);
            next.half_width = next.half_width.max(c.estimate.half_width());
            next.broken = next.broken.or(broken);
        }
        floor
    };
    family
        .iter()
        .zip(&adjusted)
        .map(|(c, &p_adjusted)| {
            let floor = floor_of(c.metric);
            let half_width = floor.as_ref().map_or(0.0, |f| f.half_width);
            let ratio = c.estimate.ratio;
            let broken = match &floor {
                None => Some(Reason::NoControl),
                Some(floor) => too_few(c).or(floor.broken),
            };
            let no_difference = if p_adjusted >= alpha {
                Some(Reason::NotSignificant)
            } else if c.estimate.holds(1.0) {
                Some(Reason::IntervalHoldsOne)
            } else if !c.control
                && floor.is_some_and(|floor| floor.lo <= ratio && ratio <= floor.hi)
            {
                Some(Reason::InsideNoiseFloor)
            } else {
                None
            };
            let reason = broken.or(no_difference);
            let verdict =
                reason.map_or_else(|| Verdict::of(ratio, c.direction), |_| Verdict::Undecided);
            Decision {
                verdict,
                p_adjusted,
                mde: detectable(&c.estimate, family.len(), alpha, half_width),
                reason,
            }
        })
        .collect()
}

/// The smallest relative effect found with a power of 80 % at Holm's strictest level.
///
/// Two quantiles of Student's t times the standard error, as for a t-test, at the level that the
/// sign-flip test really has: its p comes in steps of 2^(1-n), so alpha/m is rounded down to k
/// steps. With few steps the test is blunter than the t-test (at k = 1 every round must lie on the
/// same side), so more is needed. The factor for that was fitted to simulated normal rounds, n = 8
/// to 20 and k = 1 to 224, and is within 4 % everywhere there; `tests/simulation.rs` holds it to 80 %.
///
/// Never below the half-width of the control's interval, outside of which a difference has to lie.
fn detectable(estimate: &Estimate, comparisons: usize, alpha: f64, floor: f64) -> f64 {
    let strictest = alpha / comparisons as f64;
    let step = smallest_p(estimate.rounds);
    let steps = (strictest / step).floor();
    let level = steps * step;
    if !(level > 0.0 && level < 1.0) || estimate.rounds < 2 {
        return f64::INFINITY;
    }
    let freedom = (estimate.rounds - 1) as f64;
    let errors = t_quantile(level / 2.0, freedom) + t_quantile(1.0 - POWER, freedom);
    let blunter = 1.04 + 0.22 / steps.powf(0.75);
    (errors * blunter * estimate.se_log).max(floor).exp_m1()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A family of one control and `ratios`, all with intervals of ±0.5 %, one metric.
    fn family(ratios: &[f64], rounds: usize, p: f64) -> Vec<Comparison> {
        let row = |ratio: f64, control: bool| Comparison {
            direction: Direction::LowerIsBetter,
            control,
            metric: 0,
            estimate: Estimate {
                ratio,
                lo: ratio * 0.995,
                hi: ratio * 1.005,
                p: if control { 0.8 } else { p },
                se_log: 0.0023,
                rounds,
                blocks: rounds * 20,
            },
        };
        let lanes = ratios.iter().map(|ratio| row(*ratio, false));
        std::iter::once(row(1.0, true)).chain(lanes).collect()
    }

    fn verdicts(family: &[Comparison]) -> Vec<Verdict> {
        decide(family, 0.05).iter().map(|d| d.verdict).collect()
    }

    #[test]
    fn decide_follows_direction_of_metric() {
        let mut family = family(&[1.1, 0.9], 12, 0.001);
        assert_eq!(verdicts(&family), [Verdict::Undecided, Verdict::Worse, Verdict::Better]);
        for row in &mut family {
            row.direction = Direction::HigherIsBetter;
        }
        assert_eq!(verdicts(&family), [Verdict::Undecided, Verdict::Better, Verdict::Worse]);
    }

    #[test]
    fn decide_finds_no_difference_if_one_condition_fails() {
        let decided = |family: &[Comparison]| {
            let decision = decide(family, 0.05)[1];
            (decision.verdict, decision.reason)
        };
        let undecided = |reason| (Verdict::Undecided, Some(reason));
        assert_eq!(decided(&family(&[1.1], 12, 0.001)), (Verdict::Worse, None));
        assert_eq!(decided(&family(&[1.1], 12, 0.1)), undecided(Reason::NotSignificant));
        let mut wide = family(&[1.1], 12, 0.001);
        wide[1].estimate.lo = 0.99;
        assert_eq!(decided(&wide), undecided(Reason::IntervalHoldsOne));
        let mut noisy = family(&[1.1], 12, 0.001);
        noisy[0].estimate.hi = 1.11;
        assert_eq!(decided(&noisy), undecided(Reason::InsideNoiseFloor));
        assert!(decide(&noisy, 0.05)[1].mde > 0.05);
    }

    #[test]
    fn decide_refuses_with_too_few_rounds() {
        let lanes = [1.5; 13];
        for decision in decide(&family(&lanes, 9, 2_f64.powi(-8)), 0.05) {
            assert_eq!(decision.verdict, Verdict::Undecided);
            let reason = Some(Reason::TooFewRounds { rounds: 9, needed: 10 });
            assert_eq!(decision.reason, reason);
            assert!(decision.mde.is_infinite());
        }
        let enough = decide(&family(&lanes, 10, 2_f64.powi(-9)), 0.05);
        assert!(enough[1..].iter().all(|d| d.verdict == Verdict::Worse));
        assert!(enough[1].mde.is_finite());
    }

    #[test]
    fn decide_lets_short_lane_affect_no_other() {
        let mut family = family(&[1.5, 1.5], 12, 0.0005);
        family[1].estimate.rounds = 3;
        family[1].estimate.p = 0.25;
        let decisions = decide(&family, 0.05);
        let short = Some(Reason::TooFewRounds { rounds: 3, needed: 7 });
        assert_eq!(decisions[1].reason, short);
        assert_eq!(decisions[2].verdict, Verdict::Worse);
    }

    #[test]
    fn decide_refuses_without_sound_control() {
        let mut family = family(&[1.5], 12, 0.0005);
        family[0].estimate = family[1].estimate;
        for decision in decide(&family, 0.05) {
            assert_eq!(decision.verdict, Verdict::Undecided);
            assert_eq!(decision.reason, Some(Reason::ControlDiffers));
        }
        let alone = decide(&family[1..], 0.05);
        assert_eq!(alone[0].reason, Some(Reason::NoControl));
        // The control of another metric does not count.
        family[0].metric = 7;
        assert_eq!(decide(&family, 0.05)[1].reason, Some(Reason::NoControl));
        assert!(decide(&[], 0.05).is_empty());
    }

    #[test]
    fn reason_names_remedy() {
        let all = [
            (Reason::NotSignificant, true),
            (Reason::IntervalHoldsOne, true),
            (Reason::InsideNoiseFloor, true),
            (Reason::TooFewRounds { rounds: 3, needed: 10 }, false),
            (Reason::ControlDiffers, false),
            (Reason::NoControl, false),
        ];
        for (reason, no_difference) in all {
            assert!(reason.to_string().contains("; "), "{reason}");
            assert!(reason.to_string().contains("measure"), "{reason}");
            assert_eq!(reason.no_difference(), no_difference, "{reason}");
        }
    }

    #[test]
    fn decision_in_json_has_words_and_null_for_infinity() {
        let decisions = decide(&family(&[1.5], 2, 0.5), 0.05);
        let json = serde_json::to_string(&decisions[1]).unwrap();
        assert_eq!(
            json,
            r#"{"verdict":"undecided","p_adjusted":1.0,"mde":null,"reason":{"kind":"too_few_rounds","rounds":2,"needed":7}}"#
        );
        assert_eq!(serde_json::from_str::<Decision>(&json).unwrap(), decisions[1]);
    }

    #[test]
    fn verdict_has_same_word_in_json_and_text() {
        for (verdict, word) in [
            (Verdict::Better, "better"),
            (Verdict::Worse, "worse"),
            (Verdict::Undecided, "undecided"),
        ] {
            assert_eq!(serde_json::to_string(&verdict).unwrap(), format!("\"{word}\""));
            assert_eq!(format!("{verdict:>10}"), format!("{word:>10}"));
        }
    }
}
