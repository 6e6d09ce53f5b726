//! What is remembered about clients.

use std::collections::HashMap;

use ahash::RandomState;
use womack_proto::NamespaceId;

use crate::report::Meta;

/// What clients told about themselves, each in its namespace. A client is named by its session's
/// secret, so that no later one can be taken for it.
#[derive(Default)]
pub(crate) struct Metas {
    by_client: HashMap<(u64, NamespaceId), Meta, RandomState>,
}

impl Metas {
    /// Remembers `meta`, or forgets if it is JSON's `null`. Whether that changes anything.
    pub(crate) fn set(&mut self, secret: u64, namespace: NamespaceId, meta: Meta) -> bool {
        if meta.get() == "null" {
            return self.forget(secret, namespace);
        }
        let text = meta.get().to_owned();
        let before = self.by_client.insert((secret, namespace), meta);
        before.is_none_or(|before| before.get() != text)
    }

    /// Forgets what is remembered. Whether there was anything.
    pub(crate) fn forget(&mut self, secret: u64, namespace: NamespaceId) -> bool {
        self.by_client.remove(&(secret, namespace)).is_some()
    }

    pub(crate) fn get(&self, secret: u64, namespace: NamespaceId) -> Option<&Meta> {
        self.by_client.get(&(secret, namespace))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn meta(json: &str) -> Meta {
        RawValue::from_string(json.to_owned()).unwrap().into()
    }

    #[test]
    fn each_namespace_of_a_client_has_its_own() {
        let mut metas = Metas::default();
        assert!(metas.set(1, NamespaceId(0), meta("1")));
        assert!(metas.set(1, NamespaceId(1), meta("2")));
        assert!(!metas.set(1, NamespaceId(0), meta("1")), "nothing changes");
        let texts = [(1, 0), (1, 1), (2, 0)]
            .map(|(secret, namespace)| metas.get(secret, NamespaceId(namespace)))
            .map(|found| found.map(|meta| meta.get()));
        assert_eq!(texts, [Some("1"), Some("2"), None]);
    }

    #[test]
    fn null_forgets() {
        let mut metas = Metas::default();
        metas.set(1, NamespaceId(0), meta("{}"));
        assert!(metas.set(1, NamespaceId(0), meta("null")));
        assert!(metas.get(1, NamespaceId(0)).is_none());
        assert!(!metas.set(1, NamespaceId(0), meta("null")));
    }
}
