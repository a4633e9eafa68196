//! The history as a page of SVG: a panel for each series.

use plotters::coord::Shift;
use plotters::prelude::*;
use rtswap_stats::Verdict;

use super::series::{History, Series};
use super::short;
use crate::summary::Interval;

const WIDTH: u32 = 920;
const PANEL_HEIGHT: u32 = 300;

const POINT: RGBColor = RGBColor(0, 114, 178);
const UNUSED: RGBColor = RGBColor(150, 150, 150);
const LEVEL: RGBColor = RGBColor(60, 60, 60);
const WORSE: RGBColor = RGBColor(213, 94, 0);
const BETTER: RGBColor = RGBColor(0, 158, 115);
const ANCHOR: RGBColor = RGBColor(204, 121, 167);

type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The plots of a history: ratios with their intervals, levels, change points and changes of the anchor.
///
/// # Panics
/// Never: drawing into a string cannot fail.
pub fn svg(history: &History) -> String {
    let shown: Vec<&Series> =
        history.series.iter().filter(|series| !shown(series).is_empty()).collect();
    let mut text = String::new();
    {
        let height = PANEL_HEIGHT * shown.len().max(1) as u32;
        let root = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        draw(&root, &shown).expect("drawing into a string cannot fail");
        root.present().expect("drawing into a string cannot fail");
    }
    text.replace("font-family=\"sans-serif\"", "font-family=\"system-ui, sans-serif\"")
}

/// A point of the plot.
struct Shown {
    x: f64,
    ratio: Interval,
    is_used: bool,
}

fn shown(series: &Series) -> Vec<Shown> {
    let all = series.points.iter().filter_map(|point| {
        let ratio = point.chained?;
        Some(Shown { x: point.position as f64, ratio, is_used: point.log.is_some() })
    });
    all.collect()
}

fn draw<'a>(root: &Area<'a>, all: &[&Series]) -> Drawn<'a> {
    root.fill(&WHITE)?;
    if all.is_empty() {
        let text = ("sans-serif", 15).into_text_style(root);
        return root.draw_text("no figures", &text, (16, 16));
    }
    for (area, series) in root.split_evenly((all.len(), 1)).iter().zip(all) {
        panel(area, series)?;
    }
    Ok(())
}

/// The ends of the axis: all points and intervals, but no interval counts for more than three times the spread of the
/// points, so that one wide interval does not flatten all others.
fn ends(points: &[Shown]) -> (f64, f64) {
    let ratios = || points.iter().map(|it| it.ratio.ratio);
    let (least, most) = (ratios().fold(f64::INFINITY, f64::min), ratios().fold(0.0, f64::max));
    let room = (3.0 * (most - least)).max(0.02 * most);
    let lo = points.iter().map(|it| it.ratio.lo.max(least - room)).fold(least, f64::min);
    let hi = points.iter().filter_map(|it| it.ratio.hi).map(|hi| hi.min(most + room));
    let hi = hi.fold(most, f64::max);
    let margin = 0.12 * (hi - lo).max(0.002);
    (lo - margin, hi + margin)
}

fn panel<'a>(area: &Area<'a>, series: &Series) -> Drawn<'a> {
    let points = shown(series);
    let (lo, hi) = ends(&points);
    let xs = || series.points.iter().map(|point| point.position as f64);
    let (first, last) = (xs().fold(f64::INFINITY, f64::min), xs().fold(0.0, f64::max));
    let first_anchor = series.anchor_name(0);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(32)
        .y_label_area_size(66)
        .caption(series.title(), ("sans-serif", 14))
        .build_cartesian_2d(first - 0.7..last + 0.7, lo..hi)?;
    // Labels are at whole numbers, except on a short axis.
    let label = |x: &f64| {
        let is_whole = (x - x.round()).abs() < 1e-6;
        let place = Some(x.round() as usize).filter(|_| is_whole && *x > -0.5);
        let point = series.points.iter().find(|it| Some(it.position) == place);
        point.map(|point| short(&point.commit).to_owned()).unwrap_or_default()
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(RGBColor(243, 243, 243))
        .bold_line_style(RGBColor(228, 228, 228))
        .x_labels(8)
        .y_labels(6)
        .y_desc(format!("ratio to {first_anchor}"))
        .x_label_formatter(&label)
        .y_label_formatter(&|y| format!("{y:.3}"))
        .draw()?;
    if lo < 1.0 && 1.0 < hi {
        chart.draw_series(LineSeries::new(
            [(first - 0.7, 1.0), (last + 0.7, 1.0)],
            RGBColor(120, 120, 120).stroke_width(1),
        ))?;
    }
    let small = ("sans-serif", 12).into_text_style(area);
    for (index, anchor) in series.anchors.iter().enumerate().skip(1) {
        let of = series.points.iter().filter(|point| point.anchor == index);
        let Some(x) = of.map(|point| point.position as f64).reduce(f64::min) else { continue };
        let line = [(x - 0.5, lo), (x - 0.5, hi)];
        let width = if anchor.linked_to.is_some() { 1 } else { 3 };
        chart.draw_series(DashedLineSeries::new(line, 5, 4, ANCHOR.stroke_width(width)))?;
        let name = series.anchor_name(index);
        let name = if anchor.linked_to.is_some() { name } else { format!("{name} (not linked)") };
        let style = small.color(&ANCHOR);
        chart.draw_series([Text::new(name, (x - 0.4, lo + 0.07 * (hi - lo)), style)])?;
    }
    for level in &series.levels {
        let x = |point: usize| series.points[point].position as f64;
        let line = [(x(level.first) - 0.3, level.ratio), (x(level.last) + 0.3, level.ratio)];
        chart.draw_series(LineSeries::new(line, LEVEL.stroke_width(2)))?;
    }
    for change in &series.changes {
        let color = if change.verdict == Verdict::Better { BETTER } else { WORSE };
        let x = series.points[change.at].position as f64 - 0.5;
        chart.draw_series(LineSeries::new([(x, lo), (x, hi)], color.stroke_width(2)))?;
        let text = format!("{:+.1} %", 100.0 * (change.step.ratio - 1.0));
        let style = small.color(&color);
        chart.draw_series([Text::new(text, (x + 0.1, hi - 0.02 * (hi - lo)), style)])?;
    }
    for Shown { x, ratio, is_used } in &points {
        let color = if *is_used { POINT } else { UNUSED };
        if let Some(top) = ratio.hi {
            let line = vec![(*x, ratio.lo.max(lo)), (*x, top.min(hi))];
            chart.draw_series([PathElement::new(line, color.stroke_width(1))])?;
        }
        let at = (*x, ratio.ratio.clamp(lo, hi));
        let style = if *is_used { color.filled() } else { color.stroke_width(1) };
        chart.draw_series([Circle::new(at, 3, style)])?;
    }
    // Commits without a figure, on the axis.
    for point in series.points.iter().filter(|point| point.chained.is_none()) {
        let at = (point.position as f64, lo + 0.02 * (hi - lo));
        chart.draw_series([Cross::new(at, 4, UNUSED.stroke_width(2))])?;
    }
    Ok(())
}
