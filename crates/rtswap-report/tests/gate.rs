//! The report of a gate, on simulated runs.

mod common;

use std::collections::BTreeMap;

use common::{ECHO, Run, echo, lane, own, run};
use rtswap_report::{GateReport, Metric, Style, gate_markdown, gate_table, github};
use rtswap_schema::record::{Accepted, GatePlan, Record, Side, Status};
use rtswap_stats::{Doubt, Outcome};

fn gate_plan() -> GatePlan {
    let side = |asked: &str, commit: Option<&str>| Side {
        asked: asked.to_owned(),
        commit: commit.map(str::to_owned),
        ..Side::default()
    };
    GatePlan {
        tolerance: 0.02,
        strict: false,
        pass_inconclusive: false,
        accepted: BTreeMap::new(),
        base: side("main", Some("0123456789abcdef0123456789abcdef01234567")),
        head: side("./new", None),
    }
}

fn record(run: &Run, plan: GatePlan) -> Record {
    let mut record = run.record();
    record.header.plan.gate = Some(plan);
    record
}

/// Head at a cost, against base, in two workloads.
fn measured(cost: f64) -> Run {
    let workloads = vec![echo(), own("spawn/tasks=1000", "task", "one task spawned and joined")];
    Run { workloads, rounds: 24, ..run(vec![lane("base", 1.0), lane("head", cost)]) }
}

fn report(cost: f64) -> GateReport {
    GateReport::of(&record(&measured(cost), gate_plan())).unwrap()
}

fn table(report: &GateReport) -> String {
    gate_table(report, &Style { unicode: true, ..Style::default() })
}

#[test]
fn gate_of_equal_sides_passes() {
    let report = report(1.0);
    assert_eq!(report.outcome, Some(Outcome::Pass));
    assert_eq!(report.rows.len(), 4, "two workloads in two metrics");
    let text = table(&report);
    assert!(
        text.contains(
            "pass: ./new is not worse than main (0123456789) by more than 2 % in any of 2 workloads"
        ),
        "{text}"
    );
}

#[test]
fn gate_of_worse_head_is_a_regression() {
    let report = report(1.1);
    assert_eq!(report.outcome, Some(Outcome::Regression));
    let regressions: Vec<_> = report.with(Outcome::Regression).collect();
    assert_eq!(regressions.len(), 2);
    assert!(regressions.iter().all(|row| row.metric == Metric::CpuNsPerOp));
    let text = table(&report);
    assert!(
        text.contains("regression: ./new is worse than main (0123456789) in 2 workloads"),
        "{text}"
    );
    assert!(text.contains(&format!("{ECHO}: CPU time per operation changed by +10 % [")), "{text}");
}

#[test]
fn gate_of_better_head_passes_and_says_so() {
    let report = report(0.9);
    assert_eq!(report.outcome, Some(Outcome::Pass));
    let text = table(&report);
    let better = format!("{ECHO}: better, CPU time per operation changed by -");
    assert!(text.contains(&better) && text.contains("pass, better"), "{text}");
}

#[test]
fn gate_with_few_rounds_is_inconclusive_and_says_what_would_help() {
    let run = Run { rounds: 7, blocks: 2, ..measured(1.0) };
    let report = GateReport::of(&record(&run, gate_plan())).unwrap();
    assert_eq!(report.outcome, Some(Outcome::Inconclusive));
    let text = table(&report);
    assert!(text.contains("may have been missed; about"), "{text}");
    assert!(text.contains("more would decide"), "{text}");
}

#[test]
fn gate_counts_regression_in_system_calls_alone() {
    let mut run = measured(1.0);
    run.lanes[1] = run.lanes[1].clone().calls(2.2, 0.05);
    let report = GateReport::of(&record(&run, gate_plan())).unwrap();
    assert_eq!(report.outcome, Some(Outcome::Regression));
    let text = table(&report);
    assert!(text.contains("system calls per operation changed by +10 % [+10, +10]"), "{text}");
    assert!(
        report
            .rows
            .iter()
            .all(|row| row.decides() != (row.judgement.outcome == Outcome::Regression))
    );
}

#[test]
fn gate_without_counts_says_why_and_decides() {
    let mut run = measured(1.0);
    for lane in run.lanes.iter_mut().chain(&mut run.control) {
        lane.counts_missing = Some("perf is forbidden".to_owned());
    }
    let report = GateReport::of(&record(&run, gate_plan())).unwrap();
    assert_eq!(report.outcome, Some(Outcome::Pass));
    assert!(table(&report).contains("system calls were not counted: perf is forbidden"));
}

#[test]
fn gate_measures_accepted_change_against_its_limit() {
    let accepted = Accepted {
        up_to: 0.15,
        since: "2026-11-01".to_owned(),
        why: "it checks every message".to_owned(),
    };
    let mut accepted = BTreeMap::from([(ECHO.to_owned(), accepted)]);
    let plan = GatePlan { accepted: accepted.clone(), ..gate_plan() };
    let report = GateReport::of(&record(&measured(1.1), plan)).unwrap();
    let worse: Vec<_> = report.with(Outcome::Regression).map(|row| row.workload.as_str()).collect();
    assert_eq!(worse, ["spawn/tasks=1000"]);
    assert!(table(&report).contains("+15 % accepted"));
    let reason = "up to 15 % accepted since 2026-11-01: it checks every message";
    assert!(gate_markdown(&report).contains(reason));
    // A pass claims no more than was shown.
    accepted.insert("spawn/tasks=1000".to_owned(), accepted[ECHO].clone());
    let plan = GatePlan { accepted, ..gate_plan() };
    let report = GateReport::of(&record(&measured(1.1), plan)).unwrap();
    assert_eq!(report.outcome, Some(Outcome::Pass));
    assert!(gate_markdown(&report).contains(" %, or what was accepted, in any of 2 workloads"));
}

#[test]
fn gate_with_lost_head_has_no_outcome() {
    let mut run = measured(1.0);
    run.lanes[1] = run.lanes[1].clone().lost(Status::Failed, "the process ended (signal: 11)");
    let report = GateReport::of(&record(&run, gate_plan())).unwrap();
    assert_eq!((report.outcome, report.failures.len()), (None, 2));
    let text = table(&report);
    assert!(text.contains("has no figure of head: the process ended (signal: 11)"), "{text}");
    assert!(text.contains("failed: 2 workloads without a figure"), "{text}");
}

#[test]
fn gate_with_control_that_differs_is_inconclusive() {
    let mut run = measured(1.1);
    run.control = Some(lane("control", 1.05));
    let report = GateReport::of(&record(&run, gate_plan())).unwrap();
    assert_eq!(report.outcome, Some(Outcome::Inconclusive));
    let doubts = report.rows.iter().filter(|row| row.decides()).map(|row| row.judgement.doubt);
    assert!(doubts.into_iter().all(|doubt| doubt == Some(Doubt::ControlDiffers)));
}

#[test]
fn record_of_a_run_is_no_gate() {
    assert!(GateReport::of(&measured(1.0).record()).is_none());
}

#[test]
fn json_gives_the_report_back() {
    for cost in [1.0, 1.1] {
        let report = report(cost);
        assert_eq!(serde_json::from_str::<GateReport>(&report.json()).unwrap(), report);
    }
}

#[test]
fn github_is_bounded_and_escaped() {
    let long = "x".repeat(1300);
    let names = (0..50).map(|n| own(&format!("evil{n}/{long}|`%0A::error::"), "op", "it"));
    let mut run = Run { workloads: names.collect(), rounds: 1, blocks: 1, ..measured(1.0) };
    let reason = "no\r\n::error::way @everyone <script> </details> | `";
    run.lanes[1] = run.lanes[1].clone().lost(Status::Failed, reason);
    let report = GateReport::of(&record(&run, gate_plan())).unwrap();
    let out = github(&report, "rtswap\n\n@everyone gate `");
    assert!(out.comment.chars().count() <= 60_000, "{}", out.comment.chars().count());
    assert!(!out.comment.contains("<script>"));
    assert!(!out.comment.contains("way @everyone"));
    assert!(out.comment.ends_with("To repeat: `rtswap @everyone gate '`\n"));
    assert!(out.annotations.lines().count() <= 10);
    assert!(out.annotations.lines().all(|line| line.starts_with("::error title=rtswap gate::")));
    let open = out.comment.matches("<details>").count();
    assert_eq!(open, out.comment.matches("</details>").count());
}

#[test]
fn markdown_has_the_answer_first_and_folds_what_passed() {
    let text = gate_markdown(&report(1.1));
    insta::assert_snapshot!(text);
}
