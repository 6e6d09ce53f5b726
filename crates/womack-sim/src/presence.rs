//! Whether server events and records say who is in which channel.

use std::collections::{BTreeMap, BTreeSet};

use crate::{events::Member, world::World};

/// The members that a record names.
pub(crate) fn members_of(record: &BTreeMap<String, String>) -> BTreeSet<Member> {
    let fields = record.keys().filter_map(|field| {
        let (session, rest) = field.split_once(',')?;
        let (_, channel) = rest.split_once(',')?;
        Some(Member {
            session: session.to_owned(),
            channel: channel.to_owned(),
        })
    });
    fields.collect()
}

/// How two sets of members differ; `None` if they do not.
pub(crate) fn difference(found: &BTreeSet<Member>, wanted: &BTreeSet<Member>) -> Option<String> {
    let missing: Vec<_> = wanted.difference(found).collect();
    let stale: Vec<_> = found.difference(wanted).collect();
    let differ = !missing.is_empty() || !stale.is_empty();
    differ.then(|| format!("lacks {missing:?} and has {stale:?}"))
}

/// At rest: records and server events say exactly who is in which channel. `members` are those of
/// each node.
pub(crate) fn check(world: &World, members: &[BTreeSet<Member>]) {
    let mut names = BTreeSet::new();
    for (number, members) in members.iter().enumerate() {
        let Some(node) = world.node_at(number) else {
            continue;
        };
        let record = members_of(&world.redis().record(&node.name()));
        if let Some(difference) = difference(&record, members) {
            world.violate(&format!("the record of node {number} {difference}"));
        }
        names.insert(node.name());
    }
    let found = world.redis().nodes_with_records();
    if found != names {
        world.violate(&format!("{found:?} have records, not {names:?}"));
    }
    let all = members.iter().flatten().cloned().collect();
    let told = world.members();
    if let Some(difference) = difference(&told, &all) {
        world.violate(&format!("what server events say {difference}"));
    }
}
