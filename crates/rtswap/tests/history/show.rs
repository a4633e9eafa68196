//! What is shown of a history.

use std::fs;

use serde_json::Value;

use super::{Shared, entry, git, record};

#[test]
fn show_names_damaged_lines_and_shows_the_rest() {
    let shared = Shared::new(4);
    let good = |number| entry(&shared.commits, number, 1.0).to_string();
    let later = good(3).replace("\"schema\":1", "\"schema\":9");
    let text = format!("{}\nnonsense\n{}\n{later}\n", good(1), good(2));
    fs::write(shared.path("first/history.jsonl"), text).unwrap();
    let done = shared.ok("first", &["--file", "history.jsonl"]);
    let (stdout, stderr) =
        (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap());
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{stderr}");
    assert!(
        lines[0].starts_with("warning: history.jsonl, line 2 is damaged and left out: expected"),
        "{stderr}"
    );
    assert!(lines[1].contains("line 4") && lines[1].contains("schema 9"), "{stderr}");
    for number in [1, 2] {
        assert!(stdout.contains(&shared.commits[number][..10]), "{stdout}");
    }

    // The same in a note, and adding keeps the damaged line.
    let first = shared.path("first");
    shared.write_notes("first", &[(1, 1.0)]);
    let args = ["notes", "--ref", "rtswap", "append", "-m", "{\"schema\":1", &shared.commits[1]];
    git(&first, &args);
    let done = shared.ok("first", &[]);
    let stderr = String::from_utf8(done.stderr).unwrap();
    let place = format!("refs/notes/rtswap, note of {}, line 3", shared.commits[1]);
    assert!(stderr.contains(&place) && stderr.lines().count() == 1, "{stderr}");
    let record = record(&shared.case);
    let record = record.to_str().unwrap();
    shared.ok("first", &["add", record, "--anchor", "v1", "--commit", &shared.commits[1]]);
    let note = git(&first, &["notes", "--ref", "rtswap", "show", &shared.commits[1]]);
    assert!(
        note.lines().any(|line| line == "{\"schema\":1") && note.lines().count() == 3,
        "{note}"
    );
}

#[test]
fn show_finds_change_point_and_plots_it() {
    let shared = Shared::new(24);
    let wiggle = [0.001, -0.002, 0.0, 0.002];
    let ratio = |at: usize| wiggle[at % 4] + if at >= 14 { 1.05 } else { 1.0 };
    let line = |at| entry(&shared.commits, at, ratio(at)).to_string();
    let all: Vec<String> = (1..24).map(line).collect();
    fs::write(shared.path("first/history.jsonl"), all.join("\n")).unwrap();
    let args = ["--file", "history.jsonl", "--plot", "history.svg", "--workload", "spawn"];
    let text = String::from_utf8(shared.ok("first", &args).stdout).unwrap();
    let [before, after] = [13, 14].map(|at: usize| &shared.commits[at][..10]);
    let command = format!("rtswap gate --base {before} --head {after} --workload spawn/tasks=1");
    assert!(text.contains("worse: +5.") && text.contains(&command), "{text}");
    let plot = fs::read_to_string(shared.path("first/history.svg")).unwrap();
    assert!(plot.starts_with("<svg") && plot.contains("+5."), "{plot}");
    let json = shared.ok("first", &["show", "--file", "history.jsonl", "--format", "json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["series"][0]["changes"][0]["after"], *shared.commits[14]);
    // A branch that ends before shows less, and says so.
    let args = ["--file", "history.jsonl", "--branch", "HEAD~12"];
    let done = shared.ok("first", &args);
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert!(
        stderr.starts_with("note: 12 commits with entries not shown, because HEAD~12"),
        "{stderr}"
    );
}

#[test]
fn shallow_clone_is_shown_by_time_with_remedy() {
    let shared = Shared::new(5);
    shared.write_notes("first", &[(1, 1.0), (2, 1.0), (3, 1.0), (4, 1.0)]);
    shared.ok("first", &["push"]);
    let origin = format!("file://{}", shared.path("origin.git").display());
    let folder = shared.case.folder.path();
    git(folder, &["clone", "--quiet", "--depth", "1", "--no-tags", &origin, "shallow"]);
    let error = shared.error("shallow", &[], 1);
    assert!(error.contains("no history in refs/notes/rtswap: `rtswap history fetch`"), "{error}");
    shared.ok("shallow", &["fetch"]);
    let done = shared.ok("shallow", &[]);
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert!(stderr.starts_with("warning: commits are ordered by their time\n"), "{stderr}");
    assert!(stderr.contains("fetch-depth: 0"), "{stderr}");
    assert_eq!(shared.ratios("shallow").len(), 4);
    let record = record(&shared.case);
    let record = record.to_str().unwrap();
    let error = shared.error("shallow", &["add", record, "--anchor", "x", "--commit", "v1"], 2);
    assert!(
        error.contains("`v1` is no commit of this repository: this clone is shallow"),
        "{error}"
    );
}
