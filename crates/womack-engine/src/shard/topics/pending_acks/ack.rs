//! An acknowledgement that waits until its channels are live.

use std::sync::Arc;

use womack_ledger::{Charge, Ledger};
use womack_proto::NamespaceId;

use super::Key;
use crate::{namespace::join::JoinAnswer, sid::ConnectionRef};

/// Bytes of a request's id or texts that count as much as a channel.
const BYTES_PER_CHANNEL: usize = 64;
/// What a channel of an acknowledgement takes: its key, and the membership that waits with it. The
/// name is that of the shard's map.
const NAME_BYTES: usize = 256;

/// An acknowledgement that waits.
#[derive(Debug)]
pub(crate) struct PendingAck {
    pub(crate) client: ConnectionRef,
    pub(crate) namespace: NamespaceId,
    pub(crate) answer: JoinAnswer,
    /// All channels of the request.
    pub(super) channels: Vec<Key>,
    /// Channels that were not live when they were counted.
    pub(super) missing: usize,
    /// How many losses there had been when they were counted.
    pub(super) counted: u32,
    /// What it takes while it waits.
    charge: Option<Charge>,
}

impl PendingAck {
    pub(crate) const fn new(
        client: ConnectionRef,
        namespace: NamespaceId,
        answer: JoinAnswer,
    ) -> Self {
        Self {
            client,
            namespace,
            answer,
            channels: Vec::new(),
            missing: 0,
            counted: 0,
            charge: None,
        }
    }

    /// The names of all channels of the request at Redis, in its order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.channels.iter().map(|(name, _)| name)
    }

    /// What it counts for with so many channels.
    pub(super) fn weight(&self, channels: usize) -> usize {
        channels + self.answer.held_bytes() / BYTES_PER_CHANNEL
    }

    /// Charges what it takes while it waits for its channels.
    pub(super) fn charge(&mut self, ledger: &Ledger) {
        let names = self.channels.len() * NAME_BYTES;
        let bytes = size_of::<Self>() + self.answer.held_bytes() + names;
        self.charge = Some(ledger.hold(bytes));
    }

    /// Counts the channels that are not live. True if all are.
    pub(super) fn count(&mut self, is_live: &impl Fn(&Key) -> bool, losses: u32) -> bool {
        let missing = self.channels.iter().filter(|key| !is_live(key));
        self.missing = missing.count();
        self.counted = losses;
        self.missing == 0
    }
}
