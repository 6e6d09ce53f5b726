//! Server events: of each client in each channel, a subscription and its end take turns.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;
use womack_test_support::commander::Listener;
use womack_test_support::ticker::millis;

use super::world::{Channel, EVENTS_KEY, TIMING, Violation, World};

/// A client in a channel: its session and the channel.
type Place = (String, Channel);

/// The newest event of each client in each channel.
#[derive(Default)]
pub(super) struct Events {
    newest: Mutex<HashMap<Place, (bool, u64)>>,
}

impl Events {
    fn newest(&self) -> MutexGuard<'_, HashMap<Place, (bool, u64)>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the newest event says that a client is in a channel.
    pub(super) fn is_in(&self, session: &str, channel: &Channel) -> bool {
        let newest = self.newest();
        let found = newest.get(&(session.to_owned(), channel.clone()));
        found.is_some_and(|(is_in, _)| *is_in)
    }

    /// All that are in a channel by their newest event.
    pub(super) fn all_in(&self) -> Vec<Place> {
        let newest = self.newest();
        let inside = newest.iter().filter(|(_, (is_in, _))| *is_in);
        inside.map(|(place, _)| place.clone()).collect()
    }

    /// Listens without end, and passes on channels that nobody else ever had.
    pub(super) async fn run(
        self: Arc<Self>,
        world: Arc<World>,
        mut listener: Listener,
        announced: UnboundedSender<Channel>,
    ) {
        while let Some((name, text)) = listener.next().await {
            let is_in = name.ends_with(":subscribe");
            let event: Value = serde_json::from_str(&text).unwrap_or_default();
            let (Some(session), Some(channel)) =
                (event["session_id"].as_str(), event["channel"].as_str())
            else {
                continue;
            };
            let channel: Channel = channel.into();
            if is_in && channel.starts_with("fresh-") && world.begun(&channel) == 0 {
                // The publisher lives as long as this.
                announced.send(channel.clone()).ok();
            }
            world.count(
                "server events",
                if is_in { "subscribe" } else { "unsubscribe" },
            );
            self.heard(&world, (session.to_owned(), channel), is_in, &text);
        }
    }

    fn heard(&self, world: &World, place: Place, is_in: bool, text: &str) {
        let now = millis();
        let before = self.newest().insert(place, (is_in, now));
        let (was_in, at) = before.unwrap_or((false, now));
        if was_in != is_in {
            return;
        }
        // Events whose answer is lost with a link are published again.
        let since = at.saturating_sub(TIMING.ping + TIMING.slack);
        if before.is_some() && world.is_disturbed(since, now) {
            return world.count("server events", "repeated after a fault");
        }
        let (kind, since) = (
            if is_in { "subscribe" } else { "unsubscribe" },
            world.seconds(at),
        );
        world.violated(Violation {
            kind: "server events do not alternate",
            at: now,
            story: format!(
                "{}: {kind} again, the last was at {since}: {text}\n",
                world.seconds(now)
            ),
        });
    }
}

/// Listens to server events at a Redis.
pub(super) async fn listener(redis: SocketAddr) -> Listener {
    let channels = ["subscribe", "unsubscribe"].map(|kind| format!("{EVENTS_KEY}:{kind}"));
    let listener = Listener::to(redis, &channels).await;
    listener.expect("Redis takes a subscription")
}
