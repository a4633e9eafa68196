//! Lanes whose figures change over time, measured on CPUs that no other test uses: tests of other files do not run
//! meanwhile.

mod support;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use support::{Case, RECORD};

static ALONE: Mutex<()> = Mutex::new(());

const RUN: [&str; 6] =
    ["--workload", "tcp-echo/size=1024/conns=8", "--budget", "25s", "--precision", "0.1%"];

/// The lane spec of the echo server of the folder `cases`.
fn lane(name: &str, fault: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/lane.py");
    format!("{name}=python3 {} {fault}", path.display())
}

/// The summary of a run of an honest echo server and one with a fault, in the same language.
fn beside_honest(case: &Case, fault: &str) -> Value {
    // Two runs at once would disturb each other.
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (plain, faulty) = (lane("plain", ""), lane("faulty", fault));
    let args = ["run", "--reference", "plain", "--format", "json", "--out", RECORD];
    let lanes = ["--lane", &plain, "--lane", &faulty];
    let done = case.rtswap().args(args).args(lanes).args(RUN).assert().success();
    serde_json::from_slice(&done.get_output().stdout).unwrap()
}

fn cell(summary: &Value) -> &Value {
    let cells = summary["cells"].as_array().unwrap();
    cells.iter().find(|cell| cell["lane"] == "faulty").unwrap()
}

#[test]
fn lane_that_pauses_is_worse_over_all_slices() {
    let case = Case::new();
    let summary = beside_honest(&case, "pause");
    let total = &cell(&summary)["metrics"]["total_ops_per_s"];
    assert_eq!(total["verdict"], "worse", "{total:#}");
    let sentence = summary["workloads"][0]["sentence"].as_str().unwrap();
    assert!(sentence.contains("faulty pauses"), "{sentence}");
}

#[test]
fn modes_by_process_are_named() {
    let case = Case::new();
    let summary = beside_honest(&case, "every-other-slow");
    let modes = &cell(&summary)["modes"];
    let [low, high, share] =
        ["low_ns", "high_ns", "share_high"].map(|key| modes[key].as_f64().unwrap());
    assert!(high > low * 1.1 && (0.1..0.9).contains(&share), "{modes:#}");
}
