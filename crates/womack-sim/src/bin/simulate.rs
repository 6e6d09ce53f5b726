//! Runs seeds, and tells the story of one in which a promise was broken.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use womack_sim::{Omitted, Options, Topology, Trace, run, shrink};

/// Runs seeds, and tells the story of one in which a promise was broken.
#[derive(Parser)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds are run.
    #[arg(long, default_value_t = 10)]
    seeds: u64,
    /// Run no further seed after so many steps.
    #[arg(long)]
    steps: Option<u64>,
    /// Run each seed twice, and compare.
    #[arg(long)]
    twice: bool,
    /// Simulated seconds with faults.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Print everything that happens.
    #[arg(long)]
    trace: bool,
    /// Do not look for a smaller run in which a promise is broken.
    #[arg(long)]
    as_is: bool,
    /// Clients of JSON lines.
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// Clients of Socket.IO.
    #[arg(long, default_value_t = 8)]
    socket_io_clients: usize,
    /// Hostile clients.
    #[arg(long, default_value_t = 3)]
    hostile_clients: usize,
    /// Shards of a node; chosen by the seed if it is 0.
    #[arg(long, default_value_t = 0)]
    shards: usize,
    /// Nodes; chosen by the seed if it is 0.
    #[arg(long, default_value_t = 0)]
    nodes: usize,
    /// The servers of Redis; chosen by the seed if it is not given.
    #[arg(long)]
    redis: Option<Servers>,
}

/// The servers of Redis.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Servers {
    Single,
    Cluster,
}

impl From<Servers> for Topology {
    fn from(servers: Servers) -> Self {
        match servers {
            Servers::Single => Self::Single,
            Servers::Cluster => Self::Cluster,
        }
    }
}

/// Tells the story of the smallest run of a seed that breaks a promise.
fn tell(seed: u64, options: &Options, trace: &Trace) {
    let shrunk = shrink(seed, options);
    let (smallest, trace) = match &shrunk {
        Some((smallest, trace)) => (smallest, trace),
        None => (options, trace),
    };
    if options.prints {
        let prints = true;
        let smallest = Options {
            prints,
            ..smallest.clone()
        };
        println!("seed {seed}, made smaller:");
        run(seed, &smallest);
    }
    trace.story().iter().for_each(|line| println!("{line}"));
    println!(
        "seed {seed}, made smaller: {} s, without clients {:?}",
        smallest.time.as_secs_f64(),
        smallest.omitted.clients
    );
    for violation in trace.violations() {
        println!("seed {seed}: {violation}");
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = Options {
        topology: arguments.redis.map(Into::into),
        nodes: arguments.nodes,
        shards: arguments.shards,
        clients: arguments.clients,
        socket_io_clients: arguments.socket_io_clients,
        hostile_clients: arguments.hostile_clients,
        time: Duration::from_secs(arguments.seconds),
        prints: arguments.trace,
        omitted: Omitted::default(),
    };
    let (begin, mut steps, mut failed) = (Instant::now(), 0, 0);
    let mut simulated = Duration::ZERO;
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for seed in arguments.seed..arguments.seed + arguments.seeds {
        if arguments.steps.is_some_and(|most| steps >= most) {
            break;
        }
        let trace = run(seed, &options);
        steps += trace.steps();
        simulated += trace.simulated();
        for (kind, count) in trace.counts() {
            *counts.entry(kind.clone()).or_default() += count;
        }
        let hash = trace.hash();
        println!("seed {seed}: {} steps, hash {hash:016x}", trace.steps());
        if arguments.twice {
            let again = run(seed, &options).hash();
            if again != hash {
                println!("seed {seed}: hash {again:016x} the second time");
                failed += 1;
            }
        }
        if let ([first, others @ ..], Some(step)) = (trace.violations(), trace.first_violation()) {
            failed += 1;
            println!("seed {seed}: violation at step {step}: {first}");
            for violation in others {
                println!("seed {seed}: later: {violation}");
            }
            match arguments.as_is {
                true => trace.story().iter().for_each(|line| println!("{line}")),
                false => tell(seed, &options, &trace),
            }
            break;
        }
    }
    for (kind, count) in &counts {
        println!("{count:>10} {kind}");
    }
    let pairs = counts.iter().filter(|(kind, _)| kind.starts_with("pair: "));
    if let Some((rarest, count)) = pairs.clone().min_by_key(|(_, count)| **count) {
        let number = pairs.count();
        println!("{number} pairs of kinds of faults, the rarest {count} times: {rarest}");
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "{steps} steps in {seconds:.1} s: {:.0} steps and {:.0} simulated seconds a second",
        steps as f64 / seconds,
        simulated.as_secs_f64() / seconds
    );
    match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
