//! The bytes of a WebSocket whose session is at another node.
//!
//! At the ingress, a tunnel ends in the client's socket; at the owner, in one of a pair of sockets
//! whose other one the session's shard takes for its client's. A shard therefore knows nothing of
//! tunnels, and a client that reads too slowly is slow to its shard: what has been read here is
//! bounded by a window, and what is not read fills the socket.

use std::{collections::VecDeque, future::pending, io, net, time::Duration};

use bytes::{Buf, Bytes};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    select,
    sync::mpsc::{UnboundedReceiver, UnboundedSender},
    time::{Instant, sleep_until},
};
use womack_engine::ClientSocket;
use womack_ledger::Ledger;
use womack_proto::relay::Flow;

use super::{event::Event, place::End};

/// Bytes that may be under way in one direction.
const WINDOW: u32 = 64 * 1024;
/// Bytes that are read at one go.
const READ_BYTES: usize = 16 * 1024;

/// How long a tunnel may last when its other end has ended, as a shard's last bytes.
const LAST_BYTES: Duration = Duration::from_secs(2);

/// Carries what `socket` brings to the other end, and what comes from there to `socket`, until
/// neither side has more, or the relay has dropped its half of `incoming`.
pub(super) async fn run(
    ClientSocket { stream, slots }: ClientSocket,
    end: End,
    mut incoming: UnboundedReceiver<Flow>,
    events: UnboundedSender<Event>,
) {
    let say = |flow| {
        // The relay has ended, and with it the process will.
        events.send(Event::Flow(end, flow)).ok();
    };
    if let Err(error) = carry(stream, &mut incoming, say).await {
        tracing::debug!(%error, "a tunnel has ended");
        say(Flow::End);
    }
    drop(slots);
    events.send(Event::Closed(end)).ok();
}

/// What the other end says, whose bytes are charged to `ledger` until the socket has taken them.
pub(super) fn keep(flow: Flow, ledger: &Ledger) -> Flow {
    match flow {
        Flow::Bytes(bytes) => Flow::Bytes(ledger.keep(bytes)),
        other => other,
    }
}

async fn carry(
    stream: net::TcpStream,
    incoming: &mut UnboundedReceiver<Flow>,
    say: impl Fn(Flow),
) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let mut stream = TcpStream::from_std(stream)?;
    let mut tunnel = Tunnel::new();
    let mut over = None;
    while tunnel.reads || tunnel.writes {
        select! {
            flow = incoming.recv(), if !tunnel.is_abandoned => match flow {
                Some(flow) => tunnel.take(flow)?,
                None => tunnel.abandon(),
            },
            ready = stream.readable(), if tunnel.may_read() => {
                ready?;
                if let Some(flow) = tunnel.read(&stream)? {
                    say(flow);
                }
            }
            ready = stream.writable(), if tunnel.has_pending() => {
                ready?;
                if let Some(room) = tunnel.write(&stream)? {
                    say(Flow::Room(room));
                }
            }
            () = until(over) => return Err(io::ErrorKind::TimedOut.into()),
        }
        if tunnel.ended && over.is_none() {
            over = Some(Instant::now() + LAST_BYTES);
        }
        if tunnel.is_written() {
            tunnel.writes = false;
            stream.shutdown().await?;
        }
    }
    Ok(())
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// How far a tunnel's two directions have come, seen from one end.
struct Tunnel {
    /// Bytes that the other end has room for.
    room: u32,
    /// Bytes that wait for the socket.
    pending: VecDeque<Bytes>,
    pending_bytes: u32,
    /// Bytes that the socket has taken and the other end does not know of.
    taken: u32,
    /// Whether the socket may bring more.
    reads: bool,
    /// Whether the socket may be brought more.
    writes: bool,
    /// Whether the other end has said its last.
    ended: bool,
    /// Whether nobody listens any more to what the socket brings.
    is_abandoned: bool,
}

impl Tunnel {
    const fn new() -> Self {
        Self {
            room: WINDOW,
            pending: VecDeque::new(),
            pending_bytes: 0,
            taken: 0,
            reads: true,
            writes: true,
            ended: false,
            is_abandoned: false,
        }
    }

    const fn may_read(&self) -> bool {
        self.reads && self.room > 0
    }

    fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    fn is_written(&self) -> bool {
        self.writes && self.ended && self.pending.is_empty()
    }

    /// There is no other end any more: what has come from it is still written.
    const fn abandon(&mut self) {
        self.is_abandoned = true;
        self.reads = false;
        self.ended = true;
    }

    /// Takes what the other end says.
    ///
    /// # Errors
    /// It sends more than there is room for.
    fn take(&mut self, flow: Flow) -> io::Result<()> {
        match flow {
            Flow::Bytes(bytes) => {
                let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                self.pending_bytes = self.pending_bytes.saturating_add(length);
                if self.pending_bytes + self.taken > WINDOW || self.ended {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                self.pending.push_back(bytes);
            }
            Flow::Room(room) => self.room = self.room.saturating_add(room).min(WINDOW),
            Flow::End => self.ended = true,
        }
        Ok(())
    }

    fn read(&mut self, stream: &TcpStream) -> io::Result<Option<Flow>> {
        let mut buffer = [0; READ_BYTES];
        let most = READ_BYTES.min(self.room as usize);
        match stream.try_read(&mut buffer[..most]) {
            Ok(0) => {
                self.reads = false;
                Ok(Some(Flow::End))
            }
            Ok(count) => {
                self.room -= count as u32;
                Ok(Some(Flow::Bytes(Bytes::copy_from_slice(&buffer[..count]))))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes what waits. Returns for how many bytes more there is room, once it is worth a word.
    fn write(&mut self, stream: &TcpStream) -> io::Result<Option<u32>> {
        while let Some(first) = self.pending.front_mut() {
            match stream.try_write(first) {
                Ok(count) => {
                    first.advance(count);
                    if first.is_empty() {
                        self.pending.pop_front();
                    }
                    self.pending_bytes -= count as u32;
                    self.taken += count as u32;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let is_worth_it = self.taken >= WINDOW / 2;
        Ok(is_worth_it.then(|| std::mem::take(&mut self.taken)))
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncReadExt, sync::mpsc, task::LocalSet};

    use super::*;
    use womack_engine::SocketSlots;

    use crate::relay::owner::pair;

    /// Two tunnels, each the other's other end, between two sockets.
    async fn between(test: impl AsyncFnOnce(TcpStream, TcpStream)) {
        let (events, mut said) = mpsc::unbounded_channel();
        let place = (1, 1);
        let mut ends = Vec::new();
        let mut halves = Vec::new();
        for end in [End::Ingress(1), End::Owner(place)] {
            let (inner, outer) = pair().unwrap();
            outer.set_nonblocking(true).unwrap();
            ends.push(TcpStream::from_std(outer).unwrap());
            let (half, incoming) = mpsc::unbounded_channel();
            halves.push(half);
            let socket = ClientSocket {
                stream: inner,
                slots: SocketSlots::default(),
            };
            tokio::task::spawn_local(run(socket, end, incoming, events.clone()));
        }
        drop(events);
        let carrying = tokio::task::spawn_local(async move {
            while let Some(event) = said.recv().await {
                if let Event::Flow(end, flow) = event {
                    let other = usize::from(end == End::Ingress(1));
                    halves[other].send(flow).ok();
                }
            }
        });
        let (owner, ingress) = (ends.pop().unwrap(), ends.pop().unwrap());
        test(ingress, owner).await;
        carrying.await.unwrap();
    }

    fn run_test(test: impl AsyncFnOnce(TcpStream, TcpStream)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, between(test));
    }

    #[test]
    fn bytes_arrive_in_order_in_both_directions() {
        run_test(async |mut ingress, mut owner| {
            let there: Vec<u8> = (0..500_000_u32).flat_map(u32::to_be_bytes).collect();
            let back: Vec<u8> = there.iter().rev().copied().collect();
            let (mut edge_in, mut edge_out) = ingress.split();
            let (mut home_in, mut home_out) = owner.split();
            let (mut at_home, mut at_edge) = (vec![0; there.len()], vec![0; back.len()]);
            let (a, b, c, d) = tokio::join!(
                edge_out.write_all(&there),
                home_out.write_all(&back),
                home_in.read_exact(&mut at_home),
                edge_in.read_exact(&mut at_edge),
            );
            assert!(a.is_ok() && b.is_ok() && c.is_ok() && d.is_ok());
            assert!(at_home == there && at_edge == back);
            drop((ingress, owner));
        });
    }

    #[test]
    fn an_end_is_an_end_at_the_other_side_after_all_bytes() {
        run_test(async |mut ingress, mut owner| {
            ingress.write_all(b"last").await.unwrap();
            ingress.shutdown().await.unwrap();
            let mut read = Vec::new();
            owner.read_to_end(&mut read).await.unwrap();
            assert_eq!(read, b"last");
            owner.write_all(b"word").await.unwrap();
            owner.shutdown().await.unwrap();
            read.clear();
            ingress.read_to_end(&mut read).await.unwrap();
            assert_eq!(read, b"word");
        });
    }

    #[test]
    fn whoever_sends_more_than_there_is_room_for_is_cut_off() {
        let mut tunnel = Tunnel::new();
        let half = Flow::Bytes(Bytes::from(vec![0; WINDOW as usize / 2]));
        assert!(tunnel.take(half.clone()).is_ok());
        assert!(tunnel.take(half.clone()).is_ok());
        assert!(tunnel.take(half).is_err());
    }
}
