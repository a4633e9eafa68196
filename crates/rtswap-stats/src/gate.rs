//! From comparisons to the outcome of a gate: a new version of one program against its old one, in several workloads.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::decide::{control_differs, detectable};
use crate::estimate::{Estimate, null_is_infinite};
use crate::{Direction, holm, rounds_needed};

/// One workload of a gate, in one metric: the new version (head) against the old one (base).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gated {
    /// The direction of the metric.
    pub direction: Direction,
    /// Head over base.
    pub head: Estimate,
    /// The second process of base over the first; `None` without data.
    pub control: Option<Estimate>,
    /// A change for the worse that was accepted for this workload, relative (0.05 is 5 %). It takes the place of
    /// [`GateRule::tolerance`].
    pub accepted: Option<f64>,
}

/// How outcomes are reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GateRule {
    /// The probability that a gate over head and base that do not differ has any [`Regression`](Outcome::Regression).
    pub alpha: f64,
    /// The largest change for the worse that passes, relative: 0.02 is 2 %.
    pub tolerance: f64,
    /// Whether a regression is only what is shown to be worse than the tolerance.
    pub strict: bool,
}

/// What a gate says of one workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Head is shown not to be worse than base by more than the tolerance.
    Pass,
    /// Neither was shown; [`Judgement::doubt`] says why.
    Inconclusive,
    /// Head is shown to be worse than base.
    Regression,
}

impl Outcome {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Inconclusive => "inconclusive",
            Self::Regression => "regression",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The outcome of one workload in one metric. Changes are relative, and positive for the worse: 0.012 is 1.2 % more
/// CPU time, or a throughput divided by 1.012.
///
/// In JSON an infinite number is `null`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Judgement {
    /// The outcome.
    pub outcome: Outcome,
    /// The estimated change.
    #[serde(deserialize_with = "null_is_infinite")]
    pub change: f64,
    /// The best end of its 95 % interval.
    #[serde(deserialize_with = "null_is_infinite")]
    pub best: f64,
    /// The worst end of its 95 % interval.
    #[serde(deserialize_with = "null_is_infinite")]
    pub worst: f64,
    /// The largest change that passes: the tolerance, or what was accepted.
    pub limit: f64,
    /// p of no change after [`holm`] over the workloads of the gate.
    pub p_adjusted: f64,
    /// Whether head is shown to be better than base.
    pub improved: bool,
    /// Minimum detectable effect, relative: the smallest true change for the worse that such a gate calls a regression
    /// four times out of five. Infinite if it can find none.
    #[serde(deserialize_with = "null_is_infinite")]
    pub mde: f64,
    /// Why the outcome is [`Inconclusive`](Outcome::Inconclusive); `None` for the others.
    pub doubt: Option<Doubt>,
    /// The factor by which the measured time would have to grow for another outcome, if the estimate stays where it
    /// is. `None` if the outcome is not inconclusive, or if more time would not help.
    pub longer: Option<f64>,
}

/// Why a gate is inconclusive. Displays as a sentence with the remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Doubt {
    /// The interval reaches beyond the limit, and no difference is shown.
    TooWide,
    /// Head is shown to be worse, but not by more than the limit, as was asked for.
    NotBeyondLimit,
    /// A regression cannot be shown with so few rounds.
    TooFewRounds {
        /// Rounds with data.
        rounds: usize,
        /// Rounds that so many workloads need.
        needed: usize,
    },
    /// The two processes of base differ.
    ControlDiffers,
    /// The second process of base has no data.
    NoControl,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooWide => f.write_str("the interval is too wide; measure for longer"),
            Self::NotBeyondLimit => f.write_str(
                "it is worse, but not shown to be worse than the limit; measure for longer",
            ),
            Self::TooFewRounds { rounds, needed } => write!(
                f,
                "too few rounds for so many workloads: {rounds} of at least {needed}; measure for longer, or fewer workloads"
            ),
            Self::ControlDiffers => f.write_str(
                "the two processes of base differ, although both run the same program; measure again, on a quieter machine",
            ),
            Self::NoControl => f.write_str("the second process of base has no data; measure again"),
        }
    }
}

/// Judges one metric of a gate: all of its workloads together.
///
/// - `pass`: the worst end of the 95 % interval lies within the limit. It is a test of non-inferiority: a workload whose
///   true change is the limit or more passes in at most 2.5 % of runs. Where all workloads have to pass, no adjustment
///   is needed (an intersection-union test; Berger, *Technometrics* 24, 1982).
/// - `regression`: otherwise, if head is worse and p after [`holm`] over the workloads is below `rule.alpha`. So a gate
///   without any change has a false regression with a probability of at most alpha, however many workloads it has. With
///   `rule.strict`, and where a change was accepted, the whole interval has to lie beyond the limit as well.
/// - `inconclusive`: otherwise.
///
/// A change that is shown, and shown to lie within the limit, passes: otherwise a gate that measures for long enough
/// would fail for any change, and the tolerance would tolerate nothing.
///
/// The control is tested in each workload, at a fifth of alpha over the whole gate. If it differs, the workload is
/// inconclusive.
///
/// Judgements are in the order of `workloads`.
pub fn gate(workloads: &[Gated], rule: &GateRule) -> Vec<Judgement> {
    let p: Vec<f64> = workloads.iter().map(|it| it.head.p).collect();
    let adjusted = holm(&p);
    let judged = workloads.iter().zip(adjusted);
    judged.map(|(workload, p)| judge(workload, p, workloads.len(), rule)).collect()
}

fn judge(workload: &Gated, p_adjusted: f64, workloads: usize, rule: &GateRule) -> Judgement {
    let Gated { direction, head, control, accepted } = workload;
    let GateRule { alpha, tolerance, strict } = *rule;
    let limit = accepted.unwrap_or(tolerance);
    let [best, change, worst] = match direction {
        Direction::LowerIsBetter => [head.lo, head.ratio, head.hi],
        Direction::HigherIsBetter => [1.0 / head.hi, 1.0 / head.ratio, 1.0 / head.lo],
    }
    .map(|cost| cost - 1.0);
    let needed = rounds_needed(workloads, alpha);
    let is_shown = p_adjusted < alpha && !head.holds(1.0);
    let is_beyond = best > limit;
    let veto = match control {
        None => Some(Doubt::NoControl),
        Some(control) => control_differs(control, alpha / workloads.max(1) as f64)
            .then_some(Doubt::ControlDiffers),
    };
    let (outcome, doubt) = if let Some(veto) = veto {
        (Outcome::Inconclusive, Some(veto))
    } else if worst <= limit {
        (Outcome::Pass, None)
    } else if is_shown && change > 0.0 {
        if is_beyond || !(strict || accepted.is_some()) {
            (Outcome::Regression, None)
        } else {
            (Outcome::Inconclusive, Some(Doubt::NotBeyondLimit))
        }
    } else if head.rounds < needed {
        (Outcome::Inconclusive, Some(Doubt::TooFewRounds { rounds: head.rounds, needed }))
    } else {
        (Outcome::Inconclusive, Some(Doubt::TooWide))
    };
    let mde = detectable(head, workloads, alpha);
    let longer =
        doubt.filter(|doubt| *doubt != Doubt::NoControl && *doubt != Doubt::ControlDiffers);
    let longer = longer.and_then(|_| longer_by(change, best, worst, limit, mde));
    let improved = is_shown && change < 0.0 && veto.is_none();
    Judgement { outcome, change, best, worst, limit, p_adjusted, improved, mde, doubt, longer }
}

/// The factor by which the measured time would have to grow for `change` to pass, or else to be called, whichever needs
/// less. Intervals shrink with the square root of time.
fn longer_by(change: f64, best: f64, worst: f64, limit: f64, mde: f64) -> Option<f64> {
    let [change, best, worst, limit, mde] = [change, best, worst, limit, mde].map(f64::ln_1p);
    let factor = |width: f64, room: f64| {
        let factor = (width / room).powi(2);
        (room > 0.0 && factor.is_finite()).then_some(factor.max(1.0))
    };
    let to_pass = factor(worst - change, limit - change);
    let to_call = factor(mde, change);
    let to_exceed = factor(change - best, change - limit);
    [to_pass, to_call, to_exceed].into_iter().flatten().min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: GateRule = GateRule { alpha: 0.05, tolerance: 0.02, strict: false };

    fn estimate(ratio: f64, half_width: f64, p: f64) -> Estimate {
        let (lo, hi) = (ratio / (1.0 + half_width), ratio * (1.0 + half_width));
        let se_log = half_width / 2.2;
        Estimate { ratio, lo, hi, p, se_log, rounds: 12, blocks: 96 }
    }

    fn gated(ratio: f64, half_width: f64, p: f64) -> Gated {
        Gated {
            direction: Direction::LowerIsBetter,
            head: estimate(ratio, half_width, p),
            control: Some(estimate(1.0, half_width, 0.8)),
            accepted: None,
        }
    }

    fn one(workload: Gated, rule: &GateRule) -> (Outcome, Option<Doubt>) {
        let judgement = gate(&[workload], rule)[0];
        (judgement.outcome, judgement.doubt)
    }

    #[test]
    fn gate_passes_only_interval_within_tolerance() {
        assert_eq!(one(gated(1.0, 0.01, 0.8), &RULE), (Outcome::Pass, None));
        let wide = (Outcome::Inconclusive, Some(Doubt::TooWide));
        assert_eq!(one(gated(1.0, 0.03, 0.8), &RULE), wide);
        assert_eq!(one(gated(1.015, 0.01, 0.2), &RULE), wide, "its worst end is 2.5 %");
        // A difference that is shown to be small passes.
        assert_eq!(one(gated(1.01, 0.005, 0.001), &RULE), (Outcome::Pass, None));
        assert_eq!(one(gated(0.9, 0.05, 0.001), &RULE), (Outcome::Pass, None));
    }

    #[test]
    fn gate_calls_regression_that_is_worse_and_not_within_tolerance() {
        let worse = gated(1.03, 0.02, 0.001);
        assert_eq!(one(worse, &RULE), (Outcome::Regression, None));
        let strict = GateRule { strict: true, ..RULE };
        let not_beyond = (Outcome::Inconclusive, Some(Doubt::NotBeyondLimit));
        assert_eq!(one(worse, &strict), not_beyond);
        assert_eq!(one(gated(1.05, 0.02, 0.001), &strict), (Outcome::Regression, None));
        let too_wide = (Outcome::Inconclusive, Some(Doubt::TooWide));
        assert_eq!(one(gated(1.03, 0.02, 0.06), &RULE), too_wide, "p");
        assert_eq!(one(gated(1.03, 0.04, 0.001), &RULE), too_wide, "the interval contains 1");
    }

    #[test]
    fn gate_follows_direction() {
        let of = |ratio: f64| {
            let gated = gated(ratio, 0.005, 0.001);
            gate(&[Gated { direction: Direction::HigherIsBetter, ..gated }], &RULE)[0]
        };
        let (slower, faster) = (of(1.0 / 1.05), of(1.05));
        assert_eq!((slower.outcome, slower.improved), (Outcome::Regression, false));
        assert!((slower.change - 0.05).abs() < 1e-9, "{slower:?}");
        assert!(slower.best < slower.change && slower.change < slower.worst);
        assert_eq!((faster.outcome, faster.improved), (Outcome::Pass, true));
    }

    #[test]
    fn gate_adjusts_over_its_workloads() {
        let worse = gated(1.03, 0.02, 0.01);
        assert_eq!(one(worse, &RULE).0, Outcome::Regression);
        let many = [[worse].as_slice(), &[gated(1.0, 0.01, 0.5); 7]].concat();
        let judged = gate(&many, &RULE);
        assert_eq!(judged[0].outcome, Outcome::Inconclusive, "8 times 0.01 is above 0.05");
        assert!((judged[0].p_adjusted - 0.08).abs() < 1e-12);
        assert!(judged[1..].iter().all(|it| it.outcome == Outcome::Pass));
    }

    #[test]
    fn gate_measures_accepted_change_against_its_limit() {
        let accepted = |ratio: f64| Gated { accepted: Some(0.05), ..gated(ratio, 0.01, 0.001) };
        assert_eq!(one(accepted(1.03), &RULE), (Outcome::Pass, None));
        let not_beyond = (Outcome::Inconclusive, Some(Doubt::NotBeyondLimit));
        assert_eq!(one(accepted(1.05), &RULE), not_beyond);
        assert_eq!(one(accepted(1.08), &RULE), (Outcome::Regression, None));
    }

    #[test]
    fn gate_without_sound_control_is_inconclusive() {
        let worse = gated(1.05, 0.01, 0.0005);
        let missing = Gated { control: None, ..worse };
        assert_eq!(one(missing, &RULE), (Outcome::Inconclusive, Some(Doubt::NoControl)));
        let differing = Gated { control: Some(estimate(1.03, 0.01, 0.001)), ..worse };
        assert_eq!(one(differing, &RULE), (Outcome::Inconclusive, Some(Doubt::ControlDiffers)));
        // In one of eight workloads it happens more often by chance.
        let eight = [[differing].as_slice(), &[gated(1.0, 0.01, 0.5); 7]].concat();
        let judged = gate(&eight, &GateRule { alpha: 0.03, ..RULE });
        assert_eq!(judged[0].doubt, None);
    }

    #[test]
    fn gate_names_too_few_rounds_only_where_they_are_the_reason() {
        let few = |ratio, half_width, p| {
            let mut gated = gated(ratio, half_width, p);
            gated.head.rounds = 5;
            one(gated, &RULE)
        };
        let doubt = Doubt::TooFewRounds { rounds: 5, needed: 6 };
        assert_eq!(few(1.05, 0.03, 0.0625), (Outcome::Inconclusive, Some(doubt)));
        assert_eq!(few(1.0, 0.01, 0.5), (Outcome::Pass, None));
    }

    #[test]
    fn gate_says_how_much_longer_would_decide() {
        let longer = |ratio, half_width| gate(&[gated(ratio, half_width, 0.3)], &RULE)[0].longer;
        let wide = longer(1.0, 0.04).unwrap();
        assert!((3.8..4.1).contains(&wide), "twice as wide as the tolerance: {wide}");
        assert_eq!(longer(1.0, 0.01), None, "it passes");
        // At the limit neither side is in reach of a pass, but a difference can be called.
        assert!(longer(1.02, 0.03).is_some());
        let differing = Gated { control: None, ..gated(1.0, 0.04, 0.3) };
        assert_eq!(gate(&[differing], &RULE)[0].longer, None);
    }
}
