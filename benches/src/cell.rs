//! One cell of the table: one server under one workload.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    fleet::{CONNECTING, Fleet, TURN},
    process::{Addresses, Cpus, Process},
    servers::{Server, Setting},
    source::Source,
    usage::{self, Cpu},
    workload::{Pace, Workload},
};

/// What connecting may take at the slowest server, all in all.
const CONNECT: Duration = Duration::from_secs(120);
/// How long a server is left alone before its memory is read.
const SETTLE: Duration = Duration::from_millis(500);
const WARM_UP: Duration = Duration::from_secs(1);
/// How long the last deliveries may take before they count as lost.
const DRAIN: Duration = Duration::from_secs(15);

/// What a server did under a workload, and what it cost.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Cell {
    /// The workload's name.
    pub workload: String,
    /// What was varied, if the workload is one point of a sweep.
    pub value: Option<u64>,
    /// The server's name.
    pub server: String,
    /// The round, from 1.
    pub round: usize,
    /// Clients that got subscribed.
    pub clients: usize,
    /// Clients that did not.
    pub failed: u64,
    /// The server's CPU for a client to connect and subscribe, in microseconds.
    pub connect_micros: f64,
    /// The server's own memory for a connected client, in bytes.
    pub idle_bytes: f64,
    /// What came of publishing, if anything was published.
    pub traffic: Option<Traffic>,
    /// The first thing that went wrong with a client.
    pub failure: Option<String>,
}

/// What came of publishing.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Traffic {
    /// Messages delivered to clients.
    pub deliveries: u64,
    /// Deliveries a second.
    pub rate: f64,
    /// The server's CPU for a delivery, in microseconds.
    pub cpu_micros: f64,
    /// The part of that spent in the kernel, from 0 to 1.
    pub system_share: f64,
    /// Reads that a client needed for a delivery; less than one where the server merges.
    pub reads: f64,
    /// Wake-ups of the server's threads for a delivery: how often they waited and were woken.
    #[serde(default)]
    pub wakes: f64,
    /// Milliseconds from publishing to reading.
    pub delay: Delay,
    /// Milliseconds from publishing until the last client had read it: the median message.
    pub last: f64,
    /// Deliveries that did not come.
    pub lost: u64,
    /// Damaged, repeated or unexpected messages, and gaps.
    pub wrong: u64,
    /// Clients that the server let go of.
    pub closed: u64,
    /// The part of the time that others had the server's CPUs, from 0 to 1.
    pub others: f64,
}

/// Milliseconds, by the part of deliveries that took no longer.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Delay {
    /// Half of them.
    pub p50: f64,
    /// All but one in a hundred.
    pub p99: f64,
    /// All but one in a thousand.
    pub p999: f64,
    /// The slowest.
    pub max: f64,
}

/// What all cells have in common.
pub struct Bench {
    /// How to start servers.
    pub setting: Setting,
    /// The Redis.
    pub(crate) redis: SocketAddr,
    pub(crate) redis_process: Process,
    /// The server's CPUs.
    pub(crate) server_cpus: Vec<usize>,
    /// This program's, and Redis's.
    pub(crate) load_cpus: Vec<usize>,
    /// How long to measure.
    pub duration: Duration,
}

impl Bench {
    /// Starts a Redis, and keeps this thread and what it starts on the load's CPUs. The servers'
    /// programs are in the folder `programs`.
    pub fn open(
        redis_program: &str,
        programs: PathBuf,
        (server_cpus, load_cpus): (&[usize], &[usize]),
        duration: Duration,
    ) -> io::Result<Self> {
        let cpus = Cpus {
            process: load_cpus,
            own: load_cpus,
        };
        let (redis_process, redis) = Process::start_redis(redis_program, cpus)?;
        Ok(Self {
            setting: Setting::new(programs, redis)?,
            redis,
            redis_process,
            server_cpus: server_cpus.to_vec(),
            load_cpus: load_cpus.to_vec(),
            duration,
        })
    }

    /// Starts the server, puts the workload on it, and ends it.
    pub fn measure(&self, workload: &Workload, server: &Server, round: usize) -> io::Result<Cell> {
        let (process, mut fleet) = self.start(workload, server)?;
        let cpus = self.cpus_of(server);
        let memory = usage::anonymous_bytes(process.pid())?;
        let cpu = Cpu::of(process.pid())?;
        connect(&mut fleet, workload)?;
        let (connecting, _) = Cpu::of(process.pid())?.since(&cpu);
        run(&mut fleet, SETTLE)?;
        let memory = usage::anonymous_bytes(process.pid())? as f64 - memory as f64;

        let clients = fleet.ready;
        let late = fleet.connecting as u64;
        let traffic = match workload.pace {
            Pace::Idle => None,
            _ if clients == 0 => None,
            _ => Some(self.traffic(&mut fleet, workload, process.pid(), &cpus)?),
        };
        // The server goes first: whoever closes first keeps the address busy for a while.
        drop(process);
        let per_client = |value: f64| value / clients.max(1) as f64;
        Ok(Cell {
            workload: workload.name.to_owned(),
            value: workload.value,
            server: server.name.to_owned(),
            round,
            clients,
            failed: fleet.failed + late,
            connect_micros: per_client(connecting.as_secs_f64() * 1e6),
            idle_bytes: per_client(memory),
            traffic,
            failure: fleet.failure.map(|failure| failure.to_string()),
        })
    }

    /// Starts the server, and a fleet without clients.
    pub(crate) fn start(
        &self,
        workload: &Workload,
        server: &Server,
    ) -> io::Result<(Process, Fleet)> {
        let launch = (server.launch)(&self.setting)?;
        let publisher = launch.publisher.unwrap_or(self.redis);
        let cpus = Cpus {
            process: &self.cpus_of(server),
            own: &self.load_cpus,
        };
        let (process, clients) = Process::start_server(launch, cpus)?;
        let addresses = Addresses { clients, publisher };
        Ok((process, Fleet::open(addresses, server.dialect, workload)?))
    }

    fn cpus_of(&self, server: &Server) -> Vec<usize> {
        let mut cpus = self.server_cpus.clone();
        if server.everywhere {
            cpus.extend(&self.load_cpus);
        }
        cpus
    }

    fn traffic(
        &self,
        fleet: &mut Fleet,
        workload: &Workload,
        pid: u32,
        cpus: &[usize],
    ) -> io::Result<Traffic> {
        let mut source = Source::new(workload);
        source.publish(fleet, WARM_UP)?;
        drain(fleet)?;
        fleet.tally.forget_delays();

        let busy = usage::busy(cpus)?;
        let cpu = Cpu::of(pid)?;
        let (deliveries, reads) = (fleet.tally.deliveries, fleet.tally.reads);
        let began = Instant::now();
        source.publish(fleet, self.duration)?;
        drain(fleet)?;
        let elapsed = began.elapsed().as_secs_f64();
        let later = Cpu::of(pid)?;
        let (spent, system_share) = later.since(&cpu);
        let wakes = later.wakes_since(&cpu);
        let busy = usage::busy(cpus)?.saturating_sub(busy);

        let tally = &fleet.tally;
        let deliveries = tally.deliveries - deliveries;
        let per_delivery = |value: f64| value / deliveries.max(1) as f64;
        let millis = |quantile| tally.delay.value_at_quantile(quantile) as f64 / 1e3;
        Ok(Traffic {
            deliveries,
            rate: deliveries as f64 / elapsed,
            cpu_micros: per_delivery(spent.as_secs_f64() * 1e6),
            system_share,
            reads: per_delivery((tally.reads - reads) as f64),
            wakes: per_delivery(wakes as f64),
            delay: Delay {
                p50: millis(0.5),
                p99: millis(0.99),
                p999: millis(0.999),
                max: millis(1.0),
            },
            last: tally.last.value_at_quantile(0.5) as f64 / 1e3,
            lost: fleet.publisher.expected - tally.deliveries,
            wrong: tally.wrong,
            closed: tally.closed,
            others: busy.saturating_sub(spent).as_secs_f64() / (elapsed * cpus.len() as f64),
        })
    }
}

/// Connects all clients; those that are not subscribed at the deadline have failed.
pub(crate) fn connect(fleet: &mut Fleet, workload: &Workload) -> io::Result<()> {
    let mut subscriptions = workload.subscriptions();
    let mut stalled = 0;
    let deadline = Instant::now() + CONNECT;
    loop {
        while fleet.connecting < CONNECTING {
            if let Some(channels) = subscriptions.next() {
                fleet.connect(&channels)?;
            } else if stalled < workload.stalled {
                fleet.stall(0)?;
                stalled += 1;
            } else {
                break;
            }
        }
        if fleet.connecting == 0 || Instant::now() > deadline {
            return Ok(());
        }
        fleet.turn(TURN)?;
    }
}

fn run(fleet: &mut Fleet, duration: Duration) -> io::Result<()> {
    let end = Instant::now() + duration;
    while Instant::now() < end {
        fleet.turn(TURN)?;
    }
    Ok(())
}

/// Waits until everything published has arrived, or the deadline is over.
pub(crate) fn drain(fleet: &mut Fleet) -> io::Result<()> {
    let deadline = Instant::now() + DRAIN;
    while fleet.tally.completed < fleet.publisher.published && Instant::now() < deadline {
        fleet.turn(TURN)?;
    }
    Ok(())
}
