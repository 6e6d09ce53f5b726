//! The pages that Womack came with, in a real browser.
//!
//! The functional tests of Womack 0.1.1 looked at these pages in the same way.

use serde_json::{Value, json};
use womack_test_support::browser::Page;
use womack_test_support::proxy::NoWebSockets;
use womack_test_support::{Driver, Redis, Server, eventually, metrics};

#[tokio::test]
async fn test_page_says_hello() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let driver = Driver::browser();
    let mut page = Page::open(&driver, &server.url("/test.html")).await;
    page.logged("start").await;
    page.logged("hi!").await;
    eventually("SUBSCRIBE", async || redis.subscribers("hello").await == 1).await;
    redis
        .publish("hello", r#"{"data":{"hello":"world"}}"#)
        .await;
    page.logged("hello world").await;
    assert_eq!(
        page.log(3).await,
        [vec!["start"], vec!["hi!"], vec!["hello", "world"]]
    );
}

#[tokio::test]
async fn channel_page_gets_a_hundred_messages_in_three_browsers() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let driver = Driver::browser();
    let mut pages = Vec::new();
    for _ in 0..3 {
        let mut page = Page::open(&driver, &server.url("/channel_test.html")).await;
        page.logged("hi!").await;
        page.fill("#channel", "chat").await;
        page.click("#set-channel").await;
        pages.push(page);
    }
    metrics::reaches(server.address(), "womack_subscriptions", "", 3.0).await;
    eventually("SUBSCRIBE", async || redis.subscribers("chat").await == 1).await;
    for n in 0..100 {
        let envelope = json!({ "data": { "message": format!("m{n}"), "timestamp": now() } });
        redis.publish("chat", &envelope.to_string()).await;
    }
    for page in &mut pages {
        let lines = page.log(102).await;
        let messages: Vec<&Vec<String>> = lines.iter().filter(|line| line.len() == 3).collect();
        assert_eq!(messages.len(), 100, "{lines:?}");
        for (n, message) in messages.iter().enumerate() {
            assert_eq!(message[..2], ["chat".to_owned(), format!("m{n}")]);
            let seconds: f64 = message[2].parse().expect("seconds from publish to page");
            assert!(seconds.is_finite(), "{message:?}");
        }
    }
}

#[tokio::test]
async fn a_page_of_one_server_speaks_to_another() {
    let redis = Redis::start().await;
    let (first, second) = (Server::start(&redis).await, Server::start(&redis).await);
    let driver = Driver::browser();
    let mut page = Page::open(&driver, &first.url("/healthz")).await;
    for transports in [json!(["polling"]), json!(["websocket"]), Value::Null] {
        connect(&mut page, &second, &transports).await;
        eventually("SUBSCRIBE", async || redis.subscribers("a").await == 1).await;
        redis.publish("a", r#"{"data":{"to":"page"},"n":1}"#).await;
        page.until("window.got.length === 1").await;
        let got = page.evaluate("window.got[0]").await;
        assert_eq!(
            got,
            json!([{ "to": "page" }, { "data": { "to": "page" }, "n": 1 }])
        );
        page.goto(&first.url("/healthz")).await;
    }
    let metrics = metrics::Metrics::of(second.address()).await;
    assert!(
        metrics.sum("womack_connections_opened_total", "") > 2.5,
        "{}",
        metrics.text()
    );
}

#[tokio::test]
async fn a_page_behind_a_proxy_without_websockets_falls_back() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let proxy = NoWebSockets::before(server.address()).await;
    let driver = Driver::browser();
    let url = format!("http://{}/test.html", proxy.address());
    let mut page = Page::open(&driver, &url).await;
    page.logged("hi!").await;
    eventually("SUBSCRIBE", async || redis.subscribers("hello").await == 1).await;
    redis.publish("hello", r#"{"data":{"hello":"you"}}"#).await;
    page.logged("hello you").await;
    let metrics = metrics::Metrics::of(server.address()).await;
    let polling = metrics.sum("womack_connections", r#"transport="polling""#);
    assert!(polling > 0.5, "{}", metrics.text());
}

#[tokio::test]
async fn a_page_comes_back_after_a_restart_and_subscribes_again() {
    let redis = Redis::start().await;
    let mut server = Server::start(&redis).await;
    let driver = Driver::browser();
    let mut page = Page::open(&driver, &server.url("/test.html")).await;
    page.logged("hi!").await;
    eventually("SUBSCRIBE", async || redis.subscribers("hello").await == 1).await;
    server.stop().await;
    page.logged("bye!").await;
    let server = server.launch().at(server.address()).start().await;
    eventually("SUBSCRIBE again", async || {
        redis.subscribers("hello").await == 1
    })
    .await;
    redis
        .publish("hello", r#"{"data":{"hello":"again"}}"#)
        .await;
    page.logged("hello again").await;
    let lines = page.log(5).await;
    let said: Vec<&str> = lines.iter().map(|line| line[0].as_str()).collect();
    assert_eq!(said, ["start", "hi!", "bye!", "hi!", "hello"]);
    drop(server);
}

/// Loads `womack.js` from a server into any page, and subscribes to `a`.
async fn connect(page: &mut Page, server: &Server, transports: &Value) {
    let options = match transports {
        Value::Null => json!({}),
        transports => json!({ "transports": transports }),
    };
    let script = format!(
        "new Promise((resolve, reject) => {{
            const script = document.createElement('script');
            script.src = {url};
            script.onerror = () => reject(new Error('no womack.js'));
            script.onload = () => {{
                window.got = [];
                window.womack = new Womack({options});
                womack.subscribe('a', (data, envelope) => got.push([data, envelope]));
                womack.on('connect', resolve);
            }};
            document.body.append(script);
        }}).then(() => true)",
        url = json!(server.url("/womack.js")),
    );
    assert_eq!(page.evaluate(&script).await, true);
    metrics::reaches(server.address(), "womack_subscriptions", "", 1.0).await;
}

fn now() -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("a clock after 1970").as_secs_f64()
}
