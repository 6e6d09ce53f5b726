//! Pages with Juggernaut's browser client keep it: it speaks Socket.IO 0.9, but in messages.

use serde_json::{Value, json};
use womack_test_support::browser::Page;
use womack_test_support::clients::{Drivers, FLAVOURS, LibraryClient};
use womack_test_support::events::ServerEvents;
use womack_test_support::publishers::PythonJuggernaut;
use womack_test_support::{Client, Driver, Launch, Redis, Release, Server, metrics};

/// The server as it is started in Juggernaut's place.
fn launch(redis: &Redis) -> Launch {
    Launch::new(redis)
        .arg("--juggernaut")
        .flag("--events-key", "juggernaut")
        .arg("--client-events")
}

/// One client for each transport of Socket.IO 0.9.
async fn clients(drivers: &Drivers, server: &Server) -> Vec<LibraryClient> {
    let mut clients = Vec::new();
    for flavour in FLAVOURS.iter().filter(|flavour| flavour.is_legacy()) {
        clients.push(drivers.connect(*flavour, &server.url("/")).await);
    }
    clients
}

/// Says something as Juggernaut's client does.
async fn say(client: &LibraryClient, message: Value) {
    client.send(&message.to_string()).await;
}

async fn subscribe(client: &LibraryClient, channel: &str) {
    let message = json!({ "type": "subscribe", "channel": channel });
    say(client, message).await;
}

async fn unsubscribe(client: &LibraryClient, channel: &str) {
    let message = json!({ "type": "unsubscribe", "channel": channel });
    say(client, message).await;
}

/// Waits until all is live that the client has subscribed to. Juggernaut's requests have no
/// answer, but what is asked for later is not live earlier.
async fn live(client: &mut LibraryClient) {
    client.subscribe("later").await;
    client.unsubscribe("later").await;
}

#[tokio::test]
async fn messages_come_as_the_client_expects_them() {
    let redis = Redis::start().await;
    let server = launch(&redis).start().await;
    let drivers = Drivers::default();
    let mut other = Client::connect(server.address()).await;
    other.subscribe("a").await;
    let mut clients = clients(&drivers, &server).await;
    for client in &mut clients {
        subscribe(client, "a").await;
        live(client).await;
    }
    let message = r#"{"channels":["a","b"],"data":{"n":1},"some":"option"}"#;
    redis.publish_bytes(b"juggernaut", message.as_bytes()).await;
    redis.publish("a", r#" [1, "é"] "#).await;
    let event = r#"{"data":{"n":1},"some":"option"}"#;
    assert_eq!(other.message("a").await, event);
    for client in &mut clients {
        let expected = r#"{"data":{"n":1},"some":"option","channel":"a"}"#;
        assert_eq!(client.text().await, expected);
        let expected = r#"{"data":[1, "é"],"channel":"a"}"#;
        assert_eq!(client.text().await, expected);
    }
}

#[tokio::test]
async fn an_unsubscribed_client_gets_no_more() {
    let redis = Redis::start().await;
    // In one shard, what a witness has got is over for the others too.
    let server = launch(&redis).flag("--shards", "1").start().await;
    let mut witness = Client::connect(server.address()).await;
    witness.subscribe("a").await;
    let drivers = Drivers::default();
    for client in &mut clients(&drivers, &server).await {
        subscribe(client, "a").await;
        live(client).await;
        redis.publish("a", r#"{"data":1}"#).await;
        assert_eq!(witness.message("a").await, r#"{"data":1}"#);
        assert_eq!(client.text().await, r#"{"data":1,"channel":"a"}"#);
        unsubscribe(client, "a").await;
        live(client).await;
        redis.publish("a", r#"{"data":2}"#).await;
        assert_eq!(witness.message("a").await, r#"{"data":2}"#);
        let message = json!({ "type": "subscribe", "channel": "a" });
        client.send_json(&message).await;
        live(client).await;
        redis.publish("a", r#"{"data":3}"#).await;
        assert_eq!(witness.message("a").await, r#"{"data":3}"#);
        assert_eq!(client.text().await, r#"{"data":3,"channel":"a"}"#);
        unsubscribe(client, "a").await;
    }
}

#[tokio::test]
async fn a_client_that_subscribes_twice_gets_messages_in_its_first_dialect() {
    let redis = Redis::start().await;
    let server = launch(&redis).start().await;
    let mut events = ServerEvents::below("juggernaut", &redis).await;
    let drivers = Drivers::default();
    for client in &mut clients(&drivers, &server).await {
        subscribe(client, "a").await;
        client.subscribe("a").await;
        client.subscribe("b").await;
        subscribe(client, "b").await;
        live(client).await;
        for channel in ["a", "b", "later"] {
            events.expect("subscribe", channel).await;
        }
        events.expect("unsubscribe", "later").await;
        redis.publish("a", "1").await;
        redis.publish("b", "2").await;
        assert_eq!(client.text().await, r#"{"data":1,"channel":"a"}"#);
        client.message("b").await.is("b", "2");
        client.unsubscribe("a").await;
        events.expect("unsubscribe", "a").await;
        unsubscribe(client, "b").await;
        events.expect("unsubscribe", "b").await;
    }
}

#[tokio::test]
async fn the_back_end_hears_of_clients_where_juggernaut_told_it() {
    let redis = Redis::start().await;
    let server = launch(&redis).start().await;
    let mut events = ServerEvents::below("juggernaut", &redis).await;
    let drivers = Drivers::default();
    let meta = json!({ "user_id": 42 });
    for client in &mut clients(&drivers, &server).await {
        let who = (&json!(client.id()), &meta);
        say(client, json!({ "type": "meta", "data": meta })).await;
        live(client).await;
        for kind in ["subscribe", "unsubscribe"] {
            events.expect(kind, "later").await;
        }
        subscribe(client, "a").await;
        let event = events.expect("subscribe", "a").await;
        assert_eq!((&event["session_id"], &event["meta"]), who);
        say(client, json!({ "type": "event", "data": [1] })).await;
        let event = events.next().await;
        assert_eq!((&*event.kind, &event.data["data"]), ("custom", &json!([1])));
        assert_eq!((&event.data["session_id"], &event.data["meta"]), who);
        unsubscribe(client, "a").await;
        let event = events.expect("unsubscribe", "a").await;
        assert_eq!((&event["session_id"], &event["meta"]), who);
    }
}

#[tokio::test]
async fn the_python_client_publishes_and_hears_of_clients() {
    let redis = Redis::start().await;
    let server = launch(&redis).start().await;
    let (drivers, python) = (Drivers::default(), Driver::python());
    let mut juggernaut = PythonJuggernaut::open(&python, &redis).await;
    for client in &mut clients(&drivers, &server).await {
        let id = json!(client.id());
        say(client, json!({ "type": "meta", "data": { "user_id": 42 } })).await;
        subscribe(client, "a").await;
        let event = juggernaut.event("subscribe").await;
        assert_eq!(event["channel"], "a");
        assert_eq!(event["session_id"], id);
        assert_eq!(event["meta"], json!({ "user_id": 42 }));
        live(client).await;
        for kind in ["subscribe", "unsubscribe"] {
            assert_eq!(juggernaut.event(kind).await["channel"], "later");
        }
        say(client, json!({ "type": "event", "data": "hi" })).await;
        assert_eq!(juggernaut.event("custom").await["data"], "hi");

        let none = Value::Null;
        let (spared, data) = (json!([id]), json!({ "n": "é😀" }));
        juggernaut
            .publish(json!(["a", "b"]), json!(1), spared, none.clone())
            .await;
        let option = json!({ "some": "option" });
        juggernaut
            .publish(json!("a"), data.clone(), none, option)
            .await;
        let message: Value = serde_json::from_str(&client.text().await).expect("a message is JSON");
        let expected = json!({ "channel": "a", "data": data, "some": "option" });
        assert_eq!(message, expected);

        client.disconnect().await;
        let event = juggernaut.event("unsubscribe").await;
        assert_eq!(
            (&event["channel"], &event["session_id"]),
            (&json!("a"), &id)
        );
    }
}

#[tokio::test]
async fn its_own_page_works_unchanged() {
    let release = Release::juggernaut().await;
    let redis = Redis::start().await;
    let server = launch(&redis).start().await;
    let mut events = ServerEvents::below("juggernaut", &redis).await;
    let (browser, python) = (Driver::browser(), Driver::python());
    let mut juggernaut = PythonJuggernaut::open(&python, &redis).await;
    let (page, script) = (
        release.file("public/index.html"),
        release.file("public/application.js"),
    );
    let files = [
        ("**/index.html", page.as_path()),
        ("**/application.js", script.as_path()),
    ];
    let mut page = Page::open_with(&browser, &server.url("/index.html"), &files).await;
    events.expect("subscribe", "channel1").await;
    let id = page.evaluate("jug.sessionID").await;
    let channel = json!("channel1");
    for (data, spared) in [("one", Value::Null), ("two", id), ("three", Value::Null)] {
        juggernaut
            .publish(channel.clone(), json!(data), spared, Value::Null)
            .await;
    }
    let log = "document.getElementById('log').value";
    page.until(&format!("{log}.includes('three')")).await;
    let lines = "Subscribing to channel1\nConnected\nGot data: one\nGot data: three\n";
    assert_eq!(page.evaluate(log).await, lines);
    page.evaluate("jug.unsubscribe('channel1')").await;
    events.expect("unsubscribe", "channel1").await;
}

#[tokio::test]
async fn its_own_script_works_over_each_transport() {
    let release = Release::juggernaut().await;
    let redis = Redis::start().await;
    let server = launch(&redis).start().await;
    let mut events = ServerEvents::below("juggernaut", &redis).await;
    let browser = Driver::browser();
    let mut page = Page::open(&browser, &server.url("/healthz")).await;
    page.script(&release.file("public/application.js")).await;
    for transport in ["websocket", "xhr-polling", "jsonp-polling"] {
        let connect = format!(
            "window.got = [];
             window.jug = new Juggernaut({{
                port: location.port,
                meta: {{ user_id: {transport} }},
                transports: [{transport}],
                'force new connection': true,
             }});
             jug.subscribe({transport}, (data) => got.push(data));
             jug.on('message', (message) => got.push(message.channel, message.option));",
            transport = json!(transport),
        );
        page.evaluate(&connect).await;
        let event = events.expect("subscribe", transport).await;
        assert_eq!(event["meta"], json!({ "user_id": transport }));
        let data = json!([null, { "é😀": 1 }]);
        let message = json!({ "channels": [transport], "data": data, "option": 2 });
        redis
            .publish_bytes(b"juggernaut", message.to_string().as_bytes())
            .await;
        page.until("got.length === 3").await;
        assert_eq!(page.evaluate("got").await, json!([transport, 2, data]));
        page.evaluate("void jug.io.disconnect()").await;
        events.expect("unsubscribe", transport).await;
        metrics::reaches(server.address(), "womack_connections", "", 0.0).await;
    }
}

#[tokio::test]
async fn without_the_flag_messages_mean_nothing() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let drivers = Drivers::default();
    for client in &mut clients(&drivers, &server).await {
        subscribe(client, "a").await;
        live(client).await;
        assert_eq!(redis.subscribers("a").await, 0);
    }
}
