//! Figures of cells: medians over the rounds, and ratios to another server in the same rounds.

use crate::cell::{Cell, Delay, Traffic};

/// A figure of a cell, and how it is shown.
#[derive(Clone, Copy)]
pub struct Figure {
    /// What it is called, with its unit.
    pub title: &'static str,
    /// Takes it from a cell.
    pub value: fn(&Cell) -> Option<f64>,
    /// Decimal places.
    pub digits: usize,
    /// How the rounds' figures become one.
    pub fold: Fold,
}

/// How the rounds' figures become one.
#[derive(Clone, Copy)]
pub enum Fold {
    /// The middle one.
    Median,
    /// What disturbs a measurement of CPU only ever adds to it.
    Least,
    /// All of them together.
    Sum,
}

/// The server's CPU for a delivery.
pub const CPU: Figure = median("CPU µs", |cell| traffic(cell, |it| it.cpu_micros), 3);

/// Deliveries that did not come.
pub const LOST: Figure = sum("lost", |cell| traffic(cell, |it| it.lost as f64));

/// Clients that could not connect or were closed, and messages that were not what they should be.
pub const FAILED: Figure = sum("failed", |cell| {
    let wrong = traffic(cell, |it| (it.wrong + it.closed) as f64);
    Some(cell.failed as f64 + wrong.unwrap_or_default())
});

impl Figure {
    /// The figure of these cells, which are one server's under one workload.
    #[must_use]
    pub fn of(&self, row: &[&Cell]) -> Option<f64> {
        fold(
            row.iter().filter_map(|cell| (self.value)(cell)).collect(),
            self.fold,
        )
    }

    /// The same, divided by the figure of another server under the same workload.
    #[must_use]
    pub fn ratio(&self, cells: &[Cell], row: &[&Cell], base: &str) -> Option<f64> {
        let bases: Vec<_> = cells
            .iter()
            .filter(|cell| cell.server == base && load(cell) == load(row[0]))
            .collect();
        if let Fold::Least = self.fold {
            return Some(self.of(row)? / self.of(&bases)?);
        }
        let of_round = |cell: &&Cell| {
            let base = bases.iter().find(|base| base.round == cell.round)?;
            Some((self.value)(cell)? / (self.value)(base)?)
        };
        fold(row.iter().filter_map(of_round).collect(), self.fold)
    }
}

/// The cells of each load and server, in the order of their first appearance.
#[must_use]
pub fn rows(cells: &[Cell]) -> Vec<Vec<&Cell>> {
    let mut rows: Vec<Vec<&Cell>> = Vec::new();
    for cell in cells {
        let same =
            |row: &&mut Vec<&Cell>| load(row[0]) == load(cell) && row[0].server == cell.server;
        match rows.iter_mut().find(same) {
            Some(row) => row.push(cell),
            None => rows.push(vec![cell]),
        }
    }
    // Stable: servers keep their order under a load.
    let place = |row: &Vec<&Cell>| cells.iter().position(|cell| load(cell) == load(row[0]));
    rows.sort_by_key(place);
    rows
}

/// The names of the servers, in order.
#[must_use]
pub fn servers(cells: &[Cell]) -> Vec<&str> {
    let mut names = Vec::new();
    for cell in cells {
        if !names.contains(&cell.server.as_str()) {
            names.push(cell.server.as_str());
        }
    }
    names
}

/// What a cell was measured under.
#[must_use]
pub fn load(cell: &Cell) -> (&str, Option<u64>) {
    (&cell.workload, cell.value)
}

/// A figure whose median over the rounds counts.
#[must_use]
pub const fn median(title: &'static str, value: fn(&Cell) -> Option<f64>, digits: usize) -> Figure {
    Figure {
        title,
        value,
        digits,
        fold: Fold::Median,
    }
}

/// A figure whose least value counts.
#[must_use]
pub const fn least(title: &'static str, value: fn(&Cell) -> Option<f64>, digits: usize) -> Figure {
    Figure {
        title,
        value,
        digits,
        fold: Fold::Least,
    }
}

/// A count of what should not happen.
#[must_use]
pub const fn sum(title: &'static str, value: fn(&Cell) -> Option<f64>) -> Figure {
    Figure {
        title,
        value,
        digits: 0,
        fold: Fold::Sum,
    }
}

/// A figure of what was published, if anything was.
pub fn traffic(cell: &Cell, value: fn(&Traffic) -> f64) -> Option<f64> {
    cell.traffic.as_ref().map(value)
}

/// A figure of how long deliveries took.
pub fn delay(cell: &Cell, value: fn(&Delay) -> f64) -> Option<f64> {
    cell.traffic.as_ref().map(|traffic| value(&traffic.delay))
}

/// Folds single figures into one.
#[must_use]
pub fn fold(mut values: Vec<f64>, fold: Fold) -> Option<f64> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const CONNECT: Figure = median("connect µs", |cell| Some(cell.connect_micros), 1);

    fn cell(server: &str, round: usize, connect_micros: f64) -> Cell {
        Cell {
            workload: "connect".to_owned(),
            value: None,
            server: server.to_owned(),
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
        let rows = rows(&cells);
        assert_eq!(servers(&cells), ["womack", "floor"]);
        assert_eq!(CONNECT.of(&rows[0]), Some(40.0));
        assert_eq!(CONNECT.ratio(&cells, &rows[0], "floor"), Some(2.0));
        assert_eq!(CPU.of(&rows[0]), None);
    }
}
