//! One cell of the table: one server under one workload.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    fleet::Fleet,
    process::{Addresses, Cpus, Process},
    servers::{Server, Setting},
    workload::Workload,
};

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

    /// All CPUs that are used.
    pub(crate) fn cpus(&self) -> impl Iterator<Item = usize> {
        self.server_cpus.iter().chain(&self.load_cpus).copied()
    }

    pub(crate) fn cpus_of(&self, server: &Server) -> Vec<usize> {
        let mut cpus = self.server_cpus.clone();
        if server.everywhere {
            cpus.extend(&self.load_cpus);
        }
        cpus
    }
}
