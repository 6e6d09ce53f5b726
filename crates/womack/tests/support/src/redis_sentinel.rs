use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{Broker, Redis, eventually, free_address};

/// A master, a replica, and a sentinel that watches them as the service `main`.
pub struct Sentinel {
    address: SocketAddr,
    /// The master of the beginning.
    pub master: Redis,
    /// Its replica.
    pub replica: Redis,
    _folder: TempDir,
    _child: Child,
}

impl Sentinel {
    /// Starts all three, and waits until the sentinel knows the replica.
    pub async fn start() -> Self {
        let master = Redis::start().await;
        let port = master.address().port().to_string();
        let replica = Redis::start_with(&["--replicaof", "127.0.0.1", &port]).await;
        let (address, folder) = (free_address(), TempDir::new().expect("a temporary folder"));
        let file = folder.path().join("sentinel.conf");
        let settings = format!(
            "port {}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {port} 1\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n",
            address.port()
        );
        fs::write(&file, settings).expect("a file in the folder");
        let child = Command::new("redis-server")
            .arg(&file)
            .arg("--sentinel")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("redis-server is installed (make deps)");
        let sentinel = Self {
            address,
            master,
            replica,
            _folder: folder,
            _child: child,
        };
        eventually("the sentinel to know the replica", async || {
            let Ok(client) = redis::Client::open(format!("redis://{address}")) else {
                return false;
            };
            let Ok(mut connection) = client.get_multiplexed_async_connection().await else {
                return false;
            };
            let mut ask = redis::cmd("SENTINEL");
            ask.arg("replicas").arg("main");
            let known: redis::RedisResult<Vec<redis::Value>> =
                ask.query_async(&mut connection).await;
            known.is_ok_and(|replicas| replicas.len() == 1)
        })
        .await;
        sentinel
    }
}

impl Broker for Sentinel {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn url(&self) -> String {
        format!("redis+sentinel://{}/main", self.address)
    }
}
