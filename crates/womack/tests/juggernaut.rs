//! Pages with Juggernaut's browser client keep it: it speaks Socket.IO 0.9, but in messages.

use serde_json::{Value, json};
use womack_test_support::clients::{Drivers, FLAVOURS, LibraryClient};
use womack_test_support::events::ServerEvents;
use womack_test_support::{Client, Launch, Redis, Server};

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
async fn whoever_unsubscribes_gets_no_more() {
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
async fn a_client_is_in_a_channel_once_as_it_came() {
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
