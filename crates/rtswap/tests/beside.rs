//! What stands beside a run: floors, native lanes, sweeps, and what does not fit.

mod support;

use std::fs;

use predicates::prelude::*;
use predicates::str::contains;
use support::{Case, RECORD, assert_one_line, cell, json};

const SELECT: &str = "floor-select";

/// What a command that fails says.
fn told(case: &Case, code: i32, args: &[&str]) -> String {
    let done = case.rtswap().args(args).assert().code(code);
    let stderr = String::from_utf8(done.get_output().stderr.clone()).unwrap();
    assert_one_line(stderr.lines().last().unwrap()).to_owned()
}

#[test]
fn every_floor_does_its_three_workloads_and_the_best_is_what_others_are_measured_by() {
    let case = Case::new();
    let done = case
        .rtswap()
        .args(["run", "--lane", "floor-*", "--budget", "2s", "--format", "json", "--out", RECORD])
        .args(["--workload", "tcp-echo/conns=2", "--workload", "idle/conns=20"])
        .args(["--workload", "churn/conns=2"])
        .assert()
        .success()
        // Ten rounds of it take longer.
        .stderr(
            contains("10 rounds of 1 block, about ").and(contains("so no more of them than fit")),
        );
    let summary = json(&done.get_output().stdout);
    let cells = summary["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 3 * 7, "five floors, the reference and its control");
    for cell in cells {
        assert_eq!(cell["status"], "ok", "{cell:#}");
        let floor = cell["of_floor"]["floor"].as_str().unwrap();
        assert!(floor.starts_with("floor-"), "{cell:#}");
        let idle = cell["workload"] == "idle";
        assert_eq!(cell["memory_per_conn_bytes"].is_number(), idle, "{cell:#}");
    }
    for workload in summary["workloads"].as_array().unwrap() {
        let churns = workload["name"].as_str().unwrap().starts_with("churn");
        assert_eq!(workload["time_wait"].is_number(), churns, "{workload:#}");
    }
    case.assert_nothing_left();
}

#[test]
fn a_floor_takes_no_part_in_what_needs_a_scheduler() {
    let case = Case::new();
    let spawn = ["run", "--workload", "spawn", "--budget", "1s"];
    let told_so = |args: &[&str]| told(&case, 2, &[&spawn[..], args].concat());
    let idle = told_so(&["--lane", "floor-epoll"]);
    assert!(idle.contains("`floor-epoll` takes part in none"), "{idle}");
    assert!(idle.contains("it does tcp-echo, idle, churn"), "{idle}");
    let reference = told_so(&["--reference", "floor-epoll"]);
    assert!(reference.contains("is the reference, but takes no part in `spawn/"), "{reference}");
    // Among many it is left out without a word.
    let args =
        [&spawn[..], &["--lane", "floor-*", "--lane", "smol-local", "--out", RECORD]].concat();
    case.rtswap().args(args).assert().success().stdout(contains("\nfloor").not());
}

#[test]
fn select_says_that_it_knows_no_more_descriptors() {
    let case = Case::new();
    let lanes = ["--lane", SELECT, "--lane", "floor-poll"];
    let args = ["run", "--workload", "idle/conns=1100", "--budget", "1s", "--format", "json"];
    let done = case.rtswap().args(args).args(lanes).args(["--out", RECORD]).assert().success();
    let summary = json(&done.get_output().stdout);
    assert_eq!(cell(&summary, "floor-poll")["status"], "ok");
    let refused = cell(&summary, SELECT);
    assert_eq!(refused["status"], "unsupported");
    assert!(refused["reason"].as_str().unwrap().contains("1024"), "{refused:#}");
}

#[test]
fn what_does_not_fit_is_told_before_anything_runs() {
    let case = Case::new();
    let args = ["run", "--lane", "tokio", "--budget", "1s", "--workload", "idle/active=9/conns=8"];
    let impossible = told(&case, 2, &args);
    assert!(impossible.contains("9 of 8 connections cannot be active"), "{impossible}");
    assert_eq!(fs::read_dir(case.folder.path()).unwrap().count(), 0, "no record was begun");

    // A verification goes on to the next.
    let verify = ["verify", "--lane", "tokio-local", "--workload", "idle/active=9/conns=8"];
    case.rtswap().args(verify).assert().success().stdout(contains("skipped: 9 of 8"));

    // With something that fits beside it the run goes on, and the record says what was left out.
    let done = case
        .rtswap()
        .args(args)
        .args(["--workload", "spawn/tasks=1", "--format", "json", "--out", RECORD])
        .assert()
        .success()
        .stderr(contains("warning: idle/conns=8/active=9 cannot be measured"));
    let summary = json(&done.get_output().stdout);
    for cell in summary["cells"].as_array().unwrap() {
        let expected = if cell["workload"] == "idle" { "skipped" } else { "ok" };
        assert_eq!(cell["status"], expected, "{cell:#}");
    }
}

#[test]
fn connections_that_do_not_fit_at_once_are_opened_lane_by_lane() {
    let case = Case::new();
    // The hard limit is what counts, and only a shell of its own can lower it without harm.
    let script = format!(
        "ulimit -n 400 && exec {} run --lane tokio --lane smol-local --workload idle/conns=200 \
         --workload idle/conns=500 --budget 1s --format json --out {RECORD}",
        support::program().display()
    );
    let mut command = assert_cmd::Command::new("sh");
    let done = command.args(["-c", &script]).current_dir(case.folder.path()).assert().success();
    let stderr = String::from_utf8(done.get_output().stderr.clone()).unwrap();
    assert!(stderr.contains("500 connections do not fit into 400 descriptors"), "{stderr}");
    assert!(stderr.contains("--nofile=600:600"), "{stderr}");
    let summary = json(&done.get_output().stdout);
    for cell in summary["cells"].as_array().unwrap() {
        let fits = cell["params"]["conns"] == 200;
        assert_eq!(cell["status"], if fits { "ok" } else { "skipped" }, "{cell:#}");
        assert_eq!(cell["memory_per_conn_bytes"].is_number(), fits);
    }
    let plan = &case.lines()[0]["plan"]["workloads"];
    assert_eq!(plan[0]["reconnects"], true, "three lanes with 200 connections each");
}

#[test]
fn a_tax_pairs_each_adapter_with_what_was_written_by_hand() {
    let case = Case::new();
    let done = case
        .rtswap()
        .args(["tax", "--lane", "tokio-local", "--lane", "smol-local", "--budget", "2s"])
        .args(["--workload", "tcp-echo/conns=2", "--workload", "spawn/tasks=10"])
        .args(["--format", "json", "--out", RECORD])
        .assert()
        .success();
    let summary = json(&done.get_output().stdout);
    for lane in ["tokio-local", "smol-local"] {
        let taxed = cell(&summary, lane);
        assert_eq!(taxed["against"], format!("native-{lane}"));
        assert!(taxed["metrics"]["cpu_ns_per_op"]["ratio"].is_number(), "{taxed:#}");
        assert_eq!(cell(&summary, &format!("native-{lane}"))["role"], "reference");
        let polled = cell(&summary, &format!("poll-{lane}"));
        assert_eq!((&polled["against"], &polled["kind"]), (&lane.into(), &"polled".into()));
        assert!(polled["metrics"]["cpu_ns_per_op"]["ratio"].is_number(), "{polled:#}");
        assert_eq!(polled["receipt"]["notes"]["streams"], "native");
        assert_eq!(taxed["role"], "lane", "compared itself, though another is compared with it");
    }
    let block = case.lines().into_iter().find(|line| line["kind"] == "block").unwrap();
    let order: Vec<_> =
        block["slices"].as_array().unwrap().iter().map(|slice| slice["lane"].clone()).collect();
    let at = |lane: &str| order.iter().position(|other| other == lane).unwrap();
    let mut chain = ["native-smol-local", "smol-local", "poll-smol-local"].map(at);
    chain.sort_unstable();
    assert_eq!(chain[2] - chain[0], 2, "nobody is between those that are compared: {order:?}");
    let shown = case.rtswap().args(["summary", RECORD]).assert().success();
    shown.stdout(contains("poll-smol-local").and(contains("ratio to baseline")));
    case.assert_nothing_left();
}

#[test]
fn the_allocator_of_a_lane_keeps_what_it_has_unless_the_user_says_otherwise() {
    let lane = "mine=sh -c 'echo trim=$MALLOC_TRIM_THRESHOLD_ >&2; exit 1'";
    for (own, expected) in [(None, "trim=1073741824"), (Some("5"), "trim=5")] {
        let case = Case::new();
        let mut run = case.quick_run("spawn/tasks=1", &[lane.to_owned()]);
        run.env_remove("MALLOC_TRIM_THRESHOLD_").envs(own.map(|it| ("MALLOC_TRIM_THRESHOLD_", it)));
        let summary = json(&run.assert().success().get_output().stdout);
        let reason = cell(&summary, "mine")["reason"].as_str().unwrap();
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn a_tax_needs_something_written_by_hand() {
    let case = Case::new();
    let lane = told(&case, 2, &["tax", "--lane", "floor-epoll"]);
    assert!(lane.contains("`floor-epoll` has no native lane"), "{lane}");
    let workload = told(&case, 2, &["tax", "--lane", "tokio", "--workload", "channel"]);
    assert!(workload.contains("has no native lane, only tcp-echo"), "{workload}");
}

#[test]
fn a_sweep_has_tables_plots_and_a_record_that_shows_them_again() {
    let case = Case::new();
    let sweep = ["sweep", "--workload", "idle", "--over", "conns=10,20,1100", "--budget", "2s"];
    let lanes = ["--lane", SELECT, "--lane", "floor-epoll", "--reference", "tokio-local"];
    let done =
        case.rtswap().args(sweep).args(lanes).args(["--out", RECORD]).assert().success().stdout(
            contains("idle/active=1: CPU time per message")
                .and(contains("memory per connection"))
                .and(contains("floor-select, conns=1100: unsupported: ")),
        );
    let stdout = done.get_output().stdout.clone();
    let svg = fs::read_to_string(case.path("record.svg")).unwrap();
    for text in ["<svg", "idle/active=1 over conns", "floor-select", "memory per connection"] {
        assert!(svg.contains(text), "{text}");
    }
    let again = ["sweep", "--record", RECORD, "--plot", "again.svg"];
    case.rtswap().args(again).assert().success().stdout(stdout);
    assert_eq!(fs::read_to_string(case.path("again.svg")).unwrap(), svg);
    let markdown = ["sweep", "--record", RECORD, "--format", "markdown"];
    case.rtswap().args(markdown).assert().success().stdout(contains("| lane | conns=10 |"));
}

#[test]
fn what_is_no_sweep_is_told_and_so_is_a_plot_that_cannot_be_written() {
    let case = Case::new();
    case.quick_run("spawn/tasks=1", &["smol-local".to_owned()]).assert().success();
    let no_sweep = told(&case, 1, &["sweep", "--record", RECORD]);
    assert!(no_sweep.contains("not a sweep") && no_sweep.contains("--over"), "{no_sweep}");
    assert!(told(&case, 1, &["sweep", "--record", "missing"]).contains("missing"));
    let wrong = ["sweep", "--workload", "tcp-echo", "--over", "sise=1,2"];
    assert!(told(&case, 2, &wrong).contains("it has `size`, `conns`"));
    let mut sweep = case.rtswap();
    sweep.args(["sweep", "--workload", "spawn", "--over", "tasks=1,2", "--budget", "1s"]);
    sweep.args(["--lane", "smol-local", "--reference", "tokio-local", "--out", "sweep.jsonl"]);
    sweep.args(["--plot", "no/such/folder.svg"]);
    sweep.assert().code(1).stdout(contains("CPU time per task")).stderr(contains("--plot FILE"));
}
