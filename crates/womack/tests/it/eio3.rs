//! What only clients 1.x and 2.x do, which speak Engine.IO 3. What they have in common with later
//! ones is tested for all libraries together.

use serde_json::json;
use womack_test_support::http::{self, Method};
use womack_test_support::raw::{self, Raw};
use womack_test_support::{Client, Launch, Polling, Redis, Server, counted, metrics};

const OPEN: &str = "/socket.io/?EIO=3&transport=polling";

#[tokio::test]
async fn the_names_of_a_client_except_it_where_it_has_them() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--namespace", "/another");
    let server = launch.start().await;
    let mut client = Client::connect_eio3(server.address()).await;
    let sid = client.id().to_owned();
    client.subscribe("a").await;
    client.join("/another").await;
    client.subscribe("a").await;
    let (root, another) = (r#"42["a","#, r#"42/another,["a","#);
    for (name, spared) in [
        (sid.clone(), [true, true]),
        (format!("/#{sid}"), [true, false]),
        (format!("/another#{sid}"), [false, true]),
        (format!("/other#{sid}"), [false, false]),
        (format!("#{sid}"), [false, false]),
        (format!("{sid}#"), [false, false]),
        (sid.to_lowercase(), [false, false]),
    ] {
        redis
            .publish("a", &json!({ "except": name }).to_string())
            .await;
        redis.publish("a", "0").await;
        for (head, spared) in [root, another].into_iter().zip(spared) {
            let packet = client.find(|packet| packet.starts_with(head)).await;
            let end = packet.ends_with(",0]");
            assert_eq!(end, spared, "{name}: {packet}");
            if !end {
                client.find(|packet| *packet == format!("{head}0]")).await;
            }
        }
    }
}

#[tokio::test]
async fn text_that_was_encoded_twice_is_understood() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let mut client = Polling::connect_eio3(server.address()).await;
    let twice = |text: &str| text.bytes().map(char::from).collect::<String>();
    for channel in ["ž", "😀", "Å¾ and 😀"] {
        let event = json!(["subscribe", { "channel": channel }]);
        client.send(&twice(&format!("421{event}"))).await;
        let answer = client.packet().await;
        assert!(answer.starts_with("431[{"), "{answer}");
        redis.publish(channel, "\"é\"").await;
        let packet = client.packet().await;
        let name = packet.split(['[', ',']).nth(1).unwrap_or_default();
        let name: String = serde_json::from_str(name).expect("a string");
        assert_eq!(name, channel, "{packet}");
        assert!(packet.ends_with(r#","\u00e9"]"#), "{packet}");
    }
}

/// What the script of an answer hands to its callback.
fn handed(script: &str, callback: u32) -> String {
    let literal = script
        .strip_prefix(&format!("___eio[{callback}]("))
        .and_then(|rest| rest.strip_suffix(");"))
        .unwrap_or_else(|| panic!("a call of {callback}, not {script}"));
    serde_json::from_str(literal).expect("a string")
}

#[tokio::test]
async fn scripts_and_forms_carry_a_session() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    let answer = http::get(server.address(), &format!("{OPEN}&j=12&b64=1")).await;
    assert_eq!(
        answer.header("content-type"),
        "text/javascript; charset=UTF-8"
    );
    let payload = handed(&answer.text(), 12);
    let sid = payload.split('"').nth(3).expect("a session id");
    let path = format!("{OPEN}&j=12&sid={sid}");
    assert!(payload.ends_with("2:40"), "{payload}");

    let packet = counted(r#"421["subscribe",{"channel":"a\nb </script>"}]"#);
    let escaped = packet.replace("\\n", "\\\\n");
    let form: String = escaped.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let body = format!("d={form}");
    let posted = http::request(server.address(), Method::POST, &path, &headers, &body).await;
    assert_eq!((posted.status, posted.text().as_str()), (200, "ok"));
    let ack = handed(&http::get(server.address(), &path).await.text(), 12);
    assert!(ack.contains(r#"431[{"ok":true"#), "{ack}");

    redis.publish("a\nb </script>", r#""é </script>""#).await;
    let script = http::get(server.address(), &path).await.text();
    assert!(!script.contains("</"), "{script}");
    let expected = counted(r#"42["a\nb </script>","\u00e9 </script>"]"#);
    assert_eq!(handed(&script, 12), expected);
}

#[tokio::test]
async fn a_callback_that_is_no_number_is_refused() {
    let redis = Redis::start().await;
    let server = Server::start(&redis).await;
    for callback in ["alert(1)", "1)//", "0x1", "-1"] {
        let answer = http::get(server.address(), &format!("{OPEN}&j={callback}")).await;
        assert_eq!(answer.status, 400, "{callback}");
        let body = r#"{"code":3,"message":"Bad request"}"#;
        assert_eq!(answer.text(), body, "{callback}");
    }
}

#[tokio::test]
async fn scripts_are_for_every_page_or_none() {
    let redis = Redis::start().await;
    let launch = Launch::new(&redis).flag("--cors-origin", "https://good.example");
    let server = launch.start().await;
    let headers = [("origin", "https://good.example")];
    for headers in [&headers[..], &[]] {
        let answer = http::get_with(server.address(), &format!("{OPEN}&j=0"), headers).await;
        assert_eq!(answer.status, 403);
        let answer = http::get_with(server.address(), OPEN, headers).await;
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn no_eio3_refuses_clients_of_engine_io_3() {
    let redis = Redis::start().await;
    let refusal = r#"{"code":5,"message":"Unsupported protocol version"}"#;
    for launch in [
        Launch::new(&redis).arg("--no-eio3"),
        Launch::new(&redis).env("WOMACK_NO_EIO3", "true"),
    ] {
        let server = launch.start().await;
        let answer = http::get(server.address(), OPEN).await;
        assert_eq!((answer.status, answer.text().as_str()), (400, refusal));
        let posted = http::post(server.address(), OPEN, "1:2").await;
        assert!(posted.text().contains(r#""code":2"#), "{}", posted.text());
        let path = OPEN.replace("polling", "websocket");
        let socket = Client::try_raw(server.address(), &path).await;
        let error = socket.err().expect("no WebSocket").to_string();
        assert!(error.contains("400"), "{error}");
        Client::connect(server.address()).await;
    }
    let launch = Launch::new(&redis).arg("--no-eio3=false");
    Client::connect_eio3(launch.start().await.address()).await;
}

#[tokio::test]
async fn limits_are_those_of_later_clients() {
    let redis = Redis::start().await;
    let server = Launch::new(&redis)
        .flag("--max-packets-per-payload", "5")
        .flag("--max-packets-per-second", "20")
        .flag("--max-payload", "1000")
        .start()
        .await;
    let at = server.address();
    let mut client = Polling::connect_eio3(at).await;
    assert_eq!(client.post(&"4".repeat(1001)).await.status, 413);
    metrics::limit(at, "max_payload", 1.0).await;
    client.subscribe("a").await;
    let packet = r#"42["none"]"#;
    assert_eq!(client.post(&counted(packet).repeat(5)).await.status, 200);
    assert_eq!(client.post(&counted(packet).repeat(6)).await.status, 400);
    metrics::limit(at, "max_packets_per_payload", 1.0).await;
    for (bytes, code, limit, times) in [
        (raw::text(&"4".repeat(1001)), 1009, "max_payload", 2.0),
        (
            raw::text(packet).repeat(1000),
            1008,
            "max_packets_per_second",
            1.0,
        ),
    ] {
        let path = "/socket.io/?EIO=3&transport=websocket";
        let mut socket = Raw::upgraded(at, path).await;
        socket.send(&bytes).await;
        assert_eq!(socket.close_code().await, Some(code), "{limit}");
        metrics::limit(at, limit, times).await;
    }
}
