//! Clients of every generation and kind, over each of their transports, on one channel at the
//! same time: each library on Node.js and Python, what only runs in a page, and what needs no
//! library at all.

use std::path::Path;

use serde_json::json;
use womack_test_support::clients::{Drivers, LibraryClient};
use womack_test_support::{
    Driver, EventStream, Launch, Lines, PageClients, Redis, Release, Server, package,
};

/// A message, and whom it spares.
struct Message {
    envelope: String,
    spared: Vec<String>,
}

impl Message {
    fn new(number: usize, spared: &[&str]) -> Self {
        let data = json!({ "n": number, "text": "hé😀" });
        let envelope = match spared {
            [] => json!({ "data": data }),
            [id] => json!({ "data": data, "except": id }),
            ids => json!({ "data": data, "except": ids }),
        };
        Self {
            envelope: envelope.to_string(),
            spared: spared.iter().map(|id| (*id).to_owned()).collect(),
        }
    }
}

/// What somebody with this id should get.
fn meant_for<'a>(messages: &'a [Message], id: &str) -> Vec<&'a str> {
    let meant = messages
        .iter()
        .filter(|message| !message.spared.iter().any(|spared| spared == id));
    meant.map(|message| message.envelope.as_str()).collect()
}

/// All of them, subscribed to `a`.
struct Everyone {
    libraries: Vec<LibraryClient>,
    pages: Vec<PageClients>,
    lines: Lines,
    events: EventStream,
}

impl Everyone {
    async fn subscribe(drivers: &Drivers, browser: &Driver, server: &Server) -> Self {
        let mut libraries = drivers.everyone(&server.url("/")).await;
        for library in &mut libraries {
            library.subscribe("a").await;
        }
        let mut lines = Lines::connect(server.address()).await;
        lines.subscribe("a").await;
        Self {
            libraries,
            pages: pages(browser, server).await,
            lines,
            events: EventStream::open(server.address(), "channel=a").await,
        }
    }

    fn ids(&self) -> Vec<String> {
        let libraries = self.libraries.iter().map(LibraryClient::id);
        let pages = self.pages.iter().flat_map(PageClients::clients);
        libraries
            .chain(pages.map(|(_, id)| id.as_str()))
            .chain([self.lines.id(), self.events.id()])
            .map(str::to_owned)
            .collect()
    }

    /// Asserts that each gets what is meant for it, in order and with nothing between.
    async fn get(&mut self, messages: &[Message]) {
        for library in &mut self.libraries {
            for envelope in meant_for(messages, library.id()) {
                library.message("a").await.is("a", envelope);
            }
        }
        for envelope in meant_for(messages, self.lines.id()) {
            assert_eq!(self.lines.message("a").await, envelope);
        }
        for envelope in meant_for(messages, self.events.id()) {
            assert_eq!(self.events.message("a").await, envelope);
        }
        for page in &mut self.pages {
            for (name, id) in page.clients().to_vec() {
                let expected: Vec<_> = meant_for(messages, &id)
                    .into_iter()
                    .map(|envelope| format!("[{envelope}]"))
                    .collect();
                assert_eq!(page.take(&name, expected.len()).await, expected, "{name}");
            }
        }
    }
}

/// What only runs in a page. A browser opens six connections to a server, and a client that polls
/// needs one or two of them; and of the libraries before Socket.IO 1 one page can have but one.
async fn pages(browser: &Driver, server: &Server) -> Vec<PageClients> {
    let original = Release::womack().await;
    let womack = original.file("womack/static/womack.js");
    let dist = |version: &str| package(&format!("socket.io-client-{version}/dist/socket.io.js"));
    let (v08, v09, v1, v2) = (dist("0.8"), dist("0.9"), dist("1"), dist("2"));
    let legacy = ["websocket", "xhr-polling", "jsonp-polling"];
    let open = async |scripts: &[(Option<&Path>, &[[&str; 2]])]| {
        PageClients::open(browser, server, scripts).await
    };
    vec![
        open(&[(Some(&v08), &legacy.map(|name| ["socket.io", name]))]).await,
        open(&[(Some(&womack), &legacy.map(|name| ["womack.js", name]))]).await,
        open(&[
            (Some(&v1), &[["jsonp", "polling"]]),
            (Some(&v2), &[["jsonp", "polling"]]),
            (Some(&v09), &[["socket.io", "jsonp-polling"]]),
            (None, &[["EventSource", "sse"]]),
        ])
        .await,
    ]
}

#[tokio::test]
async fn every_generation_gets_every_message_in_order_but_those_that_spare_it() {
    let redis = Redis::start().await;
    // One client after the other reads its messages, and those without a library answer pings only
    // while they read: on a busy machine the last waits longer than a ping may.
    let launch = Launch::new(&redis).flag("--ping-interval", "300");
    let server = launch.start().await;
    let (drivers, browser) = (Drivers::default(), Driver::browser());
    let mut everyone = Everyone::subscribe(&drivers, &browser, &server).await;
    let publish = async |messages: &[Message]| {
        let envelopes = messages.iter().map(|message| message.envelope.clone());
        redis.publish_all("a", envelopes).await;
    };

    let messages: Vec<_> = (0..1000).map(|n| Message::new(n, &[])).collect();
    publish(&messages).await;
    everyone.get(&messages).await;

    let ids = everyone.ids();
    let mut messages = Vec::new();
    for id in &ids {
        messages.push(Message::new(messages.len(), &[id]));
        messages.push(Message::new(messages.len(), &["somebody", id]));
    }
    let all: Vec<_> = ids.iter().map(String::as_str).collect();
    messages.push(Message::new(messages.len(), &all));
    messages.push(Message::new(messages.len(), &[]));
    publish(&messages).await;
    everyone.get(&messages).await;
}
