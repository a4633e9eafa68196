//! Lanes and surroundings that once led to wrong figures or to silence.

mod support;

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use support::{Case, RECORD, assert_one_line, eventually, program, quick_run, skip};

const ECHO: &str = "tcp-echo/size=1024/conns=2";

/// The lane spec of a file in the folder `cases`.
fn lane(name: &str, file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(file);
    format!("{name}=python3 {}", path.display())
}

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn of_kind(case: &Case, kind: &str) -> Vec<Value> {
    case.lines().into_iter().filter(|line| line["kind"] == kind).collect()
}

#[test]
fn processes_that_leave_their_session_are_ended_and_named() {
    let case = Case::new();
    let done = case.quick_run(ECHO, &[lane("orphan", "orphan.py")]).output().unwrap();
    let text = stderr(&done);
    assert!(done.status.success(), "{text}");
    assert!(text.contains("orphan left processes behind, which were ended: sleep 997"), "{text}");
    for round in of_kind(&case, "round") {
        assert_eq!(round["left_behind"], serde_json::json!({ "orphan": ["sleep 997"] }));
    }
    case.assert_nothing_left();
}

#[test]
fn processes_of_crashed_lane_are_ended() {
    let case = Case::new();
    fs::write(
        case.path("crash.py"),
        "import subprocess\nsubprocess.Popen(['sleep', '998'], start_new_session=True)\nraise SystemExit(3)\n",
    )
    .unwrap();
    let lanes = ["smol-local".to_owned(), "crash=python3 crash.py".to_owned()];
    let done = case.quick_run("spawn/tasks=1", &lanes).output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert!(stderr(&done).contains("crash left processes behind"), "{}", stderr(&done));
    case.assert_nothing_left();
}

#[test]
fn processes_that_leave_their_session_are_ended_after_interruption() {
    let case = Case::new();
    let lanes = [lane("orphan", "orphan.py")];
    let run = case.spawn(&quick_run("1000h", ECHO, &lanes));
    case.find("sleep");
    run.signal(Signal::INT);
    let (status, stderr) = run.wait();
    assert_eq!(status.code(), Some(130), "{stderr}");
    case.assert_nothing_left();
}

#[test]
fn termination_of_group_interrupts_run() {
    let case = Case::new();
    let lanes = [case.own_lane("mine", "none"), lane("plain", "lane.py")];
    let mut command = Command::new(program());
    command.args(quick_run("1000h", ECHO, &lanes)).process_group(0);
    let run = case.spawn_command(&mut command);
    case.wait_for_rounds(1);
    kill_process_group(Pid::from_raw(run.id()).unwrap(), Signal::TERM).unwrap();
    let (status, stderr) = run.wait();
    assert_eq!(status.code(), Some(130), "{stderr}");
    assert_eq!(case.lines().last().unwrap()["ended"], "interrupted");
    assert_eq!(of_kind(&case, "lane-failure"), Vec::<Value>::new());
    case.assert_nothing_left();
}

#[test]
fn termination_of_all_processes_fails_no_lane() {
    let case = Case::new();
    let lanes = ["smol-local".to_owned(), lane("plain", "lane.py")];
    let run = case.spawn(&quick_run("1000h", ECHO, &lanes));
    case.wait_for_rounds(1);
    case.find("python3");
    // As `pkill` does, the lanes first.
    let own = run.id();
    for (pid, _) in case.alive().into_iter().filter(|(pid, _)| *pid != own) {
        let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM);
    }
    run.signal(Signal::TERM);
    let (status, stderr) = run.wait();
    assert_eq!(status.code(), Some(130), "{stderr}");
    assert_eq!(of_kind(&case, "lane-failure"), Vec::<Value>::new());
    case.assert_nothing_left();
}

#[test]
fn named_lane_without_figure_exits_with_1() {
    let args = ["run", "--quick", "--budget", "1s", "--workload", "spawn", "--lane", "bad=false"];
    let case = Case::new();
    let done = case.rtswap().args(args).assert().code(1);
    assert!(stderr(done.get_output()).contains("named lanes without a result: bad on spawn"));
    case.rtswap().args(args).arg("--allow-missing").assert().success();
}

#[test]
fn named_workload_without_figure_exits_with_1() {
    let case = Case::new();
    let lanes = ["smol-local".to_owned()];
    let mut args = quick_run("1s", "spawn/tasks=1", &lanes);
    args.extend(["--workload", "idle/conns=10/active=11"]);
    let done = case.rtswap().args(&args).assert().code(1);
    let text = stderr(done.get_output());
    let error = assert_one_line(text.lines().last().unwrap());
    assert!(
        error.contains("without a result: idle/conns=10/active=11")
            || error.contains("named lanes"),
        "{error}"
    );
    fs::remove_file(case.path(RECORD)).unwrap();
    case.rtswap().args(&args).arg("--allow-missing").assert().success();
}

#[test]
fn value_of_sweep_without_figure_exits_with_1() {
    let case = Case::new();
    let mut args = vec!["sweep", "--workload", "idle/conns=8", "--over", "active=1,9"];
    args.extend(["--lane", "smol-local", "--reference", "tokio-local", "--budget", "1s"]);
    let done = case.rtswap().args(&args).assert().code(1);
    let text = stderr(done.get_output());
    let error = assert_one_line(text.lines().last().unwrap());
    assert!(error.contains("named workloads without a result: idle/conns=8/active=9;"), "{error}");
    case.rtswap().args(&args).arg("--allow-missing").assert().success();
}

#[test]
fn lane_that_claims_the_impossible_loses_its_cell() {
    let case = Case::new();
    for (lie, status, reason) in [
        ("huge", "invalid", "impossible on"),
        ("zero", "failed", "no operation"),
        ("two", "invalid", "answer"),
    ] {
        let lanes = [lane(lie, &format!("liar.py {lie}"))];
        let done = case.quick_run("spawn/tasks=1", &lanes).assert().code(1);
        let failures = of_kind(&case, "lane-failure");
        let text = failures[0]["reason"].as_str().unwrap();
        assert_eq!(failures[0]["status"], status, "{failures:?}");
        // The second answer comes unasked, or is taken for that to the next order, which it does not fit.
        let is_taken = lie == "two" && text.contains("reported, but");
        assert!(text.contains(reason) || is_taken, "{lie}: {text}");
        assert!(stderr(done.get_output()).contains(&format!("{lie} on spawn")));
        fs::remove_file(case.path(RECORD)).unwrap();
    }
}

#[test]
fn lane_that_names_the_address_of_another_server_is_not_loaded() {
    let case = Case::new();
    // Any bytes that come in would be the work of a lane that does nothing.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let theirs = server.local_addr().unwrap();
    let own = std::process::id();
    let parts = [
        (theirs.to_string(), format!("(process {own}) listens there")),
        (format!("10.255.0.1:{}", theirs.port()), "not one of the loopback".to_owned()),
        ("127.0.0.1:1".to_owned(), "no process listens there".to_owned()),
    ];
    for (addr, part) in parts {
        let lanes = [lane("liar", &format!("squatter.py {addr}"))];
        let done = case.quick_run(ECHO, &lanes).assert().code(1);
        let failures = of_kind(&case, "lane-failure");
        let text = failures[0]["reason"].as_str().unwrap();
        assert_eq!(failures[0]["status"], "failed", "{failures:?}");
        assert!(text.contains(&addr) && text.contains(&part), "{text}");
        assert!(stderr(done.get_output()).contains("liar on tcp-echo"));
        fs::remove_file(case.path(RECORD)).unwrap();
    }
    assert_eq!(server.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "it was loaded");
    case.assert_nothing_left();
}

#[test]
fn child_of_a_lane_may_serve() {
    let case = Case::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/lane.py");
    // A shell that stays, and whose child listens.
    fs::write(case.path("start.sh"), format!("python3 {}\n:\n", script.display())).unwrap();
    let args = ["verify", "--workload", ECHO, "--lane", "child=sh start.sh"];
    case.rtswap().args(args).assert().success();
    case.assert_nothing_left();
}

#[test]
fn lane_that_floods_its_standard_error_disturbs_no_other() {
    let case = Case::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/squatter.py");
    // The lane exits if it cannot write, as into a file of more than 1 MiB.
    let start = format!("ulimit -f 1024\nexec python3 {} flood\n", script.display());
    fs::write(case.path("start.sh"), start).unwrap();
    let lanes = ["flood=sh start.sh".to_owned(), "smol-local".to_owned()];
    case.quick_run(ECHO, &lanes).assert().success();
    assert_eq!(of_kind(&case, "lane-failure"), Vec::<Value>::new());
    case.assert_nothing_left();
}

/// A run of `mine=python3 lane.py` in the folder `here`, interrupted after a round.
fn interrupted_in_here(case: &Case) {
    let here = case.path("here");
    fs::create_dir(&here).unwrap();
    fs::create_dir(case.path("there")).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/lane.py");
    fs::copy(source, here.join("lane.py")).unwrap();
    let lanes = ["mine=python3 lane.py".to_owned()];
    let mut args = quick_run("3s", ECHO, &lanes);
    let out = format!("../{RECORD}");
    *args.iter_mut().find(|arg| **arg == RECORD).unwrap() = &out;
    let script = r#"cd here; exec "$@""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(program()).args(&args);
    let run = case.spawn_command(&mut command);
    case.wait_for_rounds(1);
    run.signal(Signal::INT);
    let (status, stderr) = run.wait();
    assert_eq!(status.code(), Some(130), "{stderr}");
    let header = case.lines().swap_remove(0);
    assert_eq!(header["environment"]["folder"], "here");
    let text = header.to_string();
    assert!(!text.contains(case.folder.path().to_str().unwrap()), "no path of the user: {text}");
}

/// Resumes in another folder than the run was started in.
fn resume(case: &Case, options: &[&str]) -> std::process::Output {
    let mut command = case.rtswap();
    command.current_dir(case.path("there")).args(["run", "--resume", &format!("../{RECORD}")]);
    command.args(options).output().unwrap()
}

#[test]
fn resume_in_another_folder_goes_on() {
    let case = Case::new();
    interrupted_in_here(&case);
    let done = resume(&case, &[]);
    assert!(done.status.success(), "{}", stderr(&done));
    case.assert_complete();
    assert_eq!(of_kind(&case, "resumed"), Vec::<Value>::new(), "nothing has changed");
}

#[test]
fn resume_finds_folder_beside_that_of_record() {
    let case = Case::new();
    interrupted_in_here(&case);
    // As it is begun with `--out ../records/record.jsonl`: the header may not name the folder `here`.
    fs::create_dir(case.path("records")).unwrap();
    let lanes = ["mine=python3 lane.py".to_owned()];
    let mut args = quick_run("2s", ECHO, &lanes);
    *args.iter_mut().find(|arg| **arg == RECORD).unwrap() = "../records/record.jsonl";
    case.rtswap().current_dir(case.path("here")).args(&args).assert().success();
    let path = case.path("records/record.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains("\"folder\""), "{text}");
    let mut bytes = [0; 4096];
    if rustix::fs::getxattr(&path, "user.rtswap.folder", &mut bytes[..]).is_err() {
        return skip("the file system of temporary files has no attributes: set TMPDIR");
    }
    let resumed = ["run", "--resume", "../records/record.jsonl"];
    case.rtswap().current_dir(case.path("there")).args(resumed).assert().success();
}

#[test]
fn resume_without_program_keeps_finished_rounds() {
    let case = Case::new();
    interrupted_in_here(&case);
    fs::remove_file(case.path("here/lane.py")).unwrap();
    let refused = resume(&case, &[]);
    assert_eq!(refused.status.code(), Some(2));
    let text = stderr(&refused);
    let error = assert_one_line(&text);
    assert!(error.contains("lane.py of mine") && error.contains("not found now"), "{error}");
    let forced = resume(&case, &["--force"]);
    assert_eq!(forced.status.code(), Some(1), "a named lane has failed: {}", stderr(&forced));
    let failures = of_kind(&case, "lane-failure");
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(
        (&failures[0]["lane"], &failures[0]["rounds_count"]),
        (&"mine".into(), &true.into())
    );
    let resumed = of_kind(&case, "resumed");
    assert!(resumed[0]["differences"][0].as_str().unwrap().contains("lane.py"), "{resumed:?}");
}

#[test]
fn resume_on_another_machine_is_refused() {
    let case = Case::new();
    case.quick_run("spawn/tasks=1", &["smol-local".to_owned()]).assert().success();
    let text = fs::read_to_string(case.path(RECORD)).unwrap();
    let model = case.lines()[0]["environment"]["cpu_model"].as_str().unwrap().to_owned();
    let edited = text.replacen(&model, "Another CPU", 1);
    fs::write(case.path(RECORD), &edited).unwrap();
    let done = case.rtswap().args(["run", "--resume", RECORD]).assert().code(2);
    let text = stderr(done.get_output());
    let error = assert_one_line(&text);
    let both = error.contains("\"Another CPU\" in the record")
        && error.contains(&format!("{model:?} now"));
    assert!(both && error.contains("--force"), "{error}");
    assert_eq!(fs::read_to_string(case.path(RECORD)).unwrap(), edited);
    case.rtswap().args(["run", "--resume", RECORD, "--force"]).assert().success();
    let resumed = of_kind(&case, "resumed");
    assert_eq!(resumed.len(), 1);
    assert_eq!(resumed[0]["environment"]["cpu_model"], model.as_str());
}

/// A control group with 60 % of a CPU, removed when it is dropped; `None` if this user may not make one.
struct Quota(std::path::PathBuf);

impl Quota {
    fn make() -> Option<Self> {
        let name = format!("rtswap-test-{}", std::process::id());
        for (root, file, text) in [
            ("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "60000"),
            ("/sys/fs/cgroup/cpu,cpuacct", "cpu.cfs_quota_us", "60000"),
            ("/sys/fs/cgroup", "cpu.max", "60000 100000"),
        ] {
            let folder = Path::new(root).join(&name);
            if fs::create_dir(&folder).is_err() {
                continue;
            }
            let quota = Self(folder);
            if quota.0.join("cgroup.procs").exists() && fs::write(quota.0.join(file), text).is_ok()
            {
                return Some(quota);
            }
        }
        None
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // Refused until the kernel has forgotten the last process.
        eventually(|| fs::remove_dir(&self.0).ok());
    }
}

#[test]
fn quota_is_named_and_throttled_time_recorded() {
    let Some(quota) = Quota::make() else {
        // CI runs in containers that may not.
        eprintln!("SKIPPED: a CPU quota: only root may set one, where control groups are writable");
        return;
    };
    let case = Case::new();
    let script = format!(r#"echo $$ > {}/cgroup.procs; exec "$@""#, quota.0.display());
    let lanes = ["smol-local".to_owned()];
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh"]).arg(program()).args(quick_run("2s", ECHO, &lanes));
    let (status, stderr) = case.spawn_command(&mut command).wait();
    assert!(status.success(), "{stderr}");
    assert!(stderr.contains("a control group allows the CPU time of 0.600 of"), "{stderr}");
    assert_eq!(case.lines()[0]["environment"]["cpu_quota"], 0.6);
    let throttled = |round: &Value| round["throttled_ns"].as_u64().unwrap();
    let sum: u64 = of_kind(&case, "round").iter().map(throttled).sum();
    assert!(sum > 0, "an echo uses more than 60 % of a CPU");
}

#[test]
fn environment_variable_is_recorded_and_warned_of() {
    let case = Case::new();
    let mut run = case.quick_run("spawn/tasks=1", &["smol-local".to_owned()]);
    let done = run.env("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0").output().unwrap();
    let text = stderr(&done);
    assert!(text.contains("warning: GLIBC_TUNABLES=glibc.malloc.tcache_count=0 changes"), "{text}");
    assert!(text.contains("`unset GLIBC_TUNABLES`"), "{text}");
    let header = case.lines().swap_remove(0);
    assert_eq!(header["environment"]["variables"]["GLIBC_TUNABLES"], "glibc.malloc.tcache_count=0");
}

#[test]
fn second_run_waits_for_first() {
    let case = Case::new();
    let lanes = ["smol-local".to_owned()];
    let first = case.spawn(&quick_run("1000h", "spawn/tasks=1", &lanes));
    case.wait_for_rounds(1);
    let mut args = quick_run("1s", "spawn/tasks=1", &lanes);
    *args.iter_mut().find(|arg| **arg == RECORD).unwrap() = "interrupted.jsonl";
    let waiting = case.spawn(&args);
    eventually(|| case.path("interrupted.jsonl").exists().then_some(())).unwrap();
    waiting.signal(Signal::INT);
    let (status, stderr) = waiting.wait();
    assert_eq!(status.code(), Some(130), "{stderr}");
    *args.iter_mut().find(|arg| **arg == "interrupted.jsonl").unwrap() = "second.jsonl";
    let second = case.spawn(&args);
    eventually(|| case.path("second.jsonl").exists().then_some(())).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    let text = fs::read_to_string(case.path("second.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 1, "it measures while the first does");
    let id = first.id();
    first.signal(Signal::INT);
    assert_eq!(first.wait().0.code(), Some(130));
    let (status, stderr) = second.wait();
    assert!(status.success(), "{stderr}");
    let expected = format!("waiting for another run on CPU 0: process {id} (");
    assert!(stderr.contains(&expected), "{stderr}");
}

#[test]
fn closed_standard_error_is_no_panic() {
    let case = Case::new();
    let lanes = ["smol-local".to_owned(), "bad=false".to_owned()];
    let script = r#"( "$@" 2>&1; echo $? > code ) | head -1"#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(program());
    command.args(quick_run("1s", "spawn/tasks=1", &lanes));
    let (_, stderr) = case.spawn_command(&mut command).wait();
    assert_eq!(stderr, "");
    let code = fs::read_to_string(case.path("code")).unwrap();
    assert_eq!(code.trim(), "0", "101 is a panic");
    assert_eq!(case.lines().last().unwrap()["ended"], "complete");
}

#[test]
fn churn_of_ipv6_lane_survives_few_ports() {
    let case = Case::new();
    // A network of its own, with few ports.
    let script = r#"ip link set lo up
        echo 40000 41023 > /proc/sys/net/ipv4/ip_local_port_range
        exec "$@""#;
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-ec", script, "sh"]).arg(program());
    let lanes = [lane("six", "lane.py ipv6")];
    command.args(quick_run("3s", "churn/conns=8", &lanes));
    let (status, stderr) = case.spawn_command(&mut command).wait();
    if stderr.contains("unshare failed") || stderr.contains("ip: not found") {
        skip("few ports: only root may make a network, with iproute2 installed");
        return;
    }
    assert!(status.success(), "{stderr}");
    assert_eq!(of_kind(&case, "lane-failure"), Vec::<Value>::new(), "{stderr}");
}
