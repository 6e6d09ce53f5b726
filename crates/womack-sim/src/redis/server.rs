//! A model of one Redis server, as far as publish and subscribe need it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::BytesMut;
use womack_broker::{Limits, resp::Decoder};

use crate::network::{Arrival, Network, PipeId};

/// A model of one Redis server.
pub(crate) struct Redis {
    clients: BTreeMap<PipeId, Client>,
    role: Role,
    /// Counts the histories of writes, of which each has an id.
    history: u32,
    /// The channel that the ACL refuses.
    pub(crate) refused: Option<String>,
    /// Whether a script runs for too long.
    pub(crate) is_busy: bool,
    /// Commands that were handled, and are still to be told.
    pub(crate) handled: Vec<String>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Role {
    Master,
    Replica,
}

struct Client {
    decoder: Decoder,
    input: BytesMut,
    speaks_resp3: bool,
    channels: BTreeSet<String>,
    patterns: BTreeSet<String>,
}

/// Replies and pushes that are still to be sent.
#[derive(Default)]
struct Answers {
    bytes: Vec<u8>,
}

impl Redis {
    pub(crate) fn new() -> Self {
        Self {
            clients: BTreeMap::new(),
            role: Role::Master,
            history: 1,
            refused: None,
            is_busy: false,
            handled: Vec::new(),
        }
    }

    /// Connections have ended.
    pub(crate) fn forget(&mut self, ended: &[PipeId]) {
        for id in ended {
            self.clients.remove(id);
        }
    }

    /// The server becomes a replica, of which nobody hears, or a master again. Connections stay.
    pub(crate) fn change_role(&mut self) {
        self.role = match self.role {
            Role::Master => Role::Replica,
            Role::Replica => Role::Master,
        };
        self.history += 1;
    }

    pub(crate) fn is_master(&self) -> bool {
        self.role == Role::Master
    }

    /// Something has come over the network.
    pub(crate) fn handle(&mut self, arrival: Arrival, network: &Network) {
        match arrival {
            Arrival::Opened(id) => {
                self.clients.insert(id, Client::new());
            }
            Arrival::Closed(id) => drop(self.clients.remove(&id)),
            Arrival::Bytes(id, bytes) => {
                let Some(mut client) = self.clients.remove(&id) else {
                    return;
                };
                client.input.extend_from_slice(&bytes);
                let mut answers = Answers::default();
                while let Ok(Some(words)) = client.decoder.decode(&mut client.input) {
                    let words: Vec<_> = words
                        .iter()
                        .map(|word| String::from_utf8_lossy(word).into_owned())
                        .collect();
                    let before = answers.bytes.len();
                    self.command(&mut client, &words, &mut answers);
                    self.tell(id, &words, &answers.bytes[before..]);
                }
                network.send(id, answers.bytes);
                self.clients.insert(id, client);
            }
        }
    }

    fn command(&self, client: &mut Client, words: &[String], answers: &mut Answers) {
        let name = words[0].to_ascii_uppercase();
        let names = &words[1..];
        if self.is_busy && !matches!(name.as_str(), "HELLO" | "AUTH") {
            return answers.error("BUSY Redis is busy running a script.");
        }
        match name.as_str() {
            "HELLO" => {
                client.speaks_resp3 = true;
                answers.add("%1\r\n$5\r\nproto\r\n:3\r\n");
            }
            "PING" => answers.add("+PONG\r\n"),
            "INFO" => answers.bulk(&self.info()),
            "SUBSCRIBE" => match names.iter().find(|name| self.refuses(name)) {
                Some(_) => answers.error(
                    "NOPERM this user has no permissions to access one of the channels used as \
                     arguments",
                ),
                None => {
                    for name in names {
                        client.channels.insert(name.clone());
                        answers.confirm("subscribe", name, client);
                    }
                }
            },
            "UNSUBSCRIBE" => {
                for name in names {
                    client.channels.remove(name);
                    answers.confirm("unsubscribe", name, client);
                }
            }
            "PSUBSCRIBE" => {
                for name in names {
                    client.patterns.insert(name.clone());
                    answers.confirm("psubscribe", name, client);
                }
            }
            _ => answers.error(&format!("ERR unknown command '{name}'")),
        }
    }

    fn tell(&mut self, id: PipeId, words: &[String], answer: &[u8]) {
        if matches!(words[0].as_str(), "PING" | "INFO") {
            return;
        }
        let error = match answer.first() {
            Some(b'-') => String::from_utf8_lossy(answer).trim_end().to_owned(),
            _ => String::new(),
        };
        self.handled
            .push(format!("redis {id}: {} {error}", words.join(" ")));
    }

    fn refuses(&self, name: &str) -> bool {
        self.refused.as_deref() == Some(name)
    }

    fn info(&self) -> String {
        let role = match self.role {
            Role::Master => "master",
            Role::Replica => "slave\r\nmaster_link_status:down",
        };
        let history = self.history;
        format!(
            "# Replication\r\nrole:{role}\r\nmaster_replid:{history:040}\r\n\
             master_replid2:{:040}\r\n",
            history - 1
        )
    }

    /// An application publishes. Returns how many subscribers there were; `None` if Redis refuses.
    pub(crate) fn publish(&self, channel: &str, payload: &str, network: &Network) -> Option<u64> {
        if self.is_busy {
            return None;
        }
        if self.role == Role::Replica {
            // It is published at another server, of which this one does not hear.
            return Some(0);
        }
        let mut receivers = 0;
        for (&id, client) in &self.clients {
            if client.channels.contains(channel) {
                receivers += 1;
                let mut answers = Answers::default();
                answers.push(client, 3, &["message", channel, payload]);
                network.send(id, answers.bytes);
            }
        }
        Some(receivers)
    }

    /// How many connections that work subscribe to a channel.
    pub(crate) fn subscribers(&self, channel: &str, network: &Network) -> usize {
        let clients = self.clients.iter();
        let is_there = |(id, client): &(&PipeId, &Client)| {
            network.has(**id) && client.channels.contains(channel)
        };
        clients.filter(is_there).count()
    }

    /// Every channel that a connection that works subscribes to.
    pub(crate) fn subscribed(&self, network: &Network) -> BTreeSet<String> {
        let clients = self.clients.iter().filter(|(id, _)| network.has(**id));
        clients
            .flat_map(|(_, client)| client.channels.iter().cloned())
            .collect()
    }
}

impl Client {
    fn new() -> Self {
        Self {
            decoder: Decoder::new(&Limits::default()),
            input: BytesMut::new(),
            speaks_resp3: false,
            channels: BTreeSet::new(),
            patterns: BTreeSet::new(),
        }
    }
}

impl Answers {
    fn add(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn error(&mut self, text: &str) {
        self.add(&format!("-{text}\r\n"));
    }

    fn bulk(&mut self, text: &str) {
        self.add(&format!("${}\r\n{text}\r\n", text.len()));
    }

    /// A message, or a confirmation but for its last element.
    fn push(&mut self, client: &Client, length: usize, words: &[&str]) {
        let sign = if client.speaks_resp3 { '>' } else { '*' };
        self.add(&format!("{sign}{length}\r\n"));
        for word in words {
            self.bulk(word);
        }
    }

    fn confirm(&mut self, verb: &str, name: &str, client: &Client) {
        self.push(client, 3, &[verb, name]);
        let count = client.channels.len() + client.patterns.len();
        self.add(&format!(":{count}\r\n"));
    }
}
