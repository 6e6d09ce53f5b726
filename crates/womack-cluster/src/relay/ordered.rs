//! Maps and sets whose order depends on nothing but what was done to them, so that a simulation
//! repeats it.

use ahash::RandomState;
use indexmap::{IndexMap, IndexSet};

pub(super) type Map<K, V> = IndexMap<K, V, RandomState>;
pub(super) type Set<T> = IndexSet<T, RandomState>;
