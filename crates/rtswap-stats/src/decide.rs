//! From estimates to verdicts.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::estimate::{Estimate, null_is_infinite, t_quantile};
use crate::signed_rank::critical;
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Verdict {
    /// The lane is better than the reference.
    Better,
    /// The lane is worse than the reference.
    Worse,
    /// The whole interval lies within the margin.
    Equivalent,
    /// None of the others was shown; [`Decision::reason`] says why.
    Undecided,
}

impl Verdict {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Equivalent => "equivalent",
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
    /// Whether this lane is the control: one process of the reference against another.
    pub control: bool,
    /// The lane's ratio to the reference.
    pub estimate: Estimate,
}

/// How verdicts are reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// The probability of any false [`Better`](Verdict::Better) or [`Worse`](Verdict::Worse) in a family.
    pub alpha: f64,
    /// The largest relative difference that counts as equivalent: 0.03 is 3 %.
    pub margin: f64,
}

/// The decision on one comparison.
///
/// In JSON an infinite `mde` is `null`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Decision {
    /// The verdict.
    pub verdict: Verdict,
    /// p after Holm over the family; for the control p itself.
    pub p_adjusted: f64,
    /// Minimum detectable effect, relative (0.006 is 0.6 %): the smallest true difference that a
    /// run like this one finds four times out of five. Infinite if the run can find none.
    #[serde(deserialize_with = "null_is_infinite")]
    pub mde: f64,
    /// Why the verdict is [`Undecided`](Verdict::Undecided); `None` for every other verdict.
    pub reason: Option<Reason>,
    /// The factor by which the measured time would have to grow for `mde` to reach the margin, above 1.
    /// `None` if it does already, or if `mde` is infinite.
    pub longer: Option<f64>,
}

/// Why a verdict is undecided. Displays as a sentence with the remedy.
///
/// The first two mean that the run could have found a difference and found none
/// ([`no_difference`](Self::no_difference)); the others mean that it cannot decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Reason {
    /// p after Holm is not below alpha, and the interval reaches beyond the margin.
    NotSignificant,
    /// The interval contains 1, and reaches beyond the margin.
    IntervalHoldsOne,
    /// p cannot be below alpha with so few rounds, whatever the data.
    TooFewRounds {
        /// Rounds with data.
        rounds: usize,
        /// Rounds that the family needs.
        needed: usize,
    },
    /// The control differs from the reference in this metric.
    ControlDiffers,
    /// The control has no data in this metric.
    NoControl,
}

impl Reason {
    /// Whether the run could have found a difference and found none.
    pub fn no_difference(self) -> bool {
        matches!(self, Self::NotSignificant | Self::IntervalHoldsOne)
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
            Self::TooFewRounds { rounds, needed } => write!(
                f,
                "too few rounds for so many comparisons: {rounds} of at least {needed}; measure more rounds, or fewer lanes"
            ),
            Self::ControlDiffers => f.write_str(
                "the control differs from the reference, although both run the same program; look for what treats the two processes differently, then measure again",
            ),
            Self::NoControl => f.write_str(
                "the control has no data for this metric, so nothing shows that equal programs measure the same; measure with the control lane",
            ),
        }
    }
}

/// Decides one family: the lanes of a workload in one metric, and the control.
///
/// - `better` or `worse`: p after [`holm`] over the lanes is below `rule.alpha`, and the interval does not
///   contain 1. So any false one in the family has a probability of at most alpha.
/// - `equivalent`: otherwise, if the whole interval lies between 1/(1 + margin) and 1 + margin. That is the
///   test of two one-sided hypotheses (Schuirmann, *Journal of Pharmacokinetics and Biopharmaceutics* 15, 1987):
///   a true difference of the margin or more is called equivalent with a probability of at most 2.5 % for an
///   interval of 95 %.
/// - `undecided`: otherwise. [`Decision::reason`] says why.
///
/// The control is not part of Holm's family. It is tested by itself at a fifth of alpha: a difference between two
/// processes of one program shows a fault of the machine or of the method, which is rare and not small, while at
/// alpha itself chance would take away every verdict of one sound workload in twenty. With too few rounds for that
/// level, rounds that all lie on one side are a difference. If the control differs, has too few rounds to show
/// anything or is missing, every row is undecided. Too few rounds in one lane (after a crash) do not affect the other
/// lanes.
///
/// Decisions are in the order of `family`.
pub fn decide(family: &[Comparison], rule: &Rule) -> Vec<Decision> {
    let Rule { alpha, margin } = *rule;
    let lanes: Vec<f64> = family.iter().filter(|c| !c.control).map(|c| c.estimate.p).collect();
    let mut adjusted = holm(&lanes).into_iter();
    let too_few = |c: &Comparison, comparisons: usize| {
        let (rounds, needed) = (c.estimate.rounds, rounds_needed(comparisons, alpha));
        (rounds < needed).then_some(Reason::TooFewRounds { rounds, needed })
    };
    let differs = |c: &Comparison, p: f64| p < alpha && !c.estimate.holds(1.0);
    let controls: Vec<_> = family.iter().filter(|c| c.control).collect();
    let veto = if controls.is_empty() {
        Some(Reason::NoControl)
    } else if controls.iter().any(|c| control_differs(&c.estimate, alpha)) {
        Some(Reason::ControlDiffers)
    } else {
        controls.iter().find_map(|c| too_few(c, 1))
    };
    let decided = |c: &Comparison, p: f64, comparisons: usize| {
        if let Some(reason) = veto {
            (Verdict::Undecided, Some(reason))
        } else if !c.control && differs(c, p) {
            (Verdict::of(c.estimate.ratio, c.direction), None)
        } else if 1.0 / (1.0 + margin) <= c.estimate.lo && c.estimate.hi <= 1.0 + margin {
            (Verdict::Equivalent, None)
        } else if let Some(reason) = too_few(c, comparisons) {
            (Verdict::Undecided, Some(reason))
        } else if !c.control && p < alpha {
            (Verdict::Undecided, Some(Reason::IntervalHoldsOne))
        } else {
            (Verdict::Undecided, Some(Reason::NotSignificant))
        }
    };
    let row = |c: &Comparison| {
        let (comparisons, p) = if c.control {
            (1, c.estimate.p)
        } else {
            (lanes.len(), adjusted.next().unwrap_or(1.0))
        };
        let (verdict, reason) = decided(c, p, comparisons);
        let mde = detectable(&c.estimate, comparisons, alpha);
        let longer = (mde.is_finite() && mde > margin).then(|| (mde / margin).powi(2));
        Decision { verdict, p_adjusted: p, mde, reason, longer }
    };
    family.iter().map(row).collect()
}

pub(crate) fn control_differs(estimate: &Estimate, alpha: f64) -> bool {
    // With all rounds on one side.
    let smallest = 0.5_f64.powf(estimate.rounds as f64 - 1.0);
    let level = (alpha / 5.0).max(smallest * 1.0001);
    estimate.p < level.min(alpha) && !estimate.holds(1.0)
}

/// The smallest relative effect found with a power of 80 % at Holm's strictest level.
///
/// Two quantiles of Student's t times the standard error, as for a t-test, at the level that the
/// signed-rank test really has: the largest of its p-values that is not above alpha/m. With few rounds the
/// test is blunter than the t-test (at a rank sum of 0 every round must lie on the same side), so more is
/// needed. The factor for that is a compromise between normal rounds, for which it is mostly 4 to 8 % too
/// large, and rounds like Student's t with 3 degrees of freedom, for which it is up to 25 % too small.
/// `tests/simulation.rs` holds the power near 80 % under the noise of records.
pub(crate) fn detectable(estimate: &Estimate, comparisons: usize, alpha: f64) -> f64 {
    let Some((k, level)) = critical(estimate.rounds, alpha / comparisons as f64) else {
        return f64::INFINITY;
    };
    if estimate.rounds < 2 {
        return f64::INFINITY;
    }
    let freedom = (estimate.rounds - 1) as f64;
    let errors = t_quantile(level / 2.0, freedom) + t_quantile(1.0 - POWER, freedom);
    let blunter = 1.0 + 0.15 / (k as f64 + 1.0).powf(0.75);
    (errors * blunter * estimate.se_log).exp_m1()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule { alpha: 0.05, margin: 0.03 };

    /// A control and `ratios`, all with intervals of ±0.5 %.
    fn family(ratios: &[f64], rounds: usize, p: f64) -> Vec<Comparison> {
        let row = |ratio: f64, control: bool| Comparison {
            direction: Direction::LowerIsBetter,
            control,
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
        decide(family, &RULE).iter().map(|d| d.verdict).collect()
    }

    fn second(family: &[Comparison]) -> (Verdict, Option<Reason>) {
        let decision = decide(family, &RULE)[1];
        (decision.verdict, decision.reason)
    }

    fn undecided(reason: Reason) -> (Verdict, Option<Reason>) {
        (Verdict::Undecided, Some(reason))
    }

    #[test]
    fn decide_follows_direction_of_metric() {
        let mut family = family(&[1.1, 0.9], 12, 0.001);
        assert_eq!(verdicts(&family), [Verdict::Equivalent, Verdict::Worse, Verdict::Better]);
        for row in &mut family {
            row.direction = Direction::HigherIsBetter;
        }
        assert_eq!(verdicts(&family), [Verdict::Equivalent, Verdict::Better, Verdict::Worse]);
    }

    #[test]
    fn decide_finds_no_difference_if_one_condition_fails() {
        assert_eq!(second(&family(&[1.1], 12, 0.001)), (Verdict::Worse, None));
        assert_eq!(second(&family(&[1.1], 12, 0.1)), undecided(Reason::NotSignificant));
        let mut wide = family(&[1.1], 12, 0.001);
        wide[1].estimate.lo = 0.99;
        assert_eq!(second(&wide), undecided(Reason::IntervalHoldsOne));
    }

    #[test]
    fn decide_calls_equivalent_only_interval_within_margin() {
        let with = |lo: f64, hi: f64, p: f64| {
            let mut family = family(&[1.0], 12, p);
            (family[1].estimate.lo, family[1].estimate.hi) = (lo, hi);
            second(&family)
        };
        let equivalent = (Verdict::Equivalent, None);
        assert_eq!(with(1.0 / 1.03, 1.03, 0.7), equivalent);
        assert_eq!(with(1.001, 1.01, 0.06), equivalent);
        assert_eq!(with(0.97, 1.01, 0.7), undecided(Reason::NotSignificant));
        assert_eq!(with(0.99, 1.031, 0.7), undecided(Reason::NotSignificant));
        // A difference that is shown is named, however small.
        let mut small = family(&[1.01], 12, 0.001);
        assert_eq!(second(&small), (Verdict::Worse, None));
        small[1].estimate.p = 0.06;
        assert_eq!(second(&small), equivalent);
    }

    #[test]
    fn decide_adjusts_lanes_alone() {
        let mut family = family(&[1.1, 1.1, 1.1], 12, 0.02);
        family[1].estimate.p = 0.01;
        family[0].estimate.p = 0.3;
        let adjusted: Vec<f64> = decide(&family, &RULE).iter().map(|d| d.p_adjusted).collect();
        assert_eq!(adjusted, [0.3, 0.03, 0.04, 0.04]);
    }

    #[test]
    fn decide_states_how_much_longer_would_reach_margin() {
        let decision = |se_log: f64, rounds: usize| {
            let mut family = family(&[1.1], rounds, 0.001);
            family[1].estimate.se_log = se_log;
            decide(&family, &RULE)[1]
        };
        assert_eq!(decision(0.002, 12).longer, None);
        let wide = decision(0.02, 12);
        assert!(wide.mde > 0.06 && wide.mde < 0.09, "{wide:?}");
        assert_eq!(wide.longer, Some((wide.mde / 0.03).powi(2)));
        assert_eq!(decision(0.02, 5).longer, None);
    }

    #[test]
    fn decide_refuses_with_too_few_rounds() {
        let lanes = [1.5; 13];
        for decision in &decide(&family(&lanes, 9, 2_f64.powi(-8)), &RULE)[1..] {
            assert_eq!(decision.verdict, Verdict::Undecided);
            let reason = Some(Reason::TooFewRounds { rounds: 9, needed: 10 });
            assert_eq!(decision.reason, reason);
            assert!(decision.mde.is_infinite());
        }
        let enough = decide(&family(&lanes, 10, 2_f64.powi(-9)), &RULE);
        assert!(enough[1..].iter().all(|d| d.verdict == Verdict::Worse));
        assert!(enough[1].mde.is_finite());
    }

    #[test]
    fn decide_lets_short_lane_affect_no_other() {
        let mut family = family(&[1.5, 1.5], 12, 0.0005);
        family[1].estimate.rounds = 3;
        family[1].estimate.p = 0.25;
        assert_eq!(second(&family), undecided(Reason::TooFewRounds { rounds: 3, needed: 7 }));
        assert_eq!(verdicts(&family)[2], Verdict::Worse);
    }

    #[test]
    fn decide_refuses_without_sound_control() {
        let sound = family(&[1.5, 1.0], 12, 0.0005);
        let refused = |family: &[Comparison], reason: Reason| {
            for decision in decide(family, &RULE) {
                assert_eq!((decision.verdict, decision.reason), undecided(reason));
            }
        };
        refused(&sound[1..], Reason::NoControl);
        let mut differs = sound.clone();
        differs[0].estimate = sound[1].estimate;
        // The control is no member of the family: its p is not adjusted.
        differs[0].estimate.p = 0.0099;
        refused(&differs, Reason::ControlDiffers);
        differs[0].estimate.p = 0.0101;
        assert_eq!(verdicts(&differs)[..2], [Verdict::Undecided, Verdict::Worse]);
        // The smallest p of six rounds is 1/32.
        differs[0].estimate.rounds = 6;
        differs[0].estimate.p = 0.5_f64.powi(5);
        refused(&differs, Reason::ControlDiffers);
        let mut short = sound;
        short[0].estimate.rounds = 5;
        refused(&short, Reason::TooFewRounds { rounds: 5, needed: 6 });
        assert!(decide(&[], &RULE).is_empty());
    }

    #[test]
    fn reason_names_remedy() {
        let all = [
            (Reason::NotSignificant, true),
            (Reason::IntervalHoldsOne, true),
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
        let mut family = family(&[1.5], 12, 0.5);
        family[1].estimate.rounds = 2;
        let decision = decide(&family, &RULE)[1];
        let json = serde_json::to_string(&decision).unwrap();
        assert_eq!(
            json,
            r#"{"verdict":"undecided","p_adjusted":0.5,"mde":null,"reason":{"kind":"too_few_rounds","rounds":2,"needed":6},"longer":null}"#
        );
        assert_eq!(serde_json::from_str::<Decision>(&json).unwrap(), decision);
    }

    #[test]
    fn verdict_has_same_word_in_json_and_text() {
        for (verdict, word) in [
            (Verdict::Better, "better"),
            (Verdict::Worse, "worse"),
            (Verdict::Equivalent, "equivalent"),
            (Verdict::Undecided, "undecided"),
        ] {
            assert_eq!(serde_json::to_string(&verdict).unwrap(), format!("\"{word}\""));
            assert_eq!(format!("{verdict:>10}"), format!("{word:>10}"));
        }
    }
}
