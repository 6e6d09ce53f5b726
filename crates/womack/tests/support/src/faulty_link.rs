//! A network between a server and Redis that can be slow, silent or gone, and keeps a record of it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::Broker;
use crate::proxy::listen;
use crate::ticker::millis;

/// Pieces that may be under way in one direction of a connection.
const PIECES: usize = 1024;

/// Passes everything on with a delay, until it is told to misbehave. Ends when dropped.
pub struct FaultyLink {
    address: SocketAddr,
    state: watch::Sender<State>,
    record: Arc<Mutex<Record>>,
    task: JoinHandle<()>,
}

/// A time during which nothing got through, or after which connections were gone.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    /// The cause.
    pub kind: OutageKind,
    /// Its first Unix millisecond.
    pub from: u64,
    /// Its last Unix millisecond; `None` while it lasts.
    pub to: Option<u64>,
}

/// The kinds of outages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OutageKind {
    /// Connections were reset; new ones work.
    Cut,
    /// Connections were reset; new ones end at once.
    Down,
    /// Nothing flowed and nothing was lost.
    Stall,
    /// The connections of that time carry nothing any more; new ones work.
    Hang,
}

#[derive(Clone, Copy)]
struct State {
    latency: Duration,
    is_stalled: bool,
    is_down: bool,
    /// Connections up to this number have been cut.
    cut: u64,
    /// Connections up to this number carry nothing.
    hung: u64,
}

#[derive(Default)]
struct Record {
    outages: Vec<Outage>,
    /// The number of the newest connection.
    newest: u64,
    /// The connections that stand.
    standing: Vec<u64>,
    /// The place of the hang that lasts, and the newest connection that it concerns.
    hang: Option<(usize, u64)>,
}

impl FaultyLink {
    /// Lays one to `server`, from a free port.
    pub async fn to(server: SocketAddr) -> Self {
        let (listener, address) = listen().await;
        let (state, receiver) = watch::channel(State {
            latency: Duration::ZERO,
            is_stalled: false,
            is_down: false,
            cut: 0,
            hung: 0,
        });
        let record = Arc::<Mutex<Record>>::default();
        let task = tokio::spawn(accept(listener, server, receiver, record.clone()));
        Self {
            address,
            state,
            record,
            task,
        }
    }

    /// Delays each direction by `latency` from here on.
    pub fn set_latency(&self, latency: Duration) {
        self.state.send_modify(|state| state.latency = latency);
    }

    /// Resets all connections; new ones work.
    pub fn cut(&self) {
        let mut record = lock(&self.record);
        let now = millis();
        record.push(OutageKind::Cut, now, Some(now));
        let newest = record.newest;
        self.state.send_modify(|state| state.cut = newest);
    }

    /// Resets all connections, and ends new ones at once until [`FaultyLink::restore`].
    pub fn take_down(&self) {
        let mut record = lock(&self.record);
        record.push(OutageKind::Down, millis(), None);
        let newest = record.newest;
        self.state.send_modify(|state| {
            state.cut = newest;
            state.is_down = true;
        });
    }

    /// Lets nothing through until [`FaultyLink::restore`]; nothing is lost by that.
    pub fn stall(&self) {
        lock(&self.record).push(OutageKind::Stall, millis(), None);
        self.state.send_modify(|state| state.is_stalled = true);
    }

    /// Lets nothing through on the connections that stand, without telling either end.
    pub fn hang(&self) {
        let mut record = lock(&self.record);
        let newest = record.newest;
        let now = millis();
        let place = record.outages.len();
        if record.standing.is_empty() {
            return;
        }
        match record.hang {
            // The same outage goes on, with more connections.
            Some((place, _)) => record.hang = Some((place, newest)),
            None => {
                record.push(OutageKind::Hang, now, None);
                record.hang = Some((place, newest));
            }
        }
        self.state.send_modify(|state| state.hung = newest);
    }

    /// Ends a stall or a time of being down.
    pub fn restore(&self) {
        self.state.send_modify(|state| {
            state.is_stalled = false;
            state.is_down = false;
        });
        let mut record = lock(&self.record);
        let now = millis();
        for outage in &mut record.outages {
            if matches!(outage.kind, OutageKind::Stall | OutageKind::Down) && outage.to.is_none() {
                outage.to = Some(now);
            }
        }
    }

    /// Notes an outage of the server behind the link: `from` and `to` are Unix milliseconds.
    pub fn note(&self, kind: OutageKind, from: u64, to: u64) {
        lock(&self.record).push(kind, from, Some(to));
    }

    /// All outages so far, by their beginning.
    pub fn outages(&self) -> Vec<Outage> {
        lock(&self.record).outages.clone()
    }
}

impl Broker for FaultyLink {
    fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for FaultyLink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Record {
    fn push(&mut self, kind: OutageKind, from: u64, to: Option<u64>) {
        self.outages.push(Outage { kind, from, to });
    }

    fn began(&mut self) -> u64 {
        self.newest += 1;
        self.standing.push(self.newest);
        self.newest
    }

    fn ended(&mut self, number: u64) {
        self.standing.retain(|standing| *standing != number);
        let Some((place, newest)) = self.hang else {
            return;
        };
        if self.standing.iter().all(|standing| *standing > newest) {
            self.outages[place].to = Some(millis());
            self.hang = None;
        }
    }
}

fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(
    listener: TcpListener,
    server: SocketAddr,
    state: watch::Receiver<State>,
    record: Arc<Mutex<Record>>,
) {
    while let Ok((client, _)) = listener.accept().await {
        if state.borrow().is_down {
            continue;
        }
        let number = lock(&record).began();
        let (state, record) = (state.clone(), record.clone());
        tokio::spawn(async move {
            let mut cut = state.clone();
            tokio::select! {
                // An end at either side is the end of both.
                ended = pass(client, server, number, state) => drop(ended),
                _ = cut.wait_for(|state| state.cut >= number) => {}
            }
            lock(&record).ended(number);
        });
    }
}

async fn pass(
    client: TcpStream,
    server: SocketAddr,
    number: u64,
    mut state: watch::Receiver<State>,
) -> std::io::Result<()> {
    flows(&mut state, number).await;
    let server = TcpStream::connect(server).await?;
    server.set_nodelay(true)?;
    client.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        passed = carry(from_client, to_server, number, state.clone()) => passed,
        passed = carry(from_server, to_client, number, state.clone()) => passed,
    }
}

/// Waits until something may pass on connection `number`.
async fn flows(state: &mut watch::Receiver<State>, number: u64) {
    let flows = |state: &State| !state.is_stalled && state.hung < number;
    // The sender is gone with the test.
    drop(state.wait_for(flows).await);
}

/// Carries bytes in one direction, each piece a latency later than it came.
async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    number: u64,
    mut state: watch::Receiver<State>,
) -> std::io::Result<()> {
    let (pieces, mut delayed) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES);
    let reading_state = state.clone();
    let reading = async move {
        loop {
            let mut bytes = Vec::with_capacity(16 * 1024);
            if from.read_buf(&mut bytes).await? == 0 {
                // An end waits for what came before it; on a hung connection that is for ever.
                if reading_state.borrow().hung >= number {
                    return std::io::Result::Err(std::io::ErrorKind::ConnectionReset.into());
                }
                return Ok(());
            }
            let due = Instant::now() + reading_state.borrow().latency;
            if pieces.send((due, bytes)).await.is_err() {
                return Ok(());
            }
        }
    };
    let writing = async {
        while let Some((due, bytes)) = delayed.recv().await {
            sleep_until(due).await;
            flows(&mut state, number).await;
            to.write_all(&bytes).await?;
        }
        Ok(())
    };
    tokio::try_join!(reading, writing).map(drop)
}
