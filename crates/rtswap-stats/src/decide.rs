//! From estimates to verdicts.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::estimate::{Estimate, null_is_infinite, t_quantile};
use crate::signflip::smallest_p;
use crate::{holm, rounds_needed};

/// The power at which the minimum detectable effect is stated.
const POWER: f64 = 0.8;

/// Which direction of a metric is the good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Throughput: a higher ratio is faster.
    Higher,
    /// A cost (CPU time, system calls, memory, latency): a higher ratio is dearer.
    Lower,
}

/// What may be said about a lane in one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// More per second than the reference.
    Faster,
    /// Less per second than the reference.
    Slower,
    /// A lower cost than the reference.
    Cheaper,
    /// A higher cost than the reference.
    Dearer,
    /// No difference that this run could tell from noise; see [`Decision::mde`].
    Tie,
    /// The run cannot answer; see [`Decision::why`].
    Inconclusive,
}

impl Verdict {
    /// Whether a difference was called.
    pub fn differs(self) -> bool {
        !matches!(self, Self::Tie | Self::Inconclusive)
    }

    /// Whether the lane was called worse than the reference.
    pub fn worse(self) -> bool {
        matches!(self, Self::Slower | Self::Dearer)
    }

    /// The word in records and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Faster => "faster",
            Self::Slower => "slower",
            Self::Cheaper => "cheaper",
            Self::Dearer => "dearer",
            Self::Tie => "tie",
            Self::Inconclusive => "inconclusive",
        }
    }

    fn of(ratio: f64, better: Better) -> Self {
        match (better, ratio > 1.0) {
            (Better::Higher, true) => Self::Faster,
            (Better::Higher, false) => Self::Slower,
            (Better::Lower, true) => Self::Dearer,
            (Better::Lower, false) => Self::Cheaper,
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
    /// Which direction is good.
    pub better: Better,
    /// Whether this lane is the control: a second process of the reference.
    pub control: bool,
    /// Which metric: the control of the same metric is the noise floor.
    pub metric: usize,
    /// The lane's ratio to the reference.
    pub estimate: Estimate,
}

/// What [`decide`] says about one comparison.
///
/// In JSON an infinite `mde` is `null`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// p after Holm over the family.
    pub p_adjusted: f64,
    /// Minimum detectable effect, relative (0.006 is 0.6 %): the smallest true difference that a
    /// run like this one calls four times out of five. Infinite where no difference could be.
    #[serde(deserialize_with = "null_is_infinite")]
    pub mde: f64,
    /// Why no difference is called; `None` where one is.
    pub why: Option<Reason>,
}

/// Why a comparison is a tie or inconclusive. Displays as a sentence with the remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Reason {
    /// Tie: p after Holm is not below alpha.
    NotSignificant,
    /// Tie: the interval holds 1.
    IntervalHoldsOne,
    /// Tie: the ratio is no further from 1 than the control's interval reaches.
    InsideNoiseFloor,
    /// Inconclusive: p could not get below alpha, whatever the data.
    TooFewRounds {
        /// Rounds with data.
        rounds: usize,
        /// Rounds that the family needs.
        needed: usize,
    },
    /// Inconclusive: the reference differs from itself in this metric.
    ControlDiffers,
    /// Inconclusive: without a control the noise floor is unknown.
    NoControl,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSignificant => f.write_str(
                "chance alone does as much; measure more rounds to see effects below the minimum detectable one",
            ),
            Self::IntervalHoldsOne => f.write_str(
                "the interval holds 1; measure more rounds to see effects below the minimum detectable one",
            ),
            Self::InsideNoiseFloor => f.write_str(
                "the difference lies within the control's interval; measure more rounds or on a quieter machine",
            ),
            Self::TooFewRounds { rounds, needed } => write!(
                f,
                "{rounds} rounds cannot decide this many comparisons; measure at least {needed}, or fewer lanes or metrics"
            ),
            Self::ControlDiffers => f.write_str(
                "the control differs from the reference although both are the same program; look for what treats them differently, then measure again",
            ),
            Self::NoControl => f.write_str(
                "the control has no data for this metric, so the noise floor is unknown; measure with the control lane",
            ),
        }
    }
}

/// What a metric's control lanes say.
struct Floor {
    /// The control's interval, stretched to hold 1.
    lo: f64,
    hi: f64,
    /// Half its width, in log units.
    half_width: f64,
    /// Why nothing can be decided in this metric, if so.
    broken: Option<Reason>,
}

/// Decides one family: all lanes × metrics of a workload, the control among them.
///
/// A difference is called only if all three hold:
/// 1. p after [`holm`] over the family is below `alpha`;
/// 2. the interval does not hold 1;
/// 3. the ratio lies outside the control's interval for the same metric (stretched to hold 1),
///    because a difference no larger than what the reference shows against itself is not news.
///
/// Otherwise it is a tie. A comparison is inconclusive if its rounds cannot reach the level
/// ([`rounds_needed`]), or if its metric's control has no data, has too few rounds, or itself
/// fulfils 1 and 2. Too few rounds in one lane (it crashed half-way) do not touch the others.
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
            let tie = if p_adjusted >= alpha {
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
            let verdict = match (broken, tie) {
                (Some(_), _) => Verdict::Inconclusive,
                (None, Some(_)) => Verdict::Tie,
                (None, None) => Verdict::of(ratio, c.better),
            };
            Decision {
                verdict,
                p_adjusted,
                mde: detectable(&c.estimate, family.len(), alpha, half_width),
                why: broken.or(tie),
            }
        })
        .collect()
}

/// The smallest relative effect seen with a power of 80 % at Holm's strictest level.
///
/// Two quantiles of Student's t times the standard error, as for a t-test, at the level that the
/// sign-flip test really has: its p comes in steps of 2^(1-n), so alpha/m is rounded down to k
/// steps. With few steps the test is blunter than the t-test (at k = 1 every round must lie on the
/// same side), so more is needed. The factor for that was fitted to simulated normal rounds, n = 8
/// to 20 and k = 1 to 224, and is within 4 % everywhere there; `tests/simulation.rs` holds it to 80 %.
///
/// Never below the half width of the control's interval, which a called difference has to leave.
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
            better: Better::Lower,
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
    fn costs_are_dearer_or_cheaper_and_rates_faster_or_slower() {
        let mut family = family(&[1.1, 0.9], 12, 0.001);
        assert_eq!(verdicts(&family)[1..], [Verdict::Dearer, Verdict::Cheaper]);
        for row in &mut family {
            row.better = Better::Higher;
        }
        assert_eq!(verdicts(&family)[1..], [Verdict::Faster, Verdict::Slower]);
        assert_eq!(verdicts(&family)[0], Verdict::Tie);
    }

    #[test]
    fn each_of_the_three_conditions_alone_makes_a_tie() {
        let why = |family: &[Comparison]| decide(family, 0.05)[1].why;
        assert_eq!(why(&family(&[1.1], 12, 0.001)), None);
        assert_eq!(why(&family(&[1.1], 12, 0.1)), Some(Reason::NotSignificant));
        let mut wide = family(&[1.1], 12, 0.001);
        wide[1].estimate.lo = 0.99;
        assert_eq!(why(&wide), Some(Reason::IntervalHoldsOne));
        let mut noisy = family(&[1.1], 12, 0.001);
        noisy[0].estimate.hi = 1.11;
        assert_eq!(why(&noisy), Some(Reason::InsideNoiseFloor));
        assert!(decide(&noisy, 0.05)[1].mde > 0.05);
    }

    #[test]
    fn too_few_rounds_refuse_to_decide() {
        let lanes = [1.5; 13];
        for decision in decide(&family(&lanes, 9, 2_f64.powi(-8)), 0.05) {
            assert_eq!(decision.verdict, Verdict::Inconclusive);
            let why = Some(Reason::TooFewRounds { rounds: 9, needed: 10 });
            assert_eq!(decision.why, why);
            assert!(decision.mde.is_infinite());
        }
        let enough = decide(&family(&lanes, 10, 2_f64.powi(-9)), 0.05);
        assert!(enough[1..].iter().all(|d| d.verdict == Verdict::Dearer));
        assert!(enough[1].mde.is_finite());
    }

    #[test]
    fn a_lane_that_stopped_early_does_not_touch_the_others() {
        let mut family = family(&[1.5, 1.5], 12, 0.0005);
        family[1].estimate.rounds = 3;
        family[1].estimate.p = 0.25;
        assert_eq!(verdicts(&family), [Verdict::Tie, Verdict::Inconclusive, Verdict::Dearer]);
    }

    #[test]
    fn a_control_that_differs_or_is_missing_is_no_floor() {
        let mut family = family(&[1.5], 12, 0.0005);
        family[0].estimate = family[1].estimate;
        for decision in decide(&family, 0.05) {
            assert_eq!(decision.verdict, Verdict::Inconclusive);
            assert_eq!(decision.why, Some(Reason::ControlDiffers));
        }
        let alone = decide(&family[1..], 0.05);
        assert_eq!(alone[0].why, Some(Reason::NoControl));
        // Another metric's control does not help.
        family[0].metric = 7;
        assert_eq!(decide(&family, 0.05)[1].why, Some(Reason::NoControl));
        assert!(decide(&[], 0.05).is_empty());
    }

    #[test]
    fn every_reason_that_needs_action_names_its_remedy() {
        let few = Reason::TooFewRounds { rounds: 3, needed: 10 };
        for reason in [few, Reason::NotSignificant, Reason::ControlDiffers, Reason::NoControl] {
            assert!(reason.to_string().contains("measure"), "{reason}");
        }
        assert_eq!(format!("{:>6}", Verdict::Tie), "   tie");
    }

    #[test]
    fn verdicts_are_lower_case_words_in_json_and_what_is_unknown_is_null() {
        let decisions = decide(&family(&[1.5], 2, 0.5), 0.05);
        let json = serde_json::to_string(&decisions[1]).unwrap();
        assert_eq!(
            json,
            r#"{"verdict":"inconclusive","p_adjusted":1.0,"mde":null,"why":{"kind":"too_few_rounds","rounds":2,"needed":7}}"#
        );
        assert_eq!(serde_json::from_str::<Decision>(&json).unwrap(), decisions[1]);
        for verdict in [Verdict::Faster, Verdict::Cheaper, Verdict::Tie] {
            let word = serde_json::to_string(&verdict).unwrap();
            assert_eq!(word, format!("\"{verdict}\""));
        }
    }
}
