//! The server's namespaces by their number.

use std::{sync::Arc, time::Duration};

use womack_proto::NamespaceId;

use super::{Namespace, SlowClient};

/// The server's namespaces by their number, which is also their number in
/// [`womack_proto::Namespaces`].
pub struct Registry {
    entries: Vec<Entry>,
    /// Whether any has messages that slow clients may be spared.
    thins: bool,
}

/// One namespace: where it is, where its messages come from, what it does.
pub struct Entry {
    /// The path.
    pub path: String,
    /// The Redis channel prefix.
    pub key: String,
    /// How long messages are gathered before they are written.
    pub coalesce: Duration,
    /// What becomes of its messages for clients that read too slowly.
    pub slow_client: SlowClient,
    /// Messages that it may have in a second; 0 for any number.
    pub max_messages_per_second: u32,
    /// Whether clients may ask who is in a channel.
    pub presence: bool,
    /// The behaviour.
    pub handler: Arc<dyn Namespace>,
}

impl Registry {
    /// `entries` begins with the one for `/`.
    pub fn new(entries: Vec<Entry>) -> Self {
        let closes = |entry: &Entry| entry.slow_client == SlowClient::Close;
        let thins = !entries.iter().all(closes);
        Self { entries, thins }
    }

    /// Whether any namespace has messages that slow clients may be spared.
    pub(crate) const fn thins(&self) -> bool {
        self.thins
    }

    /// How many namespaces there are.
    pub const fn count(&self) -> usize {
        self.entries.len()
    }

    /// The namespace with this number.
    ///
    /// # Panics
    /// There is none.
    pub fn get(&self, id: NamespaceId) -> &Entry {
        &self.entries[usize::from(id.0)]
    }

    /// All namespaces with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (NamespaceId, &Entry)> {
        (0..=u16::MAX).map(NamespaceId).zip(&self.entries)
    }

    /// The Redis channel behind `channel` of namespace `id`.
    pub fn redis_channel(&self, id: NamespaceId, channel: &str) -> Arc<str> {
        let key = &self.get(id).key;
        let mut name = String::with_capacity(key.len() + 1 + channel.len());
        name.push_str(key);
        name.push(':');
        name.push_str(channel);
        name.into()
    }

    /// The channel of namespace `id` that stands behind a Redis channel of its key.
    pub fn channel<'a>(&self, id: NamespaceId, redis_channel: &'a str) -> Option<&'a str> {
        redis_channel
            .strip_prefix(self.get(id).key.as_str())?
            .strip_prefix(':')
    }
}
