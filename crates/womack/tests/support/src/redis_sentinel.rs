use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::tls::Certificates;
use crate::{Broker, Redis, eventually, free_address};

/// A master, a replica, and a sentinel that watches them as the service `main`.
pub struct Sentinel {
    /// Where it is asked for the master.
    address: SocketAddr,
    scheme: &'static str,
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
        let replica = replica_of(master.address(), &[]).await;
        let watched = master.address();
        let address = free_address();
        Self::watch((master, replica), watched, (address, address), &[]).await
    }

    /// The same, where nobody speaks to another but by TLS. The plain ports are for tests.
    pub async fn start_secure(made: &Certificates) -> Self {
        let settings = |address: SocketAddr| {
            let inside = ["--tls-replication", "yes"].map(str::to_owned);
            [&made.of_redis(address.port())[..], &inside].concat()
        };
        let [secure, other, own] = [(); 3].map(|()| free_address());
        let master = Redis::start_with(&settings(secure)).await;
        let replica = replica_of(secure, &settings(other)).await;
        let addresses = (free_address(), own);
        let settings = settings(own);
        let sentinel = Self::watch((master, replica), secure, addresses, &settings);
        Self {
            scheme: "rediss+sentinel",
            ..sentinel.await
        }
    }

    /// Starts a sentinel at two ports, a plain one and the one that is told, which watches the
    /// master at `watched`.
    async fn watch(
        (master, replica): (Redis, Redis),
        watched: SocketAddr,
        (plain, address): (SocketAddr, SocketAddr),
        settings: &[String],
    ) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let file = folder.path().join("sentinel.conf");
        let text = format!(
            "port {}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n",
            plain.port(),
            watched.port()
        );
        fs::write(&file, text).expect("a file in the folder");
        let child = Command::new("redis-server")
            .arg(&file)
            .arg("--sentinel")
            .args(settings)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("redis-server is installed (make deps)");
        let sentinel = Self {
            address,
            scheme: "redis+sentinel",
            master,
            replica,
            _folder: folder,
            _child: child,
        };
        eventually("the sentinel to know the replica", async || {
            let Ok(client) = redis::Client::open(format!("redis://{plain}")) else {
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
        format!("{}://{}/main", self.scheme, self.address)
    }
}

async fn replica_of(master: SocketAddr, settings: &[String]) -> Redis {
    let port = master.port().to_string();
    let replica = ["--replicaof", "127.0.0.1", &port].map(str::to_owned);
    Redis::start_with(&[settings, &replica].concat()).await
}
