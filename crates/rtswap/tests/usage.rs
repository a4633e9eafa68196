//! Invalid command lines: exit code 2, one message with the remedy, and no files.

mod support;

use std::fs;

use support::{Case, assert_one_line};

/// The standard error of an invalid command line.
fn rejected(args: &[&str]) -> String {
    let case = Case::new();
    let done = case.rtswap().args(args).assert().code(2);
    let output = done.get_output();
    assert!(output.stdout.is_empty());
    assert_eq!(fs::read_dir(case.folder.path()).unwrap().count(), 0, "{args:?} has made files");
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr
}

/// Checks an error of ours, which is one line.
fn assert_error(args: &[&str], expected: &[&str]) {
    let stderr = rejected(args);
    assert_one_line(&stderr);
    for part in expected {
        assert!(stderr.contains(part), "{args:?}: {part} is not in: {stderr}");
    }
}

/// Checks an error of clap, whose first line is the error and which shows the usage.
fn assert_usage(args: &[&str], expected: &[&str]) {
    let stderr = rejected(args);
    assert!(stderr.starts_with("error: ") && stderr.contains("--help"), "{args:?}: {stderr}");
    for part in expected {
        assert!(stderr.contains(part), "{args:?}: {part} is not in: {stderr}");
    }
}

#[test]
fn unknown_name_gets_suggestion() {
    for command in ["run", "verify"] {
        assert_error(&[command, "--lane", "tokoi"], &["`tokoi`", "did you mean `tokio`?"]);
        assert_error(&[command, "--workload", "tpc-echo"], &["did you mean `tcp-echo`?"]);
    }
    assert_error(&["run", "--reference", "smoll"], &["did you mean `smol`?", "rtswap list"]);
    assert_error(&["serve", "--lane", "asynk-std"], &["did you mean `async-std`?"]);
    assert_error(&["serve", "--lane", "tokio", "--workload", "tcp-ehco"], &["`tcp-echo`?"]);
    assert_usage(&["sumary"], &["'summary'"]);
    assert_usage(&["run", "--lanes", "tokio"], &["--lanes", "--lane"]);
}

#[test]
fn unknown_name_without_similar_one_refers_to_list() {
    assert_error(&["run", "--lane", "zzz"], &["`zzz`", "rtswap list"]);
    assert_error(&["run", "--workload", "zzz"], &["`zzz`", "rtswap list"]);
}

#[test]
fn pattern_without_match_or_invalid_is_rejected() {
    assert_error(&["run", "--lane", "zz*"], &["`zz*`", "rtswap list"]);
    assert_error(&["run", "--workload", "zz/*"], &["no workload matches `zz/*`", "rtswap list"]);
    assert_error(&["run", "--workload", "tcp-echo/[*"], &["invalid pattern `tcp-echo/[*`"]);
    assert_error(&["run", "--lane", "tok{io"], &["invalid pattern `tok{io`"]);
}

#[test]
fn invalid_parameter_or_lane_spec_is_rejected() {
    assert_error(&["run", "--workload", "tcp-echo/sise=1"], &["no parameter `sise`", "`size`"]);
    assert_error(&["run", "--workload", "tcp-echo/conns=0"], &["whole number from 1 to"]);
    assert_error(&["run", "--workload", "tcp-echo/conns=99999999"], &["from 1 to 10000"]);
    assert_error(&["run", "--lane", "tokio?speed=2"], &["delay_ns=N"]);
    assert_error(&["run", "--lane", "mine="], &["NAME=COMMAND"]);
    for name in ["control", "tokio", "uvloop"] {
        let lane = format!("{name}=true");
        assert_error(&["run", "--lane", &lane], &["is the name of another lane"]);
    }
    assert_error(
        &["run", "--lane", "a=true", "--lane", "a=false"],
        &["two commands are called `a`"],
    );
}

#[test]
fn absent_cpu_is_rejected_with_list_of_cpus() {
    for flag in ["--server-cpus", "--load-cpus"] {
        assert_error(&["run", flag, "4000"], &["no CPU 4000", "these may be used: ["]);
        for list in ["", "x", "3-1", "0-99999", "0,,1", "-1"] {
            assert_usage(&["run", &format!("{flag}={list}")], &[flag, "0-3 or 0,2"]);
        }
    }
    let serve = ["serve", "--lane", "tokio", "--cpus", "4000"];
    assert_error(&serve, &["no CPU 4000", "these may be used: ["]);
}

#[test]
fn invalid_duration_width_or_number_is_rejected() {
    for budget in ["0", "-5s", "soon", "5 parsecs", "1e999h", "NaN"] {
        assert_usage(
            &["run", &format!("--budget={budget}")],
            &["--budget", "expected 90s, 5m or 1h"],
        );
    }
    for precision in ["0", "100%", "-1%", "fine", "nan"] {
        let flag = format!("--precision={precision}");
        assert_usage(&["run", &flag], &["--precision", "1% or 0.01"]);
    }
    for length in ["0", "10001", "-1", "short"] {
        assert_usage(&["run", &format!("--slice-ms={length}")], &["--slice-ms"]);
    }
    assert_usage(&["run", "--seed=-1"], &["--seed"]);
    assert_usage(&["run", "--format", "xml"], &["table, json, markdown"]);
}

#[test]
fn conflicting_flags_are_rejected() {
    assert_usage(&["run", "--all", "--workload", "spawn"], &["--all", "--workload"]);
    assert_usage(&["run", "--all", "--quick"], &["--all", "--quick"]);
    assert_usage(&["verify", "--all", "--workload", "spawn"], &["--all", "--workload"]);
    let others = [
        &["--workload", "spawn"][..],
        &["--lane", "smol"],
        &["--all"],
        &["--quick"],
        &["--reference", "smol"],
        &["--budget", "5s"],
        &["--precision", "1%"],
        &["--slice-ms", "5"],
        &["--seed", "1"],
        &["--server-cpus", "0"],
        &["--load-cpus", "0"],
        &["--out", "record.jsonl"],
    ];
    for other in others {
        let args = [&["run", "--resume", "r.jsonl"], other].concat();
        assert_usage(&args, &["--resume", other[0]]);
    }
}

#[test]
fn missing_argument_is_rejected() {
    assert_usage(&["summary"], &["<RECORD>"]);
    assert_usage(&["report", "r.jsonl"], &["--splice <DOCUMENT>"]);
    assert_usage(&["serve"], &["--lane <LANE>"]);
    assert_usage(&["serve", "--lane", "tokio", "--addr", "here"], &["--addr"]);
    assert_usage(&["completions", "tcsh"], &["bash"]);
}

#[test]
fn serve_rejects_self_driven_workload() {
    assert_error(&["serve", "--lane", "tokio", "--workload", "spawn"], &["`spawn` is not served"]);
}

#[test]
fn doctor_agree_rejects_what_no_other_client_can_do() {
    let agree = |args: &[&'static str]| [&["doctor", "--agree"][..], args].concat();
    assert_error(&agree(&["--workload", "spawn"]), &["no other client can load `spawn`"]);
    assert_error(&agree(&["--workload", "http/pipeline=16"]), &["pipelining"]);
    assert_error(&agree(&["--workload", "http/h2=true"]), &["HTTP/2"]);
    assert_error(&agree(&["--workload", "tcp-echo/rate=60%"]), &["--rate"]);
    assert_error(&agree(&["--lane", "tokoi"]), &["did you mean `tokio`?"]);
    assert_usage(&agree(&["--rate", "fast"]), &["expected a rate"]);
    assert_usage(&agree(&["--repetitions", "0"]), &["--repetitions"]);
    assert_usage(&agree(&["--seconds", "0"]), &["--seconds"]);
    assert_usage(&agree(&["--self-test"]), &["cannot be used with"]);
    assert_usage(&agree(&["--from", "a", "--lane", "smol"]), &["cannot be used with"]);
    assert_usage(&["doctor", "--lane", "smol"], &["--agree"]);
    assert_usage(&["doctor", "--seed", "1"], &["--agree"]);
}
