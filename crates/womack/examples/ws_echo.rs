//! An echo server over womack's WebSocket layer, for conformance tests of that layer alone.
//!
//! At any path, each text or binary message of up to 16 MiB is sent back as it came. Nothing is
//! compressed.
//!
//! ```sh
//! cargo run --release --example ws_echo -- --port 9001
//! ```

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use womack::{Config, Limits, Message, MessageClient, Messages, Redis, RedisSource, Server};

/// The largest message.
const MAX_MESSAGE_BYTES: usize = 16 << 20;

#[derive(Parser)]
struct Arguments {
    /// Port to listen on
    #[arg(long, default_value_t = 9001)]
    port: u16,
}

/// Sends every message back.
struct Echo;

impl Messages for Echo {
    fn on_message(&self, client: &mut MessageClient<'_>, message: Message) {
        client.send(message);
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
        limits: Limits {
            max_packets_per_second: 0,
            max_payload_bytes: MAX_MESSAGE_BYTES,
            // A client may send several messages before it reads their echoes.
            max_client_queue_bytes: 4 * MAX_MESSAGE_BYTES,
            ..Limits::default()
        }
        .into(),
        // A test may take its time, and has not asked for pings.
        ping_interval: Duration::from_secs(3600),
        ..Config::default()
    };
    match Server::new(config).websocket("*", Echo).run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ws_echo: {error}");
            ExitCode::from(error.exit_status())
        }
    }
}
