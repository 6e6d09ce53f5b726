//! What was measured, as Markdown.

use crate::{
    ceiling::Ceiling,
    cell::Cell,
    figures::{
        CPU, FAILED, Figure, Fold, LOST, delay, fold, least, load, median, rows, servers, traffic,
    },
    judge,
    series::{Measured, Results},
    start::Start,
    summary,
    table::Table,
};

const FIGURES: [Figure; 15] = [
    median("deliveries/s", |cell| traffic(cell, |it| it.rate), 0),
    CPU,
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
    LOST,
    FAILED,
    median("others %", |cell| traffic(cell, |it| it.others * 100.0), 0),
];

/// What is compared, and with which server.
const RATIOS: [(Figure, &str); 9] = [
    (titled("CPU × floor", CPU), "floor"),
    (least("least CPU × floor", CPU.value, 2), "floor"),
    (titled("CPU × floor-batch", CPU), "floor-batch"),
    (titled("CPU × womack", CPU), "womack"),
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

/// Everything, with a heading for each series.
#[must_use]
pub fn markdown(results: &Results) -> String {
    let mut text = String::new();
    for measured in &results.series {
        text += &format!("\n### {}\n\n", measured.title);
        text += &series(measured);
    }
    if !results.ceilings.is_empty() {
        text += "\n### The router's ceiling\n\n";
        text += &ceilings(&results.ceilings);
    }
    if !results.starts.is_empty() {
        text += "\n### Start\n\n";
        text += &starts(&results.starts);
    }
    if let Some(judged) = &results.judged {
        text += &judge::report::markdown(judged);
    }
    text
}

fn series(measured: &Measured) -> String {
    let cells = &measured.cells;
    if cells.iter().any(|cell| cell.value.is_some()) {
        return sweep(cells);
    }
    let mut table = Table::new(["workload", "server"], FIGURES.map(|figure| figure.title));
    for row in rows(cells) {
        let values = FIGURES.map(|figure| (figure.of(&row), figure.digits));
        table.row([&row[0].workload, &row[0].server], values);
    }
    let mut ratios = Table::new(
        ["workload", "server"],
        RATIOS.map(|(figure, _)| figure.title),
    );
    for row in rows(cells) {
        let values = RATIOS.map(|(figure, base)| (figure.ratio(cells, &row, base), figure.digits));
        ratios.row([&row[0].workload, &row[0].server], values);
    }
    format!(
        "{}\n{}\n{}",
        summary::table(cells).into_text(),
        table.into_text(),
        ratios.into_text()
    )
}

/// One line for each point, the servers beside one another; ratios to the floor, or without one
/// to the first server.
fn sweep(cells: &[Cell]) -> String {
    let servers = servers(cells);
    let base = *servers
        .iter()
        .find(|&&server| server == "floor")
        .unwrap_or(&servers[0]);
    let others: Vec<_> = servers.iter().filter(|&&server| server != base).collect();
    let titles = servers.iter().map(|server| format!("{server} µs"));
    let ratios = others.iter().map(|server| format!("{server} × {base}"));
    let mut table = Table::new(
        [cells[0].workload.as_str()],
        titles
            .chain(ratios)
            .chain(["lost".to_owned(), "failed".to_owned()]),
    );
    let rows = rows(cells);
    for point in rows.chunk_by(|one, other| load(one[0]) == load(other[0])) {
        let of = |server: &str| point.iter().find(|row| row[0].server == server);
        let micros = servers
            .iter()
            .map(|server| of(server).and_then(|row| CPU.of(row)));
        let ratios = others
            .iter()
            .map(|server| of(server).and_then(|row| CPU.ratio(cells, row, base)));
        let all: Vec<_> = point.iter().flatten().copied().collect();
        let values = micros.zip([3].into_iter().cycle());
        let values = values.chain(ratios.zip([2].into_iter().cycle()));
        let value = point[0][0].value.unwrap_or_default();
        table.row(
            [&value.to_string()],
            values.chain([(LOST.of(&all), 0), (FAILED.of(&all), 0)]),
        );
    }
    table.into_text()
}

fn ceilings(ceilings: &[Ceiling]) -> String {
    let titles = [
        "messages/s",
        "server µs",
        "Redis µs",
        "load µs",
        "server alone, messages/s",
        "lost",
    ];
    let mut table = Table::new(["server", "clients"], titles);
    for one in ceilings.iter().filter(|it| it.round == 1) {
        let median = |value: fn(&Ceiling) -> f64| {
            let same = ceilings
                .iter()
                .filter(|it| it.server == one.server && it.clients == one.clients);
            fold(same.map(value).collect(), Fold::Median)
        };
        let values = [
            (median(|it| it.rate), 0),
            (median(|it| it.server_micros), 2),
            (median(|it| it.redis_micros), 2),
            (median(|it| it.load_micros), 2),
            (median(|it| 1e6 / it.server_micros), 0),
            (median(|it| it.lost as f64), 0),
        ];
        table.row([&one.server, &one.clients.to_string()], values);
    }
    table.into_text()
}

fn starts(starts: &[Start]) -> String {
    let mut table = Table::new(["from starting to"], ["median ms", "least ms"]);
    let mut row = |name: &str, value: fn(&Start) -> f64| {
        let values: Vec<_> = starts.iter().map(value).collect();
        let least = fold(values.clone(), Fold::Least);
        table.row([name], [(fold(values, Fold::Median), 1), (least, 1)]);
    };
    row("a client's handshake answered", |start| start.accepted);
    row("`/readyz` says yes", |start| start.ready);
    table.into_text()
}

const fn titled(title: &'static str, figure: Figure) -> Figure {
    Figure {
        title,
        digits: 2,
        ..figure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(server: &str, value: u64, connect_micros: f64) -> Cell {
        Cell {
            workload: "clients".to_owned(),
            value: Some(value),
            server: server.to_owned(),
            round: 1,
            clients: 1,
            failed: 0,
            connect_micros,
            idle_bytes: 0.0,
            traffic: None,
            failure: None,
        }
    }

    #[test]
    fn sweep_has_a_line_for_each_point() {
        let cells = [
            cell("womack", 100, 1.0),
            cell("floor", 100, 1.0),
            cell("womack", 300, 1.0),
            cell("floor", 300, 1.0),
        ];
        let expected = "| clients | womack µs | floor µs | womack × floor | lost | failed |\n\
                        |---|---:|---:|---:|---:|---:|\n\
                        | 100 | – | – | – | – | 0 |\n\
                        | 300 | – | – | – | – | 0 |\n";
        assert_eq!(sweep(&cells), expected);
    }
}
