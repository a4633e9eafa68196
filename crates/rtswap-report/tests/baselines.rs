//! Lanes that others are held against: floors, and the native lanes of pairs.

mod common;

use common::{ECHO, echo, lane, own, run};
use rtswap_report::{Cause, Metric, Role, Style, Summary, markdown, table};
use rtswap_schema::record::{Status, WorkloadPlan};
use rtswap_schema::workload::ParamValue;
use rtswap_stats::Verdict;

fn wide() -> Style {
    Style { width: 160, ..Style::default() }
}

#[test]
fn cell_has_share_of_best_floor() {
    let mut run = run(vec![
        lane("tokio", 1.0),
        lane("smol", 1.6),
        lane("floor-epoll", 0.8).floor(),
        lane("floor-poll", 0.9).floor(),
    ]);
    run.workloads.push(own("spawn/tasks=1000", "task", "one task spawned and joined"));
    let summary = Summary::of(&run.record());
    for (lane, share) in [("tokio", 0.8), ("smol", 0.5), ("floor-poll", 0.89), ("floor-epoll", 1.0)]
    {
        let of_floor = summary.cell(ECHO, lane).unwrap().of_floor.clone().unwrap();
        assert_eq!(of_floor.floor, "floor-epoll");
        assert!((of_floor.share / share - 1.0).abs() < 0.02, "{lane}: {of_floor:?}");
        assert!(of_floor.lo <= of_floor.share && of_floor.share <= of_floor.hi.unwrap());
    }
    let spawn = "spawn/tasks=1000";
    assert_eq!(summary.cell(spawn, "smol").unwrap().of_floor, None, "no floor does this workload");
    assert_eq!(summary.cell(spawn, "floor-epoll"), None, "a lane that takes no part has no cell");
    assert!(table(&summary, &wide()).contains("best floor"));
    let sentence = &summary.workloads[0].sentence;
    assert!(!sentence.contains("floor"), "{sentence}");
}

#[test]
fn paired_lane_is_compared_with_its_native_lane() {
    let mut run = run(vec![
        lane("native-tokio", 1.0),
        lane("tokio", 1.0).against("native-tokio"),
        lane("native-smol", 1.5),
        lane("smol", 1.65).against("native-smol"),
        lane("native-monoio", 0.5),
        lane("monoio", 0.5).against("native-monoio"),
    ]);
    run.control = Some(lane("control", 1.0).against("native-tokio"));
    run.seed = 10;
    let summary = Summary::of(&run.record());
    for (lane, ratio, verdict) in [
        ("tokio", 1.0, Verdict::Equivalent),
        ("smol", 1.1, Verdict::Worse),
        ("monoio", 1.0, Verdict::Equivalent),
        ("control", 1.0, Verdict::Equivalent),
    ] {
        let figure = &summary.cell(ECHO, lane).unwrap().metrics[&Metric::CpuNsPerOp];
        assert!((figure.ratio.unwrap() / ratio - 1.0).abs() < 0.02, "{lane}: {figure:?}");
        assert_eq!(figure.verdict, Some(verdict), "{lane}");
    }
    for native in ["native-tokio", "native-smol", "native-monoio"] {
        assert_eq!(summary.cell(ECHO, native).unwrap().role, Role::Reference);
    }
    let sentence = &summary.workloads[0].sentence;
    assert!(
        sentence.starts_with("Equivalent to their native lanes within 3 %: tokio ("),
        "{sentence}"
    );
    assert!(sentence.contains("more CPU time than native-smol (between"), "{sentence}");
    for text in [table(&summary, &wide()), markdown(&summary)] {
        assert!(text.contains("ratio to native") && !text.contains("\nnative-smol"), "{text}");
    }
}

#[test]
fn polled_lane_is_compared_with_lane_of_owned_buffers() {
    let mut run = run(vec![
        lane("native-compio", 1.0),
        lane("compio", 1.1).against("native-compio"),
        lane("poll-compio", 1.32).against("compio").polled(),
    ]);
    run.control = Some(lane("control", 1.0).against("native-compio"));
    let summary = Summary::of(&run.record());
    for (lane, ratio) in [("compio", 1.1), ("poll-compio", 1.2)] {
        let cell = summary.cell(ECHO, lane).unwrap();
        let figure = &cell.metrics[&Metric::CpuNsPerOp];
        assert_eq!(cell.role, Role::Lane);
        assert!((figure.ratio.unwrap() / ratio - 1.0).abs() < 0.02, "{lane}: {figure:?}");
    }
    let sentence = &summary.workloads[0].sentence;
    assert!(sentence.contains("more CPU time than native-compio"), "{sentence}");
    assert!(sentence.contains("more CPU time than compio with owned buffers"), "{sentence}");
    for text in [table(&summary, &wide()), markdown(&summary)] {
        assert!(text.contains("compared") && text.contains("ratio to baseline"), "{text}");
    }
}

#[test]
fn pair_with_lost_native_lane_is_undecided_alone() {
    let run = run(vec![
        lane("native-tokio", 1.0),
        lane("tokio", 1.0).against("native-tokio"),
        lane("native-smol", 1.5).lost(Status::Failed, "it died"),
        lane("smol", 1.65).against("native-smol"),
    ]);
    let summary = Summary::of(&run.record());
    let figure = |lane| &summary.cell(ECHO, lane).unwrap().metrics[&Metric::CpuNsPerOp];
    assert_eq!(figure("smol").verdict, Some(Verdict::Undecided));
    assert_eq!(figure("smol").cause, Some(Cause::NoReference));
    assert!(figure("smol").why.as_ref().unwrap().contains("native-smol was lost"));
    assert!(figure("tokio").is_decidable());
}

#[test]
fn sentence_of_pairs_follows_verdicts() {
    let lanes = || vec![lane("native-smol", 1.0), lane("smol", 1.5).against("native-smol")];
    let mut run = run(lanes());
    run.control = Some(lane("control", 1.0).against("native-smol"));
    let sentence = |run: &common::Run| Summary::of(&run.record()).workloads[0].sentence.clone();
    assert!(
        sentence(&run).starts_with("smol uses 52 % more CPU time than native-smol"),
        "{}",
        sentence(&run)
    );
    run.rounds = 3;
    let undecided = sentence(&run);
    assert!(undecided.starts_with("smol is undecided: too few rounds"), "{undecided}");
}

#[test]
fn memory_per_connection_is_growth_by_connections() {
    let mut run = run(vec![lane("tokio", 1.0), lane("smol", 1.0)]);
    run.lanes[1].conn_bytes = 9000;
    let params = [("conns", 1000), ("active", 1)]
        .map(|(name, value)| (name.to_owned(), ParamValue::Number(value)))
        .into();
    let idle = WorkloadPlan { name: "idle".to_owned(), params, ..echo() };
    run.workloads.push(idle);
    let summary = Summary::of(&run.record());
    let per_conn = |workload, lane| summary.cell(workload, lane).unwrap().memory_per_conn_bytes;
    assert_eq!(per_conn("idle", "tokio"), Some(4096.0));
    assert_eq!(per_conn("idle", "smol"), Some(9000.0));
    assert_eq!(per_conn(ECHO, "smol"), None, "only in `idle`");
    assert!(table(&summary, &wide()).contains("memory per"));
}

/// A run shows what the contract costs a lane where another run has found a difference, and only there.
#[test]
fn overhead_of_another_run_is_marked() {
    let mut overhead = run(vec![
        lane("native-tokio", 1.0),
        lane("tokio", 1.0).against("native-tokio"),
        lane("native-monoio", 0.5),
        lane("monoio", 0.65).against("native-monoio"),
    ]);
    overhead.control = Some(lane("control", 1.0).against("native-tokio"));
    overhead.rounds = 24;
    let measured = Summary::of(&overhead.record());

    let mut offered = run(vec![lane("tokio", 1.0), lane("monoio", 0.65), lane("smol", 1.5)]);
    offered.workloads[0].name = format!("{ECHO}/rate=60%");
    offered.workloads[0].params.insert("rate".to_owned(), ParamValue::Name("60%".to_owned()));
    let mut summary = Summary::of(&offered.record());
    summary.mark_overhead(&measured);
    let marked: Vec<_> = summary
        .cells
        .iter()
        .filter(|cell| cell.overhead.is_some())
        .map(|cell| &cell.lane)
        .collect();
    assert_eq!(marked, ["monoio"]);
    let monoio = summary.cell(&format!("{ECHO}/rate=60%"), "monoio").unwrap().overhead.unwrap();
    assert!(monoio.lo < 1.3 && 1.3 < monoio.hi.unwrap(), "{monoio:?}");

    let text = table(&summary, &Style { width: 300, unicode: true, ..Style::default() });
    assert!(text.contains("overhead of"), "{text}");
    assert!(text.contains("‡ cost per operation over that of the same program"), "{text}");
    let plain = table(
        &Summary::of(&offered.record()),
        &Style { width: 300, unicode: true, ..Style::default() },
    );
    assert!(!plain.contains('‡'), "{plain}");

    let mut other = run(vec![lane("tokio", 1.0), lane("monoio", 0.65)]);
    other.workloads[0].params.insert("size".to_owned(), ParamValue::Number(102_400));
    let mut summary = Summary::of(&other.record());
    summary.mark_overhead(&measured);
    assert!(summary.cells.iter().all(|cell| cell.overhead.is_none()), "another size");
}

/// Operations per second are the inverse of a cost.
#[test]
fn overhead_in_operations_per_second_is_a_cost() {
    let mut overhead =
        run(vec![lane("native-monoio", 1.0), lane("monoio", 1.25).against("native-monoio")]);
    overhead.control = Some(lane("control", 1.0).against("native-monoio"));
    overhead.workloads = vec![own("spawn", "task", "a task spawned and joined")];
    let mut measured = Summary::of(&overhead.record());
    for cell in &mut measured.cells {
        cell.deciding = Some(Metric::OpsPerS);
    }
    let mut run = run(vec![lane("tokio", 1.0), lane("monoio", 1.25)]);
    run.workloads = overhead.workloads.clone();
    let mut summary = Summary::of(&run.record());
    summary.mark_overhead(&measured);
    let it = summary.cell("spawn", "monoio").unwrap().overhead.unwrap();
    assert!((it.ratio / 1.25 - 1.0).abs() < 0.03 && it.lo > 1.0 && it.hi > Some(it.lo), "{it:?}");
}
