//! The median of a few figures, and the interval that holds the true one.

use serde::{Deserialize, Serialize};

use crate::figures::{Fold, fold};

/// Probability with which an interval holds the true median, at least.
pub const CONFIDENCE: f64 = 0.95;

/// A median with its interval.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The median of the sample.
    pub median: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// The interval by order statistics: as many figures are left out at either end as keep the
    /// probability at [`CONFIDENCE`]. It assumes no distribution, and the same figures give the same
    /// interval. `None` for fewer than six figures, which cannot be that sure of anything.
    #[must_use]
    pub fn of(figures: &[f64]) -> Option<Self> {
        let left_out = left_out(figures.len())?;
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            low: sorted[left_out],
            high: sorted[sorted.len() - 1 - left_out],
            median: fold(sorted, Fold::Median)?,
        })
    }

    /// Its width as a part of the median: 0.05 is 5 %.
    #[must_use]
    pub fn relative_width(&self) -> f64 {
        (self.high - self.low) / self.median
    }
}

/// The number of figures to leave out at either end of so many.
fn left_out(count: usize) -> Option<usize> {
    let allowed = (1.0 - CONFIDENCE) / 2.0;
    // Each figure lies above the true median or below it, like the sides of a coin: the interval
    // misses it if all of those that are left out at one end, and no more, lie on one side.
    let mut probability = 0.5_f64.powi(i32::try_from(count).ok()?);
    let mut missed = probability;
    let mut left_out = None;
    for figure in 0..count / 2 {
        if missed > allowed {
            break;
        }
        left_out = Some(figure);
        probability *= (count - figure) as f64 / (figure + 1) as f64;
        missed += probability;
    }
    left_out
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn as_many_figures_are_left_out_as_the_binomial_table_says() {
        let table = [
            (0, None),
            (5, None),
            (6, Some(0)),
            (8, Some(0)),
            (9, Some(1)),
            (11, Some(1)),
            (12, Some(2)),
            (20, Some(5)),
            (44, Some(15)),
            (100, Some(39)),
        ];
        for (count, expected) in table {
            assert_eq!(left_out(count), expected, "of {count}");
        }
    }

    #[test]
    fn interval_holds_the_true_median_as_often_as_it_promises() {
        const REPETITIONS: usize = 4_000;
        let mut random = Rng::with_seed(12);
        for count in [11, 22, 44] {
            let mut held = 0;
            for _ in 0..REPETITIONS {
                // Skewed as measurements are: the cube of an even distribution, true median 1/8.
                let figures: Vec<_> = (0..count).map(|_| random.f64().powi(3)).collect();
                let interval = Interval::of(&figures).unwrap();
                held += usize::from(interval.low <= 0.125 && 0.125 <= interval.high);
            }
            let part = held as f64 / REPETITIONS as f64;
            assert!(part >= 0.945, "{part} of the intervals of {count}");
        }
    }

    fn figures() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec(0.1..10.0_f64, 6..60)
    }

    proptest! {
        #[test]
        fn interval_encloses_the_median_and_ends_at_figures(figures in figures()) {
            let interval = Interval::of(&figures).unwrap();
            prop_assert!(interval.low <= interval.median && interval.median <= interval.high);
            prop_assert!(figures.contains(&interval.low) && figures.contains(&interval.high));
        }

        #[test]
        fn order_of_the_figures_does_not_matter(figures in figures(), seed: u64) {
            let mut shuffled = figures.clone();
            Rng::with_seed(seed).shuffle(&mut shuffled);
            prop_assert_eq!(Interval::of(&figures), Interval::of(&shuffled));
        }

        #[test]
        fn one_wild_figure_moves_no_end_beyond_the_others(mut figures in prop::collection::vec(0.9..1.1_f64, 9..60)) {
            figures[0] = 1e9;
            let interval = Interval::of(&figures).unwrap();
            prop_assert!(interval.high <= 1.1);
        }

        #[test]
        fn unit_of_the_figures_does_not_matter(figures in figures()) {
            let doubled: Vec<_> = figures.iter().map(|figure| figure * 2.0).collect();
            let (one, other) = (Interval::of(&figures).unwrap(), Interval::of(&doubled).unwrap());
            prop_assert_eq!(one.relative_width(), other.relative_width());
            prop_assert_eq!(one.low * 2.0, other.low);
        }
    }
}
