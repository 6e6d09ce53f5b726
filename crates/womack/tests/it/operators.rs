//! What operators ask on the command line: `womack health`, `womack explain` and `womack top`.

use serde_json::Value;
use womack_test_support::{Client, EventStream, Launch, Redis, Server, free_address};

async fn asked(arguments: &[&str]) -> (Option<i32>, String) {
    let launch = arguments
        .iter()
        .fold(Launch::bare(), |launch, argument| launch.arg(argument));
    let (status, lines) = launch.output().await;
    (status, lines.join("\n"))
}

#[tokio::test]
async fn health_exits_with_the_readiness_of_its_server() {
    let redis = Redis::start().await;
    let mut server = Server::start(&redis).await;
    let url = server.url("");
    assert_eq!(asked(&["health", "--admin", &url]).await.0, Some(0));
    server.stop().await;
    assert_eq!(asked(&["health", "--admin", &url]).await.0, Some(1));
    assert_eq!(
        asked(&["health", "--admin", "https://localhost"]).await.0,
        Some(2)
    );
}

#[tokio::test]
async fn explain_names_who_would_get_a_message() {
    let redis = Redis::start().await;
    let (first, second) = (
        Launch::new(&redis)
            .flag("--namespace", "/tenant=other:key")
            .start()
            .await,
        Server::start(&redis).await,
    );
    let mut clients = Vec::new();
    for server in [&first, &first, &second] {
        let mut client = Client::connect(server.address()).await;
        client.subscribe("hello").await;
        clients.push(client);
    }
    let stream = EventStream::open(first.address(), "channel=hello").await;
    let (one, two) = (first.url(""), second.url(""));
    let nodes = ["--admin", one.as_str(), "--admin", two.as_str()];
    let (status, text) = asked(&[&["explain", "hello"], &nodes[..]].concat()).await;
    assert_eq!(status, Some(0), "{text}");
    for part in [
        "\"hello\": 4 clients on 2 nodes",
        "namespace /: 3 clients, published on \"womack:ns:default:hello\"",
        "namespace /tenant: 0 clients, published on \"other:key:hello\"",
        "1 client (sse)",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    drop(stream);

    let (_, text) = asked(&[&["explain", "Hello", "--json"], &nodes[..]].concat()).await;
    let nodes: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        nodes[0]["namespaces"][0]["shards"].as_array().map(Vec::len),
        Some(0)
    );
    assert_eq!(
        nodes[1]["alike"][0]["redis_channel"],
        "womack:ns:default:hello"
    );
    assert_eq!(nodes[1]["alike"][0]["difference"], "case");
    assert_eq!(nodes[1]["alike"][0]["subscribers"], 1);
}

#[tokio::test]
async fn explain_says_what_keeps_messages_away() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--coalesce-ms", "20")
        .start()
        .await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("hello").await;
    let url = server.url("");
    let long = "x".repeat(1025);
    for (channel, part) in [
        ("hello", "messages wait up to 20 ms for others"),
        (
            "connect",
            "no client can subscribe to it: this name is reserved",
        ),
        (long.as_str(), "a channel name has 1024 bytes at most"),
        (
            "womack:ns:default:hello",
            "\"womack:ns:default:hello\" has 1 client and differs by the key",
        ),
        ("hello ", "differs by spaces or colons"),
        ("hallo", "differs by one character"),
    ] {
        let (status, text) = asked(&["explain", channel, "--admin", &url]).await;
        assert_eq!(status, Some(0), "{text}");
        assert!(text.contains(part), "{part}\n{text}");
    }
}

#[tokio::test]
async fn top_shows_channels_by_what_they_have_to_do() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut clients = Vec::new();
    for channels in [&["busy", "crowded"][..], &["crowded"], &["crowded"]] {
        let mut client = Client::connect(server.address()).await;
        for channel in channels {
            client.subscribe(channel).await;
        }
        clients.push(client);
    }
    let url = server.url("");
    let publishing = async {
        loop {
            redis.publish("busy", "1").await;
        }
    };
    let by_messages = [
        "top",
        "--once",
        "--json",
        "--interval",
        "1",
        "--admin",
        &url,
    ];
    let text = tokio::select! {
        (status, text) = asked(&by_messages) => {
            assert_eq!(status, Some(0), "{text}");
            text
        }
        () = publishing => unreachable!("it publishes without end"),
    };
    let top: Value = serde_json::from_str(&text).expect("one line of JSON");
    assert_eq!((&top["nodes"], &top["clients"]), (&1.into(), &3.into()));
    assert_eq!(top["channels"][0]["channel"], "busy");
    for (of, figure) in [
        (&top["channels"][0], "messages_per_second"),
        (&top["channels"][0], "deliveries_per_second"),
        (&top["namespaces"][0], "messages_per_second"),
        (&top["namespaces"][0], "bytes_per_second"),
    ] {
        assert!(of[figure].as_f64() > Some(0.0), "{figure}: {text}");
    }
    let by_subscribers = ["top", "--once", "--sort", "subscribers", "--admin", &url];
    let (_, text) = asked(&by_subscribers).await;
    let mut lines = text.lines().skip_while(|line| !line.ends_with("  channel"));
    let line = lines.nth(1).unwrap_or_default();
    assert_eq!(
        line.split_whitespace().collect::<Vec<_>>(),
        ["3", "0.0", "-", "0", "crowded"],
        "{text}"
    );
}

#[tokio::test]
async fn tools_that_reach_no_server_say_so() {
    let nobody = format!("http://{}", free_address());
    for command in [&["top", "--once"][..], &["explain", "a"]] {
        let arguments = [command, &["--admin", &nobody]].concat();
        assert_eq!(asked(&arguments).await.0, Some(1), "{arguments:?}");
    }
}
