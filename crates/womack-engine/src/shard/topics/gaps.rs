//! Gaps that clients are to be told of, and the clients that missed nothing by them.
//!
//! Losses have numbers. A client that has come to a channel after a loss has missed nothing by it,
//! as its subscription is confirmed only after that; so the last loss before it came is remembered
//! until everybody has been told.

use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
    sync::Arc,
};

use ahash::RandomState;

use crate::{
    command::{Gap, GapCause, LossNumber},
    shard::topics::pending_acks::Key,
    sid::ConnectionId,
};

/// Slots that are looked at before others have their turn.
const SLOTS_AT_ONCE: usize = 512;

type Map<K, V> = HashMap<K, V, RandomState>;

/// The gaps that are open, or of which clients are still to be told.
#[derive(Default)]
pub(in crate::shard) struct Gaps {
    /// Whether clients are told at all.
    are_told: bool,
    /// Losses of which not everybody has been told.
    open: usize,
    /// The last loss that began.
    last: LossNumber,
    /// Clients that came to a topic while losses were open, and the last loss before they came.
    late: Map<Key, Map<ConnectionId, LossNumber>>,
    /// Gaps of which clients are being told, and the slot that is next.
    telling: VecDeque<(Arc<Gap>, usize)>,
}

impl Gaps {
    pub(in crate::shard) fn new(are_told: bool) -> Self {
        Self {
            are_told,
            ..Self::default()
        }
    }

    /// Channels bring nothing since this loss.
    pub(in crate::shard) fn began(&mut self, loss: LossNumber) {
        if self.are_told {
            self.open += 1;
            self.last = loss;
        }
    }

    /// They do again; clients are to be told.
    pub(in crate::shard) fn ended(&mut self, gap: Arc<Gap>) {
        if gap.channels.is_empty() {
            return self.told(&gap);
        }
        self.telling.push_back((gap, 0));
    }

    /// A client has come to a channel.
    pub(in crate::shard) fn joined(&mut self, id: ConnectionId, key: &Key) {
        if self.open > 0 {
            let clients = self.late.entry(key.clone()).or_default();
            clients.insert(id, self.last);
        }
    }

    /// A client has left a channel.
    pub(in crate::shard) fn left(&mut self, id: ConnectionId, key: &Key) {
        if self.late.is_empty() {
            return;
        }
        if let Some(clients) = self.late.get_mut(key) {
            clients.remove(&id);
            if clients.is_empty() {
                self.late.remove(key);
            }
        }
    }

    /// Whether a client has come to a channel after a loss, so that it missed nothing by it.
    pub(super) fn is_late(&self, id: ConnectionId, key: &Key, loss: LossNumber) -> bool {
        let clients = self.late.get(key);
        let came = clients.and_then(|clients| clients.get(&id));
        came.is_some_and(|came| *came >= loss)
    }

    /// The next clients of a gap to look at, in a shard that has `slots`.
    pub(super) fn next(&mut self, slots: usize) -> Option<(Arc<Gap>, Range<usize>)> {
        let (gap, next) = self.telling.front_mut()?;
        let start = *next;
        *next = (start + SLOTS_AT_ONCE).min(slots);
        let part = (gap.clone(), start..*next);
        if *next == slots {
            self.telling.pop_front();
        }
        Some(part)
    }

    /// Whether clients are to be told of a gap.
    pub(super) fn has_more(&self) -> bool {
        !self.telling.is_empty()
    }

    /// Everybody was told of a gap.
    pub(super) fn told(&mut self, gap: &Gap) {
        if let GapCause::Loss { is_last: true, .. } = gap.cause {
            self.open = self.open.saturating_sub(1);
        }
        if self.open == 0 {
            self.late = Map::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use womack_proto::NamespaceId;

    use super::*;
    use crate::encoding::{Encoding, Topic};

    fn gap(loss: u32, is_last: bool) -> Gap {
        Gap {
            cause: GapCause::Loss {
                number: LossNumber(loss),
                is_last,
            },
            channels: [Arc::from("a")].into(),
            from: 0,
            to: 1,
        }
    }

    #[test]
    fn a_client_is_told_of_the_losses_after_it_came() {
        let mut gaps = Gaps::new(true);
        let topic = Topic {
            namespace: NamespaceId(0),
            encoding: Encoding::Modern,
        };
        let [a, b] = ["a", "b"].map(|name| (Arc::from(name), topic));
        let [first, second] = [1, 2].map(LossNumber);
        gaps.joined(ConnectionId(1), &a);
        gaps.began(first);
        gaps.joined(ConnectionId(2), &a);
        gaps.joined(ConnectionId(3), &a);
        gaps.left(ConnectionId(3), &a);
        gaps.began(second);
        gaps.joined(ConnectionId(4), &b);
        assert!(
            !gaps.is_late(ConnectionId(1), &a, first) && !gaps.is_late(ConnectionId(3), &a, first)
        );
        assert!(
            gaps.is_late(ConnectionId(2), &a, first) && !gaps.is_late(ConnectionId(2), &a, second)
        );
        assert!(
            gaps.is_late(ConnectionId(4), &b, first) && gaps.is_late(ConnectionId(4), &b, second)
        );
        gaps.told(&gap(1, false));
        gaps.told(&gap(1, true));
        assert!(gaps.is_late(ConnectionId(4), &b, second));
        gaps.told(&gap(2, true));
        assert!(!gaps.is_late(ConnectionId(4), &b, second) && gaps.late.is_empty());
    }

    #[test]
    fn all_slots_have_their_turn_in_parts() {
        let mut gaps = Gaps::new(true);
        gaps.ended(Arc::new(gap(1, true)));
        let parts: Vec<_> = std::iter::from_fn(|| gaps.next(1200))
            .map(|(_, part)| part)
            .collect();
        assert_eq!(parts, [0..512, 512..1024, 1024..1200]);
        gaps.ended(Arc::new(gap(2, true)));
        assert_eq!(gaps.next(0).map(|(_, part)| part), Some(0..0));
        assert!(gaps.next(0).is_none());
    }
}
