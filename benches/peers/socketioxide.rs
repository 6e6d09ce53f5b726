//! socketioxide doing Womack's work: `peer-socketioxide REDIS_URL WORKERS`.
//!
//! What is published on Redis goes to the room of that name, as an application would write it.

use std::{collections::HashSet, error::Error, future::ready};

use futures_util::StreamExt;
use redis::{
    Client,
    aio::{PubSubSink, PubSubStream},
};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use socketioxide::{
    SocketIo,
    extract::{AckSender, Data, SocketRef},
};
use tokio::{
    net::TcpListener,
    runtime::Builder,
    sync::{mpsc, oneshot},
};
use womack_benches::dialect::KEY;

/// The argument of a client's `subscribe`.
#[derive(Deserialize)]
struct Subscribe {
    channel: Option<String>,
    #[serde(default)]
    channels: Vec<String>,
}

/// A channel wanted by a client, and who is to know that it is live.
type Wanted = (String, oneshot::Sender<()>);

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let redis = arguments.next().ok_or("a Redis URL is needed")?;
    let workers = arguments.next().map_or(Ok(1), |workers| workers.parse())?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()?;
    runtime.block_on(serve(redis))
}

async fn serve(redis: String) -> Result<(), Box<dyn Error>> {
    let (sink, stream) = Client::open(redis)?.get_async_pubsub().await?.split();
    let (wanted, wanting) = mpsc::unbounded_channel();
    let (layer, io) = SocketIo::new_layer();
    tokio::spawn(keep_live(sink, wanting));
    tokio::spawn(deliver(stream, io.clone()));
    io.ns("/", move |socket: SocketRef| {
        socket.on(
            "subscribe",
            move |socket: SocketRef, Data(argument), ack: AckSender| {
                subscribe(socket, argument, ack, wanted.clone())
            },
        );
        ready(())
    });
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    eprintln!(r#"{{"message":"listening","address":"{address}"}}"#);
    axum::serve(listener, axum::Router::new().layer(layer)).await?;
    Ok(())
}

async fn subscribe(
    socket: SocketRef,
    argument: Subscribe,
    ack: AckSender,
    wanted: mpsc::UnboundedSender<Wanted>,
) {
    let channels: Vec<_> = argument
        .channel
        .into_iter()
        .chain(argument.channels)
        .collect();
    for channel in &channels {
        let (sender, live) = oneshot::channel();
        // Either end is gone only when the program is.
        wanted.send((channel.clone(), sender)).ok();
        live.await.ok();
    }
    socket.join(channels.clone());
    // A client that has left needs no answer.
    ack.send(&json!({ "ok": true, "channels": channels })).ok();
}

/// Subscribes to a channel once, and for good, when somebody wants it.
async fn keep_live(mut sink: PubSubSink, mut wanting: mpsc::UnboundedReceiver<Wanted>) {
    let mut live = HashSet::new();
    while let Some((channel, asker)) = wanting.recv().await {
        if live.insert(channel.clone())
            && let Err(error) = sink.subscribe(format!("{KEY}{channel}")).await
        {
            eprintln!("redis: {error}");
        }
        // A client that has left does not ask any more.
        asker.send(()).ok();
    }
}

async fn deliver(mut messages: PubSubStream, io: SocketIo) {
    while let Some(message) = messages.next().await {
        let channel = message.get_channel_name()[KEY.len()..].to_owned();
        let Ok(payload) = serde_json::from_slice::<Box<RawValue>>(message.get_payload_bytes())
        else {
            continue;
        };
        if let Err(error) = io.to(channel.clone()).emit(channel, &payload).await {
            eprintln!("emit: {error}");
        }
    }
}
