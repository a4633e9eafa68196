//! An interrupted run leaves no lane behind, and a record that can be read and completed.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use support::{Case, RECORD, assert_one_line, json, program, quick_run};

/// A run of some seconds, of two workloads: long enough to be cut short, and soon completed.
fn args(lanes: &[String]) -> Vec<&str> {
    let mut args = quick_run("3s", "spawn/tasks=10", lanes);
    args.extend(["--workload", "tcp-echo/size=1024/conns=2"]);
    args
}

/// Completes the record of a run that was cut short, and reads it before and after.
fn assert_resumes(case: &Case) {
    let summary = || case.rtswap().args(["summary", RECORD, "--format", "json"]).unwrap();
    assert_eq!(json(&summary().stdout)["schema"], 3);
    let resume = ["run", "--resume", RECORD, "--format", "json"];
    let resumed = case.rtswap().args(resume).assert().success();
    case.assert_complete();
    let printed = &resumed.get_output().stdout;
    assert_eq!(printed, &summary().stdout, "the record alone says the same");
    for cell in json(printed)["cells"].as_array().unwrap() {
        assert_eq!(cell["status"], "ok", "{cell:#}");
    }
    case.assert_nothing_left();
}

#[test]
fn signal_ends_run_that_resumes() {
    for signal in [Signal::INT, Signal::TERM] {
        let case = Case::new();
        let lanes = [case.own_lane("mine", "none")];
        let run = case.spawn(&args(&lanes));
        case.wait_for_rounds(1);
        run.signal(signal);
        let (status, stderr) = run.wait();
        assert_eq!(status.code(), Some(130), "{stderr}");
        let last = assert_one_line(stderr.lines().last().unwrap());
        assert!(last.contains(&format!("`rtswap run --resume {RECORD}`")), "{last}");
        case.assert_nothing_left();
        assert_eq!(case.lines().last().unwrap()["ended"], "interrupted");
        assert_resumes(&case);
    }
}

#[test]
fn signal_does_not_wait_for_hanging_lane() {
    let case = Case::new();
    let lanes = [case.own_lane("bad", "hang-at-prepare")];
    let run = case.spawn(&args(&lanes));
    case.find("own_lane");
    run.signal(Signal::INT);
    let (status, stderr) = run.wait();
    assert_eq!(status.code(), Some(130), "{stderr}");
    let lost = case.lines().iter().filter(|line| line["kind"] == "lane-failure").count();
    assert_eq!(lost, 0, "an interruption is not a failure of a lane");
    case.assert_nothing_left();
}

#[test]
fn second_signal_ends_run_at_once() {
    let case = Case::new();
    // Lanes that ignore the order to stop are killed after a second each.
    let lanes = ["a", "b", "c"].map(|name| case.own_lane(name, "hang-at-prepare"));
    let run = case.spawn(&args(&lanes));
    case.find("own_lane");
    run.signal(Signal::INT);
    std::thread::sleep(Duration::from_millis(50));
    run.signal(Signal::INT);
    assert_eq!(run.wait().0.code(), Some(130));
    case.assert_nothing_left();
}

#[test]
fn lanes_die_with_killed_run_that_resumes() {
    let case = Case::new();
    // This one would not end by itself.
    let lanes = [case.own_lane("bad", "hang-in-slice --after 2"), "smol-local".to_owned()];
    let run = case.spawn(&args(&lanes));
    case.find("own_lane");
    run.signal(Signal::KILL);
    assert_eq!(run.wait().0.code(), None);
    case.assert_nothing_left();

    let case = Case::new();
    let lanes = [case.own_lane("mine", "none")];
    let run = case.spawn(&args(&lanes));
    case.wait_for_rounds(1);
    run.signal(Signal::KILL);
    run.wait();
    case.assert_nothing_left();
    assert_resumes(&case);
}

#[test]
fn resume_mends_cut_off_line() {
    let case = Case::new();
    let lanes = ["smol-local".to_owned()];
    case.rtswap().args(args(&lanes)).assert().success();
    let text = fs::read_to_string(case.path(RECORD)).unwrap();
    let whole: usize = text.lines().take(6).map(|line| line.len() + 1).sum();
    let cut = &text[..whole + 40];
    fs::write(case.path(RECORD), cut).unwrap();

    let summary = case.rtswap().args(["summary", RECORD]).assert().success();
    let stderr = String::from_utf8(summary.get_output().stderr.clone()).unwrap();
    let warning = stderr.lines().rev().nth(1).unwrap();
    assert!(warning.contains("is cut off in line 7, which is left out; it has "), "{stderr}");
    assert!(stderr.contains("`rtswap run --resume"), "{stderr}");
    let text = String::from_utf8(summary.get_output().stdout.clone()).unwrap();
    assert!(text.contains("smol-local"), "what is whole is shown: {text}");
    // Documents show whole records only.
    let report = case.rtswap().args(["report", "--splice", "document.md", RECORD]).assert().code(1);
    let stderr = String::from_utf8(report.get_output().stderr.clone()).unwrap();
    assert!(assert_one_line(&stderr).contains("line 7"), "{stderr}");
    assert_eq!(fs::read_to_string(case.path(RECORD)).unwrap(), cut, "reading changes nothing");

    case.rtswap().args(["run", "--resume", RECORD]).assert().success();
    case.assert_complete();
    assert!(fs::read_to_string(case.path(RECORD)).unwrap().starts_with(&cut[..whole]));
}

#[test]
fn resume_of_complete_record_measures_nothing() {
    let case = Case::new();
    case.quick_run("spawn/tasks=1", &["smol-local".to_owned()]).assert().success();
    // The budget was too short for all rounds.
    case.rtswap().args(["run", "--resume", RECORD]).assert().success();
    case.assert_complete();
    let before = case.lines();
    case.rtswap().args(["run", "--resume", RECORD]).assert().success();
    let after = case.lines();
    assert_eq!(after[..before.len()], before);
    assert!(after[before.len()..].iter().all(|line| line["kind"] == "footer"));
}

#[test]
fn resume_rejects_record_in_use() {
    let case = Case::new();
    let lanes = ["smol-local".to_owned()];
    let run = case.spawn(&quick_run("4s", "spawn/tasks=1", &lanes));
    case.wait_for_rounds(1);
    let resumed = case.rtswap().args(["run", "--resume", RECORD]).assert().code(1);
    let stderr = String::from_utf8(resumed.get_output().stderr.clone()).unwrap();
    let error = assert_one_line(&stderr);
    assert!(error.contains("is being written by another run"), "{error}");
    let (status, stderr) = run.wait();
    assert!(status.success(), "{stderr}");
    let footers = case.lines().iter().filter(|line| line["kind"] == "footer").count();
    assert_eq!(footers, 1, "no other process has written");
}

#[test]
fn huge_budget_is_accepted() {
    let case = Case::new();
    let lanes = ["smol-local".to_owned()];
    let mut args = quick_run("1000000000h", "spawn/tasks=1", &lanes);
    args.extend(["--workload", "startup"]);
    let run = case.spawn(&args);
    case.wait_for_rounds(2);
    run.signal(Signal::INT);
    let (status, stderr) = run.wait();
    assert_eq!(status.code(), Some(130), "{stderr}");
    case.assert_nothing_left();
}

#[test]
fn full_disk_ends_run_that_resumes() {
    let case = Case::new();
    let disk = case.path("disk");
    fs::create_dir(&disk).unwrap();
    if !may_mount(&disk) {
        support::skip("a full disk: only root may mount one; run this test as root");
        return;
    }
    // 8 KiB: the header and a few rounds. What is on it is gone with the namespace, so it is copied.
    let script = r#"
        mount -t tmpfs -o size=8k tmpfs disk
        code=0
        "$@" || code=$?
        echo $code > code
        cp disk/record.jsonl record.jsonl
    "#;
    let lanes = ["smol-local".to_owned()];
    let args = quick_run("4s", "spawn/tasks=1", &lanes);
    let args = args.iter().map(|arg| if *arg == RECORD { "disk/record.jsonl" } else { arg });
    let mut run = case.unshared(script);
    let output = run.arg("sh").arg(program()).args(args).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(fs::read_to_string(case.path("code")).unwrap(), "1\n", "{stderr}");
    let summary = json(&output.stdout);
    assert!(summary["cells"].as_array().is_some_and(|cells| cells.len() > 2), "{summary:#}");
    let error = assert_one_line(stderr.lines().last().unwrap());
    assert!(error.contains("disk/record.jsonl") && error.contains("No space left"), "{error}");
    assert!(error.contains("the results above are those of"), "{error}");
    assert!(error.contains("`rtswap run --resume disk/record.jsonl`"), "{error}");
    case.assert_nothing_left();
    let shown = case.rtswap().args(["summary", RECORD, "--format", "json"]).assert().success();
    assert_eq!(json(&shown.get_output().stdout)["cells"], summary["cells"]);

    case.wait_for_rounds(1);
    case.rtswap().args(["run", "--resume", RECORD]).assert().success();
    case.assert_complete();
}

fn may_mount(folder: &Path) -> bool {
    let mount = Command::new("unshare")
        .args(["--mount", "mount", "-t", "tmpfs", "tmpfs"])
        .arg(folder)
        .output();
    mount.is_ok_and(|done| done.status.success())
}
