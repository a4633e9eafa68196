//! `rtswap export` and `rtswap compare`: what they print, where, and how they end.

mod support;

use std::fs;

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::{contains, is_empty, starts_with};
use support::{Case, RECORD, assert_one_line};

/// A case with a record of `spawn` on two lanes and one that fails.
fn recorded() -> Case {
    let case = Case::new();
    let lanes = ["smol-local".to_owned(), "mine=false".to_owned()];
    case.quick_run("spawn/tasks=1", &lanes).assert().code(1);
    case
}

/// The same, with its round a second time, because a quick run has one.
fn with_two_rounds() -> Case {
    let case = recorded();
    let text = fs::read_to_string(case.path(RECORD)).unwrap();
    let again =
        |line: &&str| line.contains(r#""kind":"block""#) || line.contains(r#""kind":"round""#);
    let second: String = text
        .lines()
        .filter(again)
        .map(|line| line.replacen(r#""round":0"#, r#""round":1"#, 1) + "\n")
        .collect();
    assert!(!second.is_empty());
    fs::write(case.path(RECORD), text + &second).unwrap();
    case
}

/// The error line of a command that fails with this code, and prints no results.
fn error_line(case: &Case, code: i32, args: &[&str]) -> String {
    let done = case.rtswap().args(args).assert().code(code).stdout(is_empty());
    assert_one_line(&String::from_utf8(done.get_output().stderr.clone()).unwrap()).to_owned()
}

#[test]
fn export_writes_every_format_to_stdout_and_file() {
    let case = with_two_rounds();
    for (format, begins) in [
        ("benchfmt", "rtswap: "),
        ("bmf", "{\n"),
        ("github-action-benchmark", "[\n"),
        ("junit", "<?xml"),
        ("openmetrics", "# TYPE rtswap_"),
        ("csv", "workload,lane,"),
    ] {
        let args = ["export", "--format", format, RECORD];
        let done = case.rtswap().args(args).assert().success().stdout(starts_with(begins));
        let stdout = done.get_output().stdout.clone();
        let out = case.rtswap().args(args).args(["-o", "out"]).assert().success();
        out.stdout(is_empty());
        assert_eq!(fs::read(case.path("out")).unwrap(), stdout, "{format}");
        let dash = case.rtswap().args(args).args(["--out", "-"]).assert().success();
        assert_eq!(dash.get_output().stdout, stdout, "{format}");
    }
    let lane = ["--format", "critcmp", "--lane", "smol-local"];
    let one = case.rtswap().arg("export").args(lane).arg(RECORD).assert().success();
    one.stdout(contains(r#""name": "smol-local""#).and(contains("tokio-local").not()));
}

#[test]
fn export_notes_that_benchstat_unpairs() {
    let case = recorded();
    let args = ["export", "--format", "benchfmt", RECORD];
    case.rtswap().args(args).assert().success().stderr(contains("compares unpaired"));
    let args = ["export", "--format", "csv", RECORD];
    case.rtswap().args(args).assert().success().stderr(is_empty());
}

#[test]
fn export_narrows_by_workload_lane_and_metric() {
    let case = recorded();
    let export = |more: &[&str]| {
        let mut command = case.rtswap();
        command.args(["export", "--format", "csv", RECORD]).args(more).assert().success()
    };
    let lane = export(&["--lane", "smol*", "--workload", "spawn/*", "--metric", "cpu_*"]);
    let text = String::from_utf8(lane.get_output().stdout.clone()).unwrap();
    assert_eq!(text.lines().count(), 3, "a header, cpu_ns_per_op and cpu_steadiness: {text}");
    export(&["--lane", "mine"]).stdout(contains(",mine,tokio-local,lane,failed,"));
    for (option, wrong) in [("--lane", "x*"), ("--workload", "http"), ("--metric", "cost")] {
        let args = ["export", "--format", "csv", RECORD, option, wrong];
        let error = error_line(&case, 2, &args);
        assert!(error.contains(&format!("matches `{wrong}`; it has ")), "{error}");
    }
    let args = ["export", "--format", "csv", RECORD, "--lane", "[a"];
    assert!(error_line(&case, 2, &args).contains("invalid pattern `[a`"));
}

#[test]
fn export_rejects_what_a_format_cannot_hold() {
    let case = with_two_rounds();
    let several = error_line(&case, 2, &["export", "--format", "critcmp", RECORD]);
    assert!(several.contains("holds one lane: choose it with --lane"), "{several}");
    let none = ["export", "--format", "bmf", RECORD, "--lane", "mine"];
    assert!(error_line(&case, 1, &none).contains("no chosen cell has a figure"));
    let latency = error_line(&case, 1, &["export", "--format", "hlog", RECORD]);
    assert!(latency.contains("no chosen cell has latencies"), "{latency}");
    let direction = ["export", "--format", "bmf", RECORD, "--direction", "bigger"];
    let direction = error_line(&case, 2, &direction);
    assert!(direction.contains("--direction is for --format github-action-benchmark"));
    let args = ["export", "--format", "xml", RECORD];
    case.rtswap().args(args).assert().code(2).stderr(contains("junit").and(contains("hgrm")));
}

#[test]
fn export_and_compare_name_unreadable_and_unwritable_files() {
    let case = recorded();
    fs::write(case.path("text"), "Dear diary,\n").unwrap();
    for (path, expected) in [("missing", "No such file"), ("text", "is not an rtswap record")] {
        for args in [
            &["export", "--format", "csv", path][..],
            &["compare", path, RECORD],
            &["compare", RECORD, path],
        ] {
            let error = error_line(&case, 1, args);
            assert!(error.contains(path) && error.contains(expected), "{args:?}: {error}");
        }
    }
    let args = ["export", "--format", "csv", RECORD, "-o", "no/such/folder.csv"];
    assert!(error_line(&case, 1, &args).contains("cannot write no/such/folder.csv"));
}

#[test]
fn cut_off_record_is_exported_with_a_warning() {
    let case = recorded();
    let text = fs::read_to_string(case.path(RECORD)).unwrap();
    fs::write(case.path("cut"), &text[..text.len() - 10]).unwrap();
    let export = case.rtswap().args(["export", "--format", "csv", "cut"]).assert().success();
    export.stdout(contains("smol-local")).stderr(contains("cut is cut off in line"));
    let compare = case.rtswap().args(["compare", "cut", RECORD]).assert().success();
    compare.stderr(contains("cut is cut off in line"));
}

#[test]
fn compare_prints_changes_and_reasons() {
    let case = recorded();
    let table = case.rtswap().args(["compare", RECORD, RECORD]).assert().success();
    table
        .stdout(contains("no change shown").and(contains("against tokio-local")))
        .stderr(contains("the same run").and(contains("not comparable").and(contains("mine"))));
    let json = case.rtswap().args(["compare", RECORD, RECORD, "--format", "json"]).assert();
    let json = json.success().stderr(is_empty());
    let value: serde_json::Value = serde_json::from_slice(&json.get_output().stdout).unwrap();
    assert_eq!(value["changes"][0]["lane"], "smol-local");
    assert_eq!(value["changes"][0]["change"]["ratio"], 1.0);
    let markdown = case.rtswap().args(["compare", RECORD, RECORD, "--format", "markdown"]).assert();
    markdown.success().stdout(contains("| smol-local |").and(contains("- not comparable: ")));
}

#[test]
fn compare_of_nothing_in_common_is_inconclusive() {
    let case = recorded();
    let text = fs::read_to_string(case.path(RECORD)).unwrap();
    let (old, new) = (r#""rustc":""#, r#""rustc":"rustc 0.1 and not "#);
    assert!(text.contains(old), "the header has a compiler");
    fs::write(case.path("other"), text.replacen(old, new, 1)).unwrap();
    let args = ["compare", RECORD, "other"];
    let done = case.rtswap().args(args).assert().code(4).stdout(contains("Nothing is comparable"));
    let stderr = String::from_utf8(done.get_output().stderr.clone()).unwrap();
    assert!(stderr.contains("not comparable: toolchain: A has rustc"), "{stderr}");
    assert!(stderr.lines().last().unwrap().contains("`--allow REASON`"), "{stderr}");
    let allowed = case.rtswap().args(args).args(["--allow", "toolchain"]).assert().success();
    allowed.stdout(contains("smol-local")).stderr(contains("warning: toolchain"));
    case.rtswap().args(args).args(["--allow", "machine"]).assert().code(2);
    case.rtswap().args(["compare", RECORD]).assert().code(2).stderr(contains("Usage"));
}
