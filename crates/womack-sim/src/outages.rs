//! When the way between nodes and servers was not whole: gaps and refusals need a reason.

use std::collections::BTreeSet;

use crate::network::Route;

/// A time at which routes were not whole.
struct Outage {
    routes: Vec<Route>,
    begin: u64,
    end: Option<u64>,
    /// Whether messages may be missing; else requests may be refused only.
    loses: bool,
}

/// The place of an outage in the list.
#[derive(Clone, Copy)]
pub(crate) struct OutageId(usize);

/// All outages of a run, in milliseconds since it began.
#[derive(Default)]
pub(crate) struct Outages {
    outages: Vec<Outage>,
}

/// The way of a node to the servers that may have a channel.
#[derive(Clone, Copy)]
pub(crate) struct Ways<'a> {
    pub(crate) node: usize,
    pub(crate) servers: &'a BTreeSet<usize>,
}

impl Ways<'_> {
    fn include(self, outage: &Outage) -> bool {
        let is_own =
            |route: &Route| route.node == self.node && self.servers.contains(&route.server);
        outage.routes.iter().any(is_own)
    }
}

impl Outages {
    /// The routes are not what they were; `loses` tells whether messages may be missing.
    pub(crate) fn begin(&mut self, routes: &[Route], at: u64, loses: bool) -> OutageId {
        self.outages.push(Outage {
            routes: routes.to_vec(),
            begin: at,
            end: None,
            loses,
        });
        OutageId(self.outages.len() - 1)
    }

    /// The routes of an outage are whole again.
    pub(crate) fn end(&mut self, id: OutageId, at: u64) {
        self.outages[id.0].end = Some(at);
    }

    /// Whether nothing troubled the ways since a time.
    pub(crate) fn is_quiet_since(&self, ways: Ways<'_>, time: u64) -> bool {
        let mut own = self.outages.iter().filter(|it| ways.include(it));
        own.all(|outage| outage.end.is_some_and(|end| end < time))
    }

    /// Whether nothing was troubled anywhere since a time.
    pub(crate) fn are_over_since(&self, time: u64) -> bool {
        let mut outages = self.outages.iter();
        outages.all(|outage| outage.end.is_some_and(|end| end < time))
    }

    /// Whether a gap that was told has a reason: an outage that it touches, some time before which
    /// the last good answer may have come, and after which it may have taken as long to restore.
    pub(crate) fn explain(&self, ways: Ways<'_>, from: u64, to: u64, slack: u64) -> bool {
        let own = self
            .outages
            .iter()
            .filter(|it| it.loses && ways.include(it));
        own.into_iter().any(|outage| {
            from <= outage.begin + slack
                && outage.begin <= to + slack
                && outage.end.is_none_or(|end| from <= end + slack)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_needs_an_outage_of_its_time_and_of_its_server() {
        let mut outages = Outages::default();
        let route = Route { node: 1, server: 2 };
        let id = outages.begin(&[route], 1000, true);
        outages.end(id, 2000);
        let (own, other) = (BTreeSet::from([2, 5]), BTreeSet::from([1, 4]));
        let ways = |node, servers| Ways { node, servers };
        assert!(outages.explain(ways(1, &own), 900, 2100, 100));
        assert!(!outages.explain(ways(1, &own), 3000, 3100, 100));
        assert!(!outages.explain(ways(1, &own), 100, 200, 100));
        assert!(!outages.explain(ways(1, &other), 900, 2100, 100));
        assert!(!outages.explain(ways(0, &own), 900, 2100, 100));
        assert!(outages.is_quiet_since(ways(1, &other), 0));
        assert!(!outages.is_quiet_since(ways(1, &own), 1500));
        outages.begin(&[route], 5000, false);
        assert!(!outages.explain(ways(1, &own), 5000, 5100, 100));
        assert!(!outages.is_quiet_since(ways(1, &own), 5500));
    }
}
