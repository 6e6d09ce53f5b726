//! Checks of the channels that shards mark.

use std::{future::ready, pin::pin, sync::Arc};

use futures_util::future::select;
use loom::{future::block_on, thread};
use womack_ledger::ShardId;

use crate::{
    Check,
    dirty_channels::DirtyChannels,
    sync::{AtomicUsize, Ordering},
};

pub(crate) fn all() -> Vec<Check> {
    vec![
        Check::new(3, a_change_is_seen_after_its_mark),
        Check::new(3, marks_of_two_shards_are_taken_once_each),
        Check::new(3, a_take_that_is_dropped_loses_no_mark),
    ]
}

/// Takes until there are `count` marks; returns the channels' names, in alphabetical order.
async fn take(dirty: &DirtyChannels, count: usize) -> Vec<String> {
    let mut batch = Vec::new();
    while batch.len() < count {
        dirty.take(&mut batch, 2).await;
    }
    let mut names: Vec<_> = batch.iter().map(|(_, name)| name.to_string()).collect();
    names.sort_unstable();
    names
}

fn a_change_is_seen_after_its_mark() {
    let dirty = Arc::new(DirtyChannels::new(1));
    // A channel's place in the shard's map, of which the mark alone must bring news.
    let changes = Arc::new(AtomicUsize::new(0));
    let (marking, changing) = (dirty.clone(), changes.clone());
    let thread = thread::spawn(move || {
        for change in 1..=3 {
            changing.store(change, Ordering::Relaxed);
            marking.mark(ShardId(0), "a".into());
        }
    });
    block_on(async {
        // The last mark may be one with an earlier one. If its change were not seen, none would
        // come after it.
        while changes.load(Ordering::Relaxed) < 3 {
            take(&dirty, 1).await;
        }
    });
    thread.join().unwrap();
}

fn marks_of_two_shards_are_taken_once_each() {
    let dirty = Arc::new(DirtyChannels::new(2));
    let threads = [(0, "a"), (1, "b")].map(|(shard, name)| {
        let dirty = dirty.clone();
        thread::spawn(move || dirty.mark(ShardId(shard), name.into()))
    });
    assert_eq!(block_on(take(&dirty, 2)), ["a", "b"]);
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(dirty.is_empty());
}

fn a_take_that_is_dropped_loses_no_mark() {
    let dirty = Arc::new(DirtyChannels::new(1));
    let marking = dirty.clone();
    let thread = thread::spawn(move || {
        for name in ["a", "b"] {
            marking.mark(ShardId(0), name.into());
        }
    });
    let names = block_on(async {
        let mut batch = Vec::new();
        select(pin!(dirty.take(&mut batch, 1)), ready(())).await;
        let mut names: Vec<_> = batch.iter().map(|(_, name)| name.to_string()).collect();
        names.extend(take(&dirty, 2 - names.len()).await);
        names
    });
    assert_eq!(names, ["a", "b"]);
    thread.join().unwrap();
}
