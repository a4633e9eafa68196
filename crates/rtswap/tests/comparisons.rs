//! Floors, native lanes and sweeps, and workloads that exceed the limits of the machine.

mod support;

use std::fs;

use predicates::prelude::*;
use predicates::str::contains;
use support::{Case, RECORD, assert_one_line, cell, json};

const SELECT: &str = "floor-select";
/// A slice in which every lane gets some CPU time on a busy machine.
const LONG_SLICE_MS: &str = "100";

/// The last line on standard error of a command that fails.
fn error_line(case: &Case, code: i32, args: &[&str]) -> String {
    let done = case.rtswap().args(args).assert().code(code);
    let stderr = String::from_utf8(done.get_output().stderr.clone()).unwrap();
    assert_one_line(stderr.lines().last().unwrap()).to_owned()
}

#[test]
fn run_compares_lanes_with_best_floor() {
    let case = Case::new();
    let done = case
        .rtswap()
        .args(["run", "--lane", "floor-*", "--budget", "8s", "--format", "json", "--out", RECORD])
        .args(["--workload", "tcp-echo/conns=2", "--workload", "idle/conns=20"])
        .args(["--workload", "churn/conns=2", "--slice-ms", LONG_SLICE_MS])
        .assert()
        .success()
        // Ten rounds take longer.
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
fn run_rejects_floor_for_scheduler_workload() {
    let case = Case::new();
    let spawn = ["run", "--workload", "spawn", "--budget", "1s"];
    let rejected = |args: &[&str]| error_line(&case, 2, &[&spawn[..], args].concat());
    let idle = rejected(&["--lane", "floor-epoll"]);
    assert!(idle.contains("`floor-epoll` takes part in none"), "{idle}");
    assert!(idle.contains("it does tcp-echo, idle, churn"), "{idle}");
    let reference = rejected(&["--reference", "floor-epoll"]);
    assert!(reference.contains("is the reference, but takes no part in `spawn/"), "{reference}");
    // A glob leaves it out without an error.
    let args =
        [&spawn[..], &["--lane", "floor-*", "--lane", "smol-local", "--out", RECORD]].concat();
    case.rtswap().args(args).assert().success().stdout(contains("\nfloor").not());
}

#[test]
fn floor_select_refuses_descriptors_above_1024() {
    let case = Case::new();
    let lanes = ["--lane", SELECT, "--lane", "floor-poll"];
    let args = ["run", "--workload", "idle/conns=1100", "--budget", "1s", "--format", "json"];
    let slices = ["--slice-ms", LONG_SLICE_MS];
    let done =
        case.rtswap().args(args).args(lanes).args(slices).args(["--out", RECORD]).assert().code(1);
    let summary = json(&done.get_output().stdout);
    assert_eq!(cell(&summary, "floor-poll")["status"], "ok");
    let refused = cell(&summary, SELECT);
    assert_eq!(refused["status"], "unsupported");
    assert!(refused["reason"].as_str().unwrap().contains("1024"), "{refused:#}");
}

#[test]
fn workload_that_exceeds_limits_is_skipped_before_start() {
    let case = Case::new();
    let args = ["run", "--lane", "tokio", "--budget", "1s", "--workload", "idle/active=9/conns=8"];
    let impossible = error_line(&case, 2, &args);
    assert!(impossible.contains("9 of 8 connections cannot be active"), "{impossible}");
    assert_eq!(fs::read_dir(case.folder.path()).unwrap().count(), 0, "no record was begun");

    // `verify` skips the workload and continues with the next.
    let verify = ["verify", "--lane", "tokio-local", "--workload", "idle/active=9/conns=8"];
    let more = ["--workload", "spawn/tasks=1"];
    let skipped = contains("skipped: 9 of 8").and(contains("tokio-local  ok, "));
    case.rtswap().args(verify).args(more).assert().success().stdout(skipped);

    // `run` measures the workload that fits, and the record has the reason for the other.
    let done = case
        .rtswap()
        .args(args)
        .args(["--workload", "spawn/tasks=1", "--format", "json", "--out", RECORD])
        .assert()
        .code(1)
        .stderr(contains("warning: idle/conns=8/active=9 cannot be measured"))
        .stderr(contains("named workloads without a result: idle/conns=8/active=9;"));
    let summary = json(&done.get_output().stdout);
    for cell in summary["cells"].as_array().unwrap() {
        let expected = if cell["workload"] == "idle" { "skipped" } else { "ok" };
        assert_eq!(cell["status"], expected, "{cell:#}");
    }
}

#[test]
fn run_reconnects_where_descriptors_are_few() {
    let case = Case::new();
    // The hard limit is what counts, and only a shell of its own can lower it without harm.
    let script = format!(
        "ulimit -n 400 && exec {} run --lane tokio --lane smol-local --workload idle/conns=200 \
         --workload idle/conns=500 --allow-missing --budget 1s --slice-ms {LONG_SLICE_MS} --format json \
         --out {RECORD}",
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
fn overhead_pairs_adapter_with_native_lane() {
    let case = Case::new();
    let done = case
        .rtswap()
        .args(["overhead", "--lane", "tokio-local", "--lane", "smol-local", "--budget", "2s"])
        .args(["--workload", "tcp-echo/conns=2", "--workload", "spawn/tasks=10"])
        .args(["--format", "json", "--out", RECORD])
        .assert()
        .success();
    let summary = json(&done.get_output().stdout);
    for lane in ["tokio-local", "smol-local"] {
        let adapter = cell(&summary, lane);
        assert_eq!(adapter["against"], format!("native-{lane}"));
        assert!(adapter["metrics"]["cpu_ns_per_op"]["ratio"].is_number(), "{adapter:#}");
        assert_eq!(cell(&summary, &format!("native-{lane}"))["role"], "reference");
        let polled = cell(&summary, &format!("poll-{lane}"));
        assert_eq!((&polled["against"], &polled["kind"]), (&lane.into(), &"polled".into()));
        assert!(polled["metrics"]["cpu_ns_per_op"]["ratio"].is_number(), "{polled:#}");
        assert_eq!(polled["info"]["notes"]["streams"], "native");
        assert_eq!(adapter["role"], "lane", "poll-NAME is compared with it");
    }
    let block = case.lines().into_iter().find(|line| line["kind"] == "block").unwrap();
    let mut order: Vec<_> =
        block["slices"].as_array().unwrap().iter().map(|slice| slice["lane"].clone()).collect();
    // A slice that does not count is measured again at once.
    order.dedup();
    let at = |lane: &str| order.iter().position(|other| other == lane).unwrap();
    let mut chain = ["native-smol-local", "smol-local", "poll-smol-local"].map(at);
    chain.sort_unstable();
    assert_eq!(chain[2] - chain[0], 2, "no other lane is between compared lanes: {order:?}");
    let shown = case.rtswap().args(["summary", RECORD]).assert().success();
    shown.stdout(contains("poll-smol-local").and(contains("ratio to baseline")));
    case.assert_nothing_left();
}

#[test]
fn lane_gets_malloc_trim_threshold_unless_set() {
    let lane = "mine=sh -c 'echo trim=$MALLOC_TRIM_THRESHOLD_ >&2; exit 1'";
    for (own, expected) in [(None, "trim=1073741824"), (Some("5"), "trim=5")] {
        let case = Case::new();
        let mut run = case.quick_run("spawn/tasks=1", &[lane.to_owned()]);
        run.env_remove("MALLOC_TRIM_THRESHOLD_").envs(own.map(|it| ("MALLOC_TRIM_THRESHOLD_", it)));
        let summary = json(&run.assert().code(1).get_output().stdout);
        let reason = cell(&summary, "mine")["reason"].as_str().unwrap();
        assert!(reason.contains(expected), "{reason}");
    }
}

#[test]
fn overhead_rejects_lane_and_workload_without_native() {
    let case = Case::new();
    let lane = error_line(&case, 2, &["overhead", "--lane", "floor-epoll"]);
    assert!(lane.contains("`floor-epoll` has no native lane"), "{lane}");
    // By the name that the command had in version 0.1.0, too.
    for command in ["overhead", "tax"] {
        let workload = error_line(&case, 2, &[command, "--lane", "tokio", "--workload", "channel"]);
        assert!(workload.contains("has no native lane, only tcp-echo"), "{workload}");
    }
}

#[test]
fn sweep_prints_same_from_run_and_from_record() {
    let case = Case::new();
    let sweep = ["sweep", "--workload", "idle", "--over", "conns=10,20,1100", "--budget", "4s"];
    // By globs: on a busy machine a lane may have no figure for a value.
    let lanes = ["--lane", "floor-sel*", "--lane", "floor-ep*", "--reference", "tokio-local"];
    let done =
        case.rtswap().args(sweep).args(lanes).args(["--out", RECORD]).assert().success().stdout(
            contains("idle/active=1/buffer=held: CPU time per message")
                .and(contains("memory per connection"))
                .and(contains("floor-select, conns=1100: unsupported: ")),
        );
    let stdout = done.get_output().stdout.clone();
    let svg = fs::read_to_string(case.path("record.svg")).unwrap();
    for text in
        ["<svg", "idle/active=1/buffer=held over conns", "floor-select", "memory per connection"]
    {
        assert!(svg.contains(text), "{text}");
    }
    let again = ["sweep", "--record", RECORD, "--plot", "again.svg"];
    case.rtswap().args(again).assert().success().stdout(stdout);
    assert_eq!(fs::read_to_string(case.path("again.svg")).unwrap(), svg);
    let markdown = ["sweep", "--record", RECORD, "--format", "markdown"];
    case.rtswap().args(markdown).assert().success().stdout(contains("| lane | conns=10 |"));
}

#[test]
fn sweep_rejects_other_record_and_unwritable_plot() {
    let case = Case::new();
    case.quick_run("spawn/tasks=1", &["smol-local".to_owned()]).assert().success();
    let no_sweep = error_line(&case, 1, &["sweep", "--record", RECORD]);
    assert!(no_sweep.contains("not a sweep") && no_sweep.contains("--over"), "{no_sweep}");
    assert!(error_line(&case, 1, &["sweep", "--record", "missing"]).contains("missing"));
    let wrong = ["sweep", "--workload", "tcp-echo", "--over", "sise=1,2"];
    assert!(error_line(&case, 2, &wrong).contains("it has `size`, `conns`"));
    let mut sweep = case.rtswap();
    sweep.args(["sweep", "--workload", "spawn", "--over", "tasks=1,2", "--budget", "1s"]);
    sweep.args(["--lane", "smol-local", "--reference", "tokio-local", "--out", "sweep.jsonl"]);
    sweep.args(["--plot", "no/such/folder.svg"]);
    sweep.assert().code(1).stdout(contains("CPU time per task")).stderr(contains("--plot FILE"));
}
