//! The round's bytes, and the only ways out to a client.

use std::{
    collections::HashMap,
    io::{ErrorKind, Write},
    ops::Range,
};

use super::clients::{Client, Clients};
use crate::frame;

/// Frames of a round one after the other, and who waits for which part of them.
#[derive(Default)]
pub(super) struct Outgoing {
    round: Vec<u8>,
    /// Clients with something in the round.
    dirty: Vec<u32>,
    /// What waits for a client in pieces that do not touch, put together.
    pieces: HashMap<usize, Vec<u8>>,
    /// What a socket did not take.
    backlog: HashMap<usize, Vec<u8>>,
}

impl Outgoing {
    /// Appends `42["<name>",<payload>]` with its header to the round, and tells where it is.
    pub(super) fn frame(&mut self, name: &[u8], payload: &[u8]) -> Range<u32> {
        let start = self.round.len() as u32;
        frame::server_header(name.len() + payload.len() + 7, &mut self.round);
        for part in [br#"42[""#, name, br#"","#, payload, b"]"] {
            self.round.extend_from_slice(part);
        }
        start..self.round.len() as u32
    }

    /// Writes the frame to each subscriber at once; the round ends with it.
    pub(super) fn send(&mut self, clients: &mut Clients, frame: Range<u32>, subscribers: &[u32]) {
        let bytes = &self.round[frame.start as usize..frame.end as usize];
        for &id in subscribers {
            if let Some(client) = clients.get_mut(id as usize) {
                write(client, id as usize, bytes, &mut self.backlog);
            }
        }
        self.round.clear();
    }

    /// Lets the frame wait for each subscriber until the round is flushed.
    pub(super) fn queue(&mut self, clients: &mut Clients, frame: Range<u32>, subscribers: &[u32]) {
        for &id in subscribers {
            let Some(client) = clients.get_mut(id as usize) else {
                continue;
            };
            if client.end == frame.start && client.end != client.start {
                client.end = frame.end;
                continue;
            }
            if client.start == client.end {
                self.dirty.push(id);
            } else {
                let piece = &self.round[client.start as usize..client.end as usize];
                self.pieces
                    .entry(id as usize)
                    .or_default()
                    .extend_from_slice(piece);
            }
            (client.start, client.end) = (frame.start, frame.end);
        }
    }

    /// One write for each client of everything that waits for it.
    pub(super) fn flush(&mut self, clients: &mut Clients) {
        for id in self.dirty.drain(..) {
            let id = id as usize;
            let Some(client) = clients.get_mut(id) else {
                continue;
            };
            let last = &self.round[client.start as usize..client.end as usize];
            (client.start, client.end) = (0, 0);
            if self.pieces.is_empty() {
                write(client, id, last, &mut self.backlog);
                continue;
            }
            match self.pieces.remove(&id) {
                Some(mut bytes) => {
                    bytes.extend_from_slice(last);
                    write(client, id, &bytes, &mut self.backlog);
                }
                None => write(client, id, last, &mut self.backlog),
            }
        }
        self.round.clear();
    }

    /// A packet for one client, outside of any round.
    pub(super) fn reply_text(&mut self, clients: &mut Clients, id: usize, packet: &[u8]) {
        let mut bytes = Vec::with_capacity(packet.len() + 4);
        frame::server_header(packet.len(), &mut bytes);
        bytes.extend_from_slice(packet);
        self.reply(clients, id, &bytes);
    }

    /// Bytes for one client, outside of any round.
    pub(super) fn reply(&mut self, clients: &mut Clients, id: usize, bytes: &[u8]) {
        if let Some(client) = clients.get_mut(id) {
            write(client, id, bytes, &mut self.backlog);
        }
    }

    /// Goes on with what a socket did not take.
    pub(super) fn resume(&mut self, clients: &mut Clients, id: usize) {
        if self.backlog.is_empty() {
            return;
        }
        let Some(bytes) = self.backlog.remove(&id) else {
            return;
        };
        self.reply(clients, id, &bytes);
    }

    /// Nothing waits for this client any more.
    pub(super) fn forget(&mut self, id: usize) {
        self.backlog.remove(&id);
        self.pieces.remove(&id);
        self.dirty.retain(|&dirty| dirty as usize != id);
    }
}

fn write(client: &mut Client, id: usize, bytes: &[u8], backlog: &mut HashMap<usize, Vec<u8>>) {
    if !backlog.is_empty()
        && let Some(waiting) = backlog.get_mut(&id)
    {
        waiting.extend_from_slice(bytes);
        return;
    }
    let mut written = 0;
    while written < bytes.len() {
        match client.stream.write(&bytes[written..]) {
            Ok(length) => written += length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                backlog.insert(id, bytes[written..].to_vec());
                return;
            }
            // The reading side learns of it and closes the client.
            Err(_) => return,
        }
    }
}
