//! A command line that asks for what there is not: exit code 2, and one message that helps.

mod support;

use std::fs;

use support::{Case, assert_one_line};

/// Runs it; returns what it says. Nothing may have been made.
fn told(args: &[&str]) -> String {
    let case = Case::new();
    let done = case.rtswap().args(args).assert().code(2);
    let output = done.get_output();
    assert!(output.stdout.is_empty());
    assert_eq!(fs::read_dir(case.folder.path()).unwrap().count(), 0, "{args:?} has made files");
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr
}

/// What is wrong, in one line of ours.
fn assert_told(args: &[&str], tells: &[&str]) {
    let stderr = told(args);
    assert_one_line(&stderr);
    for tell in tells {
        assert!(stderr.contains(tell), "{args:?}: {tell} is not in: {stderr}");
    }
}

/// What clap says: the first line says what is wrong, and usage follows.
fn assert_rejected(args: &[&str], tells: &[&str]) {
    let stderr = told(args);
    assert!(stderr.starts_with("error: ") && stderr.contains("--help"), "{args:?}: {stderr}");
    for tell in tells {
        assert!(stderr.contains(tell), "{args:?}: {tell} is not in: {stderr}");
    }
}

#[test]
fn a_name_that_is_not_known_is_told_with_the_one_that_may_be_meant() {
    for command in ["run", "verify"] {
        assert_told(&[command, "--lane", "tokoi"], &["`tokoi`", "did you mean `tokio`?"]);
        assert_told(&[command, "--workload", "tpc-echo"], &["did you mean `tcp-echo`?"]);
    }
    assert_told(&["run", "--reference", "smoll"], &["did you mean `smol`?", "rtswap list"]);
    assert_told(&["serve", "--lane", "asynk-std"], &["did you mean `async-std`?"]);
    assert_told(&["serve", "--lane", "tokio", "--workload", "tcp-ehco"], &["`tcp-echo`?"]);
    assert_rejected(&["sumary"], &["'summary'"]);
    assert_rejected(&["run", "--lanes", "tokio"], &["--lanes", "--lane"]);
}

#[test]
fn a_name_that_nothing_is_like_is_told_where_names_are_listed() {
    assert_told(&["run", "--lane", "zzz"], &["`zzz`", "rtswap list"]);
    assert_told(&["run", "--workload", "zzz"], &["`zzz`", "rtswap list"]);
}

#[test]
fn a_pattern_that_matches_nothing_or_is_none_is_told() {
    assert_told(&["run", "--lane", "zz*"], &["`zz*`", "rtswap list"]);
    assert_told(&["run", "--workload", "zz/*"], &["no workload matches `zz/*`", "rtswap list"]);
    assert_told(&["run", "--workload", "tcp-echo/[*"], &["`tcp-echo/[*` is no pattern"]);
    assert_told(&["run", "--lane", "tok{io"], &["`tok{io` is no pattern"]);
}

#[test]
fn parameters_and_tweaks_are_checked() {
    assert_told(&["run", "--workload", "tcp-echo/sise=1"], &["no parameter `sise`", "`size`"]);
    assert_told(&["run", "--workload", "tcp-echo/conns=0"], &["whole number from 1 to"]);
    assert_told(&["run", "--workload", "tcp-echo/conns=99999999"], &["from 1 to 10000"]);
    assert_told(&["run", "--lane", "tokio?speed=2"], &["delay_ns=N"]);
    assert_told(&["run", "--lane", "mine="], &["NAME=COMMAND"]);
    for name in ["control", "tokio", "uvloop"] {
        let lane = format!("{name}=true");
        assert_told(&["run", "--lane", &lane], &["there is a lane of that name"]);
    }
    assert_told(
        &["run", "--lane", "a=true", "--lane", "a=false"],
        &["two commands are called `a`"],
    );
}

#[test]
fn cpus_that_are_not_there_are_told_with_those_that_are() {
    for flag in ["--server-cpus", "--load-cpus"] {
        assert_told(&["run", flag, "4000"], &["no CPU 4000", "these may be used: ["]);
        for list in ["", "x", "3-1", "0-99999", "0,,1", "-1"] {
            assert_rejected(&["run", &format!("{flag}={list}")], &[flag, "0-3 or 0,2"]);
        }
    }
    let serve = ["serve", "--lane", "tokio", "--cpus", "4000"];
    assert_told(&serve, &["no CPU 4000", "these may be used: ["]);
}

#[test]
fn times_and_widths_are_checked() {
    for budget in ["0", "-5s", "soon", "5 minutes", "1e999h", "NaN"] {
        assert_rejected(&["run", &format!("--budget={budget}")], &["--budget", "90s, 5m or 1h"]);
    }
    for precision in ["0", "100%", "-1%", "fine", "nan"] {
        let flag = format!("--precision={precision}");
        assert_rejected(&["run", &flag], &["--precision", "1% or 0.01"]);
    }
    for length in ["0", "10001", "-1", "short"] {
        assert_rejected(&["run", &format!("--slice-ms={length}")], &["--slice-ms"]);
    }
    assert_rejected(&["run", "--seed=-1"], &["--seed"]);
    assert_rejected(&["run", "--format", "xml"], &["table, json, markdown"]);
}

#[test]
fn flags_that_contradict_each_other_are_told() {
    assert_rejected(&["run", "--all", "--workload", "spawn"], &["--all", "--workload"]);
    assert_rejected(&["run", "--all", "--quick"], &["--all", "--quick"]);
    assert_rejected(&["verify", "--all", "--workload", "spawn"], &["--all", "--workload"]);
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
        assert_rejected(&args, &["--resume", other[0]]);
    }
}

#[test]
fn what_must_be_there_is_asked_for() {
    assert_rejected(&["summary"], &["<RECORD>"]);
    assert_rejected(&["report", "r.jsonl"], &["--splice <DOCUMENT>"]);
    assert_rejected(&["serve"], &["--lane <LANE>"]);
    assert_rejected(&["serve", "--lane", "tokio", "--addr", "here"], &["--addr"]);
    assert_rejected(&["completions", "tcsh"], &["bash"]);
}

#[test]
fn a_workload_that_drives_itself_is_not_served() {
    assert_told(&["serve", "--lane", "tokio", "--workload", "spawn"], &["`spawn` is not served"]);
}
