//! How much waits for each client, so that none uses up what all may have.

use std::collections::HashMap;

use ahash::RandomState;

use crate::sid::ConnectionId;

/// The part of all acknowledgements that one client may have, as a divisor.
const CLIENT_PART: usize = 64;
/// How often a client's acknowledgements together may name as many channels as it may be in.
const NAMED_TIMES: usize = 2;

/// How many acknowledgements may wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AckLimits {
    /// Those of all clients.
    pub(crate) max_waiting: usize,
    /// The channels that a client may be in.
    pub(crate) max_channels_per_client: usize,
}

/// How much waits for each client for which anything does.
#[derive(Default)]
pub(super) struct ClientShares(HashMap<ConnectionId, ClientShare, RandomState>);

#[derive(Clone, Copy, Debug, Default)]
struct ClientShare {
    acks: usize,
    /// The channels that these name, beside what else counts like channels.
    weight: usize,
}

impl ClientShares {
    /// Whether another acknowledgement of a client may wait: a client may have a 64th of all that
    /// may wait, and these may together name twice the channels that it may be in.
    pub(super) fn have_room(&self, id: ConnectionId, weight: usize, limits: AckLimits) -> bool {
        let share = self.0.get(&id).copied().unwrap_or_default();
        let max_acks = (limits.max_waiting / CLIENT_PART).max(1);
        let max_weight = limits.max_channels_per_client.saturating_mul(NAMED_TIMES);
        share.acks < max_acks && share.weight + weight <= max_weight
    }

    /// An acknowledgement of a client waits.
    pub(super) fn add(&mut self, id: ConnectionId, weight: usize) {
        let share = self.0.entry(id).or_default();
        share.acks += 1;
        share.weight += weight;
    }

    /// It waits no more.
    pub(super) fn remove(&mut self, id: ConnectionId, weight: usize) {
        let Some(share) = self.0.get_mut(&id) else {
            return;
        };
        share.acks -= 1;
        share.weight -= weight;
        if share.acks == 0 {
            self.0.remove(&id);
            if self.0.is_empty() {
                // A burst's memory is given back.
                self.0 = HashMap::default();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: AckLimits = AckLimits {
        max_waiting: 128,
        max_channels_per_client: 5,
    };

    #[test]
    fn a_client_has_a_small_part_in_acknowledgements_and_in_names() {
        let (mut shares, [a, b]) = (ClientShares::default(), [1, 2].map(ConnectionId));
        shares.add(a, 1);
        assert!(shares.have_room(a, 9, LIMITS) && !shares.have_room(a, 10, LIMITS));
        shares.add(a, 1);
        assert!(!shares.have_room(a, 1, LIMITS) && shares.have_room(b, 10, LIMITS));
        shares.remove(a, 1);
        assert!(shares.have_room(a, 9, LIMITS));
        shares.remove(a, 1);
        assert!(shares.0.is_empty());
    }
}
