use std::net::SocketAddr;
use std::process::Stdio;

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, AsyncConnectionConfig, Client as RedisClient};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{PATIENCE, eventually, free_address, within};

/// The key prefix of a server that was told no other.
const DEFAULT_KEY: &str = "womack:ns:default";

/// Anything that speaks the Redis protocol and passes messages on.
pub trait Broker {
    /// Where it listens.
    fn address(&self) -> SocketAddr;

    /// What `--redis-url` wants to hear.
    fn url(&self) -> String {
        format!("redis://{}", self.address())
    }
}

impl Broker for SocketAddr {
    fn address(&self) -> SocketAddr {
        *self
    }
}

/// A real `redis-server` on a port of its own, which keeps nothing. Killed when dropped.
pub struct Redis {
    address: SocketAddr,
    folder: TempDir,
    settings: Vec<String>,
    child: Option<Child>,
    connection: Option<MultiplexedConnection>,
}

impl Redis {
    /// Starts one and waits until it answers.
    pub async fn start() -> Self {
        Self::start_with(&[""; 0]).await
    }

    /// Starts one with further settings, as in `["--maxmemory", "1mb"]`.
    pub async fn start_with(settings: &[impl AsRef<str>]) -> Self {
        Self::start_at(free_address(), settings).await
    }

    /// The same at an address where nothing listens.
    pub(crate) async fn start_at(address: SocketAddr, settings: &[impl AsRef<str>]) -> Self {
        let mut redis = Self {
            address,
            folder: TempDir::new().expect("a temporary folder"),
            settings: settings
                .iter()
                .map(|word| word.as_ref().to_owned())
                .collect(),
            child: None,
            connection: None,
        };
        redis.resume().await;
        redis
    }

    /// Kills the server; its port stays reserved by nobody.
    pub async fn stop(&mut self) {
        self.connection = None;
        let mut child = self.child.take().expect("a running redis-server");
        child.kill().await.expect("redis-server can be killed");
    }

    /// Halts the server: it keeps its connections and answers nothing until it is stopped.
    pub async fn halt(&self) {
        self.signal("-STOP").await;
    }

    /// Ends a halt.
    pub async fn go_on(&self) {
        self.signal("-CONT").await;
    }

    async fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().and_then(Child::id);
        let pid = pid.expect("a running redis-server").to_string();
        let status = Command::new("kill").args([signal, &pid]).status().await;
        assert!(status.expect("kill runs").success(), "kill {signal} {pid}");
    }

    /// Starts the server again where it was.
    pub async fn resume(&mut self) {
        assert!(self.child.is_none(), "redis-server already runs");
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--port", &self.address.port().to_string()])
            .arg("--dir")
            .arg(self.folder.path())
            .args(&self.settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("redis-server is installed (make deps)");
        self.child = Some(child);
        eventually("redis-server to answer", async || {
            match connect(self.address).await {
                Ok(mut connection) => connection.ping::<String>().await.is_ok(),
                Err(_) => false,
            }
        })
        .await;
        self.reconnect().await;
    }

    /// Makes the test's own connection anew, if the server has cut it.
    pub async fn reconnect(&mut self) {
        self.connection = connect(self.address).await.ok();
    }

    /// Waits until a replica has become a master.
    pub async fn becomes_master(&mut self) {
        let master = redis::Value::BulkString(b"master".to_vec());
        eventually("a replica to become a master", async || {
            // Whoever becomes one cuts its clients.
            let Ok(mut connection) = connect(self.address).await else {
                return false;
            };
            let role = redis::cmd("ROLE").query_async(&mut connection).await;
            let role: Vec<redis::Value> = role.unwrap_or_default();
            role.first() == Some(&master)
        })
        .await;
        self.reconnect().await;
    }

    /// Publishes on a channel of the default key; returns how many servers wanted it.
    pub async fn publish(&self, channel: &str, envelope: &str) -> usize {
        let channel = format!("{DEFAULT_KEY}:{channel}");
        self.publish_bytes(channel.as_bytes(), envelope.as_bytes())
            .await
    }

    /// Publishes any bytes on any Redis channel; returns how many servers wanted it.
    pub async fn publish_bytes(&self, channel: &[u8], payload: &[u8]) -> usize {
        let mut connection = self.connection();
        within("PUBLISH", connection.publish(channel, payload))
            .await
            .expect("Redis takes a message")
    }

    /// Publishes many messages on one channel of the default key, as quickly as Redis takes them.
    pub async fn publish_all(&self, channel: &str, envelopes: impl IntoIterator<Item = String>) {
        let channel = format!("{DEFAULT_KEY}:{channel}");
        let mut pipeline = redis::pipe();
        for envelope in envelopes {
            pipeline.publish(&channel, envelope).ignore();
        }
        let mut connection = self.connection();
        within(
            "many PUBLISHes",
            pipeline.query_async::<()>(&mut connection),
        )
        .await
        .expect("Redis takes many messages");
    }

    /// How many connections subscribed to a channel of the default key.
    pub async fn subscribers(&self, channel: &str) -> usize {
        let channel = format!("{DEFAULT_KEY}:{channel}");
        let mut connection = self.connection();
        let (_, count): (String, usize) = redis::cmd("PUBSUB")
            .arg("NUMSUB")
            .arg(&channel)
            .query_async(&mut connection)
            .await
            .expect("Redis counts subscribers");
        count
    }

    /// Runs any command.
    pub async fn command(&self, words: &[&str]) -> redis::Value {
        let mut connection = self.connection();
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        within("a Redis command", command.query_async(&mut connection))
            .await
            .expect("Redis obeys")
    }

    fn connection(&self) -> MultiplexedConnection {
        self.connection.clone().expect("a running redis-server")
    }
}

impl Broker for Redis {
    fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn connect(address: SocketAddr) -> redis::RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(PATIENCE))
        .set_response_timeout(Some(PATIENCE));
    RedisClient::open(address.url())?
        .get_multiplexed_async_connection_with_config(&config)
        .await
}
