//! How the program starts, and how it says that it does not.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use tempfile::TempDir;
use womack_test_support::{Broker, Client, Launch, Redis, Refusal, Server, free_address, http};

/// Where a Redis is looked for when none is named.
const USUAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 6379);

/// A configuration file that is gone with its folder.
fn file(text: &str) -> (TempDir, String) {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("womack.toml");
    std::fs::write(&path, text).expect("a file in it");
    let path = path
        .to_str()
        .expect("a path of plain characters")
        .to_owned();
    (folder, path)
}

#[track_caller]
fn says(refusal: &Refusal, code: i32, words: &[&str]) {
    assert_eq!(refusal.code, Some(code), "{refusal:?}");
    assert_eq!(refusal.stderr.len(), 1, "one line: {refusal:?}");
    let line = &refusal.stderr[0];
    assert!(line.starts_with("womack: "), "{line}");
    for word in words {
        assert!(line.contains(word), "{word} is not in {line}");
    }
}

#[tokio::test]
async fn a_port_in_use_is_one_line_and_status_1() {
    let redis = Redis::start().await;
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap();
    let refusal = Launch::new(&redis).at(address).refused().await;
    says(&refusal, 1, &[&address.to_string()]);
}

#[tokio::test]
async fn the_port_of_another_womack_is_in_use_too() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let refusal = server.launch().at(server.address()).refused().await;
    says(&refusal, 1, &[&server.address().to_string()]);
    server.ready().await;
}

#[tokio::test]
async fn usage_mistakes_are_one_line_and_status_2() {
    let mistakes: [(&[&str], &str); 18] = [
        (&["--no-such-flag"], "--no-such-flag"),
        (&["--port"], "--port"),
        (&["--port", "many"], "many"),
        (&["--port", "65536"], "65536"),
        (&["--shards", "0"], "shards"),
        (&["--shards", "two"], "two"),
        (&["--ping-interval", "-1"], "-1"),
        (&["--ping-timeout", "soon"], "soon"),
        (&["--max-payload", "lots"], "lots"),
        (&["--namespace", "noslash"], "noslash"),
        (&["--redis-url", "http://localhost"], "http"),
        (&["--cors-origin", "example"], "example"),
        (&["--key", ""], "key"),
        (&["--client-events"], "events-key"),
        (&["--presence=/"], "events-key"),
        (&["--events-key=e", "--presence=/x"], "/x"),
        (&["--events-key=womack:ns:default:e"], "read all events"),
        (&["no-such-command"], "no-such-command"),
    ];
    for (args, word) in mistakes {
        let launch = args
            .iter()
            .fold(Launch::bare(), |launch, arg| launch.arg(arg));
        let refusal = launch.refused().await;
        says(&refusal, 2, &[word]);
    }
}

#[tokio::test]
async fn mistakes_in_the_file_are_one_line_and_status_2() {
    let mistakes = [
        ("\nprot = 1\n", "prot"),
        ("port = 'x'\n", ":1"),
        ("\n\nport = 70000\n", ":3"),
        ("port = \n", ":1"),
        ("[server]\nport = 1\n", "server"),
        ("shards = 0\n", "shards"),
        ("redis-url = 'ftp://x'\n", "ftp"),
        ("namespace = ['nope']\n", "slash"),
        ("ping-interval = true\n", ":1"),
    ];
    for (text, word) in mistakes {
        let (_folder, path) = file(text);
        let refusal = Launch::bare().flag("--config", &path).refused().await;
        says(&refusal, 2, &[word]);
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_one_line_and_status_2() {
    let (folder, path) = file("");
    let nowhere = format!("{path}.not-there");
    says(
        &Launch::bare().flag("--config", &nowhere).refused().await,
        2,
        &["not-there"],
    );
    let directory = folder.path().to_str().unwrap();
    says(
        &Launch::bare().flag("--config", directory).refused().await,
        2,
        &[directory],
    );
    std::fs::write(&path, b"port = 1 # \xff\n").unwrap();
    says(
        &Launch::bare().flag("--config", &path).refused().await,
        2,
        &["womack.toml"],
    );
}

#[tokio::test]
async fn mistakes_in_the_environment_are_one_line_and_status_2() {
    for (name, value) in [
        ("WOMACK_PORT", "many"),
        ("WOMACK_SHARDS", "-1"),
        ("WOMACK_PING_INTERVAL", "soon"),
        ("WOMACK_REDIS_URL", "http://x"),
    ] {
        let refusal = Launch::bare().env(name, value).refused().await;
        says(&refusal, 2, &[]);
    }
}

#[tokio::test]
async fn flags_win_over_environment_over_file_over_defaults() {
    let redis = Redis::start().await;
    let (_folder, path) = file("ping-interval = 33\nping-timeout = 33\nmax-payload = 3333\n");
    let server = Launch::new(&redis)
        .flag("--config", &path)
        .env("WOMACK_PING_INTERVAL", "22")
        .env("WOMACK_PING_TIMEOUT", "22")
        .flag("--ping-interval", "11")
        .start()
        .await;
    let mut client = Client::raw(server.address(), "/socket.io/?EIO=4&transport=websocket").await;
    let open = client.packet().await;
    let expected = r#""pingInterval":11000,"pingTimeout":22000,"maxPayload":3333}"#;
    assert!(open.ends_with(expected), "{open}");
}

#[tokio::test]
async fn the_environment_alone_configures_it() {
    let redis = Redis::start().await;
    let server = Launch::bare()
        .env("WOMACK_HOST", "127.0.0.1")
        .env("WOMACK_PORT", "0")
        .env("WOMACK_REDIS_HOST", "127.0.0.1")
        .env("WOMACK_REDIS_PORT", &redis.address().port().to_string())
        .env("WOMACK_KEY", "other:key")
        .env("WOMACK_NAMESPACE", "/a,/b=k")
        .start()
        .await;
    for (namespace, channel) in [("/", "other:key:x"), ("/a", "other:key:x"), ("/b", "k:x")] {
        let mut client = Client::connect_to(server.address(), namespace).await;
        client.subscribe("x").await;
        redis.publish_bytes(channel.as_bytes(), b"1").await;
        assert_eq!(client.message("x").await, "1");
    }
}

#[tokio::test]
async fn the_flags_of_old_keep_their_meaning() {
    let redis = Redis::start().await;
    let port = redis.address().port().to_string();
    let launch = Launch::bare()
        .flag("-H", "127.0.0.1")
        .flag("-p", "0")
        .arg("--debug");
    let server = launch
        .flag("--redis-host", "127.0.0.1")
        .flag("--redis-port", &port)
        .start()
        .await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    redis.publish("a", "1").await;
    assert_eq!(client.message("a").await, "1");
}

#[tokio::test]
async fn help_and_version_are_no_mistakes() {
    for flag in ["--help", "--version", "-h", "-V"] {
        let (code, stdout) = Launch::bare().arg(flag).output().await;
        assert_eq!(code, Some(0), "{flag}");
        assert!(stdout.join("\n").contains("womack"), "{flag}: {stdout:?}");
    }
}

#[tokio::test]
async fn publish_and_tail_speak_through_redis() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    let publish = |json: &str| {
        let publish = Launch::bare().flag("publish", "a").arg(json);
        publish.flag("--redis-url", &redis.url())
    };
    let (code, _) = publish(r#"{"hello":"world"}"#).output().await;
    assert_eq!(code, Some(0));
    let envelope = client.message("a").await;
    assert!(envelope.contains(r#"{"hello":"world"}"#), "{envelope}");
    let refusal = publish("{not json").refused().await;
    says(&refusal, 2, &[]);
}

#[tokio::test]
async fn publishing_without_redis_is_one_line_and_status_1() {
    let nowhere = free_address();
    let launch = Launch::bare()
        .flag("publish", "a")
        .arg("1")
        .flag("--redis-url", &nowhere.url());
    says(&launch.refused().await, 1, &[]);
}

#[tokio::test]
async fn the_embedded_broker_steps_in_only_when_nothing_is_said_and_nothing_is_there() {
    if TcpStream::connect(USUAL).is_ok() {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI must have nothing at {USUAL}"
        );
        println!("skipped: something listens at {USUAL}, and it may be somebody's Redis");
        return;
    }
    let bare = || {
        Launch::bare()
            .flag("--host", "127.0.0.1")
            .flag("--port", "0")
    };
    let server = bare().start().await;
    let warnings = |server: &Server| {
        let is_warning = |line: &&String| line.contains(r#""level":"WARN""#);
        server
            .log()
            .iter()
            .filter(is_warning)
            .cloned()
            .collect::<Vec<_>>()
    };
    let said = warnings(&server);
    assert!(said.len() == 1 && said[0].contains("6379"), "{said:?}");
    assert!(
        TcpStream::connect(USUAL).is_ok(),
        "redis-cli finds a broker"
    );
    let mut client = Client::connect(server.address()).await;
    client.subscribe("hello").await;

    // A second one finds the first one's broker, as it would find a Redis.
    let second = bare().start().await;
    assert_eq!(warnings(&second), Vec::<String>::new());
    let mut other = Client::connect(second.address()).await;
    other.subscribe("hello").await;
    let publish = Launch::bare().flag("publish", "hello").arg("1");
    assert_eq!(publish.output().await.0, Some(0));
    for client in [&mut client, &mut other] {
        assert!(client.message("hello").await.contains('1'));
    }
    drop((server, second));

    // Any Redis setting at all, and it stays away.
    let settings = [("--redis-host", "127.0.0.1"), ("--redis-port", "6379")];
    for (flag, value) in settings {
        let server = bare().flag(flag, value).start_unready().await;
        assert_eq!(http::get(server.address(), "/readyz").await.status, 503);
        assert!(
            TcpStream::connect(USUAL).is_err(),
            "{flag} given, yet there is a broker"
        );
    }
}
