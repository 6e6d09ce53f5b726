//! What only clients of Socket.IO 0.9 do. What they have in common with later ones is tested for
//! all libraries together, and what the pages of Womack 0.1.1 do in `original`.

use std::net::SocketAddr;

use womack_test_support::http::{self, Answer, Method};
use womack_test_support::raw::{self, Raw};
use womack_test_support::{Client, Launch, Polling, Redis, Server, metrics};

const HANDSHAKE: &str = "/socket.io/1/";
const TEXT: &str = "text/plain; charset=UTF-8";
const SCRIPT: &str = "text/javascript; charset=UTF-8";
const NOT_HANDSHAKEN: &str = "7:::1+0";

/// A session over one of the two kinds of polling.
struct Legacy {
    address: SocketAddr,
    sid: String,
}

impl Legacy {
    async fn shake_hands(address: SocketAddr) -> Self {
        let answer = http::get(address, "/socket.io/1/?t=1795384796466").await;
        let line = answer.text();
        assert_eq!((answer.status, answer.header("content-type")), (200, TEXT));
        let (sid, rest) = line.split_once(':').expect("a session id");
        assert_eq!(rest, "60:60:websocket,xhr-polling,jsonp-polling");
        Self {
            address,
            sid: sid.to_owned(),
        }
    }

    /// Shakes hands, and takes the packet that the first poll is answered with.
    async fn connect(address: SocketAddr) -> Self {
        let client = Self::shake_hands(address).await;
        assert_eq!(client.poll().await, "1::");
        client
    }

    fn path(&self, transport: &str) -> String {
        format!("/socket.io/1/{transport}/{}", self.sid)
    }

    async fn poll(&self) -> String {
        let answer = http::get(self.address, &self.path("xhr-polling")).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, TEXT));
        answer.text()
    }

    async fn post(&self, payload: &str) -> Answer {
        http::post(self.address, &self.path("xhr-polling"), payload).await
    }

    async fn send(&self, payload: &str) {
        let answer = self.post(payload).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "1"),
            "{payload}"
        );
    }

    async fn subscribe(&self, channel: &str) {
        let event = format!(r#"{{"name":"subscribe","args":[{{"channel":"{channel}"}}]}}"#);
        self.send(&format!("5:1+::{event}")).await;
        let answer = format!(r#"6:::1+[{{"ok":true,"channels":["{channel}"]}}]"#);
        assert_eq!(self.poll().await, answer);
    }

    async fn websocket(&self) -> Client {
        let mut client = Client::raw(self.address, &self.path("websocket")).await;
        client.ignore_pings();
        client
    }
}

/// The packet of a message on the channel `a`.
fn event(json: &str) -> String {
    format!(r#"5:::{{"name":"a","args":[{json}]}}"#)
}

/// Packets in one body.
fn framed(packets: &[String]) -> String {
    let framed = |packet: &String| {
        let units = packet.encode_utf16().count();
        format!("\u{fffd}{units}\u{fffd}{packet}")
    };
    packets.iter().map(framed).collect()
}

#[tokio::test]
async fn a_poll_brings_one_packet_bare_and_several_with_their_lengths() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let client = Legacy::connect(server.address()).await;
    client.subscribe("a").await;
    redis.publish("a", r#"{"data":"é"}"#).await;
    assert_eq!(client.poll().await, event(r#"{"data":"é"}"#));

    let mut witness = Client::connect(server.address()).await;
    witness.subscribe("a").await;
    let envelopes = (0..3).map(|n| format!(r#"{{"data":"é😀","n":{n}}}"#));
    redis.publish_all("a", envelopes.clone()).await;
    for envelope in envelopes.clone() {
        assert_eq!(witness.message("a").await, envelope);
    }
    let expected: Vec<_> = envelopes.map(|envelope| event(&envelope)).collect();
    let mut found = client.poll().await;
    if found != framed(&expected) {
        // The sessions may be on different shards: the first may have been all there was.
        assert_eq!(found, expected[0]);
        found.push_str(&client.poll().await);
        assert_eq!(found, expected[0].clone() + &framed(&expected[1..]));
    }
}

#[tokio::test]
async fn a_post_may_hold_several_packets() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let client = Legacy::connect(server.address()).await;
    let subscribe =
        |channel| format!(r#"5:::{{"name":"subscribe","args":[{{"channel":"{channel}"}}]}}"#);
    client
        .send(&framed(&[subscribe("😀"), subscribe("a")]))
        .await;
    client.subscribe("b").await;
    redis.publish("😀", "1").await;
    assert_eq!(client.poll().await, r#"5:::{"name":"😀","args":[1]}"#);
    redis.publish("a", "2").await;
    assert_eq!(client.poll().await, event("2"));
}

#[tokio::test]
async fn a_poll_with_nothing_to_say_is_ended_and_the_session_goes_on() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--ping-interval", "0.2");
    let server = launch.start().await;
    let client = Legacy::shake_hands(server.address()).await;
    assert_eq!(client.poll().await, "1::");
    assert_eq!(client.poll().await, "8::");
    assert_eq!(client.poll().await, "8::");
    client.subscribe("a").await;
}

#[tokio::test]
async fn scripts_and_forms_carry_packets() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let address = server.address();
    let answer = http::get(address, "/socket.io/1/?t=1&jsonp=3").await;
    let script = answer.text();
    assert_eq!(answer.header("content-type"), SCRIPT);
    let sid = script.strip_prefix("io.j[3](\"").expect("a call");
    let (sid, rest) = sid.split_once(':').expect("a session id");
    assert_eq!(rest, "60:60:websocket,xhr-polling,jsonp-polling\");");
    let path = format!("/socket.io/1/jsonp-polling/{sid}?t=1&i=4");
    let answer = http::get(address, &path).await;
    assert_eq!(answer.header("content-type"), SCRIPT);
    assert_eq!(answer.text(), r#"io.j[4]("1::");"#);

    let form = "d=%225%3A1%2B%3A%3A%7B%5C%22name%5C%22%3A%5C%22subscribe%5C%22%2C%5C%22args%5C%22\
                %3A%5B%5C%22a%5C%22%5D%7D%22";
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let answer = http::request(address, Method::POST, &path, &headers, form).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "1"));
    let ack = r#"io.j[4]("6:::1+[{\"ok\":true,\"channels\":[\"a\"]}]");"#;
    assert_eq!(http::get(address, &path).await.text(), ack);
    redis.publish("a", "\"</script>\u{2028}\"").await;
    let message = r#"io.j[4]("5:::{\"name\":\"a\",\"args\":[\"<\/script>\u2028\"]}");"#;
    assert_eq!(http::get(address, &path).await.text(), message);

    let answer = http::get(address, "/socket.io/1/jsonp-polling/nobody?i=5").await;
    assert_eq!(answer.text(), format!("io.j[5](\"{NOT_HANDSHAKEN}\");"));
    for path in [
        "/socket.io/1/?jsonp=alert",
        "/socket.io/1/jsonp-polling/x?i=a(1)",
    ] {
        assert_eq!(http::get(address, path).await.status, 400, "{path}");
    }
    let path = format!("/socket.io/1/jsonp-polling/{sid}?i=4");
    assert_eq!(http::post(address, &path, "2::").await.status, 400);
}

#[tokio::test]
async fn pages_of_one_origin_are_offered_no_scripts() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--cors-origin", "http://a.example");
    let server = launch.start().await;
    let line = http::get(server.address(), HANDSHAKE).await.text();
    assert!(line.ends_with(":60:60:websocket,xhr-polling"), "{line}");
    for path in ["?jsonp=0", "jsonp-polling/x?i=0"] {
        let answer = http::get(server.address(), &format!("{HANDSHAKE}{path}")).await;
        assert_eq!(answer.status, 403, "{path}");
    }
    let origin = [("origin", "http://b.example")];
    let answer = http::get_with(server.address(), HANDSHAKE, &origin).await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn a_page_of_another_origin_may_read_every_answer() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let client = Legacy::connect(server.address()).await;
    let origin = [("origin", "http://a.example")];
    for (path, status) in [
        (HANDSHAKE.to_owned(), 200),
        (client.path("htmlfile"), 400),
        (format!("{HANDSHAKE}xhr-polling/nobody"), 200),
        (client.path("") + "/?disconnect=1", 200),
    ] {
        let answer = http::get_with(server.address(), &path, &origin).await;
        let allowed = [
            "access-control-allow-origin",
            "access-control-allow-credentials",
        ];
        let found = allowed.map(|name| answer.header(name));
        assert_eq!(
            (answer.status, found),
            (status, ["http://a.example", "true"]),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_websocket_begins_with_what_waits_and_has_heartbeats() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--ping-interval", "0.2");
    let server = launch.start().await;
    let client = Legacy::shake_hands(server.address()).await;
    let mut socket = client.websocket().await;
    assert_eq!(socket.packet().await, "1::");
    for _ in 0..4 {
        assert_eq!(socket.packet().await, "2::");
        socket.send("2::").await;
    }
    let server = server.launch().flag("--ping-timeout", "0.2").start().await;
    let client = Legacy::shake_hands(server.address()).await;
    let (packets, frame) = client.websocket().await.end().await;
    assert_eq!(packets, ["1::", "2::"]);
    assert_eq!(frame.map(|frame| frame.code.into()), Some(1008_u16));
    let labels = r#"reason="ping_timeout""#;
    metrics::reaches(
        server.address(),
        "womack_connections_closed_total",
        labels,
        1.0,
    )
    .await;
}

#[tokio::test]
async fn a_session_that_is_not_known_is_told_so_by_a_packet() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let stranger = Legacy {
        address: server.address(),
        sid: Polling::connect(server.address())
            .await
            .sid()
            .replace('A', "B"),
    };
    assert_eq!(stranger.poll().await, NOT_HANDSHAKEN);
    let answer = stranger.post("2::").await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, NOT_HANDSHAKEN)
    );
    let (packets, _) = stranger.websocket().await.end().await;
    assert_eq!(packets, [NOT_HANDSHAKEN]);

    // A session of another revision, and a transport too many.
    let other = Legacy {
        address: server.address(),
        sid: Polling::connect(server.address()).await.sid().to_owned(),
    };
    let (packets, _) = other.websocket().await.end().await;
    assert_eq!(packets, [NOT_HANDSHAKEN]);
    let client = Legacy::shake_hands(server.address()).await;
    let mut socket = client.websocket().await;
    assert_eq!(socket.packet().await, "1::");
    let (packets, _) = client.websocket().await.end().await;
    assert_eq!(packets, [NOT_HANDSHAKEN]);
    assert_eq!(client.poll().await, NOT_HANDSHAKEN);
    socket.send("5:1+::{\"name\":\"nothing\"}").await;
    assert!(socket.packet().await.starts_with("6:::1+[{\"ok\":false"));
}

#[tokio::test]
async fn leaving_the_page_closes_the_session() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    for left in ["packet", "request", "request while polling"] {
        let client = Legacy::connect(server.address()).await;
        client.subscribe("a").await;
        let goodbye = format!("/socket.io/1//{}/?disconnect=1", client.sid);
        match left {
            "packet" => client.send("0::").await,
            "request" => {
                let answer = http::get(server.address(), &goodbye).await;
                assert_eq!((answer.status, answer.text().as_str()), (200, ""));
            }
            _ => {
                let (last, _) = tokio::join!(client.poll(), http::get(server.address(), &goodbye));
                // The poll may have come too late.
                assert!(["8::", NOT_HANDSHAKEN].contains(&last.as_str()), "{last}");
            }
        }
        metrics::reaches(server.address(), "womack_connections", "", 0.0).await;
        assert_eq!(client.poll().await, NOT_HANDSHAKEN, "{left}");
    }
    let labels = r#"reason="client_disconnect""#;
    metrics::reaches(
        server.address(),
        "womack_connections_closed_total",
        labels,
        3.0,
    )
    .await;
}

#[tokio::test]
async fn an_invalid_packet_ends_the_session() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    for body in ["", "42[\"m\"]", "\u{fffd}9\u{fffd}2::", "5:::{}"] {
        let client = Legacy::connect(server.address()).await;
        assert_eq!(client.post(body).await.status, 400, "{body:?}");
        assert_eq!(client.poll().await, NOT_HANDSHAKEN, "{body:?}");
    }
    let labels = r#"reason="parse_error""#;
    metrics::reaches(
        server.address(),
        "womack_connections_closed_total",
        labels,
        4.0,
    )
    .await;
}

#[tokio::test]
async fn requests_of_a_session_work_on_either_shard() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let (mut polling, mut sockets) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let client = Legacy::connect(server.address()).await;
        client.subscribe("a").await;
        polling.push(client);
        let mut socket = Legacy::shake_hands(server.address())
            .await
            .websocket()
            .await;
        assert_eq!(socket.packet().await, "1::");
        socket
            .send("5:1+::{\"name\":\"subscribe\",\"args\":[\"a\"]}")
            .await;
        assert!(socket.packet().await.starts_with("6:::1+[{\"ok\":true"));
        sockets.push(socket);
    }
    for n in 0..5 {
        redis.publish("a", &n.to_string()).await;
        for client in &polling {
            assert_eq!(client.poll().await, event(&n.to_string()));
        }
        for socket in &mut sockets {
            assert_eq!(socket.packet().await, event(&n.to_string()));
        }
    }
    // Of some hundred requests, some landed elsewhere than their session.
    metrics::reaches(server.address(), "womack_requests_forwarded_total", "", 1.0).await;
}

#[tokio::test]
async fn no_legacy_refuses_clients_of_socket_io_0_9() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis).arg("--no-legacy").start().await;
    for path in ["", "xhr-polling/x", "websocket/x"] {
        let answer = http::get(server.address(), &format!("{HANDSHAKE}{path}")).await;
        assert_eq!(answer.status, 404, "{path}");
    }
    Client::connect(server.address()).await.subscribe("a").await;
}

#[tokio::test]
async fn limits_are_those_of_later_clients() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--max-channels-per-client", "1")
        .flag("--max-packets-per-payload", "5")
        .flag("--max-packets-per-second", "20")
        .flag("--max-payload", "1000")
        .start()
        .await;
    let at = server.address();
    let client = Legacy::connect(at).await;
    client.subscribe("a").await;
    client
        .send(r#"5:2+::{"name":"subscribe","args":["b"]}"#)
        .await;
    let answer = client.poll().await;
    assert!(
        answer.contains(r#""error":"too_many_channels""#),
        "{answer}"
    );
    metrics::limit(at, "max_channels_per_client", 1.0).await;
    assert_eq!(client.post(&"5".repeat(1001)).await.status, 413);
    metrics::limit(at, "max_payload", 1.0).await;
    let packet = r#"5:::{"name":"none"}"#.to_owned();
    client.send(&framed(&vec![packet.clone(); 5])).await;
    let many = framed(&vec![packet.clone(); 6]);
    assert_eq!(client.post(&many).await.status, 400);
    assert_eq!(client.poll().await, NOT_HANDSHAKEN);
    metrics::limit(at, "max_packets_per_payload", 1.0).await;
    for (bytes, code, limit, times) in [
        (raw::text(&"5".repeat(1001)), 1009, "max_payload", 2.0),
        (
            raw::text(&packet).repeat(1000),
            1008,
            "max_packets_per_second",
            1.0,
        ),
    ] {
        let path = Legacy::shake_hands(at).await.path("websocket");
        let mut socket = Raw::upgraded(at, &path).await;
        socket.send(&bytes).await;
        assert_eq!(socket.close_code().await, Some(code), "{limit}");
        metrics::limit(at, limit, times).await;
    }
}
