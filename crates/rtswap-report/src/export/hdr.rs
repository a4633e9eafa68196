//! Latencies for HdrHistogram's tools: the percentile distribution and the interval log.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use rtswap_schema::histogram;
use rtswap_schema::record::Slice;

use super::{Export, ExportError, name};
use crate::data::Data;
use crate::format;
use crate::summary::Cell;

/// Nanoseconds in a millisecond, the default unit of HdrHistogram's plotter.
const MS: f64 = 1e6;

/// Rows of the percentile distribution for each halving of the distance to 100 %, HdrHistogram's default.
const TICKS_PER_HALF: u32 = 5;

/// The latencies of one round.
struct Latencies {
    histogram: Histogram<u64>,
    /// The counted windows of the lane in the round.
    counted: Duration,
}

/// The latencies of all rounds together, by percentile, in milliseconds.
pub(super) fn hgrm(export: &Export) -> Result<String, ExportError> {
    let (_, rounds) = chosen(export)?;
    let mut all = Histogram::<u64>::new(3).expect("three digits are supported");
    for round in rounds {
        all.add(round.histogram).expect("it resizes itself");
    }
    let mut text = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut count = 0;
    for row in all.iter_quantiles(TICKS_PER_HALF) {
        count += row.count_since_last_iteration();
        let (value, quantile) = (row.value_iterated_to() as f64 / MS, row.quantile_iterated_to());
        let _ = write!(text, "{value:12.6} {quantile:2.12} {count:10}");
        // The last row is infinite, and has no fourth column.
        if quantile < 1.0 {
            let _ = write!(text, " {:14.2}", 1.0 / (1.0 - quantile));
        }
        text.push('\n');
    }
    let (mean, deviation) = (all.mean() / MS, all.stdev() / MS);
    let _ = writeln!(text, "#[Mean    = {mean:12.6}, StdDeviation   = {deviation:12.6}]");
    let (max, buckets) = (all.max() as f64 / MS, all.buckets());
    let _ = writeln!(text, "#[Max     = {max:12.6}, Total count    = {count:12}]");
    let sub_buckets = (2 * 10_u64.pow(u32::from(all.sigfig()))).next_power_of_two();
    let _ = writeln!(text, "#[Buckets = {buckets:12}, SubBuckets     = {sub_buckets:12}]");
    Ok(text)
}

/// An interval for each round, in nanoseconds, their largest values in milliseconds.
///
/// The record has no times of rounds. An interval is as long as the counted windows of the lane, and begins where
/// the one before ends, so that rates come out right.
pub(super) fn hlog(export: &Export) -> Result<String, ExportError> {
    let (cell, rounds) = chosen(export)?;
    let environment = &export.record.header.environment;
    let start = UNIX_EPOCH.checked_add(Duration::from_secs(environment.started_unix_s));
    let comments = [
        "[Histogram log format version 1.3]".to_owned(),
        format!("[rtswap {}: {}]", format::one_line(&environment.rtswap), name::cell(cell)),
        "[Latencies in nanoseconds. An interval is a round: the time that was counted, without pauses]"
            .to_owned(),
    ];
    let mut builder = IntervalLogWriterBuilder::new();
    for comment in comments {
        builder.add_comment(&comment);
    }
    // A reader takes times before a day for relative to the start.
    builder
        .with_start_time(start.unwrap_or(UNIX_EPOCH))
        .with_base_time(start.unwrap_or(UNIX_EPOCH));
    builder.with_max_value_divisor(MS);
    let mut bytes = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let written = "a vector takes all bytes";
    let mut log = builder.begin_log_with(&mut bytes, &mut serializer).expect(written);
    let tag = name::encoded(&cell.lane, ",");
    let mut begin = Duration::ZERO;
    for round in rounds {
        let tag = Tag::new(&tag).filter(|tag| !tag.as_str().is_empty());
        log.write_histogram(&round.histogram, begin, round.counted, tag).expect(written);
        begin += round.counted;
    }
    Ok(String::from_utf8(bytes).expect("a log is text"))
}

/// The chosen cell and its rounds. A cell without latencies is not counted.
fn chosen<'a>(export: &Export<'a>) -> Result<(&'a Cell, Vec<Latencies>), ExportError> {
    let rounds = &export.record.rounds;
    // Not `latency_ns`: that is missing where a histogram is damaged, which is to be named.
    let has_latencies = |cell: &&Cell| {
        let mut its = rounds.iter().filter(|round| round.workload == cell.name);
        cell.live()
            && its.any(|it| it.lanes.get(&cell.lane).is_some_and(|lane| lane.latency_hdr.is_some()))
    };
    let with_latencies: Vec<&Cell> = export.cells.iter().copied().filter(has_latencies).collect();
    match with_latencies[..] {
        [] => Err(ExportError::Nothing { what: "latencies" }),
        [cell] => Ok((cell, latencies(export, cell)?)),
        _ => Err(several(&with_latencies)),
    }
}

fn several(cells: &[&Cell]) -> ExportError {
    let names = |name: fn(&Cell) -> &str| {
        let mut names: Vec<String> =
            cells.iter().map(|cell| format::one_line(name(cell))).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let (workloads, lanes) = (names(|cell| &cell.name), names(|cell| &cell.lane));
    let with = match (workloads.len(), lanes.len()) {
        (1, _) => "--lane",
        (_, 1) => "--workload",
        _ => "--workload and --lane",
    };
    let mut found = Vec::new();
    if workloads.len() > 1 {
        found.push(format::list(&workloads));
    }
    if lanes.len() > 1 {
        found.push(format::list(&lanes));
    }
    ExportError::Several { what: "cell", with, found: found.join("; ") }
}

fn latencies(export: &Export, cell: &Cell) -> Result<Vec<Latencies>, ExportError> {
    let plans = &export.record.header.plan.workloads;
    let plan = plans.iter().find(|plan| plan.name == cell.name);
    let Some(data) = plan.map(|plan| Data::of(export.record, plan)) else {
        return Err(ExportError::Nothing { what: "latencies" });
    };
    let mut all = Vec::new();
    for round in &data.rounds {
        let text = round.lanes.get(&cell.lane).and_then(|lane| lane.latency_hdr.as_deref());
        let Some(text) = text else { continue };
        let unreadable = |error: histogram::HistogramError| ExportError::Histogram {
            lane: cell.lane.clone(),
            round: round.round,
            why: error.to_string(),
        };
        let slices = data.blocks.iter().filter(|block| block.round == round.round);
        let slices = slices.flat_map(|block| &block.slices);
        let is_counted = |slice: &&Slice| slice.lane == cell.lane && slice.voided.is_none();
        all.push(Latencies {
            histogram: histogram::decode(text).map_err(unreadable)?,
            counted: Duration::from_nanos(slices.filter(is_counted).map(|it| it.elapsed_ns).sum()),
        });
    }
    Ok(all)
}
