//! A Redis may be reached in several ways, and a server, `publish` and `tail` know them all.

use std::net::SocketAddr;

use tempfile::TempDir;
use womack_test_support::tls::Certificates;
use womack_test_support::{Broker, Client, Launch, Redis, Server, free_address, http};

/// A URL of a Redis that is reached in another way than by its address.
struct Url(String, SocketAddr);

impl Broker for Url {
    fn address(&self) -> SocketAddr {
        self.1
    }

    fn url(&self) -> String {
        self.0.clone()
    }
}

/// Everything works with `launch`, and what `redis` publishes arrives.
async fn serves(launch: Launch, redis: &Redis) {
    let server = launch.clone().start().await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    redis.publish("a", "1").await;
    assert_eq!(client.message("a").await, "1");
    let publish = Launch::bare().flag("publish", "a").arg("2").like(&launch);
    assert_eq!(publish.output().await.0, Some(0));
    assert_eq!(client.message("a").await, "2");
}

async fn reason(server: &Server) -> String {
    server.unready().await;
    http::get(server.address(), "/readyz").await.text()
}

#[tokio::test]
async fn a_redis_with_user_password_and_database_is_used() {
    let user = "app on >p:w/d ~* resetchannels &womack:* -@all +@pubsub +ping +auth +select";
    let settings: Vec<_> = ["--user"].into_iter().chain(user.split(' ')).collect();
    let redis = Redis::start_with(&settings).await;
    let url = format!("redis://app:p%3Aw%2Fd@{}/3", redis.address());
    serves(Launch::new(&Url(url, redis.address())), &redis).await;
}

#[tokio::test]
async fn a_wrong_password_is_named_and_the_server_stays() {
    let redis = Redis::start_with(&["--user", "app", "on", ">right", "~*", "&*", "+@all"]).await;
    let url = format!("redis://app:wrong@{}", redis.address());
    let server = Launch::new(&Url(url, redis.address()))
        .start_unready()
        .await;
    server.logged("WRONGPASS").await;
    let reason = reason(&server).await;
    assert!(
        reason.contains("WRONGPASS") && !reason.contains("wrong@"),
        "{reason}"
    );
    redis.command(&["ACL", "SETUSER", "app", ">wrong"]).await;
    server.ready().await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    redis.publish("a", "1").await;
    assert_eq!(client.message("a").await, "1");
}

#[tokio::test]
async fn a_channel_that_redis_forbids_is_named() {
    let user = [
        "--user",
        "app",
        "on",
        ">p",
        "~*",
        "resetchannels",
        "&other:*",
        "+@all",
    ];
    let redis = Redis::start_with(&user).await;
    let url = format!("redis://app:p@{}", redis.address());
    let server = Launch::new(&Url(url, redis.address())).start().await;
    let mut client = Client::connect(server.address()).await;
    client.emit("subscribe", &serde_json::json!("a")).await;
    let line = server.logged("redis refuses a channel").await;
    assert!(
        line.contains("NOPERM") && line.contains("womack:ns:default:a"),
        "{line}"
    );
}

#[tokio::test]
async fn a_redis_at_a_unix_socket_is_used() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("redis.sock");
    let path = path.to_str().unwrap();
    let redis = Redis::start_with(&["--unixsocket", path]).await;
    let url = format!("unix://{path}");
    serves(Launch::new(&Url(url, redis.address())), &redis).await;
}

#[tokio::test]
async fn a_redis_behind_tls_with_an_own_ca_and_client_certificate_is_used() {
    let made = Certificates::new();
    let secure = free_address();
    let redis = Redis::start_with(&made.of_redis(secure.port())).await;
    let url = Url(format!("rediss://{secure}"), secure);
    serves(made.of_client(Launch::new(&url)), &redis).await;

    // A certificate of somebody else's is not taken, and neither is the lack of one.
    let others = Certificates::new();
    let launch = Launch::new(&url).flag("--redis-ca", &others.path("ca.pem"));
    let server = launch.start_unready().await;
    server.logged("redis cannot be reached, trying again").await;
    let reason = reason(&server).await;
    assert!(reason.contains("certificate"), "{reason}");
    let launch = Launch::new(&url).flag("--redis-ca", &made.path("ca.pem"));
    let server = launch.start_unready().await;
    server.logged("redis cannot be reached, trying again").await;
}

#[tokio::test]
async fn an_address_that_does_not_speak_redis_is_named() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let other = Launch::new(&server.address()).start_unready().await;
    let line = other.logged("redis cannot be reached, trying again").await;
    assert!(line.contains("is no redis"), "{line}");
}
