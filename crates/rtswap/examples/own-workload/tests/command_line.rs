//! The workloads on every lane, through the command line of this package.

use std::process::{Command, Output};

fn own_workload(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_own-workload")).args(args).output().unwrap()
}

fn successful(output: Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}\n{stdout}{stderr}", output.status);
    stdout
}

const WORKLOADS: &[&str] = &["mutex/tasks=10", "pipe/size=1024/conns=8", "timeout/tasks=100"];

#[test]
fn verify_accepts_every_workload_on_every_lane() {
    // Fails if a lane does. A lane that the machine cannot run is no failure.
    let stdout = successful(own_workload(&["verify"]));
    let verified = |lane: &str| {
        let lines = stdout.lines().map(str::split_whitespace);
        lines.filter(|words| words.clone().take(2).eq([lane, "ok,"])).count()
    };
    for lane in ["tokio", "async-std", "smol"] {
        assert_eq!(verified(lane), WORKLOADS.len(), "{lane} in\n{stdout}");
    }
}

#[test]
fn run_measures_own_and_standard_workloads() {
    let folder = std::env::temp_dir().join(format!("own-workload-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let record = folder.join("record.jsonl");
    let mut args = vec!["run", "--quick", "--budget", "3s", "--lane", "tokio", "--lane", "smol"];
    args.extend(["--out", record.to_str().unwrap()]);
    let workloads = WORKLOADS.iter().chain(&["yield/tasks=100"]);
    args.extend(workloads.clone().flat_map(|workload| ["--workload", workload]));
    let output = own_workload(&args);
    std::fs::remove_dir_all(folder).unwrap();
    let stdout = successful(output);
    for workload in workloads {
        assert!(stdout.contains(&format!("{workload}: one operation is ")), "{stdout}");
    }
}
