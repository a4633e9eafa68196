//! A machine that forbids `io_uring`, as containers do: its lanes are unsupported, with the reason,
//! and the others are measured.

mod support;

use std::collections::BTreeMap;
use std::thread;

use assert_cmd::assert::Assert;
use predicates::str::contains;
use rustix::io::Errno;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use serde_json::Value;
use support::{Case, assert_one_line, cell, json};

/// `io_uring_setup`, which has the same number on every architecture.
const IO_URING_SETUP: i64 = 425;

/// Runs it where `io_uring_setup` is not permitted. A filter is inherited by what a thread starts, so
/// it is put on a thread of its own.
fn forbidden(case: &Case, args: &[&str]) -> Assert {
    let rules = BTreeMap::from([(IO_URING_SETUP, Vec::new())]);
    let filter: BpfProgram = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(Errno::PERM.raw_os_error().cast_unsigned()),
        std::env::consts::ARCH.try_into().unwrap(),
    )
    .and_then(TryInto::try_into)
    .unwrap();
    let mut command = case.rtswap();
    thread::scope(|scope| {
        let run = scope.spawn(|| {
            seccompiler::apply_filter(&filter).unwrap();
            command.args(args).assert()
        });
        run.join().unwrap()
    })
}

/// Checks that a reason names the facility and the error.
fn assert_reason(reason: &str) {
    for part in ["io_uring", "os error 1"] {
        assert!(reason.contains(part), "{part} is not in: {reason}");
    }
}

#[test]
fn run_without_io_uring_measures_other_lanes() {
    let case = Case::new();
    let rings = [
        "tokio-uring",
        "monoio",
        "monoio-defer",
        "compio",
        "compio-defer",
        "compio-coop",
        "glommio",
    ];
    for (workload, rings) in [
        ("tcp-echo/size=1024/conns=2", [&rings[..], &["floor-uring"]].concat()),
        ("startup", rings.to_vec()),
    ] {
        let lanes: Vec<_> =
            rings.iter().chain(&["smol-local", "monoio-epoll"]).map(ToString::to_string).collect();
        let args = support::quick_run("1s", workload, &lanes);
        let done = forbidden(&case, &args).code(1);
        let summary = json(&done.get_output().stdout);
        for ring in rings {
            let refused = cell(&summary, ring);
            assert_eq!(refused["status"], "unsupported", "{refused:#}");
            assert_reason(refused["reason"].as_str().unwrap());
        }
        for lane in ["tokio-local", "smol-local", "monoio-epoll", "control"] {
            assert_eq!(cell(&summary, lane)["status"], "ok");
        }
        std::fs::remove_file(case.path(support::RECORD)).unwrap();
    }
    case.assert_nothing_left();
}

#[test]
fn run_succeeds_if_glob_selects_unsupported_lane() {
    let case = Case::new();
    let lanes = ["tokio-uri*", "smol-local"].map(ToOwned::to_owned);
    let done = forbidden(&case, &support::quick_run("1s", "spawn/tasks=1", &lanes)).success();
    let summary = json(&done.get_output().stdout);
    assert_eq!(cell(&summary, "tokio-uring")["status"], "unsupported");
}

#[test]
fn list_without_io_uring_gives_reasons() {
    let done = forbidden(&Case::new(), &["list", "--format", "json"]).success();
    let listing = json(&done.get_output().stdout);
    // Peers depend on what is installed.
    let lanes = listing["lanes"].as_array().unwrap().iter().filter(|lane| lane["kind"] != "peer");
    let lanes = lanes.filter(|lane| lane.get("missing_feature").is_none());
    // In a build that has `tokio-fs-uring`, that one waits on epoll for its ring.
    let has_ring = |lane: &&Value| lane["driver"] == "io_uring" || lane["name"] == "tokio-fs-uring";
    let (rings, others): (Vec<_>, Vec<_>) = lanes.partition(has_ring);
    assert!(!rings.is_empty());
    for lane in rings {
        assert_eq!(lane["available"], false, "{lane:#}");
        assert_reason(lane["reason"].as_str().unwrap());
    }
    assert!(others.iter().all(|lane| lane["available"] == true && lane["reason"] == Value::Null));
}

#[test]
fn verify_fails_for_unsupported_lane_only_if_named() {
    let verify = |lane| {
        let args = ["verify", "--lane", lane, "--lane", "smol", "--workload", "spawn/tasks=1"];
        forbidden(&Case::new(), &args)
    };
    verify("tokio-uring").code(1).stderr(contains("tokio-uring on spawn/tasks=1 (unsupported)"));
    let done = verify("tokio-uri*").success();
    let stdout = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    let line = |lane: &str| {
        stdout.lines().find(|line| line.trim_start().starts_with(lane)).unwrap().to_owned()
    };
    assert!(line("tokio-uring").contains("unsupported: "), "{stdout}");
    assert_reason(&line("tokio-uring"));
    assert!(line("smol ").contains("ok, "), "{stdout}");
}

#[test]
fn serve_without_io_uring_fails_in_one_line() {
    let done = forbidden(&Case::new(), &["serve", "--lane", "tokio-uring"]).code(1);
    let stderr = String::from_utf8(done.get_output().stderr.clone()).unwrap();
    assert_reason(assert_one_line(&stderr));
}
