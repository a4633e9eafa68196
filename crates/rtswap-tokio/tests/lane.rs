//! The executable of this crate as a lane.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

/// Starts the executable with an argument, and gives it a line for each order.
fn lane(argument: &str, orders: &[&str]) -> Output {
    let mut lane = Command::new(env!("CARGO_BIN_EXE_rtswap-lane-tokio"))
        .arg(argument)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = lane.stdin.take().unwrap();
    for order in orders {
        writeln!(input, "{order}").unwrap();
    }
    drop(input);
    lane.wait_with_output().unwrap()
}

#[test]
fn lane_executable_speaks_the_protocol() {
    let prepare = r#"{"order":"prepare","workload":"spawn/tasks=2","cpus":[0]}"#;
    for name in ["tokio", "tokio-local", "tokio-events-8", "native-tokio"] {
        let done = lane(name, &[prepare, r#"{"order":"slice","ms":1}"#, r#"{"order":"stop"}"#]);
        let stdout = String::from_utf8(done.stdout).unwrap();
        let answers: Vec<_> = stdout.lines().collect();
        assert_eq!(answers.len(), 3, "{name}: {stdout}");
        assert!(
            answers[0].starts_with(r#"{"answer":"ready","info":{"runtime":"tokio","version":"1."#)
        );
        assert!(answers[1].starts_with(r#"{"answer":"slice","ops":"#), "{name}: {stdout}");
        assert_eq!(answers[2], r#"{"answer":"stopped"}"#, "{name}");
        assert!(done.status.success(), "{name}");
    }
}

#[test]
fn lane_executable_lists_lanes_for_unknown_name_and_help() {
    let unknown = lane("smol", &[]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8(unknown.stderr).unwrap().contains("Lanes: tokio, native-tokio"));
    let help = lane("--help", &[]);
    assert!(help.status.success());
    assert!(String::from_utf8(help.stdout).unwrap().contains("tokio-events-8"));
}
