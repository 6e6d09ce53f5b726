//! Readiness: whether every channel that clients want is live at Redis.

use std::sync::{Mutex, PoisonError};

/// Whether Redis brings every channel that is wanted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Coverage {
    /// It does.
    Complete,
    /// It does not, for this reason.
    Incomplete(String),
}

/// The coverage as the router knows it. It is read by whoever is asked for the readiness of the
/// server, and written when it changes.
#[derive(Debug)]
pub(crate) struct CoverageCell(Mutex<Coverage>);

impl CoverageCell {
    /// The coverage as it is now.
    pub(crate) fn get(&self) -> Coverage {
        let coverage = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        coverage.clone()
    }

    /// Notes the coverage.
    pub(crate) fn set(&self, coverage: Coverage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = coverage;
    }
}

impl Default for CoverageCell {
    fn default() -> Self {
        let reason = "redis is not subscribed".to_owned();
        Self(Mutex::new(Coverage::Incomplete(reason)))
    }
}
