//! Seeds that hold, and that say the same twice.

use std::time::Duration;

use womack_sim::{Options, run};

#[test]
fn no_seed_breaks_a_promise() {
    for seed in 1..=150 {
        let trace = run(seed, Options::default());
        let (violations, story) = (trace.violations(), trace.story().join("\n"));
        assert!(
            violations.is_empty(),
            "{story}\nseed {seed}: {violations:?}"
        );
    }
}

#[test]
fn a_seed_says_the_same_twice() {
    let options = Options {
        time: Duration::from_secs(20),
        ..Options::default()
    };
    for seed in 1..=50 {
        assert_eq!(
            run(seed, options).hash(),
            run(seed, options).hash(),
            "seed {seed}"
        );
    }
}

#[test]
fn every_fault_and_every_answer_comes_up() {
    let mut counts = std::collections::BTreeMap::new();
    for seed in 1..=40 {
        for (kind, count) in run(seed, Options::default()).counts() {
            *counts.entry(kind.clone()).or_insert(0) += count;
        }
    }
    for kind in [
        "cut",
        "hang",
        "stall",
        "long stall",
        "down",
        "refusal",
        "demotion",
        "busy",
        "ok",
        "unavailable",
        "unsubscribed",
        "gap",
        "message",
        "client sleeps",
        "client leaves",
    ] {
        assert!(
            counts.contains_key(kind),
            "{kind} never came up: {counts:?}"
        );
    }
}
