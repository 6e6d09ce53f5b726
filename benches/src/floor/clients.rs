//! The floor's clients: a socket each, and the range of the round's bytes that waits for it.

use std::io::{self, ErrorKind, Read};

use mio::{
    Interest, Registry, Token,
    net::{TcpListener, TcpStream},
};
use slab::Slab;
use tungstenite::handshake::derive_accept_key;

use crate::frame;

const OPEN: &[u8] = br#"0{"sid":"floor","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
const KEY_HEADER: &[u8] = b"Sec-WebSocket-Key: ";

/// All clients, by number.
#[derive(Default)]
pub(super) struct Clients {
    slab: Slab<Client>,
}

/// All that the floor remembers of a client: 16 bytes in a release build.
pub(super) struct Client {
    pub(super) stream: TcpStream,
    /// What waits for this client in the round's bytes; empty unless the client is dirty.
    pub(super) start: u32,
    pub(super) end: u32,
    /// Whether the WebSocket is open.
    open: bool,
}

impl Clients {
    /// Takes everyone who waits at the door.
    pub(super) fn accept(&mut self, listener: &TcpListener, registry: &Registry) -> io::Result<()> {
        loop {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let entry = self.slab.vacant_entry();
            // Edge-triggered: the interest in writing costs nothing until a write falls short.
            registry.register(
                &mut stream,
                Token(entry.key()),
                Interest::READABLE | Interest::WRITABLE,
            )?;
            entry.insert(Client {
                stream,
                start: 0,
                end: 0,
                open: false,
            });
        }
    }

    /// Reads from a client; one that has gone reads as an end of stream.
    pub(super) fn read(&mut self, client: usize, buffer: &mut [u8]) -> io::Result<usize> {
        match self.slab.get_mut(client) {
            Some(client) => client.stream.read(buffer),
            None => Err(ErrorKind::WouldBlock.into()),
        }
    }

    /// Whether the client has had its WebSocket opened; it is taken to be from now on.
    pub(super) fn open(&mut self, client: usize) -> bool {
        let Some(client) = self.slab.get_mut(client) else {
            return true;
        };
        std::mem::replace(&mut client.open, true)
    }

    pub(super) fn get_mut(&mut self, client: usize) -> Option<&mut Client> {
        self.slab.get_mut(client)
    }

    pub(super) fn close(&mut self, client: usize) {
        self.slab.try_remove(client);
    }
}

/// The answer to an upgrade request, and the open packet after it.
pub(super) fn upgrade(request: &[u8]) -> io::Result<Vec<u8>> {
    let key = memchr::memmem::find(request, KEY_HEADER)
        .map(|at| &request[at + KEY_HEADER.len()..])
        .and_then(|key| key.split(|&byte| byte == b'\r').next())
        .ok_or_else(|| io::Error::other("a request without a key"))?;
    let mut answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key)
    )
    .into_bytes();
    frame::server_header(OPEN.len(), &mut answer);
    answer.extend_from_slice(OPEN);
    Ok(answer)
}
