//! Model against records as a page of SVG: correlations, and the tails of rounds.

use plotters::prelude::*;

use crate::{LAGS, Statistics};

/// Okabe and Ito's colors, which can be distinguished with most kinds of color blindness.
const COLORS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(120, 94, 20),
];
const PANEL: (u32, u32) = (460, 340);
const TAIL: f64 = 8.0;

/// A row of two plots for each of `panels`: title and statistics, those of the model first.
pub fn svg(panels: &[(&str, Vec<Statistics>)]) -> Result<String, Box<dyn std::error::Error>> {
    let mut text = String::new();
    {
        let size = (2 * PANEL.0, PANEL.1 * panels.len().max(1) as u32);
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        root.fill(&WHITE)?;
        let areas = root.split_evenly((panels.len().max(1), 2));
        for ((title, rows), areas) in panels.iter().zip(areas.chunks(2)) {
            let correlations: Vec<Line> = rows
                .iter()
                .map(|row| {
                    LAGS.iter()
                        .zip(row.correlations)
                        .map(|(lag, it)| ((*lag as f64).log2(), it))
                        .collect()
                })
                .collect();
            let axes = Axes {
                title: format!("{title}: correlation"),
                x: (0.0, 4.0),
                y: (0.0, 1.0),
                x_name: "slices apart",
                y_name: "correlation",
            };
            draw(&areas[0], &axes, |x| format!("{}", x.exp2().round()), rows, &correlations)?;
            let tails: Vec<Line> = rows.iter().map(|row| tail(&row.rounds)).collect();
            let axes = Axes {
                title: format!("{title}: tails of rounds"),
                x: (0.0, TAIL),
                y: (-3.0, 0.0),
                x_name: "distance from the median, robust standard deviations",
                y_name: "share of rounds beyond",
            };
            draw(&areas[1], &axes, |x| format!("{x}"), rows, &tails)?;
        }
        root.present()?;
    }
    // The fonts of the reader's machine.
    Ok(text.replace("font-family=\"sans-serif\"", "font-family=\"system-ui, sans-serif\""))
}

type Line = Vec<(f64, f64)>;

struct Axes {
    title: String,
    x: (f64, f64),
    y: (f64, f64),
    x_name: &'static str,
    y_name: &'static str,
}

/// The decimal log of the share of `rounds` that lie farther out than x.
fn tail(rounds: &[f64]) -> Line {
    let share =
        |x: f64| rounds.iter().filter(|round| round.abs() > x).count() as f64 / rounds.len() as f64;
    (0..=80).map(|i| f64::from(i) / 80.0 * TAIL).map(|x| (x, share(x).log10().max(-3.0))).collect()
}

fn draw<'a>(
    area: &DrawingArea<SVGBackend<'a>, plotters::coord::Shift>,
    axes: &Axes,
    x_label: impl Fn(f64) -> String,
    rows: &[Statistics],
    lines: &[Line],
) -> Result<(), Box<dyn std::error::Error>>
where
    SVGBackend<'a>: DrawingBackend<ErrorType: 'static>,
{
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .caption(&axes.title, ("sans-serif", 15))
        .build_cartesian_2d(axes.x.0..axes.x.1, axes.y.0..axes.y.1)?;
    let is_log = axes.y.0 < 0.0;
    chart
        .configure_mesh()
        .light_line_style(RGBColor(245, 245, 245))
        .bold_line_style(RGBColor(222, 222, 222))
        .x_labels(5)
        .y_labels(5)
        .x_desc(axes.x_name)
        .y_desc(axes.y_name)
        .x_label_formatter(&|x| x_label(*x))
        .y_label_formatter(&|y| {
            if is_log { format!("{} %", 100.0 * 10_f64.powf(*y)) } else { format!("{y:.1}") }
        })
        .draw()?;
    for (index, (row, line)) in rows.iter().zip(lines).enumerate() {
        let style = if index == 0 {
            BLACK.stroke_width(3)
        } else {
            COLORS[(index - 1) % COLORS.len()].stroke_width(1)
        };
        chart
            .draw_series(LineSeries::new(line.iter().copied(), style))?
            .label(&row.name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .label_font(("sans-serif", 11))
        .draw()?;
    Ok(())
}
