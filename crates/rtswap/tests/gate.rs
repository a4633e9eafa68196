//! Gates on real processes: outcomes, exit codes, revisions and what goes wrong.
#![cfg(feature = "tokio")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::{Case, RECORD, assert_one_line, json, program};

/// Stands for cargo: builds `main.sh` of the checkout, and fails where that says so.
const CARGO: &str = r#"#!/bin/sh
set -e
case $1 in
metadata)
    printf '{"packages":[{"id":"p","manifest_path":"%s/Cargo.toml","targets":[{"name":"lane","kind":["bin"]}]}]}\n' "$PWD"
    ;;
build)
    if grep -q BROKEN main.sh; then
        echo 'error[E0432]: unresolved import `x`' >&2
        echo 'error: could not compile `p` due to 1 previous error' >&2
        exit 101
    fi
    while [ $# -gt 0 ]; do [ "$1" = --target-dir ] && target=$2; shift; done
    mkdir -p "$target"
    cp main.sh "$target/lane"
    chmod +x "$target/lane"
    printf '{"reason":"compiler-artifact","target":{"name":"lane"},"executable":"%s/lane"}\n' "$target"
    ;;
esac
"#;

/// A repository whose program is a lane, in a case with a cargo and a cache of its own.
struct Repository {
    case: Case,
    path: String,
}

impl Repository {
    fn new() -> Self {
        let case = Case::new();
        let programs = case.path("programs");
        fs::create_dir(&programs).unwrap();
        install(&programs.join("cargo"), CARGO);
        install(&programs.join("rustc"), "#!/bin/sh\necho 'rustc 1.95.0 (fake)'\n");
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", programs.display());
        let repository = Self { case, path };
        repository.git(&["init", "--quiet", "--initial-branch=main", "."]);
        fs::write(repository.case.path("Cargo.toml"), "").unwrap();
        fs::write(repository.case.path(".gitignore"), "programs\ncache\n*.jsonl\n").unwrap();
        repository.commit("tokio-local", "");
        repository
    }

    /// Commits a program that is that lane.
    fn commit(&self, lane: &str, comment: &str) {
        let script =
            format!("#!/bin/sh\n# {comment}\nexec \"{}\" lane {lane}\n", program().display());
        fs::write(self.case.path("main.sh"), script).unwrap();
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", lane]);
    }

    fn git(&self, args: &[&str]) {
        let done = Command::new("git")
            .current_dir(self.case.path("."))
            .args(["-c", "user.name=a", "-c", "user.email=a@example.org"])
            .args(args)
            .output()
            .unwrap();
        assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn gate(&self, args: &[&str]) -> Done {
        let mut command = self.case.rtswap();
        command.env("PATH", &self.path).env("RTSWAP_CACHE", self.case.path("cache"));
        Done::of(command.arg("gate").args(args))
    }
}

fn install(path: &Path, script: &str) {
    fs::write(path, script).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Done {
    fn of(command: &mut assert_cmd::Command) -> Self {
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// The report of a gate that ended with `code`.
    fn report(&self, code: i32) -> Value {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        json(self.stdout.as_bytes())
    }

    /// The one line of an error, without lines that only say what is under way.
    fn error(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        let mut lines = self.stderr.lines().filter(|line| !line.starts_with("Building "));
        let last = lines.next_back().unwrap_or_default();
        assert_one_line(last)
    }
}

fn gate(case: &Case, args: &[&str]) -> Done {
    Done::of(case.rtswap().arg("gate").args(args))
}

/// A regression that a few rounds find.
const SLOW: &str = "tokio-local?delay_ns=100000";

fn slow<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let gate = ["--base", "tokio-local", "--head", SLOW, "--workload", "tcp-echo/size=64/conns=2"];
    gate.into_iter().chain(["--out", RECORD]).chain(more.iter().copied()).collect()
}

#[test]
fn regression_is_called_recorded_and_reported_again() {
    let measured = || {
        let case = Case::new();
        let done = gate(&case, &slow(&["--format", "json", "--budget", "6s"]));
        // On a busy machine there may be too few rounds to call anything.
        let rounds = case.lines().iter().filter(|line| line["kind"] == "round").count();
        (rounds >= 6).then_some((case, done))
    };
    let (case, done) = (0..5).find_map(|_| measured()).expect("a machine that is less busy");
    let report = done.report(3);
    assert_eq!(report["outcome"], "regression");
    assert_eq!(report["rows"][0]["judgement"]["outcome"], "regression");
    let header = &case.lines()[0];
    let lanes: Vec<_> =
        header["plan"]["lanes"].as_array().unwrap().iter().map(|it| it["name"].clone()).collect();
    assert_eq!(lanes, ["base", "head", "control"]);
    assert_eq!(header["plan"]["gate"]["head"]["asked"], SLOW);
    assert!(report["environment"]["cpus"].as_u64().unwrap() > 0);
    // Counted in every round, unlike in a run.
    let rounds: Vec<_> = case.lines().into_iter().filter(|it| it["kind"] == "round").collect();
    assert!(rounds.len() > 3);
    for round in &rounds {
        let counts = round["lanes"]["head"].get("counts");
        assert!(counts.or(round["lanes"]["head"].get("counts_missing")).is_some(), "{round}");
    }
    let again = gate(&case, &["--from", RECORD, "--format", "json"]);
    assert_eq!(again.report(3), report);

    let summary = case.path("summary.md");
    let mut command = case.rtswap();
    command.env("GITHUB_STEP_SUMMARY", &summary).arg("gate");
    command.args(["--from", RECORD, "--format", "github", "--comment", "comment.md"]);
    let done = Done::of(&mut command);
    assert_eq!(done.code, Some(3), "{}", done.stderr);
    assert!(done.stdout.starts_with("::error title=rtswap gate::regression: "), "{}", done.stdout);
    let comment = fs::read_to_string(case.path("comment.md")).unwrap();
    assert!(comment.starts_with("### rtswap gate\n\n**regression: "), "{comment}");
    assert_eq!(fs::read_to_string(summary).unwrap(), comment);
    case.assert_nothing_left();
}

#[test]
fn accepted_change_of_the_file_is_the_limit() {
    let case = Case::new();
    let accept =
        "[[gate.accept]]\nworkload = 'tcp-echo'\nup-to = '99%'\nsince = 'v2'\nwhy = 'a test'\n";
    fs::write(case.path("rtswap.toml"), accept).unwrap();
    let done = gate(&case, &slow(&["--format", "json", "--budget", "1s"]));
    let report = json(done.stdout.as_bytes());
    assert_eq!(report["rows"][0]["accepted"]["why"], "a test");
    assert_eq!(report["rows"][0]["judgement"]["limit"], 0.99);
}

#[test]
fn identical_code_passes_without_measuring() {
    let case = Case::new();
    let report = gate(&case, &["--base", "smol", "--head", "smol", "--format", "json"]).report(0);
    assert_eq!((&report["identical"], &report["outcome"]), (&true.into(), &"pass".into()));
    assert!(!case.path("rtswap-records").exists());
    // A copy at another path, with the same arguments.
    let copy = case.path("copy");
    fs::copy(program(), &copy).unwrap();
    let run = ["--run", "{exe} lane smol", "--workload", "spawn", "--format", "json"];
    let paths = [program().to_str().unwrap(), "./copy"];
    let sides = ["--base", paths[0], "--head", paths[1]];
    let report = gate(&case, &[&sides[..], &run].concat()).report(0);
    assert_eq!(report["identical"], true);
    let hashes = ["base", "head"].map(|side| report["plan"][side]["code_sha256"].clone());
    assert!(hashes[0].is_string());
    assert_eq!(hashes[0], hashes[1]);
}

#[test]
fn gate_that_shows_nothing_is_inconclusive() {
    let case = Case::new();
    // Too few rounds, whatever they are.
    let args = ["--base", "tokio-local", "--head", "smol-local", "--workload", "spawn/tasks=1"];
    let short = ["--budget", "10ms", "--tolerance", "0.01%", "--out", RECORD, "--format", "json"];
    let done = gate(&case, &[&args[..], &short].concat());
    // It may be a regression on its merits, but no pass.
    assert!([Some(3), Some(4)].contains(&done.code), "{}\n{}", done.stdout, done.stderr);
    // The same record with one round is inconclusive for sure.
    let lines = fs::read_to_string(case.path(RECORD)).unwrap();
    let end = lines.find("{\"kind\":\"round\"").unwrap();
    let first = &lines[..=end + lines[end..].find('\n').unwrap()];
    fs::write(case.path("one.jsonl"), first).unwrap();
    let report = gate(&case, &["--from", "one.jsonl", "--format", "json"]).report(4);
    assert_eq!(report["outcome"], "inconclusive");
    let passing = first.replacen("\"pass_inconclusive\":false", "\"pass_inconclusive\":true", 1);
    fs::write(case.path("passing.jsonl"), passing).unwrap();
    gate(&case, &["--from", "passing.jsonl", "--format", "json"]).report(0);
}

#[test]
fn revisions_are_built_and_compared() {
    let repository = Repository::new();
    repository.git(&["checkout", "--quiet", "-b", "same"]);
    repository.git(&["commit", "--quiet", "--allow-empty", "--message", "nothing"]);
    let json = ["--workload", "spawn/tasks=1", "--budget", "1s", "--format", "json"];
    // HEAD against the main branch.
    let report = repository.gate(&json).report(0);
    assert_eq!(report["identical"], true);
    assert_eq!(report["plan"]["head"]["asked"], "HEAD");
    assert_eq!(report["plan"]["head"]["commit"].as_str().unwrap().len(), 40);
    assert!(report["plan"]["base"]["build_ms"].is_u64());

    repository.commit("'tokio-local' # slower", "");
    let report = repository.gate(&json);
    assert!(report.code.is_some_and(|code| [0, 3, 4].contains(&code)), "{}", report.stderr);
    let report = support::json(report.stdout.as_bytes());
    assert_eq!(report["identical"], false);
    assert!(report["plan"]["base"]["build_ms"].is_null(), "it was in the cache");
    let lanes = fs::read_dir(repository.case.path("rtswap-records")).unwrap();
    let record: PathBuf = lanes.map(|it| it.unwrap().path()).next().unwrap();
    let header = fs::read_to_string(record).unwrap();
    let header: Value = serde_json::from_str(header.lines().next().unwrap()).unwrap();
    let specs = ["base", "head"].map(|side| {
        let lanes = header["plan"]["lanes"].as_array().unwrap();
        let lane = lanes.iter().find(|lane| lane["name"] == side).unwrap();
        lane["spec"].as_str().unwrap().to_owned()
    });
    assert_eq!(specs[0].len(), specs[1].len(), "paths of equal length");
    let worktrees = Command::new("git")
        .current_dir(repository.case.path("."))
        .args(["worktree", "list"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(worktrees.stdout).unwrap().lines().count(), 1);
    repository.case.assert_nothing_left();
}

#[test]
fn revision_that_does_not_build_is_one_line() {
    let repository = Repository::new();
    repository.git(&["checkout", "--quiet", "-b", "broken"]);
    repository.commit("tokio-local", "BROKEN");
    let done = repository.gate(&["--workload", "spawn/tasks=1"]);
    let error = done.error(1);
    assert!(error.contains("does not build: cargo failed"), "{error}");
    assert!(error.contains("unresolved import `x`"), "{error}");
    // `git bisect run` skips such a commit, and stops where no commit is to blame.
    let bisect = ["--bisect", "--workload", "spawn/tasks=1"];
    assert_eq!(repository.gate(&bisect).code, Some(125));
    let nonsense = ["--base", "nonsense"];
    assert_eq!(repository.gate(&[&bisect[..], &nonsense].concat()).code, Some(128));
}

#[test]
fn bad_input_is_one_line() {
    let repository = Repository::new();
    let workload = ["--workload", "spawn/tasks=1"];
    let error = |args: &[&str], code: i32| {
        repository.gate(&[args, &workload].concat()).error(code).to_owned()
    };
    let neither = error(&["--base", "nonsense", "--head", "main"], 2);
    assert!(neither.contains(
        "--base: `nonsense` is no lane (`rtswap list`) and no file, and there is no revision"
    ));
    fs::write(repository.case.path("file"), "").unwrap();
    let file = error(&["--base", "./file", "--head", "smol"], 2);
    assert!(file.contains("file is not executable"), "{file}");
    let run = error(&["--base", "smol", "--head", "smol", "--run", "server"], 2);
    assert!(run.contains("it lacks {exe}"), "{run}");
    fs::write(repository.case.path("rtswap.toml"), "[gate]\nworkload = 'x'\n").unwrap();
    let config = error(&["--base", "smol", "--head", "smol"], 2);
    assert!(config.contains("invalid rtswap.toml: line 2: unknown field `workload`"), "{config}");
    fs::remove_file(repository.case.path("rtswap.toml")).unwrap();
    let own = repository.gate(&["--base", "mine=true", "--head", "smol"]);
    assert!(own.error(2).contains("name the workloads of your program"), "{}", own.stderr);

    let outside = Case::new();
    let none = gate(&outside, &[]);
    assert!(none.error(2).contains("is in no git repository"), "{}", none.stderr);
    fs::write(outside.path("lines.jsonl"), "{}\n").unwrap();
    assert_eq!(gate(&outside, &["--from", "lines.jsonl"]).code, Some(1));
}

#[test]
fn record_of_a_run_is_no_gate() {
    let case = Case::new();
    let mut run = case.rtswap();
    run.args(["run", "--quick", "--budget", "1s", "--workload", "spawn/tasks=1"]);
    run.args(["--lane", "tokio-local", "--reference", "tokio-local", "--out", RECORD]);
    assert!(run.output().unwrap().status.success());
    let done = gate(&case, &["--from", RECORD]);
    assert!(done.error(2).contains("is not the record of a gate"), "{}", done.stderr);
}

/// A lane that counts to a number for each operation of `spawn`.
const COUNTING: &str = r#"#!/usr/bin/env python3
import json, sys, time
for line in sys.stdin:
    order = json.loads(line)
    if order["order"] == "prepare":
        info = {"runtime": "x", "version": "1", "driver": "none", "workers": 1}
        print(json.dumps({"answer": "ready", "info": info}), flush=True)
    elif order["order"] == "slice":
        begin, ops = time.perf_counter_ns(), 0
        while time.perf_counter_ns() - begin < order["ms"] * 1e6:
            for _ in range(COUNT): pass
            ops += 1
        print(json.dumps({"answer": "slice", "ops": ops, "elapsed_ns": time.perf_counter_ns() - begin}), flush=True)
    else:
        sys.exit(0)
"#;

#[test]
fn bisect_finds_the_first_slow_commit_and_leaves_out_one_that_does_not_build() {
    let repository = Repository::new();
    let commit = |count: u32, comment: &str| {
        let script = COUNTING.replace("COUNT", &count.to_string()) + "# " + comment + "\n";
        fs::write(repository.case.path("main.sh"), script).unwrap();
        repository.git(&["commit", "--quiet", "--all", "--allow-empty", "--message", "x"]);
        let head = Command::new("git")
            .current_dir(repository.case.path("."))
            .args(["rev-parse", "--short=10", "HEAD"])
            .output()
            .unwrap();
        String::from_utf8(head.stdout).unwrap().trim().to_owned()
    };
    let commits: Vec<String> = [
        commit(1000, "1"),
        commit(1000, "2"),
        commit(1000, "BROKEN"),
        commit(3000, "4"),
        commit(3000, "5"),
        commit(3000, "6"),
    ]
    .into();
    let bisect = |good: &str, bad: &str, budget: &str| {
        let mut command = repository.case.rtswap();
        command.env("PATH", &repository.path).env("RTSWAP_CACHE", repository.case.path("cache"));
        command.args(["bisect", "--good", good, "--bad", bad, "--workload", "spawn/tasks=1"]);
        Done::of(command.args(["--budget", budget, "--at-once", "2", "--format", "json"]))
    };
    // On a busy machine, rounds take longer, and few of them decide nothing.
    let budgets = ["4s", "8s", "16s", "32s"].into_iter();
    let mut searches = budgets.map(|budget| bisect(&commits[0], &commits[5], budget));
    let is_decided = |done: &Done| {
        let report: Option<Value> = serde_json::from_str(&done.stdout).ok();
        report.is_some_and(|it| {
            it["versions"][1]["side"] == "good" && it["versions"][3]["side"] == "bad"
        })
    };
    let report = searches.find(is_decided).expect("a machine that is less busy").report(4);
    // What lies between is the commit that does not build.
    assert_eq!(report["versions"][1]["side"], "good", "{report:#}");
    assert_eq!(report["versions"][2]["side"], "unknown");
    assert_eq!(report["versions"][3]["side"], "bad");
    let reason = report["versions"][2]["reason"].as_str().unwrap();
    assert!(reason.contains("does not build: cargo failed"), "{reason}");

    let report = bisect(&commits[3], &commits[5], "1s");
    let error = report.error(4);
    assert!(error.contains("was not shown to be worse than"), "{error}");
    let wrong = bisect(&commits[5], &commits[0], "1s");
    assert!(wrong.error(2).contains("is no ancestor of"), "{}", wrong.stderr);
    let unknown = bisect("nonsense", "main", "1s");
    assert!(unknown.error(2).contains("there is no revision `nonsense`"), "{}", unknown.stderr);
    repository.case.assert_nothing_left();
}
