//! What the summary says, against runs whose truth is known.

mod common;

use std::num::NonZeroU32;

use common::{ECHO, Run, lane, own, run};
use rtswap_report::{
    Bound, Figure, Metric, Role, Style, Summary, WarningKind, json, markdown, precise_enough, table,
};
use rtswap_schema::record::{Counts, Ended, Record, Status, Stop};
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
fn true_ratios_lie_in_the_intervals_and_verdicts_are_right() {
    let summary = Summary::of(&lanes().record());
    for (lane, cost, fast, cheap) in [
        ("local", 1.0, Verdict::Tie, Verdict::Tie),
        ("smol", 1.28, Verdict::Slower, Verdict::Dearer),
        ("compio", 0.8, Verdict::Faster, Verdict::Cheaper),
        ("control", 1.0, Verdict::Tie, Verdict::Tie),
    ] {
        let speed = figure(&summary, lane, Metric::OpsPerS);
        let cpu = figure(&summary, lane, Metric::CpuNsPerOp);
        assert!((speed.ratio.unwrap() * cost - 1.0).abs() < 0.015, "{lane}: {speed:?}");
        assert!((cpu.ratio.unwrap() / cost - 1.0).abs() < 0.015, "{lane}: {cpu:?}");
        assert!(speed.lo < speed.ratio && speed.ratio < speed.hi);
        assert_eq!((speed.verdict, cpu.verdict), (Some(fast), Some(cheap)), "{lane}");
        assert!(speed.mde.unwrap() < 0.05 && speed.p.unwrap() <= 1.0);
    }
    let cell = summary.cell(ECHO, "smol").unwrap();
    assert_eq!((cell.bound, cell.deciding), (Some(Bound::Lane), Some(Metric::OpsPerS)));
    assert_eq!(figure(&summary, "smol", Metric::SyscallsPerOp).verdict, Some(Verdict::Dearer));
    assert!((figure(&summary, "smol", Metric::SyscallsPerOp).value - 4.0).abs() < 0.01);
    assert!(summary.warnings.is_empty(), "{:?}", summary.warnings);
}

#[test]
fn reference_is_not_compared_with_itself() {
    let summary = Summary::of(&lanes().record());
    let cell = summary.cell(ECHO, "tokio").unwrap();
    assert_eq!(cell.role, Role::Reference);
    let speed = &cell.metrics[&Metric::OpsPerS];
    assert!(speed.value > 100_000.0);
    assert_eq!((speed.ratio, speed.verdict, speed.p), (None, None, None));
}

#[test]
fn swapping_lane_and_reference_inverts_the_ratio() {
    let mut record = lanes().record();
    let before = figure(&Summary::of(&record), "smol", Metric::OpsPerS).clone();
    record.header.plan.reference = "smol".to_owned();
    let after = figure(&Summary::of(&record), "tokio", Metric::OpsPerS).clone();
    let product = |a: Option<f64>, b: Option<f64>| a.unwrap() * b.unwrap();
    assert!((product(before.ratio, after.ratio) - 1.0).abs() < 1e-12);
    assert!((product(before.lo, after.hi) - 1.0).abs() < 1e-12);
    assert!((product(before.hi, after.lo) - 1.0).abs() < 1e-12);
}

#[test]
fn same_record_gives_the_same_summary() {
    let record = lanes().record();
    assert_eq!(json(&Summary::of(&record)), json(&Summary::of(&record)));
}

#[test]
fn json_has_the_documented_shape_and_reads_back() {
    let mut run = lanes();
    run.lanes.push(lane("uring", 1.0).lost(Status::Unsupported, "EPERM: allow io_uring"));
    let summary = Summary::of(&run.record());
    let text = json(&summary);
    assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), summary);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["schema"], 1);
    assert_eq!(json["reference"], "tokio");
    assert_eq!(json["seed"], 7);
    assert_eq!(json["receipt"]["kernel"], "Linux 6.12.8");
    assert_eq!(json["plan"]["ended"], "complete");
    for metric in ["ops_per_s", "cpu_ns_per_op"] {
        let control = &json["control"][metric];
        assert!(control["lo"].as_f64() < control["hi"].as_f64(), "{control}");
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
    assert_eq!(smol["metrics"]["ops_per_s"]["verdict"], "slower");
    assert!(smol["latency_ns"]["p50"].is_u64() && smol["memory_bytes"].is_f64());
    assert_eq!(smol["receipt"]["driver"], "epoll");
    assert_eq!(of("control")["role"], "control");
    assert_eq!(of("uring")["status"], "unsupported");
    assert_eq!(of("uring")["reason"], "EPERM: allow io_uring");
    assert_eq!(of("uring")["metrics"], serde_json::json!({}));
    assert_eq!(json["workloads"][0]["rounds"], 12);
    assert_eq!(json["workloads"][0]["stopped"], "rounds");
    assert!(json["workloads"][0]["noise_floor"]["ops_per_s"].is_f64());
}

#[test]
fn latencies_are_percentiles_of_all_rounds_together() {
    let latency = Summary::of(&lanes().record()).cell(ECHO, "tokio").unwrap().latency_ns.unwrap();
    for (is, should) in
        [(latency.p50, 250_000.0), (latency.p99, 372_500.0), (latency.max, 375_000.0)]
    {
        assert!((is as f64 / should - 1.0).abs() < 0.002, "{latency:?}");
    }
}

#[test]
fn cpu_time_decides_where_the_generator_was_the_limit() {
    let mut run = lanes();
    run.load_ns = 12_000.0;
    let record = run.record();
    let summary = Summary::of(&record);
    let smol = summary.cell(ECHO, "smol").unwrap();
    assert_eq!((smol.bound, smol.deciding), (Some(Bound::Generator), Some(Metric::CpuNsPerOp)));
    assert_eq!(smol.decisive().unwrap().verdict, Some(Verdict::Dearer));
    assert_eq!(summary.workloads[0].deciding, Metric::CpuNsPerOp);
    assert!(kinds(&record).contains(&WarningKind::GeneratorBound));
    insta::assert_snapshot!(sentence(&record));
}

#[test]
fn single_lane_at_the_generators_limit_is_decided_by_cpu_time() {
    let mut run = lanes();
    run.load_ns = 7_400.0;
    let summary = Summary::of(&run.record());
    let deciding = |lane| summary.cell(ECHO, lane).unwrap().deciding.unwrap();
    assert_eq!([deciding("compio"), deciding("smol")], [Metric::CpuNsPerOp, Metric::OpsPerS]);
    insta::assert_snapshot!(summary.workloads[0].sentence);
    insta::assert_snapshot!(table(&summary, &Style::default()));
}

#[test]
fn waiting_lanes_are_bound_by_nothing() {
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
fn lost_lanes_are_shown_with_their_reason_everywhere() {
    let mut run = lanes();
    run.lanes.push(
        lane("uring", 1.0).lost(Status::Unsupported, "io_uring is \u{1b}[31mblocked\n(EPERM)"),
    );
    run.lanes.push(lane("monoio", 1.0).lost(Status::Invalid, "byte 17 differs"));
    let summary = Summary::of(&run.record());
    for text in [table(&summary, &Style::default()), markdown(&summary)] {
        assert!(text.contains("unsupported: io_uring is"), "{text}");
        assert!(text.contains("did the work wrong: byte 17 differs"), "{text}");
        assert!(!text.contains('\u{1b}'));
    }
}

#[test]
fn earlier_slices_of_a_lost_lane_do_not_count() {
    let mut record = lanes().record();
    let lost =
        run(vec![lane("tokio", 1.0), lane("smol", 1.0).lost(Status::Failed, "it hung")]).record();
    record.lost = lost.lost;
    let summary = Summary::of(&record);
    let smol = summary.cell(ECHO, "smol").unwrap();
    assert_eq!((smol.status, smol.metrics.len()), (Status::Failed, 0));
}

#[test]
fn without_the_reference_lanes_keep_their_figures_and_lose_their_ratios() {
    let mut run = lanes();
    run.lanes[0] = lane("tokio", 1.0).lost(Status::Failed, "it crashed");
    let record = run.record();
    let summary = Summary::of(&record);
    let speed = figure(&summary, "smol", Metric::OpsPerS);
    assert!(speed.value > 50_000.0);
    assert_eq!((speed.ratio, speed.verdict), (None, Some(Verdict::Inconclusive)));
    assert!(!precise_enough(&record, ECHO, 1.0));
    insta::assert_snapshot!(table(&summary, &Style::default()));
}

#[test]
fn lost_control_leaves_everything_undecided() {
    let mut run = lanes();
    run.control = Some(lane("control", 1.0).lost(Status::Failed, "it crashed"));
    let record = run.record();
    assert_eq!(
        figure(&Summary::of(&record), "smol", Metric::OpsPerS).verdict,
        Some(Verdict::Inconclusive)
    );
    assert_eq!(kinds(&record), [WarningKind::NoControl]);
    insta::assert_snapshot!(sentence(&record));
}

#[test]
fn control_that_differs_leaves_everything_undecided() {
    let mut run = lanes();
    run.control = Some(lane("control", 1.1));
    let record = run.record();
    let differs = [WarningKind::ControlDiffers, WarningKind::ControlDiffers];
    assert_eq!(kinds(&record), differs, "in both metrics");
    insta::assert_snapshot!(sentence(&record));
}

#[test]
fn few_rounds_decide_nothing_and_say_how_many_would() {
    for rounds in [1, 5] {
        let mut run = lanes();
        run.rounds = rounds;
        let record = run.record();
        let summary = Summary::of(&record);
        let cell = |lane| summary.cell(ECHO, lane).unwrap();
        assert_eq!(cell("smol").decisive().unwrap().verdict, Some(Verdict::Inconclusive));
        assert_eq!(cell("smol").decisive().unwrap().mde, None);
        assert!(kinds(&record).contains(&WarningKind::TooFewRounds));
        insta::assert_snapshot!(format!("{rounds}-rounds"), sentence(&record));
    }
}

#[test]
fn lane_with_few_rounds_does_not_touch_the_others() {
    let mut run = lanes();
    run.lanes[2].rounds = 0..3;
    let summary = Summary::of(&run.record());
    assert_eq!(figure(&summary, "smol", Metric::OpsPerS).verdict, Some(Verdict::Inconclusive));
    assert_eq!(figure(&summary, "compio", Metric::OpsPerS).verdict, Some(Verdict::Faster));
    insta::assert_snapshot!(summary.workloads[0].sentence);
}

#[test]
fn single_block_has_no_interval_but_a_table() {
    let mut run = lanes();
    (run.rounds, run.blocks) = (1, 1);
    let summary = Summary::of(&run.record());
    assert_eq!(figure(&summary, "smol", Metric::OpsPerS).hi, None);
    assert!(table(&summary, &Style::default()).contains("[unknown]"));
    assert_eq!(serde_json::from_str::<Summary>(&json(&summary)).unwrap(), summary);
}

#[test]
fn killed_run_says_so_and_keeps_what_it_had() {
    let mut record = lanes().record();
    record.footer = None;
    record.blocks.truncate(10 * 20 + 3);
    record.rounds.truncate(10);
    let summary = Summary::of(&record);
    assert_eq!(figure(&summary, "smol", Metric::OpsPerS).verdict, Some(Verdict::Slower));
    assert_eq!(summary.workloads[0].blocks, 203);
    let warning = &summary.warnings[0];
    assert_eq!(warning.kind, WarningKind::Interrupted);
    assert!(warning.message.contains("203 of 240"), "{}", warning.message);
    assert!(warning.remedy.contains("--resume"));
}

#[test]
fn workload_of_more_weight_has_more_blocks_and_the_plan_says_so() {
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
fn workload_that_was_never_begun_keeps_its_cells() {
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
fn empty_record_and_all_lanes_lost_still_give_a_report() {
    let mut record = lanes().record();
    (record.blocks, record.rounds, record.footer) = (Vec::new(), Vec::new(), None);
    assert!(table(&Summary::of(&record), &Style::default()).contains("skipped: not measured"));
    let mut run = lanes();
    for lane in run.lanes.iter_mut().chain(&mut run.control) {
        lane.lost = Some((Status::Failed, "no port was free".to_owned()));
    }
    let record = run.record();
    assert_eq!(sentence(&record), "No lane could be measured; the reasons are given with each.");
    assert!(markdown(&Summary::of(&record)).contains("no port was free"));
}

#[test]
fn reference_alone_has_nothing_to_be_compared_with() {
    let record = run(vec![lane("tokio", 1.0)]).record();
    assert_eq!(sentence(&record), "Only tokio has figures, so there is nothing to compare.");
    assert!(table(&Summary::of(&record), &Style::default()).contains("reference"));
}

#[test]
fn slices_without_operations_have_no_figure() {
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
    assert_eq!(figure(&summary, "compio", Metric::OpsPerS).verdict, Some(Verdict::Faster));
}

#[test]
fn count_of_zero_gets_no_invented_ratio() {
    let summary = Summary::of(&lanes().record());
    let switches = figure(&summary, "compio", Metric::CtxSwitchesPerOp);
    assert_eq!((switches.value, switches.ratio), (0.0, None));
    assert_eq!(switches.verdict, Some(Verdict::Inconclusive));
    let mut record = lanes().record();
    for counts in record.rounds.iter_mut().flat_map(|r| r.lanes.values_mut()) {
        counts.counts = counts.counts.map(|counts| Counts { ctx_switches: 0, ..counts });
    }
    let summary = Summary::of(&record);
    let switches = figure(&summary, "compio", Metric::CtxSwitchesPerOp);
    assert_eq!((switches.ratio, switches.verdict), (Some(1.0), Some(Verdict::Tie)));
}

#[test]
fn a_machine_that_others_were_busy_on_is_told() {
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
    let told = warned(&record).unwrap();
    assert!(told.contains("95 % of the time") && told.contains(ECHO), "{told}");
}

#[test]
fn each_warning_names_a_remedy() {
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
    assert!(summary.warnings.iter().all(|warning| !warning.remedy.is_empty()));
    insta::assert_snapshot!(rtswap_report::warnings(&summary, &Style::default()));
}

#[test]
fn precision_is_reached_only_with_enough_rounds_and_by_width_alone() {
    let mut run = lanes();
    let record = run.record();
    assert!(precise_enough(&record, ECHO, 0.03));
    assert!(!precise_enough(&record, ECHO, 0.001));
    assert!(!precise_enough(&record, "no-such-workload", 0.03));
    run.rounds = 7;
    assert!(!precise_enough(&run.record(), ECHO, 0.5));
}
