//! From polling to WebSocket, without losing a message on the way.

use womack_test_support::clients::{Drivers, FLAVOURS};
use womack_test_support::proxy::NoWebSockets;
use womack_test_support::raw::Raw;
use womack_test_support::{Client, Polling, Redis, Server, Signal, metrics};

#[tokio::test]
async fn every_library_that_can_upgrades() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let drivers = Drivers::default();
    for flavour in FLAVOURS.iter().filter(|flavour| flavour.upgrades()) {
        let mut client = drivers.connect(*flavour, &server.url("/")).await;
        assert_eq!(client.upgraded().await, "websocket", "{flavour:?}");
        client.subscribe("a").await;
        redis.publish("a", r#"{"data":"é"}"#).await;
        client.message("a").await.is("a", r#"{"data":"é"}"#);
    }
}

#[tokio::test]
async fn every_library_gets_all_messages_while_it_upgrades() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let drivers = Drivers::default();
    for flavour in FLAVOURS.iter().filter(|flavour| flavour.upgrades()) {
        let mut client = drivers.connect(*flavour, &server.url("/")).await;
        client.subscribe("a").await;
        let mut published = 0;
        {
            let mut upgraded = std::pin::pin!(client.upgraded());
            loop {
                redis.publish("a", &published.to_string()).await;
                published += 1;
                tokio::select! {
                    biased;
                    _ = &mut upgraded => break,
                    () = std::future::ready(()) => {}
                }
            }
        }
        redis.publish("a", &published.to_string()).await;
        for n in 0..=published {
            client.message("a").await.is("a", &n.to_string());
        }
    }
}

#[tokio::test]
async fn every_library_stays_with_polling_where_websockets_are_refused() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let proxy = NoWebSockets::before(server.address()).await;
    let drivers = Drivers::default();
    for flavour in FLAVOURS.iter().filter(|flavour| flavour.upgrades()) {
        let url = format!("http://{}/", proxy.address());
        let mut client = drivers.connect(*flavour, &url).await;
        client.subscribe("a").await;
        let metrics = metrics::Metrics::of(server.address()).await;
        let upgrades = metrics.sum("womack_upgrades_total", "");
        assert!(upgrades < 0.5, "{flavour:?} upgrades");
        for n in 0..5 {
            redis.publish("a", &n.to_string()).await;
            client.message("a").await.is("a", &n.to_string());
        }
    }
}

#[tokio::test]
async fn an_upgrade_follows_the_specification() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut polling = Polling::connect(server.address()).await;
    polling.subscribe("a").await;
    let mut socket = Client::raw(server.address(), &polling.upgrade_path()).await;
    let (poll, ()) = tokio::join!(polling.poll(), async {
        socket.send("2probe").await;
        assert_eq!(socket.packet().await, "3probe");
    });
    assert_eq!(poll.text(), "6");
    let mut witness = Client::connect(server.address()).await;
    witness.subscribe("a").await;
    for message in ["1", "2"] {
        redis.publish("a", message).await;
        assert_eq!(witness.message("a").await, message);
    }
    socket.send("5").await;
    assert_eq!(socket.message("a").await, "1");
    assert_eq!(socket.message("a").await, "2");
    assert_eq!(polling.poll().await.status, 400);
    let mut second = Client::raw(server.address(), &polling.upgrade_path()).await;
    assert_eq!(second.end().await.0, Vec::<String>::new());
    redis.publish("a", "3").await;
    assert_eq!(socket.message("a").await, "3");
}

#[tokio::test]
async fn polls_go_on_until_the_upgrade_is_complete() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut polling = Polling::connect(server.address()).await;
    let mut socket = Client::raw(server.address(), &polling.upgrade_path()).await;
    polling.subscribe("a").await;
    redis.publish("a", "1").await;
    assert_eq!(polling.message("a").await, "1");
    socket.send("2probe").await;
    assert_eq!(socket.packet().await, "3probe");
    polling.send(r#"420["subscribe",{"channel":"b"}]"#).await;
    socket.send("5").await;
    socket.find(|packet| packet.starts_with("430[")).await;
    redis.publish("b", "2").await;
    assert_eq!(
        socket.find(|packet| packet.contains("\"b\",")).await,
        r#"42["b",2]"#
    );
}

#[tokio::test]
async fn a_poll_that_is_read_together_with_the_upgrade_is_refused() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut sessions = Vec::new();
    for _ in 0..16 {
        let polling = Polling::connect(server.address()).await;
        let mut socket = Client::raw(server.address(), &polling.upgrade_path()).await;
        socket.send("2probe").await;
        assert_eq!(socket.packet().await, "3probe");
        let mut request = Raw::connect(server.address()).await;
        // Half of a request, so that the server has accepted the connection before it is halted.
        request.send(b"GET ").await;
        sessions.push((polling, socket, request));
    }
    server.signal(Signal::Halt).await;
    for (polling, socket, request) in &mut sessions {
        socket.send("5").await;
        let path = polling.path();
        let rest = format!("{path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        request.send(rest.as_bytes()).await;
    }
    server.signal(Signal::GoOn).await;
    for (_, _, request) in &mut sessions {
        let head = request.head().await;
        assert!(head.starts_with("HTTP/1.1 400"), "{head}");
    }
}

#[tokio::test]
async fn a_probe_that_is_given_up_leaves_the_polling_session_alone() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut polling = Polling::connect(server.address()).await;
    polling.subscribe("a").await;
    let mut socket = Client::raw(server.address(), &polling.upgrade_path()).await;
    socket.send("2probe").await;
    assert_eq!(socket.packet().await, "3probe");
    socket.close().await;
    // The poll that the probe wanted ended may come first.
    redis.publish("a", "1").await;
    let mut packet = polling.packet().await;
    if packet == "6" {
        packet = polling.packet().await;
    }
    assert_eq!(packet, r#"42["a",1]"#);
    let mut again = Client::raw(server.address(), &polling.upgrade_path()).await;
    again.send("2probe").await;
    assert_eq!(again.packet().await, "3probe");
    again.send("5").await;
    redis.publish("a", "2").await;
    assert_eq!(again.message("a").await, "2");
}

#[tokio::test]
async fn sessions_upgrade_from_and_to_either_shard() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut sockets = Vec::new();
    for _ in 0..20 {
        let mut polling = Polling::connect(server.address()).await;
        polling.subscribe("a").await;
        let mut socket = Client::raw(server.address(), &polling.upgrade_path()).await;
        socket.send("2probe").await;
        assert_eq!(socket.packet().await, "3probe");
        socket.send("5").await;
        sockets.push(socket);
    }
    redis.publish("a", "1").await;
    for socket in &mut sockets {
        assert_eq!(socket.message("a").await, "1");
    }
    metrics::reaches(server.address(), "womack_upgrades_total", "", 20.0).await;
}

#[tokio::test]
async fn an_upgrade_of_no_session_is_refused() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let path = "/socket.io/?EIO=4&transport=websocket&sid=nobody";
    match Client::try_raw(server.address(), path).await {
        Ok(mut socket) => assert!(socket.end().await.0.is_empty()),
        Err(error) => assert!(error.to_string().contains("400"), "{error}"),
    }
}
