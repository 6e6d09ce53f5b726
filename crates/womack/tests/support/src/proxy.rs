//! Proxies, of the kind that real networks have: between clients and a server, or a server and
//! Redis.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Broker;

/// Passes HTTP on and refuses WebSockets. Ends when dropped.
pub struct NoWebSockets {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl NoWebSockets {
    /// Opens one in front of `server`, on a free port.
    pub async fn before(server: SocketAddr) -> Self {
        let (listener, address) = listen().await;
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server));
            }
        });
        Self { address, task }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for NoWebSockets {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a free port");
    let address = listener
        .local_addr()
        .expect("a bound socket has an address");
    (listener, address)
}

/// Passes bytes on until a request asks for a WebSocket. Requests come in one piece each here.
async fn pass(client: TcpStream, server: SocketAddr) -> std::io::Result<()> {
    let (mut from_server, mut to_server) = TcpStream::connect(server).await?.into_split();
    let (mut from_client, mut to_client) = client.into_split();
    let answers = tokio::spawn(async move {
        // Whichever side ends first, the connection has ended.
        drop(tokio::io::copy(&mut from_server, &mut to_client).await);
        to_client
    });
    let mut bytes = Vec::with_capacity(64 * 1024);
    while from_client.read_buf(&mut bytes).await? > 0 {
        if String::from_utf8_lossy(&bytes)
            .to_lowercase()
            .contains("upgrade: websocket")
        {
            to_server.shutdown().await?;
            let refusal =
                b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            return answers.await?.write_all(refusal).await;
        }
        to_server.write_all(&bytes).await?;
        bytes.clear();
    }
    Ok(())
}

/// Passes everything on until it is cut or held up. Ends when dropped.
pub struct Cable {
    address: SocketAddr,
    state: watch::Sender<State>,
    task: JoinHandle<()>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Whole,
    /// Both ends are told.
    Cut,
    /// Nobody is told, and nothing is lost.
    HeldUp,
}

impl Cable {
    /// Lays one to `server`, from a free port.
    pub async fn to(server: SocketAddr) -> Self {
        let (listener, address) = listen().await;
        let (sender, state) = watch::channel(State::Whole);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_until_cut(client, server, state.clone()));
            }
        });
        Self {
            address,
            state: sender,
            task,
        }
    }

    /// Ends what goes through it, and lets nothing through any more.
    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// Lets nothing through, as a network does that drops packets; neither end is told. What was
    /// sent arrives afterwards if the connection still stands.
    pub fn hold_up(&self) {
        self.state.send_replace(State::HeldUp);
    }

    /// Lets everything through again.
    pub fn mend(&self) {
        self.state.send_replace(State::Whole);
    }
}

impl Broker for Cable {
    fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass_until_cut(
    client: TcpStream,
    server: SocketAddr,
    mut state: watch::Receiver<State>,
) -> std::io::Result<()> {
    let held_up = |state: &State| *state == State::HeldUp;
    let Ok(State::Whole) = state.wait_for(|state| !held_up(state)).await.as_deref() else {
        return Ok(());
    };
    let server = TcpStream::connect(server).await?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut cut = state.clone();
    tokio::select! {
        passed = pass_on(&mut from_client, &mut to_server, state.clone()) => passed,
        passed = pass_on(&mut from_server, &mut to_client, state) => passed,
        _ = cut.wait_for(|state| *state == State::Cut) => Ok(()),
    }
}

/// Passes on what comes from one end while nothing holds it up.
async fn pass_on(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    mut state: watch::Receiver<State>,
) -> std::io::Result<()> {
    let mut bytes = Vec::with_capacity(64 * 1024);
    while from.read_buf(&mut bytes).await? > 0 {
        // Whoever could change the state is gone with the test.
        let passing = state.wait_for(|state| *state != State::HeldUp).await;
        drop(passing);
        to.write_all(&bytes).await?;
        bytes.clear();
    }
    Ok(())
}
