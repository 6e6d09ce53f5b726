//! The official client libraries, each with each transport, behind one API.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::driver::Part;
use crate::{Broker, Driver};

/// A library and the transports that it is told to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flavour {
    /// The name of the library in the drivers.
    pub library: &'static str,
    /// The transports, in order.
    pub transports: &'static [&'static str],
    language: Language,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Language {
    JavaScript,
    Python,
}

const WEBSOCKET: &[&str] = &["websocket"];
const POLLING: &[&str] = &["polling"];
const UPGRADE: &[&str] = &["polling", "websocket"];

/// The library of before Engine.IO, whose packets look otherwise.
const SOCKET_IO_09: &str = "socket.io-client-0.9";

/// Every client that the server promises to serve.
pub const FLAVOURS: &[Flavour] = &[
    javascript("socket.io-client-4", WEBSOCKET),
    javascript("socket.io-client-4", POLLING),
    javascript("socket.io-client-4", UPGRADE),
    javascript("socket.io-client-3", WEBSOCKET),
    javascript("socket.io-client-3", POLLING),
    javascript("socket.io-client-3", UPGRADE),
    javascript("socket.io-client-2", WEBSOCKET),
    javascript("socket.io-client-2", POLLING),
    javascript("socket.io-client-2", UPGRADE),
    javascript("socket.io-client-1", WEBSOCKET),
    javascript("socket.io-client-1", POLLING),
    javascript("socket.io-client-1", UPGRADE),
    javascript(SOCKET_IO_09, WEBSOCKET),
    javascript(SOCKET_IO_09, &["xhr-polling"]),
    python("python-socketio", WEBSOCKET),
    python("python-socketio", POLLING),
    python("python-socketio", UPGRADE),
    python("python-socketio-asyncio", WEBSOCKET),
    python("python-socketio-asyncio", POLLING),
    python("python-socketio-asyncio", UPGRADE),
];

const fn javascript(library: &'static str, transports: &'static [&'static str]) -> Flavour {
    Flavour {
        library,
        transports,
        language: Language::JavaScript,
    }
}

const fn python(library: &'static str, transports: &'static [&'static str]) -> Flavour {
    Flavour {
        library,
        transports,
        language: Language::Python,
    }
}

impl Flavour {
    /// True if it begins with polling and goes on with WebSocket.
    pub fn upgrades(&self) -> bool {
        self.transports == UPGRADE
    }

    /// True if it speaks Socket.IO 0.9, where errors are numbers.
    pub fn is_legacy(&self) -> bool {
        self.library == SOCKET_IO_09
    }

    /// True if it speaks Engine.IO 3.
    pub fn is_eio3(&self) -> bool {
        matches!(self.library, "socket.io-client-1" | "socket.io-client-2")
    }

    /// The packet of a message; `namespace` is nothing, or the path and a comma.
    fn packet(&self, namespace: &str, channel: &str, envelope: &str) -> String {
        let name = Value::from(channel);
        match self.library {
            SOCKET_IO_09 => {
                let endpoint = namespace.trim_end_matches(',');
                format!(r#"5::{endpoint}:{{"name":{name},"args":[{envelope}]}}"#)
            }
            _ => format!("2{namespace}[{name},{envelope}]"),
        }
    }

    /// The texts that a packet may have on its way to this client. Engine.IO 3 has it in ASCII
    /// over polling.
    fn spellings(&self, packet: &str) -> Vec<String> {
        if !self.is_eio3() || self.transports == WEBSOCKET {
            return vec![packet.to_owned()];
        }
        let ascii = in_ascii(packet);
        match self.upgrades() {
            true => vec![packet.to_owned(), ascii],
            false => vec![ascii],
        }
    }
}

/// JSON with escapes in place of every character that is not ASCII.
fn in_ascii(json: &str) -> String {
    let mut ascii = String::new();
    for unit in json.encode_utf16() {
        match u8::try_from(unit).ok().filter(u8::is_ascii) {
            Some(byte) => ascii.push(byte.into()),
            None => ascii.push_str(&format!("\\u{unit:04x}")),
        }
    }
    ascii
}

/// The drivers of all libraries.
pub struct Drivers {
    node: Driver,
    python: Driver,
}

impl Default for Drivers {
    fn default() -> Self {
        Self {
            node: Driver::node(),
            python: Driver::python(),
        }
    }
}

impl Drivers {
    /// A client of one flavour, connected to a URL whose path names the namespace.
    pub async fn connect(&self, flavour: Flavour, url: &str) -> LibraryClient {
        let mut client = self.begin(flavour, url).await;
        client.connected().await;
        client
    }

    /// A client of one flavour that has been told to connect.
    pub async fn begin(&self, flavour: Flavour, url: &str) -> LibraryClient {
        let driver = match flavour.language {
            Language::JavaScript => &self.node,
            Language::Python => &self.python,
        };
        let part = driver.part(&format!(
            "{}-{}",
            flavour.library,
            flavour.transports.join("+")
        ));
        let command = json!({
            "do": "connect",
            "library": flavour.library,
            "transports": flavour.transports,
            "url": url,
        });
        part.command(command).await;
        let path = url.splitn(4, '/').nth(3).unwrap_or_default();
        let namespace = match path {
            "" => String::new(),
            path => format!("/{path},"),
        };
        LibraryClient {
            part,
            flavour,
            namespace,
            id: String::new(),
        }
    }

    /// One client of every flavour, all connected to the same URL.
    pub async fn everyone(&self, url: &str) -> Vec<LibraryClient> {
        join_all(FLAVOURS.iter().map(|flavour| self.connect(*flavour, url))).await
    }
}

/// A message as a library showed it.
#[derive(Clone, Debug)]
pub struct Received {
    /// The event's arguments after the library has parsed them.
    pub arguments: Vec<Value>,
    /// The text of the whole packet, where the library lets it be seen.
    pub packet: Option<String>,
    flavour: Flavour,
    namespace: String,
}

impl Received {
    /// Asserts that the library got exactly this envelope on this channel, and nothing beside it.
    #[track_caller]
    pub fn is(&self, channel: &str, envelope: &str) {
        if let Some(packet) = &self.packet {
            let expected = self.flavour.packet(&self.namespace, channel, envelope);
            assert!(
                self.flavour.spellings(&expected).contains(packet),
                "{packet:.300} is not {expected:.300}"
            );
        } else {
            let expected: Value = serde_json::from_str(envelope).expect("envelopes are JSON");
            assert_eq!(self.arguments, [expected]);
        }
    }
}

/// One client of some library.
pub struct LibraryClient {
    part: Part,
    flavour: Flavour,
    /// The namespace as a packet names it: nothing, or the path and a comma.
    namespace: String,
    id: String,
}

impl LibraryClient {
    /// What it is.
    pub fn flavour(&self) -> Flavour {
        self.flavour
    }

    /// Its session id, as the library shows it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Waits until it has connected, which happens again after every reconnect.
    pub async fn connected(&mut self) {
        let event = self.part.event("connect").await;
        self.id = event["id"].as_str().unwrap_or_default().to_owned();
    }

    /// Waits until it has noticed that it is no longer connected.
    pub async fn disconnected(&mut self) {
        self.part.event("disconnect").await;
    }

    /// Waits until it was refused, and returns the message.
    pub async fn refused(&mut self) -> String {
        let event = self.part.event("connect_error").await;
        event["message"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until it has changed over to another transport, and returns its name.
    pub async fn upgraded(&mut self) -> String {
        let event = self.part.event("upgrade").await;
        event["transport"].as_str().unwrap_or_default().to_owned()
    }

    /// Emits an event that wants an acknowledgement, and returns the argument of that.
    pub async fn call(&mut self, event: &str, argument: Value) -> Value {
        let command = json!({ "do": "call", "name": event, "args": [argument] });
        let mut answer = self.part.ask(command, "ack").await;
        let arguments = answer["args"].take();
        assert_eq!(
            arguments.as_array().map(Vec::len),
            Some(1),
            "one argument: {arguments}"
        );
        arguments[0].clone()
    }

    /// Emits an event that wants none.
    pub async fn emit(&self, event: &str, argument: Value) {
        let command = json!({ "do": "emit", "name": event, "args": [argument] });
        self.part.command(command).await;
    }

    /// Subscribes, and waits until the subscription is live.
    pub async fn subscribe(&mut self, channel: &str) {
        let answer = self.call("subscribe", json!({ "channel": channel })).await;
        assert_eq!(answer, json!({ "ok": true, "channels": [channel] }));
    }

    /// Unsubscribes, and waits for the server's word.
    pub async fn unsubscribe(&mut self, channel: &str) {
        let answer = self
            .call("unsubscribe", json!({ "channel": channel }))
            .await;
        assert_eq!(answer, json!({ "ok": true, "channels": [channel] }));
    }

    /// Waits for the next message, which must be of `channel`.
    pub async fn message(&mut self, channel: &str) -> Received {
        let mut event = self.part.event("message").await;
        assert_eq!(event["name"], channel, "{:?}", self.flavour);
        let Value::Array(arguments) = event["args"].take() else {
            panic!("{:?}: arguments are a list: {event}", self.flavour);
        };
        let packet = event["packet"].as_str().map(str::to_owned);
        Received {
            arguments,
            packet,
            flavour: self.flavour,
            namespace: self.namespace.clone(),
        }
    }

    /// Sends a message without a name, which only Socket.IO 0.9 has.
    pub async fn send(&self, text: &str) {
        let command = json!({ "do": "send", "text": text });
        self.part.command(command).await;
    }

    /// The same with JSON in place of text.
    pub async fn send_json(&self, json: &Value) {
        let command = json!({ "do": "sendJson", "json": json });
        self.part.command(command).await;
    }

    /// Waits for the next message without a name.
    pub async fn text(&mut self) -> String {
        let event = self.part.event("text").await;
        event["text"].as_str().unwrap_or_default().to_owned()
    }

    /// Says goodbye and waits until that is done.
    pub async fn disconnect(&mut self) {
        self.part
            .ask(json!({ "do": "disconnect" }), "disconnect")
            .await;
    }
}

/// A program that publishes with some Redis library.
pub struct Publisher {
    part: Part,
}

impl Publisher {
    /// Node.js with `ioredis`.
    pub async fn ioredis(driver: &Driver, broker: &impl Broker) -> Self {
        Self::open(driver, "ioredis", broker).await
    }

    /// Node.js with `redis`, also called node-redis.
    pub async fn node_redis(driver: &Driver, broker: &impl Broker) -> Self {
        Self::open(driver, "redis", broker).await
    }

    /// Python with `redis`, also called redis-py.
    pub async fn redis_py(driver: &Driver, broker: &impl Broker) -> Self {
        Self::open(driver, "redis-py", broker).await
    }

    /// Publishes `{"data": data, **options}`, as the library's language writes JSON.
    pub async fn publish(&mut self, redis_channel: &str, data: Value, options: Value) {
        let command = json!({
            "do": "publish", "channel": redis_channel, "data": data, "options": options,
        });
        self.part.ask(command, "published").await;
    }

    /// Subscribes with the same library.
    pub async fn subscribe(&mut self, redis_channel: &str) {
        let command = json!({ "do": "listen", "channel": redis_channel });
        self.part.ask(command, "listening").await;
    }

    /// Waits for a message to the same library, and returns its text.
    pub async fn message(&mut self) -> String {
        let event = self.part.event("message").await;
        event["text"].as_str().unwrap_or_default().to_owned()
    }

    async fn open(driver: &Driver, library: &str, broker: &impl Broker) -> Self {
        let mut part = driver.part(library);
        let url = format!("redis://{}", broker.address());
        let command = json!({ "do": "open", "library": library, "url": url });
        part.ask(command, "opened").await;
        Self { part }
    }
}
