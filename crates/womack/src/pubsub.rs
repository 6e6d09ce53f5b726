//! The subscription link to Redis.
//!
//! One connection, split into a half that asks for channels and a half that brings messages, so
//! that subscribing never pauses the messages. What the link means, its state and its gaps, is
//! the router's affair; this file knows how to make one and how to use it.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use redis::{
    Client, IntoConnectionInfo, Msg, ProtocolVersion, RedisError, RedisResult,
    aio::{PubSubSink, PubSubStream},
};
use tokio::{task::unconstrained, time::timeout};

/// How long Redis may take to accept a connection, or to confirm a command.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// A subscription link that stands.
pub(crate) struct Link {
    /// Asks for channels; cheap to clone, requests may be under way at the same time.
    pub(crate) asks: Asks,
    messages: PubSubStream,
}

impl Link {
    /// Connects, with RESP3 where the server has it.
    pub(crate) async fn connect(url: &str) -> RedisResult<Self> {
        match Self::connect_with(url, ProtocolVersion::RESP3).await {
            // A server from before RESP3 refuses the command; any other answer, a wrong password
            // say, comes again and is the one to report.
            Err(error) if !error.is_connection_refusal() && !error.is_timeout() => {
                Self::connect_with(url, ProtocolVersion::RESP2).await
            }
            connected => connected,
        }
    }

    async fn connect_with(url: &str, protocol: ProtocolVersion) -> RedisResult<Self> {
        let info = url.into_connection_info()?;
        let settings = info.redis_settings().clone().set_protocol(protocol);
        let client = Client::open(info.set_redis_settings(settings))?;
        let link = timeout(REPLY_TIMEOUT, client.get_async_pubsub())
            .await
            .map_err(|_| late())??;
        let (sink, messages) = link.split();
        Ok(Self {
            asks: Asks { sink },
            messages,
        })
    }

    /// Waits for messages, then moves up to `most` of those that are there to the end of
    /// `batch`. False means that the link is gone. Losing this future loses no message.
    pub(crate) async fn receive(&mut self, batch: &mut Vec<Msg>, most: usize) -> bool {
        let Some(first) = self.messages.next().await else {
            return false;
        };
        batch.push(first);
        // Without Tokio's budget, which would end a batch after a hundred messages or so.
        unconstrained(async {
            while batch.len() < most {
                let next = futures_util::FutureExt::now_or_never(self.messages.next());
                let Some(Some(message)) = next else { break };
                batch.push(message);
            }
        })
        .await;
        true
    }
}

/// The half of a link that asks for channels.
#[derive(Clone)]
pub(crate) struct Asks {
    sink: PubSubSink,
}

impl Asks {
    /// Asks for `channels` in one command; done when Redis has confirmed all of them.
    pub(crate) async fn subscribe(mut self, channels: &[Arc<str>]) -> RedisResult<()> {
        let names: Vec<&str> = channels.iter().map(AsRef::as_ref).collect();
        timeout(REPLY_TIMEOUT, self.sink.subscribe(names))
            .await
            .map_err(|_| late())?
    }

    /// Asks for everything that matches one of `patterns`, in one command; done when Redis has
    /// confirmed all of them.
    pub(crate) async fn subscribe_patterns(mut self, patterns: &[String]) -> RedisResult<()> {
        timeout(REPLY_TIMEOUT, self.sink.psubscribe(patterns))
            .await
            .map_err(|_| late())?
    }

    /// Gives `channels` up in one command; done when Redis has confirmed all of them.
    pub(crate) async fn unsubscribe(mut self, channels: &[Arc<str>]) -> RedisResult<()> {
        let names: Vec<&str> = channels.iter().map(AsRef::as_ref).collect();
        timeout(REPLY_TIMEOUT, self.sink.unsubscribe(names))
            .await
            .map_err(|_| late())?
    }

    /// Done when Redis has shown that it still answers.
    pub(crate) async fn ping(mut self) -> RedisResult<()> {
        let reply = timeout(REPLY_TIMEOUT, self.sink.ping::<redis::Value>());
        reply.await.map_err(|_| late())?.map(drop)
    }
}

fn late() -> RedisError {
    RedisError::from((redis::ErrorKind::Io, "no answer in time"))
}
