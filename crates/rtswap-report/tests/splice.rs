//! Documents with generated sections.

mod common;

use std::collections::BTreeMap;

use common::{lane, run};
use rtswap_report::{SpliceError, Summary, is_stale, sections, splice};

fn generated() -> BTreeMap<String, String> {
    [("summary", "new table\n"), ("machine", "new machine")]
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .into()
}

fn error(document: &str) -> SpliceError {
    splice(document, &generated()).unwrap_err()
}

#[test]
fn splice_replaces_sections_and_keeps_the_rest() {
    let document = "# Title\r\n<!-- BEGIN: summary -->\nold\nold\n<!-- END: summary -->\n\n\
        <!-- BEGIN: machine -->\n<!-- END: machine -->\nend without newline";
    let spliced = splice(document, &generated()).unwrap();
    assert_eq!(
        spliced,
        "# Title\r\n<!-- BEGIN: summary -->\nnew table\n<!-- END: summary -->\n\n\
         <!-- BEGIN: machine -->\nnew machine\n<!-- END: machine -->\nend without newline"
    );
    assert!(is_stale(document, &generated()).unwrap());
    assert!(!is_stale(&spliced, &generated()).unwrap(), "splicing twice changes nothing");
}

#[test]
fn splice_ignores_indented_marker() {
    let document = "    <!-- BEGIN: nonsense -->\n<!-- BEGIN: machine -->\n<!-- END: machine -->\n";
    assert!(splice(document, &generated()).unwrap().starts_with("    <!-- BEGIN: nonsense -->\n"));
}

#[test]
fn splice_error_names_line() {
    let cases = [
        "a\n<!-- BEGIN: tabel -->\n<!-- END: tabel -->\n",
        "<!-- BEGIN: summary -->\nold\n",
        "a\nb\n<!-- END: summary -->\n",
        "<!-- BEGIN: summary -->\n<!-- BEGIN: machine -->\n<!-- END: machine -->\n",
        "<!-- BEGIN: summary -->\n<!-- END: machine -->\n",
        "<!-- BEGIN summary -->\n",
        "<!-- BEGIN: summary --> text\n",
        "<!-- BEGIN: -->\n",
        "no markers\n",
    ];
    let messages: Vec<String> = cases.iter().map(|document| error(document).to_string()).collect();
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn sections_name_their_command() {
    let summary = Summary::of(&run(vec![lane("tokio", 1.0), lane("smol", 1.3)]).record());
    let sections = sections(&summary, None, "rtswap report results/echo.jsonl --splice README.md");
    assert_eq!(sections.keys().collect::<Vec<_>>(), ["machine", "overview", "summary", "tables"]);
    for (name, text) in &sections {
        assert!(text.contains("`rtswap report results/echo.jsonl --splice README.md`"), "{name}");
    }
    assert!(sections["machine"].contains("Linux 6.12.8"));
    assert!(sections["machine"].contains("2026-01-31 12:34:56 UTC"));
    assert!(sections["machine"].contains("seed 7"));
    assert!(sections["overview"].contains("| workload | smol |"));
    assert!(sections["summary"].contains("smol uses"));
    assert!(!sections["tables"].contains("smol uses") && sections["tables"].contains("| smol |"));
}

#[test]
fn splice_keeps_sections_of_other_records() {
    let summary = Summary::of(&run(vec![lane("tokio", 1.0), lane("smol", 1.5)]).record());
    let ours = sections(&summary, Some("echo"), "command");
    let markers =
        |name: &str, text: &str| format!("<!-- BEGIN: {name} -->\n{text}<!-- END: {name} -->\n");
    let others = markers("summary", "kept\n") + &markers("tax/summary", "kept too\n");
    let spliced = splice(&(others.clone() + &markers("echo/machine", "")), &ours).unwrap();
    assert!(spliced.starts_with(&others), "{spliced}");
    assert!(spliced.contains("Imaginary CPU"), "{spliced}");
    let wrong = splice(&markers("echo/machin", ""), &ours).unwrap_err();
    assert!(wrong.to_string().contains("echo/machine"), "{wrong}");
}
