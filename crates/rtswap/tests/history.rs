//! `rtswap history`: entries in git notes and in a file, shared by several clones.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
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

#[test]
fn add_keeps_record_once_and_show_prints_it() {
    let shared = Shared::new(3);
    let record = record(&shared.case);
    let record = record.to_str().unwrap();
    let done = shared.ok("first", &["add", record, "--anchor", "v1"]);
    let head = &shared.commits[2][..10];
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert_eq!(
        stderr,
        format!("kept 1 cell of {head} in refs/notes/rtswap; `rtswap history push` shares them\n")
    );
    let again = shared.ok("first", &["add", record, "--anchor", "v1"]);
    let stderr = String::from_utf8(again.stderr).unwrap();
    assert!(stderr.starts_with("all of this is in refs/notes/rtswap already"), "{stderr}");

    let note = git(&shared.path("first"), &["notes", "--ref", "rtswap", "show", "HEAD"]);
    let [line] = note.lines().collect::<Vec<_>>()[..] else { panic!("{note}") };
    let entry: Value = serde_json::from_str(line).unwrap();
    assert_eq!(entry["anchor"], json!({ "name": "v1", "commit": shared.commits[0] }));
    assert_eq!((&entry["lane"], &entry["status"]), (&json!("head"), &json!("ok")));
    // Both are this executable.
    assert_eq!(entry["head_sha256"].as_str().map(str::len), Some(64));
    assert_eq!(entry["head_sha256"], entry["anchor_sha256"]);
    assert_eq!(entry["record_sha256"].as_str().map(str::len), Some(64));

    let text = String::from_utf8(shared.ok("first", &[]).stdout).unwrap();
    assert!(text.contains("spawn/tasks=1, head: CPU time per operation"), "{text}");
    assert!(text.contains(head) && text.contains("No change point in"), "{text}");
}

#[test]
fn add_to_file_appends_and_removes_duplicates() {
    let shared = Shared::new(3);
    let record = record(&shared.case);
    let add = |commit: &str| {
        let record = record.to_str().unwrap();
        let args = ["add", record, "--anchor", "v1", "--commit", commit, "--file", "history.jsonl"];
        shared.ok("first", &args);
        fs::read_to_string(shared.path("first/history.jsonl")).unwrap()
    };
    let one = add("HEAD~1");
    assert_eq!(one.lines().count(), 1);
    // A last line without its end must not swallow the next one.
    fs::write(shared.path("first/history.jsonl"), one.trim_end()).unwrap();
    let two = add("HEAD");
    assert!(two.starts_with(&one) && two.lines().count() == 2 && two.ends_with('\n'), "{two}");
    assert_eq!(add("HEAD"), two);
    let left: Vec<_> = fs::read_dir(shared.path("first")).unwrap().flatten().collect();
    assert_eq!(left.len(), 2, "{left:?}");
    // Readable as any other file, whatever the temporary one was.
    let mode = fs::metadata(shared.path("first/history.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o444, 0o444);
    // Shown outside of a repository, too.
    fs::copy(shared.path("first/history.jsonl"), shared.path("copy.jsonl")).unwrap();
    let shown = shared.history(".", &["show", "--file", "copy.jsonl"]).assert().success();
    let text = String::from_utf8(shown.get_output().stdout.clone()).unwrap();
    assert!(text.contains(&shared.commits[1][..10]), "{text}");
}

#[test]
fn file_keeps_what_many_add_at_once() {
    let shared = Shared::new(2);
    let record = record(&shared.case);
    let record = record.to_str().unwrap();
    std::thread::scope(|scope| {
        for number in 0..6 {
            let shared = &shared;
            scope.spawn(move || {
                let anchor = format!("v1.{number}");
                let args = ["--anchor-commit", "v1", "--file", "history.jsonl"];
                shared.ok("first", &[&["add", record, "--anchor", &anchor], &args[..]].concat());
            });
        }
    });
    let text = fs::read_to_string(shared.path("first/history.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 6, "{text}");
}

#[test]
fn notes_keep_what_many_add_at_once() {
    let shared = Shared::new(2);
    let record = record(&shared.case);
    let record = record.to_str().unwrap();
    std::thread::scope(|scope| {
        for number in 0..6 {
            let shared = &shared;
            scope.spawn(move || {
                let anchor = format!("v1.{number}");
                let args = ["add", record, "--anchor", &anchor, "--anchor-commit", "v1"];
                shared.ok("first", &args);
            });
        }
    });
    let note = git(&shared.path("first"), &["notes", "--ref", "rtswap", "show", "HEAD"]);
    assert_eq!(note.lines().count(), 6, "{note}");
}

#[test]
fn push_at_the_same_time_loses_nothing() {
    let shared = Shared::new(9);
    let clones = ["a", "b", "c", "d"];
    for (at, clone) in clones.iter().enumerate() {
        shared.clone_as(clone);
        // One commit that is its own, and one that all have measured.
        shared
            .write_notes(clone, &[(at + 1, 1.0 + at as f64 / 100.0), (8, 1.1 + at as f64 / 100.0)]);
    }
    std::thread::scope(|scope| {
        for clone in clones {
            let shared = &shared;
            scope.spawn(move || shared.ok(clone, &["push"]));
        }
    });
    shared.clone_as("reader");
    shared.ok("reader", &["fetch"]);
    let ratios = shared.ratios("reader");
    assert_eq!(ratios[..4], [(1, 1.0), (2, 1.01), (3, 1.02), (4, 1.03)]);
    let note =
        git(&shared.path("reader"), &["notes", "--ref", "rtswap", "show", &shared.commits[8]]);
    assert_eq!(note.lines().filter(|line| !line.is_empty()).count(), 4, "{note}");
}

/// A hook that runs before a push has been sent, and after rtswap has fetched.
fn before_push(clone: &Path, script: &str) {
    let hook = clone.join(".git/hooks/pre-push");
    fs::write(&hook, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(hook, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn push_merges_what_came_between_fetch_and_push() {
    let shared = Shared::new(4);
    let (first, second) = (shared.path("first"), shared.clone_as("second"));
    shared.write_notes("first", &[(1, 1.0)]);
    shared.write_notes("second", &[(2, 1.01)]);
    let script = format!(
        "[ -e {0}/done ] || {{ touch {0}/done; git -C {1} push --quiet origin refs/notes/rtswap; }}",
        shared.case.folder.path().display(),
        second.display()
    );
    before_push(&first, &script);
    shared.ok("first", &["push"]);
    assert!(shared.path("done").exists());
    shared.ok("second", &["fetch"]);
    assert_eq!(shared.ratios("second"), [(1, 1.0), (2, 1.01)]);
}

#[test]
fn push_gives_up_in_the_end_and_keeps_entries() {
    let shared = Shared::new(4);
    let (first, second) = (shared.path("first"), shared.clone_as("second"));
    shared.write_notes("first", &[(1, 1.0)]);
    shared.write_notes("second", &[(2, 1.01)]);
    // Another push is always faster.
    let script = format!(
        "date +%N > {0}/file; cd {0}; git notes --ref rtswap append -m \"$(date +%s%N)\" HEAD; \
         git push --quiet origin refs/notes/rtswap",
        second.display()
    );
    before_push(&first, &script);
    let error = shared.error("first", &["push"], 1);
    // "[rejected] (fetch first)" or, where the two meet, "[remote rejected] (failed to update ref)".
    assert!(error.contains("`origin` refused refs/notes/rtswap 10 times, at last: [re"), "{error}");
    assert!(error.contains("run `rtswap history push` again"), "{error}");
    fs::remove_file(first.join(".git/hooks/pre-push")).unwrap();
    shared.ok("first", &["push"]);
    // The lines of the hook are no entries.
    shared.ok("second", &["fetch"]);
    assert_eq!(shared.ratios("second"), [(1, 1.0), (2, 1.01)]);
}

#[test]
fn push_reports_hook_of_remote_at_once() {
    let shared = Shared::new(2);
    shared.write_notes("first", &[(1, 1.0)]);
    let hook = shared.path("origin.git/hooks/pre-receive");
    fs::write(&hook, "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(hook, fs::Permissions::from_mode(0o755)).unwrap();
    let error = shared.error("first", &["push"], 1);
    assert!(error.contains("`origin` does not accept refs/notes/rtswap: "), "{error}");
    assert!(error.contains("pre-receive hook declined"), "{error}");
}

#[test]
fn fetch_keeps_entries_that_are_not_pushed_yet() {
    let shared = Shared::new(4);
    shared.clone_as("second");
    shared.write_notes("first", &[(1, 1.0)]);
    shared.ok("first", &["push"]);
    shared.write_notes("second", &[(1, 1.04), (2, 1.01)]);
    shared.ok("second", &["fetch"]);
    let note =
        git(&shared.path("second"), &["notes", "--ref", "rtswap", "show", &shared.commits[1]]);
    assert_eq!(note.lines().filter(|line| !line.is_empty()).count(), 2, "{note}");
    assert_eq!(shared.ratios("second").len(), 2);
    // Of a clone without its own, a fetch brings those of others.
    shared.clone_as("third");
    let done = shared.ok("third", &["fetch"]);
    assert_eq!(String::from_utf8(done.stderr).unwrap(), "merged refs/notes/rtswap of origin\n");
    assert_eq!(shared.ratios("third"), [(1, 1.0)]);
}

#[test]
fn git_without_identity_adds_and_merges() {
    let shared = Shared::new(3);
    shared.write_notes("first", &[(1, 1.0)]);
    shared.ok("first", &["push"]);
    shared.clone_as("second");
    shared.write_notes("second", &[(2, 1.0)]);
    git(&shared.path("second"), &["config", "user.useConfigOnly", "true"]);
    let mut push = shared.history("second", &["push"]);
    for role in ["AUTHOR", "COMMITTER"] {
        push.env_remove(format!("GIT_{role}_NAME")).env_remove(format!("GIT_{role}_EMAIL"));
    }
    push.assert().success();
    let author = git(&shared.path("second"), &["log", "-1", "--format=%an", "refs/notes/rtswap"]);
    assert_eq!(author, "rtswap");
}

#[test]
fn show_names_damaged_lines_and_shows_the_rest() {
    let shared = Shared::new(4);
    let good = |number| entry(&shared.commits, number, 1.0).to_string();
    let later = good(3).replace("\"schema\":1", "\"schema\":9");
    let text = format!("{}\nnonsense\n{}\n{later}\n", good(1), good(2));
    fs::write(shared.path("first/history.jsonl"), text).unwrap();
    let done = shared.ok("first", &["--file", "history.jsonl"]);
    let (stdout, stderr) =
        (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap());
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{stderr}");
    assert!(
        lines[0].starts_with("warning: history.jsonl, line 2 is damaged and left out: expected"),
        "{stderr}"
    );
    assert!(lines[1].contains("line 4") && lines[1].contains("schema 9"), "{stderr}");
    for number in [1, 2] {
        assert!(stdout.contains(&shared.commits[number][..10]), "{stdout}");
    }

    // The same in a note, and adding keeps the damaged line.
    let first = shared.path("first");
    shared.write_notes("first", &[(1, 1.0)]);
    let args = ["notes", "--ref", "rtswap", "append", "-m", "{\"schema\":1", &shared.commits[1]];
    git(&first, &args);
    let done = shared.ok("first", &[]);
    let stderr = String::from_utf8(done.stderr).unwrap();
    let place = format!("refs/notes/rtswap, note of {}, line 3", shared.commits[1]);
    assert!(stderr.contains(&place) && stderr.lines().count() == 1, "{stderr}");
    let record = record(&shared.case);
    let record = record.to_str().unwrap();
    shared.ok("first", &["add", record, "--anchor", "v1", "--commit", &shared.commits[1]]);
    let note = git(&first, &["notes", "--ref", "rtswap", "show", &shared.commits[1]]);
    assert!(
        note.lines().any(|line| line == "{\"schema\":1") && note.lines().count() == 3,
        "{note}"
    );
}

#[test]
fn show_finds_change_point_and_plots_it() {
    let shared = Shared::new(24);
    let wiggle = [0.001, -0.002, 0.0, 0.002];
    let ratio = |at: usize| wiggle[at % 4] + if at >= 14 { 1.05 } else { 1.0 };
    let line = |at| entry(&shared.commits, at, ratio(at)).to_string();
    let all: Vec<String> = (1..24).map(line).collect();
    fs::write(shared.path("first/history.jsonl"), all.join("\n")).unwrap();
    let args = ["--file", "history.jsonl", "--plot", "history.svg", "--workload", "spawn"];
    let text = String::from_utf8(shared.ok("first", &args).stdout).unwrap();
    let [before, after] = [13, 14].map(|at: usize| &shared.commits[at][..10]);
    let command = format!("rtswap gate --base {before} --head {after} --workload spawn/tasks=1");
    assert!(text.contains("worse: +5.") && text.contains(&command), "{text}");
    let plot = fs::read_to_string(shared.path("first/history.svg")).unwrap();
    assert!(plot.starts_with("<svg") && plot.contains("+5."), "{plot}");
    let json = shared.ok("first", &["show", "--file", "history.jsonl", "--format", "json"]);
    let json: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["series"][0]["changes"][0]["after"], *shared.commits[14]);
    // A branch that ends before shows less, and says so.
    let args = ["--file", "history.jsonl", "--branch", "HEAD~12"];
    let done = shared.ok("first", &args);
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert!(
        stderr.starts_with("note: 12 commits with entries not shown, because HEAD~12"),
        "{stderr}"
    );
}

#[test]
fn shallow_clone_is_shown_by_time_with_remedy() {
    let shared = Shared::new(5);
    shared.write_notes("first", &[(1, 1.0), (2, 1.0), (3, 1.0), (4, 1.0)]);
    shared.ok("first", &["push"]);
    let origin = format!("file://{}", shared.path("origin.git").display());
    let folder = shared.case.folder.path();
    git(folder, &["clone", "--quiet", "--depth", "1", "--no-tags", &origin, "shallow"]);
    let error = shared.error("shallow", &[], 1);
    assert!(error.contains("no history in refs/notes/rtswap: `rtswap history fetch`"), "{error}");
    shared.ok("shallow", &["fetch"]);
    let done = shared.ok("shallow", &[]);
    let stderr = String::from_utf8(done.stderr).unwrap();
    assert!(stderr.starts_with("warning: commits are ordered by their time\n"), "{stderr}");
    assert!(stderr.contains("fetch-depth: 0"), "{stderr}");
    assert_eq!(shared.ratios("shallow").len(), 4);
    let record = record(&shared.case);
    let record = record.to_str().unwrap();
    let error = shared.error("shallow", &["add", record, "--anchor", "x", "--commit", "v1"], 2);
    assert!(
        error.contains("`v1` is no commit of this repository: this clone is shallow"),
        "{error}"
    );
}

#[test]
fn bad_input_is_one_clear_line() {
    let shared = Shared::new(2);
    let path = record(&shared.case);
    let record = path.to_str().unwrap();
    let cases: &[(&str, &[&str], i32, &str)] = &[
        (".", &[], 1, "this folder is not in a git repository"),
        (".", &["add", record, "--anchor", "v1"], 1, "this folder is not in a git repository"),
        (".", &["push"], 1, "this folder is not in a git repository"),
        ("first", &[], 1, "there is no history in refs/notes/rtswap: `rtswap history fetch`"),
        ("first", &["push"], 1, "there is nothing to push in refs/notes/rtswap"),
        ("first", &["show", "--file", "none.jsonl"], 1, "there is no history in none.jsonl"),
        (
            "first",
            &["fetch", "--remote", "nowhere"],
            1,
            "cannot fetch refs/notes/rtswap from `nowhere`: 'nowhere' does not appear",
        ),
        (
            "first",
            &["add", record, "--anchor", "v1", "--commit", "gone"],
            2,
            "`gone` is no commit of this repository: `git fetch`",
        ),
        ("first", &["add", record, "--anchor", "v1", "--commit", "a..b"], 2, "`a..b` is no commit"),
        (
            "first",
            &["add", record, "--anchor", "v1", "--anchor-commit", "gone"],
            2,
            "`gone` is no commit",
        ),
        (
            "first",
            &["add", record, "--anchor", "v1", "--anchor-lane", "old"],
            2,
            "compares with `base` and not with the anchor `old`",
        ),
        ("first", &["add", "gone.jsonl", "--anchor", "v1"], 1, "gone.jsonl"),
        (
            "first",
            &["add", record, "--anchor", "v1", "--file", "/proc/history.jsonl"],
            1,
            "cannot write /proc/history.jsonl",
        ),
        (
            "first",
            &["add", record, "--anchor", "v1", "--file", "no/folder.jsonl"],
            1,
            "cannot write no/folder.jsonl",
        ),
    ];
    for (folder, args, code, expected) in cases {
        let error = shared.error(folder, args, *code);
        assert!(error.contains(expected), "{args:?}: {error}");
    }
    // A record whose reference has another name.
    let text = fs::read_to_string(&path).unwrap();
    let other = shared.path("other.jsonl");
    fs::write(&other, text.replace("\"base", "\"tokio")).unwrap();
    let other = other.to_str().unwrap();
    let error = shared.error("first", &["add", other, "--anchor", "v1"], 2);
    assert!(error.contains("compares with `tokio` and not with the anchor `v1`"), "{error}");
    assert!(error.contains("--anchor-lane tokio"), "{error}");
    shared.ok("first", &["add", other, "--anchor", "v1", "--anchor-lane", "tokio"]);

    // An anchor of another repository.
    let args = ["add", record, "--anchor", "tokio@1.50.0", "--file", "history.jsonl"];
    let stderr = String::from_utf8(shared.ok("first", &args).stderr).unwrap();
    let [kept, warning, remedy] = stderr.lines().collect::<Vec<_>>()[..] else {
        panic!("{stderr}")
    };
    assert!(kept.starts_with("kept 1 cell"), "{stderr}");
    assert!(warning.starts_with("warning: `tokio@1.50.0` is no revision here"), "{stderr}");
    assert!(remedy.starts_with("  remedy: fetch its tag"), "{stderr}");

    let error = shared.error("first", &["--workload", "http"], 1);
    assert!(error.contains("it has spawn/tasks=1 on head"), "{error}");
    let error = shared.error("first", &["--metric", "p99_ns"], 1);
    assert!(error.contains("no figures of that metric"), "{error}");
    // The remote repository is gone: what is here stays.
    fs::remove_dir_all(shared.path("origin.git")).unwrap();
    let error = shared.error("first", &["push"], 1);
    assert!(error.contains("cannot fetch refs/notes/rtswap from `origin`"), "{error}");
    assert_eq!(shared.ratios("first").len(), 1);
    // Options that do not exist.
    for args in [&["--metric", "speed"][..], &["--notes", "refs/heads/main"], &["--workload", "["]]
    {
        shared.history("first", args).assert().code(2);
    }
}

#[test]
fn missing_git_is_named() {
    let shared = Shared::new(1);
    let output = shared.history("first", &["push"]).env("PATH", "/nowhere").assert().code(1);
    let stderr = String::from_utf8(output.get_output().stderr.clone()).unwrap();
    let error = assert_one_line(&stderr);
    assert!(error.contains("cannot start git") && error.contains("install git"), "{error}");
    // A file needs no git to be shown.
    fs::write(shared.path("h.jsonl"), entry(&shared.commits, 0, 1.0).to_string()).unwrap();
    shared.history(".", &["--file", "h.jsonl"]).env("PATH", "/nowhere").assert().success();
}

#[test]
fn full_disk_leaves_file_as_it_was() {
    let shared = Shared::new(2);
    let record = record(&shared.case);
    // Whether this user may mount one. The file has to be on it before rtswap starts, so the script is another.
    if shared.case.on_small_disk("64k").is_none() {
        return;
    }
    // A history of 48 KiB leaves no room for a second one.
    let line = format!("{}\n", entry(&shared.commits, 1, 1.0));
    let old = line.repeat(48 * 1024 / line.len());
    fs::write(shared.path("old"), &old).unwrap();
    let script = r#"
        mount -t tmpfs -o size=64k tmpfs disk
        cp old disk/history.jsonl
        code=0
        cd first
        "$0" history add "$1" --anchor v1 --file ../disk/history.jsonl || code=$?
        cmp ../old ../disk/history.jsonl
        test "$(ls -A ../disk)" = history.jsonl
        exit $code
        "#;
    let mut command = shared.case.unshared(script);
    isolate(|name, value| {
        command.env(name, value);
    });
    let output = command.arg(support::program()).arg(&record).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let error = assert_one_line(&stderr);
    assert!(error.contains("cannot write ../disk/history.jsonl: No space left"), "{error}");
}
