//! Sessions of Socket.IO 0.9 over xhr-polling.

use serde_json::json;
use womack_test_support::raw::Raw;

use super::{
    load::Held,
    polling::get,
    target::{LARGE, PUSH, Target, channel},
};

/// A session that has taken its first packet.
struct Session {
    path: String,
}

impl Session {
    async fn connect(raw: &mut Raw) -> Option<Self> {
        let line = get(raw, "/socket.io/1/").await?;
        let (sid, _) = line.split_once(':')?;
        let path = format!("/socket.io/1/xhr-polling/{sid}");
        get(raw, &path).await?;
        Some(Self { path })
    }

    async fn subscribed(raw: &mut Raw, client: usize) -> Option<Self> {
        let session = Self::connect(raw).await?;
        let event = json!({ "name": "subscribe", "args": [channel(client)] });
        let body = format!("5:1+::{event}");
        let request = session.post_head(body.len()) + &body;
        raw.try_send(request.as_bytes(), PUSH).await;
        raw.answer().await?;
        while !get(raw, &session.path).await?.contains("6:::1+") {}
        Some(session)
    }

    fn post_head(&self, length: usize) -> String {
        format!(
            "POST {} HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain;charset=UTF-8\r\n\
             Content-Length: {length}\r\n\r\n",
            self.path
        )
    }
}

/// Handshakes without a transport, all over one connection.
pub(crate) async fn handshakes_without_transport(target: Target) -> Held {
    let Some(mut socket) = target.connect().await else {
        return Held::default();
    };
    let request = "GET /socket.io/1/ HTTP/1.1\r\nHost: a\r\n\r\n".repeat(64);
    for _ in 0..target.clients.div_ceil(64) {
        socket.try_send(request.as_bytes(), PUSH).await;
        for _ in 0..64 {
            socket.answer().await;
        }
    }
    vec![socket].into()
}

/// Bodies that lack their last bytes.
pub(crate) async fn unfinished_bodies(target: Target) -> Held {
    let mut sockets = Vec::new();
    for _ in 0..target.clients {
        let Some(mut socket) = target.connect().await else {
            continue;
        };
        let Some(session) = Session::connect(&mut socket).await else {
            continue;
        };
        let bytes = session.post_head(LARGE + 1) + &"5".repeat(LARGE);
        socket.try_send(bytes.as_bytes(), PUSH).await;
        sockets.push(socket);
    }
    sockets.into()
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

/// Answers to polls that are never read.
pub(crate) async fn unread_answers(target: Target) -> Held {
    let mut sockets = Vec::new();
    for client in 0..target.clients {
        let Some(mut socket) = target.connect().await else {
            continue;
        };
        if let Some(session) = Session::subscribed(&mut socket, client).await {
            let request = format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", session.path);
            socket.try_send(request.as_bytes(), PUSH).await;
            sockets.push(socket);
        }
    }
    target.publish_to_each().await;
    sockets.into()
}
