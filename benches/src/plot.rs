//! Plots of what was measured, as SVG.

use std::{error::Error, ops::Range, path::Path};

use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::{
    cell::Cell,
    figures::{CPU, rows, servers},
    series::{Measured, Results},
    sweep::Axis,
};

/// Loads whose cost is shown as bars, and what they are.
const BARS: [(&str, &str); 3] = [
    ("W1", "W1: flood, one channel of 1,000 clients"),
    ("W2", "W2: 50 messages a second to 1,000 clients"),
    ("W4", "W4: flood, 1,000 channels of one client"),
];

const WIDTH: u32 = 900;
const COST: &str = "µs of CPU per delivery";
const FONT: &str = "sans-serif";
const SMALL: u32 = 15;
const INK: RGBColor = RGBColor(0x22, 0x22, 0x22);
const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);
/// Womack's, the floors' and the peers' bars.
const OWN: RGBColor = RGBColor(0xc2, 0x41, 0x0c);
const FLOOR: RGBColor = RGBColor(0x8a, 0x8a, 0x8a);
const PEER: RGBColor = RGBColor(0x2f, 0x6f, 0xa8);
/// Lines, in the order of the servers.
const LINES: [RGBColor; 4] = [OWN, FLOOR, PEER, RGBColor(0x3a, 0x8a, 0x4d)];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Plotted = Result<(), Box<dyn Error>>;

/// Writes a plot of each kind for which there are figures.
pub fn write(results: &Results, folder: &Path) -> Plotted {
    std::fs::create_dir_all(folder)?;
    let with_bars = |measured: &&Measured| {
        let has = |&(name, _): &(&str, &str)| measured.cells.iter().any(|it| it.workload == name);
        BARS.iter().all(has)
    };
    let most_servers = results
        .series
        .iter()
        .filter(with_bars)
        .max_by_key(|it| servers(&it.cells).len());
    if let Some(measured) = most_servers {
        bars(&measured.cells, &folder.join("servers.svg"))?;
    }
    for axis in Axis::ALL {
        let swept = |it: &&Measured| it.cells.iter().any(|cell| is_of(cell, axis));
        if let Some(measured) = results.series.iter().find(swept) {
            let path = folder.join(axis.name()).with_extension("svg");
            lines(&measured.cells, axis, &measured.title, &path)?;
        }
    }
    Ok(())
}

/// A panel for each load, a bar for each server, each panel with a scale of its own.
fn bars(cells: &[Cell], path: &Path) -> Plotted {
    let height = 70 + BARS.len() as u32 * (60 + 26 * servers(cells).len() as u32);
    let area = open(path, height, "CPU per delivery, less is better")?;
    for (panel, (workload, title)) in area.split_evenly((BARS.len(), 1)).iter().zip(BARS) {
        let rows = rows(cells);
        let rows = rows.iter().filter(|row| row[0].workload == workload);
        let values: Vec<_> = rows
            .filter_map(|row| Some((row[0].server.as_str(), CPU.of(row)?)))
            .collect();
        bar_panel(panel, title, &values)?;
    }
    Ok(area.present()?)
}

fn bar_panel(panel: &Area<'_>, title: &str, values: &[(&str, f64)]) -> Plotted {
    let most = values
        .iter()
        .fold(0.0, |most: f64, (_, value)| most.max(*value));
    // The first server comes on top.
    let rows = values.len() as u32;
    let place = |index: usize| rows - 1 - index as u32;
    let mut chart = ChartBuilder::on(panel)
        .caption(title, text(17))
        .margin_bottom(12)
        .margin_right(20)
        .set_label_area_size(LabelAreaPosition::Left, 120)
        .set_label_area_size(LabelAreaPosition::Bottom, 45)
        .build_cartesian_2d(0.0..most * 1.1, (0..rows - 1).into_segmented())?;
    let name = |segment: &SegmentValue<u32>| match segment {
        SegmentValue::CenterOf(row) => {
            let found = (0..values.len()).find(|&index| place(index) == *row);
            found.map_or_else(String::new, |index| values[index].0.to_owned())
        }
        SegmentValue::Exact(_) | SegmentValue::Last => String::new(),
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(values.len())
        .y_label_formatter(&name)
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(text(SMALL))
        .x_label_formatter(&|value| plain(*value))
        .x_desc(COST)
        .draw()?;
    for (index, (server, value)) in values.iter().enumerate() {
        let row = place(index);
        let corners = [
            (0.0, SegmentValue::Exact(row)),
            (*value, SegmentValue::Exact(row + 1)),
        ];
        let mut bar = Rectangle::new(corners, colour(server).filled());
        bar.set_margin(4, 4, 0, 0);
        chart.draw_series([bar])?;
        let style = text(SMALL).pos(Pos::new(HPos::Left, VPos::Center));
        let figure = Text::new(significant(*value), (6, 0), style);
        chart.draw_series([EmptyElement::at((*value, SegmentValue::CenterOf(row))) + figure])?;
    }
    Ok(())
}

/// A line for each server over the values of a sweep, which are far apart: their scale is
/// logarithmic. That of the cost is not, so that what looks flat is flat.
fn lines(cells: &[Cell], axis: Axis, title: &str, path: &Path) -> Plotted {
    let area = open(path, 420, &format!("{title}: CPU per delivery"))?;
    let points: Vec<_> = rows(cells)
        .into_iter()
        .filter(|row| is_of(row[0], axis))
        .filter_map(|row| Some((row[0].server.clone(), row[0].value? as f64, CPU.of(&row)?)))
        .collect();
    let bounds = |value: fn(&(String, f64, f64)) -> f64| -> Range<f64> {
        let values = points.iter().map(value);
        values.clone().fold(f64::MAX, f64::min)..values.fold(0.0, f64::max)
    };
    let mut values: Vec<_> = points.iter().map(|point| point.1).collect();
    values.dedup();
    let (x, y) = (bounds(|point| point.1), bounds(|point| point.2));
    let mut chart = ChartBuilder::on(&area)
        .margin(15)
        .margin_right(40)
        .set_label_area_size(LabelAreaPosition::Left, 60)
        .set_label_area_size(LabelAreaPosition::Bottom, 45)
        .build_cartesian_2d(
            (x.start..x.end).log_scale().with_key_points(values),
            0.0..y.end * 1.1,
        )?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(text(SMALL))
        .x_label_formatter(&|value| grouped(*value))
        .y_label_formatter(&|value| plain(*value))
        .x_desc(axis.label())
        .y_desc(COST)
        .draw()?;
    for (server, colour) in servers(cells).into_iter().zip(LINES) {
        let line: Vec<_> = points
            .iter()
            .filter(|point| point.0 == server)
            .map(|point| (point.1, point.2))
            .collect();
        let series = LineSeries::new(line, colour.stroke_width(2)).point_size(4);
        chart
            .draw_series(series)?
            .label(server)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerLeft)
        .background_style(WHITE)
        .border_style(GRID)
        .label_font(text(SMALL))
        .draw()?;
    Ok(area.present()?)
}

/// A page with its title: white, whatever page it is shown on.
fn open<'a>(path: &'a Path, height: u32, title: &str) -> Result<Area<'a>, Box<dyn Error>> {
    let area = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    area.fill(&WHITE)?;
    Ok(area.titled(title, text(20))?)
}

fn is_of(cell: &Cell, axis: Axis) -> bool {
    cell.value.is_some() && cell.workload == axis.name()
}

fn colour(server: &str) -> RGBColor {
    match server {
        _ if server.starts_with("womack") => OWN,
        _ if server.starts_with("floor") => FLOOR,
        _ => PEER,
    }
}

fn text(size: u32) -> TextStyle<'static> {
    (FONT, size).into_font().color(&INK)
}

/// Three significant digits.
fn significant(value: f64) -> String {
    let digits = (2.0 - value.log10().floor()).clamp(0.0, 3.0) as usize;
    format!("{value:.digits$}")
}

/// Two decimals at most.
fn plain(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A whole number with commas between the thousands.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_one_reads_them() {
        assert_eq!(significant(0.1434), "0.143");
        assert_eq!(significant(8.4567), "8.46");
        assert_eq!(significant(16.41), "16.4");
        assert_eq!([plain(20.0), plain(0.5)], ["20", "0.5"]);
        assert_eq!([grouped(100.0), grouped(100_000.0)], ["100", "100,000"]);
    }
}
