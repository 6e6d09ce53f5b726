//! Who is connected, who has subscribed to what, and how a message gets to them.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use bytes::Bytes;
use slab::Slab;

use crate::client::Client;
use crate::glob;
use crate::limits::Limits;
use crate::outbox::Outbox;
use crate::reply::{Protocol, Reply};
use crate::subscriptions::Kind;

/// Hexadecimal digits of a replication id, as Redis has them.
pub(crate) const REPLICATION_ID_DIGITS: usize = 40;

/// Everything the connections share. They run on one thread, so it needs no lock.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) limits: Limits,
    pub(crate) started: Instant,
    /// Random, so that clients can tell this broker from the one before it at the same address.
    pub(crate) replication_id: String,
    /// Connections accepted so far; also the latest client's id.
    pub(crate) accepted: u64,
    pub(crate) commands: u64,
    clients: Slab<Client>,
    topics: [Topics; Kind::COUNT],
}

/// Where a client stands in the broker's table; used again after the client has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClientKey(usize);

impl Broker {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            started: Instant::now(),
            replication_id: random_id(),
            accepted: 0,
            commands: 0,
            clients: Slab::new(),
            topics: Default::default(),
        }
    }

    /// Adds a client, unless there are as many as there may be.
    pub(crate) fn connect(&mut self, peer: SocketAddr, local: SocketAddr) -> Option<ClientKey> {
        self.accepted += 1;
        if self.clients.len() >= self.limits.max_connections {
            return None;
        }
        let client = Client::new(self.accepted, peer, local, self.limits.max_output_bytes);
        Some(ClientKey(self.clients.insert(client)))
    }

    /// Forgets a client and its subscriptions, and returns what was still to be sent.
    pub(crate) fn disconnect(&mut self, key: ClientKey) -> Outbox {
        let client = self.clients.remove(key.0);
        for kind in Kind::ALL {
            for name in client.subscriptions.of(kind) {
                self.topics[kind as usize].remove(name, key);
            }
        }
        client.outbox
    }

    /// False if the client's subscriptions would get too large. Twice is no different from once.
    pub(crate) fn subscribe(&mut self, key: ClientKey, kind: Kind, name: &[u8]) -> bool {
        let client = &mut self.clients[key.0];
        if client.subscriptions.contains(kind, name) {
            return true;
        }
        let topics = &mut self.topics[kind as usize];
        let name = topics.shared_name(name);
        if !client
            .subscriptions
            .add(kind, name.clone(), self.limits.max_subscription_bytes)
        {
            return false;
        }
        topics.add(name, key);
        true
    }

    pub(crate) fn unsubscribe(&mut self, key: ClientKey, kind: Kind, name: &[u8]) {
        if self.clients[key.0].subscriptions.remove(kind, name) {
            self.topics[kind as usize].remove(name, key);
        }
    }

    /// Ends every subscription without a word to the client.
    pub(crate) fn unsubscribe_all(&mut self, key: ClientKey) {
        for kind in Kind::ALL {
            let names: Vec<_> = self.clients[key.0]
                .subscriptions
                .of(kind)
                .iter()
                .cloned()
                .collect();
            for name in names {
                self.unsubscribe(key, kind, &name);
            }
        }
    }

    /// Sends a message to all who want it and says how many that were. A client with a fitting
    /// channel and a fitting pattern gets it twice, as with Redis.
    pub(crate) fn publish(&mut self, channel: &[u8], payload: &[u8]) -> usize {
        let mut receivers = 0;
        if let Some(subscribers) = self.topics[Kind::Channel as usize].0.get(channel) {
            let message = [b"message", channel, payload];
            receivers += deliver(&mut self.clients, subscribers, &message);
        }
        for (pattern, subscribers) in &self.topics[Kind::Pattern as usize].0 {
            if glob::matches(pattern, channel) {
                let message = [b"pmessage", &**pattern, channel, payload];
                receivers += deliver(&mut self.clients, subscribers, &message);
            }
        }
        receivers
    }

    /// `publish` for shard channels, which patterns do not see.
    pub(crate) fn publish_to_shard(&mut self, channel: &[u8], payload: &[u8]) -> usize {
        let Some(subscribers) = self.topics[Kind::Shard as usize].0.get(channel) else {
            return 0;
        };
        let message = [b"smessage", channel, payload];
        deliver(&mut self.clients, subscribers, &message)
    }

    pub(crate) fn client_mut(&mut self, key: ClientKey) -> &mut Client {
        &mut self.clients[key.0]
    }

    pub(crate) fn clients_mut(&mut self) -> impl Iterator<Item = &mut Client> {
        self.clients.iter_mut().map(|(_, client)| client)
    }

    pub(crate) fn client(&self, key: ClientKey) -> &Client {
        &self.clients[key.0]
    }

    /// All clients, oldest first.
    pub(crate) fn clients(&self) -> Vec<&Client> {
        let mut clients: Vec<_> = self.clients.iter().map(|(_, client)| client).collect();
        clients.sort_unstable_by_key(|client| client.id);
        clients
    }

    /// The names of `kind` that have a subscriber.
    pub(crate) fn names(&self, kind: Kind) -> impl ExactSizeIterator<Item = &[u8]> {
        self.topics[kind as usize].0.keys().map(|name| &**name)
    }

    pub(crate) fn subscriber_count(&self, kind: Kind, name: &[u8]) -> usize {
        let topics = &self.topics[kind as usize];
        topics.0.get(name).map_or(0, BTreeSet::len)
    }
}

/// The subscribers of every name that has any.
#[derive(Debug, Default)]
struct Topics(HashMap<Rc<[u8]>, BTreeSet<ClientKey>>);

impl Topics {
    fn add(&mut self, name: Rc<[u8]>, key: ClientKey) {
        self.0.entry(name).or_default().insert(key);
    }

    fn remove(&mut self, name: &[u8], key: ClientKey) {
        let Some(subscribers) = self.0.get_mut(name) else {
            return;
        };
        subscribers.remove(&key);
        if subscribers.is_empty() {
            self.0.remove(name);
        }
    }

    /// The table's own copy of `name`, so that all its subscribers share one.
    fn shared_name(&self, name: &[u8]) -> Rc<[u8]> {
        match self.0.get_key_value(name) {
            Some((shared, _)) => shared.clone(),
            None => Rc::from(name),
        }
    }
}

/// Encodes a message at most once per protocol version and hands it to all `subscribers`.
fn deliver(
    clients: &mut Slab<Client>,
    subscribers: &BTreeSet<ClientKey>,
    message: &[&[u8]],
) -> usize {
    let (mut resp2, mut resp3) = (None, None);
    for key in subscribers {
        let client = &mut clients[key.0];
        let frame: &mut Option<Bytes> = match client.protocol {
            Protocol::Resp2 => &mut resp2,
            Protocol::Resp3 => &mut resp3,
        };
        let frame = frame.get_or_insert_with(|| encode(client.protocol, message));
        client.push(frame.clone());
    }
    subscribers.len()
}

/// An id that no other broker has. Each hasher of the standard library begins with a random key.
fn random_id() -> String {
    let digits = (0..REPLICATION_ID_DIGITS.div_ceil(16))
        .map(|_| format!("{:016x}", RandomState::new().build_hasher().finish()))
        .collect::<String>();
    digits[..REPLICATION_ID_DIGITS].to_owned()
}

fn encode(protocol: Protocol, message: &[&[u8]]) -> Bytes {
    let mut frame = Reply::new(protocol, usize::MAX);
    frame.push(message.len());
    for part in message {
        frame.bulk(part);
    }
    frame.into_bytes()
}
