//! Requests that reach another node than their session's.

use std::net::SocketAddr;

use womack_test_support::balancer::Balancer;
use womack_test_support::clients::{Drivers, FLAVOURS};
use womack_test_support::http::Method;
use womack_test_support::metrics::{self, Metrics};
use womack_test_support::{Client, Launch, Polling, Redis, Server, Signal, eventually, http};

const UNDER_WAY: &str = "womack_relay_under_way";
const CLOSED: &str = "womack_connections_closed_total";
const NODE_GONE: &str = r#"{"code":3,"message":"The node of this session is gone"}"#;
const UNKNOWN_SID: &str = r#"{"code":1,"message":"Session ID unknown"}"#;

/// Two nodes at one Redis.
async fn two(redis: &Redis) -> (Server, Server) {
    tokio::join!(Server::start(redis), Server::start(redis))
}

/// Waits until so many requests wait at `edge` for other nodes.
async fn under_way(edge: SocketAddr, count: f64) {
    eventually("requests to be under way", async || {
        (Metrics::of(edge).await.sum(UNDER_WAY, "") - count).abs() < 0.5
    })
    .await;
}

#[tokio::test]
async fn polls_and_posts_are_carried_to_the_node_of_their_session() {
    let redis = Redis::start().await;
    let (home, edge) = two(&redis).await;
    let modern = Polling::connect(home.address()).await;
    let older = Polling::connect_eio3(home.address()).await;
    for client in [modern, older] {
        let mut client = client.by_way_of(edge.address());
        client.subscribe("a").await;
        for message in ["1", "2"] {
            redis.publish("a", message).await;
            assert_eq!(client.message("a").await, message);
        }
    }
    let metrics = Metrics::of(edge.address()).await;
    assert!(metrics.sum("womack_relay_requests_total", r#"result="answered""#) >= 8.0);
    let metrics = Metrics::of(home.address()).await;
    assert!(metrics.sum("womack_relay_served_total", "") >= 8.0);
}

#[tokio::test]
async fn answers_come_as_the_node_of_the_session_gives_them() {
    let redis = Redis::start().await;
    let (home, edge) = two(&redis).await;
    let client = Polling::connect(home.address()).await;
    let path = client.path();
    let client = client.by_way_of(edge.address());
    assert_eq!(client.post("nonsense").await.status, 400);
    let answer = http::get(edge.address(), &path).await;
    assert_eq!((answer.status, answer.text().as_str()), (400, UNKNOWN_SID));
    let jsonp = "/socket.io/?EIO=3&transport=polling&j=7";
    let open = http::get(home.address(), jsonp).await.text();
    let sid = open.split(r#"\"sid\":\""#).nth(1).expect("a sid");
    let path = format!("{jsonp}&sid={}", &sid[..24]);
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let ping = http::request(edge.address(), Method::POST, &path, &headers, "d=1%3A2");
    assert_eq!(ping.await.text(), "ok");
    let answer = http::get(edge.address(), &path).await;
    assert_eq!(
        answer.header("content-type"),
        "text/javascript; charset=UTF-8"
    );
    assert_eq!(answer.text(), r#"___eio[7]("1:3");"#);
}

#[tokio::test]
async fn clients_of_0_9_reach_their_session_by_polling_and_by_websocket() {
    let redis = Redis::start().await;
    let (home, edge) = two(&redis).await;
    for transport in ["xhr-polling", "websocket"] {
        let line = http::get(home.address(), "/socket.io/1/").await.text();
        let sid = line.split(':').next().expect("a sid");
        let path = format!("/socket.io/1/{transport}/{sid}");
        if transport == "websocket" {
            let mut socket = Client::raw(edge.address(), &path).await;
            assert_eq!(socket.packet().await, "1::");
            let subscribe = r#"5:1+::{"name":"subscribe","args":[{"channel":"a"}]}"#;
            socket.send(subscribe).await;
            assert!(socket.packet().await.starts_with("6:::1+"));
            redis.publish("a", "1").await;
            let message = r#"5:::{"name":"a","args":[1]}"#;
            assert_eq!(socket.packet().await, message);
            socket.close().await;
        } else {
            assert_eq!(http::get(edge.address(), &path).await.text(), "1::");
            let goodbye = format!("{path}?disconnect=1");
            assert_eq!(http::get(edge.address(), &goodbye).await.status, 200);
        }
    }
    let reason = r#"reason="client_disconnect""#;
    metrics::reaches(home.address(), CLOSED, reason, 1.0).await;
    let unknown = Client::raw(
        edge.address(),
        "/socket.io/1/websocket/AAAAAAAAAAAAAAAAAAAAAAAA",
    );
    assert_eq!(unknown.await.packet().await, "7:::1+0");
}

#[tokio::test]
async fn an_upgrade_by_way_of_another_node_loses_nothing() {
    let redis = Redis::start().await;
    let (home, edge) = two(&redis).await;
    let mut polling = Polling::connect(home.address()).await;
    let path = polling.upgrade_path();
    polling.subscribe("a").await;
    let polling = polling.by_way_of(edge.address());
    let mut socket = Client::raw(edge.address(), &path).await;
    let (poll, ()) = tokio::join!(polling.poll(), async {
        socket.send("2probe").await;
        assert_eq!(socket.packet().await, "3probe");
    });
    assert_eq!(poll.text(), "6");
    redis.publish("a", "0").await;
    socket.send("5").await;
    assert_eq!(socket.message("a").await, "0");
    assert_eq!(polling.poll().await.status, 400);
    let large = "x".repeat(10_000);
    let envelopes: Vec<_> = (1..60).map(|n| format!(r#"[{n},"{large}"]"#)).collect();
    let (_, ()) = tokio::join!(redis.publish_all("a", envelopes.clone()), async {
        for envelope in &envelopes {
            assert!(socket.message("a").await == *envelope, "in order");
        }
    });
    socket
        .send(&format!("42{}", serde_json::json!(["b", large])))
        .await;
    socket.subscribe("b").await;
    socket.close().await;
    eventually("the home to know that the client has left", async || {
        let metrics = Metrics::of(home.address()).await;
        metrics.sum("womack_connections", "") < 0.5
    })
    .await;
    eventually("the tunnel to end", async || {
        let metrics = Metrics::of(edge.address()).await;
        metrics.sum("womack_relay_tunnels", "") < 0.5
    })
    .await;
}

#[tokio::test]
async fn a_client_that_reads_too_slowly_through_a_tunnel_is_closed() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--max-message-bytes", "100000");
    let home = launch
        .flag("--max-client-queue-bytes", "300000")
        .start()
        .await;
    let edge = Server::start(&redis).await;
    let polling = Polling::connect(home.address()).await;
    let mut socket = Client::raw(edge.address(), &polling.upgrade_path()).await;
    socket.send("2probe").await;
    assert_eq!(socket.packet().await, "3probe");
    socket.send("5").await;
    socket.subscribe("a").await;
    let reason = r#"reason="slow_consumer""#;
    let envelope = format!(r#""{}""#, "x".repeat(60_000));
    eventually("the client to be cut off", async || {
        redis.publish("a", &envelope).await;
        Metrics::of(home.address()).await.sum(CLOSED, reason) > 0.5
    })
    .await;
    socket.end().await;
}

#[tokio::test]
async fn every_library_is_served_by_nodes_that_take_turns() {
    let redis = Redis::start().await;
    let (one, other) = two(&redis).await;
    let nodes = [one.address(), other.address()];
    let turns = |text: String| text.replace("balance leastconn", "balance roundrobin");
    let balancer = Balancer::haproxy_with(nodes, turns).await;
    let drivers = Drivers::default();
    let mut clients = Vec::new();
    for flavour in FLAVOURS {
        let mut client = drivers.connect(*flavour, &balancer.url("/")).await;
        if flavour.upgrades() {
            assert_eq!(client.upgraded().await, "websocket", "{flavour:?}");
        }
        client.subscribe("a").await;
        clients.push(client);
    }
    for n in 0..5 {
        redis.publish("a", &format!(r#"{{"data":{n}}}"#)).await;
    }
    for client in &mut clients {
        for n in 0..5 {
            client
                .message("a")
                .await
                .is("a", &format!(r#"{{"data":{n}}}"#));
        }
    }
    for server in [&one, &other] {
        let metrics = Metrics::of(server.address()).await;
        assert!(metrics.sum("womack_relay_served_total", "") > 0.5);
        assert!(metrics.sum("womack_requests_refused_total", "unknown_sid") < 0.5);
    }
}

#[tokio::test]
async fn requests_for_a_session_of_a_node_that_is_gone_say_so() {
    let redis = Redis::start().await;
    let (mut home, edge) = two(&redis).await;
    let client = Polling::connect(home.address())
        .await
        .by_way_of(edge.address());
    let (answer, ()) = tokio::join!(client.poll(), async {
        under_way(edge.address(), 1.0).await;
        home.signal(Signal::Kill).await;
        home.exit().await;
        // Whoever asks next finds out at once, for all.
        let answer = client.post("3").await;
        assert_eq!((answer.status, answer.text().as_str()), (400, NODE_GONE));
    });
    assert_eq!((answer.status, answer.text().as_str()), (400, NODE_GONE));
}

#[tokio::test]
async fn a_node_that_is_silent_is_given_up() {
    let redis = Redis::start().await;
    let home = Server::start(&redis).await;
    let launch = Launch::new(&redis).flag("--relay-timeout-seconds", "0.5");
    let edge = launch.start().await;
    let client = Polling::connect(home.address())
        .await
        .by_way_of(edge.address());
    let (poll, ()) = tokio::join!(client.poll(), async {
        under_way(edge.address(), 1.0).await;
        home.signal(Signal::Halt).await;
    });
    assert_eq!((poll.status, poll.text().as_str()), (400, NODE_GONE));
    assert_eq!(client.post("3").await.status, 400);
    metrics::limit(edge.address(), "relay_timeout_seconds", 2.0).await;
    home.signal(Signal::GoOn).await;
}

#[tokio::test]
async fn a_session_learns_that_the_client_of_a_carried_poll_went_away() {
    let redis = Redis::start().await;
    let (home, edge) = two(&redis).await;
    let client = Polling::connect(home.address())
        .await
        .by_way_of(edge.address());
    {
        let poll = client.poll();
        tokio::select! {
            answer = poll => panic!("nothing to say yet: {answer:?}"),
            () = under_way(edge.address(), 1.0) => {}
        }
    }
    let reason = r#"reason="poll_aborted""#;
    metrics::reaches(home.address(), CLOSED, reason, 1.0).await;
    under_way(edge.address(), 0.0).await;
}

#[tokio::test]
async fn requests_over_the_limit_of_their_node_get_503() {
    let redis = Redis::start().await;
    let home = Server::start(&redis).await;
    let launch = Launch::new(&redis).flag("--max-relayed-requests", "1");
    let edge = launch.start().await;
    let client = Polling::connect(home.address())
        .await
        .by_way_of(edge.address());
    let (poll, ()) = tokio::join!(client.poll(), async {
        under_way(edge.address(), 1.0).await;
        let answer = client.post("3").await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
        metrics::limit(edge.address(), "max_relayed_requests", 1.0).await;
        home.signal(Signal::Terminate).await;
    });
    assert_eq!(poll.status, 410);
}

#[tokio::test]
async fn requests_over_the_limit_of_the_sessions_node_get_503() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--max-relayed-requests", "1");
    let home = launch.start().await;
    let edge = Server::start(&redis).await;
    let first = Polling::connect(home.address()).await;
    let second = Polling::connect(home.address()).await;
    let first = first.by_way_of(edge.address());
    let second = second.by_way_of(edge.address());
    let (poll, ()) = tokio::join!(first.poll(), async {
        metrics::reaches(home.address(), "womack_relay_served_total", "", 1.0).await;
        let answer = second.post("3").await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
        metrics::limit(home.address(), "max_relayed_requests", 1.0).await;
        home.signal(Signal::Terminate).await;
    });
    assert_eq!(poll.status, 410);
}

#[tokio::test]
async fn requests_over_max_relay_bytes_get_503() {
    let redis = Redis::start().await;
    let home = Server::start(&redis).await;
    let launch = Launch::new(&redis).flag("--max-relay-bytes", "1");
    let edge = launch.start().await;
    let mut client = Polling::connect(home.address())
        .await
        .by_way_of(edge.address());
    client.subscribe("a").await;
    // What is published waits, and everything else does not.
    redis.command(&["CLIENT", "PAUSE", "60000", "WRITE"]).await;
    let (one, two, three, ()) = tokio::join!(
        client.post("3"),
        client.post("3"),
        client.post("3"),
        async {
            metrics::limit(edge.address(), "max_relay_bytes", 1.0).await;
            redis.command(&["CLIENT", "UNPAUSE"]).await;
        }
    );
    // The first is published before anything waits, and behind one that waits there is no room.
    let mut statuses = [&one, &two, &three].map(|answer| answer.status);
    statuses.sort_unstable();
    assert_eq!((statuses[0], statuses[2]), (200, 503), "{statuses:?}");
    client.subscribe("b").await;
}

#[tokio::test]
async fn requests_are_carried_again_once_redis_is_back() {
    let mut redis = Redis::start().await;
    let (home, edge) = two(&redis).await;
    let client = Polling::connect(home.address())
        .await
        .by_way_of(edge.address());
    let (poll, ()) = tokio::join!(client.poll(), async {
        under_way(edge.address(), 1.0).await;
        redis.stop().await;
    });
    assert_eq!(poll.status, 410);
    redis.resume().await;
    tokio::join!(home.ready(), edge.ready());
    let mut client = Polling::connect(home.address())
        .await
        .by_way_of(edge.address());
    client.subscribe("a").await;
}

#[tokio::test]
async fn without_the_relay_other_nodes_have_no_sessions() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).arg("--no-relay");
    let (home, edge) = tokio::join!(launch.clone().start(), launch.start());
    let client = Polling::connect(home.address())
        .await
        .by_way_of(edge.address());
    let answer = client.poll().await;
    assert_eq!((answer.status, answer.text().as_str()), (400, UNKNOWN_SID));
}

#[tokio::test]
async fn clients_cannot_subscribe_to_the_relay() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--relay-key", "womack:ns:default:nodes");
    let refusal = launch.refused().await;
    assert_eq!(refusal.code, Some(2), "{refusal:?}");
    assert!(refusal.stderr[0].contains("relay-key"), "{refusal:?}");
}
