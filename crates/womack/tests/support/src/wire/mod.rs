//! Transports of clients, without an opinion: packets go out and come in as text, errors are facts.
//!
//! Each [`Wire`] is a task of its own which always reads, so that a test may have hundreds and look
//! at each when it likes. Dropping a wire cuts its connections.

mod exchange;
mod polling;
mod stream;
mod websocket;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

pub use self::polling::Revision;

/// The longest time that a handshake or the answer to a POST may take.
const ANSWER: Duration = Duration::from_secs(30);

/// A client's connection to a server.
pub struct Wire {
    commands: UnboundedSender<Command>,
    incoming: UnboundedReceiver<Incoming>,
    task: JoinHandle<()>,
}

/// An event of a wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// The transport is there.
    Open,
    /// A packet, or a line; of an event stream, the data of an event with its name.
    Packet(String),
    /// An event of an event stream: its name and its data.
    Event(String, String),
    /// The polling session is carried by a WebSocket from here on.
    Upgraded,
    /// The connection has ended, or was refused, for this reason.
    Closed(String),
}

/// An instruction to a wire.
enum Command {
    Send(String),
    AbortPoll,
    RepeatPoll,
    Finish,
}

impl Wire {
    /// Opens a WebSocket at a path.
    pub fn websocket(address: SocketAddr, path: &str) -> Self {
        let path = path.to_owned();
        Self::spawn(|commands, incoming| websocket::run(address, path, commands, incoming))
    }

    /// Opens a polling session, which tries to upgrade after `upgrade`, if given.
    pub fn polling(address: SocketAddr, revision: Revision, upgrade: Option<Duration>) -> Self {
        Self::spawn(move |commands, incoming| {
            polling::run(address, (revision, upgrade), commands, incoming)
        })
    }

    /// Shakes hands as Socket.IO 0.9 does, and opens a WebSocket.
    pub fn legacy_websocket(address: SocketAddr) -> Self {
        Self::spawn(move |commands, incoming| {
            polling::run_legacy_websocket(address, commands, incoming)
        })
    }

    /// Opens an event stream.
    pub fn events(address: SocketAddr, query: &str) -> Self {
        let path = format!("/events?{query}");
        Self::spawn(|commands, incoming| stream::run(address, path, commands, incoming))
    }

    fn spawn<F>(
        run: impl FnOnce(UnboundedReceiver<Command>, UnboundedSender<Incoming>) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (commands, receiver) = unbounded_channel();
        let (sender, incoming) = unbounded_channel();
        Self {
            commands,
            incoming,
            task: tokio::spawn(run(receiver, sender)),
        }
    }

    /// Sends a packet, if the connection still takes it.
    pub fn send(&self, packet: String) {
        self.tell(Command::Send(packet));
    }

    /// Breaks the GET off that waits, and sends another.
    pub fn abort_poll(&self) {
        self.tell(Command::AbortPoll);
    }

    /// Sends a second GET beside the one that waits.
    pub fn repeat_poll(&self) {
        self.tell(Command::RepeatPoll);
    }

    /// Ends the connection after all that was sent, as its transport does.
    pub fn finish(&self) {
        self.tell(Command::Finish);
    }

    /// The next event; the last is [`Incoming::Closed`].
    pub async fn next(&mut self) -> Incoming {
        let next = self.incoming.recv().await;
        next.unwrap_or_else(|| Incoming::Closed("the wire has ended".to_owned()))
    }

    fn tell(&self, command: Command) {
        // A wire that has ended has said so.
        self.commands.send(command).ok();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Tells of the end. A client that is not there any more knows it.
fn close(incoming: &UnboundedSender<Incoming>, reason: impl Into<String>) {
    incoming.send(Incoming::Closed(reason.into())).ok();
}
