//! Leaving: a drain on the first signal, the end on the second.

use std::future::Future;

use womack_test_support::{Client, Launch, Polling, Redis, Server, Signal, http, within};

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
