//! The reporter's link to Redis: server events, and the records that nodes keep of their clients.

use std::time::Duration;

use redis::{FromRedisValue, Pipeline, RedisError, RedisResult, Value, cmd};
use womack_redis::{Backend, Connected, ErrorClass, Guard, guard};

use super::{
    commands::{Commands, Sent},
    keys::{Keys, LOCK, millis},
};

/// Entries of a record that are read at one go.
const ENTRIES_PER_PAGE: usize = 512;

/// A link that stands.
pub(super) struct Ledger {
    connected: Connected,
    pub(super) keys: Keys,
    /// Resolves when the server is not the one any more that has the records.
    pub(super) guard: Guard,
}

/// A part of a record.
pub(super) struct Page {
    /// Where the next begins; 0 if this is the last.
    pub(super) cursor: u64,
    pub(super) entries: Vec<(String, String)>,
}

impl Ledger {
    pub(super) async fn connect(backend: &Backend, keys: Keys) -> RedisResult<Self> {
        let connected = backend.writer(&keys.nodes()).await?;
        Ok(Self {
            guard: guard(backend, "server events", &connected).await?,
            connected,
            keys,
        })
    }

    /// Sends commands. An error means that nobody knows which of them were done.
    pub(super) async fn send(&mut self, commands: &Commands<'_>) -> RedisResult<Sent> {
        let replies = self.query::<Value>(&commands.pipeline).await?;
        Ok(commands.read(replies))
    }

    async fn query<T: FromRedisValue>(
        &mut self,
        pipeline: &Pipeline,
    ) -> RedisResult<Vec<RedisResult<T>>> {
        if pipeline.is_empty() {
            return Ok(Vec::new());
        }
        let connection = &mut self.connected.connection;
        let replies: Vec<RedisResult<T>> = pipeline.query_async(connection).await?;
        let errors = replies.iter().filter_map(|reply| reply.as_ref().err());
        // One that is not done for want of the right server is done over the next link.
        match errors.into_iter().find(|error| is_link_lost(error)) {
            Some(error) => Err(error.clone()),
            None => Ok(replies),
        }
    }

    /// Gives a sign of life. False if there has been none for too long: others may have taken the
    /// record for that of a dead node.
    pub(super) async fn beat(&mut self, timeout: Duration) -> RedisResult<bool> {
        let alive = self.keys.alive(&self.keys.node);
        let mut beat = cmd("PEXPIRE");
        beat.arg(alive).arg(millis(timeout));
        beat.query_async(&mut self.connected.connection).await
    }

    /// Begins this node's record, or goes on with it. False while another node ends it.
    pub(super) async fn enlist(&mut self, timeout: Duration) -> RedisResult<bool> {
        let node = self.keys.node.clone();
        if !self.lock(&node).await? {
            return Ok(false);
        }
        let mut pipeline = Pipeline::new();
        let alive = self.keys.alive(&node);
        pipeline
            .cmd("SET")
            .arg(alive)
            .arg(1)
            .arg("PX")
            .arg(millis(timeout))
            .cmd("SADD")
            .arg(self.keys.nodes())
            .arg(&node)
            .cmd("DEL")
            .arg(self.keys.lock(&node));
        pipeline.exec_async(&mut self.connected.connection).await?;
        Ok(true)
    }

    /// The nodes that have a record.
    pub(super) async fn nodes(&mut self) -> RedisResult<Vec<String>> {
        let mut nodes = cmd("SMEMBERS");
        nodes.arg(self.keys.nodes());
        nodes.query_async(&mut self.connected.connection).await
    }

    /// The nodes that have a record and give no sign of life.
    pub(super) async fn dead_nodes(&mut self) -> RedisResult<Vec<String>> {
        let mut nodes = self.nodes().await?;
        nodes.retain(|node| *node != self.keys.node);
        let mut pipeline = Pipeline::new();
        pipeline.ignore_errors();
        for node in &nodes {
            pipeline.cmd("EXISTS").arg(self.keys.alive(node));
        }
        let mut alive = self.query::<bool>(&pipeline).await?.into_iter();
        nodes.retain(|_| matches!(alive.next(), Some(Ok(false))));
        Ok(nodes)
    }

    /// Takes the record of a dead node over. False if another node does, or if it is alive again.
    pub(super) async fn claim(&mut self, node: &str) -> RedisResult<bool> {
        if !self.lock(node).await? {
            return Ok(false);
        }
        let mut exists = cmd("EXISTS");
        exists.arg(self.keys.alive(node));
        let alive: bool = exists.query_async(&mut self.connected.connection).await?;
        if alive {
            self.unlock(node).await?;
        }
        Ok(!alive)
    }

    /// Takes the lock of a node's record, or goes on with one that this node has taken over a link
    /// that is lost: until it expired, the record of a node that had just started would be one that
    /// no other node knows of.
    async fn lock(&mut self, node: &str) -> RedisResult<bool> {
        let mut lock = cmd("SET");
        lock.arg(self.keys.lock(node)).arg(&self.keys.node);
        lock.arg("NX").arg("PX").arg(millis(LOCK));
        let answer: Value = lock.query_async(&mut self.connected.connection).await?;
        if answer != Value::Nil {
            return Ok(true);
        }
        let mut owner = cmd("GET");
        owner.arg(self.keys.lock(node));
        let owner: Option<String> = owner.query_async(&mut self.connected.connection).await?;
        Ok(owner.is_some_and(|owner| owner == self.keys.node))
    }

    async fn unlock(&mut self, node: &str) -> RedisResult<()> {
        let mut unlock = cmd("DEL");
        unlock.arg(self.keys.lock(node));
        unlock.query_async(&mut self.connected.connection).await
    }

    /// Reads a part of a node's record.
    pub(super) async fn page(&mut self, node: &str, cursor: u64) -> RedisResult<Page> {
        let mut scan = cmd("HSCAN");
        scan.arg(self.keys.sessions(node)).arg(cursor);
        scan.arg("COUNT").arg(ENTRIES_PER_PAGE);
        let (cursor, entries) = scan.query_async(&mut self.connected.connection).await?;
        Ok(Page { cursor, entries })
    }

    /// Ends the record of a node that is no more.
    pub(super) async fn end(&mut self, node: &str) -> RedisResult<()> {
        let mut pipeline = Pipeline::new();
        pipeline
            .cmd("SREM")
            .arg(self.keys.nodes())
            .arg(node)
            .cmd("DEL")
            .arg(self.keys.alive(node))
            .arg(self.keys.sessions(node))
            .arg(self.keys.lock(node));
        pipeline.exec_async(&mut self.connected.connection).await
    }

    /// How many clients each of `nodes` has in a channel, and what is known of up to `most` of
    /// them, at random.
    pub(super) async fn members(
        &mut self,
        nodes: &[String],
        namespace: &str,
        channel: &str,
        most: usize,
    ) -> RedisResult<(u64, Vec<String>)> {
        let mut pipeline = Pipeline::new();
        for node in nodes {
            let members = self.keys.members(node, namespace, channel);
            pipeline.cmd("HLEN").arg(&members);
            pipeline.cmd("HRANDFIELD").arg(members);
            pipeline.arg(most).arg("WITHVALUES");
        }
        let mut replies = self
            .query::<Value>(pipeline.ignore_errors())
            .await?
            .into_iter();
        let (mut count, mut metas) = (0, Vec::new());
        while let (Some(here), Some(members)) = (replies.next(), replies.next()) {
            count += redis::from_redis_value::<u64>(here?)?;
            let members: Vec<(String, String)> = redis::from_redis_value(members?)?;
            let room = most - metas.len();
            metas.extend(members.into_iter().map(|(_, meta)| meta).take(room));
        }
        Ok((count, metas))
    }
}

/// Whether another server has to be asked, or the same one again.
fn is_link_lost(error: &RedisError) -> bool {
    ErrorClass::from(error) == ErrorClass::LinkLost
}

/// Whether the right server refuses.
pub(super) fn is_refusal(error: &RedisError) -> bool {
    !is_link_lost(error)
}

/// Whether the server behind this error has no keys: the embedded broker.
pub(super) fn has_no_keys(error: &RedisError) -> bool {
    ErrorClass::from(error) == ErrorClass::NoSuchCommand
}
