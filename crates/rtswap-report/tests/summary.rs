//! The summary of simulated runs with known ratios.

mod common;

use std::num::NonZeroU32;

use common::{ECHO, Run, lane, own, run};
use rtswap_report::{
    Bound, Cause, Figure, Metric, Role, Style, Summary, WarningKind, json, markdown,
    precise_enough, table,
};
use rtswap_schema::record::{Counts, Deciding, Ended, Line, Record, Status, Stop};
use rtswap_stats::Verdict;

fn lanes() -> Run {
    run(vec![
        lane("tokio", 1.0),
        lane("local", 1.0),
        lane("smol", 1.28).calls(4.0, 0.05),
        lane("compio", 0.8).calls(0.1, 0.0),
    ])
}

fn figure<'a>(summary: &'a Summary, lane: &str, metric: Metric) -> &'a Figure {
    &summary.cell(ECHO, lane).unwrap().metrics[&metric]
}

fn sentence(record: &Record) -> String {
    Summary::of(record).workloads[0].sentence.clone()
}

fn kinds(record: &Record) -> Vec<WarningKind> {
    Summary::of(record).warnings.iter().map(|warning| warning.kind).collect()
}

#[test]
fn summary_finds_true_ratios_and_verdicts() {
    let summary = Summary::of(&lanes().record());
    for (lane, cost, verdict) in [
        ("local", 1.0, Verdict::Equivalent),
        ("smol", 1.28, Verdict::Worse),
        ("compio", 0.8, Verdict::Better),
        ("control", 1.0, Verdict::Equivalent),
    ] {
        let speed = figure(&summary, lane, Metric::OpsPerS);
        let cpu = figure(&summary, lane, Metric::CpuNsPerOp);
        assert!((speed.ratio.unwrap() * cost - 1.0).abs() < 0.015, "{lane}: {speed:?}");
        assert!((cpu.ratio.unwrap() / cost - 1.0).abs() < 0.015, "{lane}: {cpu:?}");
        assert!(speed.lo < speed.ratio && speed.ratio < speed.hi);
        assert_eq!((speed.verdict, cpu.verdict), (Some(verdict), Some(verdict)), "{lane}");
        for figure in [speed, cpu] {
            assert_eq!((figure.cause, &figure.why), (None, &None), "{lane}");
            assert!(figure.is_decidable(), "{lane}");
        }
        assert!(speed.mde.unwrap() < 0.05 && speed.p.unwrap() <= 1.0);
    }
    let cell = summary.cell(ECHO, "smol").unwrap();
    assert_eq!((cell.bound, cell.deciding), (Some(Bound::Lane), Some(Metric::CpuNsPerOp)));
    assert_eq!(figure(&summary, "smol", Metric::SyscallsPerOp).verdict, Some(Verdict::Worse));
    assert!((figure(&summary, "smol", Metric::SyscallsPerOp).value - 4.0).abs() < 0.01);
    assert!(summary.warnings.is_empty(), "{:?}", summary.warnings);
}

#[test]
fn summary_does_not_compare_reference_with_itself() {
    let summary = Summary::of(&lanes().record());
    let cell = summary.cell(ECHO, "tokio").unwrap();
    assert_eq!(cell.role, Role::Reference);
    let speed = &cell.metrics[&Metric::OpsPerS];
    assert!(speed.value > 100_000.0);
    assert_eq!((speed.ratio, speed.verdict, speed.p), (None, None, None));
    assert!(!speed.is_decidable());
}

#[test]
fn summary_inverts_ratio_if_reference_is_exchanged() {
    let mut run = lanes();
    run.control = None;
    let mut record = run.record();
    let before = figure(&Summary::of(&record), "smol", Metric::OpsPerS).clone();
    record.header.plan.reference = "smol".to_owned();
    let after = figure(&Summary::of(&record), "tokio", Metric::OpsPerS).clone();
    let product = |a: Option<f64>, b: Option<f64>| a.unwrap() * b.unwrap();
    assert!((product(before.ratio, after.ratio) - 1.0).abs() < 1e-12);
    assert!((product(before.lo, after.hi) - 1.0).abs() < 1e-12);
    assert!((product(before.hi, after.lo) - 1.0).abs() < 1e-12);
}

/// The lane's own ratio is the mean of its logs to either process of the reference.
#[test]
fn ratio_is_to_both_processes_of_reference() {
    let mut record = lanes().record();
    for slice in record.blocks.iter_mut().flat_map(|block| &mut block.slices) {
        (slice.ops, slice.cpu_ns) = match slice.lane.as_str() {
            "tokio" => (1_000, 8_000_000),
            "control" => (1_000, 12_000_000),
            _ => (1_000, 9_000_000),
        };
    }
    let summary = Summary::of(&record);
    let ratio = |lane| figure(&summary, lane, Metric::CpuNsPerOp).ratio.unwrap();
    assert!((ratio("smol") - 9.0 / 96_f64.sqrt()).abs() < 1e-9, "{}", ratio("smol"));
    assert!((ratio("control") - 1.5).abs() < 1e-9, "the control is held against one process");
    for block in &mut record.blocks {
        block.slices.retain(|slice| slice.lane != "control" || block.block > 0);
    }
    assert!(
        Summary::of(&record).cell(ECHO, "smol").unwrap().metrics[&Metric::CpuNsPerOp]
            .ratio
            .is_some()
    );
}

#[test]
fn summary_is_that_of_record_as_text() {
    let record = lanes().record();
    let text = |line: &Line| serde_json::to_string(line).unwrap();
    let mut read = Record::new(record.header.clone());
    // As in a file that was resumed: the lines of each kind in order, the kinds in any.
    for round in &record.rounds {
        read.push(serde_json::from_str(&text(&Line::Round(round.clone()))).unwrap());
    }
    for block in &record.blocks {
        read.push(serde_json::from_str(&text(&Line::Block(block.clone()))).unwrap());
    }
    read.push(Line::Footer(record.footer.clone().unwrap()));
    assert_eq!(json(&Summary::of(&read)), json(&Summary::of(&record)));
}

#[test]
fn json_has_documented_shape_and_parses_back() {
    let mut run = lanes();
    run.lanes.push(lane("uring", 1.0).lost(Status::Unsupported, "EPERM: allow io_uring"));
    let summary = Summary::of(&run.record());
    let text = json(&summary);
    assert!(text.ends_with("}\n"), "one line break at the end");
    assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), summary);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["schema"], 3);
    assert_eq!(json["reference"], "tokio");
    assert_eq!(json["seed"], 7);
    assert_eq!(json["environment"]["kernel"], "Linux 6.12.8");
    assert_eq!(json["plan"]["ended"], "complete");
    for metric in ["ops_per_s", "cpu_ns_per_op"] {
        let control = &json["control"][metric];
        assert!(control["lo"].as_f64().unwrap() < control["hi"].as_f64().unwrap(), "{control}");
    }
    let cells = json["cells"].as_array().unwrap();
    let of = |lane: &str| cells.iter().find(|cell| cell["lane"] == lane).unwrap();
    let smol = of("smol");
    assert_eq!(smol["workload"], "tcp-echo");
    assert_eq!(smol["name"], ECHO);
    assert_eq!(smol["params"]["size"], 1024);
    assert_eq!((&smol["status"], &smol["bound"]), (&"ok".into(), &"lane".into()));
    assert!(smol["reason"].is_null());
    for metric in ["ops_per_s", "cpu_ns_per_op", "syscalls_per_op"] {
        for key in ["value", "ratio", "lo", "hi", "mde", "p"] {
            assert!(smol["metrics"][metric][key].is_f64(), "{metric} {key}: {smol}");
        }
    }
    assert_eq!(smol["metrics"]["ops_per_s"]["verdict"], "worse");
    assert!(smol["metrics"]["ops_per_s"]["cause"].is_null());
    assert_eq!(of("local")["metrics"]["ops_per_s"]["verdict"], "equivalent");
    for key in ["lane_use", "generator_use"] {
        assert!(smol[key].as_f64().unwrap() <= 1.0, "{key}");
    }
    assert_eq!(json["plan"]["margin"], 0.03);
    assert!(smol["latency_ns"]["p50"].is_u64() && smol["memory_bytes"].is_f64());
    assert_eq!(smol["info"]["driver"], "epoll");
    assert_eq!(of("control")["role"], "control");
    assert_eq!(of("uring")["status"], "unsupported");
    assert_eq!(of("uring")["reason"], "EPERM: allow io_uring");
    assert_eq!(of("uring")["metrics"], serde_json::json!({}));
    assert_eq!(json["workloads"][0]["rounds"], 12);
    assert_eq!(json["workloads"][0]["stopped"], "rounds");
    assert!(json["workloads"][0]["control"]["ops_per_s"]["lo"].is_f64());
}

#[test]
fn latency_is_percentile_of_all_rounds_together() {
    let latency = Summary::of(&lanes().record()).cell(ECHO, "tokio").unwrap().latency_ns.unwrap();
    let expected = [250_000.0, 372_500.0, 375_000.0];
    for (found_ns, expected_ns) in [latency.p50, latency.p99, latency.max].into_iter().zip(expected)
    {
        assert!((found_ns as f64 / expected_ns - 1.0).abs() < 0.002, "{latency:?}");
    }
}

#[test]
fn cpu_time_decides_if_generator_is_bottleneck() {
    let mut run = lanes();
    run.load_ns = 12_000.0;
    let record = run.record();
    let summary = Summary::of(&record);
    let smol = summary.cell(ECHO, "smol").unwrap();
    assert_eq!((smol.bound, smol.deciding), (Some(Bound::Generator), Some(Metric::CpuNsPerOp)));
    assert_eq!(smol.decisive().unwrap().verdict, Some(Verdict::Worse));
    assert_eq!(summary.workloads[0].deciding, Metric::CpuNsPerOp);
    assert!(kinds(&record).contains(&WarningKind::GeneratorBound));
    insta::assert_snapshot!(sentence(&record));
}

#[test]
fn deciding_metric_is_that_of_plan_whatever_the_bottleneck() {
    for (planned, metric) in [
        (None, Metric::CpuNsPerOp),
        (Some(Deciding::CpuNsPerOp), Metric::CpuNsPerOp),
        (Some(Deciding::OpsPerS), Metric::OpsPerS),
    ] {
        for load_ns in [1_900.0, 7_400.0, 12_000.0] {
            let mut run = lanes();
            run.load_ns = load_ns;
            run.workloads[0].deciding = planned;
            let summary = Summary::of(&run.record());
            assert!(summary.cells.iter().all(|cell| cell.deciding == Some(metric)));
            assert_eq!(summary.workloads[0].deciding, metric);
        }
    }
}

#[test]
fn table_says_so_if_cpu_time_decides_at_unequal_load() {
    let mut run = lanes();
    let says = |run: &Run| sentence(&run.record()).contains("is not like for like");
    assert!(says(&run));
    run.workloads[0].deciding = Some(Deciding::OpsPerS);
    assert!(!says(&run), "operations per second decide");
    run.workloads[0].deciding = None;
    run.load_ns = 12_000.0;
    assert!(!says(&run), "the generator's rate is the same for all");
}

#[test]
fn cpu_time_decides_for_waiting_lanes() {
    let mut run = lanes();
    run.workloads = vec![own("sleep/tasks=100", "sleep", "one of many concurrent sleeps finished")];
    for lane in run.lanes.iter_mut().chain(&mut run.control) {
        lane.at_most = 0.2;
    }
    let record = run.record();
    let summary = Summary::of(&record);
    assert!(summary.cells.iter().all(|cell| cell.bound == Some(Bound::None)));
    insta::assert_snapshot!(sentence(&record));
}

#[test]
fn reports_show_reason_of_lost_lane_on_one_line() {
    let mut run = lanes();
    run.lanes.push(
        lane("uring", 1.0).lost(Status::Unsupported, "io_uring is \u{1b}[31mblocked\n(EPERM)"),
    );
    run.lanes.push(lane("monoio", 1.0).lost(Status::Invalid, "byte 17 differs"));
    let summary = Summary::of(&run.record());
    for text in [table(&summary, &Style::default()), markdown(&summary)] {
        assert!(text.contains("unsupported: io_uring is"), "{text}");
        assert!(text.contains("invalid: byte 17 differs"), "{text}");
        assert!(!text.contains('\u{1b}'));
    }
}

#[test]
fn summary_ignores_slices_of_lost_lane() {
    let mut record = lanes().record();
    let lost =
        run(vec![lane("tokio", 1.0), lane("smol", 1.0).lost(Status::Failed, "it hung")]).record();
    record.failures = lost.failures;
    let summary = Summary::of(&record);
    let smol = summary.cell(ECHO, "smol").unwrap();
    assert_eq!((smol.status, smol.metrics.len()), (Status::Failed, 0));
}

#[test]
fn lanes_keep_figures_if_reference_is_lost() {
    let mut run = lanes();
    run.lanes[0] = lane("tokio", 1.0).lost(Status::Failed, "it crashed");
    let record = run.record();
    let summary = Summary::of(&record);
    let speed = figure(&summary, "smol", Metric::OpsPerS);
    assert!(speed.value > 50_000.0);
    assert_eq!((speed.ratio, speed.verdict), (None, Some(Verdict::Undecided)));
    assert_eq!(speed.cause, Some(Cause::NoReference));
    assert!(!speed.is_decidable());
    assert!(!precise_enough(&record, ECHO, 1.0));
    insta::assert_snapshot!(table(&summary, &Style::default()));
}

#[test]
fn lanes_are_undecided_if_control_is_lost() {
    let mut run = lanes();
    run.control = Some(lane("control", 1.0).lost(Status::Failed, "it crashed"));
    let record = run.record();
    let summary = Summary::of(&record);
    let speed = figure(&summary, "smol", Metric::OpsPerS);
    assert_eq!((speed.verdict, speed.cause), (Some(Verdict::Undecided), Some(Cause::NoControl)));
    assert_eq!(kinds(&record), [WarningKind::NoControl]);
    insta::assert_snapshot!(sentence(&record));
}

#[test]
fn lanes_are_undecided_if_control_differs() {
    let mut run = lanes();
    run.control = Some(lane("control", 1.1));
    let record = run.record();
    assert_eq!(kinds(&record), [WarningKind::ControlDiffers]);
    let summary = Summary::of(&record);
    let cause = figure(&summary, "smol", Metric::OpsPerS).cause;
    assert_eq!(cause, Some(Cause::ControlDiffers));
    insta::assert_snapshot!(sentence(&record));
}

#[test]
fn lanes_are_undecided_with_too_few_rounds() {
    for rounds in [1, 5] {
        let mut run = lanes();
        run.rounds = rounds;
        let record = run.record();
        let summary = Summary::of(&record);
        let smol = summary.cell(ECHO, "smol").unwrap().decisive().unwrap();
        assert_eq!(
            (smol.verdict, smol.cause),
            (Some(Verdict::Undecided), Some(Cause::TooFewRounds))
        );
        assert_eq!((smol.mde, smol.is_decidable()), (None, false));
        assert!(table(&summary, &Style::default()).contains("undecided ?"));
        assert!(kinds(&record).contains(&WarningKind::TooFewRounds));
        insta::assert_snapshot!(format!("{rounds}-rounds"), sentence(&record));
    }
}

#[test]
fn lane_with_few_rounds_affects_no_other() {
    let mut run = lanes();
    run.lanes[2].rounds = 0..3;
    let summary = Summary::of(&run.record());
    assert_eq!(figure(&summary, "smol", Metric::OpsPerS).cause, Some(Cause::TooFewRounds));
    assert_eq!(figure(&summary, "compio", Metric::OpsPerS).verdict, Some(Verdict::Better));
    insta::assert_snapshot!(summary.workloads[0].sentence);
}

#[test]
fn single_block_gives_table_without_interval() {
    let mut run = lanes();
    (run.rounds, run.blocks) = (1, 1);
    let summary = Summary::of(&run.record());
    assert_eq!(figure(&summary, "smol", Metric::OpsPerS).hi, None);
    assert!(table(&summary, &Style::default()).contains("[unknown]"));
    assert_eq!(serde_json::from_str::<Summary>(&json(&summary)).unwrap(), summary);
}

#[test]
fn killed_run_keeps_its_blocks_and_warns() {
    let mut record = lanes().record();
    record.footer = None;
    record.blocks.truncate(10 * 20 + 3);
    record.rounds.truncate(10);
    let summary = Summary::of(&record);
    assert_eq!(figure(&summary, "smol", Metric::OpsPerS).verdict, Some(Verdict::Worse));
    assert_eq!(summary.workloads[0].blocks, 203);
    let warning = &summary.warnings[0];
    assert_eq!(warning.kind, WarningKind::Interrupted);
    assert!(warning.message.contains("203 of 240"), "{}", warning.message);
    assert!(warning.remedy.contains("--resume"));
}

#[test]
fn plan_counts_blocks_of_weighted_workload() {
    let mut record = lanes().record();
    record.footer = None;
    record.header.plan.workloads[0].weight = NonZeroU32::new(2);
    record.header.plan.blocks /= 2;
    record.blocks.truncate(203);
    let summary = Summary::of(&record);
    assert!(summary.warnings[0].message.contains("203 of 240"), "{:?}", summary.warnings);
    assert_eq!((summary.plan.blocks, summary.plan.blocks_most), (10, 20));
    let page = table(&summary, &Style::default());
    assert!(page.contains("12 rounds of 10 to 20 blocks"), "{page}");
}

#[test]
fn workload_not_begun_has_skipped_cells() {
    let mut run = lanes();
    run.workloads.push(own("spawn", "task", "one task spawned and joined"));
    let mut record = run.record();
    record.blocks.retain(|block| block.workload == ECHO);
    record.rounds.retain(|round| round.workload == ECHO);
    let footer = record.footer.as_mut().unwrap();
    footer.ended = Ended::Interrupted;
    footer.stopped.remove("spawn");
    let summary = Summary::of(&record);
    let cell = summary.cell("spawn", "smol").unwrap();
    assert_eq!(cell.status, Status::Skipped);
    assert!(cell.reason.as_ref().unwrap().contains("--resume"));
    assert!(summary.workloads[1].sentence.starts_with("Not measured"));
    record.footer.as_mut().unwrap().stopped.insert("spawn".to_owned(), Stop::Budget);
    let summary = Summary::of(&record);
    assert!(summary.cell("spawn", "smol").unwrap().reason.as_ref().unwrap().contains("--budget"));
}

#[test]
fn reports_handle_record_without_figures() {
    let mut record = lanes().record();
    (record.blocks, record.rounds, record.footer) = (Vec::new(), Vec::new(), None);
    assert!(table(&Summary::of(&record), &Style::default()).contains("skipped: not measured"));
    let mut run = lanes();
    for lane in run.lanes.iter_mut().chain(&mut run.control) {
        lane.failure = Some((Status::Failed, "no port was free".to_owned()));
    }
    let record = run.record();
    assert_eq!(sentence(&record), "No lane has figures; each has its reason above.");
    assert!(markdown(&Summary::of(&record)).contains("no port was free"));
}

#[test]
fn sentence_names_reference_without_other_lanes() {
    let record = run(vec![lane("tokio", 1.0)]).record();
    assert_eq!(sentence(&record), "Only tokio has figures, so there is nothing to compare.");
    assert!(table(&Summary::of(&record), &Style::default()).contains("reference"));
}

#[test]
fn lane_without_operations_has_failed() {
    let mut record = lanes().record();
    for block in &mut record.blocks {
        for slice in block.slices.iter_mut().filter(|slice| slice.lane == "smol") {
            (slice.ops, slice.cpu_ns) = (0, 0);
        }
    }
    let summary = Summary::of(&record);
    let smol = summary.cell(ECHO, "smol").unwrap();
    assert_eq!(smol.status, Status::Failed);
    assert!(smol.reason.as_ref().unwrap().contains("no operation"));
    assert_eq!(figure(&summary, "compio", Metric::OpsPerS).verdict, Some(Verdict::Better));
}

#[test]
fn count_of_zero_has_no_ratio() {
    let summary = Summary::of(&lanes().record());
    let switches = figure(&summary, "compio", Metric::CtxSwitchesPerOp);
    assert_eq!((switches.value, switches.ratio), (0.0, None));
    assert_eq!(switches.verdict, Some(Verdict::Undecided));
    assert_eq!(switches.cause, Some(Cause::ZeroCount));
    let mut record = lanes().record();
    for counts in record.rounds.iter_mut().flat_map(|r| r.lanes.values_mut()) {
        counts.counts = counts.counts.map(|counts| Counts { ctx_switches: 0, ..counts });
    }
    let summary = Summary::of(&record);
    let switches = figure(&summary, "compio", Metric::CtxSwitchesPerOp);
    assert_eq!((switches.ratio, switches.cause), (Some(1.0), None));
    assert_eq!(switches.verdict, Some(Verdict::Equivalent));
}

#[test]
fn warnings_name_busy_machine() {
    let mut record = lanes().record();
    let warned = |record: &Record| {
        let summary = Summary::of(record);
        let busy = summary.warnings.into_iter().find(|it| it.kind == WarningKind::Busy);
        busy.map(|warning| warning.message)
    };
    assert_eq!(warned(&record), None);
    for round in &mut record.rounds {
        round.cpu_pressure = Some(0.95);
    }
    let warning = warned(&record).unwrap();
    assert!(warning.contains("95 % of the time") && warning.contains(ECHO), "{warning}");
}

#[test]
fn warnings_name_remedies() {
    let mut run = lanes();
    run.steal = 0.12;
    run.lanes[1].idle_cpu = 0.05;
    for lane in run.lanes.iter_mut().chain(&mut run.control) {
        lane.counts_missing =
            Some("run as root, or set kernel.perf_event_paranoid to 1".to_owned());
    }
    run.load_ns = 12_000.0;
    run.rounds = 4;
    let mut record = run.record();
    record.footer.as_mut().unwrap().ended = Ended::Interrupted;
    let summary = Summary::of(&record);
    assert_eq!(summary.warnings.len(), 6, "{:?}", summary.warnings);
    insta::assert_snapshot!(rtswap_report::warnings(&summary, &Style::default()));
}

#[test]
fn precise_enough_needs_narrow_intervals_and_enough_rounds() {
    let mut run = lanes();
    let record = run.record();
    assert!(precise_enough(&record, ECHO, 0.03));
    assert!(!precise_enough(&record, ECHO, 0.001));
    assert!(!precise_enough(&record, "no-such-workload", 0.03));
    run.rounds = 6;
    assert!(!precise_enough(&run.record(), ECHO, 0.5));
}
