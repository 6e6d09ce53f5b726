//! The server that the official Engine.IO and Socket.IO conformance suites want to talk to.
//!
//! `/engine.io/` sends every message back. `/socket.io/` has the namespaces `/` and `/custom`,
//! which emit what the client authenticated with and echo `message` and `message-with-ack`. Both
//! are written against the public interface alone.
//!
//! ```sh
//! cargo run --release --example conformance -- --port 3000
//! ```

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use womack::{
    Client, Config, Event, Message, MessageClient, Messages, Namespace, Redis, RedisSource,
    Refusal, Server,
};

#[derive(Parser)]
struct Arguments {
    /// Port to listen on
    #[arg(long, default_value_t = 3000)]
    port: u16,
}

/// Sends every message back.
struct Echo;

impl Messages for Echo {
    fn on_message(&self, client: &mut MessageClient<'_>, message: Message) {
        client.send(message);
    }
}

/// Tells a client what it authenticated with, and echoes what it says.
struct Mirror;

impl Namespace for Mirror {
    fn on_connect(&self, client: &mut Client<'_>) -> Result<(), Refusal> {
        let auth = client.auth().unwrap_or("{}").to_owned();
        client.emit("auth", &auth);
        Ok(())
    }

    fn on_event(&self, client: &mut Client<'_>, event: &Event) {
        match (event.name.as_str(), event.ack) {
            ("message", None) => {
                client.emit_binary("message-back", &event.args, &event.attachments)
            }
            (_, Some(ack)) => client.acknowledge_binary(ack, &event.args, &event.attachments),
            _ => {}
        }
    }
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let config = Config {
        host: "127.0.0.1".to_owned(),
        port: Arguments::parse().port,
        redis: Redis {
            source: RedisSource::Embedded(0),
            ..Redis::default()
        },
        ping_interval: Duration::from_millis(300),
        ping_timeout: Duration::from_millis(200),
        handshake_timeout: Duration::from_secs(1),
        ..Config::default()
    };
    let server = Server::new(config)
        .messages("/engine.io/", Echo)
        .namespace("/", Mirror)
        .namespace("/custom", Mirror);
    match server.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("conformance: {error}");
            ExitCode::from(error.exit_status())
        }
    }
}
