//! Packets over a WebSocket.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::exchange::Failure;
use super::{ANSWER, Command, Incoming, close};

pub(super) type Socket = WebSocketStream<TcpStream>;

/// Opens a WebSocket.
pub(super) async fn open(address: SocketAddr, path: &str) -> Result<Socket, Failure> {
    let opening = async {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let (socket, _) = client_async(format!("ws://{address}{path}"), tcp).await?;
        Result::<_, Failure>::Ok(socket)
    };
    timeout(ANSWER, opening).await?
}

pub(super) async fn run(
    address: SocketAddr,
    path: String,
    mut commands: UnboundedReceiver<Command>,
    incoming: UnboundedSender<Incoming>,
) {
    match open(address, &path).await {
        Ok(socket) => {
            incoming.send(Incoming::Open).ok();
            serve(socket, &mut commands, &incoming).await;
        }
        Err(error) => close(&incoming, format!("no WebSocket: {error}")),
    }
}

/// Serves until the connection ends.
pub(super) async fn serve(
    mut socket: Socket,
    commands: &mut UnboundedReceiver<Command>,
    incoming: &UnboundedSender<Incoming>,
) {
    let mut reason = None;
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    incoming.send(Incoming::Packet(text.to_string())).ok();
                }
                // The stream answers pings and closes by itself.
                Some(Ok(Message::Close(frame))) => reason = Some(format!("close frame {frame:?}")),
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    return close(incoming, reason.unwrap_or_else(|| error.to_string()));
                }
                None => return close(incoming, reason.unwrap_or_else(|| "the end".to_owned())),
            },
            command = commands.recv() => match command {
                Some(Command::Send(packet)) => {
                    // A connection that takes nothing more ends, which shows above.
                    socket.send(Message::text(packet)).await.ok();
                }
                Some(Command::Finish) => {
                    socket.close(None).await.ok();
                }
                Some(Command::AbortPoll | Command::RepeatPoll) => {}
                None => return,
            },
        }
    }
}
