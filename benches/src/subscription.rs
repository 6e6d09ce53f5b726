//! What a client holds, and whether each message comes in its turn.

use crate::message::Stamp;

/// The channels of one client.
pub struct Subscriptions(Vec<Subscription>);

struct Subscription {
    channel: u32,
    /// The sequence number to come, `None` while any will do.
    next: Option<u64>,
}

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// In its turn.
    InOrder,
    /// After others that should have come first, and now never can.
    AfterGap,
    /// Once more, or after one that should have come later.
    Repeated,
    /// On a channel that the client does not hold.
    Foreign,
}

impl Subscriptions {
    /// Expects the messages of these channels: every one `from_first` on, or any one at first.
    #[must_use]
    pub fn new(channels: &[u32], from_first: bool) -> Self {
        let next = from_first.then_some(0);
        let subscriptions = channels
            .iter()
            .map(|&channel| Subscription { channel, next });
        Self(subscriptions.collect())
    }

    /// Takes a message.
    #[inline]
    pub fn take(&mut self, stamp: &Stamp) -> Arrival {
        let of_channel = |held: &&mut Subscription| held.channel == stamp.channel;
        let Some(held) = self.0.iter_mut().find(of_channel) else {
            return Arrival::Foreign;
        };
        let expected = held.next.unwrap_or(stamp.sequence);
        if stamp.sequence < expected {
            return Arrival::Repeated;
        }
        held.next = Some(stamp.sequence + 1);
        if stamp.sequence == expected {
            Arrival::InOrder
        } else {
            Arrival::AfterGap
        }
    }

    /// The channels' numbers.
    pub fn channels(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|held| held.channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(subscriptions: &mut Subscriptions, stamps: &[(u32, u64)]) -> Vec<Arrival> {
        let stamps = stamps.iter().map(|&(channel, sequence)| Stamp {
            channel,
            number: 0,
            sequence,
            nanos: 0,
        });
        stamps.map(|stamp| subscriptions.take(&stamp)).collect()
    }

    #[test]
    fn losses_and_repetitions_are_seen() {
        let mut held = Subscriptions::new(&[7, 8], true);
        assert_eq!(
            arrivals(
                &mut held,
                &[(7, 0), (8, 0), (7, 2), (7, 2), (7, 1), (7, 3), (9, 0)]
            ),
            [
                Arrival::InOrder,
                Arrival::InOrder,
                Arrival::AfterGap,
                Arrival::Repeated,
                Arrival::Repeated,
                Arrival::InOrder,
                Arrival::Foreign,
            ]
        );
    }

    #[test]
    fn first_message_must_not_be_missed_unless_any_will_do() {
        let from_first = arrivals(&mut Subscriptions::new(&[7], true), &[(7, 5)]);
        assert_eq!(from_first, [Arrival::AfterGap]);
        let from_any = arrivals(&mut Subscriptions::new(&[7], false), &[(7, 5), (7, 7)]);
        assert_eq!(from_any, [Arrival::InOrder, Arrival::AfterGap]);
    }
}
