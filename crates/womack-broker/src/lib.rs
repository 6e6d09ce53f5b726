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
mod limits;
mod outbox;
mod reply;
pub mod resp;
mod subscriptions;
mod transaction;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{self, LocalSet};
use tokio::time;

pub use crate::limits::Limits;

use crate::broker::Broker;

/// How long to wait before accepting again when the system has run out of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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
