//! Models of Redis: one server, or a cluster of three masters with a replica each.

mod answers;
mod cluster;
mod keys;
mod publishing;
mod server;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use self::publishing::Publishing;
use self::{
    cluster::{Cluster, PAIRS},
    keys::Keys,
    server::{Published, Server},
};
use crate::{
    events::EVENTS_KEY,
    network::{Arrival, Network, PipeId},
};

/// How many servers there are, and how they belong together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Topology {
    /// One server.
    Single,
    /// A cluster of three masters, each with a replica.
    Cluster,
}

/// All servers.
pub(crate) struct Redis {
    servers: Vec<Server>,
    cluster: Option<Cluster>,
    /// The keys, which every master and its replicas have alike.
    keys: Keys,
    /// Server events that were published, and are still to be looked at.
    pub(crate) events: Vec<(String, Vec<u8>)>,
    /// Channels that an ACL has refused.
    refused: BTreeSet<String>,
    /// Commands that were handled, and are still to be told.
    pub(crate) handled: Vec<String>,
}

impl Redis {
    pub(crate) fn new(topology: Topology) -> Self {
        let (cluster, servers) = match topology {
            Topology::Single => (None, vec![Server::master(1)]),
            Topology::Cluster => {
                let masters = (0..PAIRS).map(|pair| Server::master(history_of(pair)));
                let replicas = (0..PAIRS).map(|pair| Server::replica(history_of(pair)));
                (Some(Cluster::new()), masters.chain(replicas).collect())
            }
        };
        Self {
            servers,
            cluster,
            refused: BTreeSet::new(),
            keys: Keys::new(),
            events: Vec::new(),
            handled: Vec::new(),
        }
    }

    /// How many servers there are.
    pub(crate) fn count(&self) -> usize {
        self.servers.len()
    }

    /// The servers that nodes may connect to by their URL.
    pub(crate) fn seeds(&self) -> std::ops::Range<usize> {
        match self.cluster {
            Some(_) => 0..PAIRS,
            None => 0..1,
        }
    }

    /// Connections have ended.
    pub(crate) fn forget(&mut self, ended: &[PipeId]) {
        for server in &mut self.servers {
            server.forget(ended);
        }
    }

    /// Something has come over the network.
    pub(crate) fn handle(&mut self, arrival: Arrival, network: &Network) {
        match arrival {
            Arrival::Opened(id) => {
                if let Some(route) = network.route(id) {
                    self.servers[route.server].accept(id);
                }
            }
            Arrival::Closed(id) => self.forget(&[id]),
            Arrival::Bytes(id, bytes) => {
                let knows = |server: &Server| server.has(id);
                if let Some(number) = self.servers.iter().position(knows) {
                    let view = self.cluster.as_ref().map(|cluster| cluster.view(number));
                    let server = &mut self.servers[number];
                    let (keys, handled) = (&mut self.keys, &mut self.handled);
                    let published = server.read(id, &bytes, view, keys, network, handled);
                    self.pass_on(number, &published, network);
                    let published = published.into_iter();
                    let events = published.filter(|(name, _)| name.starts_with(EVENTS_KEY));
                    self.events.extend(events);
                }
            }
        }
    }

    /// The nodes that have a record.
    pub(crate) fn nodes_with_records(&self) -> BTreeSet<String> {
        self.keys.members(&format!("{EVENTS_KEY}:nodes"))
    }

    /// The record of a node.
    pub(crate) fn record(&self, node: &str) -> BTreeMap<String, String> {
        let key = format!("{EVENTS_KEY}:nodes:{node}:sessions");
        self.keys.hash(self.keys.now(), &key)
    }

    /// The bus of a cluster brings what a node has published at one server to the others.
    fn pass_on(&self, from: usize, published: &[Published], network: &Network) {
        let Some(cluster) = &self.cluster else {
            return;
        };
        let others = self.servers.iter().enumerate();
        for (_, server) in others.filter(|(it, _)| *it != from && !cluster.is_down(*it)) {
            for (channel, payload) in published {
                server.deliver(Publishing::Everywhere, channel, payload, network);
            }
        }
    }

    /// An application publishes. Returns how many subscribers there were; `None` if it is refused.
    pub(crate) fn publish(
        &self,
        how: Publishing,
        channel: &str,
        payload: &[u8],
        network: &Network,
    ) -> Option<u64> {
        let Some(cluster) = &self.cluster else {
            return self.servers[0].publish(how, channel, payload, network);
        };
        match how {
            Publishing::ToShard => {
                let owner = cluster.owner(channel);
                let is_up = !cluster.is_down(owner);
                is_up.then(|| self.servers[owner].publish(how, channel, payload, network))?
            }
            Publishing::Everywhere => {
                // The bus of the cluster brings it to all servers; a script that blocks one of them
                // blocks those only who ask that one.
                let up = self.servers.iter().enumerate();
                let up = up.filter(|(number, _)| !cluster.is_down(*number));
                let receivers =
                    up.map(|(_, server)| server.deliver(how, channel, payload, network));
                Some(receivers.sum())
            }
        }
    }

    /// Whether what applications publish is taken by a server that nodes do not know.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.cluster.is_none() && !self.servers[0].is_master()
    }

    /// Whether a node is subscribed to a channel, in every way in which it has to be.
    pub(crate) fn is_subscribed(&self, node: usize, channel: &str, network: &Network) -> bool {
        let owner = self.cluster.as_ref().map_or(0, |it| it.owner(channel));
        let server = &self.servers[owner];
        let is_of_node = |id: PipeId| network.route(id).is_some_and(|it| it.node == node);
        let by_shard = self.cluster.is_none() || server.has_shard_subscriber(channel, is_of_node);
        by_shard && server.has_subscriber(channel, is_of_node)
    }

    /// Every channel that connections of a node that work subscribe to, once for each
    /// subscription: first by `SUBSCRIBE`, then by `SSUBSCRIBE`.
    pub(crate) fn subscriptions(&self, node: usize, network: &Network) -> [Vec<String>; 2] {
        let is_of_node = |id: PipeId| network.route(id).is_some_and(|it| it.node == node);
        let mut found = [Vec::new(), Vec::new()];
        for server in &self.servers {
            server.subscriptions(&is_of_node, &mut found);
        }
        found
    }

    /// Whether channels are subscribed to by `SSUBSCRIBE` as well.
    pub(crate) fn has_shards(&self) -> bool {
        self.cluster.is_some()
    }

    /// The servers that have had the slot of a channel, or may yet have it without a move of slots.
    pub(crate) fn homes(&self, channel: &str) -> BTreeSet<usize> {
        match &self.cluster {
            Some(cluster) => cluster.homes(channel),
            None => BTreeSet::from([0]),
        }
    }

    /// A server runs a script for too long, or has done so.
    pub(crate) fn set_busy(&mut self, server: usize, is_busy: bool) {
        self.servers[server].is_busy = is_busy;
    }

    /// An ACL refuses a channel at every server, or no channel.
    pub(crate) fn refuse(&mut self, channel: Option<&str>) {
        self.refused.extend(channel.map(ToOwned::to_owned));
        for server in &mut self.servers {
            server.refused = channel.map(ToOwned::to_owned);
        }
    }

    /// Whether an ACL has refused this channel.
    pub(crate) fn was_refused(&self, channel: &str) -> bool {
        self.refused.contains(channel)
    }

    /// Whether an ACL refuses a channel.
    pub(crate) fn is_refusing(&self) -> bool {
        self.servers[0].refused.is_some()
    }

    /// The only server becomes a replica of one that nodes do not know. Connections stay.
    pub(crate) fn demote(&mut self) {
        self.servers[0].demote();
    }

    /// The only server is made a master again.
    pub(crate) fn promote(&mut self) {
        self.servers[0].promote();
    }

    /// The master and the replica of a pair change places. Connections stay, but for subscriptions
    /// of shard channels. Returns the new master; `None` if one of the two is down.
    pub(crate) fn fail_over(&mut self, pair: usize, network: &Network) -> Option<usize> {
        let (old, new) = self.cluster.as_mut()?.swap(pair)?;
        self.servers[new].promote();
        let history = self.servers[new].history();
        self.servers[old].follow(history);
        self.servers[old].end_shard_channels(|_| true, network);
        Some(new)
    }

    /// The master of a pair stops. Returns its number; `None` if one of the two is down.
    pub(crate) fn crash(&mut self, pair: usize) -> Option<usize> {
        let master = self.cluster.as_mut()?.stop_master(pair)?;
        self.servers[master].restart();
        Some(master)
    }

    /// The replica of a pair takes the place of a master that has stopped.
    pub(crate) fn replace_master(&mut self, pair: usize) {
        let Some((old, new)) = self.cluster.as_mut().and_then(|it| it.replace_master(pair)) else {
            return;
        };
        self.servers[new].promote();
        let history = self.servers[new].history();
        self.servers[old].follow(history);
    }

    /// A server that had stopped is there again.
    pub(crate) fn start(&mut self, server: usize) {
        if let Some(cluster) = &mut self.cluster {
            cluster.set_up(server);
        }
    }

    /// The slot of a channel goes to the master of a pair. Returns the former master and the new
    /// one; `None` if one of them is down, or both are the same.
    pub(crate) fn move_slot(
        &mut self,
        channel: &str,
        pair: usize,
        network: &Network,
    ) -> Option<[usize; 2]> {
        let (slot, moved) = self.cluster.as_mut()?.move_slot(channel, pair)?;
        let is_moved = |name: &str| cluster::slot(name) == slot;
        self.servers[moved[0]].end_shard_channels(is_moved, network);
        Some(moved)
    }

    /// The masters.
    pub(crate) fn masters(&self) -> Vec<usize> {
        match &self.cluster {
            Some(cluster) => cluster.masters(),
            None => vec![0],
        }
    }
}

/// The history of writes with which a pair begins.
fn history_of(pair: usize) -> u32 {
    let pair = u32::try_from(pair).unwrap_or_default();
    1000 * (pair + 1)
}
