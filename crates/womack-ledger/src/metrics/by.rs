//! A metric for each value of one label.

use std::ops::Deref;

use prometheus_client::{
    encoding::EncodeMetric,
    metrics::{TypedMetric, family::Family},
    registry::Registry,
};

/// One label and its value.
type Label = [(&'static str, &'static str); 1];

/// A metric for each value of one label, such as a reason.
#[derive(Clone)]
pub struct By<M> {
    label: &'static str,
    family: Family<Label, M>,
}

impl<M> By<M>
where
    M: Default + Clone + EncodeMetric + TypedMetric + Send + Sync + std::fmt::Debug + 'static,
{
    /// Registers the metric. The `known` values are there from the start, at zero: a rate over a
    /// series that appears with its first event would miss that event.
    pub fn new(
        registry: &mut Registry,
        name: &str,
        help: &str,
        label: &'static str,
        known: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        let by = Self {
            label,
            family: Family::default(),
        };
        registry.register(name, help, by.family.clone());
        for value in known {
            drop(by.of(value));
        }
        by
    }

    /// The metric of one value.
    pub fn of(&self, value: &'static str) -> impl Deref<Target = M> {
        self.family.get_or_create(&[(self.label, value)])
    }
}
