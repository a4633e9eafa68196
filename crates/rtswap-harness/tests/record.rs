//! Records that were damaged in every way that happens to files.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use rtswap_harness::record::{
    Block, Ended, Environment, Footer, Header, LaneFailure, Line, Plan, Record, RecordError,
    RecordFile as _, SCHEMA, Slice, Status, Writer,
};
use tempfile::TempDir;

fn header() -> Header {
    let plan = Plan {
        reference: "tokio".to_owned(),
        lanes: vec![],
        workloads: vec![],
        rounds: 12,
        blocks: 3,
        server_cpus: vec![0],
        load_cpus: vec![1],
        budget_s: 120.0,
        precision: Some(0.01),
        rule: None,
        gate: None,
    };
    Header { schema: SCHEMA, seed: 7, environment: Environment::default(), plan }
}

fn block(number: u32) -> Line {
    let slice =
        Slice { lane: "tokio".to_owned(), ops: 10, elapsed_ns: 5, cpu_ns: 4, ..Slice::default() };
    Line::Block(Block {
        workload: "spawn".to_owned(),
        round: 0,
        block: number,
        slices: vec![slice],
    })
}

/// A file with a header, two blocks, a loss and a footer.
fn kept() -> (TempDir, PathBuf, Record) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("record.jsonl");
    let mut writer = Writer::create(&path).unwrap();
    let mut record = Record::new(header());
    let lost = Line::LaneFailure(LaneFailure {
        workload: "spawn".to_owned(),
        lane: "smol".to_owned(),
        round: 0,
        status: Status::Failed,
        reason: "it died\nwith a line break".to_owned(),
        rounds_count: false,
    });
    let footer =
        Line::Footer(Footer { ended: Ended::Complete, elapsed_s: 1.5, stopped: BTreeMap::new() });
    writer.write(&Line::Header(Box::new(header()))).unwrap();
    for line in [block(0), block(1), lost, footer] {
        writer.write(&line).unwrap();
        record.push(line);
    }
    (folder, path, record)
}

#[test]
fn what_was_written_is_read() {
    let (_folder, path, record) = kept();
    assert_eq!(Record::read(&path).unwrap(), record);
    assert_eq!(Record::recover(&path).unwrap(), record);
}

#[test]
fn an_existing_file_is_not_overwritten() {
    let (_folder, path, record) = kept();
    assert!(Writer::create(&path).is_err());
    assert_eq!(Record::read(&path).unwrap(), record);
}

#[test]
fn appending_goes_on_where_the_file_ends() {
    let (_folder, path, mut record) = kept();
    Writer::append(&path).unwrap().write(&block(2)).unwrap();
    record.push(block(2));
    assert_eq!(Record::read(&path).unwrap(), record);
}

#[test]
fn read_rejects_newer_schema_by_number() {
    let (_folder, path, _) = kept();
    let text = fs::read_to_string(&path).unwrap().replacen("\"schema\":2", "\"schema\":3", 1);
    fs::write(&path, text).unwrap();
    let error = Record::read(&path).unwrap_err();
    assert!(matches!(error, RecordError::Schema { found: 3, .. }), "{error}");
}

#[test]
fn a_damaged_line_is_named() {
    let (_folder, path, _) = kept();
    let text = fs::read_to_string(&path).unwrap().replacen("\"ops\":10", "\"ops\":ten", 1);
    fs::write(&path, text).unwrap();
    let error = Record::read(&path).unwrap_err();
    assert!(matches!(error, RecordError::Damaged { line: 2, .. }), "{error}");
    assert!(Record::recover(&path).is_err(), "what is damaged is not repaired silently");
}

#[test]
fn read_rejects_two_records_in_one_file() {
    let (_folder, path, _) = kept();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.repeat(2)).unwrap();
    let error = Record::read(&path).unwrap_err();
    assert!(matches!(error, RecordError::TwoRecords { line: 6, .. }), "{error}");
    assert!(error.to_string().contains("two records") && error.to_string().contains("split -l 5"));
    assert!(Record::recover(&path).is_err());
}

#[test]
fn read_whole_lines_leaves_out_cut_line() {
    let (_folder, path, record) = kept();
    assert_eq!(Record::read_whole_lines(&path).unwrap(), (record.clone(), None));
    let text = fs::read(&path).unwrap();
    fs::write(&path, &text[..text.len() - 1]).unwrap();
    let (whole, cut) = Record::read_whole_lines(&path).unwrap();
    assert_eq!((whole.blocks, whole.footer, cut), (record.blocks, None, Some(5)));
}

#[test]
fn what_is_no_record_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    for text in ["", "hello", "{}\n", "{\"kind\":\"block\"}\n", "{\"kind\":\"header\"}\n", "[]\n"] {
        fs::write(&path, text).unwrap();
        let error = Record::read(&path).unwrap_err();
        assert!(matches!(error, RecordError::Foreign { .. }), "{text:?}: {error}");
        assert!(error.to_string().contains("not an rtswap record"), "{error}");
    }
    fs::write(&path, "{\"kind\":\"header\",\"schema\":1}\n").unwrap();
    assert!(Record::read(&path).unwrap_err().to_string().contains("incomplete"));
    assert!(matches!(Record::read(&folder.path().join("none")), Err(RecordError::Io { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn wherever_it_is_cut_the_whole_lines_are_recovered(share in 0.0..1.0_f64) {
        let (_folder, path, record) = kept();
        let text = fs::read(&path).unwrap();
        let cut = (text.len() as f64 * share) as usize;
        fs::write(&path, &text[..cut]).unwrap();
        let ends: Vec<_> = (0..text.len()).filter(|&at| text[at] == b'\n').map(|at| at + 1).collect();
        let whole = ends.iter().filter(|&&end| end <= cut).count();
        let at_end = ends.contains(&cut);
        if whole == 0 {
            // The header itself is cut, if only by its line break.
            prop_assert!(Record::read(&path).is_err());
            prop_assert!(Record::recover(&path).is_err());
        } else {
            let read = Record::read(&path);
            if at_end {
                prop_assert!(read.is_ok());
            } else {
                let told = matches!(read, Err(RecordError::CutOff { line, .. }) if line == whole + 1);
                prop_assert!(told);
            }
            let recovered = Record::recover(&path).unwrap();
            prop_assert_eq!(recovered.header, record.header);
            prop_assert_eq!(recovered.blocks.len() + recovered.failures.len(), (whole - 1).min(3));
            // And it can be appended to: the cut line is gone.
            Writer::append(&path).unwrap().write(&block(9)).unwrap();
            prop_assert!(Record::read(&path).is_ok());
        }
    }

    #[test]
    fn random_bytes_are_an_error_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, bytes).unwrap();
        prop_assert!(Record::read(&path).is_err());
    }
}
