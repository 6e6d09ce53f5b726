//! Which of the nodes that owe something are alive.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::ordered::Set;

/// When other nodes were last heard of, as far as it matters.
pub(super) struct Peers {
    timeout: Duration,
    heard: HashMap<u32, Instant>,
}

/// What a look at the nodes came to.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Looked {
    /// Nodes that are to be asked whether they are there.
    pub(super) silent: Vec<u32>,
    /// Nodes that have not answered that.
    pub(super) gone: Vec<u32>,
}

impl Peers {
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            heard: HashMap::new(),
        }
    }

    /// `node` has said something.
    pub(super) fn heard(&mut self, node: u32, now: Instant) {
        if let Some(heard) = self.heard.get_mut(&node) {
            *heard = now;
        }
    }

    /// Looks at those with whom something is under way.
    pub(super) fn look(&mut self, partners: &Set<u32>, now: Instant) -> Looked {
        self.heard.retain(|node, _| partners.contains(node));
        let mut looked = Looked::default();
        for &node in partners {
            let heard = *self.heard.entry(node).or_insert(now);
            let silence = now.saturating_duration_since(heard);
            if silence > self.timeout {
                looked.gone.push(node);
                self.heard.remove(&node);
            } else if silence >= self.timeout / 2 {
                looked.silent.push(node);
            }
        }
        looked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(4);

    #[test]
    fn a_silent_node_is_asked_and_then_given_up() {
        let (mut peers, start) = (Peers::new(TIMEOUT), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let partners = Set::from_iter([7]);
        assert_eq!(peers.look(&partners, at(0)), Looked::default());
        assert_eq!(peers.look(&partners, at(2)).silent, [7]);
        peers.heard(7, at(3));
        assert_eq!(peers.look(&partners, at(4)), Looked::default());
        assert_eq!(peers.look(&partners, at(7)).silent, [7]);
        assert_eq!(peers.look(&partners, at(8)).gone, [7]);
    }

    #[test]
    fn a_node_that_owes_nothing_is_forgotten() {
        let (mut peers, start) = (Peers::new(TIMEOUT), Instant::now());
        peers.look(&Set::from_iter([7]), start);
        peers.look(&Set::default(), start);
        let later = start + TIMEOUT * 2;
        assert_eq!(peers.look(&Set::from_iter([7]), later), Looked::default());
    }
}
