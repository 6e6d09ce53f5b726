//! How many messages a namespace may have in a second, and which channels lose some beyond that.
//!
//! The *level* of a second is the largest number of messages at which the messages of all channels
//! of the namespace, at most so many counted of each, are within the limit. A channel's messages
//! beyond the level are dropped: a channel that has fewer than its equal share loses none, and a
//! busy one gets what the others leave. The level begins at that of the second before, since who
//! comes later in a second must find room, and falls as soon as the present second needs it.
//!
//! A channel that has lost a message gets no other in the same second, so one gap tells of all.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use ahash::RandomState;
use womack_proto::NamespaceId;

/// For how long messages are counted.
const WINDOW: Duration = Duration::from_secs(1);
/// Channels for which the memory is kept from one second to the next.
const KEPT_CHANNELS: usize = 1024;

/// The messages of all namespaces that have a limit.
#[derive(Debug, Default)]
pub(super) struct MessageLimits {
    /// By the number of the namespace; `None` for those without a limit.
    namespaces: Vec<Option<NamespaceLimit>>,
    /// The end of the present second; `None` before its first message.
    end: Option<Instant>,
}

/// Channels of a namespace that have lost messages.
#[derive(Debug)]
pub(super) struct DroppedMessages {
    pub(super) namespace: NamespaceId,
    pub(super) channels: HashSet<Arc<str>>,
    /// All that was published before has been received before the first of them.
    pub(super) since: Instant,
    /// How many messages are lost.
    pub(super) count: u64,
}

impl MessageLimits {
    /// `limits` has, in the order of their numbers, how many messages a second namespaces may have;
    /// 0 is any number.
    pub(super) fn new(limits: impl Iterator<Item = u32>) -> Self {
        let namespaces: Vec<_> = limits
            .map(|most| (most > 0).then(|| NamespaceLimit::new(most)))
            .collect();
        Self {
            // Without any limit nothing is looked up for a message.
            namespaces: match namespaces.iter().any(Option::is_some) {
                true => namespaces,
                false => Vec::new(),
            },
            end: None,
        }
    }

    /// Whether no namespace has a limit.
    pub(super) const fn is_empty(&self) -> bool {
        self.namespaces.is_empty()
    }

    /// Counts a message on a Redis channel of a namespace, which comes at `now`; all that was
    /// published before `received_to` has been received. False if it is to be dropped.
    pub(super) fn admit(
        &mut self,
        namespace: NamespaceId,
        channel: &Arc<str>,
        now: Instant,
        received_to: Instant,
    ) -> bool {
        let limit = self.namespaces.get_mut(usize::from(namespace.0));
        let Some(Some(limit)) = limit else {
            return true;
        };
        self.end.get_or_insert(now + WINDOW);
        limit.admit(channel, received_to)
    }

    /// A message that was dropped was for these channels too.
    pub(super) fn add_dropped(
        &mut self,
        namespace: NamespaceId,
        channels: impl Iterator<Item = Arc<str>>,
    ) {
        let limit = self.namespaces.get_mut(usize::from(namespace.0));
        if let Some(Some(limit)) = limit
            && let Some(dropped) = &mut limit.dropped
        {
            dropped.channels.extend(channels);
        }
    }

    /// When messages that were dropped are to be told of; `None` if there are none.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let mut limits = self.namespaces.iter().flatten();
        let has_dropped = limits.any(|limit| limit.dropped.is_some());
        self.end.filter(|_| has_dropped)
    }

    /// Whether [`MessageLimits::end`] is to be called before another message is counted.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.end.is_some_and(|end| end <= now)
    }

    /// Ends the second, and tells which channels have lost messages in it.
    pub(super) fn end(&mut self) -> Vec<DroppedMessages> {
        self.end = None;
        let mut dropped = Vec::new();
        for (namespace, limit) in (0..).map(NamespaceId).zip(&mut self.namespaces) {
            let Some(limit) = limit else {
                continue;
            };
            if let Some(Dropped {
                channels,
                since,
                count,
            }) = limit.end()
            {
                dropped.push(DroppedMessages {
                    namespace,
                    channels,
                    since,
                    count,
                });
            }
        }
        dropped
    }
}

/// The messages of a namespace in the present second.
#[derive(Debug)]
struct NamespaceLimit {
    /// How many messages the namespace may have.
    most: u32,
    /// The level of the second before.
    level_before: u32,
    /// The level of the present second as far as it has come.
    level: u32,
    /// How many channels have had at least one message, two, and so on up to the limit.
    reached: Vec<u32>,
    /// The sum of these numbers up to the level: the messages with at most so many of each channel.
    within_level: u32,
    /// The messages of each channel.
    channels: HashMap<Arc<str>, u32, RandomState>,
    dropped: Option<Dropped>,
}

/// What was dropped in the present second.
#[derive(Debug)]
struct Dropped {
    channels: HashSet<Arc<str>>,
    since: Instant,
    count: u64,
}

impl NamespaceLimit {
    fn new(most: u32) -> Self {
        Self {
            most,
            level_before: most,
            level: most,
            reached: Vec::new(),
            within_level: 0,
            channels: HashMap::default(),
            dropped: None,
        }
    }

    fn admit(&mut self, channel: &Arc<str>, received_to: Instant) -> bool {
        let number = match self.channels.get_mut(channel) {
            Some(count) => {
                *count = count.saturating_add(1);
                *count
            }
            None => {
                self.channels.insert(channel.clone(), 1);
                1
            }
        };
        if self.count(number) {
            return true;
        }
        let dropped = self.dropped.get_or_insert_with(|| Dropped {
            channels: HashSet::new(),
            since: received_to,
            count: 0,
        });
        dropped.count += 1;
        if !dropped.channels.contains(channel) {
            dropped.channels.insert(channel.clone());
        }
        false
    }

    /// Counts the message of a channel that has this number in the second, from 1 on. False if it
    /// is beyond the level.
    fn count(&mut self, number: u32) -> bool {
        let place = number as usize - 1;
        if number <= self.most {
            if place == self.reached.len() {
                self.reached.push(0);
            }
            self.reached[place] += 1;
        }
        if number <= self.level {
            self.within_level += 1;
            while self.within_level > self.most && self.level > 1 {
                self.level -= 1;
                let lowered = self.reached.get(self.level as usize);
                self.within_level -= lowered.copied().unwrap_or_default();
            }
        }
        // With more channels than messages, those that come first have one each.
        let has_room = number > 1 || self.reached[0] <= self.most;
        has_room && number <= self.level.min(self.level_before)
    }

    fn end(&mut self) -> Option<Dropped> {
        self.level_before = self.level;
        self.level = self.most;
        self.within_level = 0;
        self.reached.clear();
        self.channels.clear();
        self.channels.shrink_to(KEPT_CHANNELS);
        self.dropped.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMESPACE: NamespaceId = NamespaceId(1);

    /// A namespace with a limit beside one without, in seconds that are told by their number.
    struct Scene {
        limits: MessageLimits,
        start: Instant,
        second: u64,
    }

    impl Scene {
        fn new(most: u32) -> Self {
            Self {
                limits: MessageLimits::new([0, most].into_iter()),
                start: Instant::now(),
                second: 0,
            }
        }

        fn now(&self) -> Instant {
            self.start + WINDOW * u32::try_from(self.second).unwrap()
        }

        /// Publishes so many messages on each channel, a message of each in turn. Returns how many
        /// of each channel pass.
        fn publish<const N: usize>(&mut self, counts: [(&str, u32); N]) -> [u32; N] {
            let mut passed = [0; N];
            let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(0);
            for number in 0..most {
                for (place, (name, count)) in counts.iter().enumerate() {
                    if number < *count && self.publish_one(name) {
                        passed[place] += 1;
                    }
                }
            }
            passed
        }

        fn publish_one(&mut self, name: &str) -> bool {
            let now = self.now();
            self.limits.admit(NAMESPACE, &name.into(), now, now)
        }

        /// The second ends. Returns the channels that have lost messages, and how many these are.
        fn ends(&mut self) -> (Vec<String>, u64) {
            self.second += 1;
            let mut dropped = self.limits.end();
            let Some(dropped) = dropped.pop() else {
                return Default::default();
            };
            let mut names: Vec<_> = dropped.channels.iter().map(ToString::to_string).collect();
            names.sort_unstable();
            (names, dropped.count)
        }
    }

    #[test]
    fn a_channel_alone_may_have_all_that_its_namespace_may() {
        let mut scene = Scene::new(100);
        for _ in 0..3 {
            assert_eq!(scene.publish([("hot", 1000)]), [100]);
            assert!(scene.limits.deadline().is_some());
            assert_eq!(scene.ends(), (vec!["hot".to_owned()], 900));
        }
        assert_eq!(scene.publish([("hot", 100)]), [100]);
        assert_eq!(scene.limits.deadline(), None);
        assert_eq!(scene.ends(), Default::default());
    }

    #[test]
    fn a_busy_channel_gets_what_quiet_ones_leave() {
        let mut scene = Scene::new(100);
        let counts = [("hot", 1000), ("a", 10), ("b", 30)];
        for _ in 0..3 {
            assert_eq!(scene.publish(counts), [60, 10, 30]);
            assert_eq!(scene.ends(), (vec!["hot".to_owned()], 940));
        }
        let counts = [("hot", 1000), ("a", 10), ("second", 1000)];
        assert_eq!(scene.publish(counts), [45, 10, 45]);
    }

    #[test]
    fn a_quiet_channel_that_comes_late_in_the_second_loses_nothing() {
        let mut scene = Scene::new(100);
        // In the first second the busy channel has had all when the other comes.
        assert_eq!(scene.publish([("hot", 1000)]), [100]);
        assert_eq!(scene.publish([("quiet", 20)]), [20]);
        scene.ends();
        // From then on there is room for it.
        assert_eq!(scene.publish([("hot", 1000)]), [80]);
        assert_eq!(scene.publish([("quiet", 20)]), [20]);
        assert_eq!(scene.ends(), (vec!["hot".to_owned()], 920));
        // When it is silent, the busy one has its part a second later.
        assert_eq!(scene.publish([("hot", 1000)]), [80]);
        scene.ends();
        assert_eq!(scene.publish([("hot", 1000)]), [100]);
    }

    #[test]
    fn a_channel_that_has_lost_a_message_gets_no_other_in_the_second() {
        let mut scene = Scene::new(10);
        assert_eq!(scene.publish([("a", 5), ("b", 5)]), [5, 5]);
        let names = ["c", "d", "e"];
        assert_eq!(names.map(|name| scene.publish_one(name)), [true; 3]);
        assert!(!scene.publish_one("a"));
        assert!(!scene.publish_one("b") && !scene.publish_one("a"));
        assert_eq!(scene.ends().1, 3);
    }

    #[test]
    fn of_more_channels_than_messages_the_first_have_one_each() {
        let mut scene = Scene::new(3);
        for _ in 0..2 {
            let names = ["a", "b", "c", "d", "e", "a"];
            let passed = names.map(|name| scene.publish_one(name));
            assert_eq!(passed, [true, true, true, false, false, false]);
            scene.ends();
        }
    }

    #[test]
    fn a_gap_begins_where_all_that_was_published_before_has_been_received() {
        let mut scene = Scene::new(1);
        let earlier = scene.now();
        assert!(scene.publish_one("a"));
        scene.second += 1;
        let now = scene.now();
        assert!(scene.limits.is_over(now) && !scene.limits.is_over(earlier));
        assert!(!scene.limits.admit(NAMESPACE, &"a".into(), now, earlier));
        assert!(!scene.limits.admit(NAMESPACE, &"a".into(), now, now));
        assert_eq!(scene.limits.end()[0].since, earlier);
    }

    #[test]
    fn a_namespace_without_a_limit_is_not_counted() {
        let mut scene = Scene::new(1);
        let now = scene.now();
        for _ in 0..5 {
            assert!(scene.limits.admit(NamespaceId(0), &"a".into(), now, now));
        }
        assert_eq!(scene.limits.deadline(), None);
        assert!(MessageLimits::new([0, 0].into_iter()).is_empty());
    }
}
