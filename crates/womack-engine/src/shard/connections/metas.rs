//! What is remembered about clients.

use std::collections::HashMap;

use ahash::RandomState;
use womack_ledger::{Charged, Ledger};
use womack_proto::NamespaceId;

use crate::report::Meta;

/// The memory that a `meta` takes beside its text.
const META_BYTES: usize = 128;

/// What clients told about themselves, each in its namespace. A client is named by its session's
/// secret, so that no later one can be taken for it.
pub(crate) struct Metas {
    by_client: HashMap<(u64, NamespaceId), Charged<Meta>, RandomState>,
    ledger: Ledger,
}

impl Metas {
    /// Nothing is remembered. What will be is charged to `ledger`.
    pub(crate) fn new(ledger: &Ledger) -> Self {
        Self {
            by_client: HashMap::default(),
            ledger: ledger.clone(),
        }
    }

    /// Remembers `meta`, or forgets if it is JSON's `null`. Whether that changes anything.
    pub(crate) fn set(&mut self, secret: u64, namespace: NamespaceId, meta: Meta) -> bool {
        if meta.get() == "null" {
            return self.forget(secret, namespace);
        }
        let changes = self
            .get(secret, namespace)
            .is_none_or(|before| before.get() != meta.get());
        if changes {
            let bytes = META_BYTES + meta.get().len();
            let meta = Charged::new(meta, bytes, &self.ledger);
            self.by_client.insert((secret, namespace), meta);
        }
        changes
    }

    /// Forgets what is remembered. Whether there was anything.
    pub(crate) fn forget(&mut self, secret: u64, namespace: NamespaceId) -> bool {
        self.by_client.remove(&(secret, namespace)).is_some()
    }

    pub(crate) fn get(&self, secret: u64, namespace: NamespaceId) -> Option<&Meta> {
        self.by_client.get(&(secret, namespace)).map(|meta| &**meta)
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
        let ledger = Ledger::default();
        let mut metas = Metas::new(&ledger);
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
        let ledger = Ledger::default();
        let mut metas = Metas::new(&ledger);
        metas.set(1, NamespaceId(0), meta("{}"));
        assert!(metas.set(1, NamespaceId(0), meta("null")));
        assert!(metas.get(1, NamespaceId(0)).is_none());
        assert!(!metas.set(1, NamespaceId(0), meta("null")));
        assert_eq!(ledger.bytes(), 0);
    }
}
