//! Leaving: a drain on the first signal, the end on the second.

use std::future::Future;

use womack_test_support::clients::Drivers;
use womack_test_support::{Client, Launch, Polling, Redis, Server, Signal, http, metrics, within};

/// Everything that happens until the server has gone must happen while it drains.
async fn ends_with_the_server(server: &mut Server, clients: impl Future<Output = ()>) {
    let (status, ()) = tokio::join!(server.exit(), clients);
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn either_signal_ends_the_server_with_status_0() {
    let redis = Redis::start().await;
    for signal in [Signal::Terminate, Signal::Interrupt] {
        let mut server = Server::start(&redis).await;
        server.signal(signal).await;
        assert_eq!(server.exit().await.code(), Some(0), "{signal:?}");
    }
}

#[tokio::test]
async fn clients_of_both_transports_are_closed() {
    let redis = Redis::start().await;
    let mut server = Server::start(&redis).await;
    let mut sockets = Vec::new();
    for _ in 0..20 {
        sockets.push(Client::connect(server.address()).await);
    }
    let polling = Polling::connect(server.address()).await;
    let poll = polling.poll();
    tokio::pin!(poll);
    // Polled once, so that the request is on its way before the signal is.
    tokio::select! {
        biased;
        answer = &mut poll => panic!("nothing to say yet: {answer:?}"),
        () = std::future::ready(()) => {}
    }
    server.signal(Signal::Terminate).await;
    ends_with_the_server(&mut server, async {
        for socket in &mut sockets {
            let (packets, _) = socket.end().await;
            assert!(packets.len() <= 1, "{packets:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn readiness_turns_503_and_nobody_new_is_taken_while_clients_are_closed() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--drain-seconds", "600");
    let mut server = launch.start().await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(Client::connect(server.address()).await);
    }
    server.signal(Signal::Terminate).await;
    // A balancer must be able to learn of the drain, whether by a 503 or a refused connection.
    let address = server.address();
    within("readiness to end", async {
        while let Ok(stream) = tokio::net::TcpStream::connect(address).await {
            drop(stream);
            if http::try_get(address, "/readyz")
                .await
                .is_none_or(|answer| answer.status == 503)
            {
                break;
            }
        }
    })
    .await;
    assert!(server.is_alive());
    server.signal(Signal::Terminate).await;
    let status = server.exit().await;
    assert!(!server.is_alive(), "{status}");
}

#[tokio::test]
async fn messages_arrive_while_the_server_drains() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--drain-seconds", "600");
    let mut server = launch.start().await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = Client::connect(server.address()).await;
        client.subscribe("a").await;
        clients.push(client);
    }
    server.signal(Signal::Terminate).await;
    server.logged("stopping").await;
    // With eight clients in ten minutes, most are still there.
    redis.publish("a", "1").await;
    let mut served = 0;
    for client in &mut clients {
        let packet = client.packet_or_end().await;
        served += usize::from(packet.is_some_and(|packet| packet == r#"42["a",1]"#));
    }
    assert!(served >= 4, "{served} of 8 were served");
    server.signal(Signal::Interrupt).await;
    server.exit().await;
}

#[tokio::test]
async fn clients_are_closed_one_after_another() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--drain-seconds", "1");
    let mut server = launch.start().await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(Client::connect(server.address()).await);
    }
    server.signal(Signal::Terminate).await;
    ends_with_the_server(&mut server, async {
        for client in &mut clients {
            client.end().await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_server_serves_on_while_balancers_find_out() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--drain-delay", "600");
    let mut server = launch.start().await;
    let mut old = Client::connect(server.address()).await;
    old.subscribe("a").await;
    server.signal(Signal::Terminate).await;
    server.unready().await;
    let mut new = Client::connect(server.address()).await;
    new.subscribe("a").await;
    redis.publish("a", "1").await;
    for client in [&mut old, &mut new] {
        assert_eq!(client.message("a").await, "1");
    }
    server.signal(Signal::Terminate).await;
    assert_eq!(server.exit().await.code(), Some(1));
}

#[tokio::test]
async fn a_client_between_two_polls_is_told_by_the_next() {
    let redis = Redis::start().await;
    let mut server = Server::start(&redis).await;
    let polling = Polling::connect(server.address()).await;
    server.signal(Signal::Terminate).await;
    server.logged("stopping").await;
    ends_with_the_server(&mut server, async {
        let answer = polling.poll().await;
        assert_eq!(answer.status, 410);
    })
    .await;
}

#[tokio::test]
async fn a_client_between_two_polls_gets_all_that_waits_for_it_by_the_next_ones() {
    /// More than three answers hold.
    const MESSAGES: usize = 50;
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--shards", "1");
    let mut server = launch.start().await;
    let mut polling = Polling::connect(server.address()).await;
    polling.subscribe("a").await;
    // What has reached this one waits for the other.
    let mut witness = Client::connect(server.address()).await;
    witness.subscribe("a").await;
    for number in 0..MESSAGES {
        redis.publish("a", &number.to_string()).await;
        assert_eq!(witness.message("a").await, number.to_string());
    }
    server.signal(Signal::Terminate).await;
    server.logged("stopping").await;
    ends_with_the_server(&mut server, async {
        for number in 0..MESSAGES {
            assert_eq!(polling.message("a").await, number.to_string());
        }
        assert_eq!(polling.poll().await.status, 410);
    })
    .await;
}

#[tokio::test]
async fn every_library_comes_back_by_itself() {
    let redis = Redis::start().await;
    let mut server = Launch::new(&redis)
        .flag("--drain-seconds", "0.5")
        .start()
        .await;
    let drivers = Drivers::default();
    let mut clients = drivers.everyone(&server.url("/")).await;
    for client in clients
        .iter_mut()
        .filter(|client| client.flavour().upgrades())
    {
        client.upgraded().await;
    }
    server.stop().await;
    let _server = server.launch().at(server.address()).start().await;
    for client in &mut clients {
        client.connected().await;
        client.subscribe("a").await;
    }
    redis.publish("a", "1").await;
    for client in &mut clients {
        client.message("a").await.is("a", "1");
    }
}

#[tokio::test]
async fn clients_of_a_great_age_are_told_to_come_again() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--max-connection-age", "0.3");
    let server = launch.start().await;
    let mut socket = Client::connect(server.address()).await;
    let polling = Polling::connect(server.address()).await;
    let (_, end) = socket.end().await;
    let end = end.expect("a close frame");
    assert_eq!((end.code.into(), end.reason.as_str()), (1001, "aged"));
    let answer = polling.poll().await;
    assert_eq!(answer.status, 410);
    // Some libraries say goodbye to what has ended.
    assert_eq!(polling.post("1").await.status, 410);
    let aged = r#"reason="aged""#;
    metrics::reaches(
        server.address(),
        "womack_connections_closed_total",
        aged,
        2.0,
    )
    .await;
}

#[tokio::test]
async fn a_server_without_clients_does_not_wait() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--drain-seconds", "3600");
    let mut server = launch.start().await;
    server.stop().await;
}

#[tokio::test]
async fn a_server_without_its_redis_can_be_stopped() {
    let mut redis = Redis::start().await;
    redis.stop().await;
    let mut server = Launch::new(&redis).start_unready().await;
    server.stop().await;
}

#[tokio::test]
async fn a_second_signal_ends_a_drain_at_once() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--drain-seconds", "3600");
    let mut server = launch.start().await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("a").await;
    let mut others = Vec::new();
    for _ in 0..20 {
        others.push(Client::connect(server.address()).await);
    }
    server.signal(Signal::Terminate).await;
    server.logged("stopping").await;
    server.signal(Signal::Terminate).await;
    server.exit().await;
}
