//! An outcome in words: the sentence, the remedy and the table.

use rtswap_report::{Cell, Style, Tone, words};

use super::{Call, HEAVY_STEAL, Outcome, REQUIRED, Row};

impl Outcome {
    /// What was seen, in plain words.
    pub(super) fn sentence(&self, reference: Option<&Cell>) -> String {
        if self.cpu_ns_per_op.is_none() {
            let why = reference.and_then(|cell| cell.reason.as_deref());
            let why = words::one_line(why.unwrap_or("it has no figures"));
            return format!("{} was lost, so nothing could be compared: {why}.", self.reference);
        }
        let mut sentences: Vec<String> = self.seen().into_iter().collect();
        for row in &self.lanes {
            match row.verdict {
                Call::Lost => sentences.push(format!(
                    "The lane slowed down by {} ns was lost: {}.",
                    row.injected_ns,
                    row.why.as_deref().unwrap_or("it has no figures")
                )),
                Call::WrongWay => sentences.push(format!(
                    "{} was called better, although it uses more CPU time.",
                    row.effect()
                )),
                Call::Called | Call::NotCalled | Call::Undecided => {}
            }
        }
        sentences.extend(match self.control.verdict {
            Call::NotCalled => Some("The control was not called.".to_owned()),
            Call::Called | Call::WrongWay => Some(
                "The control was called, although it is the same program, so nothing here can be \
                 relied on."
                    .to_owned(),
            ),
            Call::Undecided => None,
            Call::Lost => Some(format!(
                "The control was lost: {}.",
                self.control.why.as_deref().unwrap_or("it has no figures")
            )),
        });
        sentences.join(" ")
    }

    /// From which difference on all were called.
    fn seen(&self) -> Option<String> {
        let judged: Vec<&Row> = self
            .lanes
            .iter()
            .filter(|row| !matches!(row.verdict, Call::Lost | Call::WrongWay))
            .collect();
        let undecided = judged.iter().find(|row| row.verdict == Call::Undecided);
        if let Some(row) = undecided {
            let why = row.why.as_deref().unwrap_or("the run cannot answer");
            return Some(format!("Nothing is decided: {why}."));
        }
        let called = |row: &&Row| row.verdict == Call::Called;
        let last_missed = judged.iter().rposition(|row| !called(row));
        let (below, tail) = judged.split_at(last_missed.map_or(0, |at| at + 1));
        let effects = |rows: Vec<&Row>| {
            let effects: Vec<String> = rows.iter().map(|row| row.effect()).collect();
            let verb = if rows.len() == 1 { "was" } else { "were" };
            (words::list(&effects), verb)
        };
        let (missed, lucky): (Vec<&Row>, Vec<&Row>) =
            below.iter().copied().partition(|row| !called(row));
        let though = if lucky.is_empty() {
            String::new()
        } else {
            let (lucky, verb) = effects(lucky);
            format!(", although {lucky} {verb}")
        };
        let missed = (!missed.is_empty()).then(|| {
            let (missed, verb) = effects(missed);
            format!("{missed} {verb} not called{though}")
        });
        match (tail.first(), missed) {
            (Some(first), None) => {
                Some(format!("This machine sees differences of {} and more.", first.effect()))
            }
            (Some(first), Some(missed)) => Some(format!(
                "This machine sees differences of {} and more; {missed}.",
                first.effect()
            )),
            (None, Some(missed)) => Some(format!("This run saw too little: {missed}.")),
            (None, None) => None,
        }
    }

    pub(super) fn remedy(&self, budget_s: f64) -> String {
        if self.cpu_ns_per_op.is_none()
            || self.control.verdict == Call::Lost
            || self.required().any(|row| row.verdict == Call::Lost)
        {
            return "`rtswap verify --lane tokio --workload tcp-echo` shows whether it works at all"
                .to_owned();
        }
        if self.required().next().is_none() {
            return format!(
                "no lane was slower by {} or more: inject more (`--delays`)",
                words::percent(REQUIRED)
            );
        }
        if let Some(steal) = self.steal.filter(|steal| *steal > HEAVY_STEAL) {
            return format!(
                "the hypervisor gave {} of the CPU time to others: test at a quieter hour, or \
                 on a machine of your own",
                words::percent(steal)
            );
        }
        if self.control.verdict == Call::Called {
            return "look for what treats two processes differently here (`rtswap doctor`), then \
                    test again"
                .to_owned();
        }
        format!(
            "measure for longer (`rtswap doctor --self-test --budget {:.0}s`), or on a quieter \
             machine (`rtswap doctor` shows what disturbs this one)",
            (budget_s * 4.0).max(60.0)
        )
    }

    /// The table, the noise and the sentence.
    pub fn text(&self, style: Style) -> String {
        let cpu = self.cpu_ns_per_op.map_or("unknown".to_owned(), words::time);
        let heading = format!(
            "{}: {} takes {cpu} of CPU time for each {}",
            self.workload, self.reference, self.unit
        );
        let mut text = style.wrap(&heading, "", "  ") + "\n\n";
        text += &self.table(style);
        text.push('\n');
        let percent = |part: Option<f64>| part.map_or("unknown".to_owned(), words::percent);
        let noise = format!(
            "From slice to slice {} differs by {} in throughput and by {} in CPU time for each {} \
             (standard deviation).",
            self.reference,
            percent(self.noise.ops_per_s),
            percent(self.noise.cpu_ns_per_op),
            self.unit
        );
        let smallest = self.smallest_effect.map(|effect| {
            format!(
                "Smallest difference that this run would have called four times out of five: {} \
                 ({} of {}).",
                words::percent(effect),
                words::counted(self.rounds, "round"),
                words::counted(self.blocks / self.rounds.max(1), "block")
            )
        });
        let missed = self.lanes.iter().any(|row| row.holds_truth == Some(false)).then(|| {
            "An interval misses the truth once in twenty by chance, and more often on a busy \
             machine: the injected loop is measured when its lane starts, and takes longer \
             whenever the CPU is slower."
                .to_owned()
        });
        for line in [Some(noise), smallest, missed].into_iter().flatten() {
            for line in style.wrap(&line, "", "  ").lines() {
                text += &style.paint(line, Tone::Faint);
                text.push('\n');
            }
        }
        text.push('\n');
        for line in style.wrap(&self.sentence, "", "").lines() {
            text += &style.paint(line, if self.passed { Tone::Good } else { Tone::Unsure });
            text.push('\n');
        }
        text
    }

    fn table(&self, style: Style) -> String {
        let plain = |text: String| (text, Tone::Plain);
        let head =
            ["injected", "true effect", "measured [95 % interval]", "verdict", "holds the truth"];
        let mut rows = vec![head.map(|text| (text.to_owned(), Tone::Faint))];
        for row in std::iter::once(&self.control).chain(&self.lanes) {
            let is_control = row.injected_ns == 0;
            let (verdict, good) = match row.verdict {
                Call::Called => ("called", !is_control),
                Call::NotCalled => ("not called", is_control),
                Call::WrongWay => ("less CPU", false),
                Call::Undecided => ("undecided", false),
                Call::Lost => ("lost", false),
            };
            let truth = row.holds_truth.map_or("–", |holds| if holds { "yes" } else { "no" });
            rows.push([
                plain(if is_control {
                    "0 (control)".to_owned()
                } else {
                    format!("{} ns", row.injected_ns)
                }),
                plain(row.effect.map_or("–".to_owned(), |it| format!("{:.2} %", it * 100.0))),
                plain(row.measured()),
                (verdict.to_owned(), if good { Tone::Good } else { Tone::Unsure }),
                plain(truth.to_owned()),
            ]);
        }
        let width = |column: usize| {
            rows.iter().map(|row| style.text(&row[column].0).chars().count()).max().unwrap_or(0)
        };
        let widths: [usize; 5] = std::array::from_fn(width);
        let mut text = String::new();
        for row in &rows {
            let cells =
                row.iter().zip(widths).enumerate().map(|(column, ((cell, tone), width))| {
                    let cell = style.text(cell);
                    let padded = match column {
                        0 | 1 => format!("{cell:>width$}"),
                        _ => format!("{cell:width$}"),
                    };
                    style.paint(&padded, *tone)
                });
            text += cells.collect::<Vec<_>>().join("  ").trim_end();
            text.push('\n');
        }
        text
    }
}

impl Row {
    fn effect(&self) -> String {
        self.effect.map_or(format!("{} ns", self.injected_ns), words::percent)
    }

    /// `+1.12 % [+0.71, +1.63]`.
    fn measured(&self) -> String {
        let percent = |ratio: f64| format!("{:+.2}", (ratio - 1.0) * 100.0);
        match (self.ratio, self.lo, self.hi) {
            (Some(ratio), Some(lo), Some(hi)) => {
                format!("{} % [{}, {}]", percent(ratio), percent(lo), percent(hi))
            }
            (Some(ratio), ..) => format!("{} % [unknown]", percent(ratio)),
            (None, ..) => "–".to_owned(),
        }
    }
}
