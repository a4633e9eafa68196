//! `rtswap claim` without peers. CI runs it with peers.

mod support;

use std::path::{Path, PathBuf};

use support::{Case, assert_one_line, json};

/// The single line on standard error.
fn error_line(claim: &assert_cmd::assert::Assert) -> String {
    let stderr = String::from_utf8(claim.get_output().stderr.clone()).unwrap();
    assert_one_line(&stderr).to_owned()
}

fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../results").join(name)
}

#[test]
fn claim_without_uvloop_names_install_command() {
    let case = Case::new();
    let mut claim = case.rtswap();
    let claim = claim.arg("claim").env("RTSWAP_PEERS", case.path("empty")).assert().code(1);
    let line = error_line(&claim);
    assert!(line.contains("uvloop") && line.contains("rtswap peers install"), "{line}");
    assert!(!case.path("rtswap-records").exists(), "no record was created");
}

#[test]
fn claim_rejects_other_record() {
    let case = Case::new();
    let claim = case.rtswap().arg("claim").arg("--record").arg(kept("echo.jsonl")).assert().code(1);
    let line = error_line(&claim);
    assert!(line.contains("its reference is tokio"), "{line}");
    let claim = case.rtswap().args(["claim", "--record", "nowhere.jsonl"]).assert().code(1);
    let line = error_line(&claim);
    assert!(line.contains("nowhere.jsonl"), "{line}");
}

#[test]
fn claim_judges_published_record() {
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
    let judged = json(&claim(&["--format", "json"]).stdout);
    let claims = judged["claims"].as_array().unwrap();
    assert_eq!(claims.len(), 4 * 6, "each claim in each workload");
    let findings: Vec<_> = claims.iter().map(|it| it["finding"].as_str().unwrap()).collect();
    assert!(findings.iter().all(|it| ["holds", "does_not_hold", "undecided"].contains(it)));
    assert_eq!(judged["summary"]["reference"], "uvloop");
    let table = String::from_utf8(claim(&[]).stdout).unwrap();
    assert!(table.contains("at least twice as fast as gevent"), "{table}");
    let page = String::from_utf8(claim(&["--format", "markdown"]).stdout).unwrap();
    assert!(page.starts_with("### Claims\n"), "{page}");
    let undecided = findings.contains(&"undecided");
    let code = claim(&["--decide"]).status.code();
    assert_eq!(code, Some(if undecided { 4 } else { 0 }));
}
