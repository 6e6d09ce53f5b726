//! What the back end hears of clients: subscriptions, their end, and what clients send to it.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use womack_test_support::clients::Drivers;
use womack_test_support::events::{KEY, ServerEvents, keys};
use womack_test_support::proxy::Cable;
use womack_test_support::{
    Broker, Client, Launch, Redis, Server, Signal, eventually, free_address, metrics,
};

fn launch(broker: &impl Broker) -> Launch {
    Launch::new(broker)
        .flag("--events-key", KEY)
        .flag("--node-timeout-seconds", "1")
}

async fn set_meta(client: &mut Client, meta: &Value) {
    assert_eq!(client.call("meta", meta).await, json!({ "ok": true }));
}

/// Waits until no node has left anything at Redis.
async fn nothing_is_left(redis: &Redis) {
    eventually("all records to end", async || keys(redis).await.is_empty()).await;
}

#[tokio::test]
async fn subscriptions_are_published_and_so_is_their_end() {
    let redis = Redis::start().await;
    let server = launch(&redis).start().await;
    let mut events = ServerEvents::of(&redis).await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    let event = events.expect("subscribe", "a").await;
    let node = event["node"].as_str().expect("a node").to_owned();
    let expected = json!({
        "channel": "a", "session_id": client.id(), "meta": null, "namespace": "/", "node": node,
    });
    assert_eq!(event, expected);
    // Once more is no other subscription.
    client.subscribe("a").await;
    set_meta(&mut client, &json!({ "user_id": 42 })).await;
    client.unsubscribe("a").await;
    let event = events.expect("unsubscribe", "a").await;
    assert_eq!(event["meta"], json!({ "user_id": 42 }));
    assert_eq!(event["session_id"], client.id());
    client.unsubscribe("a").await;
    client.subscribe("b").await;
    assert_eq!(events.expect("subscribe", "b").await["node"], node);
}

#[tokio::test]
async fn every_library_is_reported_with_its_meta_until_it_goes() {
    let redis = Redis::start().await;
    // A library that polls may go without a word; its silence is then noticed.
    let launch = launch(&redis)
        .flag("--ping-interval", "2")
        .flag("--ping-timeout", "5");
    let server = launch.start().await;
    let mut events = ServerEvents::of(&redis).await;
    let drivers = Drivers::default();
    for client in &mut drivers.everyone(&server.url("/")).await {
        let meta = json!({ "user_id": "ünn", "tabs": [1, { "a": null }] });
        assert_eq!(
            client.call("meta", meta.clone()).await,
            json!({ "ok": true })
        );
        client.subscribe("a b:c").await;
        let event = events.expect("subscribe", "a b:c").await;
        assert_eq!(event["meta"], meta, "{:?}", client.flavour());
        assert_eq!(event["session_id"], client.id(), "{:?}", client.flavour());
        client.disconnect().await;
        let event = events.expect("unsubscribe", "a b:c").await;
        assert_eq!(event["meta"], meta, "{:?}", client.flavour());
        assert_eq!(event["session_id"], client.id(), "{:?}", client.flavour());
    }
}

#[tokio::test]
async fn a_connection_that_ends_leaves_each_channel() {
    let redis = Redis::start().await;
    let server = launch(&redis).start().await;
    let mut events = ServerEvents::of(&redis).await;
    let mut client = Client::connect(server.address()).await;
    let channels = json!({ "channels": ["a", "b", "c"] });
    assert_eq!(client.call("subscribe", &channels).await["ok"], true);
    events.sorted(3).await;
    drop(client);
    let gone = ["a", "b", "c"].map(|channel| ("unsubscribe".to_owned(), channel.to_owned()));
    assert_eq!(events.sorted(3).await, gone);
}

#[tokio::test]
async fn events_name_their_namespace_and_its_meta() {
    let redis = Redis::start().await;
    let launch = launch(&redis).arg("--namespace=/tenant=some:key");
    let server = launch.start().await;
    let mut events = ServerEvents::of(&redis).await;
    let mut client = Client::connect(server.address()).await;
    set_meta(&mut client, &json!("root")).await;
    client.subscribe("a").await;
    let event = events.expect("subscribe", "a").await;
    assert_eq!(
        (&event["namespace"], &event["meta"]),
        (&json!("/"), &json!("root"))
    );
    client.join("/tenant").await;
    client.subscribe("a").await;
    let event = events.expect("subscribe", "a").await;
    assert_eq!(
        (&event["namespace"], &event["meta"]),
        (&json!("/tenant"), &json!(null))
    );
    assert_eq!(event["session_id"], client.id());
    // Leaving a namespace leaves its channels, and forgets.
    set_meta(&mut client, &json!("tenant")).await;
    client.send("41/tenant,").await;
    let event = events.expect("unsubscribe", "a").await;
    assert_eq!(
        (&event["namespace"], &event["meta"]),
        (&json!("/tenant"), &json!("tenant"))
    );
    client.join("/tenant").await;
    client.subscribe("b").await;
    assert_eq!(events.expect("subscribe", "b").await["meta"], json!(null));
}

#[tokio::test]
async fn events_of_one_client_are_in_order() {
    let redis = Redis::start().await;
    let server = launch(&redis).arg("--client-events").start().await;
    let mut events = ServerEvents::of(&redis).await;
    let mut client = Client::connect(server.address()).await;
    for n in 0..300 {
        client.emit("event", &json!(n)).await;
        // A client that left before its subscription was confirmed would not be announced.
        client.subscribe("a").await;
        client.emit("unsubscribe", &json!("a")).await;
    }
    for n in 0..300 {
        let custom = events.next().await;
        assert_eq!(
            (custom.kind.as_str(), &custom.data["data"]),
            ("custom", &json!(n))
        );
        events.expect("subscribe", "a").await;
        events.expect("unsubscribe", "a").await;
    }
    let counter = "womack_server_events_total";
    metrics::reaches(server.address(), counter, r#"event="custom""#, 300.0).await;
    metrics::reaches(server.address(), counter, r#"event="subscribe""#, 300.0).await;
    metrics::reaches(server.address(), counter, r#"event="unsubscribe""#, 300.0).await;
}

#[tokio::test]
async fn what_clients_send_is_handed_to_the_back_end_as_it_is() {
    let redis = Redis::start().await;
    let server = launch(&redis).arg("--client-events").start().await;
    let mut events = ServerEvents::of(&redis).await;
    let drivers = Drivers::default();
    for client in &mut drivers.everyone(&server.url("/")).await {
        client.emit("meta", json!({ "user_id": 7 })).await;
        let answer = client.call("event", json!({ "clicked": ["ö", 1.5] })).await;
        assert_eq!(answer, json!({ "ok": true }), "{:?}", client.flavour());
        let event = events.next().await;
        assert_eq!(event.kind, "custom");
        let expected = json!({
            "channel": null, "session_id": client.id(), "meta": { "user_id": 7 },
            "namespace": "/", "node": event.data["node"], "data": { "clicked": ["ö", 1.5] },
        });
        assert_eq!(event.data, expected, "{:?}", client.flavour());
    }
}

#[tokio::test]
async fn events_of_clients_are_forbidden_unless_they_are_wanted() {
    let redis = Redis::start().await;
    for launch in [launch(&redis), Launch::new(&redis)] {
        let server = launch.start().await;
        let mut client = Client::connect(server.address()).await;
        let answer = client.call("event", &json!(1)).await;
        assert_eq!(
            (&answer["ok"], &answer["error"]),
            (&json!(false), &json!("forbidden"))
        );
        // What is remembered need not be told to anybody.
        set_meta(&mut client, &json!(1)).await;
        client.subscribe("a").await;
    }
}

#[tokio::test]
async fn invalid_arguments_are_bad_requests() {
    let redis = Redis::start().await;
    let launch = launch(&redis)
        .arg("--client-events")
        .flag("--max-meta-bytes", "20")
        .flag("--max-event-bytes", "30");
    let server = launch.start().await;
    let mut client = Client::connect(server.address()).await;
    let limits = [
        ("meta", "max_meta_bytes", 20),
        ("event", "max_event_bytes", 30),
    ];
    for (event, limit, bytes) in limits {
        for packet in [
            format!(r#"42100["{event}"]"#),
            format!(r#"42100["{event}",1,2]"#),
            format!(r#"42100["{event}","{}"]"#, "x".repeat(bytes - 1)),
        ] {
            client.send(&packet).await;
            let answer = client.answer(100).await;
            assert_eq!(answer["error"], "bad_request", "{packet}: {answer}");
        }
        let longest = json!("x".repeat(bytes - 2));
        assert_eq!(client.call(event, &longest).await, json!({ "ok": true }));
        metrics::limit(server.address(), limit, 1.0).await;
    }
}

#[tokio::test]
async fn events_are_published_once_redis_is_back() {
    let redis = Redis::start().await;
    let cable = Cable::to(redis.address()).await;
    let server = launch(&cable).arg("--client-events").start().await;
    let mut events = ServerEvents::of(&redis).await;
    let mut client = Client::connect(server.address()).await;
    cable.cut();
    server.unready().await;
    for n in 0..1000 {
        let answer = client.call("event", &json!(n)).await;
        assert_eq!(answer, json!({ "ok": true }));
    }
    cable.mend();
    for n in 0..1000 {
        assert_eq!(events.next().await.data["data"], json!(n));
    }
}

#[tokio::test]
async fn the_oldest_events_give_way_and_nobody_stays_as_a_ghost() {
    let redis = Redis::start().await;
    let cable = Cable::to(redis.address()).await;
    let launch = launch(&cable)
        .arg("--client-events")
        .flag("--node-timeout-seconds", "3")
        .flag("--max-waiting-events", "100");
    let server = launch.start().await;
    let mut events = ServerEvents::of(&redis).await;
    let mut client = Client::connect(server.address()).await;
    for channel in ["stays", "goes"] {
        client.subscribe(channel).await;
        events.expect("subscribe", channel).await;
    }
    // An event whose answer is lost with the link would come twice.
    let published = "womack_server_events_total";
    metrics::reaches(server.address(), published, r#"event="subscribe""#, 2.0).await;
    cable.cut();
    server.unready().await;
    // What is under way when the loss is noticed is kept beside what waits.
    client.call("event", &json!(-1)).await;
    server.logged("server events wait for redis").await;
    client.unsubscribe("goes").await;
    client.emit("subscribe", &json!("comes")).await;
    for n in 0..1000 {
        client.call("event", &json!(n)).await;
    }
    let dropped = "womack_server_events_dropped_total";
    metrics::reaches(server.address(), dropped, "", 800.0).await;
    metrics::limit(server.address(), "max_waiting_events", 800.0).await;
    cable.mend();
    let mut last = -2;
    let mut gone = Vec::new();
    while gone.len() < 2 {
        let event = events.next().await;
        match event.data["data"].as_i64() {
            Some(n) => {
                assert!(n > last, "{n} after {last}");
                last = n;
            }
            // What nobody said at its time is found out by counting.
            None => gone.push((event.kind, event.data["channel"].clone())),
        }
    }
    gone.sort_by_key(|(kind, _)| kind.clone());
    assert_eq!(last, 999);
    let said = [("subscribe", "comes"), ("unsubscribe", "goes")];
    assert_eq!(
        gone,
        said.map(|(kind, channel)| (kind.to_owned(), json!(channel)))
    );
}

#[tokio::test]
async fn a_redis_that_lost_everything_is_told_again() {
    let mut redis = Redis::start().await;
    let cable = Cable::to(redis.address()).await;
    let server = launch(&cable).arg("--presence=/").start().await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = Client::connect(server.address()).await;
        client.subscribe("a").await;
        clients.push(client);
    }
    cable.cut();
    redis.stop().await;
    server.unready().await;
    clients.pop().expect("twenty clients").close().await;
    redis.resume().await;
    let mut events = ServerEvents::of(&redis).await;
    cable.mend();
    let there: BTreeSet<_> = clients
        .iter()
        .map(|client| client.id().to_owned())
        .collect();
    let mut told = BTreeSet::new();
    while told != there {
        let event = events.next().await;
        let id = event.data["session_id"].as_str().expect("an id").to_owned();
        match event.kind.as_str() {
            "subscribe" => told.insert(id),
            _ => told.remove(&id),
        };
    }
    let answer = clients[0]
        .call("presence", &json!({ "channel": "a" }))
        .await;
    assert_eq!(answer["count"], 19, "{answer}");
}

#[tokio::test]
async fn exactly_one_node_speaks_for_a_dead_one() {
    let redis = Redis::start().await;
    let (one, other) = (launch(&redis).start().await, launch(&redis).start().await);
    let mut dead = launch(&redis).start().await;
    let mut events = ServerEvents::of(&redis).await;
    let mut survivor = Client::connect(one.address()).await;
    survivor.subscribe("stays").await;
    let node = events.expect("subscribe", "stays").await["node"].clone();
    let mut client = Client::connect(dead.address()).await;
    set_meta(&mut client, &json!({ "user_id": 42 })).await;
    let channels = json!({ "channels": ["a", "b,c", "d"] });
    assert_eq!(client.call("subscribe", &channels).await["ok"], true);
    events.sorted(3).await;
    dead.signal(Signal::Kill).await;
    dead.exit().await;
    let mut gone = Vec::new();
    for _ in 0..3 {
        let event = events.next().await;
        assert_eq!(event.kind, "unsubscribe");
        assert_eq!(event.data["session_id"], client.id());
        assert_eq!(event.data["meta"], json!({ "user_id": 42 }));
        assert_eq!(event.data["namespace"], "/");
        assert_ne!(event.data["node"], node, "the event names the dead node");
        gone.push(
            event.data["channel"]
                .as_str()
                .expect("a channel")
                .to_owned(),
        );
    }
    gone.sort();
    assert_eq!(gone, ["a", "b,c", "d"]);
    let dead_node = client_node(&redis, &node).await;
    assert_eq!(dead_node, None, "the dead node's record has ended");
    let ghosts = async || {
        let mut sum = 0.0;
        for server in [&one, &other] {
            let metrics = metrics::Metrics::of(server.address()).await;
            sum += metrics.sum("womack_ghosts_total", "");
        }
        sum
    };
    eventually("three ghosts", async || ghosts().await > 2.5).await;
    assert!(ghosts().await < 3.5, "nobody said it twice");
    // Whoever lives is not disturbed.
    survivor.subscribe("next").await;
    events.expect("subscribe", "next").await;
}

/// Waits until a node beside `node` has no key any more.
async fn client_node(redis: &Redis, node: &Value) -> Option<String> {
    let node = node.as_str().expect("a node");
    let others = async || {
        let found = keys(redis).await;
        let sessions = |key: &String| key.ends_with(":sessions") && !key.contains(node);
        found.into_iter().find(sessions)
    };
    eventually("the record to end", async || others().await.is_none()).await;
    others().await
}

#[tokio::test]
async fn each_of_many_clients_is_reported_after_a_failure() {
    let mut redis = Redis::start().await;
    let cable = Cable::to(redis.address()).await;
    let mut dead = launch(&cable).start().await;
    let channels: Vec<String> = (0..1000).map(|n| format!("channel-{n}")).collect();
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(dead.address()).await;
        let answer = client.call("subscribe", &json!(channels)).await;
        assert_eq!(answer["ok"], true, "{answer}");
        clients.push(client);
    }
    cable.cut();
    redis.stop().await;
    dead.unready().await;
    redis.resume().await;
    let mut events = ServerEvents::of(&redis).await;
    cable.mend();
    everybody(&mut events, "subscribe", 3000).await;
    let _other = launch(&redis).start().await;
    dead.signal(Signal::Kill).await;
    dead.exit().await;
    everybody(&mut events, "unsubscribe", 3000).await;
}

/// Waits until so many different clients in channels were told of; some may be told twice.
async fn everybody(events: &mut ServerEvents, kind: &str, count: usize) {
    let mut told = BTreeSet::new();
    while told.len() < count {
        let event = events.next().await;
        assert_eq!(event.kind, kind);
        told.insert((
            event.data["session_id"].to_string(),
            event.data["channel"].to_string(),
        ));
    }
}

#[tokio::test]
async fn a_node_that_was_taken_for_dead_says_that_its_clients_live() {
    let redis = Redis::start().await;
    let suspended = launch(&redis).start().await;
    let mut events = ServerEvents::of(&redis).await;
    let mut client = Client::connect(suspended.address()).await;
    client.subscribe("a").await;
    events.expect("subscribe", "a").await;
    suspended.signal(Signal::Halt).await;
    let _other = launch(&redis).start().await;
    let event = events.expect("unsubscribe", "a").await;
    assert_eq!(event["session_id"], client.id());
    suspended.signal(Signal::GoOn).await;
    let event = events.expect("subscribe", "a").await;
    assert_eq!(event["session_id"], client.id());
    client.unsubscribe("a").await;
    events.expect("unsubscribe", "a").await;
}

#[tokio::test]
async fn a_node_that_stops_takes_leave_for_its_clients() {
    for shards in ["1", "2"] {
        let redis = Redis::start().await;
        let mut server = launch(&redis).flag("--shards", shards).start().await;
        let mut events = ServerEvents::of(&redis).await;
        let mut clients = Vec::new();
        for _ in 0..10 {
            let mut client = Client::connect(server.address()).await;
            client.subscribe("a").await;
            events.expect("subscribe", "a").await;
            clients.push(client);
        }
        assert!(!keys(&redis).await.is_empty());
        server.stop().await;
        for _ in &clients {
            events.expect("unsubscribe", "a").await;
        }
        nothing_is_left(&redis).await;
    }
}

#[tokio::test]
async fn the_embedded_broker_passes_events_on_and_keeps_nothing() {
    let broker = free_address();
    let launch = Launch::bare()
        .flag("--host", "127.0.0.1")
        .flag("--port", "0")
        .flag("--redis-url", "embedded")
        .flag("--redis-port", &broker.port().to_string())
        .flag("--events-key", KEY)
        .arg("--presence=/");
    let mut server = launch.start().await;
    server.logged("this redis has no keys").await;
    let mut events = ServerEvents::of(&broker).await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    events.expect("subscribe", "a").await;
    let answer = client.call("presence", &json!({ "channel": "a" })).await;
    assert_eq!(answer["error"], "unavailable", "{answer}");
    client.close().await;
    events.expect("unsubscribe", "a").await;
    server.stop().await;
}

#[tokio::test]
async fn a_server_without_the_key_publishes_and_keeps_nothing() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Client::connect(server.address()).await;
    set_meta(&mut client, &json!(1)).await;
    client.subscribe("a").await;
    assert!(keys(&redis).await.is_empty());
    let text = metrics::Metrics::of(server.address()).await;
    assert!(text.sum("womack_server_events_total", "") < 0.5);
}

#[tokio::test]
async fn a_record_that_redis_refuses_keeps_nobody_from_hearing_of_clients() {
    let redis = Redis::start().await;
    let mut events = ServerEvents::of(&redis).await;
    let early = launch(&redis).arg("--presence=/").start().await;
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    // The one has a record already, the other gets none.
    let late = launch(&redis).arg("--presence=/").start().await;
    for server in [&early, &late] {
        let mut client = Client::connect(server.address()).await;
        client.subscribe("a").await;
        let event = events.expect("subscribe", "a").await;
        assert_eq!(event["session_id"], client.id());
        client.unsubscribe("a").await;
        let event = events.expect("unsubscribe", "a").await;
        assert_eq!(event["session_id"], client.id());
    }
}

#[tokio::test]
async fn a_node_whose_record_was_ended_tells_of_its_clients_once_it_has_another() {
    let redis = Redis::start().await;
    let mut events = ServerEvents::of(&redis).await;
    let server = launch(&redis).start().await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    let event = events.expect("subscribe", "a").await;
    let node = event["node"].as_str().expect("a node");
    for channel in ["b", "c", "d"] {
        redis
            .command(&["DEL", &format!("{KEY}:nodes:{node}")])
            .await;
        client.subscribe(channel).await;
        events.expect("subscribe", channel).await;
    }
}
