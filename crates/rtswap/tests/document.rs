//! The lane that LANES.md shows is one.

mod support;

use std::fs;

use support::{Case, cell, json};

/// What stands in the block of that language, of which there is one.
fn block(language: &str) -> &'static str {
    let document = include_str!("../../../LANES.md");
    let (_, code) = document.split_once(&format!("```{language}\n")).unwrap();
    code.split_once("```").unwrap().0
}

#[test]
fn the_lane_in_the_document_echoes_and_refuses_what_it_does_not_know() {
    let case = Case::new();
    fs::write(case.path("lane.py"), block("python")).unwrap();
    let verify = |workload: &str| {
        let mut verify = case.rtswap();
        verify.args(["verify", "--lane", "mine=python3 lane.py", "--workload", workload]);
        String::from_utf8(verify.assert().success().get_output().stdout.clone()).unwrap()
    };
    for workload in ["tcp-echo", "tcp-echo/size=102400/conns=256"] {
        let printed = verify(workload);
        assert!(printed.contains("  ok, "), "{printed}");
    }
    let printed = verify("spawn");
    assert!(printed.contains("unsupported: this lane knows tcp-echo alone"), "{printed}");
    case.assert_nothing_left();
}

#[test]
fn a_lane_is_warmed_up_for_as_long_as_it_asks_in_each_process() {
    let case = Case::new();
    let lane = r#"
import json, sys, time
for line in sys.stdin:
    with open("orders", "a") as orders:
        orders.write(line)
    order = json.loads(line)
    if order["order"] == "prepare":
        receipt = {"runtime": "none", "version": "1", "driver": "none", "workers": 1}
        answer = {"answer": "ready", "warm_up_ms": 123, "receipt": receipt}
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
