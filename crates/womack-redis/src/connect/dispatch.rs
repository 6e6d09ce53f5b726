//! Publishes on whatever the backend is, over connections that come back by themselves.

use std::{collections::HashMap, sync::Arc, time::Instant};

use redis::{ErrorKind, Pipeline, RedisError, RedisResult, aio::MultiplexedConnection};
use tokio::sync::Mutex;

use super::{
    Address, Backend, Connected, Kind, Slots,
    ask_identity::{IDENTITY_INTERVAL, ask_identity, changed},
    slot,
};
use crate::{
    clock,
    error::Error,
    error_class::ErrorClass,
    identity::{IdentityCheck, Role, Verdict},
};

/// How often a message of a cluster is sent after another node than the one that was thought.
const REDIRECTIONS: usize = 3;

/// Publishes messages. Clones share their connections.
#[derive(Clone)]
pub struct Dispatch {
    backend: Backend,
    connections: Arc<Mutex<Connections>>,
}

#[derive(Default)]
struct Connections {
    /// How the cluster is laid out, as far as was needed.
    slots: Option<Slots>,
    /// The only one that is needed has no address here.
    open: HashMap<Option<Address>, Verified>,
}

/// A connection to a server that is a master.
struct Verified {
    connected: Connected,
    identity: IdentityCheck,
    /// When it was last known to be the one that it was.
    verified: Instant,
}

impl Dispatch {
    /// Connects when there is something to publish.
    pub fn new(backend: Backend) -> Self {
        Self {
            backend,
            connections: Arc::default(),
        }
    }

    /// Connects now.
    ///
    /// # Errors
    /// Nobody answers, or not as a Redis should.
    pub(crate) async fn connect(&self) -> Result<(), Error> {
        match self.backend.kind {
            Kind::Cluster(_) => self.slots(true).await.map(drop)?,
            _ => self.connection(None).await.map(drop)?,
        }
        Ok(())
    }

    /// Publishes `payload` on each of `channels`; to a single server in one round trip. Returns
    /// how many subscribers Redis passed it to.
    ///
    /// In a cluster it is `SPUBLISH`, which only the channel's shard hears of.
    ///
    /// # Errors
    /// Redis cannot be reached, or refuses. Then nobody knows which messages were published.
    pub(crate) async fn publish(&self, channels: &[String], payload: &str) -> Result<u64, Error> {
        if !self.backend.is_cluster() {
            let mut pipeline = Pipeline::new();
            for channel in channels {
                pipeline.publish(channel, payload);
            }
            let mut connection = self.connection(None).await?;
            let counts: RedisResult<Vec<u64>> = pipeline.query_async(&mut connection).await;
            if let Err(error) = &counts {
                self.discard(None, error).await;
            }
            return Ok(counts?.into_iter().sum());
        }
        let mut sum = 0;
        for channel in channels {
            sum += self.publish_in_shard(channel, payload).await?;
        }
        Ok(sum)
    }

    /// How many have subscribed to `channel` by its name, at a server that is no cluster.
    ///
    /// # Errors
    /// Redis cannot be reached, or refuses.
    pub async fn subscribers(&self, channel: &str) -> Result<u64, Error> {
        let mut ask = redis::cmd("PUBSUB");
        ask.arg("NUMSUB").arg(channel);
        let mut connection = self.connection(None).await?;
        let (_, count): (String, u64) = ask.query_async(&mut connection).await?;
        Ok(count)
    }

    async fn publish_in_shard(&self, channel: &str, payload: &str) -> RedisResult<u64> {
        let mut publish = redis::cmd("SPUBLISH");
        publish.arg(channel).arg(payload);
        let mut last = None;
        for attempt in 0..REDIRECTIONS {
            let slots = self.slots(attempt > 0).await?;
            let Some(owner) = slots.owner(slot(channel)) else {
                continue;
            };
            // Who cannot be reached got nothing: another may have its place.
            let mut connection = match self.connection(Some(owner)).await {
                Ok(connection) => connection,
                Err(error) => {
                    last = Some(error);
                    continue;
                }
            };
            match publish.query_async(&mut connection).await {
                Err(error) => {
                    self.discard(Some(owner), &error).await;
                    // Without an answer nobody knows whether it was published.
                    if !is_elsewhere(&error) {
                        return Err(error);
                    }
                    last = Some(error);
                }
                done => return done,
            }
        }
        let nobody = || RedisError::from((ErrorKind::Client, "no node has the channel's slot"));
        Err(last.unwrap_or_else(nobody))
    }

    /// How the cluster is laid out, asked `anew` or remembered.
    async fn slots(&self, anew: bool) -> RedisResult<Slots> {
        let mut connections = self.connections.lock().await;
        if let Some(slots) = connections.slots.as_ref().filter(|_| !anew) {
            return Ok(slots.clone());
        }
        let known: Vec<_> = connections.open.keys().flatten().cloned().collect();
        let slots = self.backend.slots(&known, &[]).await?;
        connections.open.retain(|address, _| {
            let owners = slots.owners();
            address
                .as_ref()
                .is_none_or(|address| owners.contains(&address))
        });
        Ok(connections.slots.insert(slots).clone())
    }

    /// The connection to a node, or the only one, to a server that was the master it had been a
    /// second ago at the most.
    async fn connection(&self, node: Option<&Address>) -> RedisResult<MultiplexedConnection> {
        let mut connections = self.connections.lock().await;
        let key = node.cloned();
        if let Some(found) = connections.open.get_mut(&key) {
            if !found.connected.is_gone() && self.verify(found).await.is_ok() {
                return Ok(found.connected.connection.clone());
            }
            connections.open.remove(&key);
        }
        let connected = match (node, &self.backend.kind) {
            (Some(node), _) => self.backend.commands(node).await?,
            (None, _) => self.backend.writer("").await?,
        };
        let connection = connected.connection.clone();
        let mut made = Verified {
            connected,
            identity: IdentityCheck::default(),
            verified: clock::now(),
        };
        self.ask(&mut made).await?;
        connections.open.insert(key, made);
        Ok(connection)
    }

    /// Asks the server who it is, unless it was asked within the last second.
    async fn verify(&self, found: &mut Verified) -> RedisResult<()> {
        match found.verified.elapsed() < IDENTITY_INTERVAL {
            true => Ok(()),
            false => self.ask(found).await,
        }
    }

    /// Asks the server who it is. One that is a replica, or another than it was, is an error:
    /// subscribers of the master do not hear what is published there.
    async fn ask(&self, found: &mut Verified) -> RedisResult<()> {
        let Verified {
            connected,
            identity,
            verified,
        } = found;
        let (asked, server) = (clock::now(), &connected.address);
        match ask_identity(&mut connected.connection, identity).await? {
            Verdict::Changed { reason, .. } => return Err(changed(server, reason)),
            Verdict::First(Role::Replica) => {
                return Err(changed(server, "is a replica"));
            }
            Verdict::Unverifiable(reason) => {
                let unverified = &self.backend.unverified;
                unverified.warn_once("publisher", server, &reason);
            }
            Verdict::First(Role::Master) | Verdict::Same | Verdict::Unknown => {}
        }
        *verified = asked;
        Ok(())
    }

    /// Forgets a connection that another server has to take the place of, and in a cluster which
    /// node has which slot.
    async fn discard(&self, node: Option<&Address>, error: &RedisError) {
        if ErrorClass::from(error) != ErrorClass::LinkLost {
            return;
        }
        let mut connections = self.connections.lock().await;
        connections.slots = None;
        // A node without the slot has others, which are published to meanwhile.
        if node.is_none() || !is_elsewhere(error) {
            connections.open.remove(&node.cloned());
        }
    }
}

/// Whether a server has answered that another has to be asked, or the same one again.
fn is_elsewhere(error: &RedisError) -> bool {
    let is_answer = error.clone().into_server_errors().is_some();
    is_answer && ErrorClass::from(error) == ErrorClass::LinkLost
}
