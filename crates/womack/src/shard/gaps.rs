//! Gaps: who may have missed something, and telling them.
//!
//! Who has come to a channel while it brought nothing has missed nothing of it, as its
//! subscription is confirmed only after that; so such clients are remembered until the others have
//! been told.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    ops::Range,
    sync::Arc,
};

use ahash::RandomState;
use smallvec::SmallVec;
use womack_proto::{Form, NamespaceId, event_stream, gap, lines};

use super::{
    Shard,
    connection::{Connection, Protocol},
};
use crate::command::Gap;

/// Slots that are looked at before others have their turn.
const SLOTS_AT_ONCE: usize = 512;

type Set<T> = HashSet<T, RandomState>;
type Map<K, V> = HashMap<K, V, RandomState>;

/// The gaps that are open, or of which clients are still to be told.
#[derive(Default)]
pub(super) struct Gaps {
    /// Whether clients are told at all.
    are_told: bool,
    /// How many of them concern all channels.
    of_all: usize,
    /// How many of them concern a single channel.
    of_some: Map<Arc<str>, usize>,
    /// Who has come to a channel since.
    late: Map<Arc<str>, Set<u32>>,
    /// Those of which clients are being told, and the slot that is next.
    telling: VecDeque<(Arc<Gap>, usize)>,
}

impl Gaps {
    pub(super) fn new(are_told: bool) -> Self {
        Self {
            are_told,
            ..Self::default()
        }
    }

    /// Channels, or all, bring nothing.
    pub(super) fn began(&mut self, channels: Option<Arc<HashSet<Arc<str>>>>) {
        if !self.are_told {
            return;
        }
        match channels {
            None => self.of_all += 1,
            Some(channels) => {
                for channel in &*channels {
                    *self.of_some.entry(channel.clone()).or_default() += 1;
                }
            }
        }
    }

    /// They do again; clients are to be told.
    pub(super) fn ended(&mut self, gap: Arc<Gap>) {
        self.telling.push_back((gap, 0));
    }

    /// A client has come to a channel.
    pub(super) fn joined(&mut self, id: u32, channel: &Arc<str>) {
        if self.of_all > 0 || self.of_some.contains_key(channel) {
            self.late.entry(channel.clone()).or_default().insert(id);
        }
    }

    /// A client has left a channel.
    pub(super) fn left(&mut self, id: u32, channel: &str) {
        if self.late.is_empty() {
            return;
        }
        if let Some(clients) = self.late.get_mut(channel) {
            clients.remove(&id);
            if clients.is_empty() {
                self.late.remove(channel);
            }
        }
    }

    fn is_late(&self, id: u32, channel: &str) -> bool {
        let clients = self.late.get(channel);
        clients.is_some_and(|clients| clients.contains(&id))
    }

    /// The next clients of a gap to look at, in a shard that has `slots`.
    fn next(&mut self, slots: usize) -> Option<(Arc<Gap>, Range<usize>)> {
        let (gap, next) = self.telling.front_mut()?;
        let start = *next;
        *next = (start + SLOTS_AT_ONCE).min(slots);
        let part = (gap.clone(), start..*next);
        if *next == slots {
            self.telling.pop_front();
        }
        Some(part)
    }

    /// Everybody was told of a gap.
    fn told(&mut self, gap: &Gap) {
        match &gap.channels {
            None => self.of_all = self.of_all.saturating_sub(1),
            Some(channels) => {
                for channel in &**channels {
                    let Some(count) = self.of_some.get_mut(channel) else {
                        continue;
                    };
                    *count -= 1;
                    if *count == 0 {
                        self.of_some.remove(channel);
                    }
                }
            }
        }
        if self.of_all == 0 && self.of_some.is_empty() {
            self.late = Map::default();
        }
    }
}

impl Shard {
    /// Whether clients are to be told of a gap.
    pub(crate) fn has_gaps_to_tell(&self) -> bool {
        !self.gaps.telling.is_empty()
    }

    /// Tells some clients of a gap.
    pub(crate) fn tell_gaps(&mut self) {
        let slots = self.connections.capacity();
        let Some((gap, part)) = self.gaps.next(slots) else {
            return;
        };
        let is_last = part.end == slots;
        for slot in part {
            if let Ok(id) = u32::try_from(slot) {
                self.tell_gap(id, &gap);
            }
        }
        if is_last {
            self.gaps.told(&gap);
        }
        self.flush();
    }

    /// Tells a client of a gap, once in each of its namespaces that has a channel concerned.
    fn tell_gap(&mut self, id: u32, gap: &Gap) {
        let Some(connection) = self.connections.get(id as usize) else {
            return;
        };
        let form = match &connection.protocol {
            Protocol::Session(_) => None,
            Protocol::Plain(plain) => Some(plain.form()),
        };
        for (namespace, channels) in self.concerned(id, connection, gap) {
            let channels: Vec<_> = channels.iter().map(String::as_str).collect();
            let notice = gap::Gap {
                channels: &channels,
                from: gap.from,
                to: gap.to,
            };
            self.common.metrics.redis.gap_notices.inc();
            match form {
                None => self.with_session(id, |session, rules, out| {
                    let text = notice.to_json();
                    session.emit(namespace, gap::EVENT, &text, &[], rules, out);
                }),
                Some(Form::Events) => self.send(id, event_stream::missed(&notice).as_bytes()),
                Some(Form::Lines | Form::Messages) => self.send_line(id, &lines::missed(&notice)),
            }
        }
    }

    /// The channels of a client on which it may have missed something, by namespace.
    fn concerned(
        &self,
        id: u32,
        connection: &Connection,
        gap: &Gap,
    ) -> SmallVec<[(NamespaceId, Vec<String>); 1]> {
        let mut concerned: SmallVec<[(NamespaceId, Vec<String>); 1]> = SmallVec::new();
        for membership in connection.memberships.iter() {
            let (channel, namespace) = (&*membership.channel, membership.topic.namespace);
            if !gap.concerns(channel) || self.gaps.is_late(id, channel) {
                continue;
            }
            let registry = &self.common.registry;
            let name = registry.channel(namespace, channel).unwrap_or(channel);
            let name = name.to_owned();
            match concerned.iter_mut().find(|(known, _)| *known == namespace) {
                Some((_, names)) => names.push(name),
                None => concerned.push((namespace, vec![name])),
            }
        }
        concerned
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn names(names: &[&str]) -> Arc<HashSet<Arc<str>>> {
        Arc::new(names.iter().map(|name| Arc::from(*name)).collect())
    }

    #[test]
    fn who_comes_while_nothing_comes_is_late() {
        let mut gaps = Gaps::new(true);
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        gaps.joined(1, &a);
        assert!(!gaps.is_late(1, &a));
        let lost = names(&["a"]);
        gaps.began(Some(lost.clone()));
        gaps.joined(2, &a);
        gaps.joined(2, &b);
        gaps.joined(3, &a);
        gaps.left(3, &a);
        assert!(gaps.is_late(2, &a) && !gaps.is_late(2, &b) && !gaps.is_late(3, &a));
        gaps.began(None);
        gaps.joined(4, &b);
        assert!(gaps.is_late(4, &b));
        let now = SystemTime::now();
        gaps.told(&Gap::new(Some(lost), now, now));
        assert!(gaps.is_late(4, &b));
        gaps.told(&Gap::new(None, now, now));
        assert!(!gaps.is_late(4, &b) && !gaps.is_late(2, &a));
    }

    #[test]
    fn all_slots_have_their_turn_in_parts() {
        let mut gaps = Gaps::new(true);
        let now = SystemTime::now();
        gaps.ended(Arc::new(Gap::new(None, now, now)));
        let parts: Vec<_> = std::iter::from_fn(|| gaps.next(1200))
            .map(|(_, part)| part)
            .collect();
        assert_eq!(parts, [0..512, 512..1024, 1024..1200]);
        gaps.ended(Arc::new(Gap::new(None, now, now)));
        assert_eq!(gaps.next(0).map(|(_, part)| part), Some(0..0));
        assert!(gaps.next(0).is_none());
    }
}
