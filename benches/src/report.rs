//! Medians over the rounds, and ratios to the floor of the same round, as Markdown.

use crate::cell::{Cell, Delay, Traffic};

/// A figure of a cell, and how it is shown.
struct Column {
    title: &'static str,
    value: fn(&Cell) -> Option<f64>,
    digits: usize,
    fold: Fold,
}

/// How the rounds' figures become one.
#[derive(Clone, Copy)]
enum Fold {
    Median,
    /// What disturbs a measurement of CPU only ever adds to it.
    Least,
    Sum,
}

const COLUMNS: [Column; 15] = [
    median("deliveries/s", |cell| traffic(cell, |it| it.rate), 0),
    median("CPU µs", |cell| traffic(cell, |it| it.cpu_micros), 3),
    least("least µs", |cell| traffic(cell, |it| it.cpu_micros), 3),
    median(
        "user µs",
        |cell| traffic(cell, |it| it.cpu_micros * (1.0 - it.system_share)),
        3,
    ),
    median("reads", |cell| traffic(cell, |it| it.reads), 2),
    median("p50 ms", |cell| delay(cell, |it| it.p50), 2),
    median("p99 ms", |cell| delay(cell, |it| it.p99), 2),
    median("p99.9 ms", |cell| delay(cell, |it| it.p999), 2),
    median("max ms", |cell| delay(cell, |it| it.max), 1),
    median("last ms", |cell| traffic(cell, |it| it.last), 1),
    median("idle B", |cell| Some(cell.idle_bytes), 0),
    median("connect µs", |cell| Some(cell.connect_micros), 1),
    sum("lost", |cell| traffic(cell, |it| it.lost as f64)),
    sum("failed", |cell| Some((cell.failed + wrong(cell)) as f64)),
    median("others %", |cell| traffic(cell, |it| it.others * 100.0), 0),
];

/// What is compared with the floors: the figure and the floor's name.
const RATIOS: [(Column, &str); 8] = [
    (
        median("CPU × floor", |cell| traffic(cell, |it| it.cpu_micros), 2),
        "floor",
    ),
    (
        least(
            "least CPU × floor",
            |cell| traffic(cell, |it| it.cpu_micros),
            2,
        ),
        "floor",
    ),
    (
        median(
            "CPU × floor-batch",
            |cell| traffic(cell, |it| it.cpu_micros),
            2,
        ),
        "floor-batch",
    ),
    (
        median("p50 × floor", |cell| delay(cell, |it| it.p50), 2),
        "floor",
    ),
    (
        median("p99 × floor", |cell| delay(cell, |it| it.p99), 2),
        "floor",
    ),
    (
        median("last × floor", |cell| traffic(cell, |it| it.last), 2),
        "floor",
    ),
    (
        median("rate × floor", |cell| traffic(cell, |it| it.rate), 2),
        "floor",
    ),
    (
        median("connect × floor", |cell| Some(cell.connect_micros), 2),
        "floor",
    ),
];

/// Both tables: the figures, and the ratios.
#[must_use]
pub fn markdown(cells: &[Cell]) -> String {
    let mut text = String::new();
    let titles = COLUMNS.iter().map(|column| column.title);
    header(&mut text, titles);
    for rows in rows(cells) {
        let values = COLUMNS.iter().map(|column| {
            let values = rows
                .iter()
                .filter_map(|cell| (column.value)(cell))
                .collect();
            (fold(values, column.fold), column.digits)
        });
        row(&mut text, rows[0], values);
    }
    text.push('\n');
    header(&mut text, RATIOS.iter().map(|(column, _)| column.title));
    for rows in rows(cells) {
        let values = RATIOS
            .iter()
            .map(|(column, floor)| (ratio(cells, &rows, column, floor), column.digits));
        row(&mut text, rows[0], values);
    }
    text
}

const fn median(title: &'static str, value: fn(&Cell) -> Option<f64>, digits: usize) -> Column {
    Column {
        title,
        value,
        digits,
        fold: Fold::Median,
    }
}

const fn least(title: &'static str, value: fn(&Cell) -> Option<f64>, digits: usize) -> Column {
    Column {
        title,
        value,
        digits,
        fold: Fold::Least,
    }
}

const fn sum(title: &'static str, value: fn(&Cell) -> Option<f64>) -> Column {
    Column {
        title,
        value,
        digits: 0,
        fold: Fold::Sum,
    }
}

fn traffic(cell: &Cell, value: fn(&Traffic) -> f64) -> Option<f64> {
    cell.traffic.as_ref().map(value)
}

fn delay(cell: &Cell, value: fn(&Delay) -> f64) -> Option<f64> {
    cell.traffic.as_ref().map(|traffic| value(&traffic.delay))
}

fn wrong(cell: &Cell) -> u64 {
    cell.traffic
        .as_ref()
        .map_or(0, |traffic| traffic.wrong + traffic.closed)
}

/// The cells of each workload and server, in the order of their first appearance.
fn rows(cells: &[Cell]) -> Vec<Vec<&Cell>> {
    let mut rows: Vec<Vec<&Cell>> = Vec::new();
    for cell in cells {
        let same = |row: &&mut Vec<&Cell>| {
            row[0].workload == cell.workload && row[0].server == cell.server
        };
        match rows.iter_mut().find(same) {
            Some(row) => row.push(cell),
            None => rows.push(vec![cell]),
        }
    }
    // Stable: servers keep their order within a workload.
    let place = |name| cells.iter().position(|cell| cell.workload == name);
    rows.sort_by_key(|row| place(row[0].workload));
    rows
}

/// A row's figure, divided by the floor's in the same workload.
fn ratio(cells: &[Cell], row: &[&Cell], column: &Column, floor: &str) -> Option<f64> {
    let floors = || {
        let same = |cell: &&Cell| cell.server == floor && cell.workload == row[0].workload;
        cells.iter().filter(same)
    };
    if let Fold::Least = column.fold {
        let own = row.iter().filter_map(|cell| (column.value)(cell));
        let floors = floors().filter_map(column.value);
        return Some(fold(own.collect(), Fold::Least)? / fold(floors.collect(), Fold::Least)?);
    }
    let of_round = |cell: &&Cell| {
        let floor = floors().find(|floor| floor.round == cell.round)?;
        Some((column.value)(cell)? / (column.value)(floor)?)
    };
    fold(row.iter().filter_map(of_round).collect(), column.fold)
}

fn fold(mut values: Vec<f64>, fold: Fold) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match fold {
        _ if values.is_empty() => None,
        Fold::Sum => Some(values.iter().sum()),
        Fold::Least => Some(values[0]),
        Fold::Median if values.len() % 2 == 1 => Some(values[middle]),
        Fold::Median => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

fn header<'a>(text: &mut String, titles: impl Iterator<Item = &'a str>) {
    let mut line = String::from("| workload | server |");
    let mut rule = String::from("|---|---|");
    for title in titles {
        line = format!("{line} {title} |");
        rule += "---:|";
    }
    text.push_str(&format!("{line}\n{rule}\n"));
}

fn row(text: &mut String, cell: &Cell, values: impl Iterator<Item = (Option<f64>, usize)>) {
    text.push_str(&format!("| {} | {} |", cell.workload, cell.server));
    for (value, digits) in values {
        match value {
            Some(value) => text.push_str(&format!(" {value:.digits$} |")),
            None => text.push_str(" – |"),
        }
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(server: &'static str, round: usize, connect_micros: f64) -> Cell {
        Cell {
            workload: "connect",
            server,
            round,
            clients: 1,
            failed: 0,
            connect_micros,
            idle_bytes: 0.0,
            traffic: None,
            failure: None,
        }
    }

    #[test]
    fn ratio_is_the_median_of_the_rounds_ratios() {
        let cells = [
            cell("womack", 1, 30.0),
            cell("floor", 1, 10.0),
            cell("womack", 2, 40.0),
            cell("floor", 2, 20.0),
            cell("womack", 3, 90.0),
            cell("floor", 3, 90.0),
        ];
        let text = markdown(&cells);
        assert!(
            text.contains("| connect | womack | – | – | – | – | – | – | – | 2.00 |"),
            "{text}"
        );
        assert!(text.contains("| 40.0 |"), "{text}");
    }
}
