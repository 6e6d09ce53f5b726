//! A running server with its clients, measured in slices.
//!
//! CPU time is counted in slices alone: while clients connect, and while messages are published.
//! Between slices the server waits for as long as its measurer likes, so two servers can be measured
//! in turns of a fraction of a second.

use std::{
    io, mem,
    time::{Duration, Instant},
};

use crate::{
    cell::{Bench, Cell, Delay, Traffic},
    fleet::{CONNECTING, Fleet, TURN},
    process::Process,
    servers::Server,
    source::Source,
    usage::{self, Cpu},
    workload::{Pace, Workload},
};

/// The longest time in which all clients of the slowest server connect.
const CONNECT: Duration = Duration::from_secs(120);
/// How long a server is left alone before its memory is read.
const SETTLE: Duration = Duration::from_millis(500);
const WARM_UP: Duration = Duration::from_secs(1);
/// How long the last deliveries may take before they count as lost.
const DRAIN: Duration = Duration::from_secs(15);

/// One server under one workload.
pub(crate) struct Run {
    server: &'static str,
    workload: Workload,
    process: Process,
    cpus: Vec<usize>,
    fleet: Fleet,
    arrivals: Arrivals,
    source: Source,
    /// The server's own memory before the first client came, in bytes.
    empty_bytes: u64,
    /// The server's CPU while clients connected.
    connecting: Duration,
    /// The server's memory for its clients, in bytes.
    client_bytes: f64,
    used: Used,
    /// The counts of the fleet before the first slice.
    earlier: Counted,
}

/// The use of CPUs in all slices of publishing together.
#[derive(Default)]
struct Used {
    elapsed: Duration,
    run: Duration,
    /// The part of `run` in the kernel, in hundredths of a second of all its CPU time.
    system: Duration,
    wakes: u64,
    /// How long the server's CPUs were busy for anyone.
    busy: Duration,
}

/// Counts of a fleet.
#[derive(Clone, Copy, Default)]
struct Counted {
    deliveries: u64,
    reads: u64,
}

impl Bench {
    /// Starts the server, puts the workload on it, and ends it.
    pub fn measure(&self, workload: &Workload, server: &Server, round: usize) -> io::Result<Cell> {
        let mut run = Run::start(self, workload, server)?;
        run.connect(usize::MAX)?;
        run.settle()?;
        if run.has_traffic() {
            run.warm_up()?;
            run.publish(self.duration)?;
        }
        Ok(run.finish(round))
    }
}

impl Run {
    /// Starts the server; no client is connected yet.
    ///
    /// # Errors
    ///
    /// If the server cannot be started, or `/proc` be read.
    pub(crate) fn start(bench: &Bench, workload: &Workload, server: &Server) -> io::Result<Self> {
        let (process, fleet) = bench.start(workload, server)?;
        Ok(Self {
            server: server.name,
            workload: *workload,
            cpus: bench.cpus_of(server),
            empty_bytes: usage::anonymous_bytes(process.pid())?,
            process,
            fleet,
            arrivals: Arrivals::new(workload),
            source: Source::new(workload),
            connecting: Duration::ZERO,
            client_bytes: 0.0,
            used: Used::default(),
            earlier: Counted::default(),
        })
    }

    /// Connects at most `most` further clients and waits for them; tells whether more are to come.
    /// Those that are not subscribed in time have failed.
    pub(crate) fn connect(&mut self, most: usize) -> io::Result<bool> {
        let cpu = Cpu::of(self.process.pid())?;
        let more = self.arrivals.open(&mut self.fleet, most)?;
        self.connecting += Cpu::of(self.process.pid())?.since(&cpu).run;
        Ok(more)
    }

    /// Leaves the connected clients alone for a moment, and reads the server's memory.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        let end = Instant::now() + SETTLE;
        while Instant::now() < end {
            self.fleet.turn(TURN)?;
        }
        let bytes = usage::anonymous_bytes(self.process.pid())?;
        self.client_bytes = bytes as f64 - self.empty_bytes as f64;
        Ok(())
    }

    /// Whether there is something to publish and somebody to read it.
    pub(crate) fn has_traffic(&self) -> bool {
        !matches!(self.workload.pace, Pace::Idle) && self.fleet.ready > 0
    }

    /// Publishes for a while and forgets what was seen.
    pub(crate) fn warm_up(&mut self) -> io::Result<()> {
        self.source.publish(&mut self.fleet, WARM_UP)?;
        drain(&mut self.fleet)?;
        self.fleet.tally.forget_delays();
        self.earlier = Counted::by(&self.fleet);
        Ok(())
    }

    /// Publishes for so long, until the last delivery, and adds up what that took.
    pub(crate) fn publish(&mut self, duration: Duration) -> io::Result<()> {
        let pid = self.process.pid();
        let busy = usage::busy(&self.cpus)?;
        let cpu = Cpu::of(pid)?;
        let began = Instant::now();
        self.source.publish(&mut self.fleet, duration)?;
        drain(&mut self.fleet)?;
        self.used.elapsed += began.elapsed();
        let spent = Cpu::of(pid)?.since(&cpu);
        self.used.run += spent.run;
        self.used.system += spent.run.mul_f64(spent.system_share);
        self.used.wakes += spent.wakes;
        self.used.busy += usage::busy(&self.cpus)?.saturating_sub(busy);
        Ok(())
    }

    /// Ends the server; `round` is noted in the cell.
    pub(crate) fn finish(mut self, round: usize) -> Cell {
        let traffic = (self.used.elapsed > Duration::ZERO).then(|| self.traffic());
        let clients = self.fleet.ready;
        // The server goes first: whoever closes first keeps the address busy for a while.
        drop(self.process);
        let per_client = |value: f64| value / clients.max(1) as f64;
        Cell {
            workload: self.workload.name.to_owned(),
            value: self.workload.value,
            server: self.server.to_owned(),
            round,
            clients,
            failed: self.fleet.failed,
            connect_micros: per_client(self.connecting.as_secs_f64() * 1e6),
            idle_bytes: per_client(self.client_bytes),
            traffic,
            failure: self.fleet.failure.map(|failure| failure.to_string()),
        }
    }

    fn traffic(&mut self) -> Traffic {
        let used = mem::take(&mut self.used);
        let (counted, tally) = (Counted::by(&self.fleet), &self.fleet.tally);
        let deliveries = counted.deliveries - self.earlier.deliveries;
        let reads = counted.reads - self.earlier.reads;
        let per_delivery = |value: f64| value / deliveries.max(1) as f64;
        let millis = |quantile| tally.delay.value_at_quantile(quantile) as f64 / 1e3;
        let (elapsed, run) = (used.elapsed.as_secs_f64(), used.run.as_secs_f64());
        Traffic {
            deliveries,
            rate: deliveries as f64 / elapsed,
            cpu_micros: per_delivery(run * 1e6),
            system_share: used.system.as_secs_f64() / run.max(f64::MIN_POSITIVE),
            reads: per_delivery(reads as f64),
            wakes: per_delivery(used.wakes as f64),
            delay: Delay {
                p50: millis(0.5),
                p99: millis(0.99),
                p999: millis(0.999),
                max: millis(1.0),
            },
            last: tally.last.value_at_quantile(0.5) as f64 / 1e3,
            lost: self.fleet.publisher.expected - tally.deliveries,
            wrong: tally.wrong,
            closed: tally.closed,
            others: used.busy.saturating_sub(used.run).as_secs_f64()
                / (elapsed * self.cpus.len() as f64),
        }
    }
}

impl Counted {
    fn by(fleet: &Fleet) -> Self {
        Self {
            deliveries: fleet.tally.deliveries,
            reads: fleet.tally.reads,
        }
    }
}

/// A workload's clients that are still to be connected.
struct Arrivals {
    subscriptions: Box<dyn Iterator<Item = Vec<u32>>>,
    /// Clients still to come that read nothing.
    stalled: usize,
    deadline: Instant,
}

impl Arrivals {
    fn new(workload: &Workload) -> Self {
        Self {
            subscriptions: Box::new(workload.subscriptions()),
            stalled: workload.stalled,
            deadline: Instant::now() + CONNECT,
        }
    }

    /// Connects at most `most` of them and waits until each is subscribed or has failed; tells
    /// whether more are to come.
    fn open(&mut self, fleet: &mut Fleet, most: usize) -> io::Result<bool> {
        let (mut opened, mut more) = (0, true);
        loop {
            while more && opened < most && fleet.connecting < CONNECTING {
                if let Some(channels) = self.subscriptions.next() {
                    fleet.connect(&channels)?;
                } else if self.stalled > 0 {
                    fleet.stall(0)?;
                    self.stalled -= 1;
                } else {
                    more = false;
                    break;
                }
                opened += 1;
            }
            if fleet.connecting == 0 {
                return Ok(more);
            }
            if Instant::now() > self.deadline {
                fleet.give_up_connecting();
                return Ok(false);
            }
            fleet.turn(TURN)?;
        }
    }
}

/// Connects all clients; those that are not subscribed at the deadline have failed.
pub(crate) fn connect(fleet: &mut Fleet, workload: &Workload) -> io::Result<()> {
    Arrivals::new(workload).open(fleet, usize::MAX).map(drop)
}

/// Waits until everything published has arrived and the last passer-by is subscribed, or the
/// deadline is over.
pub(crate) fn drain(fleet: &mut Fleet) -> io::Result<()> {
    let deadline = Instant::now() + DRAIN;
    while fleet.tally.completed < fleet.publisher.published || fleet.connecting > 0 {
        if Instant::now() > deadline {
            fleet.give_up_connecting();
            break;
        }
        fleet.turn(TURN)?;
    }
    Ok(())
}
