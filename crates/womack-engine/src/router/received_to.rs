//! How far everything that was published has been received.

use std::time::Instant;

use smallvec::SmallVec;
use womack_proto::subscriber::Epoch;

/// Until when all that was published has been received, over each connection.
#[derive(Default)]
pub(super) struct ReceivedTo(SmallVec<[(Epoch, Instant); 1]>);

impl ReceivedTo {
    /// All that was published before `at` has been received over a connection.
    pub(super) fn set(&mut self, epoch: Epoch, at: Instant) {
        match self.0.iter_mut().find(|(known, _)| *known == epoch) {
            Some((_, known)) => *known = at,
            None => self.0.push((epoch, at)),
        }
    }

    /// A connection is gone.
    pub(super) fn remove(&mut self, epoch: Epoch) {
        self.0.retain(|(known, _)| *known != epoch);
    }

    /// All that was published before this has been received over all connections.
    pub(super) fn earliest(&self) -> Option<Instant> {
        self.0.iter().map(|(_, at)| *at).min()
    }
}
