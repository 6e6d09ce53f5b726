//! Requests that never end, and answers that nobody reads.

use super::{
    load::Held,
    target::{LARGE, Target},
};

/// Heads of requests without their end, a little below what the server allows.
pub(crate) async fn heads_without_end(target: Target) -> Held {
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(30_000));
    target.each_sends(head.as_bytes()).await.into()
}

/// Connections that never say a word.
pub(crate) async fn silent_connections(target: Target) -> Held {
    target.each_sends(b"").await.into()
}

/// Connections that have asked once.
pub(crate) async fn connections_between_requests(target: Target) -> Held {
    let mut sockets = target
        .each_sends(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    for socket in &mut sockets {
        socket.answer().await;
    }
    sockets.into()
}

/// Requests for files, many at a time, whose answers are never read.
pub(crate) async fn unread_files(target: Target) -> Held {
    let requests = "GET /womack.js HTTP/1.1\r\nHost: a\r\n\r\n".repeat(200);
    target.each_sends(requests.as_bytes()).await.into()
}

/// Bodies for a session that nobody has.
pub(crate) async fn bodies_for_nobody(target: Target) -> Held {
    let request = format!(
        "POST /socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAAAAAA HTTP/1.1\r\n\
         Host: a\r\nContent-Length: {}\r\n\r\n{}",
        LARGE + 1,
        "x".repeat(LARGE)
    );
    target.each_sends(request.as_bytes()).await.into()
}

/// Connections that wait for the rest of a header of the PROXY protocol.
pub(crate) async fn unfinished_proxy_headers(target: Target) -> Held {
    target.each_sends(b"PROXY TCP4 ").await.into()
}
