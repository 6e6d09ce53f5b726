//! Settings that namespaces may have each for themselves.

use std::collections::BTreeMap;

use serde::Serialize;

use super::settings::NamespaceValue;

/// A setting that namespaces may have each for themselves: one value for all, and the exceptions.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct PerNamespace<T> {
    /// The value of namespaces that have none of their own.
    pub default: T,
    /// The values of single namespaces, by their path.
    pub overrides: BTreeMap<String, T>,
}

impl<T> PerNamespace<T> {
    /// Fills what `settings` leave open from `defaults`. Of two values for all namespaces the later
    /// counts, of two for the same namespace the earlier.
    pub(super) fn resolve<V: Into<T>>(
        settings: Option<Vec<NamespaceValue<V>>>,
        defaults: Self,
    ) -> Self {
        let mut resolved = defaults;
        for NamespaceValue { path, value } in settings.unwrap_or_default() {
            match path {
                None => resolved.default = value.into(),
                Some(path) => {
                    let own = resolved.overrides.entry(path);
                    own.or_insert_with(|| value.into());
                }
            }
        }
        resolved
    }

    /// The value of the namespace at `path`.
    pub fn of(&self, path: &str) -> T
    where
        T: Copy,
    {
        *self.overrides.get(path).unwrap_or(&self.default)
    }
}

impl<T> From<T> for PerNamespace<T> {
    /// The same value for all namespaces.
    fn from(default: T) -> Self {
        Self {
            default,
            overrides: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::settings::Milliseconds;

    fn resolved(texts: &[&str]) -> PerNamespace<Duration> {
        let settings = texts.iter().map(|text| text.parse().unwrap());
        let settings: Vec<NamespaceValue<Milliseconds>> = settings.collect();
        PerNamespace::resolve(Some(settings), Duration::from_millis(9).into())
    }

    #[test]
    fn a_namespace_has_its_own_value_or_that_of_all() {
        let millis = |texts, path| resolved(texts).of(path).as_millis();
        assert_eq!(millis(&[], "/a"), 9);
        assert_eq!(millis(&["5"], "/a"), 5);
        assert_eq!(millis(&["/a=7", "5"], "/a"), 7);
        assert_eq!(millis(&["/a=7", "5"], "/"), 5);
        assert_eq!(millis(&["/a=7"], "/"), 9);
        assert_eq!(millis(&["5", "6", "/a=7", "/a=8"], "/a"), 7);
        assert_eq!(millis(&["5", "6", "/a=7", "/a=8"], "/"), 6);
    }
}
