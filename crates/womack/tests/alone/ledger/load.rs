//! A hostile load as a value.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use tokio::task::JoinSet;
use womack_test_support::raw::Raw;

use super::target::Target;

/// A way in which clients make a server hold memory.
pub(crate) struct Load {
    pub(crate) name: &'static str,
    pub(crate) transport: Transport,
    pub(crate) state: State,
    /// Clients in the suite; an attack on a whole budget has [`PRESSURE`](super::mode::PRESSURE)
    /// times as many.
    pub(crate) clients: usize,
    /// The most clients, for loads whose effect comes from their number.
    pub(crate) most_clients: usize,
    pub(crate) attack: Attack,
    /// Additional flags of the server; a flag without a value has an empty one.
    pub(crate) flags: &'static [(&'static str, &'static str)],
    /// Files that each server may have open; `None` for as many as the test.
    pub(crate) files: Option<usize>,
    /// Servers at one Redis; with two, requests for sessions of the first go to the second.
    pub(crate) nodes: usize,
    /// Whether a deadline ends what the clients hold although they keep their sockets open.
    pub(crate) has_deadline: bool,
    /// Time for which the clients stay where no deadline ends what they hold.
    pub(crate) hold_time: Duration,
    /// Whether Redis answers meanwhile, so that messages can be delivered.
    pub(crate) redis_answers: bool,
}

/// Opens sockets, sends, and returns the connections that have to stay open.
pub(crate) type Attack = fn(Target) -> Pin<Box<dyn Future<Output = Held>>>;

/// The connections that an attacker keeps open. Dropping it closes all.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) sockets: Vec<Raw>,
    /// Tasks that own sockets and go on speaking.
    pub(crate) tasks: JoinSet<()>,
}

/// The transport of a load.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Transport {
    Http,
    LegacyPolling,
    OlderPolling,
    Polling,
    WebSocket,
    Lines,
    Events,
    Relay,
    Redis,
}

/// The state of the sessions of a load.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum State {
    BeforeSession,
    BeforeConnect,
    Subscribed,
    BetweenPolls,
    Upgrading,
    Closing,
}

impl Load {
    /// The fields that most loads have in common.
    pub(crate) const DEFAULT: Self = Self {
        name: "",
        transport: Transport::Http,
        state: State::BeforeSession,
        clients: 0,
        most_clients: usize::MAX,
        attack: |_| Box::pin(async { Held::default() }),
        flags: &[],
        files: None,
        nodes: 1,
        has_deadline: true,
        hold_time: Duration::ZERO,
        redis_answers: true,
    };
}

impl From<Vec<Raw>> for Held {
    fn from(sockets: Vec<Raw>) -> Self {
        Self {
            sockets,
            tasks: JoinSet::new(),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "HTTP",
            Self::LegacyPolling => "Socket.IO 0.9, polling",
            Self::OlderPolling => "Engine.IO 3, polling",
            Self::Polling => "Engine.IO 4, polling",
            Self::WebSocket => "WebSocket",
            Self::Lines => "`/ws`",
            Self::Events => "`/events`",
            Self::Relay => "relay",
            Self::Redis => "Redis",
        })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BeforeSession => "before the session",
            Self::BeforeConnect => "before CONNECT",
            Self::Subscribed => "subscribed",
            Self::BetweenPolls => "between polls",
            Self::Upgrading => "upgrading",
            Self::Closing => "closing",
        })
    }
}
