//! Two records compared: the changes, and each reason not to compare.

mod common;

use common::{ECHO, Run, http, lane, run};
use rtswap_report::compare::{
    Comparison, Outcome, Reason, ReasonKind, Side, comparison_json, comparison_markdown,
    comparison_table, comparison_warnings,
};
use rtswap_report::{Metric, Style, Summary};
use rtswap_schema::record::{CpuSource, OfferedRate, Record, Status};
use rtswap_schema::workload::ParamValue;

fn small(smol: f64, seed: u64) -> Run {
    let mut small = run(vec![lane("tokio", 1.0), lane("smol", smol), lane("compio", 0.8)]);
    (small.rounds, small.blocks, small.seed) = (8, 3, seed);
    small
}

fn before() -> Record {
    small(1.2, 7).record()
}

fn after() -> Record {
    small(1.2, 8).record()
}

fn compared_with(a: &Record, b: &Record, allowed: &[ReasonKind]) -> Comparison {
    let (of_a, of_b) = (Summary::of(a), Summary::of(b));
    Comparison::of(Side { record: a, summary: &of_a }, Side { record: b, summary: &of_b }, allowed)
}

fn compared(a: &Record, b: &Record) -> Comparison {
    compared_with(a, b, &[])
}

/// The only reason.
fn only(comparison: &Comparison) -> &Reason {
    match &comparison.reasons[..] {
        [one] => one,
        other => panic!("not one reason: {other:#?}"),
    }
}

/// Checks that a difference is the only reason, blocks everything, and is a warning where it is allowed.
fn assert_blocks(kind: ReasonKind, in_a: &str, in_b: &str, change: impl Fn(&mut Record)) {
    let mut b = after();
    change(&mut b);
    let comparison = compared(&before(), &b);
    let reason = only(&comparison);
    assert_eq!((reason.kind, reason.blocks), (kind, true));
    assert!(reason.a.contains(in_a) && reason.b.contains(in_b), "{}", reason.message());
    assert!(comparison.is_empty(), "{kind:?}");
    let allowed = compared_with(&before(), &b, &[kind]);
    assert!(!only(&allowed).blocks);
    assert!(!allowed.is_empty(), "{kind:?}");
}

/// Checks that a difference is a warning, and whether the changes are still attributed to lanes.
fn assert_warns(kind: ReasonKind, is_attributed: bool, change: impl Fn(&mut Record)) {
    let mut b = small(1.5, 8).record();
    change(&mut b);
    let comparison = compared(&before(), &b);
    let reason = only(&comparison);
    assert_eq!((reason.kind, reason.blocks), (kind, false));
    let smol = change_of(&comparison, "smol", Metric::CpuNsPerOp);
    let expected = if is_attributed { Outcome::Worse } else { Outcome::Unattributed };
    assert_eq!(smol.outcome, expected, "{smol:?}");
}

fn change_of<'a>(
    comparison: &'a Comparison,
    lane: &str,
    metric: Metric,
) -> &'a rtswap_report::compare::Change {
    let is_it = |it: &&_| {
        let it: &rtswap_report::compare::Change = it;
        it.lane == lane && it.metric == metric
    };
    comparison.changes.iter().find(is_it).unwrap()
}

fn set_info(record: &mut Record, lane: &str, key: &str, value: &str) {
    for round in &mut record.rounds {
        let info = round.lanes.get_mut(lane).unwrap().info.as_mut().unwrap();
        info[key] = value.into();
    }
}

#[test]
fn record_against_itself_has_changes_of_one() {
    let comparison = compared(&before(), &before());
    assert_eq!(only(&comparison).kind, ReasonKind::Doubt, "it is the same run");
    assert!(comparison.changes.len() > 10);
    for change in &comparison.changes {
        assert!((change.change.ratio - 1.0).abs() < 1e-12, "{change:?}");
        assert_eq!(change.outcome, Outcome::NotShown);
        assert!(change.change.holds_one());
    }
    let lanes: Vec<_> =
        comparison.changes.iter().filter(|it| it.deciding).map(|it| it.lane.as_str()).collect();
    assert_eq!(lanes, ["smol", "compio"], "neither the reference nor its control");
}

#[test]
fn change_is_the_ratio_of_ratios() {
    let comparison = compared(&before(), &small(1.5, 8).record());
    assert_eq!(comparison.reasons, []);
    let smol = change_of(&comparison, "smol", Metric::CpuNsPerOp);
    assert!((smol.change.ratio - smol.b.ratio / smol.a.ratio).abs() < 1e-12);
    assert!((smol.change.ratio / 1.25 - 1.0).abs() < 0.03, "{smol:?}");
    assert_eq!((smol.outcome, smol.against.as_str()), (Outcome::Worse, "tokio"));
    let half = |it: rtswap_report::Interval| (it.hi.unwrap() / it.lo).ln() / 2.0;
    assert!(half(smol.change) > half(smol.a).max(half(smol.b)), "both runs' noise");
    let back = compared(&small(1.5, 8).record(), &before());
    assert_eq!(change_of(&back, "smol", Metric::CpuNsPerOp).outcome, Outcome::Better);
    let ops = change_of(&comparison, "smol", Metric::OpsPerS);
    assert!(ops.change.ratio < 1.0 && ops.outcome == Outcome::Worse, "higher is better: {ops:?}");
    let compio = change_of(&comparison, "compio", Metric::CpuNsPerOp);
    assert_eq!(compio.outcome, Outcome::NotShown);
}

#[test]
fn differences_of_measurement_block_unless_allowed() {
    assert_blocks(ReasonKind::Schema, "2", "1", |b| b.header.schema = 1);
    assert_blocks(ReasonKind::Harness, "0.1.0", "0.2.0", |b| {
        b.header.environment.rtswap = "0.2.0".to_owned();
    });
    assert_blocks(ReasonKind::Toolchain, "an unknown one", "rustc 1.99", |b| {
        b.header.environment.rustc = Some("rustc 1.99.0".to_owned());
    });
    assert_blocks(ReasonKind::Placement, "1 CPU for lanes", "2 CPUs for lanes", |b| {
        b.header.plan.server_cpus = vec![0, 2];
    });
    assert_blocks(ReasonKind::Placement, "load generator", "shared", |b| {
        b.header.plan.load_cpus = vec![0];
    });
    for change in [
        (|plan| plan.slice_ms = 20) as fn(&mut rtswap_schema::record::WorkloadPlan),
        |plan| plan.warmup_ms = 1,
        |plan| plan.trickle_ms = Some(3),
        |plan| plan.reconnects = true,
    ] {
        assert_blocks(ReasonKind::Slice, "50 ms after 5 ms", "ms", |b| {
            change(&mut b.header.plan.workloads[0]);
        });
    }
    assert_blocks(ReasonKind::ReferenceVersion, "version unknown", "version 1.51.0", |b| {
        set_info(b, "tokio", "version", "1.51.0");
    });
    assert_blocks(ReasonKind::ReferenceVersion, "driver epoll", "driver io_uring", |b| {
        set_info(b, "tokio", "driver", "io_uring");
    });
}

#[test]
fn placement_on_other_cpus_of_the_same_number_is_comparable() {
    let mut b = after();
    (b.header.plan.server_cpus, b.header.plan.load_cpus) = (vec![2], vec![3]);
    assert_eq!(compared(&before(), &b).reasons, []);
}

#[test]
fn clock_blocks_cpu_time_alone() {
    let mut b = after();
    for lane in b.rounds.iter_mut().flat_map(|round| round.lanes.values_mut()) {
        lane.cpu_source = Some(CpuSource::ProcessClock);
    }
    let comparison = compared(&before(), &b);
    assert_eq!((only(&comparison).kind, only(&comparison).blocks), (ReasonKind::Clock, true));
    let has = |metric| comparison.changes.iter().any(|it| it.metric == metric);
    assert!(!has(Metric::CpuNsPerOp) && !has(Metric::TotalCpuNsPerOp) && has(Metric::OpsPerS));
    let allowed = compared_with(&before(), &b, &[ReasonKind::Clock]);
    assert!(allowed.changes.iter().any(|it| it.metric == Metric::CpuNsPerOp));
}

#[test]
fn other_parameters_are_not_comparable() {
    let mut hidden = after();
    let params = &mut hidden.header.plan.workloads[0].params;
    params.insert("buffer".to_owned(), ParamValue::Name("held".to_owned()));
    let comparison = compared(&before(), &hidden);
    assert_eq!(only(&comparison).kind, ReasonKind::Parameters);
    assert!(only(&comparison).message().contains("A has no buffer; B has buffer=held"));
    assert!(comparison.is_empty() && !ReasonKind::Parameters.can_be_allowed());

    let mut more = small(1.2, 8);
    more.workloads.push(http("60%"));
    let comparison = compared(&before(), &more.record());
    let message = only(&comparison).message();
    assert!(message.contains("http/conns=32/rate=60%: A has no such workload; B has these"));
    assert!(!comparison.is_empty(), "the other workload is in both");
    let workloads: Vec<_> = comparison.changes.iter().map(|it| it.workload.as_str()).collect();
    assert!(workloads.iter().all(|workload| *workload == ECHO));
}

#[test]
fn other_reference_is_not_comparable() {
    let mut other = run(vec![lane("smol", 1.0), lane("tokio", 1.0), lane("compio", 0.8)]);
    (other.rounds, other.blocks) = (8, 3);
    let comparison = compared(&before(), &other.record());
    let blocking: Vec<_> = comparison.reasons.iter().filter(|it| it.blocks).collect();
    assert!(blocking.iter().any(|it| {
        it.kind == ReasonKind::Reference && it.message() == "reference: A has tokio; B has smol"
    }));
    assert!(comparison.is_empty());

    let mut paired = after();
    let smol = paired.header.plan.lanes.iter_mut().find(|lane| lane.name == "smol").unwrap();
    smol.against = Some("compio".to_owned());
    let comparison = compared(&before(), &paired);
    let reason = comparison.reasons.iter().find(|it| it.kind == ReasonKind::Reference).unwrap();
    assert_eq!((&reason.lanes[..], reason.blocks), (&["smol".to_owned()][..], true));
    assert!(comparison.changes.iter().all(|it| it.lane != "smol"));
}

#[test]
fn lane_without_figures_is_named_with_its_reason() {
    let mut lost = small(1.2, 8);
    lost.lanes[1] = lane("smol", 1.2).lost(Status::Failed, "it hung");
    lost.lanes.push(lane("glommio", 1.0));
    let comparison = compared(&before(), &lost.record());
    let messages: Vec<_> = comparison.reasons.iter().map(Reason::message).collect();
    assert!(messages.iter().any(|it| it.contains("smol: A has figures; B has failed: it hung")));
    assert!(messages.iter().any(|it| it.contains("glommio: A has no such lane; B has figures")));
    assert!(comparison.changes.iter().all(|it| it.lane == "compio"), "the others are compared");
}

#[test]
fn other_machine_leaves_changes_without_attribution() {
    assert_warns(ReasonKind::Machine, false, |b| {
        b.header.environment.kernel = "Linux 6.99".to_owned();
    });
    assert_warns(ReasonKind::Machine, false, |b| {
        b.header.environment.cpu_model = "Real CPU".to_owned();
    });
    assert_warns(ReasonKind::Machine, false, |b| {
        let value = ("TOKIO_WORKER_THREADS".to_owned(), "3".to_owned());
        b.header.environment.variables.extend([value]);
    });
    assert_warns(ReasonKind::Machine, false, |b| {
        let value = ("spectre_v2".to_owned(), "Vulnerable".to_owned());
        b.header.environment.mitigations.extend([value]);
    });
    assert_warns(ReasonKind::Doubt, true, |b| {
        b.header.environment.git_revision = Some("0123456789abcdef".to_owned());
    });
}

#[test]
fn other_offered_rate_leaves_changes_without_attribution() {
    let record = |smol: f64, seed| {
        let mut run = small(smol, seed);
        run.workloads = vec![http("60%")];
        run.record()
    };
    let (a, mut b) = (record(1.2, 7), record(1.5, 8));
    let rate: &mut OfferedRate = &mut b.offered_rates[0];
    rate.per_s *= 2.0;
    let comparison = compared(&a, &b);
    assert_eq!((only(&comparison).kind, only(&comparison).blocks), (ReasonKind::Rate, false));
    let smol = change_of(&comparison, "smol", Metric::CpuNsPerOp);
    assert_eq!(smol.outcome, Outcome::Unattributed);
}

#[test]
fn versions_of_a_lane_may_differ() {
    let (mut a, mut b) = (before(), after());
    set_info(&mut a, "smol", "version", "2.0.1");
    set_info(&mut b, "smol", "version", "2.0.2");
    let comparison = compared(&a, &b);
    assert_eq!(comparison.reasons, []);
    let text = comparison_table(&comparison, &Style::default());
    assert!(text.contains("2.0.1 to 2.0.2"), "{text}");
}

#[test]
fn comparison_as_text() {
    let mut b = small(1.5, 8).record();
    b.header.environment.kernel = "Linux 6.99".to_owned();
    let comparison = compared(&before(), &b);
    let style = Style { width: 100, ..Style::default() };
    insta::assert_snapshot!("compare-table", comparison_table(&comparison, &style));
    insta::assert_snapshot!("compare-warnings", comparison_warnings(&comparison, &style));
    insta::assert_snapshot!("compare-markdown", comparison_markdown(&comparison));
    let json: serde_json::Value = serde_json::from_str(&comparison_json(&comparison)).unwrap();
    assert_eq!(json["changes"][0]["outcome"].as_str(), Some("unattributed"));
    assert_eq!(json["reasons"][0]["kind"].as_str(), Some("machine"));
}
