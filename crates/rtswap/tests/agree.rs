//! `doctor --agree`: one run with all clients, and clients that are missing, fail or never end.

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;

use predicates::str::{contains, is_empty};
use rustix::process::Signal;
use serde_json::Value;
use support::{Case, eventually, json};

/// Sends a request or more, and claims to have sent a thousand.
const WRK: &str = r"
    [[ $# -gt 1 ]] || { echo usage; exit 1; }
    url=${@: -1}; address=${url#http://}; address=${address%%/*}
    exec 3<> /dev/tcp/${address/:/\/}
    for _ in {1..100}; do
        printf 'GET /plaintext HTTP/1.1\r\nHost: lane\r\n\r\n' >&3
        while read -r -u 3 line && [[ $line != $'\r' ]]; do :; done
        read -r -u 3 -N 13 line
    done
    echo '  1000 requests in 1.00s, 1MB read'
    echo 'Requests/sec: 1000.00'
";

/// Two lanes, few connections, one second for each client.
const AGREE: [&str; 9] =
    ["doctor", "--agree", "--lane", "tokio-local", "--seconds", "1", "--rate", "500", "--seed"];

fn args<'a>(workload: &'a str, repetitions: &'a str) -> Vec<&'a str> {
    let mut args = AGREE.to_vec();
    args.extend(["1", "--workload", workload, "--repetitions", repetitions]);
    args
}

/// A folder for PATH with a shell and nothing else.
fn path(case: &Case) -> PathBuf {
    let bin = case.path("bin");
    fs::create_dir(&bin).unwrap();
    symlink("/bin/sh", bin.join("sh")).unwrap();
    bin
}

/// Puts a program into it.
fn program(bin: &std::path::Path, name: &str, script: &str) {
    let path = bin.join(name);
    fs::write(&path, format!("#!/bin/bash\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn measurements<'a>(outcome: &'a Value, client: &str, load: &str) -> Vec<&'a Value> {
    let all = outcome["workloads"][0]["measurements"].as_array().unwrap();
    all.iter().filter(|it| it["client"] == client && it["load"] == load).collect()
}

#[test]
fn agree_measures_echo_with_all_clients_and_prints_its_file_again() {
    let case = Case::new();
    let mut args = args("tcp-echo/conns=2", "2");
    args.extend(["--format", "json", "--out", "agree.json"]);
    let done = case.rtswap().args(args).assert().success();
    let printed = done.get_output();
    let outcome = json(&printed.stdout);
    assert_eq!(outcome["lanes"], serde_json::json!(["tokio", "tokio-local"]));
    for load in ["saturation", "rate"] {
        let slices = measurements(&outcome, "slices", load).len();
        // Ten blocks of two lanes and two repetitions, except those that a busy machine has spoilt.
        assert!((1..=40).contains(&slices), "{slices} {load}");
    }
    let mut clients = vec![("sustained", true), ("sustained-sleeping", false)];
    if outcome["clients"][0]["missing"].is_null() {
        clients.push(("echo", true));
    } else {
        support::skip(format_args!("the echo client: {}", outcome["clients"][0]["missing"]));
    }
    for (client, saturates) in clients {
        let saturation = measurements(&outcome, client, "saturation");
        assert_eq!(saturation.len(), if saturates { 4 } else { 0 }, "{client}");
        let paced = measurements(&outcome, client, "rate");
        assert_eq!(paced.len(), 4, "{client}");
        for measurement in saturation.iter().chain(&paced) {
            assert!(measurement["ops"].as_u64().unwrap() > 0, "{measurement}");
            assert!(measurement["cpu_ns"].as_u64().unwrap() > 0, "{measurement}");
            assert!(measurement["p99_ns"].as_f64().unwrap() > 0.0, "{measurement}");
        }
    }
    case.assert_nothing_left();

    let from = ["doctor", "--agree", "--from", "agree.json"];
    let again = case.rtswap().args(from).args(["--format", "json"]).assert().success();
    assert_eq!(json(&again.get_output().stdout), outcome);
    case.rtswap().args(from).assert().success().stdout(contains("At saturation"));
}

#[test]
fn agree_names_missing_and_failing_clients() {
    let case = Case::new();
    let bin = path(&case);
    program(&bin, "wrk", WRK);
    let help = "case $1 in --help) echo --h1 --rps;; --version) echo h2load 1;;";
    program(&bin, "h2load", &format!("{help} *) echo no route >&2; exit 3;; esac"));
    let mut command = case.rtswap();
    command.env("PATH", &bin).args(args("http/conns=2", "1")).args(["--format", "json"]);
    let done = command.assert().code(1);
    let output = done.get_output();
    let outcome = json(&output.stdout);
    let client = |name: &str| {
        let all = outcome["clients"].as_array().unwrap();
        all.iter().find(|client| client["name"] == name).unwrap().clone()
    };
    assert!(client("wrk2")["missing"].as_str().unwrap().contains("build https://"));
    assert!(client("oha")["missing"].as_str().unwrap().contains("cargo install oha"));
    assert!(client("wrk")["missing"].is_null() && client("h2load")["missing"].is_null());
    assert_eq!(measurements(&outcome, "wrk", "saturation")[0]["ops"], 1000);
    let failures = outcome["failures"].as_array().unwrap();
    // Two lanes at two loads. The lanes go on.
    assert_eq!(failures.len(), 4, "{failures:#?}");
    assert!(failures.iter().all(|it| it["client"] == "h2load"));
    let reason = "it failed with exit code 3; it printed: no route";
    assert!(failures.iter().all(|it| it["reason"] == reason), "{failures:#?}");
    assert_eq!(measurements(&outcome, "sustained", "rate").len(), 2);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("wrk2: missing") && stderr.contains(reason), "{stderr}");
    case.assert_nothing_left();
}

#[test]
fn agree_goes_on_without_lane_that_fails() {
    let case = Case::new();
    let bin = path(&case);
    let lane = case.own_lane("mine", "die-in-slice --after 5000");
    let mut command = case.rtswap();
    command.env("PATH", &bin).args(args("tcp-echo/conns=2", "1")).args(["--lane", &lane]);
    let done = command.assert().code(1).stdout(contains("echo is missing: "));
    let stdout = String::from_utf8_lossy(&done.get_output().stdout).into_owned();
    assert!(stdout.contains("Failed: mine on tcp-echo"), "{stdout}");
    assert!(stdout.contains("\n  tokio-local "), "{stdout}");
    case.assert_nothing_left();
}

#[test]
fn interrupted_or_killed_agree_leaves_no_client_behind() {
    for signal in [Signal::INT, Signal::KILL] {
        let case = Case::new();
        let bin = path(&case);
        symlink("/bin/sleep", bin.join("sleep")).unwrap();
        program(&bin, "wrk", "test $# -gt 1 || { echo usage; exit 1; }\nexec sleep 1000");
        let mut args = args("http/conns=2", "1");
        args.extend(["--out", "agree.json"]);
        let run = case.spawn_on_path(&args, &bin);
        case.find("sleep");
        run.signal(signal);
        let (status, stderr) = run.wait();
        case.assert_nothing_left();
        if signal == Signal::INT {
            assert_eq!(status.code(), Some(130), "{stderr}");
            let left: Vec<_> = fs::read_dir(case.folder.path()).unwrap().flatten().collect();
            assert!(left.iter().all(|file| file.file_name() == "bin"), "{left:?}");
        }
    }
}

/// Starts a run whose client never ends, and waits for the client.
fn with_client_that_hangs(case: &Case, bin: &std::path::Path) -> support::Running {
    let run = case.spawn_on_path(&args("http/conns=2", "1"), bin);
    case.find("sleep");
    run
}

#[test]
fn folder_of_killed_agree_is_removed_by_the_next_start() {
    let case = Case::new();
    let bin = path(&case);
    symlink("/bin/sleep", bin.join("sleep")).unwrap();
    program(&bin, "wrk", "test $# -gt 1 || { echo usage; exit 1; }\nexec sleep 1000");
    let folders = || -> Vec<PathBuf> {
        let entries = fs::read_dir(case.folder.path()).unwrap().flatten();
        let ours = entries.filter(|it| it.file_name().to_string_lossy().starts_with("rtswap-"));
        ours.map(|entry| entry.path()).collect()
    };
    let run = with_client_that_hangs(&case, &bin);
    let found = folders();
    let [folder] = &found[..] else { panic!("{found:?}") };
    let verify = ["verify", "--lane", "tokio-local", "--workload", "spawn/tasks=1"];
    case.rtswap().args(verify).env("TMPDIR", case.folder.path()).assert().success();
    assert!(folder.exists(), "its run is alive");
    run.signal(Signal::KILL);
    run.wait();
    case.assert_nothing_left();
    assert!(folder.exists(), "a killed run removes nothing");
    let again = with_client_that_hangs(&case, &bin);
    assert!(!folder.exists());
    again.signal(Signal::INT);
    again.wait();
    assert_eq!(folders(), Vec::<PathBuf>::new());
}

#[test]
fn agree_rejects_out_that_exists_or_cannot_be_written() {
    let case = Case::new();
    fs::write(case.path("agree.json"), "mine").unwrap();
    for out in ["agree.json", "missing/agree.json"] {
        let mut args = args("tcp-echo", "1");
        args.extend(["--out", out]);
        let expected = format!("cannot create {out}");
        case.rtswap().args(args).assert().code(1).stdout(is_empty()).stderr(contains(expected));
    }
    assert_eq!(fs::read_to_string(case.path("agree.json")).unwrap(), "mine");
    let from = |file: &str| case.rtswap().args(["doctor", "--agree", "--from", file]).assert();
    from("agree.json").code(1).stderr(contains("is not a file of `rtswap doctor --agree"));
    from("missing.json").code(1).stderr(contains("cannot read missing.json"));
    assert!(eventually(|| case.alive().is_empty().then_some(())).is_some());
}
