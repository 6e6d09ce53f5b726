//! What systemd does for the server: it may hold its ports, hears what it is about to do, and
//! watches whether its threads do their work (`sd_notify(3)`, `sd_listen_fds(3)`).
//!
//! Without systemd nothing of this happens.

use std::{env, io, net::TcpListener};

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::time::sleep;
use tracing::warn;
use womack_engine::{Beat, Sender, ToShard};

use crate::{config::ConfigError, error::Error};

/// The name of the socket that is for operators.
const ADMIN: &str = "admin";
/// Rounds of beats within the time after which the server is taken for stuck.
const ROUNDS: u32 = 4;

/// Listeners that systemd has opened.
#[derive(Default)]
pub(crate) struct Ports {
    pub(crate) clients: Vec<TcpListener>,
    pub(crate) admin: Option<TcpListener>,
}

impl Ports {
    /// Takes the listeners that this process was started with. One that is named `admin` is for
    /// operators, all others are for clients.
    ///
    /// # Errors
    /// [`Error::Config`] when one of them is no TCP listener.
    pub(crate) fn inherited() -> Result<Self, Error> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut found = ListenFd::from_env();
        let mut ports = Self::default();
        for at in 0..found.len() {
            let mistake = |source| ConfigError::InheritedSocket { number: at, source };
            let name = names.next();
            let Some(listener) = found.take_tcp_listener(at).map_err(mistake)? else {
                continue;
            };
            listener.set_nonblocking(true)?;
            match name {
                Some(ADMIN) => ports.admin = Some(listener),
                _ => ports.clients.push(listener),
            }
        }
        Ok(ports)
    }

    /// The listeners for clients, for `shards` shards; nothing if systemd holds none. Shards may
    /// have to share one.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn shared(&self, shards: usize) -> io::Result<Option<Vec<TcpListener>>> {
        if self.clients.is_empty() {
            return Ok(None);
        }
        let clients = self.clients.iter().cycle().take(shards);
        clients
            .map(TcpListener::try_clone)
            .collect::<Result<_, _>>()
            .map(Some)
    }
}

/// The server listens.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The server reads its settings again; [`ready`] says when it has.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => warn!(%error, "the system has no monotonic clock"),
    }
}

/// The server is about to end.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "systemd cannot be told");
    }
}

/// As long as every shard and the router answer, tells the watchdog so; ends at once if there is
/// none.
pub(crate) async fn watch(shards: Vec<Sender<ToShard>>, router: Sender<Beat>) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    loop {
        let beat = Beat::default();
        // A thread whose queue is full is not asked, and so has not answered.
        for shard in &shards {
            shard.send(ToShard::Beat(beat.clone())).ok();
        }
        router.send(beat.clone()).ok();
        sleep(limit / ROUNDS).await;
        let (threads, answers) = (shards.len() + 1, beat.answers());
        if answers == threads {
            tell(&[NotifyState::Watchdog]);
        } else {
            warn!(threads, answers, "a thread is stuck, or has too much to do");
        }
    }
}
