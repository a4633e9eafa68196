//! Files that are not records, and paths that cannot be written: exit code 1, one line, and no change.

mod support;

use std::fs;
use std::os::unix::ffi::OsStrExt;

use support::{Case, RECORD, assert_one_line, quick_run};

/// A record's first line, whole.
fn header(case: &Case) -> String {
    let lanes = ["smol-local".to_owned()];
    case.quick_run("spawn/tasks=1", &lanes).assert().success();
    let text = fs::read_to_string(case.path(RECORD)).unwrap();
    text.lines().next().unwrap().to_owned() + "\n"
}

/// The error line of a command that fails.
fn refused(case: &Case, args: &[&str]) -> String {
    let done = case.rtswap().args(args).assert().code(1);
    let output = done.get_output();
    assert!(output.stdout.is_empty(), "a command that fails has no results");
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_one_line(&stderr).to_owned()
}

/// Checks that every command that reads the file rejects it and leaves it unchanged.
fn assert_unreadable(case: &Case, name: &str, content: &[u8], expected: &str) {
    fs::write(case.path(name), content).unwrap();
    for args in [
        &["summary", name][..],
        &["run", "--resume", name],
        &["report", "--splice", "document.md", name],
    ] {
        let error = refused(case, args);
        assert!(error.contains(name) && error.contains(expected), "{args:?}: {error}");
        assert_eq!(fs::read(case.path(name)).unwrap(), content, "{args:?} has changed it");
    }
}

#[test]
fn record_of_schema_1_gives_the_same_summary() {
    let case = Case::new();
    let lanes = ["smol-local".to_owned(), "mine=false".to_owned()];
    case.quick_run("spawn/tasks=1", &lanes).assert().code(1);
    let text = fs::read_to_string(case.path(RECORD)).unwrap();
    let mut old = text.clone();
    for (new, former) in [
        (r#""schema":2"#, r#""schema":1"#),
        (r#""environment":"#, r#""receipt":"#),
        (r#""info":"#, r#""receipt":"#),
        (r#""spec":"#, r#""spelling":"#),
        (r#""kind":"lane-failure""#, r#""kind":"lost""#),
    ] {
        assert!(old.contains(new), "{new}");
        old = old.replace(new, former);
    }
    fs::write(case.path("old.jsonl"), old).unwrap();
    let summary =
        |name: &str| case.rtswap().args(["summary", name, "--format", "json"]).unwrap().stdout;
    assert_eq!(summary("old.jsonl"), summary(RECORD));
}

#[test]
fn foreign_file_is_rejected_with_reason() {
    let case = Case::new();
    let header = header(&case);
    assert_unreadable(&case, "empty", b"", "is empty");
    assert_unreadable(&case, "text", b"Dear diary,\n", "is not an rtswap record");
    assert_unreadable(&case, "binary", &[0, 159, 146, 150, 10, 255], "is not an rtswap record");
    assert_unreadable(&case, "json", b"{\"kind\":\"block\"}\n", "not a header");
    let newer = header.replace("\"schema\":2", "\"schema\":3");
    assert_unreadable(&case, "newer", newer.as_bytes(), "schema 3, this rtswap reads 1 to 2");
    let less = header.replace("\"seed\"", "\"sead\"");
    assert_unreadable(&case, "less", less.as_bytes(), "its header is incomplete");
}

#[test]
fn cut_off_header_is_rejected() {
    let case = Case::new();
    let header = header(&case);
    // First the hardest case: only the end of the line is missing.
    for end in [header.len() - 1, header.len() / 2] {
        assert_unreadable(&case, "cut", &header.as_bytes()[..end], "first line");
    }
}

#[test]
fn damaged_line_is_named() {
    let case = Case::new();
    let header = header(&case);
    let text = fs::read_to_string(case.path(RECORD)).unwrap();
    let damaged = text.replacen("\"kind\":\"round\"", "\"kind\":\"ruond\"", 1);
    assert_unreadable(&case, "damaged", damaged.as_bytes(), "line 3 is damaged");
    assert_unreadable(&case, "two", text.repeat(2).as_bytes(), "holds two records");
    assert_unreadable(&case, "blank", format!("{header}\n").as_bytes(), "line 2 is damaged");
}

#[test]
fn unreadable_path_is_named() {
    let case = Case::new();
    for (path, expected) in [("missing", "No such file"), (".", "Is a directory")] {
        for args in [&["summary", path][..], &["run", "--resume", path]] {
            let error = refused(&case, args);
            assert!(error.contains(path) && error.contains(expected), "{args:?}: {error}");
        }
    }
}

#[test]
fn run_does_not_overwrite_file() {
    let case = Case::new();
    fs::write(case.path(RECORD), "precious").unwrap();
    let error = refused(&case, &quick_run("1s", "spawn", &[]));
    assert!(error.contains(RECORD) && error.contains("exists"), "{error}");
    assert_eq!(fs::read_to_string(case.path(RECORD)).unwrap(), "precious");
}

#[test]
fn unwritable_path_is_rejected_before_start() {
    let case = Case::new();
    fs::write(case.path("file"), "").unwrap();
    for out in ["missing/record.jsonl", "file/record.jsonl", "/proc/record.jsonl", "."] {
        let error = refused(&case, &["run", "--workload", "spawn", "--out", out]);
        assert!(error.contains("cannot create") && error.contains(out), "{error}");
    }
    // The default place.
    fs::write(case.path("rtswap-records"), "").unwrap();
    let error = refused(&case, &["run", "--workload", "spawn"]);
    assert!(error.contains("rtswap-records") && error.contains("--out FILE"), "{error}");
}

#[test]
fn run_without_out_writes_to_default_folder() {
    let case = Case::new();
    let args = ["run", "--quick", "--budget", "1s", "--workload", "spawn/tasks=1"];
    case.rtswap().args(args).args(["--lane", "smol-local"]).assert().success();
    let kept: Vec<_> = fs::read_dir(case.path("rtswap-records")).unwrap().flatten().collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    case.rtswap().arg("summary").arg(kept[0].path()).assert().success();
}

#[test]
fn record_path_may_be_non_unicode() {
    let case = Case::new();
    let name = std::ffi::OsStr::from_bytes(b"r\xff.jsonl");
    let args = ["run", "--quick", "--budget", "1s", "--workload", "spawn/tasks=1"];
    case.rtswap().args(args).args(["--lane", "smol-local", "--out"]).arg(name).assert().success();
    case.rtswap().arg("summary").arg(name).assert().success();
}
