//! Bad input, and what is missing.

use std::fs;

use super::support::{self, assert_one_line};
use super::{Shared, entry, isolate, record};

#[test]
fn bad_input_is_one_clear_line() {
    let shared = Shared::new(2);
    let path = record(&shared.case);
    let record = path.to_str().unwrap();
    let cases: &[(&str, &[&str], i32, &str)] = &[
        (".", &[], 1, "this folder is not in a git repository"),
        (".", &["add", record, "--anchor", "v1"], 1, "this folder is not in a git repository"),
        (".", &["push"], 1, "this folder is not in a git repository"),
        ("first", &[], 1, "there is no history in refs/notes/rtswap: `rtswap history fetch`"),
        ("first", &["push"], 1, "there is nothing to push in refs/notes/rtswap"),
        ("first", &["show", "--file", "none.jsonl"], 1, "there is no history in none.jsonl"),
        (
            "first",
            &["fetch", "--remote", "nowhere"],
            1,
            "cannot fetch refs/notes/rtswap from `nowhere`: 'nowhere' does not appear",
        ),
        (
            "first",
            &["add", record, "--anchor", "v1", "--commit", "gone"],
            2,
            "`gone` is no commit of this repository: `git fetch`",
        ),
        ("first", &["add", record, "--anchor", "v1", "--commit", "a..b"], 2, "`a..b` is no commit"),
        (
            "first",
            &["add", record, "--anchor", "v1", "--anchor-commit", "gone"],
            2,
            "`gone` is no commit",
        ),
        (
            "first",
            &["add", record, "--anchor", "v1", "--anchor-lane", "old"],
            2,
            "compares with `base` and not with the anchor `old`",
        ),
        ("first", &["add", "gone.jsonl", "--anchor", "v1"], 1, "gone.jsonl"),
        (
            "first",
            &["add", record, "--anchor", "v1", "--file", "/proc/history.jsonl"],
            1,
            "cannot write /proc/history.jsonl",
        ),
        (
            "first",
            &["add", record, "--anchor", "v1", "--file", "no/folder.jsonl"],
            1,
            "cannot write no/folder.jsonl",
        ),
    ];
    for (folder, args, code, expected) in cases {
        let error = shared.error(folder, args, *code);
        assert!(error.contains(expected), "{args:?}: {error}");
    }
    // A record whose reference has another name.
    let text = fs::read_to_string(&path).unwrap();
    let other = shared.path("other.jsonl");
    fs::write(&other, text.replace("\"base", "\"tokio")).unwrap();
    let other = other.to_str().unwrap();
    let error = shared.error("first", &["add", other, "--anchor", "v1"], 2);
    assert!(error.contains("compares with `tokio` and not with the anchor `v1`"), "{error}");
    assert!(error.contains("--anchor-lane tokio"), "{error}");
    shared.ok("first", &["add", other, "--anchor", "v1", "--anchor-lane", "tokio"]);

    // An anchor of another repository.
    let args = ["add", record, "--anchor", "tokio@1.50.0", "--file", "history.jsonl"];
    let stderr = String::from_utf8(shared.ok("first", &args).stderr).unwrap();
    let [kept, warning, remedy] = stderr.lines().collect::<Vec<_>>()[..] else {
        panic!("{stderr}")
    };
    assert!(kept.starts_with("kept 1 cell"), "{stderr}");
    assert!(warning.starts_with("warning: `tokio@1.50.0` is no revision here"), "{stderr}");
    assert!(remedy.starts_with("  remedy: fetch its tag"), "{stderr}");

    let error = shared.error("first", &["--workload", "http"], 1);
    assert!(error.contains("it has spawn/tasks=1 on head"), "{error}");
    let error = shared.error("first", &["--metric", "p99_ns"], 1);
    assert!(error.contains("no figures of that metric"), "{error}");
    // The remote repository is gone: what is here stays.
    fs::remove_dir_all(shared.path("origin.git")).unwrap();
    let error = shared.error("first", &["push"], 1);
    assert!(error.contains("cannot fetch refs/notes/rtswap from `origin`"), "{error}");
    assert_eq!(shared.ratios("first").len(), 1);
    // Options that do not exist.
    for args in [&["--metric", "speed"][..], &["--notes", "refs/heads/main"], &["--workload", "["]]
    {
        shared.history("first", args).assert().code(2);
    }
}

#[test]
fn missing_git_is_named() {
    let shared = Shared::new(1);
    let output = shared.history("first", &["push"]).env("PATH", "/nowhere").assert().code(1);
    let stderr = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    let error = assert_one_line(&stderr);
    assert!(error.contains("cannot start git") && error.contains("install git"), "{error}");
    // A file needs no git to be shown.
    fs::write(shared.path("h.jsonl"), entry(&shared.commits, 0, 1.0).to_string()).unwrap();
    shared.history(".", &["--file", "h.jsonl"]).env("PATH", "/nowhere").assert().success();
}

#[test]
fn full_disk_leaves_file_as_it_was() {
    let shared = Shared::new(2);
    let record = record(&shared.case);
    // Whether this user may mount one. The file has to be on it before rtswap starts, so the script is another.
    if shared.case.on_small_disk("64k").is_none() {
        return;
    }
    // A history of 48 KiB leaves no room for a second one.
    let line = format!("{}\n", entry(&shared.commits, 1, 1.0));
    let old = line.repeat(48 * 1024 / line.len());
    fs::write(shared.path("old"), &old).unwrap();
    let script = r#"
        mount -t tmpfs -o size=64k tmpfs disk
        cp old disk/history.jsonl
        code=0
        cd first
        "$0" history add "$1" --anchor v1 --file ../disk/history.jsonl || code=$?
        cmp ../old ../disk/history.jsonl
        test "$(ls -A ../disk)" = history.jsonl
        exit $code
        "#;
    let mut command = shared.case.unshared(script);
    isolate(|name, value| {
        command.env(name, value);
    });
    let output = command.arg(support::program()).arg(&record).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let error = assert_one_line(&stderr);
    assert!(error.contains("cannot write ../disk/history.jsonl: No space left"), "{error}");
}
