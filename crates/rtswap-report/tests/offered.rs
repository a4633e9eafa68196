//! Workloads that are offered a rate: latency, capacity, overload, voided slices.

mod common;

use common::{ECHO, HTTP, Run, http, lane, run};
use rtswap_report::{
    Bound, Cause, Figure, Metric, Role, Summary, WarningKind, json, precise_enough,
};
use rtswap_schema::record::{Record, Status};
use rtswap_schema::workload::Arrivals;
use rtswap_stats::Verdict;

/// Lanes that differ from the reference in nothing, in latency, in its tail, and in CPU time.
fn offered() -> Run {
    let mut run = run(vec![
        lane("tokio", 1.0),
        lane("local", 1.0),
        lane("smol", 1.0).late(1.5, 1.0),
        lane("tail", 1.0).late(1.0, 2.0),
        lane("compio", 0.8).late(0.7, 1.0),
    ]);
    run.workloads = vec![http("60%")];
    run
}

fn figure<'a>(summary: &'a Summary, lane: &str, metric: Metric) -> &'a Figure {
    &summary.cell(HTTP, lane).unwrap().metrics[&metric]
}

fn verdicts(summary: &Summary, lane: &str, metrics: &[Metric]) -> Vec<&'static str> {
    metrics.iter().map(|it| figure(summary, lane, *it).verdict.unwrap().as_str()).collect()
}

#[test]
fn latency_is_compared_by_round() {
    let summary = Summary::of(&offered().record());
    let of = |lane| verdicts(&summary, lane, &Metric::LATENCY);
    assert_eq!(of("local"), ["undecided"; 4]);
    assert_eq!(of("control"), ["undecided"; 4]);
    assert_eq!(of("smol"), ["worse"; 4]);
    assert_eq!(of("compio"), ["better"; 4]);
    assert_eq!(of("tail"), ["undecided", "undecided", "undecided", "worse"]);
    for (lane, metric, ratio) in [
        ("smol", Metric::P50Ns, 1.5),
        ("smol", Metric::P999Ns, 1.5),
        ("tail", Metric::P99Ns, 1.0),
        ("tail", Metric::P999Ns, 2.0),
    ] {
        let figure = figure(&summary, lane, metric);
        let interval = figure.interval().unwrap();
        assert!((interval.ratio / ratio - 1.0).abs() < 0.1, "{lane}: {figure:?}");
        assert!(interval.lo < ratio && ratio < interval.hi.unwrap(), "{lane}: {figure:?}");
    }
    let reference = figure(&summary, "tokio", Metric::P99Ns);
    assert_eq!((reference.ratio, reference.verdict), (None, None));
    let json: serde_json::Value = serde_json::from_str(&json(&summary)).unwrap();
    let smol = &json["cells"].as_array().unwrap()[2]["metrics"];
    for metric in ["p50_ns", "p90_ns", "p99_ns", "p999_ns", "capacity_per_s"] {
        assert!(smol[metric]["ratio"].is_f64(), "{smol}");
    }
}

#[test]
fn each_metric_is_family_of_its_own() {
    let mut run = offered();
    let least = |run: &Run, metric: Metric| {
        let summary = Summary::of(&run.record());
        let lanes = summary.cells.iter().filter(|cell| cell.role == Role::Lane);
        let family = lanes.filter_map(|cell| cell.metrics.get(&metric)?.p);
        (family.min_by(f64::total_cmp).unwrap() * 2.0_f64.powi(12 - 1)).round() as usize
    };
    // The smallest p is multiplied by the comparisons: four lanes, without the control.
    for metric in [Metric::P99Ns, Metric::CpuNsPerOp] {
        assert_eq!(least(&run, metric), 4);
    }
    run.lanes.drain(1..4);
    assert_eq!(least(&run, Metric::CpuNsPerOp), 1);
}

#[test]
fn latency_has_no_false_alarm_without_difference() {
    let mut run = offered();
    run.lanes = ["tokio", "a", "b", "c"].map(|name| lane(name, 1.0)).to_vec();
    (run.blocks, run.samples) = (1, 2_000);
    let alarms = (0..25).filter(|seed| {
        run.seed = 100 + seed;
        let summary = Summary::of(&run.record());
        let figures = summary.cells.iter().flat_map(|cell| &cell.metrics);
        let mut latency = figures.filter(|(metric, _)| Metric::LATENCY.contains(metric));
        latency.any(|(_, it)| it.is(Verdict::Better) || it.is(Verdict::Worse))
    });
    let alarms = alarms.count();
    assert!(alarms <= 2, "{alarms} of 25 runs");
}

#[test]
fn percentile_needs_ten_samples_above_it() {
    for (samples, has_p999, merged) in [(9_990, false, [true, true]), (10_010, true, [true, true])]
    {
        let mut run = offered();
        run.samples = samples;
        let summary = Summary::of(&run.record());
        let cell = summary.cell(HTTP, "smol").unwrap();
        assert_eq!(cell.metrics.contains_key(&Metric::P999Ns), has_p999, "{samples}");
        assert!(cell.metrics.contains_key(&Metric::P99Ns));
        let latency = cell.latency_ns.unwrap();
        assert_eq!([latency.p999, latency.p9999].map(|it| it.is_some()), merged);
        assert!(latency.p50 < latency.p90 && latency.p90 < latency.p99);
        assert!(Some(latency.p99) < latency.p999 && latency.p999 < latency.p9999);
    }
    let latency = |samples| {
        let mut run = offered();
        run.samples = samples;
        Summary::of(&run.record()).cell(HTTP, "smol").unwrap().latency_ns.unwrap()
    };
    assert_eq!((latency(8_000).p999.is_some(), latency(8_000).p9999), (true, None));
    assert_eq!(latency(800).p999, None);
}

#[test]
fn rounds_without_percentile_are_left_out() {
    let mut record = offered().record();
    let few = {
        let mut run = offered();
        run.samples = 2_000;
        run.record()
    };
    record.rounds[..8].clone_from_slice(&few.rounds[..8]);
    let summary = Summary::of(&record);
    let p999 = figure(&summary, "smol", Metric::P999Ns);
    assert_eq!(p999.cause, Some(Cause::TooFewRounds), "four rounds have one: {p999:?}");
    assert_eq!(figure(&summary, "smol", Metric::P99Ns).verdict, Some(Verdict::Worse));
}

#[test]
fn closed_loop_has_latency_with_verdict_and_no_capacity() {
    let mut run = offered();
    run.workloads = vec![common::echo()];
    let mut record = run.record();
    for its in record.rounds.iter_mut().flat_map(|round| round.lanes.values_mut()) {
        its.capacity_per_s = Some(100_000.0);
    }
    for (lane, its) in record.rounds.iter_mut().flat_map(|round| &mut round.lanes) {
        if lane == "smol" {
            its.latency_hdr = Some(common::latencies(1.5));
        }
    }
    let summary = Summary::of(&record);
    let cell = summary.cell(ECHO, "smol").unwrap();
    for metric in [Metric::P50Ns, Metric::P99Ns, Metric::P999Ns] {
        let figure = &cell.metrics[&metric];
        assert_eq!(figure.verdict, Some(Verdict::Worse), "{metric:?}");
        assert!((figure.ratio.unwrap() - 1.5).abs() < 0.01, "{figure:?}");
    }
    assert!(!cell.metrics.contains_key(&Metric::CapacityPerS));
    let workload = &summary.workloads[0];
    assert_eq!((workload.arrivals, workload.offered_per_s), (None, None));
    assert!(workload.sentence.contains("closed-loop latency is 50 % higher on smol"));
}

#[test]
fn capacity_is_compared_higher_is_better() {
    let mut run = offered();
    run.seed = 8;
    run.lanes[2].cost = 2.0;
    run.lanes[4].cost = 0.5;
    let summary = Summary::of(&run.record());
    let capacity = |lane| figure(&summary, lane, Metric::CapacityPerS);
    assert_eq!(capacity("smol").verdict, Some(Verdict::Worse));
    assert_eq!(capacity("compio").verdict, Some(Verdict::Better));
    assert_eq!(capacity("local").verdict, Some(Verdict::Undecided));
    assert!((capacity("compio").ratio.unwrap() - 2.0).abs() < 0.5);
    assert!(capacity("compio").value > 1.5 * capacity("tokio").value);
}

#[test]
fn cpu_time_alone_is_timed_and_decides() {
    let mut run = offered();
    // Lane and generator use their CPUs to the full, which would make operations per second decide.
    run.workloads = vec![http("123k")];
    run.load_ns = 7_900.0;
    let record = run.record();
    let summary = Summary::of(&record);
    let name = run.workloads[0].name.as_str();
    for cell in &summary.cells {
        assert_eq!(cell.deciding, Some(Metric::CpuNsPerOp));
        let per_s = &cell.metrics[&Metric::OpsPerS];
        assert!((per_s.value / 123_000.0 - 1.0).abs() < 0.01);
        assert_eq!((per_s.ratio, per_s.verdict, &per_s.why), (None, None, &None));
    }
    let compio = summary.cell(name, "compio").unwrap();
    assert_eq!(compio.bound, Some(Bound::Generator));
    let compio = compio.decisive().unwrap();
    assert_eq!(compio.verdict, Some(Verdict::Better));
    let workload = &summary.workloads[0];
    assert_eq!((workload.deciding, workload.rounds_needed), (Metric::CpuNsPerOp, 8));
    assert_eq!((workload.offered_per_s, workload.offered_share), (Some(123_000.0), None));
    assert!(!workload.mde.contains_key(&Metric::OpsPerS));
    assert!(summary.warnings.is_empty(), "{:?}", summary.warnings);
    // Four comparisons need eight rounds.
    run.rounds = 8;
    assert!(precise_enough(&run.record(), name, 0.08));
    run.rounds = 7;
    assert!(!precise_enough(&run.record(), name, 0.5));
}

#[test]
fn workload_has_rate_and_arrivals() {
    let summary = Summary::of(&offered().record());
    let workload = &summary.workloads[0];
    assert_eq!((workload.offered_per_s, workload.offered_share), (Some(21_300.0), Some(0.6)));
    assert_eq!(workload.arrivals, Some(Arrivals::Constant));
    assert_eq!((workload.late_p99_ns, workload.late_max_ns), (Some(12_000.0), Some(900_000)));
    let text = json(&summary);
    assert!(text.contains("\"arrivals\": \"constant\""));
    assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), summary);
}

#[test]
fn lane_is_overloaded_if_backlog_grows_in_most_slices() {
    let mut run = offered();
    run.lanes[2].growth = 0.3;
    let record = run.record();
    let summary = Summary::of(&record);
    let smol = summary.cell(HTTP, "smol").unwrap();
    assert_eq!(smol.status, Status::Overloaded);
    let reason = smol.reason.as_deref().unwrap();
    for part in ["30 %", "21,300 requests/s", "its capacity: ", "lower rate"] {
        assert!(reason.contains(part), "{part}: {reason}");
    }
    assert_eq!((smol.latency_ns, smol.deciding), (None, None));
    let capacity = &smol.metrics[&Metric::CapacityPerS];
    assert_eq!((smol.metrics.len(), capacity.ratio, capacity.verdict), (1, None, None));
    assert_eq!(figure(&summary, "compio", Metric::CpuNsPerOp).verdict, Some(Verdict::Better));
    // It takes part in no comparison, so the others need fewer rounds: 3 lanes.
    assert_eq!(summary.workloads[0].rounds_needed, 7);
    let p = figure(&summary, "compio", Metric::CpuNsPerOp).p.unwrap();
    assert!(p <= 3.0 * 2.0_f64.powi(1 - 12));
    assert!(precise_enough(&record, HTTP, 0.03));
}

/// The same record, the backlog of a lane growing by `growth` in the first `slices` slices alone.
fn growing(record: &Record, name: &str, growth: f64, slices: usize) -> Record {
    let mut record = record.clone();
    let all = record.blocks.iter_mut().flat_map(|block| &mut block.slices);
    for slice in all.filter(|slice| slice.lane == name).take(slices) {
        let offered = slice.offered.as_mut().unwrap();
        offered.backlog_end = offered.backlog_start + (offered.ops as f64 * growth) as u64;
    }
    record
}

#[test]
fn overload_needs_growth_in_more_than_half_of_slices() {
    let record = offered().record();
    let status = |growth, slices| {
        let summary = Summary::of(&growing(&record, "smol", growth, slices));
        summary.cell(HTTP, "smol").unwrap().status
    };
    assert_eq!(status(0.5, 120), Status::Ok);
    assert_eq!(status(0.5, 121), Status::Overloaded);
    assert_eq!(status(0.04, 240), Status::Ok);
    assert_eq!(status(0.06, 240), Status::Overloaded);
    // Slices that do not count are no evidence.
    let mut voided = growing(&record, "smol", 0.5, 130);
    for block in &mut voided.blocks[..30] {
        for slice in &mut block.slices {
            slice.voided = Some("the load generator was interrupted".to_owned());
        }
    }
    let summary = Summary::of(&voided);
    assert_eq!(summary.cell(HTTP, "smol").unwrap().status, Status::Ok);
}

#[test]
fn overloaded_reference_is_named_with_remedy() {
    let mut run = offered();
    run.lanes[0].growth = 0.3;
    let record = run.record();
    let summary = Summary::of(&record);
    let cpu = figure(&summary, "smol", Metric::CpuNsPerOp);
    assert_eq!((cpu.ratio, cpu.cause), (None, Some(Cause::NoReference)));
    assert_eq!(cpu.why.as_deref(), Some("the reference tokio is overloaded; offer a lower rate"));
    insta::assert_snapshot!(summary.workloads[0].sentence);
    assert!(!precise_enough(&record, HTTP, 1.0));
}

#[test]
fn warnings_name_overloaded_control() {
    let mut run = offered();
    run.control = Some(lane("control", 1.0).growing(0.2));
    let summary = Summary::of(&run.record());
    let [warning] = &summary.warnings[..] else { panic!("{:?}", summary.warnings) };
    assert_eq!(warning.kind, WarningKind::NoControl);
    assert!(warning.message.contains("overloaded") && warning.remedy.contains("lower rate"));
}

#[test]
fn control_that_differs_in_latency_is_named_where_latency_is() {
    let mut run = offered();
    run.control = Some(lane("control", 1.0).late(1.5, 1.0));
    let summary = Summary::of(&run.record());
    assert_eq!(figure(&summary, "smol", Metric::P99Ns).cause, Some(Cause::ControlDiffers));
    assert_eq!(figure(&summary, "compio", Metric::CpuNsPerOp).verdict, Some(Verdict::Better));
    let sentence = &summary.workloads[0].sentence;
    assert!(sentence.contains("undecided in latency: the control differs"), "{sentence}");
}

/// The same record with every n-th slice of a lane voided and disturbed.
fn voiding(record: &Record, name: &str, every: usize) -> Record {
    let mut record = record.clone();
    let all = record.blocks.iter_mut().flat_map(|block| &mut block.slices);
    for slice in all.filter(|slice| slice.lane == name).step_by(every) {
        slice.voided = Some("the load generator was interrupted for 30 ms".to_owned());
        slice.cpu_ns *= 50;
        let offered = slice.offered.as_mut().unwrap();
        (offered.late_p99_ns, offered.late_max_ns) = (Some(30_000_000), Some(30_000_000));
    }
    record
}

#[test]
fn voided_slices_count_nowhere() {
    let record = offered().record();
    let mut without = record.clone();
    for (at, block) in without.blocks.iter_mut().enumerate() {
        block.slices.retain(|slice| slice.lane != "smol" || at % 2 != 0);
    }
    let mut summary = Summary::of(&voiding(&record, "smol", 2));
    assert_eq!(summary.workloads[0].voided_slices, 120);
    assert_eq!(summary.workloads[0].late_max_ns, Some(900_000));
    summary.workloads[0].voided_slices = 0;
    summary.warnings.clear();
    assert_eq!(json(&summary), json(&Summary::of(&without)));
}

#[test]
fn warnings_name_voided_slices() {
    let record = offered().record();
    let warned = |every| {
        let summary = Summary::of(&voiding(&record, "smol", every));
        summary.warnings.into_iter().find(|it| it.kind == WarningKind::Voided)
    };
    // One of six lanes: 5.6 and 4.2 % of all slices.
    let warning = warned(3).unwrap();
    assert!(warning.message.contains("5.6 %") && warning.remedy.contains("quiet machine"));
    assert_eq!(warning.workloads, [HTTP]);
    assert!(warned(4).is_none());
}

#[test]
fn lane_without_counted_slice_is_skipped() {
    let summary = Summary::of(&voiding(&offered().record(), "smol", 1));
    let smol = summary.cell(HTTP, "smol").unwrap();
    assert_eq!(smol.status, Status::Skipped);
    assert!(smol.reason.as_ref().unwrap().contains("interrupted for 30 ms"));
}

#[test]
fn ops_per_wait_is_median_over_rounds() {
    let mut run = offered();
    run.workloads.push(common::echo());
    run.lanes[1].ops_per_wait = Some(12.5);
    let mut record = run.record();
    let rounds = record.rounds.iter_mut().filter(|round| round.workload == HTTP);
    for round in rounds.take(7) {
        let counts = round.lanes.get_mut("local").unwrap().counts.as_mut().unwrap();
        counts.waits = Some(0);
    }
    let summary = Summary::of(&record);
    for workload in [HTTP, ECHO] {
        let per_wait = |lane| summary.cell(workload, lane).unwrap().ops_per_wait;
        assert!((per_wait("local").unwrap() - 12.5).abs() < 0.1);
        assert_eq!(per_wait("tokio"), None);
    }
}
