//! Proxies, of the kind that real networks have: between clients and a server, or a server and Redis.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
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

async fn listen() -> (TcpListener, SocketAddr) {
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

/// Passes everything on until it is cut. Ends when dropped.
pub struct Cable {
    address: SocketAddr,
    whole: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Cable {
    /// Lays one to `server`, from a free port.
    pub async fn to(server: SocketAddr) -> Self {
        let (listener, address) = listen().await;
        let (whole, state) = watch::channel(true);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_while_whole(client, server, state.clone()));
            }
        });
        Self {
            address,
            whole,
            task,
        }
    }

    /// Ends what goes through it, and lets nothing through any more.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Lets new connections through.
    pub fn mend(&self) {
        self.whole.send_replace(true);
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

async fn pass_while_whole(
    mut client: TcpStream,
    server: SocketAddr,
    mut whole: watch::Receiver<bool>,
) -> std::io::Result<()> {
    if !*whole.borrow_and_update() {
        return Ok(());
    }
    let mut server = TcpStream::connect(server).await?;
    tokio::select! {
        passed = copy_bidirectional(&mut client, &mut server) => passed.map(drop),
        _ = whole.changed() => Ok(()),
    }
}
