//! The lane of this package in the command line of rtswap.

use std::process::{Command, Output};

fn own_runtime(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_own-runtime")).args(args).output().unwrap()
}

fn successful(output: Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}\n{stdout}{stderr}", output.status);
    stdout
}

#[test]
fn verify_accepts_every_default_workload() {
    let stdout = successful(own_runtime(&["verify", "--lane", "local-runtime"]));
    let lines = stdout.lines().filter(|line| line.trim_start().starts_with("local-runtime"));
    let verified: Vec<_> = lines.collect();
    assert!(verified.len() > 5 && verified.iter().all(|line| line.contains(" ok, ")), "{stdout}");
}

#[test]
fn verify_reports_missing_files() {
    let output = own_runtime(&["verify", "--lane", "local-runtime", "--workload", "file"]);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains("unsupported: local-runtime has no files"), "{stdout}");
}

#[test]
fn run_compares_the_lane_with_tokio() {
    let folder = std::env::temp_dir().join(format!("own-runtime-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let record = folder.join("record.jsonl");
    let mut args = vec!["run", "--quick", "--budget", "3s", "--workload", "tcp-echo"];
    args.extend(["--lane", "local-runtime", "--lane", "tokio", "--out", record.to_str().unwrap()]);
    let output = own_runtime(&args);
    std::fs::remove_dir_all(folder).unwrap();
    let stdout = successful(output);
    assert!(stdout.lines().any(|line| line.starts_with("local-runtime")), "{stdout}");
}
