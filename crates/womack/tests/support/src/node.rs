//! A node that the test plays itself: bytes on the channels on which nodes speak to one another.

use std::pin::Pin;

use futures_util::{Stream, StreamExt};
use redis::{AsyncCommands, Client as RedisClient, Msg, aio::MultiplexedConnection};

use crate::{Broker, within};

/// The prefix of nodes' channels at servers that were told no other.
const RELAY_KEY: &str = "womack-relay";
/// The alphabet of session ids.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A node that the test plays.
pub struct Node {
    id: u32,
    connection: MultiplexedConnection,
    messages: Pin<Box<dyn Stream<Item = Msg> + Send>>,
}

impl Node {
    /// Listens to the channel of the node `id`.
    pub async fn join(broker: &impl Broker, id: u32) -> Self {
        let client = RedisClient::open(broker.url()).expect("a URL of Redis");
        let connection = client.get_multiplexed_async_connection().await;
        let mut listener = client.get_async_pubsub().await.expect("Redis");
        let subscribed = listener.subscribe(channel(id)).await;
        subscribed.expect("a channel of its own");
        Self {
            id,
            connection: connection.expect("Redis"),
            messages: Box::pin(listener.into_on_message()),
        }
    }

    /// Publishes bytes for the node `to`, as they are.
    pub async fn say(&mut self, to: u32, bytes: &[u8]) {
        let heard: u64 = within("PUBLISH", self.connection.publish(channel(to), bytes))
            .await
            .expect("Redis takes a message");
        assert_eq!(heard, 1, "one node hears it");
    }

    /// Says what version 0.2.0 would say: a letter, this node, a number, and the rest.
    pub async fn say_first_form(&mut self, to: u32, letter: u8, number: u64, rest: &[u8]) {
        let mut bytes = vec![letter];
        bytes.extend(self.id.to_be_bytes());
        bytes.extend(number.to_be_bytes());
        bytes.extend(rest);
        self.say(to, &bytes).await;
    }

    /// The next message.
    pub async fn hear(&mut self) -> Vec<u8> {
        let message = within("a message of another node", self.messages.next()).await;
        message.expect("Redis").get_payload_bytes().to_vec()
    }

    /// The next message as version 0.2.0 reads it: a letter, who says it, a number, and the rest.
    pub async fn hear_first_form(&mut self) -> (u8, u32, u64, Vec<u8>) {
        let bytes = self.hear().await;
        let letter = bytes[0];
        assert!(letter.is_ascii_alphabetic(), "0.2.0 cannot read {bytes:?}");
        let node = u32::from_be_bytes(bytes[1..5].try_into().expect("four bytes"));
        let number = u64::from_be_bytes(bytes[5..13].try_into().expect("eight bytes"));
        (letter, node, number, bytes[13..].to_vec())
    }
}

/// The node of a session.
pub fn node_of(sid: &str) -> u32 {
    let value = |byte| {
        let place = ALPHABET.iter().position(|letter| *letter == byte);
        place.expect("a letter of a session id") as u64
    };
    let bits = sid
        .bytes()
        .take(6)
        .fold(0, |bits, byte| bits << 6 | value(byte));
    (bits >> 4) as u32
}

/// A session id of the node `id`, of its first shard.
pub fn sid_at(id: u32) -> String {
    let mut bits = u64::from(id) << 4;
    let mut sid = String::new();
    for _ in 0..6 {
        sid.push(char::from(ALPHABET[(bits >> 30) as usize & 63]));
        bits <<= 6;
    }
    sid + &"A".repeat(18)
}

fn channel(id: u32) -> String {
    format!("{RELAY_KEY}:{id:08x}")
}
