//! What a self-test shows: from its figures to a table and a sentence. Pure.

use rtswap_report::{Interval, Style, Tone, format};
use serde::Serialize;

/// True effects from here on must be detected. A little below the 2 % that are aimed at, because the
/// reference's CPU time is estimated before the run.
const REQUIRED: f64 = 0.015;

/// The figures of a run of one workload on the reference, its control and lanes slowed down on purpose.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Figures {
    pub workload: String,
    /// The noun for one operation.
    pub unit: String,
    pub reference: String,
    /// The reference's CPU time per operation.
    pub cpu_ns_per_op: f64,
    pub control: Row,
    /// A third process of the reference.
    pub same: Row,
    /// The lane with the smallest delay first.
    pub lanes: Vec<Row>,
    /// Share of the machine's CPU time that the hypervisor gave to others, 0 to 1.
    pub steal: Option<f64>,
    /// The smallest true difference in CPU time that the run detects in four cases of five.
    pub smallest_effect: Option<f64>,
    pub rounds: usize,
    pub blocks: usize,
    pub seed: u64,
    pub budget_s: f64,
}

/// One lane in CPU time per operation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Row {
    lane: String,
    injected_ns: u64,
    /// The injected delay relative to the reference's CPU time.
    effect: f64,
    #[serde(flatten)]
    measured: Interval,
    /// Whether a lane was called worse than the reference, or the control different from it.
    detected: bool,
    /// Whether the interval holds the true effect.
    holds_truth: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Outcome {
    #[serde(flatten)]
    figures: Figures,
    /// Whether every lane slower by [`REQUIRED`] was detected, and no difference of the control or of the third
    /// process.
    passed: bool,
    sentence: String,
    /// What to do; `None` if passed.
    pub remedy: Option<String>,
}

impl Row {
    /// The control has `injected_ns` 0.
    pub fn new(lane: &str, injected_ns: u64, of_ns: f64, it: Interval, detected: bool) -> Self {
        let effect = injected_ns as f64 / of_ns;
        let holds_truth = it.lo <= 1.0 + effect && it.hi.is_none_or(|hi| 1.0 + effect <= hi);
        Self { lane: lane.to_owned(), injected_ns, effect, measured: it, detected, holds_truth }
    }

    fn line(&self, style: Style) -> String {
        let (injected, verdict, good) = match (self.injected_ns, self.detected) {
            (0, true) => (self.lane.clone(), "differs", false),
            (0, false) => (self.lane.clone(), "no difference", true),
            (ns, true) => (format!("{ns} ns"), "detected", true),
            (ns, false) => (format!("{ns} ns"), "missed", false),
        };
        let tone = if good { Tone::Good } else { Tone::Unsure };
        let verdict = style.paint(&format!("{verdict:13}"), tone);
        let truth = if self.holds_truth { "yes" } else { "no" };
        let effect = format!("{:.2} %", self.effect * 100.0);
        let percent = |ratio: f64| format!("{:+.2}", (ratio - 1.0) * 100.0);
        let Interval { ratio, lo, hi } = self.measured;
        let hi = hi.map_or("unknown".to_owned(), percent);
        let measured = format!("{} % [{}, {hi}]", percent(ratio), percent(lo));
        columns(&injected, &effect, &measured, &verdict, truth)
    }
}

fn columns(injected: &str, effect: &str, measured: &str, verdict: &str, truth: &str) -> String {
    format!("{injected:>11}  {effect:>11}  {measured:25}  {verdict}  {truth}\n")
}

impl Outcome {
    pub fn of(figures: Figures) -> Self {
        let mut required = figures.lanes.iter().filter(|row| row.effect >= REQUIRED).peekable();
        let too_small = required.peek().is_none();
        let is_sound = !figures.control.detected && !figures.same.detected;
        let passed = is_sound && !too_small && required.all(|row| row.detected);
        let remedy = if too_small {
            let required = format::percent(REQUIRED);
            format!("no lane was slowed down by {required} or more: inject more (`--delays`)")
        } else {
            format!(
                "measure for longer (`rtswap doctor --self-test --budget {:.0}s`), or on a quieter \
                 machine (`rtswap doctor` shows what disturbs this one)",
                (figures.budget_s * 4.0).max(60.0)
            )
        };
        let sentence = sentence(&figures);
        Self { figures, passed, sentence, remedy: (!passed).then_some(remedy) }
    }

    /// The table, the sensitivity and the sentence.
    pub fn text(&self, style: Style) -> String {
        let it = &self.figures;
        let paragraph = |text: &str, tone| -> String {
            let text = style.wrap(text, "", "  ");
            text.lines().map(|line| style.paint(line, tone) + "\n").collect()
        };
        let cpu = format::time(it.cpu_ns_per_op);
        let heading =
            format!("{}: {} takes {cpu} of CPU time per {}", it.workload, it.reference, it.unit);
        let measured = "measured [95 % interval]";
        let head = columns("injected", "true effect", measured, "verdict      ", "holds the truth");
        let rows = [&it.control, &it.same].into_iter().chain(&it.lanes).map(|row| row.line(style));
        let smallest = format!(
            "Smallest difference that four of five such runs detect: {} ({} of {}).",
            it.smallest_effect.map_or("unknown".to_owned(), format::percent),
            format::counted(it.rounds, "round"),
            format::counted(it.blocks / it.rounds.max(1), "block")
        );
        format!(
            "{}\n{head}{}\n{}\n{}",
            paragraph(&heading, Tone::Plain),
            rows.collect::<String>(),
            paragraph(&smallest, Tone::Faint),
            paragraph(&self.sentence, if self.passed { Tone::Good } else { Tone::Unsure })
        )
    }
}

fn sentence(figures: &Figures) -> String {
    let missed = figures.lanes.iter().rposition(|row| !row.detected);
    let detects = match figures.lanes.get(missed.map_or(0, |at| at + 1)) {
        Some(Row { effect, .. }) => {
            format!("This machine detects differences of {} and more.", format::percent(*effect))
        }
        None => "This run did not detect the largest difference.".to_owned(),
    };
    let missed = figures.lanes.iter().filter(|row| !row.detected);
    let missed: Vec<String> = missed.map(|row| format::percent(row.effect)).collect();
    let missed = match &missed[..] {
        [] => String::new(),
        missed => format!(" It missed {}.", format::list(missed)),
    };
    let control = if figures.control.detected {
        "The control differs from the reference, although it is the same program: nothing here is \
         reliable."
    } else if figures.same.detected {
        "A third process of the same program is called different: a false alarm."
    } else {
        "The control and a third process of the same program show no difference."
    };
    format!("{detects}{missed} {control}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lanes slower by 1, 2 and 5 %, each detected or not, and a control.
    fn outcome(detected: [bool; 3], control_differs: bool) -> Outcome {
        let named = |name: &str, ns, detected| {
            let truth = 1.0 + ns as f64 / 8_000.0;
            let measured =
                Interval { ratio: truth + 0.001, lo: truth - 0.005, hi: Some(truth + 0.006) };
            Row::new(name, ns, 8_000.0, measured, detected)
        };
        let row = |ns, detected| named("tokio", ns, detected);
        Outcome::of(Figures {
            workload: "tcp-echo/size=1024/conns=32".to_owned(),
            unit: "message".to_owned(),
            reference: "tokio".to_owned(),
            cpu_ns_per_op: 8_000.0,
            control: named("control", 0, control_differs),
            same: named("same", 0, false),
            lanes: std::iter::zip([80, 160, 400], detected).map(|(ns, it)| row(ns, it)).collect(),
            steal: None,
            smallest_effect: Some(0.009),
            rounds: 30,
            blocks: 240,
            seed: 7,
            budget_s: 60.0,
        })
    }

    #[test]
    fn outcome_passes_if_all_required_effects_are_detected() {
        let cases = [
            ([true, true, true], true, "This machine detects differences of 1.0 % and more. The"),
            ([false, true, true], true, "differences of 2.0 % and more. It missed 1.0 %. The"),
            ([true, false, true], false, "differences of 5.0 % and more. It missed 2.0 %. The"),
            ([false, false, true], false, "5.0 % and more. It missed 1.0 % and 2.0 %. The"),
            ([true, true, false], false, "did not detect the largest difference. It missed 5.0 %."),
        ];
        for (detected, passed, sentence) in cases {
            let outcome = outcome(detected, false);
            assert!(outcome.sentence.contains(sentence), "{outcome:?}");
            assert_eq!(outcome.passed, passed, "{outcome:?}");
            assert_eq!(outcome.remedy.is_none(), passed, "{outcome:?}");
            assert!(passed || outcome.remedy.unwrap().contains("--budget 240s"));
        }
    }

    #[test]
    fn outcome_fails_if_the_control_differs() {
        let outcome = outcome([true; 3], true);
        assert!(!outcome.passed && outcome.sentence.contains("The control differs"), "{outcome:?}");
    }

    #[test]
    fn outcome_fails_if_third_process_is_called_different() {
        let mut figures = outcome([true; 3], false).figures;
        figures.same.detected = true;
        let outcome = Outcome::of(figures);
        assert!(!outcome.passed && outcome.sentence.contains("a false alarm"), "{outcome:?}");
    }

    #[test]
    fn outcome_fails_if_all_effects_are_small() {
        let mut figures = outcome([true; 3], false).figures;
        figures.lanes.truncate(1);
        let outcome = Outcome::of(figures);
        assert!(!outcome.passed && outcome.remedy.unwrap().contains("1.5 % or more: inject more"));
    }

    #[test]
    fn row_holds_truth() {
        let holds =
            |lo, hi| Row::new("", 80, 8_000.0, Interval { ratio: 1.0, lo, hi }, true).holds_truth;
        assert!(holds(1.0, Some(1.02)) && holds(1.0, None));
        assert!(!holds(1.0, Some(1.005)) && !holds(1.011, None));
    }

    #[test]
    fn text_fits_eighty_columns() {
        let mut figures = outcome([false, true, true], false).figures;
        figures.lanes[2].holds_truth = false;
        let style = Style { width: 80, color: false, unicode: false };
        let expected = "\
tcp-echo/size=1024/conns=32: tokio takes 8.00 us of CPU time per message

   injected  true effect  measured [95 % interval]   verdict        holds the truth
    control       0.00 %  +0.10 % [-0.50, +0.60]     no difference  yes
       same       0.00 %  +0.10 % [-0.50, +0.60]     no difference  yes
      80 ns       1.00 %  +1.10 % [+0.50, +1.60]     missed         yes
     160 ns       2.00 %  +2.10 % [+1.50, +2.60]     detected       yes
     400 ns       5.00 %  +5.10 % [+4.50, +5.60]     detected       no

Smallest difference that four of five such runs detect: 0.9 % (30 rounds of 8
  blocks).

This machine detects differences of 2.0 % and more. It missed 1.0 %. The control
  and a third process of the same program show no difference.
";
        assert_eq!(Outcome::of(figures).text(style), expected);
    }
}
