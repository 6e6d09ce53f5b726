//! A series: some servers under some workloads, in interleaved rounds.

use std::{io, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    ceiling::Ceiling,
    cell::{Bench, Cell},
    judge::Judged,
    servers::Server,
    start::Start,
    workload::Workload,
};

/// Files that a process needs beside its clients' sockets.
const SPARE_FILES: u64 = 100;

/// What to measure.
pub struct Series {
    /// What its tables are about.
    pub title: String,
    /// In the order in which the first round takes them.
    pub servers: Vec<Server>,
    /// Under which loads.
    pub workloads: Vec<Workload>,
    /// How often each server has its turn.
    pub rounds: usize,
    /// How long each measurement takes.
    pub duration: Duration,
}

/// What was measured; what `--json` writes and `--from` reads.
#[derive(Default, Deserialize, Serialize)]
pub struct Results {
    /// The series, in order.
    pub series: Vec<Measured>,
    /// The router's ceiling.
    pub ceilings: Vec<Ceiling>,
    /// Womack's starts.
    pub starts: Vec<Start>,
    /// The judgement of a change.
    #[serde(default)]
    pub judged: Option<Judged>,
}

/// A series with its figures.
#[derive(Deserialize, Serialize)]
pub struct Measured {
    /// The series's title.
    pub title: String,
    /// Every single measurement, a round's servers in the series's order.
    pub cells: Vec<Cell>,
}

/// Checks that a process may open `files` files, and enough for each of these workloads.
pub fn check_files<'a>(
    workloads: impl IntoIterator<Item = &'a Workload>,
    files: u64,
) -> io::Result<()> {
    let workload = workloads.into_iter().max_by_key(|it| it.clients);
    match workload {
        Some(workload) if workload.clients as u64 + SPARE_FILES > files => {
            let name = workload.name;
            let message = format!("{name} needs more open files than {files}");
            Err(io::Error::other(message))
        }
        _ => Ok(()),
    }
}

impl Series {
    /// Measures all of it; every cell is also given to `progress` as soon as it is done.
    pub fn measure(&self, bench: &mut Bench, progress: fn(&Cell)) -> io::Result<Measured> {
        bench.duration = self.duration;
        let mut cells = Vec::new();
        for round in 1..=self.rounds {
            for workload in &self.workloads {
                let mut servers = self.servers.clone();
                // Whatever the place in a round does to a server, it does to each in turn.
                servers.rotate_left((round - 1) % self.servers.len());
                servers.retain(|server| server.serves(workload));
                for server in servers {
                    let cell = bench.measure(workload, &server, round)?;
                    progress(&cell);
                    cells.push(cell);
                }
            }
        }
        cells.sort_by_key(|cell| {
            let place = |server: &Server| server.name == cell.server;
            (cell.round, self.servers.iter().position(place))
        });
        Ok(Measured {
            title: self.title.clone(),
            cells,
        })
    }
}
