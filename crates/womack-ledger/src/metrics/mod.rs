//! The kinds of metrics that all crates declare theirs with.
//!
//! Each crate has a struct of its own metrics, beside the code that moves them. The server creates
//! all of them in one registry, whose names begin with `womack_`.

mod by;
mod distribution;

use prometheus_client::{
    metrics::counter::Counter,
    registry::{Metric, Registry},
};

pub use self::{
    by::By,
    distribution::{Distribution, Reading},
};
use crate::limit::Limit;

/// Registers a metric under its name, which gets the registry's prefix, with its description.
pub fn add<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

/// How often each limit was reached.
#[derive(Clone)]
pub struct LimitCounters {
    limits: By<Counter>,
}

impl LimitCounters {
    /// Registers the counters, each at zero.
    pub fn new(registry: &mut Registry) -> Self {
        let names = Limit::ALL.iter().map(|limit| limit.as_str());
        let help = "Times a configured limit was reached";
        Self {
            limits: By::new(registry, "limit_reached", help, "limit", names),
        }
    }

    /// Counts that `limit` was reached.
    pub fn reached(&self, limit: Limit) {
        self.limits.of(limit.as_str()).inc();
    }

    /// The counter of `limit`, for code that counts without the others.
    pub fn counter(&self, limit: Limit) -> Counter {
        self.limits.of(limit.as_str()).clone()
    }
}
