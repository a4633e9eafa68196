//! `rtswap claim`, as far as it goes without any peer; with them it is a step of CI.

mod support;

use std::path::{Path, PathBuf};

use support::{Case, assert_one_line, json};

/// The one line that a command has said on standard error.
fn told(claim: &assert_cmd::assert::Assert) -> String {
    let stderr = String::from_utf8(claim.get_output().stderr.clone()).unwrap();
    assert_one_line(&stderr).to_owned()
}

fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../results").join(name)
}

#[test]
fn without_uvloop_it_says_at_once_what_to_install() {
    let case = Case::new();
    let mut claim = case.rtswap();
    let claim = claim.arg("claim").env("RTSWAP_PEERS", case.path("empty")).assert().code(1);
    let line = told(&claim);
    assert!(line.contains("uvloop") && line.contains("rtswap peers install"), "{line}");
    assert!(!case.path("rtswap-records").exists(), "nothing was begun");
}

#[test]
fn a_record_without_uvloop_is_no_claim() {
    let case = Case::new();
    let claim = case.rtswap().arg("claim").arg("--record").arg(kept("echo.jsonl")).assert().code(1);
    let line = told(&claim);
    assert!(line.contains("its reference is tokio"), "{line}");
    let claim = case.rtswap().args(["claim", "--record", "nowhere.jsonl"]).assert().code(1);
    let line = told(&claim);
    assert!(line.contains("nowhere.jsonl"), "{line}");
}

#[test]
fn the_record_in_the_repository_is_judged() {
    let case = Case::new();
    let claim = |arguments: &[&str]| {
        let mut claim = case.rtswap();
        claim
            .arg("claim")
            .arg("--record")
            .arg(kept("claim.jsonl"))
            .args(arguments)
            .output()
            .unwrap()
    };
    let told = json(&claim(&["--format", "json"]).stdout);
    let claims = told["claims"].as_array().unwrap();
    assert_eq!(claims.len(), 4 * 6, "each claim in each workload");
    let findings: Vec<_> = claims.iter().map(|it| it["finding"].as_str().unwrap()).collect();
    assert!(findings.iter().all(|it| ["holds", "does_not_hold", "undecided"].contains(it)));
    assert_eq!(told["summary"]["reference"], "uvloop");
    let table = String::from_utf8(claim(&[]).stdout).unwrap();
    assert!(table.contains("at least twice as fast as gevent"), "{table}");
    let page = String::from_utf8(claim(&["--format", "markdown"]).stdout).unwrap();
    assert!(page.starts_with("### Claims\n"), "{page}");
    let undecided = findings.contains(&"undecided");
    let code = claim(&["--decide"]).status.code();
    assert_eq!(code, Some(if undecided { 4 } else { 0 }));
}
