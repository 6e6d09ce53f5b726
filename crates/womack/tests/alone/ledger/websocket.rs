//! WebSockets of Socket.IO.

use std::time::Duration;

use serde_json::json;
use tokio::time::interval;
use womack_test_support::raw::{self, Raw};

use super::{
    load::Held,
    target::{LARGE, PUSH, Target, names, subscribe},
};

/// Interval between pongs of clients that read nothing.
const PONGS: Duration = Duration::from_millis(300);

/// WebSockets without a CONNECT.
pub(crate) async fn silent_sockets(target: Target) -> Held {
    let mut sockets = Vec::new();
    for _ in 0..target.clients {
        sockets.extend(
            target
                .upgraded("/socket.io/?EIO=4&transport=websocket")
                .await,
        );
    }
    sockets.into()
}

/// Frames that lack their last byte.
pub(crate) async fn unfinished_frames(target: Target) -> Held {
    let frame = [raw::claim(0x81, LARGE as u64 + 1), vec![0; LARGE]].concat();
    let mut held = silent_sockets(target).await;
    for socket in &mut held.sockets {
        socket.try_send(&frame, PUSH).await;
    }
    held
}

/// Messages without a last fragment, with a ping before each.
pub(crate) async fn fragments_between_pings(target: Target) -> Held {
    let mut bytes = raw::frame(0x01, b"4");
    for _ in 0..10 {
        bytes.extend(raw::frame(0x89, b""));
        bytes.extend(raw::frame(0x00, &[b'x'; LARGE / 10]));
    }
    joined_and_sent(target, &bytes).await
}

/// Messages that wait for a binary attachment.
pub(crate) async fn attachments_that_never_come(target: Target) -> Held {
    let packet = format!("451-{}", json!(["x", "x".repeat(LARGE)]));
    let held = joined_and_sent(target, &raw::text(&packet)).await;
    still_there(held.sockets, raw::text("3"))
}

/// Messages with ten attachments, of which the last never comes.
pub(crate) async fn ninth_of_ten_attachments(target: Target) -> Held {
    let mut bytes = raw::text("4510-[\"x\"]");
    for _ in 0..9 {
        bytes.extend(raw::frame(0x82, &[0; LARGE / 10]));
    }
    let held = joined_and_sent(target, &bytes).await;
    still_there(held.sockets, raw::text("3"))
}

async fn joined_and_sent(target: Target, bytes: &[u8]) -> Held {
    let mut sockets = Vec::new();
    for _ in 0..target.clients {
        let Some(mut socket) = target.socket().await else {
            continue;
        };
        socket.try_send(bytes, PUSH).await;
        sockets.push(socket);
    }
    sockets.into()
}

/// Clients that answer pings and read nothing.
pub(crate) async fn unread_messages(target: Target) -> Held {
    let sockets = target.each_subscribed().await;
    target.publish_to_each().await;
    still_there(sockets, raw::text("3"))
}

/// Keeps sockets open and sends a pong over each, again and again.
pub(crate) fn still_there(mut sockets: Vec<Raw>, pong: Vec<u8>) -> Held {
    let mut held = Held::default();
    held.tasks.spawn(async move {
        let mut pongs = interval(PONGS);
        loop {
            pongs.tick().await;
            for socket in &mut sockets {
                socket.try_send(&pong, PONGS).await;
            }
        }
    });
    held
}

/// Clients in as many channels with as long names as they may have.
pub(crate) async fn long_names(target: Target) -> Held {
    let mut sockets = Vec::new();
    for client in 0..target.clients {
        sockets.extend(target.subscribed(&names(client, 1000, 980)).await);
    }
    sockets.into()
}

/// Clients that ask for channels while Redis does not answer.
pub(crate) async fn long_names_while_redis_is_silent(target: Target) -> Held {
    let mut sockets = Vec::new();
    for _ in 0..target.clients {
        sockets.extend(target.socket().await);
    }
    target.redis.halt().await;
    for (client, socket) in sockets.iter_mut().enumerate() {
        for part in 0..4 {
            let packet = subscribe(&names(client * 4 + part, 250, 980));
            socket
                .try_send(&raw::text(&format!("42{part}{packet}")), PUSH)
                .await;
        }
    }
    each_is_heard(&mut sockets).await;
    target.redis.go_on().await;
    sockets.into()
}

/// Waits until the server has read all requests of all `sockets`, which it does in order.
async fn each_is_heard(sockets: &mut [Raw]) {
    let last = raw::text("429[\"unsubscribe\",[]]");
    for socket in sockets {
        socket.try_send(&last, PUSH).await;
        while let Some(frame) = socket.frame().await {
            if frame.payload.starts_with(b"439") {
                break;
            }
        }
    }
}

/// Clients that say as much of themselves as they may.
pub(crate) async fn large_metas(target: Target) -> Held {
    let meta = format!("42{}", json!(["meta", { "name": "x".repeat(99_000) }]));
    joined_and_sent(target, &raw::text(&meta)).await
}

/// Clients in many channels that say something else of themselves again and again.
pub(crate) async fn changing_metas(target: Target) -> Held {
    let mut sockets = Vec::new();
    for client in 0..target.clients {
        sockets.extend(target.subscribed(&names(client, 1000, 20)).await);
    }
    for change in 0..20 {
        let meta = json!({ "change": change, "filling": "x".repeat(4000) });
        let packet = raw::text(&format!("42{}", json!(["meta", meta])));
        for socket in &mut sockets {
            socket.try_send(&packet, PUSH).await;
        }
    }
    sockets.into()
}

/// Clients that ask who is in a channel, and do not read the answers.
pub(crate) async fn unread_presence(target: Target) -> Held {
    let meta = format!("42{}", json!(["meta", { "name": "x".repeat(3900) }]));
    let subscribe = format!("420{}", subscribe(&["crowded".to_owned()]));
    let requests = [raw::text(&meta), raw::text(&subscribe)].concat();
    let mut members = Vec::new();
    for _ in 0..100 {
        let Some(mut member) = target.socket().await else {
            continue;
        };
        member.try_send(&requests, PUSH).await;
        while let Some(frame) = member.frame().await {
            if frame.payload.starts_with(b"430") {
                break;
            }
        }
        members.push(member);
    }
    let ask = raw::text("420[\"presence\",\"crowded\"]").repeat(20);
    let mut askers = Vec::new();
    for _ in 0..target.clients {
        askers.extend(target.socket().await);
    }
    // The questions come faster than Redis answers.
    target.redis.halt().await;
    for asker in &mut askers {
        asker.try_send(&ask, PUSH).await;
    }
    each_is_heard(&mut askers).await;
    target.redis.go_on().await;
    members.extend(askers);
    still_there(members, raw::text("3"))
}

/// Clients that take one channel after the other and leave them again.
pub(crate) async fn channels_in_turn(target: Target) -> Held {
    let mut sockets = Vec::new();
    for _ in 0..target.clients {
        sockets.extend(target.socket().await);
    }
    let mut turns = Vec::new();
    for client in 0..target.clients {
        let names = names(client, 1000, 900);
        let leave = json!(["unsubscribe", { "channels": names }]);
        let both = [format!("42{}", subscribe(&names)), format!("42{leave}")];
        turns.push(both.map(|packet| raw::text(&packet)).concat());
    }
    for _ in 0..4 {
        for (socket, turn) in sockets.iter_mut().zip(&turns) {
            socket.try_send(turn, PUSH).await;
        }
    }
    sockets.into()
}

/// Clients that close while much waits for them, and do not read it.
pub(crate) async fn closing_unread(target: Target) -> Held {
    let mut sockets = target.each_subscribed().await;
    target.publish_to_each().await;
    for socket in &mut sockets {
        socket
            .try_send(&raw::frame(0x88, &1000_u16.to_be_bytes()), PUSH)
            .await;
    }
    sockets.into()
}
