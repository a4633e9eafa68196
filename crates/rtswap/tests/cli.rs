//! The output of the subcommands, and the streams that it goes to.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use predicates::prelude::*;
use predicates::str::{contains, is_empty};
use rtswap_report::format::rate;
use serde_json::Value;
use support::{
    Case, RECORD, assert_one_line, is_built_on_request, json, program, quick_run, rtswap,
};

const SUBCOMMANDS: &[&str] = &[
    "run",
    "gate",
    "bisect",
    "compare",
    "export",
    "lanes",
    "sweep",
    "overhead",
    "list",
    "verify",
    "summary",
    "report",
    "history",
    "serve",
    "origin",
    "completions",
    "peers",
];

/// One run for all tests that only read its output and its record.
struct Done {
    stdout: String,
    stderr: String,
    record: String,
}

static DONE: LazyLock<Done> = LazyLock::new(|| {
    let case = Case::new();
    let lanes = ["smol-local".to_owned(), case.own_lane("mine", "gives-up --after 0")];
    let mut args = quick_run("3s", "tcp-echo/size=1024/conns=2", &lanes);
    args.extend(["--workload", "spawn/tasks=1"]);
    let output = case.rtswap().args(args).output().unwrap();
    // One of its lanes fails.
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Done {
        stdout: text(output.stdout),
        stderr: text(output.stderr),
        record: fs::read_to_string(case.path(RECORD)).unwrap(),
    }
});

/// A folder with a copy of that run's record.
fn with_record() -> Case {
    let case = Case::new();
    fs::write(case.path(RECORD), &DONE.record).unwrap();
    case
}

#[test]
fn help_of_every_subcommand_has_example() {
    let help = rtswap().arg("--help").assert().success().stderr(is_empty());
    let text = String::from_utf8(help.get_output().stdout.clone()).unwrap();
    assert!(text.contains("Examples:\n") && text.contains("Exit codes:"), "{text}");
    for name in SUBCOMMANDS {
        assert!(text.contains(&format!("\n  {name} ")), "{name} is not in: {text}");
        let example = || contains("Examples:\n").and(contains(format!("  rtswap {name}")));
        for flag in ["-h", "--help"] {
            rtswap().args([name, flag]).assert().success().stdout(example());
        }
    }
    // Subcommands that are not in the list above.
    let listed = text.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    for name in listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")) {
        let name = name.split_whitespace().next().unwrap();
        if name != "help" {
            rtswap().args([name, "--help"]).assert().success().stdout(contains("Examples:\n"));
        }
    }
}

#[test]
fn missing_subcommand_prints_help_and_exits_2() {
    rtswap().assert().code(2).stdout(is_empty()).stderr(contains("Usage: rtswap <COMMAND>"));
    rtswap().arg("--version").assert().success().stdout(contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn completions_exist_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let expected = contains("rtswap").and(contains("budget")).and(contains("verify"));
        let done = rtswap().args(["completions", shell]).assert().success();
        done.stdout(expected).stderr(is_empty());
    }
}

#[test]
fn list_has_every_name_in_every_format() {
    let output = rtswap().args(["list", "--format", "json"]).unwrap();
    let listing = json(&output.stdout);
    let lanes = listing["lanes"].as_array().unwrap();
    let workloads = listing["workloads"].as_array().unwrap();
    assert!(lanes.iter().any(|lane| lane["name"] == "tokio" && lane["available"] == true));
    assert!(workloads.iter().any(|it| it["in_default"] == true && it["driven_by"] == "generator"));
    for format in ["table", "markdown"] {
        let text = rtswap().args(["list", "--format", format]).unwrap();
        let text = String::from_utf8(text.stdout).unwrap();
        for name in lanes.iter().chain(workloads).map(|it| it["name"].as_str().unwrap()) {
            assert!(text.contains(name), "{name} is not in the {format}");
        }
    }
}

#[test]
fn summary_has_documented_shape() {
    let summary = json(DONE.stdout.as_bytes());
    assert_eq!(summary["schema"], 3);
    assert_eq!(summary["reference"], "tokio-local");
    for field in ["rtswap", "command", "kernel", "cpu_model", "cpus", "started_unix_s"] {
        assert!(!summary["environment"][field].is_null(), "the environment has no {field}");
    }
    // Too few rounds on a busy machine have no interval, and are not pooled.
    if let Some(control) = summary["control"].get("ops_per_s") {
        assert_ratio_in_interval(control);
    }
    let cells = summary["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 2 * 4, "workloads by lanes, the reference and the control among them");
    for cell in cells {
        assert!(cell["params"].is_object() && cell["workload"].is_string(), "{cell:#}");
        let status = cell["status"].as_str().unwrap();
        let expected =
            if cell["lane"] == "mine" && cell["workload"] == "spawn" { "invalid" } else { "ok" };
        assert_eq!(status, expected, "{cell:#}");
        if status == "ok" {
            assert_measured(cell);
        } else {
            assert_eq!(cell["reason"], "task 7 is lost");
        }
    }
}

fn assert_ratio_in_interval(figure: &Value) {
    // On a busy machine there may be too few rounds for an interval with two ends.
    let [lo, hi] =
        [("lo", 0.0), ("hi", f64::MAX)].map(|(end, no)| figure[end].as_f64().unwrap_or(no));
    let ratio = figure["ratio"].as_f64().unwrap_or_else(|| panic!("no ratio: {figure}"));
    assert!(ratio > 0.0 && lo <= ratio && ratio <= hi, "{figure}");
}

fn assert_measured(cell: &Value) {
    assert!(cell["reason"].is_null());
    let one_of = |value: &Value, words: &[&str]| {
        assert!(words.contains(&value.as_str().unwrap_or("null")), "{value}: {cell:#}");
    };
    one_of(&cell["bound"], &["lane", "generator", "none"]);
    let metrics = cell["metrics"].as_object().unwrap();
    for name in ["ops_per_s", "cpu_ns_per_op"] {
        assert!(metrics[name]["value"].as_f64() > Some(0.0), "{name}: {cell:#}");
    }
    if cell["lane"] != "tokio-local" {
        for name in ["ops_per_s", "cpu_ns_per_op"] {
            one_of(&metrics[name]["verdict"], &["better", "worse", "equivalent", "undecided"]);
            assert_ratio_in_interval(&metrics[name]);
        }
    }
}

#[test]
fn results_go_to_stdout_and_warnings_to_stderr() {
    json(DONE.stdout.as_bytes());
    assert!(DONE.stderr.contains(RECORD), "{}", DONE.stderr);
    assert!(DONE.stderr.contains("warning: mine has lost spawn/tasks=1: task 7 is lost"));
}

#[test]
fn summary_of_record_equals_output_of_run() {
    let case = with_record();
    let summary = case.rtswap().args(["summary", RECORD, "--format", "json"]).unwrap();
    assert_eq!(String::from_utf8(summary.stdout).unwrap(), DONE.stdout);
}

/// What the contract costs comes from a record that compares lanes with their native lanes, and from no other.
#[test]
fn summary_takes_overhead_from_a_record_of_overhead_alone() {
    let case = with_record();
    let refused = case.rtswap().args(["summary", RECORD, "--overhead", RECORD]).assert().code(2);
    let stderr = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    let error = assert_one_line(&stderr);
    assert!(error.contains("is not a record of `rtswap overhead`"), "{error}");

    let results = concat!(env!("CARGO_MANIFEST_DIR"), "/../../results");
    let [run, overhead] = ["reference", "overhead"].map(|name| format!("{results}/{name}.jsonl"));
    let args = ["summary", &run, "--overhead", &overhead, "--format", "json"];
    let marked = case.rtswap().args(args).unwrap();
    let marked = json(&marked.stdout);
    let cells = marked["cells"].as_array().unwrap();
    let of = |lane: &str| cells.iter().find(|c| c["lane"] == lane && c["workload"] == "sleep");
    assert!(of("monoio").unwrap()["overhead"]["lo"].as_f64().unwrap() > 1.0);
    assert!(of("tokio").unwrap()["overhead"].is_null());
}

#[test]
fn summary_has_every_lane_figure_and_reason_in_text_formats() {
    let case = with_record();
    let summary = json(DONE.stdout.as_bytes());
    for format in ["table", "markdown"] {
        let output = case.rtswap().args(["summary", RECORD, "--format", format]).unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        for cell in summary["cells"].as_array().unwrap() {
            let value = cell["metrics"]["ops_per_s"]["value"].as_f64();
            // The control is summed up in a line of its own.
            let expected = match (cell["role"].as_str().unwrap(), value) {
                ("control", _) => "control".to_owned(),
                (_, Some(per_s)) => rate(per_s),
                (_, None) => cell["reason"].as_str().unwrap().to_owned(),
            };
            for part in [cell["lane"].as_str().unwrap(), &expected] {
                assert!(text.contains(part), "{part} is not in the {format}: {text}");
            }
        }
    }
}

#[test]
fn pipe_gets_no_escape_codes() {
    let case = with_record();
    let escapes = |text: &[u8]| text.contains(&0x1b);
    assert!(!escapes(DONE.stderr.as_bytes()) && !escapes(DONE.stdout.as_bytes()));
    for args in [&["summary", RECORD][..], &["list"], &["--help"], &["run", "--lane", "tokoi"]] {
        let output = case.rtswap().args(args).output().unwrap();
        assert!(!escapes(&output.stdout) && !escapes(&output.stderr), "{args:?} to a pipe");
    }
}

#[test]
fn doctor_self_test_measures_the_injected_delay() {
    let case = Case::new();
    let args = ["doctor", "--self-test", "--budget", "4s", "--delays", "4000", "--format", "json"];
    let output = case.rtswap().args(args).output().unwrap();
    // Whether so short a run detects it depends on the machine.
    assert!(matches!(output.status.code(), Some(0 | 4)), "{output:?}");
    let outcome = json(&output.stdout);
    let lane = &outcome["lanes"][0];
    let effect = 4000.0 / outcome["cpu_ns_per_op"].as_f64().unwrap();
    assert!((lane["effect"].as_f64().unwrap() - effect).abs() < 1e-9, "{outcome:#}");
    assert!(lane["ratio"].as_f64().unwrap() > outcome["control"]["ratio"].as_f64().unwrap());
    assert_eq!(outcome["passed"], output.status.success());
}

/// A workload that the lane drives itself, and one at a share of its capacity.
#[test]
fn doctor_self_test_measures_any_workload() {
    let case = Case::new();
    for workload in ["spawn/tasks=10", "http/conns=2/rate=10%"] {
        let args = ["doctor", "--self-test", "--budget", "8s", "--format", "json", "--workload"];
        let output = case.rtswap().args(args).arg(workload).output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 4)), "{output:?}");
        let outcome = json(&output.stdout);
        let expected = workload.split('/').next().unwrap();
        assert!(outcome["workload"].as_str().unwrap().starts_with(expected), "{outcome:#}");
        let effects: Vec<f64> = outcome["lanes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|lane| lane["effect"].as_f64().unwrap())
            .collect();
        assert!(0.0 < effects[0] && effects[0] < effects[1], "{outcome:#}");
    }
    let both = ["doctor", "--self-test", "--workload", "spawn", "--workload", "yield"];
    let output = case.rtswap().args(both).output().unwrap();
    let text = assert_one_line(std::str::from_utf8(&output.stderr).unwrap());
    assert!(output.status.code() == Some(2) && text.contains("measures one workload"), "{text}");
}

/// `script` runs a command on a terminal of its own.
#[test]
fn terminal_gets_colours_unless_no_color() {
    let case = with_record();
    let on_terminal = |no_color: bool| {
        let mut command = Command::new("script");
        let line = format!("{} summary {RECORD}", program().display());
        command.args(["-qec", &line, "/dev/null"]).current_dir(case.folder.path());
        command.stdin(Stdio::null()).env("TERM", "xterm").env_remove("NO_COLOR");
        if no_color {
            command.env("NO_COLOR", "1");
        }
        command.output()
    };
    let Ok(plain) = on_terminal(true) else {
        support::skip("NO_COLOR on a terminal: install script (util-linux)");
        return;
    };
    assert!(plain.status.success() && plain.stdout.len() > 100, "{plain:?}");
    let colours = |output: &[u8]| output.windows(2).any(|pair| pair == b"\x1b[");
    assert!(!colours(&plain.stdout), "{}", String::from_utf8_lossy(&plain.stdout));
    assert!(colours(&on_terminal(false).unwrap().stdout), "a terminal gets colours otherwise");
}

#[test]
fn report_updates_and_checks_document() {
    let case = with_record();
    let document = case.path("README.md");
    let around = "# Title\n\n<!-- BEGIN: summary -->\nold\n<!-- END: summary -->\n\nafter\n";
    fs::write(&document, around).unwrap();
    let report = ["report", "--splice", "README.md", RECORD];
    let check = [&report[..], &["--check"]].concat();

    let stale = case.rtswap().args(&check).assert().code(1).stdout(is_empty());
    let stderr = String::from_utf8(stale.get_output().stderr.clone()).unwrap();
    let error = assert_one_line(&stderr);
    assert!(error.contains("`rtswap report --splice README.md record.jsonl`"), "{error}");
    assert_eq!(fs::read_to_string(&document).unwrap(), around, "checking changes nothing");

    case.rtswap().args(report).assert().success();
    let spliced = fs::read_to_string(&document).unwrap();
    assert!(spliced.starts_with("# Title\n\n<!-- BEGIN: summary -->\n"));
    assert!(spliced.ends_with("<!-- END: summary -->\n\nafter\n"));
    assert!(spliced.contains("smol-local") && !spliced.contains("\nold\n"));
    case.rtswap().args(&check).assert().success().stderr(is_empty());
    case.rtswap().args(report).assert().success();
    assert_eq!(fs::read_to_string(&document).unwrap(), spliced, "the second time changes nothing");
}

#[test]
fn report_rejects_document_without_markers() {
    let case = with_record();
    let report = ["report", "--splice", "README.md", RECORD];
    let error = || {
        let done = case.rtswap().args(report).assert().code(1);
        let stderr = String::from_utf8(done.get_output().stderr.clone()).unwrap();
        assert_one_line(&stderr).to_owned()
    };
    assert!(error().contains("cannot read README.md"));
    for (text, expected) in [
        ("nothing here\n", "has no markers"),
        ("<!-- BEGIN: summary -->\n", "line 1: BEGIN: summary has no END"),
        ("<!-- BEGIN: nope -->\n<!-- END: nope -->\n", "known sections are"),
    ] {
        fs::write(case.path("README.md"), text).unwrap();
        assert!(error().contains(expected), "{expected}");
        assert_eq!(fs::read_to_string(case.path("README.md")).unwrap(), text);
    }
}

#[test]
fn closed_pipe_ends_output_quietly() {
    let case = with_record();
    for args in [
        &["list"][..],
        &["summary", RECORD, "--format", "json"],
        &["completions", "zsh"],
        &["--help"],
        &["verify", "--lane", "tokio-local", "--workload", "spawn/tasks=1"],
    ] {
        let mut command = Command::new(program());
        command.args(args).current_dir(case.folder.path());
        // Gone before the first byte.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let done = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&done.stderr), "", "{args:?}");
        assert!(done.status.success(), "{args:?}: {}", done.status);
    }
    // Gone after the first line, as `head -1` is.
    let mut child = Command::new(program()).arg("list").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("lane"), "{line}");
    assert!(child.wait().unwrap().success());
}

#[test]
fn verify_accepts_every_available_lane() {
    let case = Case::new();
    let args = ["verify", "--workload", "tcp-echo/conns=2", "--workload", "spawn/tasks=10"];
    let done = case.rtswap().args(args).assert().success().stderr(is_empty());
    let stdout = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    let listing = json(&rtswap().args(["list", "--format", "json"]).unwrap().stdout);
    for lane in listing["lanes"].as_array().unwrap() {
        let name = lane["name"].as_str().unwrap();
        let lines: Vec<_> =
            stdout.lines().filter(|line| line.split_whitespace().next() == Some(name)).collect();
        let does = |family: &str| {
            let families = lane["families"].as_array();
            families.is_none_or(|families| families.iter().any(|other| other == family))
        };
        let workloads = match lane["kind"].as_str().unwrap() {
            "peer" => 0,
            _ => usize::from(does("tcp-echo")) + usize::from(does("spawn")),
        };
        if lane.get("missing_feature").is_some() {
            assert!(lines.iter().all(|line| is_built_on_request(line)), "{name}: {stdout}");
            continue;
        }
        // Only io_uring may be missing on a machine.
        let available = lane["available"] == true;
        assert!(available || lane["driver"] == "io_uring" || workloads == 0, "{lane:#}");
        let expected = if available { "ok, " } else { "unsupported: " };
        assert!(lines.iter().all(|line| line.contains(expected)), "{name}: {stdout}");
    }
    case.assert_nothing_left();
}

#[test]
fn verify_accepts_every_available_lane_with_several_shards() {
    for shards in ["2", "4"] {
        let case = Case::new();
        let args = ["verify", "--shards", shards, "--workload", "tcp-echo/conns=6"];
        let more = ["--workload", "churn/conns=3", "--workload", "http/conns=6"];
        let done = case.rtswap().args(args).args(more).assert().success().stderr(is_empty());
        let stdout = String::from_utf8(done.get_output().stdout.clone()).unwrap();
        let of = |lane: &str| {
            let lines = stdout.lines().map(str::trim);
            let line = lines.into_iter().find(|line| line.split_whitespace().next() == Some(lane));
            line.unwrap_or_else(|| panic!("{lane}: {stdout}")).to_owned()
        };
        let workers = of("tokio");
        assert!(workers.contains(&format!("workers: {shards}, shards: 1")), "{workers}");
        for lane in
            ["tokio-local", "smol-local", "native-tokio-local", "poll-smol-local", "floor-epoll"]
        {
            let sharded = of(lane);
            let expected = format!("workers: {shards}, shards: {shards}");
            assert!(sharded.contains(&expected), "{sharded}");
        }
        case.assert_nothing_left();
    }
}

#[test]
fn verify_rejects_wrong_echo() {
    let case = Case::new();
    let wrong = case.own_lane("wrong", "wrong-byte");
    let args = ["verify", "--lane", &wrong, "--lane", "smol", "--workload", "tcp-echo"];
    let lines = contains("wrong  invalid: ").and(contains("smol   ok, "));
    case.rtswap().args(args).assert().code(1).stdout(lines);
    case.assert_nothing_left();
}

#[test]
fn run_warns_of_shared_cpu() {
    let case = Case::new();
    let mut command = case.quick_run("spawn/tasks=1", &["smol-local".to_owned()]);
    command.args(["--server-cpus", "0", "--load-cpus", "0"]);
    let warning = contains("share CPU 0").and(contains("remedy: give each CPUs of their own"));
    command.assert().success().stderr(warning);
}
