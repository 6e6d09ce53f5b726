//! The pages and the script of Womack 0.1.1, unchanged, in a real browser.
//!
//! A page written for Womack keeps working: here are the ones that it came with.

use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use serde_json::json;
use womack_test_support::browser::Page;
use womack_test_support::{Driver, Redis, Release, Server, eventually, metrics, package};

use crate::turn;

/// The files of the release, and of the library that its pages want.
struct Files {
    test: PathBuf,
    channel_test: PathBuf,
    script: PathBuf,
    jquery: PathBuf,
    _original: Release,
}

impl Files {
    async fn fetch() -> Self {
        let original = Release::womack().await;
        Self {
            test: original.file("womack/static/test.html"),
            channel_test: original.file("womack/static/channel_test.html"),
            script: original.file("womack/static/womack.js"),
            // The pages load it from elsewhere; this is a later version of the same branch.
            jquery: package("jquery/dist/jquery.min.js"),
            _original: original,
        }
    }

    /// Opens one of the pages as if `server` were the Womack of then. Whatever is not the page's
    /// own comes from the server.
    async fn open(&self, driver: &Driver, server: &Server, page: &str) -> Page {
        let files: [(&str, &Path); 4] = [
            ("**/test.html", &self.test),
            ("**/channel_test.html", &self.channel_test),
            ("**/womack.js", &self.script),
            ("**/jquery.min.js", &self.jquery),
        ];
        Page::open_with(driver, &server.url(page), &files).await
    }
}

#[tokio::test]
async fn the_test_page_says_hello() {
    let _alone = turn().await;
    let files = Files::fetch().await;
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let driver = Driver::browser();
    let mut page = files.open(&driver, &server, "/test.html").await;
    page.logged("start").await;
    page.logged("hi!").await;
    let websocket = r#"transport="websocket""#;
    metrics::reaches(server.address(), "womack_connections", websocket, 1.0).await;
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
async fn the_channel_page_gets_a_hundred_messages_in_three_browsers_soon() {
    let _alone = turn().await;
    let files = Files::fetch().await;
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let driver = Driver::browser();
    let mut pages = Vec::new();
    for _ in 0..3 {
        let mut page = files.open(&driver, &server, "/channel_test.html").await;
        page.logged("hi!").await;
        choose(&mut page, "chat").await;
        pages.push(page);
    }
    metrics::reaches(server.address(), "womack_subscriptions", "", 3.0).await;
    eventually("SUBSCRIBE", async || redis.subscribers("chat").await == 1).await;
    for n in 0..100 {
        let data = json!({ "message": format!("m{n}"), "timestamp": now() });
        redis
            .publish("chat", &json!({ "data": data }).to_string())
            .await;
        // One at a time: what counts is how late a message is, not how fast a browser draws.
        let has_it = format!("document.querySelectorAll('#log li').length === {}", n + 3);
        join_all(pages.iter_mut().map(|page| page.until(&has_it))).await;
    }
    let mut seconds = Vec::new();
    for page in &mut pages {
        let lines = page.log(102).await;
        for (n, line) in lines[2..].iter().enumerate() {
            assert_eq!(line[..2], ["chat".to_owned(), format!("m{n}")], "{lines:?}");
            let late: f64 = line[2]
                .parse()
                .expect("seconds from publishing to the page");
            seconds.push(late);
        }
    }
    assert_eq!(seconds.len(), 300);
    let mean = seconds.iter().sum::<f64>() / 300.0;
    let most = seconds.iter().copied().fold(0.0, f64::max);
    assert!(mean < 0.2 && most < 1.0, "mean {mean} s, most {most} s");
}

#[tokio::test]
async fn channel_pages_get_only_their_own_channels() {
    let _alone = turn().await;
    let files = Files::fetch().await;
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let driver = Driver::browser();
    let mut pages = Vec::new();
    for channel in ["one", "two", "both"] {
        let mut page = files.open(&driver, &server, "/channel_test.html").await;
        page.logged("hi!").await;
        if channel == "both" {
            choose(&mut page, "one").await;
            choose(&mut page, "two").await;
        } else {
            choose(&mut page, channel).await;
        }
        pages.push(page);
    }
    metrics::reaches(server.address(), "womack_subscriptions", "", 4.0).await;
    eventually("SUBSCRIBE", async || {
        redis.subscribers("one").await == 1 && redis.subscribers("two").await == 1
    })
    .await;
    for n in 0..10 {
        for channel in ["one", "two"] {
            let data = json!({ "message": format!("{channel}{n}"), "timestamp": n });
            redis
                .publish(channel, &json!({ "data": data }).to_string())
                .await;
        }
    }
    let of = |channel: &'static str| {
        (0..10).map(move |n| vec![channel.to_owned(), format!("{channel}{n}")])
    };
    let interleaved = of("one").zip(of("two")).flat_map(|(one, two)| [one, two]);
    let expected = [
        of("one").collect(),
        of("two").collect(),
        interleaved.collect::<Vec<_>>(),
    ];
    for (page, expected) in pages.iter_mut().zip(expected) {
        let lines = page.log(expected.len() + 2).await;
        let messages: Vec<_> = lines[2..].iter().map(|line| line[..2].to_vec()).collect();
        assert_eq!(messages, expected, "{lines:?}");
    }
}

#[tokio::test]
async fn a_page_of_one_server_speaks_to_another() {
    let _alone = turn().await;
    let files = Files::fetch().await;
    let redis = Redis::start().await;
    let (first, second) = (Server::start(&redis).await, Server::start(&redis).await);
    let driver = Driver::browser();
    let mut page = files.open(&driver, &first, "/healthz").await;
    for transport in ["websocket", "xhr-polling", "jsonp-polling"] {
        connect(&mut page, &second, transport).await;
        eventually("SUBSCRIBE", async || redis.subscribers("a").await == 1).await;
        for n in 0..20 {
            redis
                .publish(
                    "a",
                    &json!({ "data": "\u{2028}</script>é😀", "n": n }).to_string(),
                )
                .await;
        }
        page.until("window.got.length === 20").await;
        let got = page.evaluate("window.got").await;
        let expected: Vec<_> = (0..20)
            .map(|n| json!(["\u{2028}</script>é😀", { "data": "\u{2028}</script>é😀", "n": n }]))
            .collect();
        assert_eq!(got, json!(expected), "{transport}");
        let id = page.evaluate("womack.sessionID").await;
        redis
            .publish(
                "a",
                &json!({ "data": "not for you", "except": id }).to_string(),
            )
            .await;
        redis.publish("a", r#"{"data":"for you"}"#).await;
        page.until("window.got.length > 20").await;
        assert_eq!(
            page.evaluate("window.got[20][0]").await,
            "for you",
            "{transport}"
        );
        page.goto(&first.url("/healthz")).await;
        metrics::reaches(second.address(), "womack_subscriptions", "", 0.0).await;
    }
    let metrics = metrics::Metrics::of(second.address()).await;
    let opened = metrics.sum("womack_connections_opened_total", "");
    assert!((2.5..3.5).contains(&opened), "{}", metrics.text());
}

/// Names a channel on the channel page.
async fn choose(page: &mut Page, channel: &str) {
    page.fill("#channel", channel).await;
    page.click("#set-channel").await;
}

/// Loads the script into any page as one of a server's, and subscribes to `a`.
async fn connect(page: &mut Page, server: &Server, transport: &str) {
    let script = format!(
        "new Promise((resolve, reject) => {{
            const script = document.createElement('script');
            script.src = {url};
            script.onerror = () => reject(new Error('no womack.js'));
            script.onload = () => {{
                window.got = [];
                window.womack = new Womack({{ transports: [{transport}] }});
                womack.subscribe('a', (data, envelope) => got.push([data, envelope]));
                womack.on('connect', resolve);
            }};
            document.body.append(script);
        }}).then(() => true)",
        url = json!(server.url("/womack.js")),
        transport = json!(transport),
    );
    assert_eq!(page.evaluate(&script).await, true);
    metrics::reaches(server.address(), "womack_subscriptions", "", 1.0).await;
}

fn now() -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("a clock after 1970").as_secs_f64()
}
