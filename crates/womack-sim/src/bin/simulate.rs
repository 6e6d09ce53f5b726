//! Runs seeds, and tells the story of one in which a promise was broken.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use womack_sim::{Options, run};

/// Runs seeds, and tells the story of one in which a promise was broken.
#[derive(Parser)]
struct Arguments {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds are run.
    #[arg(long, default_value_t = 10)]
    seeds: u64,
    /// Run each seed twice, and compare.
    #[arg(long)]
    twice: bool,
    /// Simulated seconds with faults.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Print everything that happens.
    #[arg(long)]
    trace: bool,
    #[arg(long, default_value_t = 12)]
    clients: usize,
    #[arg(long, default_value_t = 2)]
    shards: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = Options {
        shards: arguments.shards,
        clients: arguments.clients,
        time: Duration::from_secs(arguments.seconds),
        prints: arguments.trace,
    };
    let (begin, mut steps, mut failed) = (Instant::now(), 0, 0);
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for seed in arguments.seed..arguments.seed + arguments.seeds {
        let trace = run(seed, options);
        steps += trace.steps();
        for (kind, count) in trace.counts() {
            *counts.entry(kind.clone()).or_default() += count;
        }
        let hash = trace.hash();
        println!("seed {seed}: {} steps, hash {hash:016x}", trace.steps());
        if arguments.twice {
            let again = run(seed, options).hash();
            if again != hash {
                println!("seed {seed}: hash {again:016x} the second time");
                failed += 1;
            }
        }
        if !trace.violations().is_empty() {
            failed += 1;
            trace.story().iter().for_each(|line| println!("{line}"));
            for violation in trace.violations() {
                println!("seed {seed}: {violation}");
            }
            break;
        }
    }
    for (kind, count) in &counts {
        println!("{count:>10} {kind}");
    }
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "{steps} steps in {seconds:.1} s, {:.0} a second",
        steps as f64 / seconds
    );
    match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
