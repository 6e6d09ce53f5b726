//! What publishers of other families send reaches the clients that they mean, and no others.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;
use womack_test_support::clients::{Drivers, LibraryClient, Publisher};
use womack_test_support::metrics::{self, Metrics};
use womack_test_support::publishers::{Emitter, PythonManager};
use womack_test_support::{Broker, Client, Driver, Launch, Redis, Server, eventually};

const ID: &str = "id of the first";

fn launch(redis: &Redis) -> Launch {
    Launch::new(redis)
        .flag("--namespace", "/another")
        .flag("--emitter-key", "socket.io")
        .flag("--python-channel", "socketio")
        .flag("--laravel-prefix", "laravel_database_")
        .arg("--juggernaut")
}

/// Puts an id where [`ID`] stands.
fn with_id(steps: &Value, id: &str) -> Value {
    serde_json::from_str(&steps.to_string().replace(ID, id)).expect("an id needs no escapes")
}

/// Waits until the server has asked Redis for a channel, which nobody acknowledges when it was
/// not a client that asked.
async fn subscribed(redis: &Redis, channel: &str) {
    eventually("the subscription", async || {
        redis.subscribers(channel).await == 1
    })
    .await;
}

/// Asserts that a client gets this event next.
async fn gets(client: &mut LibraryClient, name: &str, arguments: &Value) {
    let received = client.message(name).await;
    assert_eq!(
        Value::from(received.arguments),
        *arguments,
        "{:?}",
        client.flavour()
    );
}

#[tokio::test]
async fn redis_emitter_reaches_the_rooms_and_clients_that_it_names() {
    let redis = Redis::start().await;
    let server = launch(&redis).start().await;
    let (drivers, node) = (Drivers::default(), Driver::node());
    // In each library, one in the channels a and b, one in b, one in none.
    let mut firsts = drivers.everyone(&server.url("/")).await;
    let mut seconds = drivers.everyone(&server.url("/")).await;
    let mut thirds = drivers.everyone(&server.url("/")).await;
    let mut elsewhere = drivers.everyone(&server.url("/another")).await;
    for first in &mut firsts {
        first.subscribe("a").await;
        first.subscribe("b").await;
    }
    for second in seconds.iter_mut().chain(&mut elsewhere) {
        second.subscribe("b").await;
    }
    let id = firsts[0].id().to_owned();
    let table = [
        // What is published, and who of each four gets it, but for the first of all firsts.
        (json!([["to", "a"]]), [true, false, false, false], true),
        (json!([["to", "b"]]), [true, true, false, false], true),
        (
            json!([["to", ["a", "b"]]]),
            [true, true, false, false],
            true,
        ),
        (json!([["to", "c"]]), [false; 4], false),
        (json!([]), [true, true, true, false], true),
        (json!([["except", "b"]]), [false, false, true, false], false),
        (
            json!([["to", "b"], ["except", ["a"]], ["volatile"]]),
            [false, true, false, false],
            false,
        ),
        (json!([["except", ID]]), [true, true, true, false], false),
        (json!([["to", ID]]), [false; 4], true),
        (
            json!([["to", [ID, "a"]]]),
            [true, false, false, false],
            true,
        ),
        (
            json!([["of", "another"], ["to", "b"]]),
            [false, false, false, true],
            false,
        ),
        (
            json!([["of", "/another"]]),
            [false, false, false, true],
            false,
        ),
    ];
    for client in ["ioredis", "redis"] {
        let mut emitter = Emitter::open(&node, client, &redis).await;
        for (number, (steps, expected, by_first)) in table.iter().enumerate() {
            let mut steps = with_id(steps, &id);
            let steps = steps.as_array_mut().expect("steps are a list");
            steps.push(json!(["compress", true]));
            steps.push(json!(["emit", "news", number, { "é😀": [1.5, null] }]));
            emitter.chain(json!(steps)).await;
            // After what is not for them, all get this.
            emitter.chain(json!([["emit", "end"]])).await;
            emitter
                .chain(json!([["of", "/another"], ["emit", "end"]]))
                .await;
            let arguments = json!([number, { "é😀": [1.5, null] }]);
            let groups = [&mut firsts, &mut seconds, &mut thirds, &mut elsewhere];
            for (group, &expected) in groups.into_iter().zip(expected) {
                for member in group {
                    let expected = if member.id() == id {
                        *by_first
                    } else {
                        expected
                    };
                    if expected {
                        gets(member, "news", &arguments).await;
                    }
                    gets(member, "end", &json!([])).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn every_library_is_a_room_by_its_own_id() {
    let redis = Redis::start().await;
    let server = launch(&redis).start().await;
    let (drivers, node) = (Drivers::default(), Driver::node());
    let mut emitter = Emitter::open(&node, "redis", &redis).await;
    for namespace in ["/", "/another"] {
        let mut clients = drivers.everyone(&server.url(namespace)).await;
        let ids: Vec<_> = clients
            .iter()
            .map(|client| client.id().to_owned())
            .collect();
        // Who knows an id and subscribes to a channel of that name hears nothing by it.
        let mut curious = Client::connect_to(server.address(), namespace).await;
        for id in &ids {
            curious.subscribe(id).await;
        }
        for id in &ids {
            // On the channel of the one room, and on the one for several.
            for rooms in [json!(id), json!([id, "x"])] {
                let steps = json!([["of", namespace], ["to", rooms], ["emit", "private", id]]);
                emitter.chain(steps).await;
            }
        }
        emitter
            .chain(json!([["of", namespace], ["emit", "end"]]))
            .await;
        let end = curious.packet().await;
        assert!(end.ends_with(r#"["end"]"#), "{end}");
        for (client, id) in clients.iter_mut().zip(&ids) {
            gets(client, "private", &json!([id])).await;
            gets(client, "private", &json!([id])).await;
            gets(client, "end", &json!([])).await;
        }
    }
}

#[tokio::test]
async fn redis_emitter_sends_what_json_cannot_hold() {
    let redis = Redis::start().await;
    let server = launch(&redis).start().await;
    let (drivers, node) = (Drivers::default(), Driver::node());
    let mut clients = drivers.everyone(&server.url("/")).await;
    let mut raw = Client::connect(server.address()).await;
    raw.subscribe("a").await;
    for client in &mut clients {
        client.subscribe("a").await;
    }
    let mut emitter = Emitter::open(&node, "ioredis", &redis).await;
    let steps = json!([
        ["to", "a"],
        [
            "emit",
            "dates",
            { "$date": 1_700_000_000_123_i64 },
            { "u": { "$undefined": true } },
            9_007_199_254_740_991_i64,
        ],
    ]);
    emitter.chain(steps).await;
    let text = r#"42["dates","2023-11-14T22:13:20.123Z",{},9007199254740991]"#;
    assert_eq!(raw.packet().await, text);
    let steps = json!([["to", "a"], ["emit", "bytes", { "b": { "$bytes": [1, 255] } }, 7]]);
    emitter.chain(steps).await;
    let text = r#"451-["bytes",{"b":{"_placeholder":true,"num":0}},7]"#;
    assert_eq!(raw.packet().await, text);
    for client in &mut clients {
        let received = client.message("dates").await;
        assert_eq!(received.arguments[0], "2023-11-14T22:13:20.123Z");
        if client.flavour().is_legacy() {
            continue;
        }
        let received = client.message("bytes").await;
        assert_eq!(received.arguments[1], 7);
        let bytes = received.arguments[0]["b"].to_string();
        assert!(bytes.contains("[1,255]"), "{bytes}");
    }
    // Those of 0.9 know no bytes. What comes after is theirs again.
    let legacy = clients.iter().filter(|client| client.flavour().is_legacy());
    let count = legacy.count() as f64;
    metrics::reaches(server.address(), "womack_undeliverable_total", "", count).await;
    emitter.chain(json!([["to", "a"], ["emit", "end"]])).await;
    for client in &mut clients {
        gets(client, "end", &json!([])).await;
    }
}

#[tokio::test]
async fn redis_emitter_moves_and_disconnects_clients() {
    let redis = Redis::start().await;
    let server = launch(&redis).start().await;
    let (drivers, node) = (Drivers::default(), Driver::node());
    let mut clients = drivers.everyone(&server.url("/")).await;
    let mut other = drivers
        .connect(clients[0].flavour(), &server.url("/"))
        .await;
    let mut emitter = Emitter::open(&node, "redis", &redis).await;
    emitter.chain(json!([["socketsJoin", ["a", "b"]]])).await;
    emitter
        .chain(json!([["in", other.id()], ["socketsLeave", "a"]]))
        .await;
    subscribed(&redis, "a").await;
    subscribed(&redis, "b").await;
    let news = |room: &str, number: u32| json!([["to", room], ["emit", "news", number]]);
    emitter.chain(news("a", 1)).await;
    emitter.chain(news("b", 2)).await;
    gets(&mut other, "news", &json!([2])).await;
    for client in &mut clients {
        gets(client, "news", &json!([1])).await;
        gets(client, "news", &json!([2])).await;
    }
    emitter
        .chain(json!([
            ["in", "b"],
            ["except", other.id()],
            ["disconnectSockets", true]
        ]))
        .await;
    for client in &mut clients {
        client.disconnected().await;
    }
    emitter.chain(news("b", 3)).await;
    gets(&mut other, "news", &json!([3])).await;
    emitter.chain(json!([["disconnectSockets"]])).await;
    other.disconnected().await;
}

#[tokio::test]
async fn python_manager_reaches_the_rooms_and_clients_that_it_names() {
    let redis = Redis::start().await;
    let server = launch(&redis).start().await;
    let (drivers, python) = (Drivers::default(), Driver::python());
    let mut clients = drivers.everyone(&server.url("/")).await;
    let mut elsewhere = drivers
        .connect(clients[0].flavour(), &server.url("/another"))
        .await;
    let mut other = drivers
        .connect(clients[0].flavour(), &server.url("/"))
        .await;
    for client in &mut clients {
        client.subscribe("a").await;
    }
    let mut manager = PythonManager::open(&python, "socketio", &redis).await;
    for (number, (options, in_a, by_other)) in [
        (json!({}), true, true),
        (json!({ "room": "a" }), true, false),
        (json!({ "room": ["a", "b"] }), true, false),
        (json!({ "to": "b" }), false, false),
        (json!({ "to": other.id() }), false, true),
        (json!({ "skip_sid": other.id() }), true, false),
        (json!({ "namespace": "/another" }), false, false),
    ]
    .into_iter()
    .enumerate()
    {
        let mut call = options;
        call["name"] = "news".into();
        call["data"] = json!([number, { "é😀": 9_007_199_254_740_991_i64 }]);
        let arguments = call["data"].clone();
        manager.call("emit", call.clone()).await;
        for namespace in ["/", "/another"] {
            let end = json!({ "name": "end", "data": [], "namespace": namespace });
            manager.call("emit", end).await;
        }
        if call["namespace"] == "/another" {
            gets(&mut elsewhere, "news", &arguments).await;
        }
        gets(&mut elsewhere, "end", &json!([])).await;
        if by_other {
            gets(&mut other, "news", &arguments).await;
        }
        gets(&mut other, "end", &json!([])).await;
        for client in &mut clients {
            if in_a {
                gets(client, "news", &arguments).await;
            }
            gets(client, "end", &json!([])).await;
        }
    }

    let bytes = json!({ "name": "bytes", "room": "a", "data": [{ "b": { "$bytes": [1, 255] } }] });
    manager.call("emit", bytes).await;
    for client in clients
        .iter_mut()
        .filter(|client| !client.flavour().is_legacy())
    {
        let received = client.message("bytes").await;
        let bytes = received.arguments[0]["b"].to_string();
        assert!(bytes.contains("[1,255]"), "{bytes}");
    }

    let room = |room: &str| json!({ "sid": other.id(), "room": room, "namespace": "/" });
    manager.call("enter_room", room("b")).await;
    manager.call("enter_room", room("c")).await;
    manager.call("leave_room", room("b")).await;
    manager
        .call("close_room", json!({ "room": "a", "namespace": "/" }))
        .await;
    subscribed(&redis, "c").await;
    for room in ["a", "b", "c"] {
        let news = json!({ "name": "news", "room": room, "data": [room] });
        manager.call("emit", news).await;
    }
    gets(&mut other, "news", &json!(["c"])).await;
    // A manager without a server cannot disconnect; one with a server publishes this.
    for client in [&mut other, &mut clients[0]] {
        let message = json!({ "method": "disconnect", "sid": client.id(), "namespace": "/" });
        redis
            .publish_bytes(b"socketio", message.to_string().as_bytes())
            .await;
        client.disconnected().await;
    }
    manager
        .call("emit", json!({ "name": "end", "data": [] }))
        .await;
    for client in &mut clients[1..] {
        gets(client, "end", &json!([])).await;
    }
}

#[tokio::test]
async fn pickled_messages_are_refused_and_the_log_says_so() {
    let redis = Redis::start().await;
    let server = launch(&redis).start().await;
    let mut client = Client::connect(server.address()).await;
    // {"method": "emit", "event": "e"} as python-socketio 5.13 pickles it.
    let pickle = b"\x80\x04\x95\x1f\0\0\0\0\0\0\0}\x94(\x8c\x06method\x94\x8c\x04emit\x94\
                   \x8c\x05event\x94\x8c\x01e\x94u.";
    for _ in 0..3 {
        redis.publish_bytes(b"socketio", pickle).await;
    }
    let rejected = "womack_messages_rejected_total";
    metrics::reaches(server.address(), rejected, "reason=\"pickle\"", 3.0).await;
    server.logged("5.14").await;
    let lines = server.log();
    let count = lines.iter().filter(|line| line.contains("pickled")).count();
    assert_eq!(count, 1, "{lines:?}");
    redis
        .publish_bytes(
            b"socketio",
            br#"{"method":"emit","event":"e","data":[1],"binary":false}"#,
        )
        .await;
    assert_eq!(client.packet().await, r#"42["e",1]"#);
}

#[tokio::test]
async fn laravel_broadcasts_as_through_laravel_echo_server() {
    let redis = Redis::start().await;
    let server = launch(&redis).start().await;
    let drivers = Drivers::default();
    let mut clients = drivers.everyone(&server.url("/")).await;
    let mut other = drivers
        .connect(clients[0].flavour(), &server.url("/"))
        .await;
    for client in clients.iter_mut().chain([&mut other]) {
        client.subscribe("orders.1").await;
        client.subscribe("private-orders.1").await;
    }
    let broadcast = async |channel: &str, message: Value| {
        let status = Command::new("redis-cli")
            .args(["-p", &redis.address().port().to_string(), "PUBLISH"])
            .arg(format!("laravel_database_{channel}"))
            .arg(message.to_string())
            .stdout(Stdio::null())
            .status()
            .await
            .expect("redis-cli is installed (make deps)");
        assert!(status.success(), "redis-cli: {status}");
    };
    let event = "App\\Events\\Shipped";
    let message =
        |id: u32, socket: Value| json!({ "event": event, "data": { "id": id }, "socket": socket });
    broadcast("private-orders.1", message(0, Value::Null)).await;
    broadcast("orders.2", message(1, Value::Null)).await;
    broadcast("orders.1", message(2, json!(other.id()))).await;
    broadcast("orders.1", message(3, Value::Null)).await;
    gets(&mut other, event, &json!(["orders.1", { "id": 3 }])).await;
    for client in &mut clients {
        gets(client, event, &json!(["orders.1", { "id": 2 }])).await;
        gets(client, event, &json!(["orders.1", { "id": 3 }])).await;
    }
}

#[tokio::test]
async fn laravels_guarded_channels_stay_guarded_without_its_prefix() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--laravel-prefix", "")
        .start()
        .await;
    server.logged("laravel-prefix is empty").await;
    let mut client = Client::connect(server.address()).await;
    let names = ["private-orders.1", "presence-room", "orders.1"];
    let names = names.map(|name| format!("laravel_database_{name}"));
    for name in &names {
        client.subscribe(name).await;
    }
    for name in &names {
        let message = br#"{"event":"e","data":1,"socket":null}"#;
        redis.publish_bytes(name.as_bytes(), message).await;
    }
    let open = r#"42["e","laravel_database_orders.1",1]"#;
    assert_eq!(client.packet().await, open);
}

#[tokio::test]
async fn messages_of_juggernauts_publishers_are_delivered() {
    let redis = Redis::start().await;
    let server = launch(&redis).start().await;
    let (drivers, python) = (Drivers::default(), Driver::python());
    let mut clients = drivers.everyone(&server.url("/")).await;
    let mut other = Client::connect(server.address()).await;
    other.subscribe("a").await;
    other.subscribe("b").await;
    for client in &mut clients {
        client.subscribe("a").await;
    }
    // As juggernaut.py publishes.
    let mut publisher = Publisher::redis_py(&python, &redis).await;
    let data = json!({ "n": 9_007_199_254_740_991_i64 });
    let options = json!({ "channels": ["a", "b", "c"], "except": [other.id()] });
    publisher.publish("juggernaut", data.clone(), options).await;
    publisher
        .publish("juggernaut", json!(2), json!({ "channels": "b" }))
        .await;
    assert_eq!(other.message("b").await, r#"{"data":2}"#);
    for client in &mut clients {
        let received = client.message("a").await;
        assert_eq!(received.arguments[0]["data"], data);
        assert_eq!(received.arguments[0]["except"], json!([other.id()]));
        assert_eq!(received.arguments[0].get("channels"), None);
    }
}

#[tokio::test]
async fn publishers_that_are_not_enabled_are_not_heard() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    for channel in [
        "socket.io#/#",
        "socket.io#/#a#",
        "socketio",
        "juggernaut",
        "a",
    ] {
        assert_eq!(
            redis.publish_bytes(channel.as_bytes(), b"{}").await,
            0,
            "{channel}"
        );
    }
}

#[tokio::test]
async fn invalid_instructions_are_counted_and_disturb_nobody() {
    let redis = Redis::start().await;
    let server = launch(&redis)
        .flag("--max-message-bytes", "1000")
        .start()
        .await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    let long = format!(r#"{{"channels":"a","data":"{}"}}"#, "x".repeat(1000));
    let many = json!({ "channels": vec!["a"; 101] }).to_string();
    for (channel, message, reason) in [
        ("socket.io#/#a#", &b"\x93"[..], "messagepack"),
        (
            "socket.io#/#",
            b"\x93\xc0\x82\xa4type\x02\xa4data\x91\xa7connect\x80",
            "reserved_event",
        ),
        ("socket.io-request#/#", b"{}", "form"),
        (
            "socket.io-request#/#",
            br#"{"type":6,"data":[]}"#,
            "unsupported",
        ),
        (
            "socket.io-request#/#",
            br#"{"type":2,"opts":{},"rooms":["connect"]}"#,
            "bad_channel",
        ),
        ("socketio", b"{", "json"),
        ("socketio", b"\"\xff\"", "utf8"),
        ("laravel_database_a", b"{}", "form"),
        ("juggernaut", br#"{"data":1}"#, "form"),
        ("socketio", long.as_bytes(), "too_large"),
        ("juggernaut", long.as_bytes(), "too_large"),
        ("juggernaut", many.as_bytes(), "too_many_channels"),
    ] {
        let name = "womack_messages_rejected_total";
        let label = format!("reason=\"{reason}\"");
        let before = Metrics::of(server.address()).await.sum(name, &label);
        assert_eq!(
            redis.publish_bytes(channel.as_bytes(), message).await,
            1,
            "{channel}"
        );
        metrics::reaches(server.address(), name, &label, before + 1.0).await;
    }
    metrics::limit(server.address(), "max_message_bytes", 2.0).await;
    metrics::limit(server.address(), "max_channels_per_publish", 1.0).await;
    redis.publish("a", "1").await;
    assert_eq!(client.message("a").await, "1");
}

#[tokio::test]
async fn families_come_back_with_redis_and_go_with_the_last_client() {
    let mut redis = Redis::start().await;
    let mut server = launch(&redis)
        .flag("--unsubscribe-grace-seconds", "0")
        .start()
        .await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    redis.stop().await;
    server.unready().await;
    redis.resume().await;
    server.ready().await;
    let everybody = b"\x93\xc0\x82\xa4type\x02\xa4data\x91\xa1e\x80";
    let to_a = b"\x93\xc0\x82\xa4type\x02\xa4data\x91\xa1f\x81\xa5rooms\x91\xa1a";
    let id = client.id().to_owned();
    let to_id = [
        &b"\x93\xc0\x82\xa4type\x02\xa4data\x91\xa1g\x81\xa5rooms\x91\xb8"[..],
        id.as_bytes(),
    ]
    .concat();
    redis.publish_bytes(b"socket.io#/#", everybody).await;
    redis.publish_bytes(b"socket.io#/#a#", to_a).await;
    redis
        .publish_bytes(format!("socket.io#/#{id}#").as_bytes(), &to_id)
        .await;
    redis
        .publish_bytes(b"laravel_database_a", br#"{"event":"h"}"#)
        .await;
    for packet in [
        r#"42["e"]"#,
        r#"42["f"]"#,
        r#"42["g"]"#,
        r#"42["h","a",null]"#,
    ] {
        assert_eq!(client.packet().await, packet);
    }
    client.unsubscribe("a").await;
    for channel in ["socket.io#/#a#", "laravel_database_a"] {
        eventually("the alias to go", async || {
            redis.publish_bytes(channel.as_bytes(), b"{}").await == 0
        })
        .await;
    }
    server.stop().await;
}
