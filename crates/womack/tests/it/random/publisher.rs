//! Numbers, published at Redis directly.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep;
use womack_test_support::commander::Commander;

use super::plan::{pause, rng};
use super::world::{Channel, World};

/// Numbers that are published on a channel whose subscriber was announced.
const ANNOUNCED: u64 = 3;

/// Publishes on one channel without end. In a cluster, `command` may be `SPUBLISH`.
pub(super) async fn run(
    world: Arc<World>,
    redis: SocketAddr,
    channel: Channel,
    (command, seed, number): (&'static str, u64, u64),
) {
    let mut rng = rng(seed, "publisher", number);
    let mean = Duration::from_millis(10 << rng.u32(..4));
    let mut commander = Commander::to(redis);
    loop {
        sleep(pause(&mut rng, mean)).await;
        publish(&world, &mut commander, command, &channel).await;
    }
}

/// Publishes one number.
pub(super) async fn publish(
    world: &World,
    commander: &mut Commander,
    command: &str,
    channel: &Channel,
) {
    if !commander.connect().await {
        return;
    }
    let number = world.begin(channel);
    let (name, text) = (
        format!("womack:ns:default:{channel}"),
        format!("{{\"n\":{number}}}"),
    );
    let receivers = commander.run(&[command, &name, &text]).await;
    world.end(channel, number, receivers);
    world.count(
        "published",
        if receivers.is_some() {
            "numbers"
        } else {
            "unanswered"
        },
    );
}

/// Publishes on channels as soon as their subscribers are announced, as an application does that
/// publishes the state of a channel then. `redis` are the nodes.
pub(super) async fn greet(
    world: Arc<World>,
    redis: Vec<SocketAddr>,
    mut announced: UnboundedReceiver<Channel>,
) {
    let mut commanders: Vec<_> = redis.into_iter().map(Commander::to).collect();
    while let Some(channel) = announced.recv().await {
        let commander = &mut commanders[world.link_of(&channel)];
        for _ in 0..ANNOUNCED {
            publish(&world, commander, "PUBLISH", &channel).await;
        }
    }
}
