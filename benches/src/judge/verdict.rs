//! The rules by which pairs of measurements become a verdict.

use super::{
    Judgement,
    pair::{Incomparable, figure, incomparable, losses},
    statistics::Interval,
};

/// Comparable pairs that a verdict needs.
pub const PAIRS: usize = 11;
/// An interval wider than this part of its median decides nothing.
pub const WIDEST: f64 = 0.05;
/// The part of all pairs that has to be comparable.
pub const COMPARABLE: f64 = 0.8;

/// The result for one workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The interval is narrow enough, and does not lie wholly above the limit.
    Holds,
    /// The interval lies wholly above the limit.
    Exceeds,
    /// The new build lost or damaged messages or refused clients, whatever its speed.
    Loses,
    /// Fewer than [`PAIRS`] pairs can be compared.
    TooFew,
    /// Less than [`COMPARABLE`] of the pairs can be compared, most others being in different modes.
    ModesDiffer,
    /// Less than [`COMPARABLE`] of the pairs can be compared, for other reasons.
    Disturbed,
    /// The interval is wider than [`WIDEST`].
    TooWide,
}

impl Verdict {
    /// Whether more pairs cannot change it.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Holds | Self::Exceeds | Self::Loses)
    }

    /// Whether the change fails.
    #[must_use]
    pub fn fails(self) -> bool {
        matches!(self, Self::Exceeds | Self::Loses)
    }

    /// The verdict in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Exceeds => "FAILS",
            Self::Loses => "FAILS (lost messages or clients)",
            Self::TooFew => "INCONCLUSIVE (too few comparable pairs)",
            Self::ModesDiffer => "INCONCLUSIVE (pairs in different modes)",
            Self::Disturbed => "INCONCLUSIVE (pairs were disturbed)",
            Self::TooWide => "INCONCLUSIVE (interval too wide)",
        }
    }

    /// The next step, if the figures decide nothing.
    #[must_use]
    pub fn remedy(self) -> Option<&'static str> {
        match self {
            Self::Holds | Self::Exceeds | Self::Loses => None,
            Self::TooFew => Some("measure at least 11 comparable pairs: raise --max-pairs"),
            Self::ModesDiffer => Some(
                "less than 80 % of the pairs are comparable, for the builds take messages in \
                 portions of different sizes: change the workload so that they do not",
            ),
            Self::Disturbed => Some(
                "less than 80 % of the pairs are comparable: repeat while nothing else runs, and \
                 within a minute for a pair",
            ),
            Self::TooWide => Some(
                "the interval is wider than 5 % of its median: raise --max-pairs, or --seconds",
            ),
        }
    }
}

/// A judgement so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assessment {
    /// The figures' median and interval, of comparable pairs only.
    pub interval: Option<Interval>,
    /// The number of comparable pairs.
    pub comparable: usize,
    /// The verdict if no more pairs are measured.
    pub verdict: Verdict,
}

/// Judges the pairs measured so far.
#[must_use]
pub fn assess(judgement: &Judgement) -> Assessment {
    let pairs = &judgement.pairs;
    let metric = judgement.criterion.metric;
    let reasons = pairs.iter().filter_map(|pair| incomparable(metric, pair));
    let reasons: Vec<_> = reasons.collect();
    let figures: Vec<_> = pairs
        .iter()
        .filter(|pair| incomparable(metric, pair).is_none())
        .filter_map(|pair| figure(metric, pair))
        .collect();
    let interval = Interval::of(&figures);
    let verdict = if pairs.iter().any(|pair| losses(&pair.new) > 0) {
        Verdict::Loses
    } else if (figures.len() as f64) < COMPARABLE * pairs.len() as f64 {
        let modes = reasons
            .iter()
            .filter(|reason| **reason == Incomparable::Modes);
        if 2 * modes.count() >= reasons.len() {
            Verdict::ModesDiffer
        } else {
            Verdict::Disturbed
        }
    } else if figures.len() < PAIRS {
        Verdict::TooFew
    } else {
        interval.map_or(Verdict::TooFew, |interval| {
            decide(&interval, judgement.criterion.limit)
        })
    };
    Assessment {
        interval,
        comparable: figures.len(),
        verdict,
    }
}

/// The verdict of an interval on enough comparable pairs.
#[must_use]
pub fn decide(interval: &Interval, limit: f64) -> Verdict {
    // A wide interval that lies wholly above the limit fails as well: more pairs would only narrow
    // it there.
    if interval.low > limit {
        Verdict::Exceeds
    } else if interval.relative_width() > WIDEST {
        Verdict::TooWide
    } else {
        Verdict::Holds
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{Metric, tests::judgement},
        *,
    };
    use crate::cell::{Cell, Traffic};

    /// Ratios that alternate by so much around a middle.
    fn around(middle: f64, spread: f64, count: usize) -> Vec<f64> {
        let sides = [-1.0, 0.0, 1.0].into_iter().cycle();
        sides
            .take(count)
            .map(|side| middle + side * spread)
            .collect()
    }

    fn verdict(ratios: &[f64]) -> Verdict {
        assess(&judgement(1.03, ratios)).verdict
    }

    #[test]
    fn equal_builds_hold() {
        assert_eq!(verdict(&around(1.0, 0.01, 11)), Verdict::Holds);
    }

    #[test]
    fn a_build_that_is_slower_beyond_doubt_fails_however_wide_the_interval_is() {
        assert_eq!(verdict(&around(1.1, 0.01, 11)), Verdict::Exceeds);
        assert_eq!(verdict(&around(1.5, 0.4, 11)), Verdict::Exceeds);
    }

    #[test]
    fn an_interval_that_reaches_the_limit_does_not_fail() {
        assert_eq!(verdict(&around(1.035, 0.01, 11)), Verdict::Holds);
        assert_eq!(verdict(&around(1.03, 0.0, 11)), Verdict::Holds);
    }

    #[test]
    fn a_wide_interval_is_inconclusive_even_below_the_limit() {
        assert_eq!(verdict(&around(1.0, 0.2, 11)), Verdict::TooWide);
        assert_eq!(verdict(&around(0.6, 0.1, 11)), Verdict::TooWide);
    }

    #[test]
    fn ten_pairs_are_too_few() {
        assert_eq!(verdict(&around(1.0, 0.01, 10)), Verdict::TooFew);
        assert_eq!(verdict(&[]), Verdict::TooFew);
    }

    #[test]
    fn pairs_in_different_modes_are_left_out_and_may_be_a_fifth_of_all() {
        let mut judgement = judgement(1.03, &around(1.0, 0.01, 15));
        for pair in &mut judgement.pairs[..3] {
            // Ten messages per wake-up in place of one, and twice as fast for that alone.
            traffic(&mut pair.new).wakes /= 10.0;
            traffic(&mut pair.new).cpu_micros /= 2.0;
        }
        let found = assess(&judgement);
        assert_eq!((found.comparable, found.verdict), (12, Verdict::Holds));
        assert!(found.interval.unwrap().low > 0.98);

        traffic(&mut judgement.pairs[3].old).wakes *= 10.0;
        assert_eq!(assess(&judgement).verdict, Verdict::ModesDiffer);
    }

    #[test]
    fn pairs_beside_other_processes_are_no_verdict() {
        let mut judgement = judgement(1.03, &around(1.0, 0.01, 14));
        for pair in &mut judgement.pairs[..3] {
            pair.background = 0.2;
        }
        assert_eq!(assess(&judgement).verdict, Verdict::Disturbed);
    }

    #[test]
    fn a_new_build_that_loses_a_message_fails_and_an_old_one_makes_the_pair_incomparable() {
        let mut judgement = judgement(1.03, &around(1.0, 0.01, 12));
        traffic(&mut judgement.pairs[0].old).lost = 1;
        let found = assess(&judgement);
        assert_eq!((found.comparable, found.verdict), (11, Verdict::Holds));
        judgement.pairs[5].new.failed = 1;
        assert_eq!(assess(&judgement).verdict, Verdict::Loses);
    }

    #[test]
    fn idle_memory_is_judged_by_the_new_build_alone() {
        let mut judgement = judgement(760.0, &[1.0; 11]);
        judgement.criterion.metric = Metric::IdleBytes;
        for pair in &mut judgement.pairs {
            (pair.old.idle_bytes, pair.new.idle_bytes) = (500.0, 759.0);
        }
        assert_eq!(assess(&judgement).verdict, Verdict::Holds);
        for pair in &mut judgement.pairs {
            pair.new.idle_bytes = 761.0;
        }
        assert_eq!(assess(&judgement).verdict, Verdict::Exceeds);
    }

    fn traffic(cell: &mut Cell) -> &mut Traffic {
        cell.traffic.as_mut().unwrap()
    }

    proptest! {
        #[test]
        fn a_slower_build_never_gets_a_better_verdict(
            ratios in prop::collection::vec(0.8..1.3_f64, 11..40),
            more in 1.0..1.5_f64,
        ) {
            let slower: Vec<_> = ratios.iter().map(|ratio| ratio * more).collect();
            let (one, other) = (verdict(&ratios), verdict(&slower));
            if one == Verdict::Exceeds {
                prop_assert_eq!(other, Verdict::Exceeds);
            }
        }

        #[test]
        fn a_verdict_follows_the_rules(ratios in prop::collection::vec(0.9..1.2_f64, 11..40)) {
            let found = assess(&judgement(1.03, &ratios));
            let interval = found.interval.unwrap();
            match found.verdict {
                Verdict::Exceeds => prop_assert!(interval.low > 1.03),
                Verdict::Holds => {
                    prop_assert!(interval.low <= 1.03 && interval.relative_width() <= 0.05);
                }
                Verdict::TooWide => prop_assert!(interval.relative_width() > 0.05),
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
