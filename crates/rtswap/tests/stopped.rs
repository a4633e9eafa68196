//! A harness that is stopped and continued, as by Ctrl-Z, voids slices and blames no lane.

mod support;

use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use support::{Case, RECORD};

#[test]
fn stop_that_outlasts_every_limit_loses_no_lane_in_closed_loop() {
    stop_during("tcp-echo/size=64/conns=4");
}

#[test]
fn stop_that_outlasts_every_limit_loses_no_lane_that_drives_itself() {
    stop_during("spawn");
}

/// Stops the harness for longer than the generator waits for an answer (5 s), or a lane has for one (10 s), then
/// several times for a moment, because one stop may fall between two slices.
fn stop_during(workload: &str) {
    let case = Case::new();
    let mut args = vec!["run", "--workload", workload, "--lane", "tokio-local"];
    args.extend(["--slice-ms", "200", "--budget", "16s", "--out", RECORD]);
    let running = case.spawn(&args);
    case.wait_for_rounds(1);
    for ms in [10_500, 400, 400, 400, 400, 400] {
        running.signal(Signal::STOP);
        thread::sleep(Duration::from_millis(ms));
        running.signal(Signal::CONT);
        thread::sleep(Duration::from_millis(130));
    }
    let (_, stderr) = running.wait();
    let lines = case.lines();
    assert!(lines.iter().all(|line| line["kind"] != "lane-failure"), "{stderr}");
    let blocks = lines.iter().filter(|line| line["kind"] == "block");
    let slices: Vec<_> = blocks.flat_map(|block| block["slices"].as_array().unwrap()).collect();
    let is_stopped = |slice: &&&Value| {
        slice["voided"].as_str().is_some_and(|why| why.contains("the harness was stopped for"))
    };
    assert!(slices.iter().filter(is_stopped).count() > 0, "no slice is voided: {stderr}");
    for slice in slices.iter().filter(|slice| slice["voided"].is_null()) {
        assert!(slice["elapsed_ns"].as_u64() < Some(500_000_000), "{slice:#}");
    }
    case.assert_nothing_left();
}
