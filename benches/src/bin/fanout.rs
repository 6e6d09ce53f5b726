//! The whole-system benchmark: servers under workloads, in interleaved rounds.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser};
use womack_benches::{
    cell::{Bench, Cell},
    judge::{
        self, Criterion,
        pair::Pair,
        trial::{Build, Trial},
    },
    plot, process, proof, report,
    series::{self, Results, Series},
    servers::{SERVERS, Server},
    sweep::Axis,
    workload::{WORKLOADS, Workload},
};

/// What is measured if nothing is asked for.
const USUAL: [&str; 6] = ["W1", "W2", "W3", "W4", "W8", "connect"];
/// How often Womack is started to tell how long that takes.
const STARTS: usize = 20;
/// The exit code if the figures decide nothing.
const INCONCLUSIVE: u8 = 2;

/// Measure what a delivery costs each server, against the floor.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    series: SeriesArguments,
    #[command(flatten)]
    setting: SettingArguments,
    #[command(flatten)]
    judge: JudgeArguments,
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

/// Judging a change.
#[derive(Args)]
struct JudgeArguments {
    /// Judge womack against this older build, in alternating pairs: a program's path, a git revision
    /// (built under target/judge), or another server's name; exits with 1 if a limit is exceeded and
    /// with 2 if the figures decide nothing.
    #[arg(long, value_name = "PATH|REVISION|SERVER", conflicts_with_all = ["servers", "sweep", "rounds", "proof", "router", "start", "from", "plot"])]
    old: Option<String>,
    /// Pairs for each workload, at most: a multiple of 11, after each of which the figures are
    /// judged.
    #[arg(long, default_value_t = 44, requires = "old", value_parser = clap::value_parser!(u16).range(1..=990))]
    max_pairs: u16,
    /// Limits by workload, of the ratio or, of idle memory, in bytes: W2=1.1,W8=700 [default:
    /// W1=1.03,W2=1.03,W4=1.03,connect=1.05,W8=760; other workloads 1.03].
    #[arg(long, value_delimiter = ',', value_parser = limit, requires = "old")]
    limits: Vec<(Workload, f64)>,
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
        Ok(code) => code,
        Err(error) => {
            eprintln!("fanout: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<ExitCode> {
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
    let verdict = results.judged.as_ref().and_then(judge::report::overall);
    Ok(match verdict {
        Some(verdict) if verdict.fails() => ExitCode::FAILURE,
        Some(verdict) if !verdict.is_final() => INCONCLUSIVE.into(),
        _ => ExitCode::SUCCESS,
    })
}

fn measure(arguments: &Arguments) -> io::Result<Results> {
    let trial = arguments.trial()?;
    let all = match trial {
        Some(_) => Vec::new(),
        None => arguments.all_series(),
    };
    let files = process::raise_file_limit()?;
    for series in &all {
        series::check_files(&series.workloads, files)?;
    }
    if let Some(trial) = &trial {
        series::check_files(&trial.workloads_at_once(), files)?;
    }
    let mut results = Results::default();
    if let Some(trial) = trial {
        let mut benches = [arguments.bench()?, arguments.bench()?];
        results.judged = Some(trial.run(&mut benches, pair_progress)?);
        return Ok(results);
    }
    let mut bench = arguments.bench()?;
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
    /// A bench with a Redis of its own.
    fn bench(&self) -> io::Result<Bench> {
        let setting = &self.setting;
        let mut bench = Bench::open(
            &setting.redis,
            process::folder()?,
            (&setting.server_cpus, &setting.load_cpus),
            Duration::from_secs(self.series.seconds),
        )?;
        bench.setting = bench
            .setting
            .with_womack(setting.womack.clone())
            .with_womack_args(&setting.womack_args)
            .with_shards(setting.shards);
        Ok(bench)
    }

    /// The builds to judge and their limits, if a judgement is asked for.
    fn trial(&self) -> io::Result<Option<Trial>> {
        let Some(old) = &self.judge.old else {
            return Ok(None);
        };
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let new = match &self.setting.womack {
            Some(path) => Build::program(path.display().to_string(), path)?,
            None => {
                let label = judge::revision::checked_out(&repository)?;
                Build::program(label, &process::folder()?.join("womack"))?
            }
        };
        let mut criteria = judge::criteria(&self.series.workloads, &self.judge.limits);
        for (workload, _) in &mut criteria {
            workload.clients = self.series.clients.unwrap_or(workload.clients);
        }
        Ok(Some(Trial {
            criteria,
            max_pairs: self.judge.max_pairs.into(),
            new,
            // Last, for building it takes minutes.
            old: Build::find(old, &repository)?,
        }))
    }

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

/// A pair's line as soon as it is done.
fn pair_progress(criterion: &Criterion, pair: &Pair) {
    eprintln!("{}", judge::report::pair_line(criterion, pair));
}

fn server(name: &str) -> Result<Server, String> {
    let known = || SERVERS.map(|it| it.name).join(", ");
    Server::find(name).ok_or_else(|| format!("known servers: {}", known()))
}

fn workload(name: &str) -> Result<Workload, String> {
    let known = || WORKLOADS.map(|it| it.name).join(", ");
    Workload::find(name).ok_or_else(|| format!("known workloads: {}", known()))
}

fn limit(text: &str) -> Result<(Workload, f64), String> {
    let (name, limit) = text
        .split_once('=')
        .ok_or("a limit is a workload and a number: W2=1.03")?;
    let number = limit.parse().ok().filter(|limit: &f64| *limit > 0.0);
    let limit = number.ok_or_else(|| format!("`{limit}` is no limit: a number above 0"))?;
    Ok((workload(name)?, limit))
}

fn axis(name: &str) -> Result<Axis, String> {
    let known = || Axis::ALL.map(Axis::name).join(", ");
    Axis::find(name).ok_or_else(|| format!("known sweeps: {}", known()))
}
