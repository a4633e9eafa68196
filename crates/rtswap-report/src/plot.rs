//! A sweep as plots, one above the other: CPU time per operation, its ratio to the reference, and the
//! memory per connection if it was measured. A sweep over the offered rate has latency and CPU time.

mod load;

use plotters::coord::Shift;
use plotters::prelude::*;
use rtswap_schema::record::Kind;

use crate::format;
use crate::summary::Interval;
use crate::sweep::{Point, Series, Sweep};

const WIDTH: u32 = 920;
const PANEL_HEIGHT: u32 = 340;
/// Width of the names of the lanes, on the right.
const LEGEND_WIDTH: u32 = 170;
const TITLE_HEIGHT: u32 = 36;

/// Colors that can be distinguished with most kinds of color blindness: Okabe and Ito's, and darker ones.
const COLORS: [RGBColor; 12] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(120, 94, 20),
    RGBColor(90, 50, 140),
    RGBColor(160, 20, 60),
    RGBColor(110, 160, 30),
    RGBColor(20, 80, 60),
    RGBColor(150, 150, 150),
];

/// The figure of a point, in its unit.
type Value = fn(&Point) -> Option<Interval>;

/// One plot.
struct Panel {
    title: String,
    value: Value,
    label: fn(f64) -> String,
    /// The value of a horizontal line.
    baseline: Option<f64>,
}

/// The plots of a sweep, as a page of SVG.
///
/// # Panics
/// Never: drawing into a string cannot fail.
pub fn svg(sweep: &Sweep) -> String {
    let panels = panels(sweep);
    let mut text = String::new();
    {
        let height = match &sweep.load {
            Some(_) => load::HEIGHT,
            None => TITLE_HEIGHT + PANEL_HEIGHT * panels.len() as u32,
        };
        let root = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        let drawn = match &sweep.load {
            Some(load) => load::draw(&root, sweep, load),
            None => draw(&root, sweep, &panels),
        };
        drawn.expect("drawing into a string cannot fail");
        root.present().expect("drawing into a string cannot fail");
    }
    // The fonts of the reader's machine.
    text.replace("font-family=\"sans-serif\"", "font-family=\"system-ui, sans-serif\"")
}

fn panels(sweep: &Sweep) -> Vec<Panel> {
    let all = [
        Panel {
            title: format!("CPU time per {}", sweep.unit),
            value: |point| point.cpu_ns_per_op,
            label: |ns| format::whole(&format::time(ns)),
            baseline: None,
        },
        Panel {
            title: format!("CPU time, ratio to {}", sweep.reference),
            value: |point| point.cpu_ratio.as_ref()?.interval(),
            label: |ratio| format::whole(&format::number(ratio)),
            baseline: Some(1.0),
        },
        Panel {
            title: "memory per connection".to_owned(),
            value: |point| {
                let bytes = point.memory_per_conn_bytes.filter(|bytes| *bytes > 0.0)?;
                Some(Interval { ratio: bytes, lo: bytes, hi: Some(bytes) })
            },
            // Powers of ten, as the axis has them.
            label: |bytes| format!("{} B", format::rate(bytes)),
            baseline: None,
        },
    ];
    let points = || sweep.lanes.iter().flat_map(|lane| &lane.points);
    all.into_iter().filter(|panel| points().any(|point| (panel.value)(point).is_some())).collect()
}

type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn draw<'a>(root: &Area<'a>, sweep: &Sweep, panels: &[Panel]) -> Drawn<'a> {
    root.fill(&WHITE)?;
    let (title, rest) = root.split_vertically(TITLE_HEIGHT);
    let heading = format!("{} over {}", sweep.name(), sweep.over);
    title.draw_text(&heading, &("sans-serif", 20).into_text_style(&title), (16, 10))?;
    for (area, panel) in rest.split_evenly((panels.len(), 1)).iter().zip(panels) {
        let (plot, side) = area.split_horizontally(WIDTH - LEGEND_WIDTH);
        draw_panel(&plot, sweep, panel)?;
        legend(&side, sweep, panel.value)?;
    }
    Ok(())
}

fn draw_panel<'a>(area: &Area<'a>, sweep: &Sweep, panel: &Panel) -> Drawn<'a> {
    let (Some(&first), Some(&last)) = (sweep.values.first(), sweep.values.last()) else {
        return Ok(());
    };
    let shown = || sweep.lanes.iter().flat_map(|lane| &lane.points).filter_map(panel.value);
    let ends = |it: Interval| [it.ratio, it.lo.max(it.ratio / 2.0), it.hi.unwrap_or(it.ratio)];
    let all: Vec<f64> = shown().flat_map(ends).chain(panel.baseline).collect();
    let least = all.iter().copied().fold(f64::INFINITY, f64::min);
    let most = all.iter().copied().fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(34)
        .y_label_area_size(66)
        .caption(&panel.title, ("sans-serif", 15))
        .build_cartesian_2d(
            ((first as f64 * 0.9)..(last as f64 * 1.1)).log_scale(),
            (least * 0.85..most * 1.18).log_scale(),
        )?;
    chart
        .configure_mesh()
        .light_line_style(RGBColor(240, 240, 240))
        .bold_line_style(RGBColor(222, 222, 222))
        .x_labels(8)
        .y_labels(8)
        .x_desc(&sweep.over)
        .x_label_formatter(&|x| format::rate(x.round()))
        .y_label_formatter(&|y| (panel.label)(*y))
        .draw()?;
    if let Some(baseline) = panel.baseline {
        let ends = [(first as f64 * 0.9, baseline), (last as f64 * 1.1, baseline)];
        chart.draw_series(LineSeries::new(ends, BLACK.stroke_width(1)))?;
    }
    for (index, lane) in sweep.lanes.iter().enumerate() {
        let style = style(index, lane);
        let points = || {
            let at = sweep.values.iter().map(|value| *value as f64);
            at.zip(&lane.points).filter_map(|(at, point)| Some((at, (panel.value)(point)?)))
        };
        let line: Vec<_> = points().map(|(at, it)| (at, it.ratio)).collect();
        if lane.kind == Kind::Floor {
            chart.draw_series(DashedLineSeries::new(line.iter().copied(), 6, 4, style))?;
        } else {
            chart.draw_series(LineSeries::new(line.iter().copied(), style))?;
        }
        chart.draw_series(line.iter().map(|&at| Circle::new(at, 3, style.color.filled())))?;
        // A single round has no interval.
        let bounded = points().filter(|(_, it)| it.hi.is_some());
        chart.draw_series(bounded.map(|(at, it)| {
            let [_, lo, hi] = ends(it);
            PathElement::new(vec![(at, lo), (at, hi)], style)
        }))?;
    }
    Ok(())
}

/// The lanes of the panel, in the order of their lines at the right end.
fn legend<'a>(area: &Area<'a>, sweep: &Sweep, value: Value) -> Drawn<'a> {
    let last = |lane: &Series| lane.points.iter().rev().filter_map(value).map(|it| it.ratio).next();
    let mut lanes: Vec<_> = sweep
        .lanes
        .iter()
        .enumerate()
        .filter_map(|(index, lane)| Some((index, lane, last(lane)?)))
        .collect();
    lanes.sort_by(|a, b| b.2.total_cmp(&a.2));
    for (y, (index, lane, _)) in (36..).step_by(18).zip(lanes) {
        let style = style(index, lane);
        let sample = [(0, y), (26, y)];
        if lane.kind == Kind::Floor {
            for from in [0, 10, 20] {
                area.draw(&PathElement::new(vec![(from, y), (from + 6, y)], style))?;
            }
        } else {
            area.draw(&PathElement::new(sample.to_vec(), style))?;
        }
        area.draw(&Circle::new((13, y), 3, style.color.filled()))?;
        let text = ("sans-serif", 13).into_text_style(area);
        area.draw_text(&lane.lane, &text, (34, y - 7))?;
    }
    Ok(())
}

fn style(index: usize, lane: &Series) -> ShapeStyle {
    let width = if lane.kind == Kind::Floor { 1 } else { 2 };
    COLORS[index % COLORS.len()].stroke_width(width)
}
