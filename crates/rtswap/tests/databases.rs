//! The workloads of database servers, against real servers: every runtime, servers that fail, and what a run
//! leaves behind.

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use procfs::process::all_processes;
use rustix::process::{Pid, Signal, kill_process};
use support::{
    Case, RECORD, assert_one_line, cell, eventually, is_built_on_request, json, quick_run, skip,
};

/// Part of the message for a server that is not installed.
const NOT_INSTALLED: &str = "is not installed: apt-get install";

/// The programs of the servers, as they appear in a command line.
const PROGRAMS: [&str; 3] = ["redis-server", "mariadbd", "postgres"];

/// The test's folder for temporary files, which the accounts of the servers may enter.
fn with_tmp(case: &Case) -> std::path::PathBuf {
    let tmp = case.path("tmp");
    fs::create_dir(&tmp).unwrap();
    for folder in [case.folder.path(), &tmp] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    tmp
}

/// The process ids and command lines of servers that work in the test's folder. Their environment cannot be used:
/// postgres overwrites it with its title.
fn servers(tmp: &Path) -> Vec<(i32, String)> {
    let in_folder = |process: procfs::process::Process| {
        let folder = process.cwd().ok()?;
        let line = process.cmdline().ok()?.join(" ");
        folder.starts_with(tmp).then_some((process.pid, line))
    };
    all_processes().unwrap().flatten().filter_map(in_folder).collect()
}

fn assert_no_server(tmp: &Path) {
    let gone = eventually(|| servers(tmp).is_empty().then_some(()));
    assert!(gone.is_some(), "still alive: {:?}", servers(tmp));
}

fn assert_no_file(tmp: &Path) {
    let left: Vec<_> = fs::read_dir(tmp).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Skips the test if the output says that a server is not installed. Returns whether it does.
fn skip_if_missing(output: &str) -> bool {
    let line = output.lines().find(|line| line.contains(NOT_INSTALLED));
    if let Some(line) = line {
        skip(line.trim());
    }
    line.is_some()
}

/// The process of a server, by the name of its program.
fn server(tmp: &Path, program: &str) -> Option<Pid> {
    let first = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let found = servers(tmp).into_iter().find(|(_, line)| first(line).contains(program))?;
    Pid::from_raw(found.0)
}

#[test]
fn verify_passes_on_every_runtime() {
    let case = Case::new();
    let tmp = with_tmp(&case);
    let mut verify = case.rtswap();
    verify.env("TMPDIR", &tmp).arg("verify");
    for workload in ["redis/*", "mysql/*", "postgres/*"] {
        verify.args(["--workload", workload]);
    }
    let output = verify.output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    if skip_if_missing(&printed) {
        return;
    }
    assert!(output.status.success(), "{printed}{stderr}");
    for workload in
        ["redis/pipeline=16/conns=8", "mysql/mix=fortunes/conns=1", "postgres/mix=world/conns=8"]
    {
        let lines = printed.lines().skip_while(|line| *line != workload).skip(1);
        let lines: Vec<_> = lines.take_while(|line| line.starts_with(' ')).collect();
        assert!(lines.len() >= 9, "{workload}: {printed}");
        for line in lines {
            // The kernel may forbid io_uring.
            let expected = ["  ok, ", "unsupported"].iter().any(|it| line.contains(it));
            assert!(expected || is_built_on_request(line), "{workload}: {line}");
        }
    }
    assert_no_server(&tmp);
    assert_no_file(&tmp);
}

#[test]
fn missing_server_is_skipped_with_the_package_to_install() {
    let case = Case::new();
    let lanes = ["tokio".to_owned()];
    let run = case.quick_run("redis", &lanes).env("RTSWAP_SERVERS", "/nowhere").output().unwrap();
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    let cell = &json(&run.stdout)["cells"][0];
    assert_eq!(cell["status"], "skipped", "{cell:#}");
    let stderr = String::from_utf8(run.stderr).unwrap();
    for (name, package) in
        [("redis", "redis-server"), ("mysql", "mariadb-server"), ("postgres", "postgresql")]
    {
        let verify = ["verify", "--lane", "tokio", "--workload", name];
        let verified = case.rtswap().args(verify).env("RTSWAP_SERVERS", "/nowhere").assert();
        let printed = String::from_utf8(verified.code(1).get_output().stdout.clone()).unwrap();
        let remedy = format!("is not installed: apt-get install {package}, or give --{name}-url");
        assert!(printed.contains("skipped") && printed.contains(&remedy), "{printed}");
        assert!(name != "redis" || stderr.contains(&remedy), "{stderr}");
    }
}

#[test]
fn server_that_exits_fails_the_workload_with_its_output() {
    let case = Case::new();
    let tmp = with_tmp(&case);
    let program = case.path("redis-server");
    fs::write(&program, "#!/bin/sh\necho out of luck\nexit 3\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let verify = ["verify", "--lane", "tokio", "--workload", "redis"];
    let mut command = case.rtswap();
    command.args(verify).env("TMPDIR", &tmp).env("RTSWAP_SERVERS", case.folder.path());
    let done = command.output().unwrap();
    let printed = String::from_utf8(done.stdout).unwrap();
    assert_eq!(done.status.code(), Some(1), "{printed}");
    let expected = format!(
        "failed: cannot start redis-server: {} ended (exit status: 3); it said: out of luck",
        program.display()
    );
    assert!(printed.contains(&expected), "{printed}");
    assert_no_file(&tmp);
}

#[test]
fn killed_server_fails_at_most_one_lane_and_is_restarted() {
    let case = Case::new();
    let tmp = with_tmp(&case);
    let mut run = std::process::Command::new(support::program());
    let lanes = ["tokio".to_owned(), "smol".to_owned(), "smol-local".to_owned()];
    run.args(quick_run("6s", "redis", &lanes))
        .current_dir(case.folder.path())
        .envs(case.environment())
        .env("TMPDIR", &tmp);
    let run = run.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let run = run.spawn().unwrap();
    let killer = std::thread::spawn({
        let (tmp, record) = (tmp.clone(), case.path(RECORD));
        move || {
            let found = eventually(|| {
                let text = fs::read_to_string(&record).unwrap_or_default();
                if text.contains(NOT_INSTALLED) {
                    return Some(None);
                }
                text.contains("\"kind\":\"block\"").then(|| server(&tmp, "redis-server"))
            });
            let found = found.flatten();
            found.map(|pid| kill_process(pid, Signal::KILL).unwrap())
        }
    });
    let output = run.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    if skip_if_missing(&stderr) {
        return;
    }
    assert!(killer.join().unwrap().is_some(), "{stderr}");
    let lines = case.lines();
    let lost: Vec<_> = lines.iter().filter(|line| line["kind"] == "lane-failure").collect();
    // A server that is killed between two rounds fails no lane.
    assert!(lost.len() <= 1, "{lost:?}");
    for lost in &lost {
        let reason = lost["reason"].as_str().unwrap();
        assert!(reason.starts_with("redis-server had ended (signal: 9"), "{reason}");
    }
    let summary = json(&output.stdout);
    let lost: Vec<_> = lost.iter().map(|lost| lost["lane"].as_str().unwrap()).collect();
    // The control is not named.
    let named_lost = lost.iter().any(|lane| *lane != "control");
    assert_eq!(output.status.code(), Some(i32::from(named_lost)), "{stderr}");
    for lane in lanes.iter().chain([&"tokio-local".to_owned()]) {
        let status = if lost.contains(&lane.as_str()) { "failed" } else { "ok" };
        assert_eq!(cell(&summary, lane)["status"], status, "{lane}");
    }
    assert_no_server(&tmp);
    assert_no_file(&tmp);
}

#[test]
fn unreachable_url_is_rejected_before_the_run_begins() {
    let case = Case::new();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (name, url) in [
        ("redis", format!("redis://{closed}")),
        ("mysql", format!("mysql://me:secret@{closed}/db")),
        ("postgres", format!("postgres://me:secret@{closed}/db")),
    ] {
        let flag = format!("--{name}-url");
        let lanes = ["tokio".to_owned()];
        let run = case.quick_run(name, &lanes).args([&flag, &url]).assert().code(1);
        let stderr = String::from_utf8(run.get_output().stderr.clone()).unwrap();
        let line = assert_one_line(&stderr);
        assert!(line.contains(&format!("cannot reach {name} at {closed}")), "{line}");
        assert!(line.contains(": Connection refused"), "{line}");
        assert!(line.contains(&flag) && !line.contains("secret"), "{line}");
        assert!(!case.path(RECORD).exists(), "no record was made");

        let verify = ["verify", "--workload", name, &flag, "nonsense"];
        let stderr = case.rtswap().args(verify).assert().code(2).get_output().stderr.clone();
        assert!(String::from_utf8(stderr).unwrap().contains(&format!("say {name}://")));
    }
}

/// The URLs of the servers of a run, from the orders that the lane `spy` received.
fn urls(case: &Case) -> Option<Vec<(&'static str, String)>> {
    let orders = fs::read_to_string(case.path("orders")).ok()?;
    let orders: Vec<serde_json::Value> =
        orders.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    ["redis", "mysql", "postgres"]
        .into_iter()
        .map(|name| {
            let url = orders.iter().find_map(|order| order["resources"][name].as_str())?;
            Some((name, url.to_owned()))
        })
        .collect()
}

/// The servers that one run started are the user's servers of another.
#[test]
fn server_of_the_user_is_verified_and_left_running() {
    let case = Case::new();
    let tmp = with_tmp(&case);
    let spy = "spy=sh -c 'read order; echo \"$order\" >> orders; exit 1'".to_owned();
    let mut run = std::process::Command::new(support::program());
    run.args(quick_run("2m", "redis", &["tokio".to_owned(), spy])).args([
        "--workload",
        "mysql",
        "--workload",
        "postgres",
    ]);
    run.current_dir(case.folder.path()).envs(case.environment()).env("TMPDIR", &tmp);
    let mut run = run.stderr(std::process::Stdio::null()).spawn().unwrap();
    let missing = || {
        let text = fs::read_to_string(case.path(RECORD)).unwrap_or_default();
        text.contains(NOT_INSTALLED).then_some(text)
    };
    let found = eventually(|| urls(&case).map(Ok).or_else(|| missing().map(Err)));
    let found = found.expect("the run begins");
    let verify = |name: &str, url: &str| {
        let mut verify = case.rtswap();
        verify.args(["verify", "--lane", "smol", "--workload", name]);
        verify.args([&format!("--{name}-url"), url]).env("RTSWAP_SERVERS", "/nowhere");
        verify.assert()
    };
    for (name, url) in found.iter().flatten() {
        // The second verification finds the tables of the first.
        for _ in 0..2 {
            let verified = verify(name, url).success();
            let printed = String::from_utf8(verified.get_output().stdout.clone()).unwrap();
            assert!(printed.contains("  ok, "), "{name}: {printed}");
        }
    }
    for (name, url) in found.iter().flatten().filter(|(name, _)| *name != "redis") {
        damage(name, url);
        let verified = verify(name, url).code(1);
        let printed = String::from_utf8(verified.get_output().stdout.clone()).unwrap();
        assert!(printed.contains("rtswap_world"), "{name}: {printed}");
    }
    kill_process(Pid::from_child(&run), Signal::INT).unwrap();
    run.wait().unwrap();
    if let Err(record) = found {
        skip_if_missing(&record);
    }
}

/// Changes the data that lanes rely on.
fn damage(name: &str, url: &str) {
    let change = "UPDATE rtswap_world SET randomnumber = -1";
    let done = if name == "postgres" {
        std::process::Command::new("psql").args([url, "-c", change]).output().unwrap()
    } else {
        let rest = url.strip_prefix("mysql://").unwrap();
        let (login, rest) = rest.split_once('@').unwrap();
        let (user, password) = login.split_once(':').unwrap();
        let (addr, database) = rest.split_once('/').unwrap();
        let (host, port) = addr.split_once(':').unwrap();
        let at = ["-h", host, "-P", port, "-u", user, database, "-e", change];
        std::process::Command::new("mariadb").env("MYSQL_PWD", password).args(at).output().unwrap()
    };
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn url_of_another_protocol_is_rejected() {
    let case = Case::new();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = other.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in other.incoming().flatten() {
            // Longer than what each of the three protocols reads first.
            let _ = std::io::Write::write_all(&mut &stream, b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    for (name, url) in [
        ("redis", format!("redis://{addr}")),
        ("mysql", format!("mysql://me@{addr}/db")),
        ("postgres", format!("postgres://me@{addr}/db")),
    ] {
        let verify = ["verify", "--lane", "tokio", "--workload", name];
        let verify = case.rtswap().args(verify).args([format!("--{name}-url"), url]).assert();
        let stderr = String::from_utf8(verify.code(1).get_output().stderr.clone()).unwrap();
        let line = assert_one_line(&stderr);
        assert!(line.contains(&format!("{name} at {addr} is no {name} server")), "{line}");
    }
}

#[test]
fn servers_end_with_an_interrupted_or_killed_run() {
    for signal in [Signal::INT, Signal::KILL] {
        let case = Case::new();
        let tmp = with_tmp(&case);
        let lanes = ["tokio".to_owned()];
        let mut run = std::process::Command::new(support::program());
        run.args(quick_run("60s", "redis", &lanes)).args([
            "--workload",
            "mysql",
            "--workload",
            "postgres",
        ]);
        run.current_dir(case.folder.path()).envs(case.environment()).env("TMPDIR", &tmp);
        let mut run = run.stderr(std::process::Stdio::null()).spawn().unwrap();
        let record = eventually(|| {
            let text = fs::read_to_string(case.path(RECORD)).unwrap_or_default();
            (text.contains(NOT_INSTALLED) || text.contains("\"kind\":\"block\"")).then_some(text)
        });
        let record = record.expect("the run begins");
        let running = PROGRAMS.map(|program| server(&tmp, program).is_some());
        kill_process(Pid::from_child(&run), signal).unwrap();
        run.wait().unwrap();
        if skip_if_missing(&record) {
            return;
        }
        assert_eq!(running, [true; 3], "each server runs in a folder of its own");
        assert_no_server(&tmp);
        if signal == Signal::KILL {
            assert!(fs::read_dir(&tmp).unwrap().count() >= 3, "a killed run leaves its folders");
            let verify = ["verify", "--lane", "tokio", "--workload", "spawn"];
            case.rtswap().args(verify).env("TMPDIR", &tmp).assert().success();
        }
        assert_no_file(&tmp);
    }
}
