//! A sweep over a quantity, from a record that is published with its plots.

use std::fs;
use std::path::PathBuf;

use rtswap_report::sweep::Sweep;
use rtswap_report::{Style, Summary, plot};
use rtswap_schema::record::{Line, Record};

fn published(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../results").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn sweep_over_quantity_has_published_plots_and_nothing_of_rates() {
    let text = published("idle.jsonl");
    let mut lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let Some(Line::Header(header)) = lines.next() else { panic!("no header") };
    let mut record = Record::new(*header);
    lines.for_each(|line| record.push(line));
    let summary = Summary::of(&record);
    let sweep = Sweep::of(&record, &summary).unwrap();
    assert!(plot::svg(&sweep) == published("idle.svg"), "results/idle.svg is not of this record");
    let json = serde_json::to_string(&sweep).unwrap();
    for key in ["\"load\"", "\"latency_ns\"", "\"latency_ratio\""] {
        assert!(!json.contains(key), "{key}");
    }
    let table = sweep.table(&summary, &Style::default());
    for term in ["overloaded", "knee", "closed loop", "offered"] {
        assert!(!table.contains(term), "{term}\n{table}");
    }
    assert!(table.contains("conns=10000"), "{table}");
}
