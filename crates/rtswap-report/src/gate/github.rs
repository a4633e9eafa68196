//! The report of a gate for GitHub: annotations, the summary of a job, and a comment.
//!
//! Limits: 10 annotations of a kind in a step, 1,024 KiB for the summary, 65,536 characters for a comment
//! (docs.github.com, "Workflow commands" and "Issue comments").

use rtswap_stats::Outcome;

use super::text::{headline, sentences};
use super::{GateReport, gate_markdown};
use crate::markdown::code;

/// The most annotations of a kind.
const ANNOTATIONS_MOST: usize = 10;
/// The most characters of a comment.
pub const COMMENT_MOST: usize = 60_000;

/// What GitHub is to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitHub {
    /// Workflow commands, one a line, for standard output.
    pub annotations: String,
    /// Markdown, for the file that `GITHUB_STEP_SUMMARY` names and for a comment: at most 60,000 characters.
    pub comment: String,
}

/// The report for GitHub. `repeat` is the command that measures the same again.
pub fn github(report: &GateReport, repeat: &str) -> GitHub {
    let kind = match report.outcome {
        Some(Outcome::Pass) => "notice",
        Some(Outcome::Inconclusive) => "warning",
        Some(Outcome::Regression) | None => "error",
    };
    let mut lines = vec![headline(report)];
    lines.extend(sentences(report).into_iter().skip(1));
    let annotation = |line: &String| format!("::{kind} title=rtswap gate::{}\n", data(line));
    let annotations = lines.iter().take(ANNOTATIONS_MOST).map(annotation).collect();
    let mut comment = format!("### rtswap gate\n\n{}", gate_markdown(report));
    let end = format!("\nTo repeat: {}\n", code(repeat));
    let room = COMMENT_MOST - end.chars().count().min(COMMENT_MOST / 2);
    if comment.chars().count() > room {
        let note = "\n\n(cut: the record has the rest)\n";
        comment = comment.chars().take(room - note.len()).collect();
        // A table or a fold that is cut would take what follows into itself.
        let whole = comment.rfind('\n').unwrap_or(0);
        comment.truncate(whole);
        if comment.matches("<details>").count() > comment.matches("</details>").count() {
            comment += "\n\n</details>";
        }
        comment += note;
    }
    comment += &end.chars().take(COMMENT_MOST / 2).collect::<String>();
    GitHub { annotations, comment }
}

/// The text of a workflow command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_escapes_what_ends_a_command() {
        assert_eq!(data("5 %\r\nnext"), "5 %25%0D%0Anext");
    }
}
