//! A sweep over the offered rate as two plots over the offered throughput: latency, and below it CPU time per
//! operation.

use plotters::prelude::*;
use rtswap_schema::record::Kind;

use super::{Area, Drawn, LEGEND_WIDTH, Value, WIDTH, legend, style};
use crate::format;
use crate::summary::{Interval, Metric};
use crate::sweep::{Load, Series, Sweep};

const TITLE_HEIGHT: u32 = 36;
/// Of the line that explains the marks.
const KEY_HEIGHT: u32 = 28;
const LATENCY_HEIGHT: u32 = 500;
const CPU_HEIGHT: u32 = 340;
pub(super) const HEIGHT: u32 = TITLE_HEIGHT + KEY_HEIGHT + LATENCY_HEIGHT + CPU_HEIGHT;

/// The color of the marks in the explanation and of the objective.
const MARKS: RGBColor = RGBColor(70, 70, 70);

/// The distance of two marks of overloaded lanes at the same rate, as a share of the height.
const STACKED: f64 = 0.026;

pub(super) fn draw<'a>(root: &Area<'a>, sweep: &Sweep, load: &Load) -> Drawn<'a> {
    root.fill(&WHITE)?;
    let (title, rest) = root.split_vertically(TITLE_HEIGHT);
    let heading = format!("{} over the offered rate", sweep.name());
    title.draw_text(&heading, &("sans-serif", 20).into_text_style(&title), (16, 10))?;
    let (key, rest) = rest.split_vertically(KEY_HEIGHT);
    draw_key(&key, sweep, load)?;
    let (latency, cpu) = rest.split_vertically(LATENCY_HEIGHT);
    let percentile = value(load.percentile);
    let (plot, side) = latency.split_horizontally(WIDTH - LEGEND_WIDTH);
    draw_latency(&plot, sweep, load)?;
    legend(&side, sweep, percentile)?;
    let (plot, side) = cpu.split_horizontally(WIDTH - LEGEND_WIDTH);
    draw_cpu(&plot, sweep, load)?;
    legend(&side, sweep, |point| point.cpu_ns_per_op)
}

fn value(percentile: Metric) -> Value {
    match percentile {
        Metric::P50Ns => |point| point.latency_ns?.p50,
        Metric::P90Ns => |point| point.latency_ns?.p90,
        Metric::P999Ns => |point| point.latency_ns?.p999,
        _ => |point| point.latency_ns?.p99,
    }
}

/// Explains the marks that the plot has.
fn draw_key<'a>(area: &Area<'a>, sweep: &Sweep, load: &Load) -> Drawn<'a> {
    let text = ("sans-serif", 13).into_text_style(area);
    let percentile = load.percentile_name();
    let (y, mut x) = (12, 18);
    // Estimated, since the reader's font is not known.
    let width = |text: &str| text.chars().fold(0, |width, _| width + 7);
    let line = |x: i32, style: ShapeStyle| PathElement::new(vec![(x, y), (x + 24, y)], style);
    let mut entry = |label: &str, sample: i32| {
        let at = x;
        x += sample + 8 + width(label) + 16;
        area.draw_text(label, &text, (at + sample + 8, y - 7)).map(|()| at)
    };
    let at = entry(percentile, 24)?;
    area.draw(&line(at, MARKS.stroke_width(2)))?;
    if load.percentile != Metric::P50Ns {
        let at = entry("p50", 24)?;
        area.draw(&line(at, MARKS.mix(0.5).stroke_width(1)))?;
    }
    if sweep.lanes.iter().any(|lane| knee(lane, load).is_some()) {
        let at = entry(&format!("knee: {percentile} is 3 times its least"), 10)?;
        area.draw(&(EmptyElement::at((at + 5, y)) + diamond() + outline(MARKS.stroke_width(2))))?;
    }
    if sweep.lanes.iter().any(|lane| overloaded(lane).is_some()) {
        let at = entry("overloaded", 10)?;
        area.draw(&Cross::new((at + 5, y), 5, MARKS.stroke_width(2)))?;
    }
    if let Some(objective) = &load.objective {
        let at = entry(&format!("objective: {objective}"), 24)?;
        for from in [0, 9, 18] {
            let dash = vec![(at + from, y), (at + from + 6, y)];
            area.draw(&PathElement::new(dash, MARKS.stroke_width(1)))?;
        }
    }
    Ok(())
}

/// A knee's mark.
fn diamond() -> Polygon<(i32, i32)> {
    Polygon::new(DIAMOND.to_vec(), WHITE.filled())
}

fn outline(style: ShapeStyle) -> PathElement<(i32, i32)> {
    PathElement::new([DIAMOND.as_slice(), &DIAMOND[..1]].concat(), style)
}

const DIAMOND: [(i32, i32); 4] = [(0, -7), (7, 0), (0, 7), (-7, 0)];

fn overloaded(lane: &Series) -> Option<f64> {
    lane.load.as_ref()?.overloaded_per_s
}

/// Where to mark a lane's knee: between two rates where it is interpolated, otherwise at the last rate below it.
/// Not where the latency stays below it at every rate.
fn knee(lane: &Series, load: &Load) -> Option<(f64, f64)> {
    let knee = lane.load.as_ref()?.knee?;
    if let Some(per_s) = knee.per_s.known() {
        return Some((per_s, knee.limit_ns));
    }
    let (at_least, _) = (knee.per_s.at_least?, knee.per_s.at_most?);
    let at = load.offered_per_s.iter().position(|it| it.total_cmp(&at_least).is_eq())?;
    Some((at_least, value(load.percentile)(lane.points.get(at)?)?.ratio))
}

/// The ends of the axis of offered throughput.
fn ends(load: &Load) -> (f64, f64) {
    let last = load.offered_per_s.last().copied().unwrap_or(1.0);
    (0.0, last * 1.04)
}

/// The points of a lane that have the figure, by offered rate.
fn points<'s>(
    lane: &'s Series,
    load: &'s Load,
    value: Value,
) -> impl Iterator<Item = (f64, Interval)> + 's {
    let rates = load.offered_per_s.iter().copied();
    rates.zip(&lane.points).filter_map(move |(per_s, point)| Some((per_s, value(point)?)))
}

fn draw_latency<'a>(area: &Area<'a>, sweep: &Sweep, load: &Load) -> Drawn<'a> {
    let shown = value(load.percentile);
    let objective = load.objective.map(|objective| objective.limit_ns as f64);
    let all = |value: Value| {
        let lanes = sweep.lanes.iter();
        lanes.flat_map(move |lane| points(lane, load, value)).map(|(_, it)| it.ratio)
    };
    let latencies = || all(shown).chain(all(value(Metric::P50Ns))).chain(objective);
    let least = latencies().fold(f64::INFINITY, f64::min);
    let most = latencies().fold(0.0, f64::max);
    if most == 0.0 {
        return Ok(());
    }
    let (bottom, top) = (least * 0.8, most * (most / least).powf(0.12) * 1.3);
    let (from, to) = ends(load);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(38)
        .y_label_area_size(66)
        .caption("latency, from when an operation was due", ("sans-serif", 15))
        .build_cartesian_2d(from..to, (bottom..top).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(RGBColor(240, 240, 240))
        .bold_line_style(RGBColor(222, 222, 222))
        .x_labels(8)
        .y_labels(12)
        .x_max_light_lines(4)
        .x_desc(format!("offered {} per second", format::plural(&sweep.unit)))
        .x_label_formatter(&|x| format::rate(x.round()))
        .y_label_formatter(&|y| format::whole(&format::time(*y)))
        .draw()?;
    if let Some(limit_ns) = objective {
        let line = [(from, limit_ns), (to, limit_ns)];
        chart.draw_series(DashedLineSeries::new(line, 6, 4, MARKS.stroke_width(1)))?;
    }
    let mut marked: Vec<f64> = Vec::new();
    for (index, lane) in sweep.lanes.iter().enumerate() {
        let style = style(index, lane);
        if load.percentile != Metric::P50Ns {
            let median = points(lane, load, value(Metric::P50Ns)).map(|(at, it)| (at, it.ratio));
            let thin = style.color.mix(0.45).stroke_width(1);
            chart.draw_series(LineSeries::new(median, thin))?;
        }
        let line: Vec<_> = points(lane, load, shown).map(|(at, it)| (at, it.ratio)).collect();
        if lane.kind == Kind::Floor {
            chart.draw_series(DashedLineSeries::new(line.iter().copied(), 6, 4, style))?;
        } else {
            chart.draw_series(LineSeries::new(line.iter().copied(), style))?;
        }
        chart.draw_series(line.iter().map(|&at| Circle::new(at, 3, style.color.filled())))?;
        let bounded = points(lane, load, shown).filter(|(_, it)| it.hi.is_some());
        let thin = style.color.mix(0.35).stroke_width(1);
        chart.draw_series(bounded.map(|(at, it)| {
            let hi = it.hi.unwrap_or(it.ratio).min(top);
            PathElement::new(vec![(at, it.lo.max(bottom)), (at, hi)], thin)
        }))?;
        if let Some(at) = overloaded(lane) {
            // Below the marks of the other lanes that are overloaded at this rate.
            let above = marked.iter().filter(|it| it.total_cmp(&at).is_eq()).count() as f64;
            marked.push(at);
            let mark = (at, top * (bottom / top).powf(STACKED * (above + 1.0)));
            let before = line.iter().rev().find(|(per_s, _)| *per_s < at).copied();
            let rise = before.into_iter().chain([mark]);
            chart.draw_series(DashedLineSeries::new(rise, 2, 4, style.color.stroke_width(1)))?;
            chart.draw_series([Cross::new(mark, 5, style.color.stroke_width(2))])?;
        }
        if let Some(at) = knee(lane, load) {
            let mark = EmptyElement::at(at) + diamond() + outline(style.color.stroke_width(2));
            chart.draw_series([mark])?;
        }
    }
    Ok(())
}

fn draw_cpu<'a>(area: &Area<'a>, sweep: &Sweep, load: &Load) -> Drawn<'a> {
    let cpu: Value = |point| point.cpu_ns_per_op;
    let all = || sweep.lanes.iter().flat_map(|lane| points(lane, load, cpu)).map(|(_, it)| it);
    let most = all().map(|it| it.ratio).fold(0.0, f64::max);
    if most == 0.0 {
        return Ok(());
    }
    let (from, to) = ends(load);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(38)
        .y_label_area_size(66)
        .caption(format!("CPU time per {}", sweep.unit), ("sans-serif", 15))
        .build_cartesian_2d(from..to, 0.0..most * 1.12)?;
    chart
        .configure_mesh()
        .light_line_style(RGBColor(240, 240, 240))
        .bold_line_style(RGBColor(222, 222, 222))
        .x_labels(8)
        .y_labels(6)
        .max_light_lines(4)
        .x_desc(format!("offered {} per second", format::plural(&sweep.unit)))
        .x_label_formatter(&|x| format::rate(x.round()))
        .y_label_formatter(&|y| format::whole(&format::time(*y)))
        .draw()?;
    for (index, lane) in sweep.lanes.iter().enumerate() {
        let style = style(index, lane);
        let line: Vec<_> = points(lane, load, cpu).map(|(at, it)| (at, it.ratio)).collect();
        if lane.kind == Kind::Floor {
            chart.draw_series(DashedLineSeries::new(line.iter().copied(), 6, 4, style))?;
        } else {
            chart.draw_series(LineSeries::new(line.iter().copied(), style))?;
        }
        chart.draw_series(line.iter().map(|&at| Circle::new(at, 3, style.color.filled())))?;
        let bounded = points(lane, load, cpu).filter(|(_, it)| it.hi.is_some());
        let thin = style.color.stroke_width(1);
        chart.draw_series(bounded.map(|(at, it)| {
            let hi = it.hi.unwrap_or(it.ratio).min(most * 1.12);
            PathElement::new(vec![(at, it.lo), (at, hi)], thin)
        }))?;
    }
    Ok(())
}
