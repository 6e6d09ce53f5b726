//! Requests that reach another node than their session's, and publishers.

use womack_test_support::raw;

use super::{
    load::Held,
    polling::{self, Session},
    target::{self, LARGE, PUSH, Target, channel, envelope},
    websocket::still_there,
};

/// The size of a publication that Redis takes and no server.
const PUBLICATION: usize = 64 << 20;

/// Polls that wait at one node for a session of the other.
pub(crate) async fn waiting_polls(target: Target) -> Held {
    let mut sockets = Vec::new();
    let Some(mut owner) = target::connect(target.owner()).await else {
        return Held::default();
    };
    for _ in 0..target.clients {
        let session = Session::connect(&mut owner).await;
        let (Some(session), Some(mut socket)) = (session, target.connect().await) else {
            continue;
        };
        let request = session.get_request();
        socket.try_send(request.as_bytes(), PUSH).await;
        sockets.push(socket);
    }
    sockets.into()
}

/// Bodies for sessions that the other node does not have.
pub(crate) async fn bodies_for_nobody(target: Target) -> Held {
    let Some(mut owner) = target::connect(target.owner()).await else {
        return Held::default();
    };
    let Some(session) = Session::open(&mut owner, 4).await else {
        return Held::default();
    };
    let head = session.post_head(LARGE);
    // The id keeps what names the node.
    let (path, rest) = head.split_once(" HTTP/1.1").expect("the head of a request");
    let forged = &path[..path.len() - 12];
    let request = format!("{forged}AAAAAAAAAAAA HTTP/1.1{rest}{}", "4".repeat(LARGE));
    target.each_sends(request.as_bytes()).await.into()
}

/// Bodies that lack their last bytes.
pub(crate) async fn unfinished_bodies(target: Target) -> Held {
    polling::unfinished_bodies(target).await
}

/// Answers to polls that are never read.
pub(crate) async fn unread_answers(target: Target) -> Held {
    polling::unread_answers(target).await
}

/// Messages that are much larger than a message may be.
pub(crate) async fn publications_beyond_the_limit(target: Target) -> Held {
    let sockets = target.each_subscribed().await;
    for client in 0..sockets.len() {
        let large = envelope(PUBLICATION);
        target.redis.publish(&channel(client), &large).await;
    }
    sockets.into()
}

/// WebSockets that were carried to the other node, and are not read.
pub(crate) async fn unread_tunnels(target: Target) -> Held {
    let mut sockets = Vec::new();
    for client in 0..target.clients {
        let Some(mut owner) = target::connect(target.owner()).await else {
            continue;
        };
        let Some(session) = Session::subscribed(&mut owner, client).await else {
            continue;
        };
        let Some(mut socket) = target.upgraded(&session.upgrade_path()).await else {
            continue;
        };
        socket.try_send(&raw::text("2probe"), PUSH).await;
        socket.frame().await;
        socket.try_send(&raw::text("5"), PUSH).await;
        // Answered by the WebSocket once it has taken over.
        let again = format!("421{}", target::subscribe(&[channel(client)]));
        socket.try_send(&raw::text(&again), PUSH).await;
        while let Some(frame) = socket.frame().await {
            if frame.payload.starts_with(b"431") {
                break;
            }
        }
        sockets.push(socket);
    }
    target.publish_to_each().await;
    still_there(sockets, raw::text("3"))
}
