//! Everything that the HTTP connections of a shard share.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use hyper::header::HeaderValue;
use womack_engine::{DirtyChannels, Sender, SessionRequest, Shard, ShardId, ToShard};
use womack_redis::Publisher;

use super::{assets::Assets, stalled_polls::StalledPolls};
use crate::{admin::Surveyor, config::Config, context::ServerContext, status::Status};

/// What serves a shard's HTTP connections.
pub(crate) struct Http {
    pub(crate) shard: Rc<RefCell<Shard>>,
    pub(crate) id: ShardId,
    pub(crate) server: Arc<ServerContext>,
    /// The queues of all shards, this one's too.
    pub(crate) shards: Vec<Sender<ToShard>>,
    pub(crate) dirty: Arc<DirtyChannels>,
    pub(crate) status: Arc<Status>,
    pub(crate) assets: Arc<Assets>,
    /// Carries requests to the nodes of their sessions, if that is done.
    pub(crate) relay: Option<Sender<SessionRequest>>,
    /// Polls whose answers lie unread on a connection of this shard.
    pub(crate) stalled_polls: StalledPolls,
    /// Knows the channels of all shards.
    pub(crate) surveyor: Surveyor,
    /// Publishes for those who ask by HTTP, at the listener for operators.
    pub(crate) publisher: Option<Publisher>,
    /// Tells clients for how long a connection stays on which nothing is asked.
    pub(crate) keep_alive: HeaderValue,
}

/// The value of the header that tells for how long a connection stays between two requests.
pub(crate) fn keep_alive_header(config: &Config) -> HeaderValue {
    let text = format!("timeout={}", config.keep_alive.as_secs());
    HeaderValue::from_str(&text).expect("a number is a header's value")
}
