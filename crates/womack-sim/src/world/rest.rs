//! The end of a run, when everything that was promised has to be there.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::World;
use crate::{
    client::Visitor,
    node::redis_channel,
    presence::{self, Member, Repeated},
    redis::Publishing,
};

/// How long it takes until nothing is under way any more: time-outs of requests, of links and of
/// channels that nobody wants.
const REST: Duration = Duration::from_secs(25);
/// How often clients read at rest.
const READ_INTERVAL: Duration = Duration::from_millis(50);
/// Milliseconds after a trouble in which requests to other nodes may fail: until the loss of a link
/// is noticed, another stands, and what was under way has been given up.
pub(super) const TROUBLE_ELSEWHERE: u64 = 30_000;

impl World {
    /// Waits until nothing is under way, and publishes once more on every channel.
    pub(super) async fn rest(&self, clients: &mut [Box<dyn Visitor>]) {
        self.note("rest".to_owned());
        for round in 0..2 {
            let end = Instant::now() + REST;
            while Instant::now() < end {
                sleep(READ_INTERVAL).await;
                clients.iter_mut().for_each(|client| client.read());
            }
            if round == 0 {
                let channels = (0..32).map(|number| format!("c{number}"));
                channels.for_each(|channel| self.publish_one(Publishing::Everywhere, &channel));
            }
        }
    }

    /// At rest: every node is subscribed to what its clients want, once in each way, and to nothing
    /// else.
    pub(super) fn check(&self, clients: &[Box<dyn Visitor>]) {
        let mut wanted: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        let mut members = vec![BTreeSet::new(); self.node_count()];
        for (node, member) in clients.iter().flat_map(|client| client.check_at_rest()) {
            let channels = wanted.entry(node).or_default();
            channels.insert(redis_channel(&member.channel));
            members[node].insert(member);
        }
        let ways = if self.redis().has_shards() { 2 } else { 1 };
        for node in 0..self.node_count() {
            let wanted = wanted.remove(&node).unwrap_or_default();
            let wanted: Vec<_> = wanted.into_iter().collect();
            let found = self.redis().subscriptions(node, &self.network);
            for (mut found, way) in found
                .into_iter()
                .zip(["SUBSCRIBE", "SSUBSCRIBE"])
                .take(ways)
            {
                // Nodes are subscribed to channels of their own as well.
                found.retain(|name| name.starts_with(&redis_channel("")));
                found.sort();
                if found != wanted {
                    self.violate(&format!(
                        "node {node} has {way} of {found:?}, its clients want {wanted:?}"
                    ));
                }
            }
        }
        presence::check(self, &members);
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

    /// All that are in a channel by server events, each with its node.
    pub(crate) fn members(&self) -> Vec<(Member, String)> {
        let (events, ended) = (self.events.borrow(), self.ended.borrow());
        let (late, members): (Vec<_>, Vec<_>) = events
            .members()
            .partition(|(_, node, at)| ended.get(*node).is_some_and(|ended| ended < at));
        // Their commands lay on a way that was stalled until after the other nodes had published the
        // end of all that the node had recorded.
        late.iter()
            .for_each(|_| self.count("a dead node's last words came late"));
        let members = members.into_iter();
        members
            .map(|(member, node, _)| (member.clone(), node.clone()))
            .collect()
    }
}
