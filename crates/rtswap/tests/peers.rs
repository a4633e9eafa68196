//! Lanes in other languages: what is told where they are missing, and that they do their work where they are
//! not.

mod support;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json as object};
use support::{Case, RECORD, assert_one_line, cell, json, program};

/// The program where nothing is installed, and nothing is on PATH.
fn without(case: &Case) -> assert_cmd::Command {
    let mut command = case.rtswap();
    command.env("RTSWAP_PEERS", case.path("peers")).env("PATH", case.path("no-programs"));
    command
}

#[test]
fn what_is_missing_is_skipped_and_the_remedy_told() {
    let case = Case::new();
    let run = ["run", "--peers", "--lane", "tokio-local", "--reference", "tokio-local"];
    let workloads = ["--workload", "tcp-echo/conns=2", "--workload", "spawn/tasks=1"];
    let args = ["--budget", "1s", "--format", "json", "--out", RECORD];
    let done = without(&case).args(run).args(workloads).args(args).assert().success();
    let summary = json(&done.get_output().stdout);
    let all = summary["cells"].as_array().unwrap();
    let peers: Vec<_> = all.iter().filter(|cell| cell["kind"] == "peer").collect();
    assert_eq!(peers.len(), 7, "those that do tcp-echo, and none that does spawn");
    for peer in peers {
        assert_eq!(peer["status"], "skipped", "{peer:#}");
        let reason = peer["reason"].as_str().unwrap();
        let remedy =
            if peer["lane"] == "node" { "apt install nodejs" } else { "`rtswap peers install" };
        assert!(reason.contains(remedy), "{reason}");
        assert!(!reason.contains('\n'), "{reason}");
    }
    let verify = ["verify", "--workload", "tcp-echo", "--lane", "uv*"];
    let told = contains("skipped: uvloop is not installed; `rtswap peers install uvloop` gets it");
    without(&case).args(verify).assert().success().stdout(told);
    assert!(!case.path("peers").exists(), "looking leaves nothing behind");
    case.assert_nothing_left();
}

#[test]
fn a_reference_that_is_missing_is_told_with_the_remedy() {
    let case = Case::new();
    let run =
        ["run", "--reference", "uvloop", "--lane", "smol-local", "--workload", "tcp-echo/conns=1"];
    let done = without(&case).args(run).args(["--budget", "1s", "--out", RECORD]).assert().code(1);
    done.stdout(contains(
        "uvloop      skipped: uvloop is not installed; `rtswap peers install uvloop`",
    ))
    .stderr(contains(
        "warning: uvloop has lost tcp-echo/size=1024/conns=1: uvloop is not installed",
    ));
}

#[test]
fn a_listing_says_what_is_missing_and_needs_nothing_to_be_there() {
    let case = Case::new();
    let done = without(&case).args(["list", "--format", "json"]).assert().success();
    let lanes = json(&done.get_output().stdout)["lanes"].clone();
    let peers: Vec<_> =
        lanes.as_array().unwrap().iter().filter(|it| it["kind"] == "peer").collect();
    assert_eq!(peers.len(), rtswap_peers::PEERS.len());
    for peer in peers {
        assert_eq!((&peer["available"], &peer["in_default"]), (&object!(false), &object!(false)));
        assert!(peer["reason"].is_string() && peer["version"] == "", "{peer:#}");
    }
    without(&case).arg("list").assert().success().stdout(contains("--peers"));

    let done = without(&case).args(["peers", "list", "--format", "json"]).assert().success();
    for peer in json(&done.get_output().stdout).as_array().unwrap() {
        assert_eq!(peer["ready"], false);
        assert!(peer["reason"].as_str().unwrap().contains("install"), "{peer:#}");
    }
    let told = contains("no: Go's lane is not built; `rtswap peers install go` gets it");
    without(&case).args(["peers", "list"]).assert().success().stdout(told);
    without(&case).args(["doctor"]).assert().stdout(contains("uvloop").not());
}

#[test]
fn what_cannot_be_installed_is_told_in_a_line() {
    let case = Case::new();
    let told = |code: i32, args: &[&str]| {
        let done = without(&case).args(args).assert().code(code);
        let stderr = String::from_utf8(done.get_output().stderr.clone()).unwrap();
        assert_one_line(&stderr).to_owned()
    };
    assert!(told(1, &["peers", "install", "uvloop"]).contains("no `python3` on PATH"));
    assert!(told(1, &["peers", "install", "go"]).contains("no `go` on PATH"));
    assert!(told(1, &["peers", "install", "node"]).contains("install Node.js"));
    assert!(told(2, &["peers", "install", "nodejs"]).contains("no peer is called `nodejs`"));
    without(&case)
        .args(["peers", "remove"])
        .assert()
        .success()
        .stdout(contains("nothing to remove"));
    let mut homeless = without(&case);
    homeless.env_remove("RTSWAP_PEERS").env_remove("HOME").env_remove("XDG_CACHE_HOME");
    homeless.args(["peers", "list"]).assert().code(1).stderr(contains("set RTSWAP_PEERS"));
    let serve = ["serve", "--lane", "uvloop"];
    assert!(told(1, &serve).contains("uvloop is not installed; `rtswap peers install uvloop`"));
}

#[test]
fn an_installation_that_is_interrupted_says_so_and_leaves_nothing_running() {
    let case = Case::new();
    // Written by the shell: what this process writes, another child of it might hold open.
    let script = r#"
        mkdir bin
        printf '#!/bin/sh\nPATH=/usr/bin:/bin\n>"$PWD/began"; sleep 1000\n' >bin/python3
        chmod +x bin/python3
        export RTSWAP_PEERS="$PWD/peers" PATH="$PWD/bin:/usr/bin:/bin"
        exec "$0" peers install asyncio"#;
    let mut command = Command::new("sh");
    command.args(["-ec", script]).arg(program()).current_dir(case.folder.path());
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(support::eventually(|| case.path("began").exists().then_some(())).is_some());
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::INT,
    )
    .unwrap();
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(130));
    let told = String::from_utf8(done.stderr).unwrap();
    assert!(told.contains("interrupted; `rtswap peers install` begins again"), "{told}");
    assert!(!case.path("peers/scratch").exists());
}

/// The peers that are installed here. Those of whom `RTSWAP_PEERS_TEST=1` demands it are.
fn installed() -> Vec<&'static rtswap_peers::Peer> {
    let demanded = std::env::var_os("RTSWAP_PEERS_TEST").is_some_and(|it| it == "1");
    let is_here = |peer: &&rtswap_peers::Peer| match (peer.available)() {
        Ok(()) => true,
        Err(missing) => {
            assert!(!demanded, "{}: {missing}", peer.name);
            eprintln!("SKIPPED: {}: {missing}", peer.name);
            false
        }
    };
    rtswap_peers::PEERS.iter().filter(is_here).collect()
}

/// A peer by itself: `rtswap lane NAME`.
struct Talk {
    child: std::process::Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Talk {
    fn with(name: &str) -> Self {
        let mut child = Command::new(program())
            .args(["lane", name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, answers }
    }

    fn order(&mut self, order: &Value) -> Value {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{order}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// It ends by itself, with 0, and says no more.
    fn ends(mut self, name: &str) {
        let mut rest = String::new();
        self.answers.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "{name}");
        assert!(self.child.wait().unwrap().success(), "{name}");
    }
}

fn prepare(workload: &str) -> Value {
    object!({"order": "prepare", "workload": workload, "cpus": [0], "delay_ns": 0})
}

#[test]
fn every_peer_speaks_the_protocol() {
    for peer in installed() {
        let name = peer.name;
        let mut unknown = Talk::with(name);
        let answer = unknown.order(&prepare("fetch/images=1"));
        assert_eq!(
            (&answer["answer"], &answer["status"]),
            (&"failed".into(), &"unsupported".into())
        );
        assert!(answer["reason"].as_str().unwrap().contains("no `fetch` here"), "{name}: {answer}");
        unknown.ends(name);

        let mut slow = Talk::with(name);
        let mut order = prepare(peer.families[0]);
        order["delay_ns"] = 5.into();
        assert_eq!(slow.order(&order)["status"], "unsupported", "{name}");
        slow.ends(name);

        if peer.families[0] == "http" {
            let mut newer = Talk::with(name);
            let answer = newer.order(&prepare("http/body=json/conns=1/pipeline=1/h2=true"));
            assert_eq!(answer["status"], "unsupported", "{name}: {answer}");
            newer.ends(name);
        }

        let workload = if peer.families[0] == "http" { "http" } else { "tcp-echo/size=64/conns=1" };
        let mut stopped = Talk::with(name);
        let ready = stopped.order(&prepare(workload));
        assert_eq!(ready["answer"], "ready", "{name}: {ready}");
        let receipt = &ready["receipt"];
        assert!(receipt["version"].as_str().unwrap().contains('.'), "{name}: {receipt}");
        assert_eq!((&receipt["driver"], &receipt["workers"]), (&"epoll".into(), &1.into()));
        // What is compiled as it runs is cold at first.
        let warm_up_ms = ready["warm_up_ms"].as_u64().unwrap_or(0);
        assert_eq!(warm_up_ms > 0, name.starts_with("node"), "{name}: {ready}");
        // A connection that is open does not keep it.
        let addr = ready["addr"].as_str().unwrap();
        let _open = TcpStream::connect(addr).unwrap();
        assert_eq!(stopped.order(&object!({"order": "stop"})), object!({"answer": "stopped"}));
        stopped.ends(name);

        let mut orphaned = Talk::with(name);
        let ready = orphaned.order(&prepare(workload));
        let addr = ready["addr"].as_str().unwrap().to_owned();
        let _open = TcpStream::connect(&addr).unwrap();
        drop(orphaned.child.stdin.take());
        orphaned.ends(name);

        let mut taken = Talk::with(name);
        let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut order = prepare(workload);
        order["addr"] = holder.local_addr().unwrap().to_string().into();
        let answer = taken.order(&order);
        assert_eq!(answer["status"], "failed", "{name}: {answer}");
        assert!(
            answer["reason"].as_str().unwrap().contains("cannot listen on"),
            "{name}: {answer}"
        );
        taken.ends(name);
    }
}

#[test]
fn the_loop_that_is_swapped_is_the_one_in_use() {
    let loops =
        [("asyncio", "asyncio."), ("uvloop", "uvloop.Loop"), ("uvloop-streams", "uvloop.Loop")];
    for peer in installed() {
        let Some((name, expected)) = loops.iter().find(|(name, _)| *name == peer.name) else {
            continue;
        };
        let mut talk = Talk::with(name);
        let ready = talk.order(&prepare("tcp-echo/size=64/conns=1"));
        let notes = &ready["receipt"]["notes"];
        assert!(notes["loop"].as_str().unwrap().starts_with(expected), "{name}: {notes}");
        assert!(notes["python"].as_str().unwrap().contains("Python 3."), "{name}: {notes}");
        assert_eq!(ready["receipt"]["runtime"], name.trim_end_matches("-streams"));
    }
}

#[test]
fn every_peer_does_its_workloads_right() {
    let names: Vec<_> = installed().into_iter().flat_map(|peer| ["--lane", peer.name]).collect();
    if names.is_empty() {
        return;
    }
    let case = Case::new();
    let workloads = [
        "tcp-echo/conns=3",
        "tcp-echo/size=102400/conns=2",
        "idle/conns=20",
        "churn/conns=2",
        "sleep/tasks=50/ms=1",
        "http/conns=2",
        "http/conns=2/pipeline=16",
        "http/body=json/conns=2",
        "http/body=64KiB/conns=2/pipeline=16",
    ];
    let workloads = workloads.iter().flat_map(|workload| ["--workload", workload]);
    let done = case.rtswap().arg("verify").args(&names).args(workloads).assert().success();
    let said = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    let cells: Vec<_> = said.lines().filter(|line| line.starts_with("  ")).collect();
    assert!(!cells.is_empty() && cells.iter().all(|line| line.contains("  ok, ")), "{said}");
    case.assert_nothing_left();
}

#[test]
fn a_peer_is_measured_by_its_own_process() {
    for peer in installed().into_iter().filter(|peer| peer.families.contains(&"tcp-echo")) {
        let case = Case::new();
        let mut run = case.quick_run("tcp-echo/conns=2", &[peer.name.to_owned()]);
        let summary = json(&run.assert().success().get_output().stdout);
        let cell = cell(&summary, peer.name);
        assert_eq!((&cell["status"], &cell["kind"]), (&"ok".into(), &"peer".into()), "{cell:#}");
        assert!(cell["metrics"]["cpu_ns_per_op"]["value"].as_f64().unwrap() > 0.0, "{cell:#}");
        case.assert_nothing_left();
    }
}

#[test]
fn a_peer_serves_anybody() {
    for peer in installed() {
        let http = peer.families == ["http"];
        let workload = if http { "http" } else { "tcp-echo" };
        let mut child = Command::new(program())
            .args(["serve", "--lane", peer.name, "--workload", workload])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addr = line.trim().rsplit(' ').next().unwrap();
        let mut client = TcpStream::connect(addr).unwrap_or_else(|_| panic!("{line}"));
        client.write_all(b"GET /plaintext HTTP/1.1\r\nHost: it\r\n\r\n").unwrap();
        let mut answer = [0; 8];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, if http { b"HTTP/1.1" } else { b"GET /pla" }, "{}", peer.name);
        child.kill().unwrap();
        child.wait().unwrap();
        // The lane has lost its standard input, and ends; whether in good order or not.
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let end = client.read_to_end(&mut Vec::new()).map_err(|error| error.kind());
        assert!(!matches!(end, Err(ErrorKind::WouldBlock)), "{} lives on", peer.name);
    }
}
