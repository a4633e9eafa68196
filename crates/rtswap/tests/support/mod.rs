//! What the tests of the program have in common: running it, reading what it has kept, and looking
//! for what it has left behind.
#![allow(dead_code, reason = "every test binary has a copy and uses a part of it")]

use std::ffi::OsStr;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use assert_cmd::Command;
use procfs::process::{Process, all_processes};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The environment variable by which a test finds the processes that came of it.
const TAG: &str = "RTSWAP_TEST_TAG";

/// The record of a run, in its test's folder.
pub const RECORD: &str = "record.jsonl";

/// Prints why a test, or a part of it, is skipped. Fails the test if the environment variable `CI` is set: CI
/// installs all that tests need.
pub fn skip(why: impl Display) {
    assert!(std::env::var_os("CI").is_none(), "CI must not skip this test: {why}");
    eprintln!("SKIPPED: {why}");
}

/// The program, unless it hangs.
pub fn rtswap() -> Command {
    let mut command = Command::new(program());
    command.timeout(Duration::from_mins(2));
    command
}

/// Where the program is.
pub fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_rtswap"))
}

/// One test's runs, with a folder for its files and an address for its lanes.
pub struct Case {
    pub folder: tempfile::TempDir,
    /// Where its runs lock CPUs, so that they wait for no other test.
    locks: tempfile::TempDir,
    tag: String,
    ip: Ipv4Addr,
}

impl Case {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (pid, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let [.., high, low] = pid.to_be_bytes();
        Self {
            folder: tempfile::tempdir().unwrap(),
            locks: tempfile::tempdir().unwrap(),
            tag: format!("{pid}-{count}"),
            // An address of the loopback device that no other test uses.
            ip: Ipv4Addr::new(127, 100 + count as u8, high, low),
        }
    }

    /// A file of this test.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program in this test's folder.
    pub fn rtswap(&self) -> Command {
        let mut command = rtswap();
        command.current_dir(self.folder.path()).envs(self.environment());
        command
    }

    /// What the program needs: by which its processes are found, and where it locks CPUs.
    pub fn environment(&self) -> [(&'static str, &OsStr); 2] {
        [(TAG, self.tag.as_ref()), ("XDG_RUNTIME_DIR", self.locks.path().as_ref())]
    }

    /// A short `rtswap run`, with `tokio-local` for reference.
    pub fn quick_run(&self, workload: &str, lanes: &[String]) -> Command {
        let mut command = self.rtswap();
        command.args(quick_run("1s", workload, lanes));
        command
    }

    /// The lane spec of `own_lane` with a fault.
    pub fn own_lane(&self, name: &str, fault: &str) -> String {
        let lane = own_lane();
        format!("{name}={} --ip {} --fault {fault}", lane.display(), self.ip)
    }

    /// The program, running on. It is killed when it is dropped.
    pub fn spawn(&self, args: &[&str]) -> Running {
        Self::spawned(&mut self.command(args))
    }

    /// The same, with a folder as its PATH, and temporary files in this test's folder.
    pub fn spawn_on_path(&self, args: &[&str], path: &Path) -> Running {
        Self::spawned(self.command(args).env("PATH", path).env("TMPDIR", self.folder.path()))
    }

    fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(program());
        command.args(args).current_dir(self.folder.path()).envs(self.environment());
        command
    }

    /// Any program, in this test's folder, running on.
    pub fn spawn_command(&self, command: &mut std::process::Command) -> Running {
        Self::spawned(command.current_dir(self.folder.path()).envs(self.environment()))
    }

    fn spawned(command: &mut std::process::Command) -> Running {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(child.spawn().unwrap())
    }

    /// A shell script in a mount namespace of its own, in this test's folder; arguments follow.
    pub fn unshared(&self, script: &str) -> std::process::Command {
        let mut command = std::process::Command::new("unshare");
        command.args(["--mount", "sh", "-ec", script]);
        command.current_dir(self.folder.path()).envs(self.environment());
        command
    }

    /// The program, with nowhere for temporary files but the folder `disk` with so much room, and the
    /// names of the files that it leaves there in the file `left`. Skips the test, with `None`, if this
    /// user may not mount.
    pub fn on_small_disk(&self, size: &str) -> Option<std::process::Command> {
        std::fs::create_dir(self.path("disk")).unwrap();
        let probe = self.unshared("mount -t tmpfs tmpfs disk").output();
        if !probe.is_ok_and(|done| done.status.success()) {
            skip("a full disk: only root may mount one; run this test as root");
            return None;
        }
        let script = format!(
            r#"
            mount -t tmpfs -o size={size} tmpfs disk
            code=0
            TMPDIR=$PWD/disk "$@" || code=$?
            ls -A disk > left
            exit $code
            "#
        );
        let mut command = self.unshared(&script);
        command.arg("sh").arg(program());
        Some(command)
    }

    /// Processes of this test that are alive, and what they are.
    pub fn alive(&self) -> Vec<(i32, String)> {
        let is_mine = |process: &Process| {
            // One that is dead and not yet waited for has no environment.
            let environ = process.environ().ok()?;
            let tag = environ.get(OsStr::new(TAG))?;
            (tag == OsStr::new(&self.tag))
                .then_some((process.pid, process.cmdline().ok()?.join(" ")))
        };
        let all = all_processes().unwrap().flatten();
        all.filter_map(|process| is_mine(&process)).collect()
    }

    /// The process whose command line begins so, once there is one.
    pub fn find(&self, program: &str) -> Pid {
        let found = eventually(|| {
            let alive = self.alive();
            let found = alive.iter().find(|(_, line)| {
                line.split(' ').next().is_some_and(|first| first.ends_with(program))
            })?;
            Pid::from_raw(found.0)
        });
        found.unwrap_or_else(|| panic!("no {program} among {:?}", self.alive()))
    }

    /// Processes and listening sockets of this test that are left. The kernel gets a moment.
    pub fn leftovers(&self) -> Vec<String> {
        let gone = eventually(|| self.alive().is_empty().then_some(()));
        let processes = if gone.is_some() { Vec::new() } else { self.alive() };
        let listens = procfs::net::tcp().unwrap().into_iter().filter(|socket| {
            let listens = socket.state == procfs::net::TcpState::Listen;
            listens && socket.local_address.ip() == IpAddr::V4(self.ip)
        });
        let listens = listens.map(|socket| format!("{} still listens", socket.local_address));
        processes.into_iter().map(|(pid, line)| format!("{pid}: {line}")).chain(listens).collect()
    }

    /// Nothing is left.
    pub fn assert_nothing_left(&self) {
        assert_eq!(self.leftovers(), Vec::<String>::new());
    }

    /// The lines of a record.
    pub fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(RECORD)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Checks that a record is whole: every workload has the rounds of the plan, in order.
    pub fn assert_complete(&self) {
        let lines = self.lines();
        assert_eq!(lines.last().unwrap()["kind"], "footer", "{:?}", lines.last());
        assert_eq!(lines.last().unwrap()["ended"], "complete");
        let plan = &lines[0]["plan"];
        for workload in plan["workloads"].as_array().unwrap() {
            let rounds: Vec<_> = lines
                .iter()
                .filter(|line| line["kind"] == "round" && line["workload"] == workload["name"])
                .map(|line| line["round"].as_u64().unwrap())
                .collect();
            assert_eq!(rounds.len() as u64, plan["rounds"].as_u64().unwrap(), "{rounds:?}");
            assert!(rounds.is_sorted_by(|a, b| a < b), "{rounds:?}");
        }
    }

    /// Waits until the record has so many whole rounds.
    pub fn wait_for_rounds(&self, rounds: usize) {
        let path = self.path(RECORD);
        let enough = eventually(|| {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            (text.matches("\"kind\":\"round\"").count() >= rounds).then_some(())
        });
        assert!(enough.is_some(), "no {rounds} rounds in {}", path.display());
    }
}

/// The arguments of a short `rtswap run` into [`RECORD`], with `tokio-local` for reference. A budget
/// of a second is too short for any plan, so that the run ends early and is complete even so.
pub fn quick_run<'a>(budget: &'a str, workload: &'a str, lanes: &'a [String]) -> Vec<&'a str> {
    let mut args = vec!["run", "--quick", "--budget", budget, "--reference", "tokio-local"];
    args.extend(["--format", "json", "--workload", workload, "--out", RECORD]);
    for lane in lanes {
        args.extend(["--lane", lane]);
    }
    args
}

/// A program that was started.
pub struct Running(Child);

impl Running {
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    pub fn id(&self) -> i32 {
        self.0.id().cast_signed()
    }

    /// Its standard output, once.
    pub fn stdout(&mut self) -> std::process::ChildStdout {
        self.0.stdout.take().unwrap()
    }

    /// Waits for its end; returns how it ended and its standard error.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let mut stderr = self.0.stderr.take().unwrap();
        // In a thread, so that a full pipe cannot keep the process from ending.
        let reader = std::thread::spawn(move || std::io::read_to_string(&mut stderr).unwrap());
        let ended = eventually(|| self.0.try_wait().unwrap());
        let Some(status) = ended else { panic!("it does not end") };
        (status, reader.join().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The example lane.
pub fn own_lane() -> PathBuf {
    let examples = program().with_file_name("examples");
    let lane = examples.join("own_lane");
    assert!(lane.exists(), "{} is missing: run `cargo build --examples`", lane.display());
    lane
}

/// Waits for something that another process does: long, as the machine may be busy.
pub fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        match look() {
            None if Instant::now() < until => std::thread::sleep(Duration::from_millis(10)),
            found => return found,
        }
    }
}

/// What a command has printed on standard output, as JSON.
pub fn json(output: &[u8]) -> Value {
    serde_json::from_slice(output)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(output)))
}

/// The cell of a lane in a summary.
pub fn cell<'a>(summary: &'a Value, lane: &str) -> &'a Value {
    let cells = summary["cells"].as_array().unwrap();
    let found = cells.iter().find(|cell| cell["lane"] == lane);
    found.unwrap_or_else(|| panic!("no cell of {lane}: {summary:#}"))
}

/// Whether a line says that a lane is not built in, of a feature that is not in the default set.
pub fn is_built_on_request(line: &str) -> bool {
    line.contains("not built in: build rtswap with ")
        && ["may`", "ntex`", "tokio-unstable`"]
            .iter()
            .any(|feature| line.contains(&format!("`--features {feature}")))
}

/// One line that begins with the program's name, and no panic.
pub fn assert_one_line(stderr: &str) -> &str {
    assert!(!stderr.contains("panicked"), "{stderr}");
    let lines: Vec<_> = stderr.lines().collect();
    assert!(lines.len() == 1 && lines[0].starts_with("rtswap: "), "not one clear line: {stderr}");
    lines[0]
}
