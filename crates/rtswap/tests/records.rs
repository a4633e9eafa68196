//! A file that is no record, or no place for one, is one clear line, exit code 1, and untouched.

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

/// Runs a command that fails; returns what it says.
fn refused(case: &Case, args: &[&str]) -> String {
    let done = case.rtswap().args(args).assert().code(1);
    let output = done.get_output();
    assert!(output.stdout.is_empty(), "what failed has no results");
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_one_line(&stderr).to_owned()
}

/// Whoever reads the file says so, and leaves it as it is.
fn assert_unreadable(case: &Case, name: &str, content: &[u8], tells: &str) {
    fs::write(case.path(name), content).unwrap();
    for args in [
        &["summary", name][..],
        &["run", "--resume", name],
        &["report", "--splice", "document.md", name],
    ] {
        let told = refused(case, args);
        assert!(told.contains(name) && told.contains(tells), "{args:?}: {told}");
        assert_eq!(fs::read(case.path(name)).unwrap(), content, "{args:?} has changed it");
    }
}

#[test]
fn what_is_no_record_is_told_by_what_is_wrong_with_it() {
    let case = Case::new();
    let header = header(&case);
    assert_unreadable(&case, "empty", b"", "is empty");
    assert_unreadable(&case, "text", b"Dear diary,\n", "is not an rtswap record");
    assert_unreadable(&case, "binary", &[0, 159, 146, 150, 10, 255], "is not an rtswap record");
    assert_unreadable(&case, "json", b"{\"kind\":\"block\"}\n", "not a header");
    let newer = header.replace("\"schema\":1", "\"schema\":2");
    assert_unreadable(&case, "newer", newer.as_bytes(), "schema 2, this rtswap reads schema 1");
    let less = header.replace("\"seed\"", "\"sead\"");
    assert_unreadable(&case, "less", less.as_bytes(), "its header is incomplete");
}

#[test]
fn a_header_that_is_cut_off_is_no_record_to_go_on_with() {
    let case = Case::new();
    let header = header(&case);
    // The most treacherous place: all is there but the end of the line.
    for end in [header.len() - 1, header.len() / 2] {
        assert_unreadable(&case, "cut", &header.as_bytes()[..end], "first line");
    }
}

#[test]
fn a_line_that_is_damaged_is_named() {
    let case = Case::new();
    let header = header(&case);
    let text = fs::read_to_string(case.path(RECORD)).unwrap();
    let damaged = text.replacen("\"kind\":\"round\"", "\"kind\":\"ruond\"", 1);
    assert_unreadable(&case, "damaged", damaged.as_bytes(), "line 3 is damaged");
    assert_unreadable(&case, "blank", format!("{header}\n").as_bytes(), "line 2 is damaged");
}

#[test]
fn a_file_that_cannot_be_read_is_told_by_its_path() {
    let case = Case::new();
    for (path, tells) in [("missing", "No such file"), (".", "Is a directory")] {
        for args in [&["summary", path][..], &["run", "--resume", path]] {
            let told = refused(&case, args);
            assert!(told.contains(path) && told.contains(tells), "{args:?}: {told}");
        }
    }
}

#[test]
fn a_record_is_never_written_over_another_file() {
    let case = Case::new();
    fs::write(case.path(RECORD), "precious").unwrap();
    let told = refused(&case, &quick_run("1s", "spawn", &[]));
    assert!(told.contains(RECORD) && told.contains("exists"), "{told}");
    assert_eq!(fs::read_to_string(case.path(RECORD)).unwrap(), "precious");
}

#[test]
fn a_place_that_cannot_be_written_to_is_told_before_anything_runs() {
    let case = Case::new();
    fs::write(case.path("file"), "").unwrap();
    for out in ["missing/record.jsonl", "file/record.jsonl", "/proc/record.jsonl", "."] {
        let told = refused(&case, &["run", "--workload", "spawn", "--out", out]);
        assert!(told.contains("cannot create") && told.contains(out), "{told}");
    }
    // The default place.
    fs::write(case.path("rtswap-records"), "").unwrap();
    let told = refused(&case, &["run", "--workload", "spawn"]);
    assert!(told.contains("rtswap-records") && told.contains("--out FILE"), "{told}");
}

#[test]
fn a_run_without_a_file_keeps_its_record_in_a_folder() {
    let case = Case::new();
    let args = ["run", "--quick", "--budget", "1s", "--workload", "spawn/tasks=1"];
    case.rtswap().args(args).args(["--lane", "smol-local"]).assert().success();
    let kept: Vec<_> = fs::read_dir(case.path("rtswap-records")).unwrap().flatten().collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    case.rtswap().arg("summary").arg(kept[0].path()).assert().success();
}

#[test]
fn a_name_that_is_not_unicode_is_a_name_like_any_other() {
    let case = Case::new();
    let name = std::ffi::OsStr::from_bytes(b"r\xff.jsonl");
    let args = ["run", "--quick", "--budget", "1s", "--workload", "spawn/tasks=1"];
    case.rtswap().args(args).args(["--lane", "smol-local", "--out"]).arg(name).assert().success();
    case.rtswap().arg("summary").arg(name).assert().success();
}
