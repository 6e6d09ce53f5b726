use std::net::SocketAddr;

use redis::Value;

use crate::faulty_link::FaultyLink;
use crate::tls::Certificates;
use crate::{Broker, Redis, eventually, free_address};

/// How many slots every cluster has.
const SLOTS: usize = 16_384;

/// A cluster of three masters without replicas.
pub struct Cluster {
    /// The nodes, each with a third of the slots, in order.
    pub nodes: Vec<Redis>,
    /// Where the nodes speak TLS, if they do.
    secure: Vec<SocketAddr>,
}

impl Cluster {
    /// Starts it, and waits until all nodes agree.
    pub async fn start() -> Self {
        Self::start_as(None, false).await.0
    }

    /// The same behind a link for each node, whose ports the nodes announce. Those of the nodes
    /// themselves are for tests.
    pub async fn start_behind_links() -> (Self, Vec<FaultyLink>) {
        Self::start_as(None, true).await
    }

    /// The same, where nodes speak TLS to one another and to clients. The plain ports are for
    /// tests.
    pub async fn start_secure(made: &Certificates) -> Self {
        Self::start_as(Some(made), false).await.0
    }

    async fn start_as(made: Option<&Certificates>, linked: bool) -> (Self, Vec<FaultyLink>) {
        let (mut nodes, mut secure) = (Vec::new(), Vec::new());
        let (mut buses, mut links) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let bus = free_address().port().to_string();
            let mut settings = [
                "--cluster-enabled",
                "yes",
                "--cluster-node-timeout",
                "2000",
                "--cluster-require-full-coverage",
                "no",
                "--cluster-port",
                &bus,
            ]
            .map(str::to_owned)
            .to_vec();
            if let Some(made) = made {
                let address = free_address();
                settings.extend(made.of_redis(address.port()));
                settings.extend(["--tls-cluster", "yes"].map(str::to_owned));
                secure.push(address);
            }
            let address = free_address();
            if linked {
                let link = FaultyLink::to(address).await;
                let port = link.address().port().to_string();
                settings.extend(["--cluster-announce-ip", "127.0.0.1"].map(str::to_owned));
                settings.extend(["--cluster-announce-port", &port].map(str::to_owned));
                settings.extend(["--cluster-announce-bus-port", &bus].map(str::to_owned));
                links.push(link);
            }
            nodes.push(Redis::start_at(address, &settings).await);
            buses.push(bus);
        }
        let cluster = Self { nodes, secure };
        for (at, node) in cluster.nodes.iter().enumerate() {
            let (first, last) = (at * SLOTS / 3, (at + 1) * SLOTS / 3 - 1);
            let (first, last) = (first.to_string(), last.to_string());
            node.command(&["CLUSTER", "ADDSLOTSRANGE", &first, &last])
                .await;
            let port = node.address().port().to_string();
            let meet = ["CLUSTER", "MEET", "127.0.0.1", &port, &buses[at]];
            cluster.nodes[0].command(&meet).await;
        }
        cluster.agrees().await;
        (cluster, links)
    }

    /// Waits until all nodes know all slots.
    pub async fn agrees(&self) {
        for node in &self.nodes {
            eventually("the cluster to agree", async || {
                let info = text(node.command(&["CLUSTER", "INFO"]).await);
                let lines = [
                    "cluster_state:ok",
                    "cluster_slots_ok:16384",
                    "cluster_known_nodes:3",
                ];
                lines.iter().all(|line| info.contains(line))
            })
            .await;
        }
    }

    /// The node that has the slot of a channel of the default key, and that slot.
    pub async fn owner(&self, channel: &str) -> (usize, usize) {
        let key = format!("womack:ns:default:{channel}");
        self.owner_of_key(&key).await
    }

    /// A channel name, beginning with `name`, whose slot `node` has.
    pub async fn channel_at(&self, node: usize, name: &str) -> String {
        for number in 0.. {
            let channel = format!("{name}-{number}");
            if self.owner(&channel).await.0 == node {
                return channel;
            }
        }
        unreachable!("one in three names is a node's")
    }

    /// Moves a slot without keys from one node to another.
    pub async fn move_slot(&self, slot: usize, from: usize, to: usize) {
        let id = text(self.nodes[to].command(&["CLUSTER", "MYID"]).await);
        let slot = slot.to_string();
        for node in [to, from] {
            let set = ["CLUSTER", "SETSLOT", &slot, "NODE", &id];
            self.nodes[node].command(&set).await;
        }
    }

    /// Moves a slot with its keys from one node to another, as a resharding does.
    pub async fn migrate_slot(&self, slot: usize, from: usize, to: usize) {
        let id = async |at: usize| text(self.nodes[at].command(&["CLUSTER", "MYID"]).await);
        let (source, target) = (id(from).await, id(to).await);
        let slot_text = slot.to_string();
        let importing = ["CLUSTER", "SETSLOT", &slot_text, "IMPORTING", &source];
        self.nodes[to].command(&importing).await;
        let migrating = ["CLUSTER", "SETSLOT", &slot_text, "MIGRATING", &target];
        self.nodes[from].command(&migrating).await;
        let port = self.nodes[to].address().port().to_string();
        loop {
            let keys = ["CLUSTER", "GETKEYSINSLOT", &slot_text, "100"];
            let Value::Array(keys) = self.nodes[from].command(&keys).await else {
                panic!("a list of keys");
            };
            if keys.is_empty() {
                break;
            }
            for key in keys.into_iter().map(text) {
                let migrate = ["MIGRATE", "127.0.0.1", &port, &key, "0", "5000"];
                self.nodes[from].command(&migrate).await;
            }
        }
        self.move_slot(slot, from, to).await;
    }

    /// The node that has the slot of a Redis key, and that slot.
    pub async fn owner_of_key(&self, key: &str) -> (usize, usize) {
        let slot = self.nodes[0].command(&["CLUSTER", "KEYSLOT", key]).await;
        let Value::Int(slot) = slot else {
            panic!("a slot, not {slot:?}");
        };
        let slot = usize::try_from(slot).expect("slots are not negative");
        // The last slot of each node rounds up.
        let owner = (0..3).find(|at| slot < (at + 1) * SLOTS / 3);
        (owner.expect("a slot below the last"), slot)
    }

    /// Publishes on a channel of the default key for its shard alone, by the node `at`, which must
    /// have its slot; returns how many subscribers it had.
    pub async fn spublish(&self, at: usize, channel: &str, envelope: &str) -> i64 {
        let name = format!("womack:ns:default:{channel}");
        match self.nodes[at].command(&["SPUBLISH", &name, envelope]).await {
            Value::Int(count) => count,
            other => panic!("a count, not {other:?}"),
        }
    }
}

impl Broker for Cluster {
    fn address(&self) -> SocketAddr {
        self.nodes[0].address()
    }

    fn url(&self) -> String {
        let plain = self.nodes.iter().map(|node| node.address().to_string());
        let (scheme, nodes): (_, Vec<_>) = match self.secure.is_empty() {
            true => ("redis+cluster", plain.collect()),
            false => {
                let secure = self.secure.iter().map(SocketAddr::to_string);
                ("rediss+cluster", secure.collect())
            }
        };
        format!("{scheme}://{}", nodes.join(","))
    }
}

fn text(value: Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Value::VerbatimString { text, .. } | Value::SimpleString(text) => text,
        other => panic!("text, not {other:?}"),
    }
}
