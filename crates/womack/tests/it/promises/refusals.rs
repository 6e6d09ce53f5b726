//! A channel that Redis refuses concerns those who want it, and nobody else.

use std::net::SocketAddr;

use serde_json::{Value, json};
use womack_test_support::{
    Broker, Client, EventStream, Launch, Lines, Redis, Server, eventually, metrics,
};

/// A server that logs in as a user who may subscribe to channels that begin with `room`. Requests
/// are answered at once or not for a long time.
async fn server(redis: &Redis, arguments: &[&str]) -> Server {
    set_rights(redis, &["&womack:ns:default:room*", "&womack:relay:*"]).await;
    let url = format!("redis://app:secret@{}", redis.address());
    let mut launch = Launch::new(redis)
        .flag("--redis-url", &url)
        .flag("--subscribe-timeout-seconds", "300");
    for argument in arguments {
        launch = launch.arg(argument);
    }
    launch.start().await
}

async fn set_rights(redis: &Redis, channels: &[&str]) {
    let user = [
        "ACL",
        "SETUSER",
        "app",
        "on",
        ">secret",
        "~*",
        "+@all",
        "resetchannels",
    ];
    redis.command(&[&user[..], channels].concat()).await;
}

async fn room(address: SocketAddr, redis: &Redis) -> Client {
    let mut client = Client::connect(address).await;
    client.subscribe("room").await;
    redis.publish("room", "1").await;
    assert_eq!(client.message("room").await, "1");
    client
}

#[tokio::test]
async fn a_refused_channel_is_unavailable_at_once_and_others_do_not_notice() {
    let redis = Redis::start().await;
    let server = server(&redis, &[]).await;
    let mut other = room(server.address(), &redis).await;

    let mut client = Client::connect(server.address()).await;
    let refused = client.call("subscribe", &json!("secret")).await;
    assert_eq!(refused["error"], "unavailable", "{refused}");
    // A request that names one refused channel joins none of its channels.
    let several = json!({ "channels": ["room:a", "secret", "room:b"] });
    let refused = client.call("subscribe", &several).await;
    assert_eq!(refused["error"], "unavailable", "{refused}");
    client.subscribe("room:b").await;
    redis.publish("room:a", "1").await;
    redis.publish("room:b", "2").await;
    assert_eq!(client.message("room:b").await, "2");

    redis.publish("room", "2").await;
    assert_eq!(other.message("room").await, "2");
    server.ready().await;
    let warning = "redis refuses a channel";
    let log = server.log();
    let warnings: Vec<_> = log.iter().filter(|line| line.contains(warning)).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("womack:ns:default:secret"),
        "{warnings:?}"
    );
    let read = metrics::Metrics::of(server.address()).await;
    assert_eq!(read.sum("womack_redis_gaps_total", ""), 0.0);
    assert_eq!(read.sum("womack_connections_closed_total", ""), 0.0);
}

#[tokio::test]
async fn a_client_that_waits_for_no_answer_is_told_that_it_is_unsubscribed() {
    let redis = Redis::start().await;
    let server = server(&redis, &[]).await;
    let mut client = Client::connect(server.address()).await;
    client.emit("subscribe", &json!("secret")).await;
    let packet = client
        .find(|packet| packet.contains("womack:unsubscribed"))
        .await;
    let event: Value = serde_json::from_str(packet.strip_prefix("42").expect("an event")).unwrap();
    let expected = json!({ "channel": "secret", "reason": "unavailable" });
    assert_eq!(event, json!(["womack:unsubscribed", expected]));
    let mut lines = Lines::connect(server.address()).await;
    let answer = lines.ask(&json!({ "subscribe": "secret", "id": 1 })).await;
    assert_eq!(answer["error"], "unavailable", "{answer}");
}

#[tokio::test]
async fn rights_that_are_narrowed_while_the_server_runs_cost_only_the_channels_refused() {
    let redis = Redis::start().await;
    let server = server(&redis, &["--gap-notices"]).await;
    let mut narrow = Client::connect(server.address()).await;
    narrow.subscribe("room:private").await;
    let mut stream = EventStream::open(server.address(), "channel=room:private").await;
    let mut other = Client::connect(server.address()).await;
    other.subscribe("room").await;
    // Redis ends the connections of users that have lost a channel.
    set_rights(&redis, &["&womack:ns:default:room", "&womack:relay:*"]).await;
    narrow
        .find(|packet| packet.contains("womack:unsubscribed"))
        .await;
    let told = stream.event().await;
    assert_eq!(told.name, "womack:unsubscribed");
    other.find(|packet| packet.contains("womack:gap")).await;
    redis.publish("room", "1").await;
    assert_eq!(other.message("room").await, "1");
    server.ready().await;
    eventually("nobody to be in the refused channel", async || {
        let read = metrics::Metrics::of(server.address()).await;
        read.sum("womack_subscriptions", "") == 1.0
    })
    .await;
}

#[tokio::test]
async fn a_refused_pattern_of_other_publishers_costs_nothing_else() {
    let redis = Redis::start().await;
    let server = server(&redis, &["--emitter-key=socket.io"]).await;
    server
        .logged("redis refuses a channel that other publishers use")
        .await;
    server.ready().await;
}
