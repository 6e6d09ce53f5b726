//! What handlers of a program's own see of clients of every revision, and do to them.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use womack::{CloseReason, Config, Event, Namespace, Redis, RedisSource, Refusal, Server};
use womack_test_support::{Client, eventually, free_address, http};

use crate::turn;

/// Serves a namespace as `/` and `/custom` for as long as the test lives.
async fn serve<N: Namespace + Clone>(namespace: N) -> SocketAddr {
    let address = free_address();
    let config = Config {
        host: address.ip().to_string(),
        port: address.port(),
        redis: Redis {
            source: RedisSource::Embedded(0),
            ..Redis::default()
        },
        shards: 1,
        ..Config::default()
    };
    thread::spawn(|| {
        let server = Server::new(config).namespace("/", namespace.clone());
        server.namespace("/custom", namespace).run()
    });
    eventually("the server to listen", async || {
        let listens = tokio::net::TcpStream::connect(address).await.is_ok();
        listens && http::get(address, "/healthz").await.status == 200
    })
    .await;
    address
}

/// A client of Socket.IO 0.9 that has shaken hands, and its session id.
async fn legacy(address: SocketAddr) -> (Client, String) {
    let line = http::get(address, "/socket.io/1/").await.text();
    let (sid, _) = line.split_once(':').expect("a session id");
    let client = Client::raw(address, &format!("/socket.io/1/websocket/{sid}")).await;
    (client, sid.to_owned())
}

/// Tells every client its id.
#[derive(Clone)]
struct Mirror;

impl Namespace for Mirror {
    fn on_connect(&self, client: &mut womack::Client<'_>) -> Result<(), Refusal> {
        let id = format!("\"{}\"", client.id());
        client.emit("id", &id);
        Ok(())
    }

    fn on_event(&self, client: &mut womack::Client<'_>, event: &Event) {
        if let Some(ack) = event.ack {
            let id = format!("\"{}\"", client.id());
            client.acknowledge(ack, &id);
        }
    }
}

#[tokio::test]
async fn handlers_see_the_id_that_the_client_has() {
    let _alone = turn().await;
    let address = serve(Mirror).await;
    for mut client in [
        Client::connect(address).await,
        Client::connect_eio3(address).await,
    ] {
        for namespace in ["/", "/custom"] {
            if namespace != "/" {
                client.join(namespace).await;
            }
            let id = client.id().to_owned();
            assert_eq!(client.message("id").await, format!("\"{id}\""));
            assert_eq!(client.call("who", &().into()).await, id.as_str());
        }
    }
    let (mut client, sid) = legacy(address).await;
    let event = format!(r#"{{"name":"id","args":["{sid}"]}}"#);
    assert_eq!(client.packet().await, "1::");
    assert_eq!(client.packet().await, format!("5:::{event}"));
    client.send("1::/custom").await;
    assert_eq!(client.packet().await, "1::/custom");
    assert_eq!(client.packet().await, format!("5::/custom:{event}"));
}

/// Keeps clients out, or sends them away at their first event.
#[derive(Clone)]
struct Bouncer;

static IS_OPEN: AtomicBool = AtomicBool::new(false);
static LEFT: Mutex<Vec<(String, CloseReason)>> = Mutex::new(Vec::new());

impl Namespace for Bouncer {
    fn on_connect(&self, _client: &mut womack::Client<'_>) -> Result<(), Refusal> {
        match IS_OPEN.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(Refusal::new("closed")),
        }
    }

    fn on_event(&self, client: &mut womack::Client<'_>, _event: &Event) {
        client.disconnect();
    }

    fn on_disconnect(&self, client: &mut womack::Client<'_>, reason: CloseReason) {
        let mut left = LEFT.lock().expect("no handler panics");
        left.push((client.namespace().to_owned(), reason));
    }
}

#[tokio::test]
async fn a_client_refused_at_the_root_joins_no_namespace_in_socket_io_09() {
    let _alone = turn().await;
    let address = serve(Bouncer).await;
    assert_eq!(http::get(address, "/socket.io/1/").await.status, 403);
    let script = http::get(address, "/socket.io/1/?jsonp=0").await.text();
    assert_eq!(script, "io.j[0](new Error(\"unauthorized\"));");

    IS_OPEN.store(true, Ordering::Relaxed);
    let (mut client, _) = legacy(address).await;
    assert_eq!(client.packet().await, "1::");
    for namespace in ["/custom", ""] {
        if !namespace.is_empty() {
            client.send("1::/custom").await;
            assert_eq!(client.packet().await, "1::/custom");
        }
        client.send(&format!("3::{namespace}:go")).await;
        assert_eq!(client.packet().await, format!("0::{namespace}"));
    }
    assert!(client.end().await.0.is_empty());
    let expected = ["/custom", "/"].map(|path| (path.to_owned(), CloseReason::ServerDisconnect));
    assert_eq!(*LEFT.lock().expect("no handler panics"), expected);
}
