//! What a check says, and how it is printed.

use rtswap_report::{Style, Tone, words};
use serde::Serialize;

/// How it stands with one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// As it should be, or nothing that could be changed.
    Ok,
    /// Runs work, but see less or lack something.
    Warn,
    /// Runs fail, or their figures are worthless.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// Its name, stable.
    #[serde(rename = "check")]
    pub name: &'static str,
    /// How it stands with it.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What to type or to do; there is one unless all is well.
    pub remedy: Option<String>,
}

impl Check {
    pub fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, found: found.into(), remedy: None }
    }

    pub fn warn(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        let remedy = Some(remedy.into());
        Self { name, status: Status::Warn, found: found.into(), remedy }
    }

    pub fn bad(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status: Status::Bad, ..Self::warn(name, found, remedy) }
    }
}

/// All checks, one paragraph each, and the count.
pub(super) fn text(checks: &[Check], style: Style) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for check in checks {
        let (symbol, plain, word, tone) = match check.status {
            Status::Ok => ("✓", "+", "ok", Tone::Good),
            Status::Warn => ("!", "!", "warn", Tone::Unsure),
            Status::Bad => ("✗", "x", "bad", Tone::Bad),
        };
        let mark = format!("{} {word:4}", if style.unicode { symbol } else { plain });
        let head = format!("{mark}  {:width$}  ", check.name);
        let indent = " ".repeat(head.chars().count());
        // Painted afterwards: what is wrapped is counted by its columns.
        let found = style.wrap(&words::one_line(&check.found), &head, &indent);
        text += &found.replacen(&mark, &style.paint(&mark, tone), 1);
        text.push('\n');
        if let Some(remedy) = &check.remedy {
            let first = format!("{indent}remedy: ");
            text += &style.wrap(&words::one_line(remedy), &first, &indent);
            text.push('\n');
        }
    }
    let count = |status| checks.iter().filter(|check| check.status == status).count();
    let warnings = words::counted(count(Status::Warn), "warning");
    text + &format!("\n{} ok, {warnings}, {} bad\n", count(Status::Ok), count(Status::Bad))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks() -> [Check; 3] {
        [
            Check::ok("cpus", "2 of them"),
            Check::warn("load", "somebody else is at work here, all the time", "`top` shows who"),
            Check::bad("build", "no optimisation", "`cargo build --release`"),
        ]
    }

    #[test]
    fn every_status_has_a_mark_of_its_own_and_long_lines_are_wrapped() {
        let style = Style { width: 42, color: false, unicode: true };
        assert_eq!(
            text(&checks(), style),
            "\
✓ ok    cpus   2 of them
! warn  load   somebody else is at work
               here, all the time
               remedy: `top` shows who
✗ bad   build  no optimisation
               remedy: `cargo build
               --release`

1 ok, 1 warning, 1 bad
"
        );
    }

    #[test]
    fn colour_and_unicode_are_used_where_they_may_be() {
        let plain = text(&checks(), Style { width: 80, color: false, unicode: false });
        assert!(plain.is_ascii() && plain.contains("+ ok") && !plain.contains('\u{1b}'));
        let coloured = text(&checks(), Style { width: 80, color: true, unicode: false });
        assert!(coloured.contains("\u{1b}[31mx bad \u{1b}[0m"), "{coloured:?}");
        assert_eq!(coloured.matches('\u{1b}').count(), 6, "{coloured:?}");
    }

    #[test]
    fn programs_read_the_same() {
        assert_eq!(
            serde_json::to_value(&checks()[1]).unwrap(),
            serde_json::json!({
                "check": "load",
                "status": "warn",
                "found": "somebody else is at work here, all the time",
                "remedy": "`top` shows who",
            })
        );
    }
}
