//! Two runs, in turns or one right after the other, and whether they can be compared.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Metric;
use crate::cell::{Cell, Traffic};

/// Seconds within which both runs of a pair have to be over.
pub const PAIR_SECONDS: f64 = 60.0;
/// The part of the CPUs' time that processes outside the measurement may have during a pair.
pub const BACKGROUND: f64 = 0.1;
/// Wake-ups and reads that differ by more than this factor are another mode: one message per portion
/// or two are told apart, and what varies within a mode is not.
const MODE: f64 = 1.5;
/// Microseconds of a server's CPU that sleeping and waking take, at most.
const WAKE_MICROS: f64 = 10.0;
/// Wake-ups that cost less than this part of a delivery move no ratio, whatever their factor is: a
/// server that hardly ever sleeps is in one mode.
const WAKE_SHARE: f64 = 0.01;

/// One run of each build, in turns or one right after the other.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Pair {
    /// From 1; in pairs with an even number the new build goes first.
    pub number: usize,
    /// The old build's run.
    pub old: Cell,
    /// The new build's run.
    pub new: Cell,
    /// Seconds from the start of the first run to the end of the second.
    pub seconds: f64,
    /// The part of all used CPUs' time that others had: neither the builds, nor Redis, nor the load.
    pub background: f64,
}

/// Whether the new build's run is the first of the pair with this number.
#[must_use]
pub fn new_goes_first(number: usize) -> bool {
    number.is_multiple_of(2)
}

/// A pair's figure: the new build's divided by the old one's, or the new one's alone where the limit
/// is absolute. `None` if either run has none.
#[must_use]
pub fn figure(metric: Metric, pair: &Pair) -> Option<f64> {
    let (old, new) = (metric.value(&pair.old)?, metric.value(&pair.new)?);
    let figure = if metric.is_absolute() { new } else { new / old };
    (figure.is_finite() && figure > 0.0).then_some(figure)
}

/// A reason why the runs of a pair cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Incomparable {
    /// Messages or clients were lost in one of them.
    Losses,
    /// The pair took longer than [`PAIR_SECONDS`]: so many seconds.
    Slow(f64),
    /// Other processes had more than [`BACKGROUND`] of the CPUs: this part.
    Background(f64),
    /// One took its messages in larger portions than the other.
    Modes,
    /// One of them has no figure.
    NoFigure,
}

impl fmt::Display for Incomparable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Losses => write!(out, "messages or clients were lost"),
            Self::Slow(seconds) => write!(out, "the pair took {seconds:.0} s"),
            Self::Background(part) => {
                write!(out, "other processes had {:.0} % of the CPUs", part * 100.0)
            }
            Self::Modes => write!(out, "different modes"),
            Self::NoFigure => write!(out, "a run has no figure"),
        }
    }
}

/// The reason why a pair's runs cannot be compared, if there is one.
#[must_use]
pub fn incomparable(metric: Metric, pair: &Pair) -> Option<Incomparable> {
    let traffic = pair.old.traffic.as_ref().zip(pair.new.traffic.as_ref());
    if losses(&pair.old) > 0 || losses(&pair.new) > 0 {
        Some(Incomparable::Losses)
    } else if pair.seconds > PAIR_SECONDS {
        Some(Incomparable::Slow(pair.seconds))
    } else if pair.background > BACKGROUND {
        Some(Incomparable::Background(pair.background))
    } else if traffic.is_some_and(|(old, new)| !same_mode(old, new)) {
        Some(Incomparable::Modes)
    } else if figure(metric, pair).is_none() {
        Some(Incomparable::NoFigure)
    } else {
        None
    }
}

/// Whether two runs took their messages in portions of the same size. The server's wake-ups tell one
/// message per wake-up from ten, and the clients' reads how many messages were merged into a write.
#[must_use]
pub fn same_mode(one: &Traffic, other: &Traffic) -> bool {
    let difference = (one.wakes - other.wakes).abs() * WAKE_MICROS;
    let negligible = difference < WAKE_SHARE * one.cpu_micros.min(other.cpu_micros);
    (negligible || near(one.wakes, other.wakes)) && near(one.reads, other.reads)
}

fn near(one: f64, other: f64) -> bool {
    one.max(other) <= MODE * one.min(other)
}

/// The number of things in a run that should not have happened.
#[must_use]
pub fn losses(cell: &Cell) -> u64 {
    let lost = |it: &Traffic| it.lost + it.wrong + it.closed;
    cell.failed + cell.traffic.as_ref().map_or(0, lost)
}

#[cfg(test)]
mod tests {
    use super::{super::tests::pair, *};

    #[test]
    fn order_within_pairs_alternates() {
        let firsts: Vec<_> = (1..=4).map(new_goes_first).collect();
        assert_eq!(firsts, [false, true, false, true]);
    }

    #[test]
    fn a_server_that_hardly_sleeps_is_in_one_mode_however_its_few_wake_ups_vary() {
        let mut one = pair(1, 1.0);
        traffic(&mut one.old).wakes = 0.0;
        traffic(&mut one.new).wakes = 0.003;
        assert_eq!(incomparable(Metric::DeliveryCpu, &one), None);
        traffic(&mut one.new).wakes = 0.006;
        let reason = incomparable(Metric::DeliveryCpu, &one);
        assert_eq!(reason, Some(Incomparable::Modes));
    }

    #[test]
    fn merging_twice_as_much_is_another_mode() {
        let mut one = pair(1, 1.0);
        traffic(&mut one.new).reads /= 2.0;
        let reason = incomparable(Metric::DeliveryCpu, &one);
        assert_eq!(reason, Some(Incomparable::Modes));
    }

    #[test]
    fn a_pair_beside_other_processes_or_longer_than_a_minute_is_not_compared() {
        let busy = Pair {
            background: 0.2,
            ..pair(1, 1.0)
        };
        let slow = Pair {
            seconds: 61.0,
            ..pair(1, 1.0)
        };
        for pair in [busy, slow] {
            assert!(
                incomparable(Metric::DeliveryCpu, &pair).is_some(),
                "{pair:?}"
            );
        }
    }

    fn traffic(cell: &mut Cell) -> &mut Traffic {
        cell.traffic.as_mut().unwrap()
    }
}
