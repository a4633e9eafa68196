//! Names that no lane and no workload should have, in each format.

mod common;

use std::collections::BTreeSet;

use common::{lane, own, run};
use proptest::prelude::*;
use quick_xml::events::Event;
use rtswap_report::Summary;
use rtswap_report::export::{Direction, Export, ExportError, Exported, Format};
use rtswap_schema::record::{Record, Status};
use serde_json::Value;

/// A record with lanes of these names, the last one failed for this reason.
fn record(workload: &str, lanes: &[&str], reason: &str) -> Record {
    let mut all: Vec<_> = lanes.iter().map(|name| lane(name, 1.0)).collect();
    if let Some(last) = all.pop() {
        all.push(last.lost(Status::Failed, reason));
    }
    let mut run = run(all);
    run.workloads = vec![own(workload, "task", "one task")];
    (run.rounds, run.blocks) = (2, 1);
    run.record()
}

fn written(record: &Record, format: Format) -> Result<Exported, ExportError> {
    let summary = Summary::of(record);
    Export::of(record, &summary).write(format)
}

fn text(record: &Record, format: Format) -> String {
    written(record, format).unwrap().text
}

fn bmf_names(record: &Record) -> Vec<String> {
    let value: Value = serde_json::from_str(&text(record, Format::Bmf)).unwrap();
    value.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn bencher_suppresses_no_alert() {
    let names = ["tokio", "x_bencher_ignore", "xBencherIgnore", "x-bencher-ignore", "lost"];
    let names = bmf_names(&record("spawn", &names, "it failed"));
    assert_eq!(names.len(), 5, "four lanes and the control: {names:?}");
    for name in names {
        for suffix in ["_bencher_ignore", "BencherIgnore", "-bencher-ignore"] {
            assert!(!name.ends_with(suffix), "{name}");
        }
    }
}

#[test]
fn too_long_name_is_an_error_in_bmf_alone() {
    let long = "x".repeat(1100);
    let record = record("spawn", &["tokio", &long, "lost"], "it failed");
    let error = written(&record, Format::Bmf).unwrap_err().to_string();
    assert!(error.contains("1111 bytes") && error.lines().count() == 1, "{error}");
    assert!(text(&record, Format::Csv).contains(&long));
}

#[test]
fn numbers_after_names_are_kept() {
    let record = record("spawn/tasks=8", &["tokio", "tokio-8", "lost"], "it failed");
    let benchfmt = text(&record, Format::Benchfmt);
    // benchstat takes the last number for that of the CPUs.
    assert!(benchfmt.contains("BenchmarkSpawn/tasks=8/lane=tokio-8-1 "), "{benchfmt}");
}

/// The cases of a JUnit file, with the messages of their failures.
fn cases(xml: &str) -> Vec<(String, Option<String>)> {
    let mut reader = quick_xml::Reader::from_str(xml);
    let mut cases: Vec<(String, Option<String>)> = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Eof => return cases,
            Event::Start(tag) | Event::Empty(tag) => {
                let attribute = |name: &str| {
                    let value = tag.try_get_attribute(name).unwrap()?;
                    Some(
                        value
                            .normalized_value(quick_xml::XmlVersion::Implicit1_0)
                            .unwrap()
                            .into_owned(),
                    )
                };
                match tag.name().as_ref() {
                    "testcase" => cases.push((attribute("name").unwrap(), None)),
                    "failure" => cases.last_mut().unwrap().1 = attribute("message"),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

/// Text with everything that a format may trip over.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = [
        "a",
        "B",
        "7",
        "\"",
        "'",
        ",",
        "\n",
        "\r",
        "\t",
        " ",
        "\0",
        "\u{1b}[31m",
        "<",
        "]]>",
        "&amp;",
        "=",
        "/",
        "\\",
        "%20",
        "{}",
        "#",
        "é",
        "日本",
        "\u{2028}",
        "\u{a0}",
        "\u{ffff}",
        "_bencher_ignore",
        "# EOF",
        ":",
        "-8",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 1..5).prop_map(|it| it.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn hostile_names_break_no_format(
        workload in hostile(),
        first in hostile(),
        second in hostile(),
        reason in hostile(),
    ) {
        prop_assume!(first != second && first != "control" && second != "control");
        prop_assume!(![first.as_str(), second.as_str()].contains(&"lost"));
        let record = record(&workload, &[&first, &second, "lost"], &reason);

        let names: BTreeSet<String> = bmf_names(&record).into_iter().collect();
        prop_assert_eq!(names.len(), 3);

        let benchfmt = text(&record, Format::Benchfmt);
        for line in benchfmt.lines().filter(|line| line.starts_with("Benchmark")) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            prop_assert!(fields.len() >= 4 && fields.len().is_multiple_of(2), "{}", line);
            prop_assert!(fields[1].parse::<u64>().is_ok(), "{}", line);
        }
        let lines = benchfmt.lines().filter(|line| line.starts_with("Benchmark")).count();
        prop_assert_eq!(lines, 6, "{}", benchfmt);

        let github = text(&record, Format::GithubActionBenchmark(Direction::LowerIsBetter));
        let github: Vec<Value> = serde_json::from_str(&github).unwrap();
        let unique: BTreeSet<&str> = github.iter().map(|it| it["name"].as_str().unwrap()).collect();
        prop_assert_eq!(unique.len(), github.len());

        let junit = text(&record, Format::Junit);
        // XML 1.0 has no other characters, even escaped.
        let allowed = |c: char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
        prop_assert!(junit.lines().all(|line| line.chars().all(allowed)), "{:?}", junit);
        let cases = cases(&junit);
        let unique: BTreeSet<&String> = cases.iter().map(|(name, _)| name).collect();
        prop_assert_eq!(unique.len(), 4);
        let failed = cases.iter().filter(|(_, message)| message.is_some()).count();
        prop_assert_eq!(failed, 1);

        let csv = text(&record, Format::Csv);
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let lanes: BTreeSet<&str> = rows.iter().map(|row| &row[1]).collect();
        prop_assert!(lanes.contains(first.as_str()) && lanes.contains(second.as_str()));
        prop_assert!(rows.iter().all(|row| row[0] == *workload));

        let metrics = text(&record, Format::Openmetrics);
        prop_assert!(metrics.ends_with("\n# EOF\n"));
        for line in metrics.split('\n').filter(|line| !line.is_empty() && !line.starts_with('#')) {
            prop_assert!(line.starts_with("rtswap_"), "{}", line);
            let value = line.rsplit(' ').next().unwrap();
            prop_assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{}", line);
        }
    }
}
