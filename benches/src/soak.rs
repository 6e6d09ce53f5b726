//! A server under the same load for long, and what its memory does meanwhile.

use std::{
    fmt, io,
    time::{Duration, Instant},
};

use crate::{
    cell::Bench,
    fleet::{Fleet, TURN},
    process::Process,
    run::{connect, drain},
    servers::Server,
    source::Source,
    usage::{self, Cpu},
    workload::Workload,
};

/// How long a server is left alone at the end, so that what is given back late is seen.
const REST: Duration = Duration::from_secs(20);

/// A server with its clients.
pub struct Soak {
    process: Process,
    fleet: Fleet,
    source: Source,
    began: Instant,
    cpu: Cpu,
}

/// How it is at one time.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Since the beginning.
    pub seconds: u64,
    /// Messages published.
    pub published: u64,
    /// Messages delivered.
    pub deliveries: u64,
    /// Memory that is the server's own, in bytes.
    pub anonymous: u64,
    /// The server's CPU since the beginning.
    pub cpu: Duration,
    /// Milliseconds from publishing to reading of all but one in a hundred, since the last sample.
    pub p99: f64,
    /// Deliveries that should have come and did not yet; at the end, those that were lost.
    pub lost: u64,
    /// Clients that could not connect or were closed, and messages damaged, repeated or out of order.
    pub failed: u64,
}

impl Soak {
    /// Starts the server, and connects all clients.
    pub fn begin(bench: &Bench, workload: &Workload, server: &Server) -> io::Result<Self> {
        let (process, mut fleet) = bench.start(workload, server)?;
        connect(&mut fleet, workload)?;
        let cpu = Cpu::of(process.pid())?;
        Ok(Self {
            process,
            fleet,
            source: Source::new(workload),
            began: Instant::now(),
            cpu,
        })
    }

    /// Publishes for so long.
    pub fn publish(&mut self, duration: Duration) -> io::Result<()> {
        self.source.publish(&mut self.fleet, duration)
    }

    /// How it is now; what the delays were is forgotten.
    pub fn sample(&mut self) -> io::Result<Sample> {
        let cpu = Cpu::of(self.process.pid())?.since(&self.cpu).run;
        let tally = &mut self.fleet.tally;
        let sample = Sample {
            seconds: self.began.elapsed().as_secs(),
            published: self.fleet.publisher.published,
            deliveries: tally.deliveries,
            anonymous: usage::anonymous_bytes(self.process.pid())?,
            cpu,
            p99: tally.delay.value_at_quantile(0.99) as f64 / 1e3,
            lost: self.fleet.publisher.expected - tally.deliveries,
            failed: self.fleet.failed + tally.closed + tally.wrong,
        };
        tally.forget_delays();
        Ok(sample)
    }

    /// Waits for what is under way, and then some time.
    pub fn end(mut self) -> io::Result<Sample> {
        drain(&mut self.fleet)?;
        let rested = Instant::now() + REST;
        while Instant::now() < rested {
            self.fleet.turn(TURN)?;
        }
        self.sample()
    }
}

impl Sample {
    /// The head of a table of samples.
    pub const HEAD: &str = "\
        | s | published | delivered | memory, MB | CPU µs a message | p99, ms | under way | failed |\n\
        |---:|---:|---:|---:|---:|---:|---:|---:|";
}

impl fmt::Display for Sample {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = self.anonymous as f64 / 1e6;
        let micros = self.cpu.as_secs_f64() * 1e6 / self.published.max(1) as f64;
        write!(
            formatter,
            "| {} | {} | {} | {megabytes:.2} | {micros:.2} | {:.2} | {} | {} |",
            self.seconds, self.published, self.deliveries, self.p99, self.lost, self.failed
        )
    }
}
