//! Lanes that stand beside the runtimes: floors, and the native halves of pairs.

mod common;

use common::{ECHO, echo, lane, own, run};
use rtswap_report::{Metric, Role, Style, Summary, markdown, table};
use rtswap_schema::record::WorkloadPlan;
use rtswap_schema::workload::ParamValue;
use rtswap_stats::Verdict;

fn wide() -> Style {
    Style { width: 160, ..Style::default() }
}

#[test]
fn a_lane_is_told_its_share_of_the_cheapest_floor() {
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
    assert_eq!(summary.cell(spawn, "smol").unwrap().of_floor, None, "no floor spawns");
    assert_eq!(summary.cell(spawn, "floor-epoll"), None, "it takes no part, and is not missing");
    assert!(table(&summary, &wide()).contains("best floor"));
    let sentence = &summary.workloads[0].sentence;
    assert!(!sentence.contains("floor"), "a floor is no contestant: {sentence}");
}

#[test]
fn each_of_a_pair_is_compared_with_the_other_and_with_nothing_else() {
    let mut run = run(vec![
        lane("native-tokio", 1.0),
        lane("tokio", 1.0).against("native-tokio"),
        lane("native-smol", 1.5),
        lane("smol", 1.65).against("native-smol"),
        lane("native-monoio", 0.5),
        lane("monoio", 0.5).against("native-monoio"),
    ]);
    run.control = Some(lane("control", 1.0).against("native-tokio"));
    let summary = Summary::of(&run.record());
    for (lane, ratio, verdict) in [
        ("tokio", 1.0, Verdict::Tie),
        ("smol", 1.1, Verdict::Dearer),
        ("monoio", 1.0, Verdict::Tie),
        ("control", 1.0, Verdict::Tie),
    ] {
        let figure = &summary.cell(ECHO, lane).unwrap().metrics[&Metric::CpuNsPerOp];
        assert!((figure.ratio.unwrap() / ratio - 1.0).abs() < 0.02, "{lane}: {figure:?}");
        assert_eq!(figure.verdict, Some(verdict), "{lane}");
    }
    for native in ["native-tokio", "native-smol", "native-monoio"] {
        assert_eq!(summary.cell(ECHO, native).unwrap().role, Role::Reference);
    }
    let sentence = &summary.workloads[0].sentence;
    assert!(sentence.starts_with("The contract costs tokio and monoio nothing"), "{sentence}");
    assert!(sentence.contains("smol takes 9.4 % more CPU time than by hand"), "{sentence}");
    for text in [table(&summary, &wide()), markdown(&summary)] {
        assert!(text.contains("ratio to native") && !text.contains("native-smol"), "{text}");
    }
}

#[test]
fn what_is_polled_is_compared_with_the_lane_that_is_compared_with_the_native_one() {
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
    assert!(sentence.contains("more CPU time than by hand"), "{sentence}");
    assert!(sentence.contains("more CPU time than compio over owned buffers"), "{sentence}");
    for text in [table(&summary, &wide()), markdown(&summary)] {
        // Each says with what it is compared.
        assert!(text.contains("native-compio") && text.contains("ratio to that"), "{text}");
    }
}

#[test]
fn a_pair_whose_native_half_is_lost_is_not_compared_and_the_others_are() {
    let run = run(vec![
        lane("native-tokio", 1.0),
        lane("tokio", 1.0).against("native-tokio"),
        lane("native-smol", 1.5).lost(rtswap_schema::record::Status::Failed, "it died"),
        lane("smol", 1.65).against("native-smol"),
    ]);
    let summary = Summary::of(&run.record());
    let figure = |lane| &summary.cell(ECHO, lane).unwrap().metrics[&Metric::CpuNsPerOp];
    assert_eq!(figure("smol").verdict, Some(Verdict::Inconclusive));
    assert!(figure("smol").why.as_ref().unwrap().contains("native-smol was lost"));
    assert_eq!(figure("tokio").verdict, Some(Verdict::Tie));
}

#[test]
fn what_an_idle_connection_takes_is_what_came_with_it() {
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
    assert_eq!(per_conn(ECHO, "smol"), None, "its connections do not idle");
    assert!(table(&summary, &wide()).contains("memory per"));
}
