//! The whole-system benchmark: servers under workloads, in interleaved rounds.

use std::{env, fs, io, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use womack_benches::{
    cell::{Bench, Cell},
    process::{self, Cpus, Process},
    report,
    servers::{SERVERS, Server, Setting},
    workload::{WORKLOADS, Workload},
};

/// Files that a process needs beside its clients' sockets.
const SPARE_FILES: u64 = 100;

/// Measure what a delivery costs each server, against the floor.
#[derive(Parser)]
struct Arguments {
    /// Servers, in the order in which the first round takes them.
    #[arg(long, value_delimiter = ',', value_parser = server, default_value = "womack,floor,floor-batch")]
    servers: Vec<Server>,
    /// Workloads.
    #[arg(long, value_delimiter = ',', value_parser = workload, default_value = "W1,W2,W3,W4,W8,connect")]
    workloads: Vec<Workload>,
    /// How often each server has its turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each measurement takes.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Connect so many clients, whatever the workload says.
    #[arg(long)]
    clients: Option<usize>,
    /// Womack's shards.
    #[arg(long, default_value_t = 1)]
    shards: usize,
    /// The server's CPUs.
    #[arg(long, value_delimiter = ',', default_value = "0")]
    server_cpus: Vec<usize>,
    /// The CPUs of Redis and of the clients.
    #[arg(long, value_delimiter = ',', default_value = "1")]
    load_cpus: Vec<usize>,
    /// Womack's program, if not beside this one.
    #[arg(long)]
    womack: Option<PathBuf>,
    /// Redis's program.
    #[arg(long, default_value = "redis-server")]
    redis: String,
    /// Write every single measurement to this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fanout: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> io::Result<()> {
    let files = process::raise_file_limit()?;
    process::pin(&arguments.load_cpus)?;
    let cpus = Cpus {
        process: &arguments.load_cpus,
        own: &arguments.load_cpus,
    };
    let (_redis, redis) = Process::start_redis(&arguments.redis, cpus)?;
    let mut programs = env::current_exe()?;
    programs.pop();
    let bench = Bench {
        setting: Setting::new(programs, arguments.womack, redis, arguments.shards),
        redis,
        server_cpus: arguments.server_cpus,
        load_cpus: arguments.load_cpus,
        duration: Duration::from_secs(arguments.seconds),
    };
    let mut cells = Vec::new();
    for round in 1..=arguments.rounds {
        for workload in &arguments.workloads {
            let mut workload = *workload;
            workload.clients = arguments.clients.unwrap_or(workload.clients);
            if workload.clients as u64 + SPARE_FILES > files {
                let name = workload.name;
                return Err(io::Error::other(format!(
                    "{name} needs more open files than {files}"
                )));
            }
            let mut servers = arguments.servers.clone();
            // Whatever the place in a round does to a server, it does to each in turn.
            let first = (round - 1) % servers.len();
            servers.rotate_left(first);
            for server in servers {
                if workload.polling && !server.polling {
                    continue;
                }
                let cell = bench.measure(&workload, &server, round)?;
                progress(&cell);
                cells.push(cell);
            }
        }
    }
    cells.sort_by_key(|cell| {
        let place = |server: &Server| server.name == cell.server;
        (cell.round, arguments.servers.iter().position(place))
    });
    print!("{}", report::markdown(&cells));
    if let Some(path) = arguments.json {
        fs::write(path, serde_json::to_string_pretty(&cells)?)?;
    }
    Ok(())
}

/// One line as soon as a cell is done: a run of many rounds takes minutes.
fn progress(cell: &Cell) {
    let figures = match &cell.traffic {
        Some(traffic) => format!(
            "{:.0} deliveries/s, {:.3} µs, last {:.1} ms, {} lost",
            traffic.rate, traffic.cpu_micros, traffic.last, traffic.lost
        ),
        None => format!(
            "{:.1} µs, {:.0} B a client",
            cell.connect_micros, cell.idle_bytes
        ),
    };
    let failure = cell.failure.as_deref().unwrap_or_default();
    eprintln!(
        "round {} {} {}: {} clients, {} failed, {figures} {failure}",
        cell.round, cell.workload, cell.server, cell.clients, cell.failed
    );
}

fn server(name: &str) -> Result<Server, String> {
    Server::find(name)
        .ok_or_else(|| format!("known servers: {}", SERVERS.map(|it| it.name).join(", ")))
}

fn workload(name: &str) -> Result<Workload, String> {
    let known = || {
        format!(
            "known workloads: {}",
            WORKLOADS.map(|it| it.name).join(", ")
        )
    };
    Workload::find(name).ok_or_else(known)
}
