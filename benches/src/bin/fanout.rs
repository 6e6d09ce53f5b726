//! The whole-system benchmark: servers under workloads, in interleaved rounds.

use std::{fs, io, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser};
use womack_benches::{
    cell::{Bench, Cell},
    plot, process, proof, report,
    series::{Results, Series},
    servers::{SERVERS, Server},
    sweep::Axis,
    workload::{WORKLOADS, Workload},
};

/// What is measured if nothing is asked for.
const USUAL: [&str; 6] = ["W1", "W2", "W3", "W4", "W8", "connect"];
/// How often Womack is started to tell how long that takes.
const STARTS: usize = 20;

/// Measure what a delivery costs each server, against the floor.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    series: SeriesArguments,
    #[command(flatten)]
    setting: SettingArguments,
    /// Measure everything that is claimed, in about twenty minutes; the options that choose servers,
    /// workloads and rounds do not matter then.
    #[arg(long)]
    proof: bool,
    /// Also measure how many messages a second come through Womack's router.
    #[arg(long)]
    router: bool,
    /// Also measure how long Womack takes to start.
    #[arg(long)]
    start: bool,
    /// Write every single measurement to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Measure nothing, and show what such a file holds.
    #[arg(long)]
    from: Option<PathBuf>,
    /// Write plots to this folder.
    #[arg(long)]
    plot: Option<PathBuf>,
}

/// What to measure.
#[derive(Args)]
struct SeriesArguments {
    /// Servers, in the order in which the first round takes them.
    #[arg(long, value_delimiter = ',', value_parser = server, default_value = "womack,floor,floor-batch")]
    servers: Vec<Server>,
    /// Workloads [default: W1,W2,W3,W4,W8,connect, if nothing else is asked for].
    #[arg(long, value_delimiter = ',', value_parser = workload)]
    workloads: Vec<Workload>,
    /// Sweeps: clients, channels, bytes or rate.
    #[arg(long, value_delimiter = ',', value_parser = axis)]
    sweep: Vec<Axis>,
    /// How often each server has its turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each measurement takes.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Connect so many clients, whatever the workload says.
    #[arg(long)]
    clients: Option<usize>,
}

/// Where and with what.
#[derive(Args)]
struct SettingArguments {
    /// Womack's shards.
    #[arg(long, default_value_t = 1)]
    shards: usize,
    /// Further arguments for Womack, separated by spaces.
    #[arg(long, value_delimiter = ' ', allow_hyphen_values = true)]
    womack_args: Vec<String>,
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
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fanout: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<()> {
    let results = match &arguments.from {
        Some(path) => serde_json::from_slice(&fs::read(path)?)?,
        None => measure(arguments)?,
    };
    print!("{}", report::markdown(&results));
    if let Some(path) = &arguments.json {
        fs::write(path, serde_json::to_string_pretty(&results)?)?;
    }
    if let Some(folder) = &arguments.plot {
        plot::write(&results, folder).map_err(|error| io::Error::other(error.to_string()))?;
    }
    Ok(())
}

fn measure(arguments: &Arguments) -> io::Result<Results> {
    let all = arguments.all_series();
    let setting = &arguments.setting;
    let files = process::raise_file_limit()?;
    for series in &all {
        series.check(files)?;
    }
    let mut bench = Bench::open(
        &setting.redis,
        process::folder()?,
        (&setting.server_cpus, &setting.load_cpus),
        Duration::from_secs(arguments.series.seconds),
    )?;
    bench.setting = bench
        .setting
        .with_womack(setting.womack.clone())
        .with_womack_args(&setting.womack_args)
        .with_shards(setting.shards);
    let mut results = Results::default();
    for series in &all {
        results.series.push(series.measure(&mut bench, progress)?);
    }
    if arguments.router || arguments.proof {
        results.ceilings = bench.ceilings(arguments.series.rounds)?;
    }
    if arguments.start || arguments.proof {
        let starts = (0..STARTS).map(|_| bench.start_time());
        results.starts = starts.collect::<Result<_, _>>()?;
    }
    Ok(results)
}

impl Arguments {
    fn all_series(&self) -> Vec<Series> {
        if self.proof {
            return proof::series();
        }
        let series = |title: &str, workloads: Vec<Workload>| {
            let chosen = |mut workload: Workload| {
                workload.clients = self.series.clients.unwrap_or(workload.clients);
                workload
            };
            Series {
                title: title.to_owned(),
                servers: self.series.servers.clone(),
                workloads: workloads.into_iter().map(chosen).collect(),
                rounds: self.series.rounds,
                duration: Duration::from_secs(self.series.seconds),
            }
        };
        let mut workloads = self.series.workloads.clone();
        if workloads.is_empty() && self.series.sweep.is_empty() && !self.router && !self.start {
            workloads = USUAL.into_iter().filter_map(Workload::find).collect();
        }
        let mut all = Vec::new();
        if !workloads.is_empty() {
            all.push(series("Servers", workloads));
        }
        let sweeps = self.series.sweep.iter();
        all.extend(sweeps.map(|axis| series(axis.title(), axis.workloads())));
        all
    }
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
    let value = cell.value.map(|value| format!(" {value}"));
    let value = value.unwrap_or_default();
    eprintln!(
        "round {} {}{value} {}: {} clients, {} failed, {figures} {failure}",
        cell.round, cell.workload, cell.server, cell.clients, cell.failed
    );
}

fn server(name: &str) -> Result<Server, String> {
    let known = || SERVERS.map(|it| it.name).join(", ");
    Server::find(name).ok_or_else(|| format!("known servers: {}", known()))
}

fn workload(name: &str) -> Result<Workload, String> {
    let known = || WORKLOADS.map(|it| it.name).join(", ");
    Workload::find(name).ok_or_else(|| format!("known workloads: {}", known()))
}

fn axis(name: &str) -> Result<Axis, String> {
    let known = || Axis::ALL.map(Axis::name).join(", ");
    Axis::find(name).ok_or_else(|| format!("known sweeps: {}", known()))
}
