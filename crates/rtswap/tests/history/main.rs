//! `rtswap history`: entries in git notes and in a file, shared by several clones.

mod add;
mod faults;
mod notes;
mod show;
#[path = "../support/mod.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::LazyLock;

use assert_cmd::Command;
use serde_json::{Value, json};
use support::{Case, RECORD, assert_one_line, rtswap};

/// A bare repository with a branch of some commits, and clones of it.
struct Shared {
    case: Case,
    commits: Vec<String>,
}

/// Git in a folder, without the settings of this user and machine.
fn git(folder: &Path, args: &[&str]) -> String {
    let mut command = std::process::Command::new("git");
    isolate(|name, value| {
        command.env(name, value);
    });
    let output = command.args(args).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn isolate(mut set: impl FnMut(&str, &str)) {
    set("GIT_CONFIG_GLOBAL", "/dev/null");
    set("GIT_CONFIG_NOSYSTEM", "1");
    for role in ["AUTHOR", "COMMITTER"] {
        set(&format!("GIT_{role}_NAME"), "Test");
        set(&format!("GIT_{role}_EMAIL"), "test@example.org");
    }
}

impl Shared {
    /// `commits` commits, the first tagged `v1`.
    fn new(commits: usize) -> Self {
        let case = Case::new();
        let folder = case.folder.path();
        git(folder, &["init", "--quiet", "--bare", "--initial-branch=main", "origin.git"]);
        git(folder, &["clone", "--quiet", "origin.git", "first"]);
        let first = folder.join("first");
        git(&first, &["checkout", "--quiet", "-B", "main"]);
        for number in 0..commits {
            git(&first, &["commit", "--quiet", "--allow-empty", "-m", &format!("commit {number}")]);
            if number == 0 {
                git(&first, &["tag", "v1"]);
            }
        }
        git(&first, &["push", "--quiet", "--tags", "origin", "main"]);
        let commits = git(&first, &["rev-list", "--reverse", "HEAD"]);
        Self { case, commits: commits.lines().map(str::to_owned).collect() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.case.path(name)
    }

    /// A further clone.
    fn clone_as(&self, name: &str) -> PathBuf {
        git(self.case.folder.path(), &["clone", "--quiet", "origin.git", name]);
        self.path(name)
    }

    /// `rtswap history` in a clone.
    fn history(&self, clone: &str, args: &[&str]) -> Command {
        let mut command = rtswap();
        isolate(|name, value| {
            command.env(name, value);
        });
        command.current_dir(self.path(clone)).arg("history").args(args);
        command
    }

    fn ok(&self, clone: &str, args: &[&str]) -> Output {
        self.history(clone, args).assert().success().get_output().clone()
    }

    /// One line of standard error, of a command that fails.
    fn error(&self, clone: &str, args: &[&str], code: i32) -> String {
        let output = self.history(clone, args).assert().code(code).get_output().clone();
        assert_one_line(&String::from_utf8(output.stderr).unwrap()).to_owned()
    }

    /// Writes entries of commits into the notes of a clone, with plain git.
    fn write_notes(&self, clone: &str, entries: &[(usize, f64)]) {
        for (number, ratio) in entries {
            let line = entry(&self.commits, *number, *ratio).to_string();
            let args = ["notes", "--ref", "rtswap", "add", "--force", "-m", &line];
            git(&self.path(clone), &[&args[..], &[&self.commits[*number]]].concat());
        }
    }

    /// The ratios in the notes of a clone, by the number of the commit.
    fn ratios(&self, clone: &str) -> Vec<(usize, f64)> {
        let output = self.ok(clone, &["show", "--format", "json"]);
        let history: Value = serde_json::from_slice(&output.stdout).unwrap();
        let points = history["series"][0]["points"].as_array().unwrap();
        let number = |point: &Value| self.commits.iter().position(|it| point["commit"] == **it);
        points
            .iter()
            .map(|point| (number(point).unwrap(), point["ratio"]["ratio"].as_f64().unwrap()))
            .collect()
    }
}

/// An entry of a commit against the first one.
fn entry(commits: &[String], number: usize, ratio: f64) -> Value {
    let figure = json!({
        "ratio": ratio, "lo": ratio * 0.992, "hi": ratio * 1.008, "se_log": 0.004,
        "control": null, "verdict": "undecided", "cause": "not_significant",
    });
    json!({
        "schema": 1, "commit": commits[number], "commit_unix_s": 1_769_000_000 + number,
        "anchor": { "name": "v1", "commit": commits[0] },
        "workload": "spawn/tasks=1", "lane": "head", "status": "ok", "reason": null,
        "deciding": "cpu_ns_per_op", "metrics": { "cpu_ns_per_op": figure }, "rounds": 20,
        "machine": "Test CPU, 2 CPUs, Linux 6.8", "rtswap": "0.1.0", "measured_unix_s": 1_769_000_100,
        "head_sha256": null, "anchor_sha256": null, "record_sha256": "00",
    })
}

/// A record with the lanes `base`, `control` and `head`, in the test's folder. It is measured once, for a second.
fn record(case: &Case) -> PathBuf {
    static MEASURED: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let case = Case::new();
        let lane = format!("{} lane tokio-local", support::program().display());
        let (base, head) = (format!("base={lane}"), format!("head={lane}"));
        let args = ["run", "--quick", "--budget", "1s", "--workload", "spawn/tasks=1"];
        let lanes = ["--reference", &base, "--lane", &head, "--out", RECORD];
        case.rtswap().args(args).args(lanes).assert().success();
        fs::read(case.path(RECORD)).unwrap()
    });
    fs::write(case.path(RECORD), &*MEASURED).unwrap();
    case.path(RECORD)
}
