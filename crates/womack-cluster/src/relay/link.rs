//! The relay's link to Redis: one connection that listens, one that publishes.

use std::{borrow::Cow, fmt, future::pending, pin::Pin, time::Duration};

use futures_util::{FutureExt, StreamExt};
use redis::{
    ErrorKind, Pipeline, RedisError, RedisResult,
    aio::{PubSubSink, PubSubStream},
};
use tokio::{
    select,
    time::{Instant, sleep_until, timeout},
};
use womack_redis::{Backend, Connected, ErrorClass, Guard, REPLY_TIMEOUT, RefusalCause, guard};

/// How often it is made sure that the connection that listens still stands.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// Messages that are taken at one go.
const MESSAGES_PER_BATCH: usize = 512;
/// The bytes from which on no more messages are taken at one go.
const BYTES_PER_BATCH: usize = 1 << 20;

/// How many subscribers each message of a batch has reached; 1 where nobody knows.
pub(super) type Published = Vec<u64>;

type Publishing = Pin<Box<dyn Future<Output = RedisResult<Published>>>>;
type Pinging = Pin<Box<dyn Future<Output = RedisResult<()>>>>;

/// A link that stands.
pub(super) struct Link {
    asks: PubSubSink,
    messages: PubSubStream,
    connected: Connected,
    /// Whether Redis tells how many listen; a cluster tells only of one of its servers.
    counts: bool,
    publishing: Option<Publishing>,
    pinging: Pinging,
    /// Of both connections, which are with one server.
    guard: Guard,
}

/// Why there is no link.
#[derive(Debug)]
pub(super) struct Failure(RedisError);

impl Failure {
    /// Whether Redis is there and does not want to.
    pub(super) fn is_refusal(&self) -> bool {
        ErrorClass::from(&self.0) != ErrorClass::LinkLost
    }

    /// The ACL rule that the Redis user lacks, if that is the cause. `key` is the prefix of the
    /// channels of all nodes.
    pub(super) fn missing_rule(&self, key: &str) -> Option<String> {
        let is_acl = RefusalCause::from(&self.0) == RefusalCause::Acl;
        is_acl.then(|| format!("+@pubsub +ping +hello +info &{key}:* (relay-key)"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        Self(error)
    }
}

impl Link {
    /// Connects and listens to `channel`.
    pub(super) async fn connect(backend: &Backend, channel: String) -> Result<Self, Failure> {
        let connected = backend.writer(&channel).await.map_err(RedisError::from)?;
        let listener = backend.listener(&connected.address).await;
        let listener = listener.map_err(RedisError::from)?;
        let (mut asks, messages) = listener.split();
        timeout(REPLY_TIMEOUT, asks.subscribe(channel))
            .await
            .map_err(|_| late())??;
        Ok(Self {
            pinging: ping(asks.clone()),
            guard: guard(backend, "relay", &connected).await?,
            asks,
            messages,
            connected,
            counts: !backend.is_cluster(),
            publishing: None,
        })
    }

    /// Waits until messages come, which are then in `batch`, or until what is being published has
    /// been taken, which is returned. Losing this future loses no message.
    pub(super) async fn next(
        &mut self,
        batch: &mut Vec<Vec<u8>>,
    ) -> Result<Option<Published>, Failure> {
        let first = select! {
            // Messages that have come are taken before the link is given up: one may be a report,
            // which is not sent again.
            biased;
            first = self.messages.next() => first.ok_or_else(gone)?,
            error = &mut self.guard => return Err(error.into()),
            published = under_way(&mut self.publishing) => {
                self.publishing = None;
                let mut published = published?;
                if !self.counts {
                    published.fill(1);
                }
                return Ok(Some(published));
            }
            pinged = &mut self.pinging => {
                pinged?;
                self.pinging = ping(self.asks.clone());
                return Ok(None);
            }
        };
        let mut bytes = first.get_payload_bytes().len();
        batch.push(first.get_payload_bytes().to_vec());
        while batch.len() < MESSAGES_PER_BATCH && bytes < BYTES_PER_BATCH {
            let Some(Some(next)) = self.messages.next().now_or_never() else {
                break;
            };
            bytes += next.get_payload_bytes().len();
            batch.push(next.get_payload_bytes().to_vec());
        }
        Ok(None)
    }

    /// Whether nothing is being published: what is said must not overtake what was said before.
    pub(super) const fn may_publish(&self) -> bool {
        self.publishing.is_none()
    }

    /// Begins to publish messages, each on its channel.
    pub(super) fn publish<'a>(&mut self, messages: impl Iterator<Item = (String, Cow<'a, [u8]>)>) {
        let mut pipeline = Pipeline::new();
        for (channel, message) in messages {
            pipeline.cmd("PUBLISH").arg(channel).arg(&*message);
        }
        let mut connection = self.connected.connection.clone();
        let publishing = async move { pipeline.query_async(&mut connection).await };
        self.publishing = Some(Box::pin(publishing));
    }
}

async fn under_way(publishing: &mut Option<Publishing>) -> RedisResult<Published> {
    match publishing {
        Some(publishing) => publishing.await,
        None => pending().await,
    }
}

fn ping(mut asks: PubSubSink) -> Pinging {
    let at = Instant::now() + PING_INTERVAL;
    Box::pin(async move {
        sleep_until(at).await;
        let pinged = timeout(REPLY_TIMEOUT, asks.ping::<redis::Value>()).await;
        pinged.map_err(|_| late())?.map(drop)
    })
}

fn late() -> RedisError {
    RedisError::from((ErrorKind::Io, "no answer in time"))
}

fn gone() -> RedisError {
    RedisError::from((ErrorKind::Io, "the connection is gone"))
}
