//! The lane of LANES.md, and the warm-up that a lane may ask for.

mod support;

use std::fs;

use support::{Case, cell, json};

/// The code block of that language in LANES.md.
fn block(language: &str) -> &'static str {
    let document = include_str!("../../../LANES.md");
    let (_, code) = document.split_once(&format!("```{language}\n")).unwrap();
    code.split_once("```").unwrap().0
}

#[test]
fn documented_lane_echoes_and_refuses_other_workloads() {
    let case = Case::new();
    fs::write(case.path("lane.py"), block("python")).unwrap();
    let verify = |workload: &str| {
        let mut verify = case.rtswap();
        verify.args(["verify", "--lane", "mine=python3 lane.py", "--workload", workload]);
        let output = verify.output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), output.status.code())
    };
    for workload in ["tcp-echo", "tcp-echo/size=102400/conns=256"] {
        let (printed, code) = verify(workload);
        assert!(printed.contains("  ok, "), "{printed}");
        assert_eq!(code, Some(0));
    }
    let (printed, code) = verify("spawn");
    assert_eq!(code, Some(1), "the named lane has no result");
    assert!(printed.contains("unsupported: this lane knows tcp-echo alone"), "{printed}");
    case.assert_nothing_left();
}

#[test]
fn lane_is_warmed_up_in_each_process() {
    let case = Case::new();
    let lane = r#"
import json, sys, time
for line in sys.stdin:
    with open("orders", "a") as orders:
        orders.write(line)
    order = json.loads(line)
    if order["order"] == "prepare":
        info = {"runtime": "none", "version": "1", "driver": "none", "workers": 1}
        answer = {"answer": "ready", "warm_up_ms": 123, "info": info}
    elif order["order"] == "slice":
        begin = time.monotonic_ns()
        while time.monotonic_ns() < begin + order["ms"] * 1_000_000: pass
        answer = {"answer": "slice", "ops": 1000, "elapsed_ns": time.monotonic_ns() - begin}
    else:
        answer = {"answer": "stopped"}
    print(json.dumps(answer), flush=True)
"#;
    fs::write(case.path("lane.py"), lane).unwrap();
    let done = case.quick_run("spawn", &["slow=python3 lane.py".to_owned()]).assert().success();
    let summary = json(&done.get_output().stdout);
    assert_eq!(cell(&summary, "slow")["status"], "ok", "{summary:#}");
    let orders = fs::read_to_string(case.path("orders")).unwrap();
    let mut rounds = 0;
    for process in orders.split("{\"order\":\"prepare\"").skip(1) {
        let slices: Vec<_> = process.lines().filter(|line| line.contains("\"slice\"")).collect();
        assert!(slices[0].contains("\"ms\":123"), "{process}");
        assert!(slices.len() > 1 && slices[1..].iter().all(|it| !it.contains("\"ms\":123")));
        rounds += 1;
    }
    assert!(rounds >= 1);
}
