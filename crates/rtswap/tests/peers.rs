//! Lanes in other languages: messages where they are missing, and their work where they are installed.

mod support;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use predicates::prelude::*;
use predicates::str::contains;
use serde_json::{Value, json as object};
use support::{Case, RECORD, assert_one_line, cell, json, program, quick_run, skip};

/// The program with an empty peers' folder and an empty `PATH`.
fn without_peers(case: &Case) -> assert_cmd::Command {
    let mut command = case.rtswap();
    command.env("RTSWAP_PEERS", case.path("peers")).env("PATH", case.path("no-programs"));
    command
}

#[test]
fn missing_peers_are_skipped_with_the_remedy() {
    let case = Case::new();
    let run = ["run", "--peers", "--lane", "tokio-local", "--reference", "tokio-local"];
    let workloads = ["--workload", "tcp-echo/conns=2", "--workload", "spawn/tasks=1"];
    // Too short for the second workload to have a turn.
    let args = ["--budget", "1s", "--allow-missing", "--format", "json", "--out", RECORD];
    let done = without_peers(&case).args(run).args(workloads).args(args).assert().success();
    let summary = json(&done.get_output().stdout);
    let all = summary["cells"].as_array().unwrap();
    let peers: Vec<_> = all.iter().filter(|cell| cell["kind"] == "peer").collect();
    assert_eq!(peers.len(), 7, "each peer that does tcp-echo; none does spawn");
    for peer in peers {
        assert_eq!(peer["status"], "skipped", "{peer:#}");
        let reason = peer["reason"].as_str().unwrap();
        assert!(reason.contains(&remedy(peer["lane"].as_str().unwrap())), "{reason}");
        assert!(!reason.contains('\n'), "{reason}");
    }
    let verify = ["verify", "--workload", "tcp-echo", "--lane", "uv*"];
    let reason = contains("skipped: uvloop is not installed; run `rtswap peers install uvloop`");
    without_peers(&case).args(verify).assert().success().stdout(reason);
    assert!(!case.path("peers").exists(), "no folder is made");
    case.assert_nothing_left();
}

/// Part of the message for a peer that is not installed.
fn remedy(peer: &str) -> String {
    if peer.starts_with("node") {
        "apt install nodejs".to_owned()
    } else {
        format!("run `rtswap peers install {peer}`")
    }
}

#[test]
fn missing_reference_is_skipped_with_the_remedy() {
    let case = Case::new();
    let run =
        ["run", "--reference", "uvloop", "--lane", "smol-local", "--workload", "tcp-echo/conns=1"];
    let done =
        without_peers(&case).args(run).args(["--budget", "1s", "--out", RECORD]).assert().code(1);
    done.stdout(contains(
        "uvloop      skipped: uvloop is not installed; run `rtswap peers install uvloop`",
    ))
    .stderr(contains(
        "warning: uvloop has lost tcp-echo/size=1024/conns=1: uvloop is not installed",
    ));
}

#[test]
fn list_names_the_remedy_for_each_missing_peer() {
    let case = Case::new();
    let done = without_peers(&case).args(["list", "--format", "json"]).assert().success();
    let lanes = json(&done.get_output().stdout)["lanes"].clone();
    let peers: Vec<_> =
        lanes.as_array().unwrap().iter().filter(|it| it["kind"] == "peer").collect();
    assert_eq!(peers.len(), rtswap_peers::PEERS.len());
    for peer in peers {
        assert_eq!((&peer["available"], &peer["in_default"]), (&object!(false), &object!(false)));
        assert_eq!(peer["version"], "", "{peer:#}");
        let reason = peer["reason"].as_str().unwrap();
        assert!(reason.contains(&remedy(peer["name"].as_str().unwrap())), "{peer:#}");
    }
    without_peers(&case).arg("list").assert().success().stdout(contains("--peers"));

    let done = without_peers(&case).args(["peers", "list", "--format", "json"]).assert().success();
    for peer in json(&done.get_output().stdout).as_array().unwrap() {
        assert_eq!(peer["ready"], false);
        let reason = peer["reason"].as_str().unwrap();
        assert!(reason.contains(&remedy(peer["name"].as_str().unwrap())), "{peer:#}");
    }
    let reason = contains("no: the Go lane is not built; run `rtswap peers install go`");
    without_peers(&case).args(["peers", "list"]).assert().success().stdout(reason);
    without_peers(&case).args(["doctor"]).assert().stdout(contains("uvloop").not());
}

#[test]
fn install_error_is_one_line_with_the_remedy() {
    let case = Case::new();
    let error = |code: i32, args: &[&str]| {
        let done = without_peers(&case).args(args).assert().code(code);
        let stderr = String::from_utf8(done.get_output().stderr.clone()).unwrap();
        assert_one_line(&stderr).to_owned()
    };
    assert!(error(1, &["peers", "install", "uvloop"]).contains("no `python3` on PATH"));
    assert!(error(1, &["peers", "install", "go"]).contains("no `go` on PATH"));
    assert!(
        error(1, &["peers", "install", "node"])
            .contains("node is not ready: there is no `node` on PATH; install Node.js")
    );
    assert!(error(2, &["peers", "install", "nodejs"]).contains("no peer is called `nodejs`"));
    without_peers(&case)
        .args(["peers", "remove"])
        .assert()
        .success()
        .stdout(contains("nothing to remove"));
    let mut homeless = without_peers(&case);
    homeless.env_remove("RTSWAP_PEERS").env_remove("HOME").env_remove("XDG_CACHE_HOME");
    homeless.args(["peers", "list"]).assert().code(1).stderr(contains("set RTSWAP_PEERS"));
    let serve = ["serve", "--lane", "uvloop"];
    assert!(
        error(1, &serve).contains("uvloop is not installed; run `rtswap peers install uvloop`")
    );
}

#[test]
fn install_that_is_interrupted_exits_with_130() {
    let case = Case::new();
    // Written by the shell: a child of this process might hold open a file that this process writes.
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
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert!(stderr.contains("interrupted; `rtswap peers install` begins again"), "{stderr}");
    assert!(!case.path("peers/scratch").exists());
}

/// Programs that stand for Python and its pip. Pip writes its arguments to the file `asked`, and installs nothing.
const FAKE_PYTHON: &str = r#"
    mkdir bin
    cat >bin/python3 <<'END'
#!/bin/sh
PATH=/usr/bin:/bin
case "$*" in
*"import sys; print"*) echo 3.12.1 ;;
*"-m venv "*)
    for venv; do :; done
    mkdir -p "$venv/bin" "$venv/lib/python3.12/site-packages"
    cp bin/pip "$venv/bin/python" ;;
esac
END
    printf '#!/bin/sh\necho "$*" >>asked\n' >bin/pip
    chmod +x bin/*
    export RTSWAP_PEERS="$PWD/peers" PATH="$PWD/bin:/usr/bin:/bin"
    exec "$0" "$@""#;

#[test]
fn install_newest_pins_nothing() {
    for (newest, expected) in [
        (true, "--no-cache-dir --prefer-binary gevent"),
        (false, "--require-hashes --only-binary :all: -r "),
    ] {
        let case = Case::new();
        // Written by the shell: a child of this process might hold open a file that this process writes.
        let mut command = Command::new("sh");
        command.args(["-ec", FAKE_PYTHON]).arg(program()).current_dir(case.folder.path());
        command.args(["peers", "install", "gevent"]).args(newest.then_some("--newest"));
        let done = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{stderr}{}", String::from_utf8_lossy(&done.stdout));
        let asked = std::fs::read_to_string(case.path("asked")).unwrap();
        let pip: Vec<_> = asked.lines().filter(|line| line.contains("-m pip install")).collect();
        assert_eq!(pip.len(), 1, "{asked}");
        assert!(pip[0].contains(expected), "{asked}");
        assert_eq!(pip[0].contains("--require-hashes"), !newest, "{asked}");
    }
}

/// The peers that are installed; the others are skipped.
fn installed() -> Vec<&'static rtswap_peers::Peer> {
    let is_installed = |peer: &&rtswap_peers::Peer| {
        let available = (peer.available)();
        available.inspect_err(|missing| skip(format!("{}: {missing}", peer.name))).is_ok()
    };
    rtswap_peers::PEERS.iter().filter(is_installed).collect()
}

/// A peer as a process: `rtswap lane NAME`.
struct LaneProcess {
    child: std::process::Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl LaneProcess {
    fn start(name: &str) -> Self {
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

    /// Waits for the process. It has to exit with 0, without further output.
    fn assert_ends(mut self, name: &str) {
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
fn every_peer_speaks_the_lane_protocol() {
    for peer in installed() {
        let name = peer.name;
        let mut unknown = LaneProcess::start(name);
        let answer = unknown.order(&prepare("fetch/images=1"));
        assert_eq!(
            (&answer["answer"], &answer["status"]),
            (&"failed".into(), &"unsupported".into())
        );
        assert!(answer["reason"].as_str().unwrap().contains("no `fetch` here"), "{name}: {answer}");
        unknown.assert_ends(name);

        let mut slow = LaneProcess::start(name);
        let mut order = prepare(peer.families[0]);
        order["delay_ns"] = 5.into();
        assert_eq!(slow.order(&order)["status"], "unsupported", "{name}");
        slow.assert_ends(name);

        if peer.families[0] == "http" {
            let mut newer = LaneProcess::start(name);
            let answer = newer.order(&prepare("http/body=json/conns=1/pipeline=1/h2=true"));
            assert_eq!(answer["status"], "unsupported", "{name}: {answer}");
            newer.assert_ends(name);
        }

        let workload = if peer.families[0] == "http" { "http" } else { "tcp-echo/size=64/conns=1" };
        let mut stopped = LaneProcess::start(name);
        let ready = stopped.order(&prepare(workload));
        assert_eq!(ready["answer"], "ready", "{name}: {ready}");
        let info = &ready["info"];
        assert!(info["version"].as_str().unwrap().contains('.'), "{name}: {info}");
        assert_eq!((&info["driver"], &info["workers"]), (&"epoll".into(), &1.into()));
        // A JIT runtime starts cold in every process.
        let warm_up_ms = ready["warm_up_ms"].as_u64().unwrap_or(0);
        assert_eq!(warm_up_ms > 0, name.starts_with("node"), "{name}: {ready}");
        // An open connection does not delay the end.
        let addr = ready["addr"].as_str().unwrap();
        let _open = TcpStream::connect(addr).unwrap();
        assert_eq!(stopped.order(&object!({"order": "stop"})), object!({"answer": "stopped"}));
        stopped.assert_ends(name);

        let mut orphaned = LaneProcess::start(name);
        let ready = orphaned.order(&prepare(workload));
        let addr = ready["addr"].as_str().unwrap().to_owned();
        let _open = TcpStream::connect(&addr).unwrap();
        drop(orphaned.child.stdin.take());
        orphaned.assert_ends(name);

        let mut taken = LaneProcess::start(name);
        let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut order = prepare(workload);
        order["addr"] = holder.local_addr().unwrap().to_string().into();
        let answer = taken.order(&order);
        assert_eq!(answer["status"], "failed", "{name}: {answer}");
        assert!(
            answer["reason"].as_str().unwrap().contains("cannot listen on"),
            "{name}: {answer}"
        );
        taken.assert_ends(name);
    }
}

#[test]
fn lane_info_names_the_event_loop_in_use() {
    let loops =
        [("asyncio", "asyncio."), ("uvloop", "uvloop.Loop"), ("uvloop-streams", "uvloop.Loop")];
    for peer in installed() {
        let Some((name, expected)) = loops.iter().find(|(name, _)| *name == peer.name) else {
            continue;
        };
        let mut lane = LaneProcess::start(name);
        let ready = lane.order(&prepare("tcp-echo/size=64/conns=1"));
        let notes = &ready["info"]["notes"];
        assert!(notes["loop"].as_str().unwrap().starts_with(expected), "{name}: {notes}");
        assert!(notes["python"].as_str().unwrap().contains("Python 3."), "{name}: {notes}");
        assert_eq!(ready["info"]["runtime"], name.trim_end_matches("-streams"));
    }
}

#[test]
fn verify_passes_on_every_peer() {
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
    let stdout = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    let cells: Vec<_> = stdout.lines().filter(|line| line.starts_with("  ")).collect();
    assert!(!cells.is_empty() && cells.iter().all(|line| line.contains("  ok, ")), "{stdout}");
    case.assert_nothing_left();
}

#[test]
fn cpu_time_of_every_peer_is_measured() {
    let peers = installed().into_iter().filter(|peer| peer.families.contains(&"tcp-echo"));
    let lanes: Vec<_> = peers.map(|peer| peer.name.to_owned()).collect();
    if lanes.is_empty() {
        return;
    }
    let case = Case::new();
    // With a budget of 1 s a lane has four slices, and on a busy machine it may get no CPU time in any of them.
    let mut run = case.rtswap();
    run.args(quick_run("15s", "tcp-echo/conns=2", &lanes));
    let summary = json(&run.assert().success().get_output().stdout);
    for lane in &lanes {
        let cell = cell(&summary, lane);
        assert_eq!((&cell["status"], &cell["kind"]), (&"ok".into(), &"peer".into()), "{cell:#}");
        assert!(cell["metrics"]["cpu_ns_per_op"]["value"].as_f64().unwrap() > 0.0, "{cell:#}");
    }
    case.assert_nothing_left();
}

#[test]
fn every_peer_serves_other_clients() {
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
        // The lane ends with its standard input; it may close or reset the connection.
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let end = client.read_to_end(&mut Vec::new()).map_err(|error| error.kind());
        assert!(!matches!(end, Err(ErrorKind::WouldBlock)), "{} still runs", peer.name);
    }
}
