//! The report of a run: the seed, what was injected, what was seen, what was broken.

use std::collections::BTreeMap;

use super::plan::Plan;
use super::run::Setup;
use super::world::{Violation, World};

/// Stories that are told of each kind of violation.
const STORIES: usize = 2;

/// Prints the report; returns how many violations there were.
pub(super) fn print(world: &World, plan: &Plan, setup: Setup) -> usize {
    println!("--- {setup:?}: {plan:?}");
    let mut group = "";
    for ((of, name), count) in world.counts() {
        if of != group {
            println!("{of}:");
            group = of;
        }
        println!("    {count:>8} {name}");
    }
    let violations = world.violations();
    let mut by_kind: BTreeMap<&str, Vec<&Violation>> = BTreeMap::new();
    for violation in &violations {
        by_kind.entry(violation.kind).or_default().push(violation);
    }
    for (kind, found) in &by_kind {
        let first = world.seconds(found[0].at);
        println!("VIOLATION: {kind}, {} times, first at {first}", found.len());
        for violation in found.iter().take(STORIES) {
            println!("  {}", violation.story);
        }
    }
    println!(
        "{} violations; WOMACK_RANDOM_SEED={}",
        violations.len(),
        plan.seed
    );
    violations.len()
}
