//! A hostile load as a value.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use tokio::task::JoinSet;
use womack_test_support::raw::Raw;

use super::site::Site;

/// A way in which clients make a server keep something.
pub(crate) struct Load {
    pub(crate) name: &'static str,
    pub(crate) transport: Transport,
    pub(crate) state: State,
    /// Clients in the suite; an attack on a whole budget has [`PRESSURE`](super::mode::PRESSURE)
    /// times as many.
    pub(crate) clients: usize,
    /// The most clients of a load that has its effect by their number.
    pub(crate) most_clients: usize,
    pub(crate) attack: Attack,
    /// How the server is started differently; a flag without a value has an empty one.
    pub(crate) flags: &'static [(&'static str, &'static str)],
    /// Servers at one Redis; the load meets sessions of the first by way of the second.
    pub(crate) nodes: usize,
    /// Whether a deadline ends what the clients hold although they keep their sockets open.
    pub(crate) has_deadline: bool,
    /// How long the clients stay where no deadline ends what they hold.
    pub(crate) stays: Duration,
    /// Whether Redis answers meanwhile, so that messages can be delivered.
    pub(crate) redis_answers: bool,
}

/// Opens sockets, sends, and returns whatever has to stay open.
pub(crate) type Attack = fn(Site) -> Pin<Box<dyn Future<Output = Held>>>;

/// What an attacker keeps open. Dropping it closes all.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) sockets: Vec<Raw>,
    /// Tasks that own sockets and go on speaking.
    pub(crate) tasks: JoinSet<()>,
}

/// How the clients of a load speak to the server.
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
}

/// How far the clients of a load have come.
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
        nodes: 1,
        has_deadline: true,
        stays: Duration::ZERO,
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
