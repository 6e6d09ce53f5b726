//! Nodes of several versions side by side, as while a fleet is upgraded node by node.

use std::env;
use std::net::SocketAddr;

use womack_test_support::metrics::{self, Metrics};
use womack_test_support::node::{Node, node_of, sid_at};
use womack_test_support::raw::text;
use womack_test_support::{Client, Launch, Polling, Redis, Server, http};

/// The node that tests play.
const NODE: u32 = 0x0bad_cafe;
/// A greeting of a node that understands envelopes of version 1, whose link has epoch 9.
const GREETING: u64 = u64::from_be_bytes(*b"WMk\x01\0\0\0\x09");
const UNREADABLE: &str = "womack_relay_unreadable_total";

/// The rest of a request for `sid`.
fn rest(sid: &str, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(sid.len()).expect("a short id");
    [&[length], sid.as_bytes(), body].concat()
}

/// An envelope of version 1.
fn envelope(epoch: u32, number: u64, kind: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xb7, 1];
    bytes.extend(NODE.to_be_bytes());
    bytes.extend(epoch.to_be_bytes());
    bytes.extend(number.to_be_bytes());
    bytes.extend(kind.to_be_bytes());
    bytes.extend(body);
    bytes
}

/// The kind and the body of an envelope.
fn opened(bytes: &[u8]) -> (u16, &[u8]) {
    assert_eq!(&bytes[..2], b"\xb7\x01", "an envelope");
    (u16::from_be_bytes([bytes[18], bytes[19]]), &bytes[20..])
}

#[tokio::test]
async fn a_node_of_0_2_0_brings_polls_posts_and_websockets() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut old = Node::join(&redis, NODE).await;
    let client = Polling::connect(server.address()).await;
    let (sid, owner) = (client.sid(), node_of(client.sid()));
    let subscribe = br#"420["subscribe",{"channel":"a"}]"#;
    old.say_first_form(owner, b'q', 0, &rest(sid, subscribe))
        .await;
    assert_eq!(old.hear_first_form().await, (b'K', owner, 0, vec![]));
    old.say_first_form(owner, b'p', 1, &rest(sid, b"")).await;
    let (letter, _, number, body) = old.hear_first_form().await;
    assert_eq!((letter, number), (b'T', 1));
    assert_eq!(body, br#"430[{"ok":true,"channels":["a"]}]"#);
    old.say_first_form(owner, b'u', 2, &rest(sid, &text("2probe")))
        .await;
    let (letter, _, number, frame) = old.hear_first_form().await;
    assert_eq!((letter, number), (b'F', 2));
    assert_eq!(frame, b"\x81\x063probe");
    old.say_first_form(owner, b'f', 2, &text("5")).await;
    redis.publish("a", "1").await;
    let (letter, _, number, frame) = old.hear_first_form().await;
    assert_eq!((letter, number), (b'F', 2));
    assert_eq!(frame, b"\x81\x0942[\"a\",1]");
    old.say_first_form(owner, b'e', 2, b"").await;
    metrics::reaches(server.address(), "womack_connections_closed_total", "", 1.0).await;
}

#[tokio::test]
async fn a_poll_that_0_2_0_gives_up_when_it_is_answered_already_ends_its_session() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut old = Node::join(&redis, NODE).await;
    let client = Polling::connect(server.address()).await;
    let (sid, owner) = (client.sid(), node_of(client.sid()));
    old.say_first_form(
        owner,
        b'q',
        0,
        &rest(sid, br#"42["subscribe",{"channel":"a"}]"#),
    )
    .await;
    assert_eq!(old.hear_first_form().await.0, b'K');
    old.say_first_form(owner, b'p', 1, &rest(sid, b"")).await;
    womack_test_support::eventually("a number to arrive", async || {
        redis.publish("a", "1").await > 0
    })
    .await;
    assert_eq!(old.hear_first_form().await.0, b'T');
    old.say_first_form(owner, b'x', 1, b"").await;
    let reason = r#"reason="poll_aborted""#;
    metrics::reaches(
        server.address(),
        "womack_connections_closed_total",
        reason,
        1.0,
    )
    .await;
}

#[tokio::test]
async fn a_node_of_0_2_0_is_asked_as_it_understands() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut old = Node::join(&redis, NODE).await;
    let sid = sid_at(NODE);
    let path = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
    let (answer, ingress) = tokio::join!(http::get(server.address(), &path), async {
        let (letter, ingress, number, _) = old.hear_first_form().await;
        // 0.2.0 takes it for a question whether it is there.
        assert_eq!(letter, b'h');
        old.say_first_form(ingress, b'H', number, b"").await;
        let (letter, _, number, body) = old.hear_first_form().await;
        assert_eq!((letter, body), (b'p', rest(&sid, b"")));
        old.say_first_form(ingress, b'T', number, b"2").await;
        ingress
    });
    assert_eq!((answer.status, answer.text().as_str()), (200, "2"));
    for _ in 0..3 {
        let (answer, ()) = tokio::join!(http::post(server.address(), &path, "3"), async {
            let (letter, _, number, body) = old.hear_first_form().await;
            assert_eq!((letter, body), (b'q', rest(&sid, b"3")));
            old.say_first_form(ingress, b'K', number, b"").await;
        });
        assert_eq!(answer.text(), "ok");
    }
}

#[tokio::test]
async fn a_node_that_is_greeted_answers_in_the_envelope() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut node = Node::join(&redis, NODE).await;
    let client = Polling::connect(server.address()).await;
    let (sid, owner) = (client.sid(), node_of(client.sid()));
    node.say_first_form(owner, b'h', GREETING, b"").await;
    let here = node.hear().await;
    assert_eq!(
        (opened(&here), &here[10..18]),
        ((2, &b""[..]), &GREETING.to_be_bytes()[..])
    );
    node.say(
        owner,
        &envelope(9, 5, 17, &rest(sid, br#"42["subscribe",{"channel":"a"}]"#)),
    )
    .await;
    assert_eq!(opened(&node.hear().await), (35, &b""[..]));
    // Another epoch: the poll that waited has ended, and its session.
    node.say(owner, &envelope(9, 6, 16, &rest(sid, b""))).await;
    metrics::reaches(server.address(), "womack_relay_served_total", "", 2.0).await;
    node.say(owner, &envelope(10, 0, 1, b"\x01")).await;
    let reason = r#"reason="poll_aborted""#;
    metrics::reaches(
        server.address(),
        "womack_connections_closed_total",
        reason,
        1.0,
    )
    .await;
}

#[tokio::test]
async fn what_a_later_version_says_is_skipped_and_counted() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut node = Node::join(&redis, NODE).await;
    let owner = node_of(Polling::connect(server.address()).await.sid());
    let mut later = envelope(9, 0, 2, b"");
    later[1] = 2;
    node.say(owner, &later).await;
    node.say(owner, &envelope(9, 0, 999, b"anything")).await;
    node.say(owner, b"?").await;
    node.say(owner, &envelope(9, 0, 1, b"\0")).await;
    assert_eq!(opened(&node.hear().await), (2, &b""[..]));
    node.say(owner, &envelope(8, 0, 1, b"\0")).await;
    for reason in ["version", "kind", "malformed", "outdated"] {
        let label = format!(r#"reason="{reason}""#);
        metrics::reaches(server.address(), UNREADABLE, &label, 1.0).await;
    }
}

/// Polls, posts and upgrades at `owner`, by way of `ingress`.
async fn carries(redis: &Redis, owner: SocketAddr, ingress: SocketAddr) {
    let polling = Polling::connect(owner).await;
    let upgrade = polling.upgrade_path();
    let mut polling = polling.by_way_of(ingress);
    polling.subscribe("a").await;
    for number in 0..5 {
        redis.publish("a", &number.to_string()).await;
        assert_eq!(polling.message("a").await, number.to_string());
    }
    let mut socket = Client::raw(ingress, &upgrade).await;
    let (poll, ()) = tokio::join!(polling.poll(), async {
        socket.send("2probe").await;
        assert_eq!(socket.packet().await, "3probe");
    });
    assert_eq!(poll.text(), "6");
    socket.send("5").await;
    for number in 0..5 {
        redis.publish("a", &number.to_string()).await;
        assert_eq!(socket.message("a").await, number.to_string());
    }
    socket.close().await;
}

#[tokio::test]
#[ignore = "needs the program of version 0.2.0: make versions"]
async fn the_program_of_0_2_0_and_this_one_carry_for_each_other() {
    let program = env::var_os("WOMACK_0_2_0").expect("make versions builds it");
    let redis = Redis::start().await;
    let old = Launch::new(&redis).run_by(program.into());
    let (old, new) = tokio::join!(old.start(), Server::start(&redis));
    for _ in 0..3 {
        carries(&redis, old.address(), new.address()).await;
        carries(&redis, new.address(), old.address()).await;
    }
    for server in [&old, &new] {
        let metrics = Metrics::of(server.address()).await;
        assert!(metrics.sum(UNREADABLE, "") < 0.5, "{}", metrics.text());
    }
}
