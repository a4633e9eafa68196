//! Tables, pages and sentences of workloads that are offered a rate.

mod common;

use common::{HTTP, Run, echo, http, lane, own, run};
use rtswap_report::{Style, Summary, markdown, table};
use rtswap_schema::record::Status;
use rtswap_schema::workload::ParamValue;

fn gallery() -> Run {
    let mut run = run(vec![
        lane("tokio", 1.0),
        lane("tokio-local", 1.0),
        lane("smol", 1.28).calls(4.0, 0.05).late(1.5, 1.0),
        lane("compio", 0.8).calls(0.1, 0.0).late(0.7, 3.0),
        lane("pause.py", 1.9).late(2.4, 1.0).stalling(110_000_000),
        lane("asyncio", 2.5).growing(0.34),
        lane("tokio-uring", 1.0).lost(Status::Unsupported, "io_uring is blocked (EPERM)"),
    ]);
    for (lane, per_wait) in run.lanes.iter_mut().zip([3.1, 2.2, 1.04, 24.6, 1.5, 1.2, 1.0]) {
        lane.ops_per_wait = Some(per_wait);
    }
    run.workloads = vec![http("60%")];
    run
}

fn at(width: usize) -> Style {
    Style { width, ..Style::default() }
}

fn sentence(run: &Run) -> String {
    Summary::of(&run.record()).workloads[0].sentence.clone()
}

#[test]
fn table_of_offered_rate_fits_widths() {
    let mut record = gallery().record();
    record.blocks[0].slices[0].voided = Some("the load generator was interrupted".to_owned());
    let summary = Summary::of(&record);
    for width in [80, 100, 150, 200] {
        insta::assert_snapshot!(format!("offered-{width}"), table(&summary, &at(width)));
    }
}

#[test]
fn markdown_of_offered_rate_has_all_columns() {
    insta::assert_snapshot!(markdown(&Summary::of(&gallery().record())));
}

#[test]
fn table_of_offered_rate_is_never_wider_than_terminal() {
    let summary = Summary::of(&gallery().record());
    for width in 64..220 {
        let text = table(&summary, &at(width));
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= width && text.is_ascii(), "{widest} > {width}\n{text}");
    }
}

#[test]
fn colors_of_latency_are_those_of_its_verdicts() {
    let style = Style { width: 200, color: true, unicode: true };
    let text = table(&Summary::of(&gallery().record()), &style);
    let row = |lane: &str| text.lines().find(|line| line.contains(lane)).unwrap();
    // compio: less CPU time and a lower 99th percentile, but a longer tail.
    let colors =
        |row: &str| (row.matches("\u{1b}[38;5;2m").count(), row.matches("\u{1b}[38;5;1m").count());
    assert_eq!(colors(row("compio")), (5, 1), "{:?}", row("compio"));
    assert_eq!(colors(row("tokio-local")), (0, 0), "{:?}", row("tokio-local"));
}

#[test]
fn heading_has_rate_and_arrivals() {
    for (arrivals, words) in [
        (
            "constant",
            "offered 21,300 requests/s (60 % of the slowest lane's capacity, at equal intervals)",
        ),
        (
            "poisson",
            "offered 21,300 requests/s (60 % of the slowest lane's capacity, Poisson arrivals)",
        ),
        (
            "burst:8",
            "offered 21,300 requests/s (60 % of the slowest lane's capacity, in bursts of 8)",
        ),
    ] {
        let mut run = gallery();
        let arrivals = ParamValue::Name(arrivals.to_owned());
        run.workloads[0].params.insert("arrivals".to_owned(), arrivals);
        let summary = Summary::of(&run.record());
        for text in [table(&summary, &at(200)), markdown(&summary)] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
    let mut run = gallery();
    run.workloads = vec![http("20k")];
    let text = table(&Summary::of(&run.record()), &at(200));
    assert!(text.contains("offered 20,000 requests/s (at equal intervals)"), "{text}");
    let mut record = gallery().record();
    record.offered_rates.clear();
    let text = table(&Summary::of(&record), &at(200));
    assert!(text.contains("offered at a rate that the record does not state"), "{text}");
}

#[test]
fn closed_loop_has_column_of_ops_per_wait_and_is_named() {
    let mut run = gallery();
    run.workloads.push(echo());
    let summary = Summary::of(&run.record());
    for text in [table(&summary, &at(280)), markdown(&summary)] {
        assert_eq!(text.matches("ops/wait").count(), 3, "two tables and the legend: {text}");
        let words = text.replace('\n', " ");
        assert!(words.contains("a closed loop at saturation, in which"), "{text}");
    }
    run.workloads = vec![own("spawn", "task", "one task spawned and joined")];
    let text = table(&Summary::of(&run.record()), &at(200));
    assert!(!text.contains("saturation") && !text.contains("offered"), "{text}");
}

#[test]
fn sentence_on_latency_names_differences_alone() {
    let mut run = gallery();
    run.lanes.truncate(4);
    insta::assert_snapshot!(sentence(&run));
    run.lanes.truncate(2);
    insta::assert_snapshot!("no-difference-in-latency", sentence(&run));
    // Too few rounds for sixteen comparisons in latency, enough for four in CPU time.
    run = gallery();
    run.lanes.truncate(4);
    run.rounds = 8;
    insta::assert_snapshot!("latency-undecided", sentence(&run));
}

#[test]
fn sentence_names_lane_that_stalls() {
    let run = gallery();
    let text = sentence(&run);
    assert!(text.contains("pause.py stalls: its longest latency of 110 ms is "), "{text}");
    assert!(text.contains("times its 99th percentile"), "{text}");
    assert_eq!(text.matches("stalls").count(), 1, "{text}");
    // As long a latency as the machine's.
    let mut both = gallery();
    both.control = Some(lane("control", 1.0).stalling(110_000_000));
    let text = sentence(&both);
    assert!(!text.contains("stalls") && text.contains("the machine may be the cause"), "{text}");
    // Once is an accident.
    let mut record = run.record();
    let once = {
        let mut run = gallery();
        run.lanes[4].stall_ns = None;
        run.record()
    };
    record.rounds[2..].clone_from_slice(&once.rounds[2..]);
    let text = Summary::of(&record).workloads[0].sentence.clone();
    assert!(!text.contains("longest latency"), "{text}");
    // Long, but not out of proportion.
    let mut slight = gallery();
    slight.lanes[4].stall_ns = Some(15_000_000);
    assert!(!sentence(&slight).contains("longest latency"));
}

#[test]
fn sentence_names_overloaded_lanes() {
    let mut run = gallery();
    let text = sentence(&run);
    let one = "asyncio is overloaded and does not keep up with 21,300 requests per second.";
    assert!(text.ends_with(one), "{text}");
    run.lanes[2].growth = 0.2;
    assert!(sentence(&run).contains("smol and asyncio are overloaded and do not keep up"));
    for lane in &mut run.lanes[1..] {
        lane.growth = 0.2;
    }
    let text = sentence(&run);
    assert!(
        text.starts_with("Only tokio has figures") && text.contains("are overloaded"),
        "{text}"
    );
    let cell = Summary::of(&run.record());
    assert_eq!(cell.cell(HTTP, "smol").unwrap().status, Status::Overloaded);
}
