//! A histogram of times that is read and written without a lock.

use std::{
    fmt::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, TypedMetric},
};

/// How often times of each length were observed. Each bucket's bound is twice the one before, so
/// that the bucket of a time is found by counting its bits.
#[derive(Clone, Debug)]
pub struct Distribution {
    inner: Arc<Counts>,
}

#[derive(Debug)]
struct Counts {
    shortest_nanos: u64,
    sum_nanos: AtomicU64,
    /// One for each bound, and one for what is above all of them.
    buckets: Box<[AtomicU64]>,
}

/// What a distribution held at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// All observed times together, in seconds.
    pub sum: f64,
    /// The buckets' upper bounds in seconds, the last one infinite, and how many times each holds.
    pub buckets: Vec<(f64, u64)>,
}

impl Distribution {
    /// Bounds from `shortest` on, each twice the one before, `bounds` of them.
    pub fn new(shortest: Duration, bounds: usize) -> Self {
        let buckets = (0..=bounds).map(|_| AtomicU64::default()).collect();
        Self {
            inner: Arc::new(Counts {
                shortest_nanos: nanos(shortest).max(1),
                sum_nanos: AtomicU64::default(),
                buckets,
            }),
        }
    }

    /// Counts one time.
    pub fn observe(&self, time: Duration) {
        let counts = &*self.inner;
        let nanos = nanos(time);
        let multiple = nanos.div_ceil(counts.shortest_nanos).max(1);
        // The bound 2^n times the shortest holds multiples above 2^(n-1), up to 2^n.
        let bucket = (u64::BITS - (multiple - 1).leading_zeros()) as usize;
        let bucket = bucket.min(counts.buckets.len() - 1);
        counts.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        counts.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// The counts as they are now.
    pub fn read(&self) -> Reading {
        let counts = &*self.inner;
        let last = counts.buckets.len() - 1;
        let bound = |bucket: usize| match bucket == last {
            true => f64::INFINITY,
            false => counts.shortest_nanos as f64 * 1e-9 * 2_f64.powi(bucket as i32),
        };
        let buckets = counts.buckets.iter().enumerate();
        Reading {
            sum: counts.sum_nanos.load(Ordering::Relaxed) as f64 * 1e-9,
            buckets: buckets
                .map(|(at, count)| (bound(at), count.load(Ordering::Relaxed)))
                .collect(),
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl TypedMetric for Distribution {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Distribution {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), Error> {
        let Reading { sum, mut buckets } = self.read();
        // The encoder writes this bound as `+Inf`.
        if let Some((bound, _)) = buckets.last_mut() {
            *bound = f64::MAX;
        }
        let count = buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_counted_under_the_first_bound_that_holds_it() {
        for (micros, bucket) in [
            (0, 0),
            (1, 0),
            (50, 0),
            (51, 1),
            (100, 1),
            (101, 2),
            (200, 2),
            (201, 3),
            (400, 3),
            (401, 4),
            (1_000_000_000, 4),
        ] {
            let distribution = Distribution::new(Duration::from_micros(50), 4);
            distribution.observe(Duration::from_micros(micros));
            let Reading { sum, buckets } = distribution.read();
            let found: Vec<_> = buckets.iter().map(|(_, count)| *count).collect();
            let mut expected = [0; 5];
            expected[bucket] = 1;
            assert_eq!(found, expected, "{micros} µs");
            assert!((sum - micros as f64 * 1e-6).abs() < 1e-9);
        }
        let bounds = Distribution::new(Duration::from_micros(50), 2).read();
        assert_eq!(bounds.buckets[1].0, 100e-6);
        assert_eq!(bounds.buckets[2].0, f64::INFINITY);
    }
}
