//! A line for each server: the figures that one asks for first.

use crate::{
    cell::Cell,
    figures::{CPU, FAILED, Figure, LOST, delay, median, servers, traffic},
    table::Table,
};

/// What is shown of a workload, beside the CPU of a delivery.
const ALSO: [(&str, Figure); 3] = [
    ("W2", median("p50 ms", |cell| delay(cell, |it| it.p50), 1)),
    ("W2", median("p99 ms", |cell| delay(cell, |it| it.p99), 1)),
    (
        "W3",
        median("last ms", |cell| traffic(cell, |it| it.last), 0),
    ),
];
/// What is shown of the workload with the most clients.
const PER_CLIENT: [Figure; 2] = [
    median("idle B", |cell| Some(cell.idle_bytes), 0),
    median("connect µs", |cell| Some(cell.connect_micros), 0),
];

/// The table of a series.
#[must_use]
pub fn table(cells: &[Cell]) -> Table {
    let mut workloads: Vec<&str> = Vec::new();
    for cell in cells {
        if !workloads.contains(&cell.workload.as_str()) {
            workloads.push(&cell.workload);
        }
    }
    let most = cells.iter().max_by_key(|cell| cell.clients);
    let most = most.map_or("", |cell| &cell.workload);
    let mut columns: Vec<(&str, Figure)> = Vec::new();
    for workload in workloads {
        let has_traffic = |cell: &Cell| cell.workload == workload && cell.traffic.is_some();
        if cells.iter().any(has_traffic) {
            columns.push((workload, CPU));
        }
        columns.extend(ALSO.iter().filter(|(of, _)| *of == workload));
    }
    columns.extend(PER_CLIENT.map(|figure| (most, figure)));

    let titles = columns
        .iter()
        .map(|(workload, figure)| format!("{workload} {}", figure.title));
    let mut table = Table::new(
        ["server"],
        titles.chain(["lost".to_owned(), "failed".to_owned()]),
    );
    for server in servers(cells) {
        let own: Vec<_> = cells.iter().filter(|cell| cell.server == server).collect();
        let values = columns.iter().map(|(workload, figure)| {
            let row: Vec<_> = own
                .iter()
                .filter(|cell| cell.workload == *workload)
                .copied()
                .collect();
            (figure.of(&row), figure.digits)
        });
        let sums = [LOST, FAILED].map(|figure| (figure.of(&own), 0));
        table.row([server], values.chain(sums));
    }
    table
}
