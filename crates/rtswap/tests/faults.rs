//! Lanes are isolated: a crash, hang or wrong answer fails only that lane, with the reason on record, and
//! leaves no process behind.
//!
//! A hang takes until its limit, so all misbehaving lanes share two runs.

mod support;

use std::sync::LazyLock;

use predicates::prelude::*;
use predicates::str::contains;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::{Case, RECORD, assert_one_line, cell, eventually, json, own_lane, quick_run};

/// A run of lanes that each misbehave in their own way, next to some that do not.
struct Faulty {
    summary: Value,
    stderr: String,
    footer: Value,
    leftovers: Vec<String>,
}

impl Faulty {
    /// Each lane bears the name of its fault, and begins it after so many messages or slices.
    fn run(workload: &str, faults: &[&str], after: u32) -> Self {
        let case = Case::new();
        let spec = |name: &&str| format!("{} --after {after}", case.own_lane(name, name));
        let mut lanes: Vec<_> = faults.iter().map(spec).collect();
        lanes.extend([spec(&"sound"), "smol-local".to_owned()]);
        // In a shorter slice a lane may get no CPU at all on a busy machine.
        let mut run = case.quick_run(workload, &lanes);
        let done = run.args(["--slice-ms", "100"]).assert().code(1);
        let output = done.get_output();
        Self {
            summary: json(&output.stdout),
            stderr: String::from_utf8(output.stderr.clone()).unwrap(),
            footer: case.lines().pop().unwrap(),
            leftovers: case.leftovers(),
        }
    }

    /// Checks the status and the reason of a lane, in the summary and as a warning.
    fn assert(&self, lane: &str, status: &str, reason: &str) {
        let cell = cell(&self.summary, lane);
        assert_eq!(cell["status"], status, "{cell:#}");
        let found = cell["reason"].as_str().unwrap();
        let expected = predicate::str::is_match(reason).unwrap();
        assert!(expected.eval(found), "{lane}: /{reason}/ is not in: {found}");
        assert!(!found.contains(char::is_control), "{found:?} would disturb a terminal");
        let warned = self.stderr.lines().any(|line| {
            line.starts_with(&format!("warning: {lane} has lost")) && line.ends_with(found)
        });
        assert!(warned, "no warning of {lane}: {}", self.stderr);
    }

    fn assert_others_are_ok(&self, sound: &[&str]) {
        for lane in ["tokio-local", "smol-local", "control", "sound"].iter().chain(sound) {
            let cell = cell(&self.summary, lane);
            assert_eq!(cell["status"], "ok", "{cell:#}");
            assert!(cell["reason"].is_null(), "{cell:#}");
        }
        assert_eq!(self.footer["kind"], "footer");
        assert_eq!(self.footer["ended"], "complete");
        assert_eq!(self.leftovers, Vec::<String>::new());
    }
}

/// Lanes that serve.
static SERVED: LazyLock<Faulty> = LazyLock::new(|| {
    let faults = [
        "exit-at-start",
        "garbage",
        "binary",
        "endless-line",
        "wrong-answer",
        "no-address",
        "skip",
        "wrong-byte",
        "truncate",
        "die-in-slice",
        "exit-in-slice",
        "gives-up-serving",
        "offspring",
        "hang-in-slice",
        "chatter",
    ];
    // One message on each connection when it is opened, and one at least in the first slice.
    Faulty::run("tcp-echo/size=1024/conns=4", &faults, 6)
});

/// Lanes that drive themselves.
static DRIVEN: LazyLock<Faulty> = LazyLock::new(|| {
    let faults = [
        "stale",
        "claims-an-hour",
        "claims-an-instant",
        "claims-nothing",
        "claims-trillion",
        "idles",
        "bad-histogram",
        "gives-up",
        "hang-in-slice",
        "die-in-slice",
        "hang-at-prepare",
    ];
    Faulty::run("spawn/tasks=1", &faults, 0)
});

#[test]
fn faulty_served_lanes_leave_others_alone() {
    SERVED.assert_others_are_ok(&["chatter"]);
}

#[test]
fn faulty_self_driven_lanes_leave_others_alone() {
    DRIVEN.assert_others_are_ok(&[]);
}

#[test]
fn exit_at_start_fails_with_status_and_stderr() {
    SERVED.assert("exit-at-start", "failed", "exit status: 3.*a library that I need is missing");
}

#[test]
fn invalid_response_is_quoted() {
    SERVED.assert("garbage", "failed", "invalid response.*Welcome to my lane!");
    SERVED.assert("binary", "failed", "invalid response.*31m");
    SERVED.assert("endless-line", "failed", "exceeds 1 MiB without a newline");
    SERVED.assert("wrong-answer", "failed", "expected the response `ready`, got .*stopped");
    SERVED.assert("no-address", "failed", "the ready response has no address");
}

#[test]
fn skipped_lane_gives_remedy() {
    SERVED.assert("skip", "skipped", "apt-get install frobnicate");
}

#[test]
fn wrong_echo_is_invalid() {
    SERVED.assert("wrong-byte", "invalid", "byte 0 of message .* is 0x.*, not 0x");
}

#[test]
fn missing_echo_fails() {
    SERVED.assert("truncate", "failed", "stalled: no byte came for 5s");
    SERVED.assert("hang-in-slice", "failed", "stalled: no byte came for 5s");
}

#[test]
fn served_lane_that_gives_up_keeps_its_reason() {
    SERVED.assert("gives-up-serving", "unsupported", "^its ring is full; enlarge it$");
}

#[test]
fn work_of_child_process_counts_where_perf_is_allowed() {
    let case = Case::new();
    // The lane is not the last command, so that the shell waits for it.
    let lane = case.own_lane("piped", "none").replacen('=', "=sh -c '", 1) + "; true'";
    let done = case.quick_run("tcp-echo/size=1024/conns=4", &[lane]).output().unwrap();
    let summary = json(&done.stdout);
    let cell = cell(&summary, "piped");
    let rounds = case.lines().into_iter().filter(|line| line["kind"] == "round");
    let sources: Vec<_> =
        rounds.map(|round| round["lanes"]["piped"]["cpu_source"].clone()).collect();
    if sources.iter().all(|source| source == "task-clock") {
        assert_eq!(cell["status"], "ok", "{cell:#}");
    } else {
        assert_eq!(cell["status"], "failed", "{cell:#}");
        let reason = cell["reason"].as_str().unwrap();
        assert!(reason.contains("if a child does the work"), "{reason}");
    }
    case.assert_nothing_left();
}

#[test]
fn death_in_slice_fails_with_signal() {
    SERVED.assert("die-in-slice", "failed", "signal: 6 .*my last words");
    SERVED.assert("exit-in-slice", "failed", "the process ended .exit status: 0");
    SERVED.assert("offspring", "failed", "signal: 6 .*my last words");
}

#[test]
fn response_to_earlier_order_is_invalid() {
    DRIVEN.assert("stale", "invalid", "two responses to one order|ns reported, but .* ms ordered");
}

#[test]
fn impossible_slice_time_is_invalid() {
    DRIVEN.assert("claims-an-hour", "invalid", "slice of 3600000000000 ns reported");
    DRIVEN.assert("claims-an-instant", "invalid", "slice of 1 ns reported");
    DRIVEN.assert("claims-nothing", "invalid", "slice of 0 ns reported");
}

#[test]
fn impossible_rate_is_invalid() {
    let reason = "1000000000000 operations reported in .* per nanosecond: impossible on";
    DRIVEN.assert("claims-trillion", "invalid", reason);
}

#[test]
fn slice_without_operation_fails() {
    DRIVEN.assert("idles", "failed", "no operation in a slice of");
}

#[test]
fn invalid_histogram_fails() {
    DRIVEN.assert("bad-histogram", "failed", "invalid latency_hdr");
}

#[test]
fn invalid_reported_by_lane_is_kept() {
    DRIVEN.assert("gives-up", "invalid", "^task 7 is lost$");
}

#[test]
fn hang_fails_after_limit() {
    DRIVEN.assert("hang-in-slice", "failed", "no response within 10.* s");
    DRIVEN.assert("hang-at-prepare", "failed", "no response within 15 s");
}

#[test]
fn death_of_self_driven_lane_fails_with_signal() {
    DRIVEN.assert("die-in-slice", "failed", "standard output closed: the process ended .signal: 6");
}

#[test]
fn command_that_cannot_start_fails_with_shell_message() {
    let case = Case::new();
    let lanes = ["absent=no-such-program --x".to_owned(), "data=/etc/passwd".to_owned()];
    let done = case.quick_run("spawn/tasks=1", &lanes).assert().code(1);
    let summary = json(&done.get_output().stdout);
    for (lane, expected) in [("absent", "no-such-program"), ("data", "Permission denied")] {
        let cell = cell(&summary, lane);
        assert_eq!(cell["status"], "failed");
        assert!(cell["reason"].as_str().unwrap().contains(expected), "{cell:#}");
    }
    case.assert_nothing_left();
}

#[test]
fn absent_tmpdir_fails_no_lane() {
    let case = Case::new();
    let mut run = case.quick_run("spawn/tasks=1", &["smol-local".to_owned()]);
    run.env("TMPDIR", "/nonexistent").assert().success();
}

#[test]
fn killed_lane_loses_only_its_own_cell() {
    let case = Case::new();
    let lanes = [case.own_lane("victim", "none"), "smol-local".to_owned()];
    let run = case.spawn(&quick_run("5s", "tcp-echo/size=1024/conns=4", &lanes));
    // Repeated, as the round may just be ending.
    let lost = eventually(|| {
        let alive = case.alive();
        let victim = alive.iter().find(|(_, line)| line.starts_with(own_lane().to_str().unwrap()));
        if let Some(victim) = victim.and_then(|(pid, _)| Pid::from_raw(*pid)) {
            let _ = kill_process(victim, Signal::KILL);
        }
        let record = std::fs::read_to_string(case.path(RECORD)).ok()?;
        record.contains("\"kind\":\"lane-failure\"").then_some(())
    });
    lost.expect("it is lost when it is killed");
    let (status, stderr) = run.wait();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("named lanes without a result: victim on tcp-echo"), "{stderr}");
    let output = case.rtswap().args(["summary", RECORD, "--format", "json"]).unwrap();
    let summary = json(&output.stdout);
    let lost = cell(&summary, "victim");
    assert_eq!(lost["status"], "failed", "{lost:#}");
    assert!(lost["reason"].as_str().unwrap().contains("signal: 9"), "{lost:#}");
    for lane in ["tokio-local", "smol-local", "control"] {
        assert_eq!(cell(&summary, lane)["status"], "ok");
    }
    case.assert_nothing_left();
}

#[test]
fn run_exits_1_if_named_command_fails() {
    let case = Case::new();
    let lane = ["mine=false".to_owned()];
    let done = case.quick_run("spawn/tasks=1", &lane).assert().code(1);
    let output = done.get_output();
    let summary = json(&output.stdout);
    assert_eq!(cell(&summary, "mine")["status"], "failed");
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    let last = assert_one_line(stderr.lines().last().unwrap());
    assert!(last.contains("mine on spawn/tasks=1 (failed)"), "{last}");

    // The record has the command line, so that completing the run has the same result.
    let resume = ["run", "--resume", RECORD];
    case.rtswap().args(resume).assert().code(1).stderr(contains("mine on spawn/tasks=1"));

    let verify = ["verify", "--workload", "spawn/tasks=1", "--lane", &lane[0]];
    case.rtswap().args(verify).assert().code(1).stderr(contains("mine on spawn/tasks=1"));
}

#[test]
fn histogram_grows_over_slices() {
    let case = Case::new();
    // After the slices of the first block, the warm-up and the counted one.
    let lanes = [format!("{} --after 2", case.own_lane("outlier", "outlier"))];
    let mut run = case.rtswap();
    let done = run.args(quick_run("10s", "spawn/tasks=1", &lanes)).assert().success();
    assert!(case.lines()[0]["plan"]["blocks"].as_u64() > Some(1), "they are summed over blocks");
    let summary = json(&done.get_output().stdout);
    let cell = cell(&summary, "outlier");
    assert_eq!(cell["status"], "ok", "{cell:#}");
    assert!(cell["latency_ns"]["max"].as_f64() > Some(40e6), "{cell:#}");
}

#[test]
fn verify_on_full_disk_fails_and_leaves_nothing() {
    let case = Case::new();
    let Some(mut verify) = case.on_small_disk("8m") else { return };
    let output = verify.args(["verify", "--workload", "file", "--lane", "tokio"]).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    assert!(stdout.contains("cannot make a file of 256 MiB"), "{stdout}");
    assert!(stdout.contains("No space left on device"), "{stdout}");
    assert!(stdout.contains("TMPDIR"), "{stdout}");
    assert_eq!(std::fs::read_to_string(case.path("left")).unwrap(), "");
}
