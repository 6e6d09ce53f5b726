//! What operators look at: `/stats`, and the dashboard that is fed with it, in a real browser.

use serde_json::Value;
use womack::stats::{ChannelLine, Stats};
use womack_test_support::browser::Page;
use womack_test_support::raw::Raw;
use womack_test_support::{
    Client, Driver, Launch, Polling, Redis, Server, eventually, http, within,
};

async fn stats(server: &Server) -> Stats {
    let answer = http::get(server.address(), "/stats").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    serde_json::from_str(&answer.text()).expect("figures as JSON")
}

#[tokio::test]
async fn stats_say_who_is_there_and_what_they_get() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut socket = Client::connect(server.address()).await;
    let mut polling = Polling::connect(server.address()).await;
    socket.subscribe("a").await;
    polling.subscribe("a").await;
    socket.subscribe("b").await;
    redis.publish("a", "1").await;
    redis.publish("a", "2").await;
    for message in ["1", "2"] {
        assert_eq!(socket.message("a").await, message);
    }
    assert_eq!(polling.message("a").await, "1");
    eventually("all to be counted", async || {
        let stats = stats(&server).await;
        let connections: i64 = stats.shards.iter().map(|shard| shard.connections).sum();
        stats.delivery.seconds.counts.len() == 19 && stats.deliveries() == 4 && connections == 2
    })
    .await;
    let stats = stats(&server).await;
    assert_eq!(stats.clients.connections["websocket"], 1);
    assert_eq!(stats.clients.connections["polling"], 1);
    assert_eq!(stats.process.unready, None);
    assert!(stats.redis.connected);
    assert_eq!(stats.redis.channels, 2);
    assert_eq!(stats.messages.received, 2);
    let lines: Vec<_> = stats.busiest().collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let first = ChannelLine {
        channel: "a".to_owned(),
        redis_channel: "womack:ns:default:a".to_owned(),
        subscribers: 2,
        messages: 2,
    };
    assert_eq!(*lines[0], first);
    assert_eq!(lines[1].messages, 0);
}

#[tokio::test]
async fn names_of_channels_are_not_told_to_those_behind_a_proxy() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    for mark in ["x-forwarded-for", "x-real-ip", "cf-connecting-ip", "via"] {
        let headers = [(mark, "192.0.2.1")];
        let answer = http::get_with(server.address(), "/stats", &headers).await;
        let stats: Stats = serde_json::from_str(&answer.text()).expect("figures as JSON");
        assert_eq!(stats.channels, None, "{mark}");
        let answer = http::get_with(server.address(), "/explain?channel=a", &headers).await;
        assert_eq!(answer.status, 403, "{mark}");
    }
    // A name of this machine is not enough beside a foreign one, nor is a foreign one alone.
    let port = server.address().port();
    for (host, expected) in [
        ("localhost".to_owned(), 200),
        (format!("localhost:{port}"), 200),
        (format!("rebound.example.org:{port}"), 403),
    ] {
        let request =
            format!("GET /explain?channel=a HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let mut raw = Raw::connect(server.address()).await;
        raw.send(request.as_bytes()).await;
        let head = raw.head().await;
        assert!(
            head.starts_with(&format!("HTTP/1.1 {expected} ")),
            "{host}: {head}"
        );
    }
}

#[tokio::test]
async fn reasons_are_told_to_operators_alone() {
    let nowhere = womack_test_support::free_address();
    let url = format!("redis://{nowhere}");
    let server = Launch::bare()
        .flag("--host", "127.0.0.1")
        .flag("--port", "0")
        .flag("--redis-url", &url)
        .start_unready()
        .await;
    let address = nowhere.to_string();
    let names_redis = |text: &str| text.contains(&address) || text.contains("refused");
    eventually("operators to be told the reason", async || {
        let answer = http::get(server.address(), "/readyz").await;
        answer.status == 503 && names_redis(&answer.text())
    })
    .await;
    let stranger = [("x-real-ip", "192.0.2.1")];
    let answer = http::get_with(server.address(), "/readyz", &stranger).await;
    assert_eq!((answer.status, &*answer.text()), (503, "not ready\n"));
    let answer = http::get_with(server.address(), "/stats", &stranger).await;
    assert!(!names_redis(&answer.text()), "{}", answer.text());
    let stats: Stats = serde_json::from_str(&answer.text()).expect("figures as JSON");
    assert_eq!(stats.process.unready.as_deref(), Some("not ready"));
}

#[tokio::test]
async fn figures_are_at_the_operators_address_alone() {
    let redis = Redis::start().await;
    let admin = womack_test_support::free_address();
    let server = Launch::new(&redis)
        .flag("--admin-listen", &admin.to_string())
        .start_unready()
        .await;
    eventually("/readyz", async || {
        http::try_get(admin, "/readyz")
            .await
            .is_some_and(|answer| answer.status == 200)
    })
    .await;
    for path in [
        "/stats",
        "/explain?channel=a",
        "/dashboard",
        "/dashboard.js",
    ] {
        assert_eq!(
            http::get(server.address(), path).await.status,
            404,
            "{path}"
        );
        let answer = http::get_with(admin, path, &[("x-forwarded-for", "192.0.2.1")]).await;
        assert_eq!(answer.status, 200, "{path}");
    }
}

#[tokio::test]
async fn dashboard_shows_what_happens_on_a_desk_and_on_a_phone() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Client::connect(server.address()).await;
    client.subscribe("prices").await;
    let driver = Driver::browser();
    let mut page = Page::open(&driver, &server.url("/dashboard")).await;
    page.until("document.querySelector('#clients').textContent === '1'")
        .await;
    page.until("document.querySelector('#state').textContent === 'ready'")
        .await;
    page.until("document.querySelector('#link').dataset.state === 'up'")
        .await;
    let shown = "document.querySelector('#channels th').textContent === 'prices'";
    page.until(shown).await;
    page.until("document.querySelectorAll('#shards tr').length === 2")
        .await;
    // Until the page has seen the difference that a message makes.
    let delivered = async {
        let latency = "document.querySelector('#latency').textContent";
        let mut shown = Value::Null;
        while !shown.as_str().is_some_and(|text| text.ends_with("ms")) {
            redis.publish("prices", "1").await;
            shown = page.evaluate(latency).await;
        }
    };
    within("a delivery on the page", delivered).await;
    page.until(
        "/\\d/.test(document.querySelector('#deliveries-chart svg').getAttribute('aria-label'))",
    )
    .await;
    for (width, scheme) in [(1280, "light"), (390, "dark")] {
        page.view(width, 844, scheme).await;
        let too_wide = "document.documentElement.scrollWidth > innerWidth";
        assert_eq!(page.evaluate(too_wide).await, false, "{width} px");
        let unlabelled = "[...document.querySelectorAll('svg, section')].filter(\
            (part) => !part.getAttribute('aria-label') && !part.getAttribute('aria-labelledby')).length";
        assert_eq!(page.evaluate(unlabelled).await, 0);
    }
    client.close().await;
    page.until("document.querySelector('#clients').textContent === '0'")
        .await;
    page.until("document.querySelectorAll('#closed tr').length === 1")
        .await;
}

#[tokio::test]
async fn dashboard_says_that_its_server_is_gone_and_comes_back() {
    let redis = Redis::start().await;
    let mut server = Server::start(&redis).await;
    let driver = Driver::browser();
    let mut page = Page::open(&driver, &server.url("/dashboard")).await;
    page.until("document.querySelector('#state').dataset.state === 'up'")
        .await;
    server.stop().await;
    page.until("!document.querySelector('#notice').hidden")
        .await;
    page.until("document.querySelector('#state').textContent === 'no answer'")
        .await;
    let server = server.launch().at(server.address()).start().await;
    page.until("document.querySelector('#notice').hidden").await;
    page.until("document.querySelector('#state').textContent === 'ready'")
        .await;
    drop(server);
}
