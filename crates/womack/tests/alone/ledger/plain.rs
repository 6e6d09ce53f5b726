//! Clients without Socket.IO: JSON lines at `/ws`, and event streams.

use serde_json::json;
use womack_test_support::raw::{self, Raw};

use super::{
    load::Held,
    site::{LARGE, PUSH, Site, channel, names},
    websocket::still_there,
};

async fn lines(site: &Site) -> Vec<Raw> {
    let mut sockets = Vec::new();
    for _ in 0..site.clients {
        sockets.extend(site.upgraded("/ws").await);
    }
    sockets
}

/// Frames of a byte, as many as a socket takes, from all clients at once.
pub(crate) async fn frames_of_a_byte(site: Site) -> Held {
    let mut sockets = Vec::new();
    for _ in 0..site.clients {
        sockets.extend(site.upgraded_quickly("/ws").await);
    }
    let frames = raw::text("x").repeat(9000);
    site.each_sends_while_halted(&mut sockets, &frames).await;
    sockets.into()
}

/// Messages without a last fragment, with a ping before each.
pub(crate) async fn fragments_between_pings(site: Site) -> Held {
    let mut bytes = raw::frame(0x01, b"{");
    for _ in 0..10 {
        bytes.extend(raw::frame(0x89, b""));
        bytes.extend(raw::frame(0x00, &[b' '; LARGE / 10]));
    }
    let mut sockets = lines(&site).await;
    for socket in &mut sockets {
        socket.try_send(&bytes, PUSH).await;
    }
    still_there(sockets, raw::frame(0x8a, b""))
}

/// Requests whose answers are not read.
pub(crate) async fn unread_answers(site: Site) -> Held {
    let mut sockets = lines(&site).await;
    send_requests(&mut sockets).await;
    still_there(sockets, raw::frame(0x8a, b""))
}

/// The same, from clients that close then.
pub(crate) async fn closing_unread(site: Site) -> Held {
    let mut sockets = lines(&site).await;
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
pub(crate) async fn unread_streams(site: Site) -> Held {
    let mut sockets = Vec::new();
    for client in 0..site.clients {
        sockets.extend(stream(&site, &[channel(client)]).await);
    }
    site.publish_to_each().await;
    sockets.into()
}

/// Event streams of nothing.
pub(crate) async fn silent_streams(site: Site) -> Held {
    let mut sockets = Vec::new();
    for _ in 0..site.clients {
        sockets.extend(stream(&site, &["silent".to_owned()]).await);
    }
    sockets.into()
}

/// Event streams of channels with names as long as a request may have them.
pub(crate) async fn streams_with_long_names(site: Site) -> Held {
    let mut sockets = Vec::new();
    for client in 0..site.clients {
        sockets.extend(stream(&site, &names(client, 30, 950)).await);
    }
    sockets.into()
}

/// An event stream that has begun.
async fn stream(site: &Site, channels: &[String]) -> Option<Raw> {
    let mut socket = site.connect().await?;
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
