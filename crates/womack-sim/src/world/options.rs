//! The size of a run.

use std::{collections::BTreeSet, time::Duration};

use super::mix;
use crate::redis::Topology;

/// The size of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The servers of Redis; chosen by the seed if it is `None`.
    pub topology: Option<Topology>,
    /// Nodes; as many as the seed says, at most three, if it is 0.
    pub nodes: usize,
    /// Shards of a node; as many as the seed says, at most three, if it is 0.
    pub shards: usize,
    /// Clients of JSON lines that are there at a time.
    pub clients: usize,
    /// Clients of Socket.IO that are there at a time.
    pub socket_io_clients: usize,
    /// Hostile clients that are there at a time.
    pub hostile_clients: usize,
    /// Simulated time with faults.
    pub time: Duration,
    /// Whether everything that happens is printed.
    pub prints: bool,
    /// Left out of what the seed decides.
    pub omitted: Omitted,
}

impl Options {
    /// Clients of all kinds that are there at a time.
    pub(crate) const fn all_clients(&self) -> usize {
        self.clients + self.socket_io_clients + self.hostile_clients
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            topology: None,
            nodes: 0,
            shards: 0,
            clients: 8,
            socket_io_clients: 8,
            hostile_clients: 3,
            time: Duration::from_secs(60),
            prints: false,
            omitted: Omitted::default(),
        }
    }
}

/// The size of a run, as far as the seed decides it.
pub(crate) struct Size {
    pub(crate) topology: Topology,
    pub(crate) nodes: usize,
    pub(crate) shards: usize,
    /// Faults that there are at a time, at most.
    pub(crate) faults: u64,
}

impl Size {
    pub(crate) fn new(seed: u64, options: &Options) -> Self {
        let mut rng = fastrand::Rng::with_seed(mix(seed, "size", 0));
        let chosen = match rng.bool() {
            true => Topology::Single,
            false => Topology::Cluster,
        };
        let (nodes, shards) = (rng.usize(1..=3), rng.usize(1..=3));
        let or = |given: usize, chosen| if given == 0 { chosen } else { given };
        Self {
            topology: options.topology.unwrap_or(chosen),
            nodes: or(options.nodes, nodes),
            shards: or(options.shards, shards),
            faults: rng.u64(1..=6),
        }
    }
}

/// Things of a run that are left out, by their numbers.
#[derive(Clone, Debug, Default)]
pub struct Omitted {
    /// Faults, by the injector and by how many it brought before.
    pub faults: BTreeSet<(u64, u64)>,
    /// Clients.
    pub clients: BTreeSet<usize>,
}
