//! A node loses its link to Redis for a moment, while it carries requests for another or has
//! another carry them for it: whatever was under way ends, on both sides, and clients come again.

use std::net::SocketAddr;

use womack_test_support::metrics::{self, Metrics};
use womack_test_support::proxy::Cable;
use womack_test_support::{Broker, Client, Polling, Redis, Server, eventually, within};

/// The nodes that lose their links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Owner,
    Ingress,
    Both,
}

const CUTS: [Cut; 3] = [Cut::Owner, Cut::Ingress, Cut::Both];

/// An owner and an ingress, each with a cable of its own to Redis.
struct Nodes {
    owner: Server,
    ingress: Server,
    cables: [Cable; 2],
    _redis: Redis,
}

impl Nodes {
    async fn start() -> Self {
        let redis = Redis::start().await;
        let (one, other) = tokio::join!(Cable::to(redis.address()), Cable::to(redis.address()));
        let (owner, ingress) = tokio::join!(Server::start(&one), Server::start(&other));
        Self {
            owner,
            ingress,
            cables: [one, other],
            _redis: redis,
        }
    }

    /// Cuts links until their nodes have noticed it, and no longer.
    async fn cut(&self, cut: Cut) {
        let [owner, ingress] = &self.cables;
        let mut both = vec![(owner, &self.owner), (ingress, &self.ingress)];
        match cut {
            Cut::Owner => drop(both.pop()),
            Cut::Ingress => drop(both.remove(0)),
            Cut::Both => {}
        }
        for (cable, _) in &both {
            cable.cut();
        }
        for (_, server) in &both {
            eventually("the node to notice that its link is cut", async || {
                Metrics::of(server.address())
                    .await
                    .sum("womack_relay_connected", "")
                    < 0.5
            })
            .await;
        }
        for (cable, server) in both {
            cable.mend();
            metrics::reaches(server.address(), "womack_relay_connected", "", 1.0).await;
        }
    }
}

/// A client whose session is at the owner, and whose WebSocket has come by way of the ingress.
async fn upgraded(nodes: &Nodes) -> Client {
    let polling = Polling::connect(nodes.owner.address()).await;
    let mut socket = Client::raw(nodes.ingress.address(), &polling.upgrade_path()).await;
    socket.send("2probe").await;
    assert_eq!(socket.packet().await, "3probe");
    socket.send("5").await;
    socket.subscribe("a").await;
    socket
}

async fn is_empty(server: SocketAddr, gauge: &str) {
    eventually("nothing to be left", async || {
        Metrics::of(server).await.sum(gauge, "") < 0.5
    })
    .await;
}

#[tokio::test]
async fn a_websocket_ends_on_both_sides_whichever_link_is_lost() {
    let nodes = Nodes::start().await;
    for cut in CUTS {
        let mut socket = upgraded(&nodes).await;
        nodes.cut(cut).await;
        within(&format!("the WebSocket to end: {cut:?}"), socket.end()).await;
        is_empty(nodes.ingress.address(), "womack_relay_tunnels").await;
        is_empty(nodes.owner.address(), "womack_connections").await;
    }
}

#[tokio::test]
async fn a_poll_is_answered_and_its_session_ends_whichever_link_is_lost() {
    let nodes = Nodes::start().await;
    for cut in CUTS {
        let client = Polling::connect(nodes.owner.address()).await;
        let client = client.by_way_of(nodes.ingress.address());
        let served = "womack_relay_served_total";
        let before = Metrics::of(nodes.owner.address()).await.sum(served, "");
        let (answer, ()) = tokio::join!(client.poll(), async {
            metrics::reaches(nodes.owner.address(), served, "", before + 1.0).await;
            nodes.cut(cut).await;
        });
        assert_eq!(answer.status, 410, "{cut:?}");
        is_empty(nodes.owner.address(), "womack_connections").await;
        // A request that is made before the ingress hears of the owner's new link ends with the
        // old.
        eventually("a client that comes again to be served", async || {
            let client = Polling::connect(nodes.owner.address()).await;
            let client = client.by_way_of(nodes.ingress.address());
            client.post("1").await.status == 200
        })
        .await;
        is_empty(nodes.owner.address(), "womack_connections").await;
    }
}
