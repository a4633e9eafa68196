//! What medians of slices hide, what cannot be decided, and what the system did: in sentences, tables and warnings.

mod common;

use common::{ECHO, Run, lane, own, run};
use rtswap_report::claim::{Finding, judge};
use rtswap_report::{Cause, Figure, Metric, Modes, Style, Summary, WarningKind, markdown, table};
use rtswap_schema::record::{
    Built, CpuSource, LaneFailure, Line, PackageChange, Record, Resumed, Rule, Status,
};
use rtswap_stats::Verdict;

fn lanes() -> Run {
    run(vec![lane("plain", 1.0), lane("other", 1.0), lane("pause", 1.0)])
}

fn figure<'a>(summary: &'a Summary, lane: &str, metric: Metric) -> &'a Figure {
    &summary.cell(ECHO, lane).unwrap().metrics[&metric]
}

/// Like `pause.py`, which sleeps for 60 ms every 13,000 messages.
#[test]
fn lane_that_pauses_is_worse_over_all_slices_and_named() {
    let mut run = lanes();
    run.lanes[2].pause_every = Some(9);
    let summary = Summary::of(&run.record());
    let verdict = |metric| figure(&summary, "pause", metric).verdict;
    assert_ne!(verdict(Metric::OpsPerS), Some(Verdict::Worse), "the median slice has no pause");
    for metric in [Metric::TotalOpsPerS, Metric::Steadiness, Metric::P999Ns] {
        assert_eq!(verdict(metric), Some(Verdict::Worse), "{metric:?}");
    }
    let total = figure(&summary, "pause", Metric::TotalOpsPerS).ratio.unwrap();
    assert!((total - 8.0 / 9.0).abs() < 0.03, "{total}");
    let sentence = &summary.workloads[0].sentence;
    assert!(
        sentence.contains("pause pauses: compared with plain, the throughput of pause"),
        "{sentence}"
    );
    assert!(!sentence.contains("other pauses"), "{sentence}");
    assert!(sentence.contains("pause stalls: its longest latency of 60"), "{sentence}");
}

#[test]
fn slice_without_operations_counts_as_none_per_second() {
    let mut record = lanes().record();
    let slices = record.blocks.iter_mut().flat_map(|block| &mut block.slices);
    let its = slices.filter(|slice| slice.lane == "pause");
    for (at, slice) in its.enumerate().filter(|(at, _)| at % 10 < 6) {
        (slice.ops, slice.cpu_ns) = (0, if at % 2 == 0 { 1_000 } else { 0 });
    }
    let summary = Summary::of(&record);
    let per_s = figure(&summary, "pause", Metric::OpsPerS);
    assert_eq!((per_s.value, per_s.ratio, per_s.verdict), (0.0, Some(0.0), Some(Verdict::Worse)));
    let text = rtswap_report::json(&summary);
    assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), summary);
}

#[test]
fn two_modes_are_named_with_their_shares() {
    let mut run = lanes();
    run.lanes[1].mode = Some((3, 1.7));
    let summary = Summary::of(&run.record());
    let Modes { low_ns, high_ns, share_high, by_round } =
        summary.cell(ECHO, "other").unwrap().modes.unwrap();
    assert!((low_ns / 8_200.0 - 1.0).abs() < 0.1 && (high_ns / low_ns - 1.7).abs() < 0.1);
    assert!((share_high - 1.0 / 3.0).abs() < 0.01 && by_round);
    assert_eq!(summary.cell(ECHO, "pause").unwrap().modes, None);
    let sentence = &summary.workloads[0].sentence;
    assert!(sentence.contains("other has two modes: "), "{sentence}");
    assert!(
        sentence.contains("in 67 % of the rounds, ") && sentence.contains("in 33 %."),
        "{sentence}"
    );
    let style = Style { width: 160, ..Style::default() };
    assert!(table(&summary, &style).contains("us 33 %"));
}

/// An undecided lane, one for each word that only a decision allows.
#[test]
fn undecided_lane_has_what_the_run_could_see_and_no_difference() {
    let mut run = lanes();
    run.lanes.truncate(2);
    let mut record = run.record();
    record.header.plan.rule = Some(Rule { alpha: 1e-3, margin: 0.001 });
    let summary = Summary::of(&record);
    let cpu = figure(&summary, "other", Metric::CpuNsPerOp);
    assert_eq!((cpu.verdict, cpu.cause), (Some(Verdict::Undecided), Some(Cause::NotSignificant)));
    assert!(cpu.longer.unwrap() > 1.0);
    let sentence = &summary.workloads[0].sentence;
    assert!(sentence.contains("other is undecided (this run finds differences of "), "{sentence}");
    assert!(sentence.contains("the time would find 0.1 %"), "{sentence}");
    assert!(!sentence.contains("uses") && !sentence.contains("quivalent"), "{sentence}");
    for text in [table(&summary, &Style::default()), markdown(&summary)] {
        assert!(text.contains("This run detects differences of"), "{text}");
        assert!(text.contains("falsely called better or worse in at most 0.1 % of"), "{text}");
        assert!(!text.contains("level"), "{text}");
    }
}

#[test]
fn equivalent_lane_has_margin_and_interval() {
    let summary = Summary::of(&lanes().record());
    let sentence = &summary.workloads[0].sentence;
    assert!(sentence.contains("Equivalent to plain within 3 %: other (1.00"), "{sentence}");
    assert!(table(&summary, &Style::default()).contains("equivalent"));
}

#[test]
fn claim_is_undecided_if_control_differs() {
    let mut run = run(vec![lane("uvloop", 1.0), lane("gevent", 3.0)]);
    let finding = |run: &Run| judge(&Summary::of(&run.record()))[0].clone();
    assert_eq!(finding(&run).finding, Finding::Holds);
    run.control = Some(lane("control", 1.2));
    let differs = finding(&run);
    assert_eq!(differs.finding, Finding::Undecided);
    assert!(differs.why.unwrap().contains("the control differs"));
}

#[test]
fn table_marks_self_reported_figures() {
    let mut run = lanes();
    let shown =
        |run: &Run| table(&Summary::of(&run.record()), &Style { width: 120, ..Style::default() });
    assert!(!shown(&run).contains("self-reported"));
    run.workloads = vec![own("spawn", "task", "one task spawned and joined")];
    let text = shown(&run);
    assert!(text.contains("per op #") && text.contains("# self-reported: "), "{text}");
}

#[test]
fn table_shows_both_utilisations() {
    let text = table(&Summary::of(&lanes().record()), &Style { width: 100, ..Style::default() });
    assert!(text.contains("lane/generator") && text.contains("99/"), "{text}");
}

#[test]
fn warnings_name_what_the_system_did() {
    let mut record = lanes().record();
    let warned = |record: &Record, kind| {
        let warnings = Summary::of(record).warnings;
        let warning = warnings.into_iter().find(|it| it.kind == kind);
        warning.map(|it| format!("{}; {}", it.message, it.remedy))
    };
    let kinds = [
        WarningKind::Throttled,
        WarningKind::OtherPrograms,
        WarningKind::GeneratorDelayed,
        WarningKind::StaleClock,
        WarningKind::LeftBehind,
        WarningKind::IdleShards,
    ];
    assert!(kinds.into_iter().all(|kind| warned(&record, kind).is_none()));
    record.rounds[0].throttled_ns = Some(1_200_000_000);
    for (at, round) in record.rounds.iter_mut().enumerate() {
        round.others_cpu = Some(0.2);
        let program = if at == 0 { "cc1 (process 7)" } else { "sh (process 8)" };
        round.others_program = Some(program.to_owned());
    }
    let child = vec!["sleep 1000".to_owned()];
    record.rounds[2].left_behind.insert("pause".to_owned(), child);
    for its in record.rounds.iter_mut().filter_map(|round| round.lanes.get_mut("other")) {
        its.cpu_source = Some(CpuSource::ProcessClock);
        its.info = Some(serde_json::json!({ "shards": 64 }));
    }
    for slice in record.blocks.iter_mut().flat_map(|block| &mut block.slices) {
        slice.load_run_delay_ns = Some(slice.elapsed_ns / 5);
    }
    let parts = [
        ["1.20 s", "cpu.max"],
        ["used 20 % of CPU 0 of the lanes, most of it sh (process 8)", "--server-cpus"],
        ["CPU 1 for up to 20 %", "--load-cpus"],
        ["CPU time of other comes", "perf_event_paranoid"],
        ["pause left 1 process behind", "`sleep 1000`"],
        ["64 shards of other have fewer connections", "`conns=N`"],
    ];
    for (kind, parts) in kinds.into_iter().zip(parts) {
        let text = warned(&record, kind).unwrap();
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    }
}

#[test]
fn warnings_name_packages_that_two_versions_do_not_share() {
    let mut record = lanes().record();
    let built = |version: &str, mio: &str| {
        let change = |name: &str, new: &str| PackageChange {
            name: name.to_owned(),
            old: Some("1.0.1".to_owned()),
            new: new.to_owned(),
        };
        let package = "tokio".to_owned();
        let changes = vec![change("mio", mio), change("tokio", version)];
        Some(Box::new(Built { package, changes, ..Built::default() }))
    };
    let warned = |record: &Record| {
        let warnings = Summary::of(record).warnings;
        let warning = warnings.into_iter().find(|it| it.kind == WarningKind::OtherPackages);
        warning.map(|it| format!("{}; {}", it.message, it.remedy))
    };
    let lanes = &mut record.header.plan.lanes;
    let other = lanes.iter().position(|lane| lane.name == "other").unwrap();
    lanes[0].built = built("1.50.0", "1.0.2");
    lanes[other].built = built("1.51.0", "1.0.2");
    assert_eq!(warned(&record), None);
    record.header.plan.lanes[other].built = built("1.51.0", "1.0.3");
    let text = warned(&record).unwrap();
    assert!(text.contains("and other also differ in mio 1.0.2 → 1.0.3"), "{text}");
}

#[test]
fn finished_rounds_of_lane_that_cannot_be_resumed_count() {
    let mut record = lanes().record();
    let whole = Summary::of(&record);
    let figure = |summary: &Summary| {
        let cell = summary.cells.iter().find(|cell| cell.lane == "other").unwrap();
        cell.metrics.get(&Metric::CpuNsPerOp).cloned()
    };
    let workload = record.header.plan.workloads[0].name.clone();
    record.failures.push(LaneFailure {
        workload,
        lane: "other".to_owned(),
        round: 99,
        status: Status::Failed,
        reason: "cannot start other: not found".to_owned(),
        rounds_count: true,
    });
    record.resumed.push(Resumed {
        environment: record.header.environment.clone(),
        differences: vec!["kernel: \"6.1\" in the record, \"6.2\" now".to_owned()],
    });
    let summary = Summary::of(&record);
    assert_eq!(figure(&summary), figure(&whole));
    let warned = |kind| summary.warnings.iter().find(|it| it.kind == kind).unwrap();
    let partly = warned(WarningKind::PartlyMeasured);
    assert!(partly.message.contains("cannot start other: not found"), "{partly:?}");
    assert!(warned(WarningKind::Resumed).message.contains("kernel: \"6.1\""));
    record.failures[0].rounds_count = false;
    assert_eq!(figure(&Summary::of(&record)), None);
}

/// Records of every version that was ever published.
#[test]
fn published_records_have_summary() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../results");
    let mut read = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|it| it != "jsonl") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines = text.lines().map(|line| serde_json::from_str::<Line>(line).unwrap());
        let Some(Line::Header(header)) = lines.next() else { panic!("{path:?} has no header") };
        let mut record = Record::new(*header);
        lines.for_each(|line| record.push(line));
        let summary = Summary::of(&record);
        assert!(summary.cells.iter().any(|cell| cell.decisive().is_some()), "{path:?}");
        assert_eq!(
            serde_json::from_str::<Summary>(&rtswap_report::json(&summary)).unwrap(),
            summary
        );
        assert!(!table(&summary, &Style::default()).is_empty());
        read += 1;
    }
    assert!(read >= 9, "{read}");
}
