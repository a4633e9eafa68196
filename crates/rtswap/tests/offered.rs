//! Workloads at an offered rate, on real processes.

mod support;

use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use support::{Case, RECORD, assert_one_line, cell, json, rtswap};

/// A lane in Python, which does not pace itself, and answers each slice as a closed loop does.
const CLOSED: &str = r#"
import json, sys, time
for line in sys.stdin:
    order = json.loads(line)
    if order["order"] == "prepare":
        assert "rate" not in order["workload"], order
        print(json.dumps({"answer": "ready", "info": {"runtime": "x", "version": "1", "driver": "none", "workers": 1}}), flush=True)
    elif order["order"] == "slice":
        begin = time.perf_counter_ns()
        while time.perf_counter_ns() - begin < order["ms"] * 1e6: pass
        print(json.dumps({"answer": "slice", "ops": 10, "elapsed_ns": time.perf_counter_ns() - begin}), flush=True)
    else:
        sys.exit(0)
"#;

fn run(case: &Case, workload: &str, lanes: &[&str]) -> Value {
    let mut run = case.rtswap();
    run.args([
        "run",
        "--workload",
        workload,
        "--budget",
        "3s",
        "--slice-ms",
        "20",
        "--out",
        RECORD,
    ]);
    for lane in lanes {
        run.args(["--lane", lane]);
    }
    run.args(["--format", "json"]);
    json(&run.output().unwrap().stdout)
}

fn slices(case: &Case) -> Vec<Value> {
    let blocks = case.lines().into_iter().filter(|line| line["kind"] == "block");
    blocks.flat_map(|block| block["slices"].as_array().unwrap().clone()).collect()
}

#[test]
fn share_of_capacity_is_offered_to_all_lanes() {
    for workload in ["tcp-echo/size=64/conns=4", "churn/conns=4", "channel/pairs=2"] {
        let name = format!("{workload}/rate=10%/arrivals=poisson");
        let measured = || {
            let case = Case::new();
            let summary = run(&case, &name, &["tokio-local", "smol-local"]);
            // A machine that stalls leaves a backlog that is no lane's.
            let cells = summary["cells"].as_array().unwrap();
            let is_steady = cells.iter().all(|cell| cell["status"] != "overloaded");
            is_steady.then_some((case, summary))
        };
        let (case, summary) = (0..5).find_map(|_| measured()).expect("a machine that is less busy");
        assert_eq!(summary["workloads"][0]["name"], name.as_str());
        for lane in ["tokio-local", "smol-local"] {
            let cell = cell(&summary, lane);
            assert_eq!(cell["status"], "ok", "{cell:#}");
            assert_eq!(cell["deciding"], "cpu_ns_per_op");
            assert!(cell["metrics"]["capacity_per_s"]["value"].as_f64().unwrap() > 0.0);
            assert!(cell["latency_ns"]["p50"].as_u64().unwrap() > 0);
        }
        let lines = case.lines();
        let rates: Vec<_> = lines.iter().filter(|line| line["kind"] == "offered-rate").collect();
        assert_eq!(rates.len(), 1, "{workload}");
        let capacities = rates[0]["capacity_per_s"].as_object().unwrap().values();
        let slowest = capacities.map(|it| it.as_f64().unwrap()).fold(f64::INFINITY, f64::min);
        let offered = rates[0]["per_s"].as_f64().unwrap();
        assert!((offered / slowest - 0.1).abs() < 1e-6, "{offered} of {slowest}");
        let slices = slices(&case);
        assert!(slices.iter().all(|slice| slice["offered"]["ops"].is_u64()));
        let served = !workload.starts_with("channel");
        let trickle = lines.iter().rfind(|line| line["kind"] == "round").unwrap();
        let trickle = &trickle["lanes"]["tokio-local"]["trickle_messages"];
        assert_eq!(trickle.as_u64().is_some_and(|messages| messages > 0), served, "{trickle}");
    }
}

#[test]
fn lane_that_cannot_keep_up_is_overloaded_and_not_lost() {
    // It can do 2,000 a second, which takes little of the generator.
    let slow = "smol-local?delay_ns=500000";
    let measured = || {
        let case = Case::new();
        let summary = run(&case, "tcp-echo/size=64/conns=2/rate=5k", &["tokio-local", slow]);
        let cell = cell(&summary, slow).clone();
        // On a busy machine the generator may be late in every slice.
        let is_late = cell["status"] == "skipped";
        (!is_late).then_some((case, cell))
    };
    let (case, cell) = (0..5).find_map(|_| measured()).expect("a machine that is less busy");
    assert_eq!(cell["status"], "overloaded", "{cell:#}");
    assert_eq!(cell["latency_ns"], Value::Null);
    let lines = case.lines();
    assert!(lines.iter().all(|line| line["kind"] != "lane-failure"));
    case.assert_nothing_left();
}

#[test]
fn lane_that_ignores_the_pace_is_unsupported() {
    let case = Case::new();
    std::fs::write(case.path("lane.py"), CLOSED).unwrap();
    let summary = run(&case, "channel/pairs=2/rate=1000", &["tokio-local", "mine=python3 lane.py"]);
    let cell = cell(&summary, "mine");
    assert_eq!(cell["status"], "unsupported", "{cell:#}");
    assert!(cell["reason"].as_str().unwrap().contains("does not pace itself"));
}

#[test]
fn workload_without_arrivals_has_no_rate() {
    let output = rtswap().args(["run", "--workload", "spawn/rate=60%"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(assert_one_line(&stderr).contains("no parameter `rate`"), "{stderr}");
    for wrong in ["tcp-echo/rate=fast", "tcp-echo/rate=0%", "tcp-echo/arrivals=poisson"] {
        let output = rtswap().args(["run", "--workload", wrong]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(assert_one_line(&stderr).contains("60%"), "{stderr}");
    }
}

#[test]
fn harness_that_was_stopped_voids_slices_and_blames_no_lane() {
    let case = Case::new();
    let running = case.spawn(&[
        "run",
        "--workload",
        "tcp-echo/size=64/conns=4/rate=500",
        "--lane",
        "tokio-local",
        "--slice-ms",
        "200",
        "--budget",
        "6s",
        "--out",
        RECORD,
    ]);
    // Several times, because one may fall between two slices.
    for _ in 0..8 {
        thread::sleep(Duration::from_millis(250));
        running.signal(Signal::STOP);
        thread::sleep(Duration::from_millis(100));
        running.signal(Signal::CONT);
    }
    let (_, stderr) = running.wait();
    let slices = slices(&case);
    // A busy machine stops it, too, and for a shorter time.
    let voided: Vec<_> = slices.iter().filter(|slice| slice["voided"].is_string()).collect();
    let late_ns = |slice: &&&Value| slice["offered"]["late_max_ns"].as_u64().unwrap();
    let latest = voided.iter().max_by_key(late_ns);
    let latest = latest.unwrap_or_else(|| panic!("no slice is voided: {stderr}"));
    assert!(late_ns(&latest) > 50_000_000, "{latest:#}");
    assert!(latest["voided"].as_str().unwrap().contains("the load generator was late"));
    assert!(case.lines().iter().all(|line| line["kind"] != "lane-failure"), "{stderr}");
}
