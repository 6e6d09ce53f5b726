//! A Redis may be reached in several ways, and a server, `publish` and `tail` know them all.

use std::fs;
use std::net::SocketAddr;

use futures_util::StreamExt;
use redis::Client as RedisClient;
use tempfile::TempDir;
use womack_test_support::tls::Certificates;
use womack_test_support::{
    Broker, Client, Launch, Polling, Redis, Server, free_address, http, repository, within,
};

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
async fn the_rules_of_the_readme_let_nodes_and_applications_do_what_they_need_and_no_more() {
    let redis = Redis::start().await;
    let readme = fs::read_to_string(repository().join("README.md")).expect("the README");
    let rules = readme.lines().filter(|line| line.starts_with("ACL "));
    let rules: Vec<Vec<&str>> = rules.map(|rule| rule.split(' ').collect()).collect();
    assert_eq!(
        rules.len(),
        3,
        "a user for nodes, one for applications, and nobody else"
    );
    for rule in &rules {
        redis.command(rule).await;
    }
    let nobody = RedisClient::open(redis.url()).expect("a URL");
    let refusal = async {
        let mut connection = nobody.get_multiplexed_async_connection().await?;
        redis::cmd("PING")
            .query_async::<String>(&mut connection)
            .await
    };
    let error = refusal
        .await
        .expect_err("nobody without a name may do anything");
    assert_eq!(error.code(), Some("NOAUTH"), "{error}");

    let nodes = Url(
        format!("redis://womack:NODE-PASSWORD@{}", redis.address()),
        redis.address(),
    );
    let launch = Launch::new(&nodes).flag("--events-key", "womack:event:default");
    let launch = launch.arg("--client-events").flag("--presence", "/");
    let (one, other) = tokio::join!(launch.clone().start(), launch.start());
    let app = format!("redis://app:APP-PASSWORD@{}", redis.address());
    let app = RedisClient::open(app).expect("a URL");
    let mut events = app.get_async_pubsub().await.expect("Redis");
    let subscribed = events.subscribe("womack:event:default:subscribe").await;
    subscribed.expect("events are for applications");
    let mut app = app.get_multiplexed_async_connection().await.expect("Redis");

    let client = Polling::connect(one.address()).await;
    let mut client = client.by_way_of(other.address());
    client.subscribe("a").await;
    let mut events = events.into_on_message();
    let event = within("a server event", events.next()).await;
    event.expect("a link to Redis");
    let published: i64 = redis::cmd("PUBLISH")
        .arg(&["womack:ns:default:a", "1"])
        .query_async(&mut app)
        .await
        .expect("applications publish");
    assert_eq!(published, 1);
    assert_eq!(client.message("a").await, "1");
    let forged = redis::cmd("PUBLISH")
        .arg(&["womack-relay:00000000", "1"])
        .query_async::<i64>(&mut app)
        .await
        .expect_err("nobody but nodes speaks for nodes");
    assert_eq!(forged.code(), Some("NOPERM"), "{forged}");
    for server in [&one, &other] {
        let log = server.log();
        let refusal = log.iter().find(|line| line.contains("NOPERM"));
        assert_eq!(refusal, None);
    }
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
