//! What is lost with links and with other nodes.

use womack_ledger::Limit;
use womack_proto::relay::Kind;
use womack_redis::clock;

use super::{
    RETURN, Running,
    link::{Failure, Published},
    ordered::Set,
};

impl Running {
    /// The link is lost, and nobody knows what of it has arrived.
    pub(super) fn unlinked(&mut self, failure: &Failure) {
        self.failed(failure);
        self.relay.context.metrics.connected.set(0);
        let partners = self.partners();
        let unsaid = self.outgoing.unlinked(partners);
        self.ingress.unlinked(&mut self.outgoing);
        self.owner.unlinked(unsaid, clock::now());
    }

    /// Redis has taken the last batch, and tells how many nodes each message of it has reached.
    pub(super) fn published(&mut self, receivers: Published) {
        let is_early = clock::since(self.since) < RETURN;
        let mut bytes = 0;
        for (said, count) in std::mem::take(&mut self.outgoing.under_way)
            .into_iter()
            .zip(receivers)
        {
            bytes += said.bytes.len() as u64;
            if count > 0 {
                continue;
            }
            let node = said.to;
            if let Some(poll) = said.answered_poll() {
                self.owner.answer_lost(poll);
            }
            if !self.outgoing.again(said, is_early) {
                self.lost(node);
            }
        }
        self.relay.context.metrics.sent_bytes.inc_by(bytes);
    }

    /// Looks at the time of what waits, and whether nodes that owe something are alive.
    pub(super) fn look(&mut self) {
        let now = clock::now();
        self.outgoing.say_again();
        if self.relay.context.is_draining() {
            self.leave(now);
        }
        self.ingress.expire(now, &mut self.outgoing);
        self.owner.expire(now);
        let partners = self.partners();
        self.outgoing.nodes.forget(&partners, now);
        let looked = self.peers.look(&partners, now);
        for node in looked.silent {
            let is_new_link = false;
            self.outgoing.say(node, 0, Kind::Hello { is_new_link });
        }
        for node in looked.gone {
            self.relay
                .context
                .limits
                .reached(Limit::RelayTimeoutSeconds);
            self.lost(node);
        }
    }

    /// A node is not there any more.
    fn lost(&mut self, node: u32) {
        let heard = self.outgoing.nodes.last_heard(node);
        self.outgoing.lost(node);
        self.ingress.lost(node);
        self.owner.node_lost(node, heard, clock::now());
    }

    /// A node has lost its link and has another: both sides end what was under way, since nobody
    /// knows how much of it has arrived.
    pub(super) fn relinked(&mut self, node: u32) {
        self.ingress.relinked(node);
        self.owner.end_all_of(node, clock::now());
    }

    /// The nodes with which something is under way.
    fn partners(&self) -> Set<u32> {
        self.ingress
            .partners()
            .chain(self.owner.partners())
            .collect()
    }
}
