//! Server-sent events.

use std::net::SocketAddr;

use http_body_util::BodyExt;
use hyper::Method;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::{Command, Incoming, close, exchange};

pub(super) async fn run(
    address: SocketAddr,
    path: String,
    mut commands: UnboundedReceiver<Command>,
    incoming: UnboundedSender<Incoming>,
) {
    let reading = read(address, &path, &incoming);
    let finishing = async {
        loop {
            match commands.recv().await {
                Some(Command::Finish) | None => return "finished".to_owned(),
                Some(_) => {}
            }
        }
    };
    let reason = tokio::select! {
        reason = reading => reason,
        reason = finishing => reason,
    };
    close(&incoming, reason);
}

/// Reads to the end; returns its reason.
async fn read(address: SocketAddr, path: &str, incoming: &UnboundedSender<Incoming>) -> String {
    let answer = exchange::begin(address, Method::GET, path, "").await;
    let (response, _connection) = match answer {
        Ok(begun) => begun,
        Err(error) => return error.to_string(),
    };
    let status = response.status().as_u16();
    if status != 200 {
        return format!("status {status}");
    }
    incoming.send(Incoming::Open).ok();
    let (mut body, mut unread) = (response.into_body(), Vec::new());
    loop {
        match body.frame().await {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    unread.extend_from_slice(&data);
                }
            }
            Some(Err(error)) => return error.to_string(),
            None => return "the end of the stream".to_owned(),
        }
        while let Some(end) = unread.windows(2).position(|found| found == b"\n\n") {
            let event: Vec<u8> = unread.drain(..end + 2).collect();
            let event = String::from_utf8_lossy(&event);
            let value = |field: &str| {
                let mut lines = event.lines();
                lines.find_map(|line| line.strip_prefix(field).map(str::to_owned))
            };
            if let (Some(name), Some(data)) = (value("event: "), value("data: ")) {
                incoming.send(Incoming::Event(name, data)).ok();
            }
        }
    }
}
