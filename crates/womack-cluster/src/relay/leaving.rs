//! The end of a node, as far as it carries requests.

use std::time::{Duration, Instant};

use tokio::{select, time::sleep};
use womack_redis::clock;

use super::{
    Running,
    link::{Failure, Link},
};

/// How long requests for sessions that the end of this node has closed are still answered: some
/// clients send a last one after they have learned of it.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

impl Running {
    /// Answers what is under way, and then for a moment whoever comes too late.
    pub(super) async fn last_answers(&mut self, mut link: Link) -> Option<Failure> {
        if !self.owner.has_served() {
            return None;
        }
        let mut messages = Vec::new();
        let mut over = std::pin::pin!(sleep(LAST_ANSWERS));
        loop {
            self.publish(&mut link);
            select! {
                biased;
                () = &mut over => return None,
                // A client that is not answered when the link is lost now asks another node.
                heard = link.next(&mut messages) => self.heard(&mut messages, heard.ok()?),
                Some(event) = self.incoming.recv() => self.event(event),
            }
        }
    }

    /// Gives back what this node carries for others, evenly over the time that it has.
    pub(super) fn leave(&mut self, now: Instant) {
        self.ingress.end_polls(&mut self.outgoing);
        let tunnels = self.ingress.tunnels();
        let (begin, count) = *self.leaving.get_or_insert((now, tunnels));
        let drain = self.relay.context.config.drain.as_secs_f64();
        let passed = (now - begin).as_secs_f64() / drain.max(f64::MIN_POSITIVE);
        let due = (count as f64 * passed.min(1.0)).ceil() as usize;
        let closed = count.saturating_sub(tunnels);
        self.ingress.close_some(due.saturating_sub(closed));
    }

    /// Whether nothing that this node carries for others is left, or there is no time for it.
    pub(super) fn has_left(&self) -> bool {
        let most = self.relay.context.config.drain + LAST_ANSWERS;
        let late = |(begin, _): &(Instant, usize)| clock::since(*begin) > most;
        self.ingress.is_empty() || self.leaving.as_ref().is_some_and(late)
    }
}
