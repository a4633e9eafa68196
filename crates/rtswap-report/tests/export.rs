//! A small record in the formats of other tools.

mod common;

use common::{ECHO, HTTP, Run, http, lane, run};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use rtswap_report::Summary;
use rtswap_report::export::{Direction, Export, ExportError, Exported, Format};
use rtswap_schema::record::{Record, Status};
use serde_json::Value;

const ALL: [Format; 6] = [
    Format::Benchfmt,
    Format::Bmf,
    Format::GithubActionBenchmark(Direction::LowerIsBetter),
    Format::Junit,
    Format::Openmetrics,
    Format::Csv,
];

/// A run of two workloads, with a lane that failed and one that is unsupported.
fn small() -> Run {
    let mut small = run(vec![
        lane("tokio", 1.0),
        lane("tokio-events-8", 1.3),
        lane("mine", 1.0).lost(Status::Failed, "it exited with 1: \"<no> & 'yes'\""),
        lane("monoio", 1.0).lost(Status::Unsupported, "io_uring is forbidden; run outside"),
    ]);
    small.workloads.push(http("60%"));
    (small.rounds, small.blocks, small.samples) = (7, 2, 2_000);
    small
}

fn written_of(record: &Record, format: Format, lanes: &[&str]) -> Result<Exported, ExportError> {
    let summary = Summary::of(record);
    let mut export = Export::of(record, &summary);
    export.retain_cells(|cell| lanes.is_empty() || lanes.contains(&cell.lane.as_str()));
    export.write(format)
}

fn written(record: &Record, format: Format) -> String {
    written_of(record, format, &[]).unwrap().text
}

/// One cell with latencies in the format.
fn of_cell(record: &Record, format: Format, workload: &str) -> Result<Exported, ExportError> {
    let summary = Summary::of(record);
    let mut export = Export::of(record, &summary);
    export.retain_cells(|cell| cell.name == workload && cell.lane == "tokio");
    export.write(format)
}

#[test]
fn formats_of_a_small_record() {
    let mut small = small();
    small.workloads.truncate(1);
    let record = small.record();
    insta::assert_snapshot!("benchfmt", written(&record, Format::Benchfmt));
    insta::assert_snapshot!("bmf", written(&record, Format::Bmf));
    insta::assert_snapshot!(
        "github-bigger",
        written(&record, Format::GithubActionBenchmark(Direction::HigherIsBetter))
    );
    insta::assert_snapshot!("junit", written(&record, Format::Junit));
    insta::assert_snapshot!("openmetrics", written(&record, Format::Openmetrics));
    insta::assert_snapshot!("csv", written(&record, Format::Csv));
    let critcmp = written_of(&record, Format::Critcmp, &["tokio-events-8"]).unwrap().text;
    insta::assert_snapshot!("critcmp", critcmp);
    insta::assert_snapshot!("hgrm", of_cell(&record, Format::Hgrm, ECHO).unwrap().text);
}

#[test]
fn cell_without_figures_is_never_a_figure() {
    let record = small().record();
    for format in ALL {
        let text = written(&record, format);
        let lists_all = matches!(format, Format::Junit | Format::Csv);
        assert_eq!(text.contains("monoio"), lists_all, "{format:?}");
    }
    let csv = written(&record, Format::Csv);
    let row = csv.lines().find(|row| row.contains(",monoio,")).unwrap();
    let reason = "io_uring is forbidden; run outside";
    assert_eq!(row, format!("{ECHO},monoio,tokio,lane,unsupported,{reason},,,,,,,,,,,,,,,7"));
    let none = written_of(&record, Format::Critcmp, &["mine"]);
    assert!(matches!(none, Err(ExportError::Nothing { .. })), "{none:?}");
}

#[test]
fn infinite_figures_are_left_out() {
    let mut record = small().record();
    for block in &mut record.blocks {
        for slice in block.slices.iter_mut().filter(|slice| slice.lane == "tokio-events-8") {
            // CPU time, and one operation in every tenth slice.
            slice.ops = u64::from(block.round == 0 && block.block == 0);
        }
    }
    let summary = Summary::of(&record);
    let value = summary.cell(ECHO, "tokio-events-8").unwrap().metrics
        [&rtswap_report::Metric::CpuNsPerOp]
        .value;
    assert!(value.is_infinite());
    for format in ALL {
        let text = written(&record, format);
        for word in ["inf", "Inf", "NaN", "null"] {
            assert!(!text.contains(word), "{format:?} has {word}: {text}");
        }
    }
}

#[test]
fn offered_operations_are_no_series() {
    let csv = written(&small().record(), Format::Csv);
    assert!(csv.contains(&format!("{ECHO},tokio,,reference,ok,,ops_per_s,")));
    assert!(!csv.contains(&format!("{HTTP},tokio,,reference,ok,,ops_per_s,")));
    assert!(csv.contains(&format!("{HTTP},tokio,,reference,ok,,capacity_per_s,")));
}

#[test]
fn benchfmt_has_one_line_for_each_round() {
    let run = small();
    let exported = written_of(&run.record(), Format::Benchfmt, &[]).unwrap();
    let name = "BenchmarkTcpEcho/size=1024/conns=32/lane=tokio-events-8-1 ";
    let lines: Vec<_> = exported.text.lines().filter(|line| line.starts_with(name)).collect();
    assert_eq!(lines.len(), 7, "a line for each round, not for each of the 14 blocks");
    for (line, unit) in lines.iter().flat_map(|line| ["cpu-ns/op", "ops/s"].map(|it| (line, it))) {
        assert!(line.contains(&format!(" {unit}")), "{line}");
        let declared =
            exported.text.lines().any(|it| it.starts_with(&format!("Unit {unit} better=")));
        assert!(declared, "benchstat does not know the direction of {unit}");
    }
    assert!(exported.notes.iter().any(|note| note.contains("unpaired")), "{:?}", exported.notes);
}

#[test]
fn github_has_one_direction_in_a_file() {
    let record = small().record();
    let names = |direction| -> Vec<String> {
        let text = written(&record, Format::GithubActionBenchmark(direction));
        let all: Vec<Value> = serde_json::from_str(&text).unwrap();
        all.iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    };
    let smaller = names(Direction::LowerIsBetter);
    let bigger = names(Direction::HigherIsBetter);
    let ops = format!("{ECHO}/lane=tokio/ops_per_s");
    let cpu = format!("{ECHO}/lane=tokio/cpu_ns_per_op");
    assert!(bigger.contains(&ops) && !smaller.contains(&ops));
    assert!(smaller.contains(&cpu) && !bigger.contains(&cpu));
    let mut all = [smaller, bigger].concat();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count, "names are unique");
}

#[test]
fn github_ranges_are_what_the_action_reads() {
    let text = written(&small().record(), Format::GithubActionBenchmark(Direction::LowerIsBetter));
    let all: Vec<Value> = serde_json::from_str(&text).unwrap();
    let ranges: Vec<&str> = all.iter().filter_map(|it| it["range"].as_str()).collect();
    assert!(!ranges.is_empty());
    for range in ranges {
        // Its pattern: (\+-|±)\s*\d.+, then a number.
        let number = range.strip_prefix("± ").unwrap();
        assert!(number.len() >= 2 && number.parse::<f64>().is_ok(), "{range}");
        assert!(number.chars().all(|c| c.is_ascii_digit() || c == '.'), "{range}");
    }
}

#[test]
fn intervals_hold_their_figures() {
    let record = small().record();
    let summary = Summary::of(&record);
    let export = Export::of(&record, &summary);
    let with_interval =
        export.series().iter().filter_map(|it| Some((it, it.interval?))).collect::<Vec<_>>();
    assert!(with_interval.len() > 20);
    for (series, (lo, hi)) in with_interval {
        assert!(lo <= series.value && series.value <= hi, "{series:?}");
    }
}

#[test]
fn critcmp_and_hdr_need_one_choice() {
    let record = small().record();
    let several = |format, lanes: &[&str]| match written_of(&record, format, lanes) {
        Err(error @ ExportError::Several { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let lanes = several(Format::Critcmp, &[]);
    assert!(
        lanes.contains("one lane: choose it with --lane, out of control, tokio and"),
        "{lanes}"
    );
    let both = several(Format::Hlog, &[]);
    assert!(both.contains("one cell: choose it with --workload and --lane"), "{both}");
    let workload = several(Format::Hgrm, &["tokio"]);
    assert!(workload.contains("choose it with --workload, out of"), "{workload}");
}

#[test]
fn hlog_reads_back_as_the_rounds_of_the_record() {
    let record = small().record();
    let log = of_cell(&record, Format::Hlog, HTTP).unwrap().text;
    let mut rounds = record.rounds.iter().filter(|round| round.workload == HTTP);
    let mut end = 0.0;
    for entry in IntervalLogIterator::new(log.as_bytes()) {
        let LogEntry::Interval(interval) = entry.unwrap() else { continue };
        let bytes = base64_decoded(interval.encoded_histogram());
        let read: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
        let text = rounds.next().unwrap().lanes["tokio"].latency_hdr.as_ref().unwrap();
        assert_eq!(read, rtswap_schema::histogram::decode(text).unwrap());
        assert_eq!(interval.tag().map(|tag| tag.as_str()), Some("tokio"));
        assert!((interval.start_timestamp().as_secs_f64() - end).abs() < 2e-3);
        end = interval.start_timestamp().as_secs_f64() + interval.duration().as_secs_f64();
    }
    assert!(rounds.next().is_none(), "an interval for each round");
    assert!(end > 0.0);
}

fn base64_decoded(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

#[test]
fn damaged_histogram_is_named() {
    let mut record = small().record();
    let round = record.rounds.iter_mut().find(|it| it.workload == ECHO && it.round == 2).unwrap();
    round.lanes.get_mut("tokio").unwrap().latency_hdr = Some("AAAA".to_owned());
    let error = of_cell(&record, Format::Hgrm, ECHO).unwrap_err().to_string();
    assert!(error.starts_with("the latencies of tokio in round 2 cannot be read: "), "{error}");
}

#[test]
fn overloaded_lane_has_its_capacity_alone() {
    let mut run = run(vec![lane("tokio", 1.0), lane("slow", 1.0).growing(0.5)]);
    run.workloads = vec![http("60%")];
    (run.rounds, run.blocks, run.samples) = (7, 2, 2_000);
    let record = run.record();
    let csv = written(&record, Format::Csv);
    let rows: Vec<_> = csv.lines().filter(|row| row.contains(",slow,")).collect();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert!(rows[0].contains(",overloaded,") && rows[0].contains(",capacity_per_s,"), "{rows:?}");
    assert!(written(&record, Format::Junit).contains("<skipped message=\"overloaded: "));
}
