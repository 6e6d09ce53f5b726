//! Packets over HTTP long-polling, of all revisions, with upgrades to WebSocket.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::Method;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::exchange::{self, Failure, Polled};
use super::websocket::{self, Socket};
use super::{ANSWER, Command, Incoming, close};

/// Packets that one POST may carry.
const PACKETS_PER_POST: usize = 200;

/// The generations of polling clients.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Revision {
    /// Socket.IO 3.x and 4.x.
    Four,
    /// Socket.IO 1.x and 2.x.
    Three,
    /// Socket.IO 0.9.
    Legacy,
}

type Answer = Result<Polled, Failure>;
type Running<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A GET that is under way.
struct Poll {
    abort: Option<oneshot::Sender<()>>,
    answer: Running<Answer>,
}

/// Something to POST, or a question whether all before it was.
enum Post {
    Packet(String),
    Flush(oneshot::Sender<()>),
}

struct Session {
    address: SocketAddr,
    revision: Revision,
    sid: String,
    incoming: UnboundedSender<Incoming>,
    posts: UnboundedSender<Post>,
}

pub(super) async fn run(
    address: SocketAddr,
    (revision, upgrade): (Revision, Option<Duration>),
    mut commands: UnboundedReceiver<Command>,
    incoming: UnboundedSender<Incoming>,
) {
    let (sid, first) = match shake_hands(address, revision).await {
        Ok(opened) => opened,
        Err(reason) => return close(&incoming, reason),
    };
    incoming.send(Incoming::Open).ok();
    for packet in first {
        incoming.send(Incoming::Packet(packet)).ok();
    }
    let (posts, queue) = unbounded_channel();
    let session = Session {
        address,
        revision,
        sid,
        incoming: incoming.clone(),
        posts,
    };
    let posting = post_all(address, session.path("polling"), revision, queue);
    let upgrade: Running<Result<Socket, Failure>> = match upgrade {
        Some(wait) => Box::pin(probe(address, session.path("websocket"), wait)),
        None => Box::pin(pending()),
    };
    let polling = session.poll(&mut commands, upgrade);
    let ended = tokio::select! {
        ended = polling => ended,
        reason = posting => Err(reason),
    };
    match ended {
        Ok(socket) => {
            incoming.send(Incoming::Upgraded).ok();
            websocket::serve(socket, &mut commands, &incoming).await;
        }
        Err(reason) => close(&incoming, reason),
    }
}

pub(super) async fn run_legacy_websocket(
    address: SocketAddr,
    commands: UnboundedReceiver<Command>,
    incoming: UnboundedSender<Incoming>,
) {
    match shake_hands(address, Revision::Legacy).await {
        Ok((sid, first)) => {
            for packet in first {
                incoming.send(Incoming::Packet(packet)).ok();
            }
            let path = format!("/socket.io/1/websocket/{sid}");
            websocket::run(address, path, commands, incoming).await;
        }
        Err(reason) => close(&incoming, reason),
    }
}

/// Opens a session; returns its id, and the packets that came with it. The packet of 0.9's
/// handshake is given the form of an open packet.
async fn shake_hands(
    address: SocketAddr,
    revision: Revision,
) -> Result<(String, Vec<String>), String> {
    let path = match revision {
        Revision::Four => "/socket.io/?EIO=4&transport=polling",
        Revision::Three => "/socket.io/?EIO=3&transport=polling",
        Revision::Legacy => "/socket.io/1/",
    };
    let answer = timeout(ANSWER, exchange::get(address, path)).await;
    let answer = answer.map_err(|_| "no answer to a handshake".to_owned())?;
    let (status, text) = answer.map_err(|error| format!("handshake: {error}"))?;
    let refused = || format!("handshake: status {status}, {text}");
    if status != 200 {
        return Err(refused());
    }
    if revision == Revision::Legacy {
        let (sid, _) = text.split_once(':').ok_or_else(refused)?;
        return Ok((sid.to_owned(), vec![format!("0{{\"sid\":\"{sid}\"}}")]));
    }
    let packets = split(revision, &text);
    let open = packets.first().and_then(|packet| packet.strip_prefix('0'));
    let open: Option<serde_json::Value> = open.and_then(|open| serde_json::from_str(open).ok());
    let sid = open.and_then(|open| open["sid"].as_str().map(str::to_owned));
    Ok((sid.ok_or_else(refused)?, packets))
}

impl Session {
    fn path(&self, transport: &str) -> String {
        let sid = &self.sid;
        match self.revision {
            Revision::Four => format!("/socket.io/?EIO=4&transport={transport}&sid={sid}"),
            Revision::Three => format!("/socket.io/?EIO=3&transport={transport}&sid={sid}"),
            Revision::Legacy => format!("/socket.io/1/xhr-polling/{sid}"),
        }
    }

    /// Polls until the session ends, for a reason, or is carried by a WebSocket.
    async fn poll(
        self,
        commands: &mut UnboundedReceiver<Command>,
        mut upgrade: Running<Result<Socket, Failure>>,
    ) -> Result<Socket, String> {
        // Answers are taken in the order of their requests, whatever arrives first.
        let mut polls = VecDeque::from([self.get()]);
        let mut probed = None;
        loop {
            let Some(first) = polls.front_mut() else {
                polls.push_back(self.get());
                continue;
            };
            tokio::select! {
                answer = &mut first.answer => {
                    polls.pop_front();
                    self.take(answer)?;
                    if let Some(socket) = probed.take_if(|_| polls.is_empty()) {
                        return self.upgrade(socket).await;
                    }
                }
                socket = &mut upgrade, if probed.is_none() => {
                    upgrade = Box::pin(pending());
                    // A probe that fails leaves the session as it is.
                    probed = socket.ok();
                }
                command = commands.recv() => match command {
                    Some(Command::Send(packet)) => {
                        self.posts.send(Post::Packet(packet)).ok();
                    }
                    Some(Command::AbortPoll) => {
                        // One that is answered already is too late to abort.
                        first.abort.take().map(|abort| abort.send(()).ok());
                        polls.push_back(self.get());
                    }
                    Some(Command::RepeatPoll) => polls.push_back(self.get()),
                    Some(Command::Finish) => {
                        self.posted().await;
                        return Err("finished".to_owned());
                    }
                    None => return Err("dropped".to_owned()),
                },
            }
        }
    }

    /// Begins to poll once.
    fn get(&self) -> Poll {
        let (address, path) = (self.address, self.path("polling"));
        let (abort, aborted) = oneshot::channel();
        let polling = async move { exchange::poll(address, &path, aborted).await };
        Poll {
            abort: Some(abort),
            answer: Box::pin(background(polling)),
        }
    }

    /// Shows the packets of an answer.
    fn take(&self, answer: Answer) -> Result<(), String> {
        let (status, text) = match answer.map_err(|error| format!("GET: {error}"))? {
            Polled::Answered(status, text) => (status, text),
            Polled::Aborted => return Ok(()),
        };
        if status != 200 {
            return Err(format!("GET: status {status}, {text}"));
        }
        let mut end = None;
        for packet in split(self.revision, &text) {
            // Errors of 0.9 are packets.
            if self.revision == Revision::Legacy && packet.starts_with("7:::") {
                end = Some(format!("GET: {packet}"));
            }
            self.incoming.send(Incoming::Packet(packet)).ok();
        }
        end.map_or(Ok(()), Err)
    }

    /// Waits until everything was POSTed.
    async fn posted(&self) {
        let (done, waited) = oneshot::channel();
        self.posts.send(Post::Flush(done)).ok();
        // The end of posting ends the session, too.
        waited.await.ok();
    }

    async fn upgrade(&self, mut socket: Socket) -> Result<Socket, String> {
        self.posted().await;
        let sent = socket.send(Message::text("5")).await;
        sent.map_err(|error| format!("upgrade: {error}"))?;
        Ok(socket)
    }
}

/// Sends a request now, whenever somebody looks for its answer.
fn background(
    request: impl Future<Output = Answer> + Send + 'static,
) -> impl Future<Output = Answer> + Send {
    let mut tasks = JoinSet::new();
    tasks.spawn(request);
    async move {
        match tasks.join_next().await {
            Some(Ok(answer)) => answer,
            _ => Err("the request was given up".into()),
        }
    }
}

/// Opens a WebSocket of a polling session, and has it answer a probe.
async fn probe(address: SocketAddr, path: String, wait: Duration) -> Result<Socket, Failure> {
    sleep(wait).await;
    let mut socket = websocket::open(address, &path).await?;
    socket.send(Message::text("2probe")).await?;
    match socket.next().await {
        Some(Ok(Message::Text(answer))) if answer == "3probe" => Ok(socket),
        other => Err(format!("3probe, not {other:?}").into()),
    }
}

/// POSTs everything in its order, one request at a time; returns why it ended.
async fn post_all(
    address: SocketAddr,
    path: String,
    revision: Revision,
    mut queue: UnboundedReceiver<Post>,
) -> String {
    let mut posts = Vec::new();
    while queue.recv_many(&mut posts, PACKETS_PER_POST).await > 0 {
        let (mut packets, mut flushes) = (Vec::new(), Vec::new());
        for post in posts.drain(..) {
            match post {
                Post::Packet(packet) => packets.push(packet),
                Post::Flush(done) => flushes.push(done),
            }
        }
        if !packets.is_empty() {
            let body = join(revision, &packets);
            let posting = exchange::exchange(address, Method::POST, &path, &body);
            match timeout(ANSWER, posting).await {
                Ok(Ok((200, _))) => {}
                Ok(Ok((status, text))) => return format!("POST: status {status}, {text}"),
                Ok(Err(error)) => return format!("POST: {error}"),
                Err(_) => return "POST: no answer".to_owned(),
            }
        }
        for done in flushes {
            // A session that has ended waits no more.
            done.send(()).ok();
        }
    }
    "nobody posts".to_owned()
}

/// A payload of some packets.
fn join(revision: Revision, packets: &[String]) -> String {
    match (revision, packets) {
        (Revision::Four, _) => packets.join("\u{1e}"),
        (Revision::Three, _) => packets
            .iter()
            .map(|packet| crate::counted(packet))
            .collect(),
        (Revision::Legacy, [packet]) => packet.clone(),
        (Revision::Legacy, _) => {
            let framed = |packet: &String| {
                let units = packet.encode_utf16().count();
                format!("\u{fffd}{units}\u{fffd}{packet}")
            };
            packets.iter().map(framed).collect()
        }
    }
}

/// The packets of a payload.
fn split(revision: Revision, payload: &str) -> Vec<String> {
    match revision {
        Revision::Four => payload.split('\u{1e}').map(str::to_owned).collect(),
        Revision::Three => split_counted(payload),
        Revision::Legacy => split_framed(payload),
    }
}

fn split_counted(payload: &str) -> Vec<String> {
    let (mut packets, mut rest) = (Vec::new(), payload);
    while let Some((length, after)) = rest.split_once(':') {
        let length = length.parse().unwrap_or(0).min(after.len());
        let (packet, after) = after.split_at(length);
        packets.push(packet.to_owned());
        rest = after;
    }
    packets
}

/// Packets between U+FFFD marks with their lengths, or a single one without; all are ASCII here.
fn split_framed(payload: &str) -> Vec<String> {
    if !payload.starts_with('\u{fffd}') {
        return vec![payload.to_owned()];
    }
    let parts: Vec<_> = payload.split('\u{fffd}').skip(1).collect();
    let packets = parts.chunks(2).filter_map(|part| part.get(1));
    packets.map(|packet| (*packet).to_owned()).collect()
}
