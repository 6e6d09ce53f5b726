//! Sessions of Engine.IO over long-polling, and what they post, leave and do not read.

use serde_json::json;
use womack_test_support::raw::{self, Raw};

use super::{
    load::Held,
    target::{self, LARGE, PUSH, Target, channel, envelope, names, subscribe},
};

/// A session; its requests go over any connection.
pub(crate) struct Session {
    path: String,
}

impl Session {
    /// Opens one at the owner, over a connection to there.
    pub(crate) async fn open(raw: &mut Raw, eio: u8) -> Option<Self> {
        let path = format!("/socket.io/?EIO={eio}&transport=polling");
        let body = get(raw, &path).await?;
        let (_, rest) = body.split_once(r#""sid":""#)?;
        let (sid, _) = rest.split_once('"')?;
        Some(Self {
            path: format!("{path}&sid={sid}"),
        })
    }

    /// Opens one of Engine.IO 4 and joins `/`.
    pub(crate) async fn connect(raw: &mut Raw) -> Option<Self> {
        let session = Self::open(raw, 4).await?;
        session.post(raw, "40").await?;
        get(raw, &session.path).await?;
        Some(session)
    }

    /// Opens one of Engine.IO 4 in the channel of `client`.
    pub(crate) async fn subscribed(raw: &mut Raw, client: usize) -> Option<Self> {
        let session = Self::connect(raw).await?;
        let packet = format!("420{}", subscribe(&[channel(client)]));
        session.post(raw, &packet).await?;
        while !get(raw, &session.path).await?.contains("430[") {}
        Some(session)
    }

    /// Posts packets; `None` if they are not taken.
    async fn post(&self, raw: &mut Raw, body: &str) -> Option<()> {
        let request = self.post_head(body.len()) + body;
        raw.try_send(request.as_bytes(), PUSH).await.then_some(())?;
        let (status, _) = raw.answer().await?;
        (status == 200).then_some(())
    }

    /// Polls again and again, and answers pings.
    async fn go_on(self, raw: Option<Raw>) {
        let Some(mut raw) = raw else { return };
        while let Some(packets) = get(&mut raw, &self.path).await {
            if packets.split('\u{1e}').any(|packet| packet == "2") {
                self.post(&mut raw, "3").await;
            }
        }
    }

    /// The head of a POST of so many bytes.
    pub(crate) fn post_head(&self, length: usize) -> String {
        format!(
            "POST {} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain;charset=UTF-8\r\n\
             Content-Length: {length}\r\n\r\n",
            self.path
        )
    }

    /// A poll.
    pub(crate) fn get_request(&self) -> String {
        request(&self.path)
    }

    /// The path of a WebSocket that is to take over.
    pub(crate) fn upgrade_path(&self) -> String {
        self.path
            .replace("transport=polling", "transport=websocket")
    }
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

pub(crate) async fn get(raw: &mut Raw, path: &str) -> Option<String> {
    let request = request(path);
    raw.try_send(request.as_bytes(), PUSH).await.then_some(())?;
    let (status, body) = raw.answer().await?;
    (status == 200).then(|| String::from_utf8_lossy(&body).into_owned())
}

/// Connections to the ingress, each of which has sent a head and a body, and was not answered, for
/// a session of its own.
pub(crate) async fn each_posts(
    target: &Target,
    head: impl Fn(&Session) -> String,
    sent: &str,
) -> Held {
    let mut held = Held::default();
    for _ in 0..target.clients {
        let Some(mut owner) = target::connect(target.owner()).await else {
            continue;
        };
        let session = Session::connect(&mut owner).await;
        let (Some(session), Some(mut socket)) = (session, target.connect().await) else {
            continue;
        };
        let bytes = head(&session) + sent;
        socket.try_send(bytes.as_bytes(), PUSH).await;
        held.sockets.push(socket);
    }
    held
}

/// Sessions that make no second request, all over one connection.
pub(crate) async fn sessions_never_seen_again(target: Target) -> Held {
    let Some(mut socket) = target.connect().await else {
        return Held::default();
    };
    let request = request("/socket.io/?EIO=4&transport=polling").repeat(64);
    for _ in 0..target.clients.div_ceil(64) {
        socket.try_send(request.as_bytes(), PUSH).await;
        for _ in 0..64 {
            socket.answer().await;
        }
    }
    vec![socket].into()
}

/// Messages that wait for a binary attachment, of clients that poll and answer pings.
pub(crate) async fn attachments_that_never_come(target: Target) -> Held {
    let Some(mut socket) = target.connect().await else {
        return Held::default();
    };
    let packet = format!("451-{}", json!(["x", "x".repeat(LARGE)]));
    let mut held = Held::default();
    for _ in 0..target.clients {
        if let Some(session) = Session::connect(&mut socket).await {
            session.post(&mut socket, &packet).await;
            held.tasks
                .spawn(session.go_on(target::connect(target.owner()).await));
        }
    }
    held.sockets.push(socket);
    held
}

/// Messages with ten attachments, of which the last never comes, all over one connection.
pub(crate) async fn ninth_of_ten_attachments(target: Target) -> Held {
    let Some(mut socket) = target.connect().await else {
        return Held::default();
    };
    let attachment = format!("b4{}", "A".repeat(100_000));
    let packets = ["4510-[\"x\"]".to_owned()].into_iter();
    let packets = packets.chain((0..9).map(|_| attachment.clone()));
    let body: String = packets
        .map(|packet| format!("{}:{packet}", packet.len()))
        .collect();
    for _ in 0..target.clients {
        if let Some(session) = Session::open(&mut socket, 3).await {
            session.post(&mut socket, &body).await;
        }
    }
    vec![socket].into()
}

/// Bodies that lack their last bytes.
pub(crate) async fn unfinished_bodies(target: Target) -> Held {
    let head = |session: &Session| session.post_head(LARGE + 1);
    each_posts(&target, head, &"4".repeat(LARGE)).await
}

/// Bodies that are announced and of which one byte comes; of half of them the length is not told.
pub(crate) async fn announced_bodies(target: Target) -> Held {
    let head = |session: &Session| session.post_head(LARGE);
    let mut held = each_posts(&target, head, "4").await;
    let chunked = |session: &Session| {
        let head = session.post_head(0);
        head.replace("Content-Length: 0", "Transfer-Encoding: chunked")
    };
    let more = each_posts(&target, chunked, "1\r\n4\r\n").await;
    held.sockets.extend(more.sockets);
    held
}

/// Messages for sessions that do not poll.
pub(crate) async fn messages_without_polls(target: Target) -> Held {
    let Some(mut socket) = target.connect().await else {
        return Held::default();
    };
    for client in 0..target.clients {
        Session::subscribed(&mut socket, client).await;
    }
    target.publish_to_each().await;
    vec![socket].into()
}

/// Requests whose acknowledgements nobody polls.
pub(crate) async fn acknowledgements_without_polls(target: Target) -> Held {
    let Some(mut socket) = target.connect().await else {
        return Held::default();
    };
    let name = names(0, 1, 900).remove(0);
    let packet = format!("420{}", json!(["unsubscribe", name]));
    let body = vec![packet; 900].join("\u{1e}");
    for _ in 0..target.clients {
        if let Some(session) = Session::connect(&mut socket).await {
            session.post(&mut socket, &body).await;
        }
    }
    vec![socket].into()
}

/// Answers to polls that are never read, each for a session of its own that polls on over another
/// connection.
pub(crate) async fn unread_answers(target: Target) -> Held {
    let mut sessions = Vec::new();
    for client in 0..target.clients {
        let Some(mut socket) = target::connect(target.owner()).await else {
            continue;
        };
        let session = Session::subscribed(&mut socket, client).await;
        if let (Some(session), Some(poll)) = (session, target.connect().await) {
            sessions.push((session, socket, poll));
        }
    }
    for (session, _, poll) in &mut sessions {
        let request = session.get_request();
        poll.try_send(request.as_bytes(), PUSH).await;
    }
    target.publish_to_each().await;
    let mut held = Held::default();
    for (session, socket, mut poll) in sessions {
        // The head says that the session has given its packets away.
        poll.try_head().await;
        held.sockets.push(poll);
        held.tasks.spawn(session.go_on(Some(socket)));
    }
    held
}

/// Answers to polls that are never read, all for one session.
pub(crate) async fn unread_answers_of_one(target: Target) -> Held {
    let Some(mut first) = target::connect(target.owner()).await else {
        return Held::default();
    };
    let Some(session) = Session::subscribed(&mut first, 0).await else {
        return Held::default();
    };
    let mut sockets = vec![first];
    for _ in 0..target.clients {
        target.redis.publish(&channel(0), &envelope(LARGE)).await;
        let Some(mut socket) = target.connect().await else {
            continue;
        };
        let request = session.get_request();
        socket.try_send(request.as_bytes(), PUSH).await;
        // The head says that the session has given its packets away.
        socket.try_head().await;
        sockets.push(socket);
    }
    sockets.into()
}

/// WebSockets that are to take over from polling and do not, with a message for each session.
pub(crate) async fn upgrades_without_end(target: Target) -> Held {
    let mut sockets = Vec::new();
    for client in 0..target.clients {
        let Some(mut socket) = target::connect(target.owner()).await else {
            continue;
        };
        let Some(session) = Session::subscribed(&mut socket, client).await else {
            continue;
        };
        if let Some(mut socket) = target.upgraded(&session.upgrade_path()).await {
            socket.try_send(&raw::text("2probe"), PUSH).await;
            socket.frame().await;
            sockets.push(socket);
        }
        sockets.push(socket);
    }
    target.publish_to_each().await;
    sockets.into()
}

/// WebSockets that are to take over, and begin with a frame that never ends.
pub(crate) async fn unfinished_frames_of_upgrades(target: Target) -> Held {
    let frame = [raw::claim(0x81, LARGE as u64 + 1), vec![0; LARGE]].concat();
    let mut sockets = Vec::new();
    for _ in 0..target.clients {
        let Some(mut socket) = target::connect(target.owner()).await else {
            continue;
        };
        let Some(session) = Session::connect(&mut socket).await else {
            continue;
        };
        if let Some(mut socket) = target.upgraded(&session.upgrade_path()).await {
            socket.try_send(&frame, PUSH).await;
            sockets.push(socket);
        }
    }
    sockets.into()
}
