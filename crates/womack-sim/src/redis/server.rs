//! A model of one Redis server, as far as publish and subscribe need it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::BytesMut;
use womack_broker::{Limits, resp::Decoder};

use super::{
    answers::Answers,
    cluster::View,
    keys::{self, Done, Keys},
    publishing::Publishing,
};
use crate::network::{Network, PipeId};

/// One server.
pub(super) struct Server {
    clients: BTreeMap<PipeId, Client>,
    role: Role,
    /// The history of writes that it is a part of, and the one that this continues.
    history: [u32; 2],
    /// The channel that the ACL refuses.
    pub(super) refused: Option<String>,
    /// Whether a script runs for too long.
    pub(super) is_busy: bool,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Role {
    Master,
    /// One that copies a master of this cluster.
    Replica,
    /// One that does not reach its master.
    Detached,
}

struct Client {
    decoder: Decoder,
    input: BytesMut,
    speaks_resp3: bool,
    channels: BTreeSet<String>,
    patterns: BTreeSet<String>,
    shard_channels: BTreeSet<String>,
}

/// A channel and what a node has published there.
pub(super) type Published = (String, Vec<u8>);

impl Server {
    pub(super) fn master(history: u32) -> Self {
        Self {
            clients: BTreeMap::new(),
            role: Role::Master,
            history: [history, 0],
            refused: None,
            is_busy: false,
        }
    }

    pub(super) fn replica(history: u32) -> Self {
        Self {
            role: Role::Replica,
            ..Self::master(history)
        }
    }

    pub(super) fn is_master(&self) -> bool {
        self.role == Role::Master
    }

    pub(super) const fn history(&self) -> u32 {
        self.history[0]
    }

    /// The server becomes a replica, of whose master nobody hears.
    pub(super) fn demote(&mut self) {
        self.role = Role::Detached;
        self.begin_history();
    }

    /// The server becomes a master, which begins a history of its own.
    pub(super) fn promote(&mut self) {
        self.role = Role::Master;
        self.begin_history();
    }

    fn begin_history(&mut self) {
        let [history, _] = self.history;
        self.history = [history + 1, history];
    }

    /// The server copies a master with this history.
    pub(super) fn follow(&mut self, history: u32) {
        self.role = Role::Replica;
        self.history = [history, self.history[0]];
    }

    /// The process ends, and another one takes its place.
    pub(super) fn restart(&mut self) {
        self.clients.clear();
        self.is_busy = false;
    }

    pub(super) fn forget(&mut self, ended: &[PipeId]) {
        for id in ended {
            self.clients.remove(id);
        }
    }

    pub(super) fn accept(&mut self, id: PipeId) {
        self.clients.insert(id, Client::new());
    }

    pub(super) fn has(&self, id: PipeId) -> bool {
        self.clients.contains_key(&id)
    }

    /// Handles the commands that have come whole. Returns what was published by them.
    pub(super) fn read(
        &mut self,
        id: PipeId,
        bytes: &[u8],
        cluster: Option<View<'_>>,
        keys: &mut Keys,
        network: &Network,
        handled: &mut Vec<String>,
    ) -> Vec<Published> {
        let mut published = Vec::new();
        let Some(mut client) = self.clients.remove(&id) else {
            return published;
        };
        client.input.extend_from_slice(bytes);
        let mut answers = Answers::default();
        while let Ok(Some(words)) = client.decoder.decode(&mut client.input) {
            if let [verb, channel, payload] = &words[..]
                && verb.eq_ignore_ascii_case(b"PUBLISH")
                && !self.is_busy
            {
                let channel = String::from_utf8_lossy(channel).into_owned();
                let how = Publishing::Everywhere;
                answers.number(self.deliver(how, &channel, payload, network));
                published.push((channel, payload.to_vec()));
                continue;
            }
            let words: Vec<_> = words
                .iter()
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .collect();
            if let Some(done) = self.key_command(&words, cluster.as_ref(), keys) {
                answers.bytes.extend(done.reply);
                if let Some((channel, event)) = done.published {
                    let event = event.into_bytes();
                    self.deliver(Publishing::Everywhere, &channel, &event, network);
                    published.push((channel, event));
                }
                continue;
            }
            let before = answers.bytes.len();
            self.command(&mut client, &words, cluster.as_ref(), &mut answers);
            handled.extend(told(id, &words, &answers.bytes[before..]));
        }
        network.send(id, answers.bytes);
        self.clients.insert(id, client);
        published
    }

    /// Does what a command wants of a key; `None` if it wants nothing of one, or is refused like any
    /// other.
    fn key_command(
        &self,
        words: &[String],
        cluster: Option<&View<'_>>,
        keys: &mut Keys,
    ) -> Option<Done> {
        let key = keys::key_of(words).filter(|_| !self.is_busy)?;
        let moved = cluster.and_then(|view| view.refusal(&[key.to_owned()]));
        let readonly = "READONLY You can't write against a read only replica.";
        let is_readonly = self.role != Role::Master;
        match moved.or_else(|| is_readonly.then(|| readonly.to_owned())) {
            Some(error) => Some(Done::refused(&error)),
            None => keys.command(keys.now(), words),
        }
    }

    fn command(
        &self,
        client: &mut Client,
        words: &[String],
        cluster: Option<&View<'_>>,
        answers: &mut Answers,
    ) {
        let name = words[0].to_ascii_uppercase();
        let names = &words[1..];
        if self.is_busy && !matches!(name.as_str(), "HELLO" | "AUTH") {
            return answers.error("BUSY Redis is busy running a script.");
        }
        match (name.as_str(), cluster) {
            ("HELLO", _) => {
                client.speaks_resp3 = true;
                answers.add("%1\r\n$5\r\nproto\r\n:3\r\n");
            }
            ("CLIENT", _) => answers.add("+OK\r\n"),
            ("PING", _) if client.is_listening() => answers.push(false, 2, &["pong", ""]),
            ("PING", _) => answers.add("+PONG\r\n"),
            ("INFO", _) => answers.bulk(&self.info()),
            ("CLUSTER", Some(view)) => view.tell_slots(answers),
            ("SUBSCRIBE" | "SSUBSCRIBE", _) if self.refuses(names) => answers.error(
                "NOPERM this user has no permissions to access one of the channels used as \
                 arguments",
            ),
            ("SSUBSCRIBE", Some(view)) => match view.refusal(names) {
                Some(error) => answers.error(&error),
                None => client.change(&name, names, answers),
            },
            ("SUBSCRIBE" | "UNSUBSCRIBE" | "PSUBSCRIBE" | "SUNSUBSCRIBE", _) => {
                client.change(&name, names, answers);
            }
            _ => answers.error(&format!("ERR unknown command '{name}'")),
        }
    }

    fn refuses(&self, names: &[String]) -> bool {
        let refused = self.refused.as_ref();
        refused.is_some_and(|refused| names.contains(refused))
    }

    fn info(&self) -> String {
        let role = match self.role {
            Role::Master => "master",
            Role::Replica => "slave\r\nmaster_link_status:up",
            Role::Detached => "slave\r\nmaster_link_status:down",
        };
        let [history, continues] = self.history;
        format!(
            "# Replication\r\nrole:{role}\r\nmaster_replid:{history:040}\r\n\
             master_replid2:{continues:040}\r\n"
        )
    }

    /// An application publishes here. Returns how many subscribers there were; `None` if it is
    /// refused.
    pub(super) fn publish(
        &self,
        how: Publishing,
        channel: &str,
        payload: &[u8],
        network: &Network,
    ) -> Option<u64> {
        if self.is_busy {
            return None;
        }
        if self.role == Role::Detached {
            // The publication goes to another server, of which this one does not hear.
            return Some(0);
        }
        Some(self.deliver(how, channel, payload, network))
    }

    /// Sends a publication to those who subscribe here.
    pub(super) fn deliver(
        &self,
        how: Publishing,
        channel: &str,
        payload: &[u8],
        network: &Network,
    ) -> u64 {
        let mut receivers = 0;
        for (&id, client) in &self.clients {
            let (word, channels) = match how {
                Publishing::Everywhere => ("message", &client.channels),
                Publishing::ToShard => ("smessage", &client.shard_channels),
            };
            if channels.contains(channel) {
                receivers += 1;
                let mut answers = Answers::default();
                answers.message(client.speaks_resp3, [word, channel], payload);
                network.send(id, answers.bytes);
            }
        }
        receivers
    }

    /// The server has no longer the slots of some shard channels, and says so to those who
    /// subscribe to them.
    pub(super) fn end_shard_channels(&mut self, ends: impl Fn(&str) -> bool, network: &Network) {
        for (&id, client) in &mut self.clients {
            let ended = client.shard_channels.extract_if(.., |name| ends(name));
            let ended: Vec<_> = ended.collect();
            let mut answers = Answers::default();
            for name in ended {
                answers.push(client.speaks_resp3, 3, &["sunsubscribe", &name]);
                answers.number(client.shard_channels.len() as u64);
            }
            network.send(id, answers.bytes);
        }
    }

    pub(super) fn has_subscriber(&self, channel: &str, counts: impl Fn(PipeId) -> bool) -> bool {
        let mut clients = self.clients.iter();
        clients.any(|(id, client)| client.channels.contains(channel) && counts(*id))
    }

    pub(super) fn has_shard_subscriber(
        &self,
        channel: &str,
        counts: impl Fn(PipeId) -> bool,
    ) -> bool {
        let mut clients = self.clients.iter();
        clients.any(|(id, client)| client.shard_channels.contains(channel) && counts(*id))
    }

    /// Adds the subscriptions of some connections: of channels, and of shard channels.
    pub(super) fn subscriptions(
        &self,
        counts: &impl Fn(PipeId) -> bool,
        found: &mut [Vec<String>; 2],
    ) {
        for (_, client) in self.clients.iter().filter(|(id, _)| counts(**id)) {
            found[0].extend(client.channels.iter().cloned());
            found[1].extend(client.shard_channels.iter().cloned());
        }
    }
}

/// A command with its error, unless it comes too often to be told.
fn told(id: PipeId, words: &[String], answer: &[u8]) -> Option<String> {
    if matches!(
        words[0].as_str(),
        "PING" | "INFO" | "CLUSTER" | "CLIENT" | "PUBLISH"
    ) {
        return None;
    }
    let error = match answer.first() {
        Some(b'-') => String::from_utf8_lossy(answer).trim_end().to_owned(),
        _ => String::new(),
    };
    Some(format!("redis {id}: {} {error}", words.join(" ")))
}

impl Client {
    fn new() -> Self {
        Self {
            decoder: Decoder::new(&Limits::default()),
            input: BytesMut::new(),
            speaks_resp3: false,
            channels: BTreeSet::new(),
            patterns: BTreeSet::new(),
            shard_channels: BTreeSet::new(),
        }
    }

    /// Whether everything that is sent has the form of a message: subscribers of the old protocol
    /// know no other.
    fn is_listening(&self) -> bool {
        !(self.speaks_resp3 || self.channels.is_empty() && self.patterns.is_empty())
    }

    /// Begins or ends subscriptions, and confirms each.
    fn change(&mut self, verb: &str, names: &[String], answers: &mut Answers) {
        let confirmed = verb.to_ascii_lowercase();
        for name in names {
            let (channels, begins) = match verb {
                "SUBSCRIBE" => (&mut self.channels, true),
                "UNSUBSCRIBE" => (&mut self.channels, false),
                "PSUBSCRIBE" => (&mut self.patterns, true),
                "SSUBSCRIBE" => (&mut self.shard_channels, true),
                _ => (&mut self.shard_channels, false),
            };
            match begins {
                true => channels.insert(name.clone()),
                false => channels.remove(name),
            };
            answers.push(self.speaks_resp3, 3, &[&confirmed, name]);
            let count = match verb {
                "SSUBSCRIBE" | "SUNSUBSCRIBE" => self.shard_channels.len(),
                _ => self.channels.len() + self.patterns.len(),
            };
            answers.number(count as u64);
        }
    }
}
