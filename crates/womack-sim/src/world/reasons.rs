//! Reasons for gaps, for refusals, and for server events that do not take turns.

use std::{cell::RefCell, collections::BTreeSet, time::Duration};

use super::{Slot, World};
use crate::{
    events::{Member, Repeated},
    node::redis_channel,
    outages::{Outages, Ways},
};

/// How much longer than an outage a gap may be at either end: a question for the identity each
/// second, some latencies, and the wait before the next try to connect.
const GAP_SLACK: u64 = 2500;
/// Milliseconds without an outage after which what a client reads is true: the longest sleep of a
/// client, and the time to restore a link.
const LIVE_FOR: u64 = 5000;
/// Milliseconds of trouble before a request that may be the reason for its refusal: a link is
/// restored some time after Redis can be reached.
const TROUBLE: u64 = 5000;
/// Milliseconds after a trouble in which requests to other nodes may fail: until the loss of a link
/// is noticed, another stands, and what was under way has been given up.
const TROUBLE_ELSEWHERE: u64 = 30_000;

impl World {
    fn with_ways<T>(
        &self,
        node: usize,
        channel: &str,
        ask: impl FnOnce(&Outages, Ways<'_>) -> T,
    ) -> T {
        let servers = &self.redis().homes(&redis_channel(channel));
        ask(&self.outages.borrow(), Ways { node, servers })
    }

    /// Whether a request that is carried to another node may fail.
    pub(crate) fn is_troubled(&self) -> bool {
        let since = self.wall.true_millis().saturating_sub(TROUBLE_ELSEWHERE);
        self.is_troubled_since(since)
    }

    pub(super) fn is_troubled_since(&self, since: u64) -> bool {
        let closes =
            |slot: &RefCell<Slot>| slot.borrow().is_draining || slot.borrow().evicts_until > since;
        let is_closing = self.nodes.iter().any(closes);
        is_closing || self.started.get() > since || !self.outages.borrow().are_over_since(since)
    }

    /// Whether a gap that a node told of a channel had a reason; in milliseconds of the run.
    pub(crate) fn explains_gap(&self, node: usize, channel: &str, from: u64, to: u64) -> bool {
        self.with_ways(node, channel, |outages, ways| {
            outages.explain(ways, from, to, GAP_SLACK)
        })
    }

    /// Whether a request for a channel that was made so long ago may have been refused. A node asks
    /// again for what an ACL has refused only after a minute, which is longer than a run.
    pub(crate) fn explains_refusal(&self, node: usize, channel: &str, ago: Duration) -> bool {
        if self.redis().was_refused(&redis_channel(channel)) {
            return true;
        }
        let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
        let since = self.wall.true_millis().saturating_sub(ago + TROUBLE);
        self.with_ways(node, channel, |outages, ways| {
            !outages.is_quiet_since(ways, since)
        })
    }

    /// A client has just read that a channel is live for it: if the way was whole for long enough,
    /// the node is subscribed at Redis. One that closes clients may have closed this one since.
    pub(crate) fn check_live(&self, node: usize, channel: &str) {
        if self.nodes[node].borrow().is_draining {
            return;
        }
        let since = self.wall.true_millis().saturating_sub(LIVE_FOR);
        let is_quiet = self.with_ways(node, channel, |outages, ways| {
            outages.is_quiet_since(ways, since)
        });
        let name = redis_channel(channel);
        if is_quiet && !self.redis().is_subscribed(node, &name, &self.network) {
            self.violate(&format!("{channel} is confirmed and not subscribed"));
        }
    }

    /// A server event is published.
    pub(super) fn hear_event(&self, channel: &str, event: &[u8]) {
        let now = self.wall.true_millis();
        let repeated = self.events.borrow_mut().hear(now, channel, event);
        self.count("server event");
        let text = String::from_utf8_lossy(event);
        self.note(format!("{channel}: {text}"));
        let Some(Repeated {
            member,
            is_in,
            before,
        }) = repeated
        else {
            return;
        };
        let since = before.unwrap_or(now).saturating_sub(TROUBLE_ELSEWHERE);
        if !self.is_troubled_since(since) {
            self.violate(&format!("{member:?}: is in it {is_in}, as before"));
        }
        self.count("server event is repeated");
    }

    /// All that are in a channel by server events.
    pub(crate) fn members(&self) -> BTreeSet<Member> {
        self.events.borrow().members().cloned().collect()
    }
}
