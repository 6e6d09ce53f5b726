//! Reading `/metrics`.

use std::net::SocketAddr;

use crate::{eventually, http};

/// One reading of all metrics.
pub struct Metrics {
    text: String,
}

impl Metrics {
    /// Reads them.
    pub async fn of(address: SocketAddr) -> Self {
        let answer = http::get(address, "/metrics").await;
        assert_eq!(answer.status, 200, "/metrics: {}", answer.text());
        Self {
            text: answer.text(),
        }
    }

    /// The sum of all samples of `name` whose labels contain `labels`, as in
    /// `reason="slow_consumer"`.
    ///
    /// A metric that is not there counts 0: whether it should be is asked by [`Metrics::has`].
    pub fn sum(&self, name: &str, labels: &str) -> f64 {
        self.samples(name)
            .filter(|(found, _)| found.contains(labels))
            .map(|(_, value)| value)
            .sum()
    }

    /// True if there is any sample of that name.
    pub fn has(&self, name: &str) -> bool {
        self.samples(name).next().is_some()
    }

    /// The text as it came.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn samples<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.text.lines().filter_map(move |line| {
            let rest = line.strip_prefix(name)?;
            if !rest.starts_with(['{', ' ']) {
                return None;
            }
            let (labels, value) = rest.rsplit_once(' ')?;
            Some((labels, value.parse().ok()?))
        })
    }
}

/// Waits until `limit` was reached so many times.
pub async fn limit(address: SocketAddr, limit: &str, times: f64) {
    let label = format!("limit=\"{limit}\"");
    reaches(address, "womack_limit_reached_total", &label, times).await;
}

/// Waits until `name` with `labels` has reached `value`.
pub async fn reaches(address: SocketAddr, name: &str, labels: &str, value: f64) {
    eventually(
        &format!("{name}{{{labels}}} to reach {value}"),
        async || Metrics::of(address).await.sum(name, labels) >= value,
    )
    .await;
}
