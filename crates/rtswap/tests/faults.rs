//! A lane that misbehaves loses its own cells, with a telling reason; the others go on, and nothing
//! of it is left behind.
//!
//! Hangs are waited for, so all misbehaving lanes share two runs.

mod support;

use std::sync::LazyLock;

use predicates::prelude::*;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::{Case, RECORD, cell, eventually, json, own_lane, quick_run};

/// A run of lanes that each misbehave in their own way, beside some that do not.
struct Faulty {
    summary: Value,
    warnings: String,
    footer: Value,
    leftovers: Vec<String>,
}

impl Faulty {
    /// Each lane bears the name of its fault, and begins it after so many messages or slices.
    fn run(workload: &str, faults: &[&str], after: u32) -> Self {
        let case = Case::new();
        let spelled = |name: &&str| format!("{} --after {after}", case.own_lane(name, name));
        let mut lanes: Vec<_> = faults.iter().map(spelled).collect();
        lanes.extend([spelled(&"sound"), "smol-local".to_owned()]);
        let done = case.quick_run(workload, &lanes).assert().success();
        let output = done.get_output();
        Self {
            summary: json(&output.stdout),
            warnings: String::from_utf8(output.stderr.clone()).unwrap(),
            footer: case.lines().pop().unwrap(),
            leftovers: case.leftovers(),
        }
    }

    /// Checks what became of a lane, and that it was told while it ran, too.
    fn assert(&self, lane: &str, status: &str, reason: &str) {
        let cell = cell(&self.summary, lane);
        assert_eq!(cell["status"], status, "{cell:#}");
        let told = cell["reason"].as_str().unwrap();
        let tells = predicate::str::is_match(reason).unwrap();
        assert!(tells.eval(told), "{lane}: /{reason}/ is not in: {told}");
        assert!(!told.contains(char::is_control), "{told:?} would disturb a terminal");
        let warned = self.warnings.lines().any(|line| {
            line.starts_with(&format!("warning: {lane} has lost")) && line.ends_with(told)
        });
        assert!(warned, "no warning of {lane}: {}", self.warnings);
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
        "bad-histogram",
        "gives-up",
        "hang-in-slice",
        "die-in-slice",
        "hang-at-prepare",
    ];
    Faulty::run("spawn/tasks=1", &faults, 0)
});

#[test]
fn the_others_go_on_and_nothing_of_a_serving_lane_is_left() {
    SERVED.assert_others_are_ok(&["chatter"]);
}

#[test]
fn the_others_go_on_and_nothing_of_a_driving_lane_is_left() {
    DRIVEN.assert_others_are_ok(&[]);
}

#[test]
fn a_lane_that_ends_at_once_fails_with_its_code_and_its_last_words() {
    SERVED.assert("exit-at-start", "failed", "exit status: 3.*a library that I need is missing");
}

#[test]
fn an_answer_that_is_no_answer_is_shown() {
    SERVED.assert("garbage", "failed", "nonsense.*Welcome to my lane!");
    SERVED.assert("binary", "failed", "nonsense.*31m");
    SERVED.assert("endless-line", "failed", "no end");
    SERVED.assert("wrong-answer", "failed", "`ready`.*stopped");
    SERVED.assert("no-address", "failed", "names no address");
}

#[test]
fn a_lane_that_lacks_something_is_skipped_with_the_remedy() {
    SERVED.assert("skip", "skipped", "apt-get install frobnicate");
}

#[test]
fn an_echo_that_is_not_what_was_sent_is_invalid() {
    SERVED.assert("wrong-byte", "invalid", "byte 0 of message .* is 0x.*, not 0x");
}

#[test]
fn an_echo_that_stays_away_is_a_failure() {
    SERVED.assert("truncate", "failed", "stalled: no byte came for 5s");
    SERVED.assert("hang-in-slice", "failed", "stalled: no byte came for 5s");
}

#[test]
fn a_server_that_gives_up_is_told_by_its_own_reason() {
    SERVED.assert("gives-up-serving", "unsupported", "^its ring is full; enlarge it$");
}

#[test]
fn work_that_a_child_does_is_no_work_of_the_lane() {
    let case = Case::new();
    // Not its last command, so that the shell stays and waits for it.
    let lane = case.own_lane("piped", "none").replacen('=', "=sh -c '", 1) + "; true'";
    let lanes = [lane];
    let mut args = quick_run("4s", "tcp-echo/size=1024/conns=4", &lanes);
    args.extend(["--workload", "tcp-echo/size=1024/conns=5"]);
    let done = case.rtswap().args(args).assert().success();
    let summary = json(&done.get_output().stdout);
    let cells = summary["cells"].as_array().unwrap().iter();
    let piped: Vec<_> = cells.filter(|cell| cell["lane"] == "piped").collect();
    assert_eq!(piped.len(), 2, "in the second workload as in the first");
    for cell in piped {
        assert_eq!(cell["status"], "failed", "{cell:#}");
        let reason = cell["reason"].as_str().unwrap();
        assert!(reason.contains("does a child do the work?"), "{reason}");
    }
    case.assert_nothing_left();
}

#[test]
fn a_server_that_dies_is_told_by_how_it_died() {
    SERVED.assert("die-in-slice", "failed", "signal: 6 .*my last words");
    SERVED.assert("exit-in-slice", "failed", "it ended .exit status: 0");
    SERVED.assert("offspring", "failed", "signal: 6 .*my last words");
}

#[test]
fn an_answer_to_an_earlier_order_is_invalid() {
    DRIVEN.assert("stale", "invalid", "claims a slice of");
}

#[test]
fn a_time_that_cannot_be_is_invalid() {
    DRIVEN.assert("claims-an-hour", "invalid", "3600000000000 ns within");
    DRIVEN.assert("claims-an-instant", "invalid", "claims a slice of 1 ns");
    DRIVEN.assert("claims-nothing", "invalid", "claims a slice of 0 ns");
}

#[test]
fn latencies_that_are_none_are_a_failure() {
    DRIVEN.assert("bad-histogram", "failed", "invalid latency_hdr");
}

#[test]
fn what_a_lane_finds_wrong_itself_is_passed_on() {
    DRIVEN.assert("gives-up", "invalid", "^task 7 is lost$");
}

#[test]
fn a_lane_that_hangs_is_not_waited_for_forever() {
    DRIVEN.assert("hang-in-slice", "failed", "no answer within 10.* s");
    DRIVEN.assert("hang-at-prepare", "failed", "no answer within 15 s");
}

#[test]
fn a_lane_that_dies_in_its_slice_fails() {
    DRIVEN.assert("die-in-slice", "failed", "closed its output: it ended .signal: 6");
}

#[test]
fn a_command_that_cannot_be_run_is_told_as_the_shell_tells_it() {
    let case = Case::new();
    let lanes = ["absent=no-such-program --x".to_owned(), "data=/etc/passwd".to_owned()];
    let done = case.quick_run("spawn/tasks=1", &lanes).assert().success();
    let summary = json(&done.get_output().stdout);
    for (lane, tells) in [("absent", "no-such-program"), ("data", "Permission denied")] {
        let cell = cell(&summary, lane);
        assert_eq!(cell["status"], "failed");
        assert!(cell["reason"].as_str().unwrap().contains(tells), "{cell:#}");
    }
    case.assert_nothing_left();
}

#[test]
fn a_machine_without_a_place_for_temporary_files_is_told() {
    let case = Case::new();
    let mut run = case.quick_run("spawn/tasks=1", &["smol-local".to_owned()]);
    let done = run.env("TMPDIR", "/nonexistent").assert();
    let summary = json(&done.get_output().stdout);
    let reason = cell(&summary, "smol-local")["reason"].as_str().unwrap();
    assert!(reason.contains("/nonexistent") && reason.contains("set TMPDIR"), "{reason}");
}

#[test]
fn a_lane_that_is_killed_from_outside_loses_only_its_own_cell() {
    let case = Case::new();
    let lanes = [case.own_lane("victim", "none"), "smol-local".to_owned()];
    let run = case.spawn(&quick_run("5s", "tcp-echo/size=1024/conns=4", &lanes));
    // Again if the round was just about to end anyway.
    let lost = eventually(|| {
        let alive = case.alive();
        let victim = alive.iter().find(|(_, line)| line.starts_with(own_lane().to_str().unwrap()));
        if let Some(victim) = victim.and_then(|(pid, _)| Pid::from_raw(*pid)) {
            let _ = kill_process(victim, Signal::KILL);
        }
        let record = std::fs::read_to_string(case.path(RECORD)).ok()?;
        record.contains("\"kind\":\"lost\"").then_some(())
    });
    lost.expect("it is lost when it is killed");
    let (status, stderr) = run.wait();
    assert!(status.success(), "{stderr}");
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
fn latencies_may_grow_from_slice_to_slice() {
    let case = Case::new();
    // After the slices of the first block: what is not counted, and what is.
    let lanes = [format!("{} --after 2", case.own_lane("outlier", "outlier"))];
    let mut run = case.rtswap();
    let done = run.args(quick_run("4s", "spawn/tasks=1", &lanes)).assert().success();
    assert!(case.lines()[0]["plan"]["blocks"].as_u64() > Some(1), "they are summed over blocks");
    let summary = json(&done.get_output().stdout);
    let cell = cell(&summary, "outlier");
    assert_eq!(cell["status"], "ok", "{cell:#}");
    assert!(cell["latency_ns"]["max"].as_f64() > Some(40e6), "{cell:#}");
}

#[test]
fn a_disk_that_is_too_small_for_the_blocks_is_told_and_nothing_is_left() {
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
