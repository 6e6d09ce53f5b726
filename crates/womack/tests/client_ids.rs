//! A handler knows its clients by the ids that they know themselves by.

use std::thread;

use womack::{Config, Event, Namespace, RedisSource, Refusal, Server};
use womack_test_support::{Client, eventually, free_address, http};

/// Tells every client its id.
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
    let address = free_address();
    let config = Config {
        host: address.ip().to_string(),
        port: address.port(),
        redis: RedisSource::Embedded(0),
        shards: 1,
        ..Config::default()
    };
    // It lives as long as the test.
    thread::spawn(|| {
        let server = Server::new(config).namespace("/", Mirror);
        server.namespace("/custom", Mirror).run()
    });
    eventually("the server to listen", async || {
        let listens = tokio::net::TcpStream::connect(address).await.is_ok();
        listens && http::get(address, "/healthz").await.status == 200
    })
    .await;
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
}
