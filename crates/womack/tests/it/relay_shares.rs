//! What one address may have of the requests and bytes that go to other nodes.

use std::net::SocketAddr;

use womack_test_support::{Launch, Polling, Redis, Server, metrics, raw::Raw};

/// A GET or POST from an address of this machine.
async fn ask(from: u8, node: SocketAddr, path: &str, body: Option<&str>) -> Raw {
    let mut raw = Raw::connect_from_host(from, node).await;
    let (method, body) = body.map_or(("GET", ""), |body| ("POST", body));
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    raw.send(head.as_bytes()).await;
    raw.send(body.as_bytes()).await;
    raw
}

/// The status and the body of an answer.
async fn answer(mut raw: Raw) -> (String, String) {
    let (head, body) = raw.answer_with_head().await.expect("an answer");
    let body = String::from_utf8_lossy(&body).into_owned();
    (head[9..12].to_owned(), body)
}

fn taken() -> (String, String) {
    ("200".to_owned(), "ok".to_owned())
}

#[tokio::test]
async fn one_address_leaves_the_last_quarter_of_relayed_requests_to_others() {
    let redis = Redis::start().await;
    let owner = Server::start(&redis).await;
    let launch = Launch::new(&redis).flag("--max-relayed-requests", "8");
    let ingress = launch.start().await;
    let mut parked = Vec::new();
    for number in 1..=6 {
        let client = Polling::connect(owner.address()).await;
        let poll = ask(1, ingress.address(), &client.path(), None).await;
        let name = "womack_relay_under_way";
        metrics::reaches(ingress.address(), name, "", f64::from(number)).await;
        parked.push((client, poll));
    }
    let path = parked[0].0.path();
    let (status, _) = answer(ask(1, ingress.address(), &path, Some("3")).await).await;
    assert_eq!(status, "503");
    metrics::limit(ingress.address(), "max_relayed_requests", 1.0).await;
    let elsewhere = ask(2, ingress.address(), &path, Some("3")).await;
    assert_eq!(answer(elsewhere).await, taken());
}

#[tokio::test]
async fn bodies_that_no_session_takes_count_for_longer_against_their_address() {
    let redis = Redis::start().await;
    let owner = Server::start(&redis).await;
    let launch = Launch::new(&redis).flag("--max-relay-bytes", "2000000");
    let ingress = launch.start().await;
    let client = Polling::connect(owner.address()).await;
    let path = client.path();
    let last = if path.ends_with('A') { "B" } else { "A" };
    let forged = format!("{}{last}", &path[..path.len() - 1]);
    let body = format!("42[\"x\",\"{}\"]", "x".repeat(400_000));
    for _ in 0..3 {
        let (status, _) = answer(ask(1, ingress.address(), &forged, Some(&body)).await).await;
        assert_eq!(status, "400");
    }
    for path in [&forged, &path] {
        let (status, _) = answer(ask(1, ingress.address(), path, Some(&body)).await).await;
        assert_eq!(status, "503");
    }
    metrics::limit(ingress.address(), "max_relay_bytes", 2.0).await;
    let small = ask(1, ingress.address(), &path, Some("3")).await;
    assert_eq!(answer(small).await, taken());
    let elsewhere = ask(2, ingress.address(), &path, Some(&body)).await;
    assert_eq!(answer(elsewhere).await, taken());
}
