//! What is kept of a record.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::{Shared, git, record};

#[test]
fn add_keeps_record_once_and_show_prints_it() {
    let shared = Shared::new(3);
    let record = record(&shared.case);
    let record = record.to_str().unwrap();
    let done = shared.ok("first", &["add", record, "--anchor", "v1"]);
    let head = &shared.commits[2][..10];
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert_eq!(
        stderr,
        format!("kept 1 cell of {head} in refs/notes/rtswap; `rtswap history push` shares them\n")
    );
    let again = shared.ok("first", &["add", record, "--anchor", "v1"]);
    let stderr = String::from_utf8(again.stderr).unwrap();
    assert!(stderr.starts_with("all of this is in refs/notes/rtswap already"), "{stderr}");

    let note = git(&shared.path("first"), &["notes", "--ref", "rtswap", "show", "HEAD"]);
    let [line] = note.lines().collect::<Vec<_>>()[..] else { panic!("{note}") };
    let entry: Value = serde_json::from_str(line).unwrap();
    assert_eq!(entry["anchor"], json!({ "name": "v1", "commit": shared.commits[0] }));
    assert_eq!((&entry["lane"], &entry["status"]), (&json!("head"), &json!("ok")));
    // Both are this executable.
    assert_eq!(entry["head_sha256"].as_str().map(str::len), Some(64));
    assert_eq!(entry["head_sha256"], entry["anchor_sha256"]);
    assert_eq!(entry["record_sha256"].as_str().map(str::len), Some(64));

    let text = String::from_utf8(shared.ok("first", &[]).stdout).unwrap();
    assert!(text.contains("spawn/tasks=1, head: CPU time per operation"), "{text}");
    assert!(text.contains(head) && text.contains("No change point in"), "{text}");
}

#[test]
fn add_to_file_appends_and_removes_duplicates() {
    let shared = Shared::new(3);
    let record = record(&shared.case);
    let add = |commit: &str| {
        let record = record.to_str().unwrap();
        let args = ["add", record, "--anchor", "v1", "--commit", commit, "--file", "history.jsonl"];
        shared.ok("first", &args);
        fs::read_to_string(shared.path("first/history.jsonl")).unwrap()
    };
    let one = add("HEAD~1");
    assert_eq!(one.lines().count(), 1);
    // A last line without its end must not swallow the next one.
    fs::write(shared.path("first/history.jsonl"), one.trim_end()).unwrap();
    let two = add("HEAD");
    assert!(two.starts_with(&one) && two.lines().count() == 2 && two.ends_with('\n'), "{two}");
    assert_eq!(add("HEAD"), two);
    let left: Vec<_> = fs::read_dir(shared.path("first")).unwrap().flatten().collect();
    assert_eq!(left.len(), 2, "{left:?}");
    // Readable as any other file, whatever the temporary one was.
    let mode = fs::metadata(shared.path("first/history.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o444, 0o444);
    // Shown outside of a repository, too.
    fs::copy(shared.path("first/history.jsonl"), shared.path("copy.jsonl")).unwrap();
    let shown = shared.history(".", &["show", "--file", "copy.jsonl"]).assert().success();
    let text = String::from_utf8(shown.get_output().stdout.clone()).unwrap();
    assert!(text.contains(&shared.commits[1][..10]), "{text}");
}

#[test]
fn file_keeps_what_many_add_at_once() {
    let shared = Shared::new(2);
    let record = record(&shared.case);
    let record = record.to_str().unwrap();
    std::thread::scope(|scope| {
        for number in 0..6 {
            let shared = &shared;
            scope.spawn(move || {
                let anchor = format!("v1.{number}");
                let args = ["--anchor-commit", "v1", "--file", "history.jsonl"];
                shared.ok("first", &[&["add", record, "--anchor", &anchor], &args[..]].concat());
            });
        }
    });
    let text = fs::read_to_string(shared.path("first/history.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 6, "{text}");
}

#[test]
fn notes_keep_what_many_add_at_once() {
    let shared = Shared::new(2);
    let record = record(&shared.case);
    let record = record.to_str().unwrap();
    std::thread::scope(|scope| {
        for number in 0..6 {
            let shared = &shared;
            scope.spawn(move || {
                let anchor = format!("v1.{number}");
                let args = ["add", record, "--anchor", &anchor, "--anchor-commit", "v1"];
                shared.ok("first", &args);
            });
        }
    });
    let note = git(&shared.path("first"), &["notes", "--ref", "rtswap", "show", "HEAD"]);
    assert_eq!(note.lines().count(), 6, "{note}");
}
