//! A publish/subscribe broker that speaks enough of the Redis protocol to stand in for a missing
//! Redis.
//!
//! It stores nothing: there are no keys, no persistence, no replication and no access control.
//! Clients connect over TCP as they would to Redis, in RESP2 or RESP3, and get Redis 7's answers,
//! to the byte, from the commands it knows; the tests hold it against a real Redis.
//!
//! Everything runs on one thread. [`serve`] accepts and gives each client a task (`connection.rs`)
//! that reads, decodes ([`resp`]), executes (`command.rs`) and writes. A task never waits for
//! another client: what is published goes into the receivers' outboxes, and their own tasks send
//! it. Tasks share one `Broker` in an `Rc<RefCell<…>>` that no one holds across an `.await`.
//!
//! ```text
//!   bytes ──▶ resp, inline ──▶ command ──▶ broker ──▶ outbox of each receiver ──▶ bytes
//!                                 └──▶ reply ─────▶ own outbox
//! ```

mod broker;
mod client;
mod command;
mod connection;
mod glob;
mod inline;
mod outbox;
mod reply;
pub mod resp;
mod subscriptions;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{self, LocalSet};
use tokio::time;

use crate::broker::Broker;

/// How long to wait before accepting again when the system has run out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What one client, and all of them together, may cost.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Limits {
    /// Clients connected at one time; one more is told so and closed.
    pub max_connections: usize,
    /// Bytes of one command, all its arguments together, or of one transaction; a longer command
    /// is a protocol error, and what is too much for a transaction aborts it.
    pub max_command_bytes: usize,
    /// Arguments of one command; one more is a protocol error.
    pub max_command_arguments: usize,
    /// Bytes waiting to be read by one client, replies and messages alike; over it the client is
    /// cut off.
    pub max_output_bytes: usize,
    /// Bytes that one client's channel names and patterns may take; over it a subscription is
    /// refused.
    pub max_subscription_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_command_bytes: 64 << 20,
            max_command_arguments: 1 << 20,
            max_output_bytes: 32 << 20,
            max_subscription_bytes: 256 << 20,
        }
    }
}

/// Serves the clients of `listener` until the future is dropped, which closes them all.
///
/// Returns only when the listener itself has failed. The runtime needs I/O and time, and one
/// thread is enough: all clients are served inside this future.
pub async fn serve(listener: TcpListener, limits: Limits) -> io::Result<()> {
    LocalSet::new().run_until(accept(listener, limits)).await
}

async fn accept(listener: TcpListener, limits: Limits) -> io::Result<()> {
    let broker = Rc::new(RefCell::new(Broker::new(limits)));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = open(&broker, stream) {
                    tracing::debug!(%error, "client gone before it was served");
                }
            }
            Err(error) => pause_or_give_up(error).await?,
        }
    }
}

fn open(broker: &Rc<RefCell<Broker>>, stream: TcpStream) -> io::Result<()> {
    let peer = stream.peer_addr()?;
    stream.set_nodelay(true)?;
    let Some(key) = broker.borrow_mut().connect(peer, stream.local_addr()?) else {
        tracing::warn!(%peer, "client refused: too many are connected");
        stream.try_write(b"-ERR max number of clients reached\r\n")?;
        return Ok(());
    };
    tracing::debug!(id = broker.borrow().client(key).id, %peer, "client connected");
    task::spawn_local(connection::run(broker.clone(), stream, key));
    Ok(())
}

/// What concerns the listener is final; a shortage may pass; anything else is the affair of the one
/// client that went away before it was accepted.
async fn pause_or_give_up(error: io::Error) -> io::Result<()> {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, InvalidInput, NotConnected};

    match error.kind() {
        InvalidInput | NotConnected => return Err(error),
        ConnectionAborted | ConnectionReset => {}
        _ => {
            tracing::warn!(%error, "cannot accept a client");
            time::sleep(ACCEPT_PAUSE).await;
        }
    }
    Ok(())
}
