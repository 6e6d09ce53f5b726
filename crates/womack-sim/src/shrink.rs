//! Makes a failing run smaller: the same violation with less time, fewer faults and fewer clients.

use std::time::Duration;

use crate::{run::run, trace::Trace, world::Options};

/// Simulated time after a violation that is kept, so that what follows from it is seen.
const AFTER: Duration = Duration::from_secs(1);

/// Looks for the smallest run of a seed in which a promise is still broken. Returns its options and
/// what happened; `None` if the run breaks none.
pub fn shrink(seed: u64, options: &Options) -> Option<(Options, Trace)> {
    let trace = run(seed, options);
    let mut best = (options.clone(), trace);
    let violated = best.1.violated_at()?;
    let shorter = Options {
        time: options.time.min(violated + AFTER),
        prints: false,
        ..options.clone()
    };
    keep_if_broken(seed, shorter, &mut best);
    let faults: Vec<_> = best.1.faults().to_vec();
    omit(faults, |faults| {
        let mut smaller = best.0.clone();
        smaller.omitted.faults.extend(faults);
        keep_if_broken(seed, smaller, &mut best)
    });
    let clients = (0..best.0.all_clients()).collect();
    omit(clients, |clients| {
        let mut smaller = best.0.clone();
        smaller.omitted.clients.extend(clients);
        keep_if_broken(seed, smaller, &mut best)
    });
    Some(best)
}

/// Runs a seed, and keeps the run as the best one if it breaks a promise.
fn keep_if_broken(seed: u64, options: Options, best: &mut (Options, Trace)) -> bool {
    let trace = run(seed, &options);
    let is_broken = !trace.violations().is_empty();
    if is_broken {
        *best = (options, trace);
    }
    is_broken
}

/// Tries to leave things out: first all, then halves, and so on down to single ones.
fn omit<T: Clone>(things: Vec<T>, mut try_without: impl FnMut(&[T]) -> bool) {
    let mut parts = vec![things];
    while let Some(part) = parts.pop() {
        if part.is_empty() || try_without(&part) || part.len() == 1 {
            continue;
        }
        let (first, second) = part.split_at(part.len() / 2);
        parts.push(first.to_vec());
        parts.push(second.to_vec());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_but_what_is_needed_is_left_out() {
        let mut left = BTreeSet::from_iter(0..100);
        omit((0..100).collect(), |part| {
            let needs = part.iter().any(|number| [7, 42, 43].contains(number));
            if !needs {
                left.retain(|number| !part.contains(number));
            }
            !needs
        });
        assert_eq!(left, BTreeSet::from([7, 42, 43]));
    }
}
