//! Clients without Socket.IO: JSON lines at `/ws`, and event streams.

use serde_json::json;
use womack_test_support::raw::{self, Raw};

use super::{
    load::Held,
    target::{LARGE, PUSH, Target, channel, names},
    websocket::still_there,
};

async fn lines(target: &Target) -> Vec<Raw> {
    let mut sockets = Vec::new();
    for _ in 0..target.clients {
        sockets.extend(target.upgraded("/ws").await);
    }
    sockets
}

/// Frames of a byte, as many as a socket takes, from all clients at once.
pub(crate) async fn frames_of_a_byte(target: Target) -> Held {
    let mut sockets = Vec::new();
    for _ in 0..target.clients {
        sockets.extend(target.upgraded_quickly("/ws").await);
    }
    let frames = raw::text("x").repeat(9000);
    target.each_sends_while_halted(&mut sockets, &frames).await;
    sockets.into()
}

/// Messages without a last fragment, with a ping before each.
pub(crate) async fn fragments_between_pings(target: Target) -> Held {
    let mut bytes = raw::frame(0x01, b"{");
    for _ in 0..10 {
        bytes.extend(raw::frame(0x89, b""));
        bytes.extend(raw::frame(0x00, &[b' '; LARGE / 10]));
    }
    let mut sockets = lines(&target).await;
    for socket in &mut sockets {
        socket.try_send(&bytes, PUSH).await;
    }
    still_there(sockets, raw::frame(0x8a, b""))
}

/// Requests whose answers are not read.
pub(crate) async fn unread_answers(target: Target) -> Held {
    let mut sockets = lines(&target).await;
    send_requests(&mut sockets).await;
    still_there(sockets, raw::frame(0x8a, b""))
}

/// The same, from clients that close then.
pub(crate) async fn closing_unread(target: Target) -> Held {
    let mut sockets = lines(&target).await;
    send_requests(&mut sockets).await;
    for socket in &mut sockets {
        socket
            .try_send(&raw::frame(0x88, &1000_u16.to_be_bytes()), PUSH)
            .await;
    }
    sockets.into()
}

async fn send_requests(sockets: &mut [Raw]) {
    let line = json!({ "unsubscribe": names(0, 100, 900) }).to_string();
    let lines = raw::text(&line).repeat(10);
    for socket in sockets {
        socket.try_send(&lines, PUSH).await;
    }
}

/// Event streams that are not read.
pub(crate) async fn unread_streams(target: Target) -> Held {
    let mut sockets = Vec::new();
    for client in 0..target.clients {
        sockets.extend(stream(&target, &[channel(client)]).await);
    }
    target.publish_to_each().await;
    sockets.into()
}

/// Event streams of nothing.
pub(crate) async fn silent_streams(target: Target) -> Held {
    let mut sockets = Vec::new();
    for _ in 0..target.clients {
        sockets.extend(stream(&target, &["silent".to_owned()]).await);
    }
    sockets.into()
}

/// Event streams of channels with names as long as a request may have them.
pub(crate) async fn streams_with_long_names(target: Target) -> Held {
    let mut sockets = Vec::new();
    for client in 0..target.clients {
        sockets.extend(stream(&target, &names(client, 30, 950)).await);
    }
    sockets.into()
}

/// An event stream that has begun.
async fn stream(target: &Target, channels: &[String]) -> Option<Raw> {
    let mut socket = target.connect().await?;
    let query: Vec<_> = channels
        .iter()
        .map(|name| format!("channel={name}"))
        .collect();
    let query = query.join("&");
    let request = format!("GET /events?{query} HTTP/1.1\r\nHost: a\r\n\r\n");
    socket.try_send(request.as_bytes(), PUSH).await;
    let head = socket.try_head().await?;
    head.starts_with("HTTP/1.1 200 ").then_some(socket)
}
