//! The defaults refuse no ordinary use, although many clients share an address.

use std::iter;

use serde_json::json;
use womack_test_support::{
    Launch, Redis, Server,
    metrics::Metrics,
    raw::{self, Raw},
};

use crate::turn;

const SOCKET: &str = "/socket.io/?EIO=4&transport=websocket";
/// Number of clients that connect at the same time.
const AT_A_TIME: usize = 250;

/// The bytes of a client that subscribes to a channel, after the `head` of its request.
fn requests(head: &str) -> Vec<u8> {
    let subscribe = format!("420{}", json!(["subscribe", "all"]));
    [head.as_bytes(), &raw::text("40"), &raw::text(&subscribe)].concat()
}

/// Opens a client for each of `heads`, many at the same time, and subscribes all to one channel.
async fn all_subscribe(server: &Server, heads: &[String]) -> Vec<Raw> {
    let mut clients = Vec::new();
    for crowd in heads.chunks(AT_A_TIME) {
        let first = clients.len();
        for head in crowd {
            let mut client = Raw::connect(server.address()).await;
            client.send(&requests(head)).await;
            clients.push(client);
        }
        for client in &mut clients[first..] {
            let head = client.head().await;
            assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
            for packet in ["0{", "40{", r#"430[{"ok":true"#] {
                let frame = client.frame().await.expect("a packet");
                assert!(frame.payload.starts_with(packet.as_bytes()), "{frame:?}");
            }
        }
    }
    clients
}

/// Checks that all get a message and that no limit was reached.
async fn all_are_served(server: &Server, redis: &Redis, clients: &mut [Raw]) {
    redis.publish("all", "1").await;
    for client in clients {
        let frame = client.frame().await.expect("a message");
        assert_eq!(frame.payload, br#"42["all",1]"#);
    }
    let metrics = Metrics::of(server.address()).await;
    assert_eq!(metrics.sum("womack_limit_reached_total", ""), 0.0);
}

#[tokio::test]
async fn twenty_tabs_of_a_page_are_served() {
    let _alone = turn().await;
    let redis = Redis::start().await;
    let server = Launch::new(&redis).start().await;
    let mut pages = Vec::new();
    for _ in 0..20 {
        let mut page = Raw::connect(server.address()).await;
        page.send(b"GET /womack.js HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
        let (status, _) = page.answer().await.expect("an answer");
        assert_eq!(status, 200);
        pages.push(page);
    }
    let heads = vec![raw::handshake(SOCKET); 20];
    let mut clients = all_subscribe(&server, &heads).await;
    all_are_served(&server, &redis, &mut clients).await;
}

#[tokio::test]
async fn five_hundred_pupils_behind_one_address_are_served_where_it_may_have_them() {
    let _alone = turn().await;
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--max-connections", "600")
        .flag("--max-connections-per-address", "500")
        .start()
        .await;
    let heads = vec![raw::handshake(SOCKET); 500];
    let mut clients = all_subscribe(&server, &heads).await;
    all_are_served(&server, &redis, &mut clients).await;
}

/// Addresses of clients, none of them twice.
fn addresses() -> impl Iterator<Item = String> {
    let mut number: u32 = 0x0a00_0000;
    iter::repeat_with(move || {
        number += 1;
        std::net::Ipv4Addr::from(number).to_string()
    })
}

#[tokio::test]
async fn five_thousand_clients_behind_a_balancer_that_names_them_in_a_header_are_served() {
    let _alone = turn().await;
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--trusted-proxy", "127.0.0.1")
        .start()
        .await;
    let heads = addresses().take(5000).map(|address| {
        let header = format!("\r\nX-Forwarded-For: {address}\r\n\r\n");
        raw::handshake(SOCKET).replace("\r\n\r\n", &header)
    });
    let heads: Vec<_> = heads.collect();
    let mut clients = all_subscribe(&server, &heads).await;
    all_are_served(&server, &redis, &mut clients).await;
}

#[tokio::test]
async fn clients_behind_a_balancer_do_not_share_its_part_of_the_sessions() {
    let _alone = turn().await;
    let redis = Redis::start().await;
    let admin = womack_test_support::free_address();
    let server = Launch::new(&redis)
        .flag("--trusted-proxy", "127.0.0.1")
        .arg("--proxy-protocol")
        .flag("--admin-listen", &admin.to_string())
        .flag("--max-connections", "1000")
        .start_unready()
        .await;
    let heads = addresses().take(1000).map(|address| {
        let header = format!("PROXY TCP4 {address} 198.51.100.1 4711 80\r\n");
        header + &raw::handshake(SOCKET)
    });
    let heads: Vec<_> = heads.collect();
    let mut clients = all_subscribe(&server, &heads).await;
    redis.publish("all", "1").await;
    for client in &mut clients {
        let frame = client.frame().await.expect("a message");
        assert_eq!(frame.payload, br#"42["all",1]"#);
    }
    let metrics = Metrics::of(admin).await;
    assert_eq!(metrics.sum("womack_limit_reached_total", ""), 0.0);
}
