//! Settings that are not to be shown.

use std::fmt;

use serde::Serialize;

/// The value of a setting that nobody is to read in a log or in what `womack check` prints.
///
/// Like every setting it is serialised to be compared, and nothing that is serialised is shown.
#[derive(Clone, Eq, PartialEq, Serialize)]
pub struct Secret(String);

impl Secret {
    /// The value.
    pub const fn reveal(&self) -> &str {
        self.0.as_str()
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("\"...\"")
    }
}
