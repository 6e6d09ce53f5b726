//! Whether memory stays as it is: many idle clients, ten million messages, and clients that come and go.

use std::{
    io,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use womack_benches::{
    cell::Bench,
    process,
    servers::Server,
    soak::{Sample, Soak},
    workload::{BASE, Holding, Pace, Workload},
};

const CPUS: [usize; 1] = [0];
const LOAD_CPUS: [usize; 1] = [1];

/// Hold idle clients, publish to others for long, and watch the server's memory.
#[derive(Debug, Parser)]
struct Arguments {
    /// Clients to which nothing is published
    #[arg(long, default_value_t = 15_000)]
    idle: usize,
    /// Clients with a channel each, to which is published in turn
    #[arg(long, default_value_t = 1_000)]
    busy: usize,
    /// Clients a second that connect, subscribe and leave
    #[arg(long, default_value_t = 20)]
    passers_by: u32,
    /// Messages
    #[arg(long, default_value_t = 10_000_000)]
    messages: u64,
    /// Seconds in which they are published
    #[arg(long, default_value_t = 600)]
    seconds: u32,
    /// How often to look at the memory
    #[arg(long, default_value_t = 30)]
    every: u32,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<()> {
    let workload = Workload {
        name: "soak",
        clients: arguments.idle + arguments.busy,
        holding: Holding::Idle {
            busy: arguments.busy,
        },
        pace: Pace::Rate(rate(arguments)),
        passers_by: arguments.passers_by,
        ..BASE
    };
    process::raise_file_limit()?;
    let every = Duration::from_secs(arguments.every.into());
    let bench = Bench::open(
        "redis-server",
        process::folder()?,
        (&CPUS, &LOAD_CPUS),
        every,
    )?;
    let womack = Server::find("womack").ok_or_else(|| io::Error::other("no womack"))?;
    let mut soak = Soak::begin(&bench, &workload, &womack)?;
    println!("{}", Sample::HEAD);
    println!("{}", soak.sample()?);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(arguments.seconds.into()) {
        soak.publish(every)?;
        println!("{}", soak.sample()?);
    }
    let seconds = began.elapsed().as_secs();
    let end = soak.end()?;
    println!("{end}");
    println!("{} messages in {seconds} s", end.published);
    match end.lost + end.failed {
        0 => Ok(()),
        _ => Err(io::Error::other("not everything went well")),
    }
}

fn rate(arguments: &Arguments) -> u32 {
    let rate = arguments.messages.div_ceil(arguments.seconds.into());
    u32::try_from(rate).unwrap_or(u32::MAX)
}
