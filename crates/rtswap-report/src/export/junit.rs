//! JUnit XML: a suite for each workload, a case for each lane.
//!
//! A case fails if the lane failed or its work was invalid, and is skipped if it is unsupported, was skipped or does
//! not keep up with the offered rate. A verdict of `worse` is no failure: `rtswap gate` decides that.

use std::fmt::Write as _;
use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use rtswap_schema::record::Status;

use super::measure::Measure;
use super::{Export, name};
use crate::format;
use crate::grid::loss;
use crate::summary::Cell;

pub(super) fn write(export: &Export) -> String {
    let mut bytes = Vec::new();
    document(export, &mut bytes).expect("a vector takes all bytes");
    bytes.push(b'\n');
    String::from_utf8(bytes).expect("all parts are text")
}

/// Cases, failures and skips.
fn counts<'a>(cells: impl Iterator<Item = &'a Cell>) -> [(&'static str, String); 4] {
    let mut counts = [0; 3];
    for cell in cells {
        counts[0] += 1;
        match outcome(cell.status) {
            Outcome::Passed => {}
            Outcome::Failed => counts[1] += 1,
            Outcome::Skipped => counts[2] += 1,
        }
    }
    let [tests, failures, skipped] = counts.map(|it: usize| it.to_string());
    [("tests", tests), ("failures", failures), ("errors", "0".to_owned()), ("skipped", skipped)]
}

enum Outcome {
    Passed,
    Failed,
    Skipped,
}

fn outcome(status: Status) -> Outcome {
    match status {
        Status::Ok => Outcome::Passed,
        Status::Unsupported | Status::Skipped | Status::Overloaded => Outcome::Skipped,
        // A status that is not known yet is not a success.
        _ => Outcome::Failed,
    }
}

fn document(export: &Export, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut xml = Writer::new_with_indent(bytes, b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let suites = xml.create_element("testsuites").with_attribute(("name", "rtswap"));
    let all = counts(export.cells.iter().copied());
    let suites = suites.with_attributes(all.iter().map(|(key, value)| (*key, value.as_str())));
    suites.write_inner_content(|xml| {
        for workload in &export.summary.workloads {
            let of_workload =
                || export.cells.iter().copied().filter(|cell| cell.name == workload.name);
            if of_workload().next().is_none() {
                continue;
            }
            let name = plain(&workload.name);
            let suite = xml.create_element("testsuite").with_attribute(("name", name.as_str()));
            let counts = counts(of_workload());
            let attributes = counts.iter().map(|(key, value)| (*key, value.as_str()));
            suite.with_attributes(attributes).write_inner_content(|xml| {
                of_workload().try_for_each(|cell| case(export, cell, xml))
            })?;
        }
        Ok(())
    })?;
    Ok(())
}

fn case(export: &Export, cell: &Cell, xml: &mut Writer<&mut Vec<u8>>) -> io::Result<()> {
    let (name, class) = (plain(&name::cell(cell)), plain(&cell.name));
    let case = xml
        .create_element("testcase")
        .with_attribute(("classname", class.as_str()))
        .with_attribute(("name", name.as_str()));
    let message = plain(&loss(cell));
    let text = figures(export, cell);
    case.write_inner_content(|xml| {
        match outcome(cell.status) {
            Outcome::Passed => {}
            Outcome::Failed => {
                let failure = xml.create_element("failure").with_attribute(("type", "lane"));
                let failure = failure.with_attribute(("message", message.as_str()));
                failure.write_text_content(BytesText::new(&message))?;
            }
            Outcome::Skipped => {
                let skipped = xml.create_element("skipped");
                skipped.with_attribute(("message", message.as_str())).write_empty()?;
            }
        }
        if !text.is_empty() {
            xml.create_element("system-out").write_text_content(BytesText::new(&text))?;
        }
        Ok(())
    })?;
    Ok(())
}

/// One line for each figure: `cpu_ns_per_op: 7401 ns/op; ratio 1.004 [0.99, 1.02], equivalent`.
fn figures(export: &Export, cell: &Cell) -> String {
    let mut text = String::new();
    for series in export.series_of(cell) {
        if matches!(series.measure, Measure::Ratio(_)) {
            continue;
        }
        let figure = series.measure.metric().and_then(|metric| cell.metrics.get(&metric));
        let ratio = figure.and_then(|figure| {
            let verdict = figure.verdict.map(|it| format!(", {it}")).unwrap_or_default();
            Some(format!("; ratio {}{verdict}", format::interval(&figure.interval()?)))
        });
        let (name, unit) = (series.measure.name(), series.measure.unit());
        let value = format::number(series.value);
        let _ = writeln!(text, "{name}: {value} {unit}{}", ratio.unwrap_or_default());
    }
    text
}

/// On one line, without the characters that XML 1.0 does not have even escaped.
fn plain(text: &str) -> String {
    format::one_line(text).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}
