//! Seeds that hold, and that say the same twice.

use std::{collections::BTreeMap, time::Duration};

use womack_sim::{Options, run};

/// Faults and replies that have to come up in some seeds, or the simulation proves little.
const KINDS: [&str; 48] = [
    "cut",
    "hang",
    "stall",
    "long stall",
    "down",
    "refusal",
    "busy",
    "demotion",
    "failover",
    "crash",
    "slot move",
    "clock step",
    "node crash",
    "drain",
    "shortage",
    "small budget",
    "hostile: attachments that never come",
    "hostile: many channels",
    "hostile: many packets",
    "hostile: metas",
    "hostile: nonsense",
    "hostile: polls without end",
    "hostile: reads nothing",
    "hostile: sessions",
    "hostile: unfinished messages",
    "closed for memory",
    "closed",
    "a poll is repeated",
    "an answer is lost",
    "answer is read and reset",
    "client aborts a poll",
    "client has upgraded",
    "client polls twice",
    "client says goodbye",
    "client stays away",
    "ended: client aborts a poll",
    "ended: client polls twice",
    "ended: client stays away",
    "ended: the way was troubled",
    "server event",
    "server event is repeated",
    "ok",
    "unavailable",
    "unsubscribed",
    "gap",
    "message",
    "client sleeps",
    "client leaves",
];

#[test]
fn no_seed_breaks_a_promise_and_every_kind_of_fault_and_reply_comes_up() {
    let mut counts = BTreeMap::new();
    for seed in 1..=60 {
        let trace = run(seed, &Options::default());
        let (violations, story) = (trace.violations(), trace.story().join("\n"));
        assert!(
            violations.is_empty(),
            "{story}\nseed {seed}: {violations:?}"
        );
        for (kind, count) in trace.counts() {
            *counts.entry(kind.clone()).or_insert(0) += count;
        }
    }
    for kind in KINDS {
        assert!(counts.contains_key(kind), "{kind} is missing: {counts:?}");
    }
}

#[test]
fn a_seed_says_the_same_twice() {
    let options = Options {
        time: Duration::from_secs(20),
        ..Options::default()
    };
    for seed in 1..=30 {
        assert_eq!(
            run(seed, &options).hash(),
            run(seed, &options).hash(),
            "seed {seed}"
        );
    }
}
