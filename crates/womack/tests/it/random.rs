//! Random impatient clients of all generations, a Redis that is far away and sometimes gone, and an
//! oracle that knows what each client was promised.
//!
//! From one seed follow the operations of clients and of hostile clients, the publishers' pace and
//! the faults of the links between the server and Redis: latency, stalls, cuts. The oracle checks that
//!
//! - after `ok`, the numbers of a channel come without a hole until the client leaves, but for those
//!   that lie in a gap that it was told before; none comes twice or too late;
//! - a gap is told for a reason, and is not much longer than that;
//! - every request is answered in time, with `ok` while Redis can be reached;
//! - nobody is closed without an injected cause, and neither what hostile clients send nor a small
//!   memory budget is one for those beside them;
//! - server events take turns, and whatever is published after one reaches the client;
//! - at rest Redis has exactly the subscriptions that clients want, and without clients nothing.
//!
//! By hand, as long as one likes:
//!
//! ```text
//! make random TEST=a_cluster SECONDS=600
//! WOMACK_RANDOM_EGRESS=write make random TEST=a_single SECONDS=60 SEED=7
//! make random TEST=every_seed
//! ```
//!
//! `WOMACK_RANDOM_SECONDS` is the time for faults, `WOMACK_RANDOM_SEED` repeats a plan,
//! `WOMACK_RANDOM_EGRESS` is the server's `--egress`, `WOMACK_RANDOM_CLIENTS` how many clients there
//! are and `WOMACK_RANDOM_HOSTILE` how many hostile clients; with `WOMACK_RANDOM_KEEP_POLLS=1` no poll
//! is aborted or repeated.

mod client;
mod dialect;
mod events;
mod faults;
mod hostile;
mod plan;
mod publisher;
mod report;
mod rest;
mod run;
mod session;
mod slots;
mod story;
mod subscription;
mod world;

use std::env;
use std::str::FromStr;

use womack_test_support::ticker::millis;

use self::plan::Plan;
use self::run::Setup::{self, Cluster, Single};

/// A memory budget that two shards without clients leave a third of. Hostile clients fill it, and
/// what they hold is more than the share of a client then.
const BUDGET: &str = "48M";
/// Seconds of faults in the suite.
const SECONDS: u64 = 7;
/// Plans by which a promise was found broken: with which Redis, of which seed, after how many
/// seconds at the latest.
const ONCE_FAILED: [(Setup, u64, u64); 5] = [
    // The answer to a poll that was aborted at that moment was lost in silence.
    (Single, 3, 20),
    (Single, 12, 60),
    (Cluster, 7, 20),
    (Cluster, 11, 90),
    (Cluster, 13, 20),
];

#[tokio::test]
async fn a_single_redis_keeps_every_promise_to_impatient_clients() {
    run::run(Single, &plan(None), seconds(SECONDS)).await;
}

#[tokio::test]
async fn a_cluster_keeps_every_promise_to_impatient_clients() {
    run::run(Cluster, &plan(None), seconds(SECONDS)).await;
}

#[tokio::test]
async fn a_small_memory_budget_breaks_no_promise_to_those_who_read() {
    let plan = Plan {
        budget: Some(BUDGET),
        ..plan(None)
    };
    run::run(Single, &plan, seconds(SECONDS)).await;
}

#[tokio::test]
#[ignore = "takes minutes: make random TEST=every_seed"]
async fn every_seed_that_once_failed_passes() {
    for (setup, seed, most) in ONCE_FAILED {
        run::run(setup, &plan(Some(seed)), seconds(most)).await;
    }
}

/// A variable of the environment that a run by hand sets.
fn variable<T: FromStr>(name: &str) -> Option<T> {
    env::var(name).ok()?.parse().ok()
}

fn seconds(default: u64) -> u64 {
    variable("WOMACK_RANDOM_SECONDS").unwrap_or(default)
}

fn plan(seed: Option<u64>) -> Plan {
    let seed = seed.or_else(|| variable("WOMACK_RANDOM_SEED"));
    let seed = seed.unwrap_or_else(|| millis() % 1_000_000);
    let mut plan = Plan::of(seed, variable("WOMACK_RANDOM_EGRESS"));
    plan.keeps_polls = variable("WOMACK_RANDOM_KEEP_POLLS").is_some_and(|keep: u8| keep > 0);
    if let Some(clients) = variable("WOMACK_RANDOM_CLIENTS") {
        plan.clients = clients;
    }
    if let Some(hostile) = variable("WOMACK_RANDOM_HOSTILE") {
        plan.hostile = hostile;
    }
    plan
}
