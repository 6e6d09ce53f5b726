//! Long-polling: one session over many connections, on whichever shard they land.

use womack_test_support::http::Method;
use womack_test_support::{Client, Launch, Polling, Redis, Server, http, metrics, within};

#[tokio::test]
async fn requests_of_a_session_work_on_either_shard() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = Polling::connect(server.address()).await;
        client.subscribe("a").await;
        clients.push(client);
    }
    for round in 0..5 {
        let envelope = format!(r#"{{"data":"žluť 😀","n":{round}}}"#);
        redis.publish("a", &envelope).await;
        for client in &mut clients {
            assert_eq!(client.message("a").await, envelope);
        }
    }
    // With 20 sessions of a dozen connections each, some landed elsewhere than their session.
    metrics::reaches(server.address(), "womack_requests_forwarded_total", "", 1.0).await;
}

#[tokio::test]
async fn a_waiting_poll_is_answered_by_a_message() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Polling::connect(server.address()).await;
    client.subscribe("a").await;
    for n in 0..10 {
        let envelope = n.to_string();
        let (answer, _) = tokio::join!(client.poll(), redis.publish("a", &envelope));
        assert_eq!(answer.text(), format!(r#"42["a",{n}]"#));
        assert_eq!(answer.header("content-type"), "text/plain; charset=UTF-8");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn an_answer_has_sixteen_packets_at_most() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut clients = [
        Polling::connect(server.address()).await,
        Polling::connect_eio3(server.address()).await,
    ];
    let mut witness = Client::connect(server.address()).await;
    for client in &mut clients {
        client.subscribe("a").await;
    }
    witness.subscribe("a").await;
    redis
        .publish_all("a", (0..100).map(|n| n.to_string()))
        .await;
    for n in 0..100 {
        assert_eq!(witness.message("a").await, n.to_string());
    }
    for client in clients {
        let mut next = 0;
        while next < 100 {
            let packets = client.split(&client.poll().await.text());
            assert!((1..=16).contains(&packets.len()), "{packets:?}");
            for packet in packets {
                assert_eq!(packet, format!(r#"42["a",{next}]"#));
                next += 1;
            }
        }
    }
}

#[tokio::test]
async fn several_packets_come_in_one_body() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Polling::connect(server.address()).await;
    let subscribe = |channel: &str| format!(r#"42["subscribe",{{"channel":"{channel}"}}]"#);
    let bodies = [subscribe("ž"), subscribe("b"), subscribe("c")].join("\u{1e}");
    client.send(&bodies).await;
    client.subscribe("d").await;
    for channel in ["ž", "b", "c", "d"] {
        redis.publish(channel, "1").await;
        assert_eq!(client.message(channel).await, "1");
    }
}

#[tokio::test]
async fn a_second_poll_ends_the_session() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let client = Polling::connect(server.address()).await;
    let (first, second) = within("both polls", async {
        tokio::join!(client.poll(), client.poll())
    })
    .await;
    let statuses = [first.status, second.status];
    assert!(statuses.contains(&200), "{statuses:?}");
    assert!(
        statuses.contains(&400) || statuses.contains(&500),
        "{statuses:?}"
    );
    let closed = if first.status == 200 { first } else { second };
    assert_eq!(closed.text(), "1");
    assert_eq!(client.poll().await.status, 400);
}

#[tokio::test]
async fn a_close_packet_ends_the_polling_session() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let client = Polling::connect(server.address()).await;
    let (poll, ()) = tokio::join!(client.poll(), client.send("1"));
    assert!(
        poll.status == 200 && poll.text() == "6" || poll.status == 400,
        "{}",
        poll.text()
    );
    let answer = client.poll().await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.text(),
        r#"{"code":1,"message":"Session ID unknown"}"#
    );
}

#[tokio::test]
async fn a_session_that_does_not_poll_times_out() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis)
        .flag("--ping-interval", "0.2")
        .flag("--ping-timeout", "0.2");
    let server = launch.start().await;
    let client = Polling::connect(server.address()).await;
    let reason = r#"reason="ping_timeout""#;
    metrics::reaches(
        server.address(),
        "womack_connections_closed_total",
        reason,
        1.0,
    )
    .await;
    assert_eq!(client.poll().await.status, 400);
}

#[tokio::test]
async fn pings_answer_waiting_polls() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis)
        .flag("--ping-interval", "0.1")
        .flag("--ping-timeout", "20");
    let server = launch.start().await;
    let client = Polling::connect(server.address()).await;
    for _ in 0..5 {
        assert_eq!(client.poll().await.text(), "2");
        client.send("3").await;
    }
}

#[tokio::test]
async fn messages_wait_between_two_polls() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Polling::connect(server.address()).await;
    let mut witness = Client::connect(server.address()).await;
    client.subscribe("a").await;
    witness.subscribe("a").await;
    for n in 0..3 {
        redis.publish("a", &n.to_string()).await;
        witness.message("a").await;
    }
    for n in 0..3 {
        assert_eq!(client.message("a").await, n.to_string());
    }
}

#[tokio::test]
async fn a_poll_that_is_given_up_closes_the_session() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    // A request whose end comes together with its head may be given up before it is a poll, which
    // ends nothing; so sessions give one up until one of them has ended.
    womack_test_support::eventually("a poll to be given up", async || {
        let client = Polling::connect(server.address()).await;
        let mut raw = womack_test_support::raw::Raw::connect(server.address()).await;
        let request = format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", client.path());
        raw.send(request.as_bytes()).await;
        raw.finish().await;
        let metrics = metrics::Metrics::of(server.address()).await;
        metrics.sum("womack_connections_closed_total", "poll_aborted") >= 1.0
    })
    .await;
}

#[tokio::test]
async fn preflights_are_answered() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let headers = [
        ("origin", "http://page.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type"),
    ];
    let path = "/socket.io/?EIO=4&transport=polling";
    let answer = http::request(server.address(), Method::OPTIONS, path, &headers, "").await;
    assert_eq!(answer.status, 204);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        "http://page.example"
    );
    assert_eq!(answer.header("access-control-allow-credentials"), "true");
    assert!(
        answer
            .header("access-control-allow-methods")
            .contains("POST")
    );
    assert!(
        answer
            .header("access-control-allow-headers")
            .to_lowercase()
            .contains("content-type")
    );
}
