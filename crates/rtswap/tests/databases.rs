//! The workloads of database servers, against the real ones: whatever runtime a lane has, whatever
//! happens to a server, and what is left behind.

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use procfs::process::all_processes;
use rustix::process::{Pid, Signal, kill_process};
use support::{Case, RECORD, assert_one_line, cell, eventually, json, quick_run};

/// Programs of the servers, as they appear in a command line.
const PROGRAMS: [&str; 3] = ["redis-server", "mariadbd", "postgres"];

/// A test's folder for temporary files, which the servers' users may enter.
fn with_tmp(case: &Case) -> std::path::PathBuf {
    let tmp = case.path("tmp");
    fs::create_dir(&tmp).unwrap();
    for folder in [case.folder.path(), &tmp] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    tmp
}

/// Servers of a test that are alive. Not by their environment, which postgres writes its title over.
fn servers(tmp: &Path) -> Vec<(i32, String)> {
    let mine = |process: procfs::process::Process| {
        let folder = process.cwd().ok()?;
        let line = process.cmdline().ok()?.join(" ");
        folder.starts_with(tmp).then_some((process.pid, line))
    };
    all_processes().unwrap().flatten().filter_map(mine).collect()
}

fn assert_no_server(tmp: &Path) {
    let gone = eventually(|| servers(tmp).is_empty().then_some(()));
    assert!(gone.is_some(), "still alive: {:?}", servers(tmp));
}

fn assert_no_file(tmp: &Path) {
    let left: Vec<_> = fs::read_dir(tmp).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Whether what a command has printed says that a program is missing: loudly, and in CI an error.
fn missing(printed: &str) -> bool {
    let missing = printed.contains("is not installed");
    if missing {
        assert!(std::env::var_os("CI").is_none(), "CI must have the servers: {printed}");
        eprintln!("SKIPPED: {printed}");
    }
    missing
}

/// The process of a server.
fn server(tmp: &Path, program: &str) -> Option<Pid> {
    let first = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    let found = servers(tmp).into_iter().find(|(_, line)| first(line).contains(program))?;
    Pid::from_raw(found.0)
}

#[test]
fn every_runtime_gets_every_answer_right() {
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
    if missing(&printed) {
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
            // What the machine forbids is not what this is about.
            assert!(line.contains("  ok, ") || line.contains("unsupported"), "{workload}: {line}");
        }
    }
    assert_no_server(&tmp);
    assert_no_file(&tmp);
}

#[test]
fn a_program_that_is_missing_is_skipped_with_what_to_install() {
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
fn a_server_that_cannot_start_fails_with_its_last_words() {
    let case = Case::new();
    let tmp = with_tmp(&case);
    let program = case.path("redis-server");
    fs::write(&program, "#!/bin/sh\necho out of luck\nexit 3\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let verify = ["verify", "--lane", "tokio", "--workload", "redis"];
    let mut command = case.rtswap();
    command.args(verify).env("TMPDIR", &tmp).env("RTSWAP_SERVERS", case.folder.path());
    let done = command.output();
    let done = done.unwrap();
    let printed = String::from_utf8(done.stdout).unwrap();
    assert_eq!(done.status.code(), Some(1), "{printed}");
    let told = "failed: redis-server: it ended (exit status: 3); it said: out of luck";
    assert!(printed.contains(told), "{printed}");
    assert_no_file(&tmp);
}

#[test]
fn a_server_that_is_killed_costs_a_lane_its_cell_and_is_started_again() {
    let case = Case::new();
    let tmp = with_tmp(&case);
    let mut run = std::process::Command::new(support::program());
    let lanes = ["tokio".to_owned(), "smol".to_owned(), "smol-local".to_owned()];
    run.args(quick_run("6s", "redis", &lanes)).current_dir(case.folder.path()).env("TMPDIR", &tmp);
    let run = run.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let run = run.spawn().unwrap();
    let killer = std::thread::spawn({
        let (tmp, record) = (tmp.clone(), case.path(RECORD));
        move || {
            let found = eventually(|| {
                let text = fs::read_to_string(&record).unwrap_or_default();
                if text.contains("is not installed") {
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
    if missing(&stderr) {
        return;
    }
    assert!(killer.join().unwrap().is_some(), "{stderr}");
    let lines = case.lines();
    let lost: Vec<_> = lines.iter().filter(|line| line["kind"] == "lost").collect();
    // Killed between two rounds it costs nobody anything.
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
fn a_url_that_leads_nowhere_is_told_in_a_line_before_anything_is_measured() {
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
        let told = assert_one_line(&stderr);
        assert!(told.contains(&format!("{name} at {closed}: Connection refused")), "{told}");
        assert!(told.contains(&flag) && !told.contains("secret"), "{told}");
        assert!(!case.path(RECORD).exists(), "nothing was begun");

        let verify = ["verify", "--workload", name, &flag, "nonsense"];
        let stderr = case.rtswap().args(verify).assert().code(2).get_output().stderr.clone();
        assert!(String::from_utf8(stderr).unwrap().contains(&format!("say {name}://")));
    }
}

/// The URLs of the servers that a run under way has started, as a lane of it was told them.
fn urls(case: &Case) -> Option<Vec<(&'static str, String)>> {
    let told = fs::read_to_string(case.path("told")).ok()?;
    let orders: Vec<serde_json::Value> =
        told.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    ["redis", "mysql", "postgres"]
        .into_iter()
        .map(|name| {
            let url = orders.iter().find_map(|order| order["resources"][name].as_str())?;
            Some((name, url.to_owned()))
        })
        .collect()
}

/// The servers of one run are the given ones of another.
#[test]
fn a_server_that_is_given_is_used_and_left_running() {
    let case = Case::new();
    let tmp = with_tmp(&case);
    let spy = "spy=sh -c 'read order; echo \"$order\" >> told; exit 1'".to_owned();
    let mut run = std::process::Command::new(support::program());
    run.args(quick_run("2m", "redis", &["tokio".to_owned(), spy])).args([
        "--workload",
        "mysql",
        "--workload",
        "postgres",
    ]);
    run.current_dir(case.folder.path()).env("TMPDIR", &tmp);
    let mut run = run.stderr(std::process::Stdio::null()).spawn().unwrap();
    let without = || {
        let text = fs::read_to_string(case.path(RECORD)).unwrap_or_default();
        text.contains("is not installed").then_some(text)
    };
    let given = eventually(|| urls(&case).map(Ok).or_else(|| without().map(Err)));
    let given = given.expect("a run that begins");
    let verify = |name: &str, url: &str| {
        let mut verify = case.rtswap();
        verify.args(["verify", "--lane", "smol", "--workload", name]);
        verify.args([&format!("--{name}-url"), url]).env("RTSWAP_SERVERS", "/nowhere");
        verify.assert()
    };
    for (name, url) in given.iter().flatten() {
        // The second time, what the first has left behind is found.
        for _time in 0..2 {
            let verified = verify(name, url).success();
            let printed = String::from_utf8(verified.get_output().stdout.clone()).unwrap();
            assert!(printed.contains("  ok, "), "{name}: {printed}");
        }
    }
    for (name, url) in given.iter().flatten().filter(|(name, _)| *name != "redis") {
        damage(name, url);
        let verified = verify(name, url).code(1);
        let printed = String::from_utf8(verified.get_output().stdout.clone()).unwrap();
        assert!(printed.contains("rtswap_world"), "{name}: {printed}");
    }
    kill_process(Pid::from_child(&run), Signal::INT).unwrap();
    run.wait().unwrap();
    if let Err(text) = given {
        missing(&text);
    }
}

/// Changes what the other user of a server relies on.
fn damage(name: &str, url: &str) {
    let change = "UPDATE rtswap_world SET randomnumber = -1";
    let done = if name == "postgres" {
        std::process::Command::new("psql").args([url, "-c", change]).output().unwrap()
    } else {
        let rest = url.strip_prefix("mysql://").unwrap();
        let (user, rest) = rest.split_once('@').unwrap();
        let (addr, database) = rest.split_once('/').unwrap();
        let (host, port) = addr.split_once(':').unwrap();
        let at = ["-h", host, "-P", port, "-u", user, database, "-e", change];
        std::process::Command::new("mariadb").args(at).output().unwrap()
    };
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn what_is_no_such_server_is_told() {
    let case = Case::new();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = other.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in other.incoming().flatten() {
            // Long enough that all three can read what they look at first.
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
        let told = assert_one_line(&stderr);
        assert!(told.contains(&format!("no {name} server")), "{told}");
    }
}

#[test]
fn no_server_outlives_a_run_however_it_ends() {
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
        run.current_dir(case.folder.path()).env("TMPDIR", &tmp);
        let mut run = run.stderr(std::process::Stdio::null()).spawn().unwrap();
        let up = eventually(|| {
            let text = fs::read_to_string(case.path(RECORD)).unwrap_or_default();
            (text.contains("is not installed") || text.contains("\"kind\":\"block\""))
                .then_some(text)
        });
        let up = up.expect("a run that begins");
        let all = PROGRAMS.map(|program| server(&tmp, program).is_some());
        kill_process(Pid::from_child(&run), signal).unwrap();
        run.wait().unwrap();
        if missing(&up) {
            return;
        }
        assert_eq!(all, [true; 3], "all are up in folders of their own");
        assert_no_server(&tmp);
        if signal == Signal::INT {
            assert_no_file(&tmp);
        }
    }
}
