//! Versions as lanes, with a script in place of cargo: building, measuring, listing, and what goes wrong.
#![cfg(feature = "tokio")]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use predicates::prelude::*;
use predicates::str::contains;
use rustix::process::Signal;
use support::{Case, RECORD, assert_one_line, cell, eventually, json, program};

/// A case with a fake cargo and a cache of its own.
struct Build {
    case: Case,
    path: String,
}

impl Build {
    fn new() -> Self {
        let case = Case::new();
        let programs = case.path("programs");
        fs::create_dir(&programs).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lanes/cargo.sh");
        install(&programs.join("cargo"), &fs::read_to_string(script).unwrap());
        install(
            &programs.join("rustc"),
            "#!/bin/sh\ncase $1 in +*) echo \"error: toolchain '${1#+}' is not installed\" >&2; exit 1;; esac\n\
             echo 'rustc 1.95.0 (fake)'\n",
        );
        let path = format!("{}:/usr/bin:/bin", programs.display());
        Self { case, path }
    }

    fn environment(&self, fake: &str) -> Vec<(&'static str, String)> {
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        vec![
            ("PATH", self.path.clone()),
            ("RTSWAP_CACHE", text(self.case.path("cache"))),
            ("FAKE", fake.to_owned()),
            ("FAKE_LOG", text(self.case.path("log"))),
            ("FAKE_LANE", text(program().to_owned())),
        ]
    }

    /// The program, with a cargo that fails like `fake`.
    fn rtswap(&self, fake: &str) -> assert_cmd::Command {
        let mut command = self.case.rtswap();
        command.envs(self.environment(fake)).env_remove("CARGO_NET_OFFLINE");
        command
    }

    fn spawn(&self, fake: &str, args: &[&str]) -> support::Running {
        let mut command = std::process::Command::new(program());
        command.args(args).envs(self.environment(fake));
        self.case.spawn_command(&mut command)
    }

    /// How often cargo was run with that subcommand.
    fn count(&self, subcommand: &str) -> usize {
        let log = fs::read_to_string(self.case.path("log")).unwrap_or_default();
        log.lines().filter(|line| line.split(' ').next() == Some(subcommand)).count()
    }

    /// The one line of an error, without lines that only say what is under way.
    fn error(&self, fake: &str, code: i32, args: &[&str]) -> String {
        let output = self.rtswap(fake).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        let text = stderr(&output);
        let lines: Vec<_> = text.lines().filter(|it| !it.starts_with("Building ")).collect();
        assert_one_line(&lines.join("\n")).to_owned()
    }
}

fn install(path: &Path, script: &str) {
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A short run of these lanes, with `tokio-local` for reference.
fn run<'a>(lanes: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["run", "--quick", "--budget", "1s", "--reference", "tokio-local"];
    args.extend(["--format", "json", "--workload", "spawn/tasks=1", "--out", RECORD]);
    args.extend(lanes.iter().flat_map(|lane| ["--lane", lane]));
    args
}

#[test]
fn run_builds_versions_measures_them_and_records_what_they_are() {
    let build = Build::new();
    let lanes = ["tokio-local@1.50.0", "tokio@1.51.0?delay_ns=100"];
    let done = build.rtswap("").args(run(&lanes)).assert().success();
    let summary = json(&done.get_output().stdout);
    for lane in lanes {
        assert_eq!(cell(&summary, lane)["status"], "ok", "{summary:#}");
    }
    assert_eq!(build.count("build"), 2);
    let plan = build.case.lines()[0]["plan"]["lanes"].clone();
    assert!(plan[0].get("built").is_none(), "the reference ships");
    let built = &plan[1]["built"];
    assert_eq!((&built["package"], &built["version"]), (&"tokio".into(), &"1.50.0".into()));
    assert_eq!(
        (&built["adapter"], &built["adapter_source"]),
        (&"rtswap-tokio".into(), &"checkout".into())
    );
    assert_eq!(built["rustc"], "rustc 1.95.0 (fake)");
    assert_eq!(built["executable_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(built["changes"][0]["name"], "tokio");
    assert_eq!(built["changes"][0]["new"], "1.50.0");
    assert_ne!(built["executable_sha256"], plan[2]["built"]["executable_sha256"]);
    // The other variant of the same version is the same executable.
    fs::remove_file(build.case.path(RECORD)).unwrap();
    build.rtswap("").args(run(&["tokio@1.50.0"])).assert().success();
    assert_eq!(build.count("build"), 2, "it was in the cache");
    build.case.assert_nothing_left();
}

#[test]
fn failed_build_is_the_failure_of_its_lane() {
    let build = Build::new();
    let lanes = ["tokio@1.99.0", "tokio@1.98.0", "tokio@1.50.0"];
    let done = build.rtswap("").args(run(&lanes)).assert().code(1);
    let summary = json(&done.get_output().stdout);
    let reason = |lane| cell(&summary, lane)["reason"].as_str().unwrap().to_owned();
    let expected = "it cannot be built: there is no tokio 1.99.0; there are 1.54.1, 1.53.3, ...";
    assert_eq!(
        (&cell(&summary, lanes[0])["status"], reason(lanes[0]).as_str()),
        (&"failed".into(), expected)
    );
    let compiler = reason(lanes[1]);
    assert!(
        compiler.contains("error[E0432]: unresolved import `tokio::x` | error: could not"),
        "{compiler}"
    );
    assert_eq!(cell(&summary, lanes[2])["status"], "ok");
    let text = stderr(done.get_output());
    assert!(
        text.contains("warning: tokio@1.99.0 cannot be built: there is no tokio 1.99.0"),
        "{text}"
    );
    assert!(
        text.contains("named lanes without a result: tokio@1.99.0 on spawn/tasks=1 (failed)"),
        "{text}"
    );
    build.case.assert_nothing_left();
}

/// What is recorded of a lane that was verified and measured.
fn built_from(build: &Build, lane: &str) -> serde_json::Value {
    let _ = fs::remove_file(build.case.path(RECORD));
    build.rtswap("").args(run(&[lane])).assert().success();
    build.case.lines()[0]["plan"]["lanes"][1]["built"].clone()
}

#[test]
fn run_builds_revisions_and_records_their_commit() {
    let build = Build::new();
    let commit = "0123456789abcdef0123456789abcdef01234567";
    // A commit, and a branch, which cargo needs to know as one.
    for revision in [commit, "main"] {
        let lane = format!("tokio-local@git:https://example.org/tokio#{revision}");
        let built = built_from(&build, &lane);
        assert_eq!(built["version"], "1.50.1");
        assert_eq!(built["source"], format!("git:https://example.org/tokio#{commit}"));
        let change = &built["changes"][0];
        assert_eq!(change["new"], "1.50.1 (012345678)", "{built:#}");
    }
    let lane = "tokio-local@git:nowhere";
    let error = build.error("", 1, &["lanes", "build", lane]);
    let url = "https://github.com/tokio-rs/tokio";
    assert!(error.ends_with(&format!("no commit, tag or branch `nowhere` in {url}")), "{error}");
}

#[test]
fn run_builds_folder_anew_once_its_content_changes() {
    let build = Build::new();
    let folder = build.case.path("work space");
    fs::create_dir_all(folder.join("tokio")).unwrap();
    fs::write(folder.join("Cargo.toml"), "").unwrap();
    fs::write(folder.join("tokio/Cargo.toml"), "").unwrap();
    let lane = "tokio-local@path:work%20space";
    let first = built_from(&build, lane);
    assert_eq!(
        (&first["source"], &first["version"]),
        (&"path:work space".into(), &"1.50.1".into())
    );
    let folder_name = build.case.folder.path().to_str().unwrap();
    assert!(!first.to_string().contains(folder_name), "no path of the user: {first:#}");
    assert_eq!(built_from(&build, lane), first);
    assert_eq!(build.count("build"), 1);
    fs::write(folder.join("tokio/lib.rs"), "changed").unwrap();
    assert_ne!(built_from(&build, lane)["source_sha256"], first["source_sha256"]);
    assert_eq!(build.count("build"), 2);
}

#[test]
fn verify_and_sweep_build_versions() {
    let build = Build::new();
    let verify = ["verify", "--lane", "tokio-local@1.50.0", "--workload", "spawn/tasks=1"];
    build.rtswap("").args(verify).assert().success().stdout(contains("tokio-local@1.50.0  ok, "));
    let sweep =
        ["sweep", "--lane", "tokio-local@1.50.0", "--reference", "tokio-local", "--workload"];
    let over =
        ["spawn", "--over", "tasks=1,2", "--budget", "1s", "--out", RECORD, "--allow-missing"];
    build.rtswap("").args(sweep).args(over).assert().success();
    assert_eq!(build.count("build"), 1);
}

#[test]
fn serve_builds_the_version_and_ends_with_ctrl_c() {
    let build = Build::new();
    let mut server =
        build.spawn("", &["serve", "--lane", "tokio-local@1.50.0", "--addr", "127.0.0.1:0"]);
    let mut line = String::new();
    BufReader::new(server.stdout()).read_line(&mut line).unwrap();
    assert!(line.starts_with("tokio-local@1.50.0 serves tcp-echo"), "{line}");
    let addr = line.split_whitespace().last().unwrap();
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.write_all(b"hello").unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hello");
    server.signal(Signal::INT);
    assert_eq!(server.wait().0.code(), Some(130));
    build.case.assert_nothing_left();
}

#[test]
fn lanes_are_built_listed_and_removed() {
    let build = Build::new();
    let lanes = |args: &[&str]| {
        let done = build.rtswap("").arg("lanes").args(args).assert().success();
        String::from_utf8(done.get_output().stdout.clone()).unwrap()
    };
    build
        .rtswap("")
        .args(["lanes", "list"])
        .assert()
        .success()
        .stderr(contains("no lanes are built"));
    assert_eq!(lanes(&["list", "--format", "json"]), "[]\n");
    assert!(lanes(&["clean", "--all"]).starts_with("nothing to remove in "));
    let built = lanes(&["build", "tokio-local@1.50.0", "tokio@1.51.0"]);
    let paths: Vec<_> = built.lines().map(|it| it.split_whitespace().last().unwrap()).collect();
    assert!(built.starts_with("tokio-local@1.50.0  tokio 1.50.0  /"), "{built}");
    assert_eq!(paths[0].len(), paths[1].len(), "two paths are equally long");
    assert!(paths.iter().all(|path| Path::new(path).with_file_name("Cargo.lock").exists()));
    let listed = json(lanes(&["list", "--format", "json"]).as_bytes());
    assert_eq!(
        (&listed[0]["spec"], &listed[0]["version"]),
        (&"tokio@1.50.0".into(), &"1.50.0".into())
    );
    assert_eq!(listed[0]["path"], paths[0]);
    assert!(listed[0]["bytes"].as_u64().unwrap() > 0 && listed[0]["age_s"].is_u64());
    assert!(lanes(&["list"]).contains("tokio@1.51.0  tokio 1.51.0"), "{}", lanes(&["list"]));
    let removed = lanes(&["clean", "tokio-local@1.50.0", "smol@2.0.0"]);
    assert!(removed.starts_with("removed tokio-local@1.50.0: "), "{removed}");
    assert!(removed.ends_with("smol@2.0.0 is not built\n"), "{removed}");
    assert!(!Path::new(paths[0]).exists() && Path::new(paths[1]).exists());
    assert!(lanes(&["clean", "--all"]).contains(" freed"));
    assert!(!Path::new(paths[1]).exists());
}

#[test]
fn errors_of_a_build_are_one_line_with_the_remedy() {
    let build = Build::new();
    let error = |fake, spec| build.error(fake, 1, &["lanes", "build", spec]);
    let there_is_none = error("", "tokio@1.99.0");
    assert!(
        there_is_none.ends_with("there is no tokio 1.99.0; there are 1.54.1, 1.53.3, ..."),
        "{there_is_none}"
    );
    assert!(
        error("no-network", "tokio@1.50.0")
            .contains("cannot reach the registry or the repository; check the")
    );
    assert!(
        error("compiler", "tokio@1.50.0").contains("cargo failed (exit status: 101): error[E0432]")
    );
    assert!(
        error("full", "tokio@1.50.0")
            .contains("no space left to build in; `rtswap lanes clean --all`")
    );
    let other = error("ignore", "tokio@0.3.0");
    assert!(
        other.contains("rtswap-tokio does not accept tokio 0.3.0: it would be built with tokio 1."),
        "{other}"
    );
    let mut offline = build.rtswap("offline");
    offline.env("CARGO_NET_OFFLINE", "true").args(["lanes", "build", "tokio@1.50.0"]);
    offline
        .assert()
        .code(1)
        .stderr(contains("cargo is offline").and(contains("unset CARGO_NET_OFFLINE")));
    // Nothing of it counts as built.
    build.rtswap("").args(["lanes", "list", "--format", "json"]).assert().stdout("[]\n");
    // One that fails keeps no other from being built.
    let both = ["lanes", "build", "tokio@1.99.0", "tokio@1.50.0"];
    build.rtswap("").args(both).assert().code(1).stdout(contains("tokio@1.50.0  tokio 1.50.0"));
}

#[test]
fn missing_cargo_ends_the_command_with_the_remedy() {
    let build = Build::new();
    for args in [vec!["lanes", "build", "tokio@1.50.0"], run(&["tokio@1.50.0"])] {
        let mut command = build.rtswap("");
        let output = command.env("PATH", build.case.path("nothing")).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let text = stderr(&output);
        assert!(assert_one_line(&text).contains("install Rust: https://rustup.rs"), "{text}");
    }
    assert!(!build.case.path(RECORD).exists());
}

#[test]
fn wrong_specs_are_usage_errors() {
    let build = Build::new();
    let error = |spec| build.error("", 2, &["lanes", "build", spec]);
    assert!(error("floor-epoll@1.0.0").contains("`floor-epoll` has no versions"));
    assert!(error("native-tokio@1.0.0").contains("`native-tokio` has no versions"));
    assert!(error("uvloop@1.0.0").contains("`uvloop` has no versions"));
    assert!(error("tokoi@1.50.0").contains("did you mean `tokio`?"));
    assert!(error("tokio@1.50").contains("expected 1.50.0, git:REV, git:URL#REV or path:FOLDER"));
    assert!(error("tokio").contains("expected NAME@VERSION, as tokio@1.50.0"));
    assert!(error("mine=tokio@1.50.0").contains("expected NAME@VERSION"));
    assert!(error("tokio@path:nowhere").contains("nowhere has no crate `tokio`: No such file"));
    assert!(error("tokio@path:.").contains(". has no crate `tokio`: there is no Cargo.toml"));
    fs::create_dir(build.case.path("other")).unwrap();
    fs::write(build.case.path("other/Cargo.toml"), "").unwrap();
    assert!(error("tokio@path:other").contains("other has no crate `tokio`: it has other"));
    let toolchain = error("tokio@1.50.0?toolchain=1.94");
    assert!(
        toolchain.contains("there is no toolchain `1.94` (`rustup toolchain list`"),
        "{toolchain}"
    );
    assert!(toolchain.ends_with("error: toolchain '1.94' is not installed"), "{toolchain}");
    let mut checkout = build.rtswap("");
    checkout.env("RTSWAP_SOURCE", "other").args(["lanes", "build", "tokio@1.50.0"]);
    checkout.assert().code(2).stderr(contains("other, which is no checkout of rtswap"));
    assert_eq!((build.count("update"), build.count("build")), (0, 0));
}

#[test]
fn cache_that_cannot_be_written_is_named_with_the_remedy() {
    let build = Build::new();
    fs::write(build.case.path("file"), "").unwrap();
    let args = ["lanes", "build", "tokio@1.50.0"];
    let mut command = build.rtswap("");
    let output = command.env("RTSWAP_CACHE", "file").args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(
        assert_one_line(&text).contains("set RTSWAP_CACHE to a folder that you may write to"),
        "{text}"
    );
    let mut homeless = build.rtswap("");
    homeless.env_remove("RTSWAP_CACHE").env_remove("HOME").env_remove("XDG_CACHE_HOME");
    homeless.args(args).assert().code(1).stderr(contains("HOME is not set; set RTSWAP_CACHE"));
    let shared = build.case.path("shared");
    fs::create_dir_all(shared.join("lanes")).unwrap();
    fs::set_permissions(shared.join("lanes"), fs::Permissions::from_mode(0o777)).unwrap();
    let mut command = build.rtswap("");
    command.env("RTSWAP_CACHE", &shared).args(args);
    command.assert().code(1).stderr(contains("others than you may write to"));
}

#[test]
fn full_disk_is_named_and_leaves_no_lane() {
    let build = Build::new();
    let Some(mut command) = build.case.on_small_disk("64k") else { return };
    command.args(["lanes", "build", "tokio@1.50.0"]).envs(build.environment(""));
    let output = command.env("RTSWAP_CACHE", build.case.path("disk")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(
        text.contains("make room, or set RTSWAP_CACHE") && text.contains("No space left"),
        "{text}"
    );
}

#[test]
fn interrupted_build_leaves_no_lane_and_no_process() {
    let build = Build::new();
    let running = build.spawn("slow", &["lanes", "build", "tokio@1.50.0"]);
    assert!(eventually(|| (build.count("build") == 1).then_some(())).is_some());
    running.signal(Signal::INT);
    let (status, text) = running.wait();
    assert_eq!(status.code(), Some(130));
    assert!(
        text.ends_with("rtswap: interrupted; `rtswap lanes list` shows what is built\n"),
        "{text}"
    );
    build.case.assert_nothing_left();
    build.rtswap("").args(["lanes", "list", "--format", "json"]).assert().stdout("[]\n");
    build.rtswap("").args(["lanes", "build", "tokio@1.50.0"]).assert().success();
}

#[test]
fn two_builds_at_once_build_a_version_once() {
    let build = Build::new();
    let args = ["lanes", "build", "tokio@1.50.0"];
    let first = build.spawn("slowly", &args);
    assert!(eventually(|| (build.count("build") == 1).then_some(())).is_some());
    let second = build.spawn("slowly", &args);
    let (status, text) = second.wait();
    assert!(status.success() && text.contains("waiting for another rtswap"), "{text}");
    assert!(first.wait().0.success());
    assert_eq!(build.count("build"), 1);
}

#[test]
fn resume_builds_the_lane_again_and_refuses_another_executable() {
    let build = Build::new();
    build.rtswap("").args(run(&["tokio-local@1.50.0"])).assert().success();
    let resume = ["run", "--resume", RECORD];
    build.rtswap("").args(resume).assert().success();
    assert_eq!(build.count("build"), 1);
    build.rtswap("").args(["lanes", "clean", "--all"]).assert().success();
    build.rtswap("").args(resume).assert().success();
    assert_eq!(build.count("build"), 2);
    build.rtswap("").args(["lanes", "clean", "--all"]).assert().success();
    let mut other = build.rtswap("");
    let output = other.env("FAKE_SALT", "another").args(resume).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.contains("SHA-256 of the lane tokio-local@1.50.0: "), "{text}");
}
