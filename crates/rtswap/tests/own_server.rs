//! Servers without the lane protocol as lanes: `--lane NAME=serve:COMMAND`.

mod support;

use std::fs;
use std::path::Path;
use std::process::Output;

use rustix::process::Signal;
use support::{Case, RECORD, assert_one_line, cell, json, rtswap};

const ECHO: &str = "tcp-echo/size=1024/conns=2";
const USERS: &str = "http/conns=2/pipeline=2/path=/users/7";

/// The lane spec of a server in the folder `cases`.
fn lane(name: &str, file: &str, fault: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(file);
    format!("{name}=serve:python3 {} {{addr}} {fault}", path.display())
}

/// What `rtswap verify` prints of one lane and one workload.
fn verify(case: &Case, lane: &str, workload: &str) -> (Output, String) {
    let args = ["verify", "--lane", lane, "--workload", workload];
    let done = case.rtswap().args(args).output().unwrap();
    let stdout = String::from_utf8(done.stdout.clone()).unwrap();
    (done, stdout.lines().last().unwrap_or_default().trim().to_owned())
}

/// The line with the status of a lane that fails, and nothing is left of it.
fn failure(lane: &str, workload: &str) -> String {
    let case = Case::new();
    let (done, line) = verify(&case, lane, workload);
    assert_eq!(done.status.code(), Some(1), "{line}");
    assert_one_line(&String::from_utf8(done.stderr).unwrap());
    case.assert_nothing_left();
    line
}

fn http_failure(fault: &str) -> String {
    failure(&lane("base", "http_server.py", fault), USERS)
}

fn echo_failure(fault: &str) -> String {
    failure(&lane("base", "echo_server.py", fault), ECHO)
}

#[test]
fn echo_server_is_verified() {
    let case = Case::new();
    for workload in [ECHO, "idle/conns=8/active=1", "churn/conns=2"] {
        let (done, line) = verify(&case, &lane("base", "echo_server.py", ""), workload);
        assert!(done.status.success() && line.starts_with("base  ok, "), "{workload}: {line}");
        assert!(line.contains("(python3") && line.contains("unknown"), "{line}");
    }
    case.assert_nothing_left();
}

#[test]
fn http_server_is_verified_with_length_and_chunks() {
    let case = Case::new();
    for fault in ["", "chunked"] {
        for workload in [USERS, "http/path=/", "http/path=/a=b//c?d/conns=1"] {
            let (done, line) = verify(&case, &lane("base", "http_server.py", fault), workload);
            assert!(done.status.success() && line.starts_with("base  ok, "), "{workload}: {line}");
        }
    }
}

#[test]
fn run_measures_two_servers_and_counts_their_work() {
    let case = Case::new();
    let lanes = [lane("base", "http_server.py", ""), lane("head", "http_server.py", "")];
    let mut run = case.rtswap();
    run.args(["run", "--quick", "--budget", "1s", "--reference", "base", "--format", "json"]);
    run.args(["--workload", USERS, "--out", RECORD]);
    for lane in &lanes {
        run.args(["--lane", lane]);
    }
    let done = run.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let summary = json(&done.stdout);
    for name in ["base", "head"] {
        let cell = cell(&summary, name);
        assert_eq!((&cell["name"], &cell["status"]), (&USERS.into(), &"ok".into()), "{cell:#}");
    }
    let lines = case.lines();
    let plan = &lines[0]["plan"];
    assert_eq!(plan["workloads"][0]["request"]["path"], "/users/7");
    assert_eq!(plan["lanes"][0]["kind"], "command");
    let programs = &lines[0]["environment"]["lane_programs"]["head"];
    let names: Vec<_> = programs.as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["python3", "…/http_server.py"]);
    let round = lines.iter().find(|line| line["kind"] == "round").unwrap();
    let head = &round["lanes"]["head"];
    assert_eq!(head["info"]["notes"]["command"], lanes[1].split_once("serve:").unwrap().1);
    // An interpreter has some MB, and each request takes several system calls: neither is the lane process's own.
    assert!(head["memory_bytes"].as_u64().unwrap() > 6_000_000, "{head:#}");
    if let Some(syscalls) = head["counts"]["syscalls"].as_u64() {
        assert!(syscalls > head["counts"]["ops"].as_u64().unwrap(), "{head:#}");
    }
    case.assert_nothing_left();
}

#[test]
fn run_resumes_with_server() {
    let case = Case::new();
    let lane = lane("base", "echo_server.py", "");
    let args = ["run", "--quick", "--budget", "1000h", "--reference", "base", "--lane", &lane];
    let run = case.spawn(&[&args[..], &["--workload", ECHO, "--out", RECORD]].concat());
    case.wait_for_rounds(1);
    run.signal(Signal::INT);
    assert_eq!(run.wait().0.code(), Some(130));
    case.assert_nothing_left();
    let run = case.spawn(&["run", "--resume", RECORD]);
    case.wait_for_rounds(3);
    run.signal(Signal::INT);
    let (status, stderr) = run.wait();
    assert_eq!(status.code(), Some(130), "{stderr}");
    assert!(case.lines().iter().all(|line| line["kind"] != "lane-failure"), "{stderr}");
    case.assert_nothing_left();
}

#[test]
fn server_that_never_listens_fails() {
    let case = Case::new();
    let lanes = ["silent", "elsewhere"].map(|fault| lane(fault, "echo_server.py", fault));
    let done = case.quick_run(ECHO, &lanes).output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    let reason = |lane: &str| {
        let lines = case.lines();
        let is_failure =
            |line: &&serde_json::Value| line["kind"] == "lane-failure" && line["lane"] == lane;
        lines.iter().find(is_failure).unwrap()["reason"].as_str().unwrap().to_owned()
    };
    let silent = reason("silent");
    assert!(silent.starts_with("it did not listen at 127.0.0.1:"), "{silent}");
    assert!(silent.ends_with(" within 10 s"), "{silent}");
    let elsewhere = reason("elsewhere");
    assert!(elsewhere.contains(" within 10 s, but at 127.0.0.1:"), "{elsewhere}");
    assert!(elsewhere.ends_with("pass {addr} or {port} on to what listens"), "{elsewhere}");
    case.assert_nothing_left();
}

#[test]
fn server_that_ends_fails_with_its_last_lines() {
    let line = echo_failure("dies");
    assert!(line.contains("the server ended (exit status: 1) before it listened at 127.0.0.1:"));
    assert!(line.ends_with("; stderr: a line before no configuration"), "{line}");
    let line = failure("base=serve:./nonexistent {addr}", ECHO);
    assert!(line.contains("(exit status: 127)") && line.contains("nonexistent"), "{line}");
}

#[test]
fn server_in_background_fails_and_is_ended() {
    let line = echo_failure("background");
    assert!(line.contains("(exit status: 0)"), "{line}");
    assert!(line.contains("it has to stay in the foreground"), "{line}");
}

#[test]
fn server_whose_port_is_taken_is_started_again() {
    let case = Case::new();
    let (done, line) = verify(&case, &lane("base", "echo_server.py", "taken-once"), ECHO);
    assert!(case.path("taken").exists());
    assert!(done.status.success() && line.starts_with("base  ok, "), "{line}");
    case.assert_nothing_left();
}

#[test]
fn server_that_closes_connections_fails() {
    let line = echo_failure("closes");
    assert!(
        line.contains("failed: 127.0.0.1:") && line.contains("connection 0 at byte 0"),
        "{line}"
    );
    let line = http_failure("no-answer");
    assert!(line.contains("closed the connection without an answer to `GET /users/7`"), "{line}");
    let line = http_failure("closes");
    assert!(line.contains("failed: it closed the connection after the answer"), "{line}");
    assert!(line.contains("the server must keep it open (keep-alive)"), "{line}");
}

#[test]
fn server_that_crashes_fails_with_its_signal() {
    let line = http_failure("crash");
    assert!(line.contains("the process ended (signal: 6 (SIGABRT)"), "{line}");
}

#[test]
fn server_with_other_answers_is_invalid() {
    let cases = [
        ("500", "`GET /users/7` was answered with 500 Internal Server Error, expected 200 to 299"),
        ("redirect", "redirects are not followed: ask for where it leads"),
        ("varies", "two answers to `GET /users/7` differ: byte "),
        ("varies", "with `expect = \"status\"`"),
        (
            "varies-late",
            "expected is the first answer of the run, that of `base`; if answers may vary",
        ),
        ("garbage", "not an HTTP/1 response"),
        ("gzip", "content-encoding is \"gzip\", expected an unencoded body"),
        ("http10", "version is HTTP/1.0, expected HTTP/1.1"),
        ("close", "expected keep-alive"),
    ];
    for (fault, reason) in cases {
        let line = http_failure(fault);
        assert!(line.starts_with("base  invalid: ") && line.contains(reason), "{fault}: {line}");
    }
}

#[test]
fn head_whose_answer_differs_from_base_is_invalid() {
    let case = Case::new();
    let lanes = [lane("base", "http_server.py", ""), lane("head", "http_server.py", "varies-late")];
    let mut verify = case.rtswap();
    verify.args(["verify", "--workload", USERS, "--lane", &lanes[0], "--lane", &lanes[1]]);
    let done = verify.assert().code(1);
    let stdout = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    assert!(stdout.contains("base  ok, "), "{stdout}");
    assert!(
        stdout.contains("head  invalid: the answer to `GET /users/7` is not as expected: body has")
    );
    assert!(stdout.contains("that of `base`"), "{stdout}");
}

#[test]
fn request_of_rtswap_toml_is_sent_and_checked() {
    let case = Case::new();
    let toml = r#"
        [gate]
        tolerance = "2%"
        [http.search]
        method = "POST"
        path = "/search?q=1"
        headers = { x-key = "k" }
        payload = "hello"
        body = "POST /search?q=1 k hello"
        [http.varies]
        path = "/"
        expect = "status"
        [http.fails]
        path = "/"
        status = 500
        [http.digest]
        path = "/"
        body_sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    "#;
    fs::write(case.path("rtswap.toml"), toml).unwrap();
    for (request, fault) in [("search", ""), ("varies", "varies"), ("fails", "500")] {
        let workload = format!("http/conns=2/request={request}");
        let (done, line) = verify(&case, &lane("base", "http_server.py", fault), &workload);
        assert!(done.status.success() && line.starts_with("base  ok, "), "{request}: {line}");
    }
    let (done, line) = verify(&case, &lane("base", "http_server.py", ""), "http/request=digest");
    assert_eq!(done.status.code(), Some(1));
    assert!(line.contains("invalid: the SHA-256 of the answer to `GET /` is "), "{line}");
    let (done, line) = verify(&case, &lane("base", "http_server.py", ""), "http/request=fails");
    assert_eq!(done.status.code(), Some(1));
    assert!(line.contains("was answered with 200 OK, expected 500"), "{line}");
    for command in ["verify", "run"] {
        let mut wrong = case.rtswap();
        let lane = lane("base", "http_server.py", "");
        wrong.args([command, "--lane", &lane, "--workload", "http/request=nope"]);
        let done = wrong.assert().code(2);
        let stderr = String::from_utf8(done.get_output().stderr.clone()).unwrap();
        assert!(assert_one_line(&stderr).contains("has no section [http.nope]"), "{stderr}");
    }
}

#[test]
fn own_request_is_for_own_servers() {
    let case = Case::new();
    let (done, line) = verify(&case, "tokio", USERS);
    assert_eq!(done.status.code(), Some(1));
    let reason =
        format!("unsupported: `{USERS}` is for servers of your own: --lane NAME=serve:COMMAND");
    assert!(line.contains(&reason), "{line}");
    let mut run = case.rtswap();
    let lane = lane("base", "http_server.py", "");
    let done = run.args(["run", "--lane", &lane, "--workload", USERS]).assert().code(2);
    let stderr = String::from_utf8(done.get_output().stderr.clone()).unwrap();
    assert!(assert_one_line(&stderr).contains("`tokio`, the reference, ships"), "{stderr}");
}

#[test]
fn wrong_spec_is_a_usage_error() {
    let cases = [
        ("base=serve:./server", "expected `{addr}`, HOST:PORT, or `{port}` in it"),
        ("base=bench:./bench", "(docs/own-program.md)"),
    ];
    for (spec, reason) in cases {
        let done = rtswap().args(["verify", "--lane", spec]).assert().code(2);
        let stderr = String::from_utf8(done.get_output().stderr.clone()).unwrap();
        assert!(assert_one_line(&stderr).contains(reason), "{stderr}");
    }
    let args = ["verify", "--lane", "base=serve:true {addr}", "--workload", "spawn"];
    let done = rtswap().args(args).assert();
    let stdout = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    assert!(!stdout.contains("ok"), "{stdout}");
}

/// The guide for programs of one's own.
const GUIDE: &str = include_str!("../../../docs/own-program.md");

/// A code block of the guide.
fn block(language: &str, number: usize) -> &'static str {
    let start = format!("```{language}\n");
    let code = GUIDE.split(start.as_str()).nth(number + 1).unwrap();
    code.split_once("```").unwrap().0
}

#[test]
fn guide_has_server_and_requests_that_work() {
    let case = Case::new();
    fs::write(case.path("server.py"), block("python", 0)).unwrap();
    let lane = "base=serve:python3 server.py {addr}";
    let (done, line) = verify(&case, lane, "http/path=/users/7");
    assert!(done.status.success() && line.starts_with("base  ok, "), "{line}");
    fs::write(case.path("rtswap.toml"), block("toml", 0)).unwrap();
    for request in ["search", "now"] {
        let (_, line) = verify(&case, lane, &format!("http/request={request}"));
        // This server does not know them.
        assert!(line.starts_with("base  ") && !line.contains("rtswap.toml has no"), "{line}");
    }
}

#[test]
fn guide_shows_code_of_example() {
    let example = include_str!("../examples/own_function.rs");
    assert!(example.ends_with(block("rust", 0)), "the guide differs from examples/own_function.rs");
}

#[test]
fn executable_with_own_function_is_a_lane() {
    let function = support::program().with_file_name("examples").join("own_function");
    assert!(function.exists(), "{} is missing: run `cargo build --examples`", function.display());
    let case = Case::new();
    let lane = format!("head={} lane tokio-local", function.display());
    let mut verify = std::process::Command::new(&function);
    let done = verify.args(["verify", "--lane", &lane]).envs(case.environment()).output().unwrap();
    let stdout = String::from_utf8(done.stdout).unwrap();
    assert!(stdout.contains("sum\n  head  ok, 1000 operations (tokio "), "{stdout}");
    case.assert_nothing_left();
}
