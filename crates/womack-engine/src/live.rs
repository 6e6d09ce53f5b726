//! Settings that change while the server runs.

use std::{fmt, ops::Deref, sync::Arc};

use arc_swap::ArcSwap;

/// A value that may be replaced while others read it. Clones are the same value; reading it takes
/// no lock and waits for nobody.
#[derive(Clone)]
pub struct Live<T>(Arc<ArcSwap<T>>);

impl<T> Live<T> {
    /// The value as it is now.
    pub fn load(&self) -> impl Deref<Target = Arc<T>> + use<T> {
        self.0.load()
    }

    /// Puts `value` in its place, for all clones.
    pub fn store(&self, value: T) {
        self.0.store(Arc::new(value));
    }
}

impl<T> From<T> for Live<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(value)))
    }
}

impl<T: Default> Default for Live<T> {
    fn default() -> Self {
        T::default().into()
    }
}

impl<T: fmt::Debug> fmt::Debug for Live<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.load().fmt(f)
    }
}
