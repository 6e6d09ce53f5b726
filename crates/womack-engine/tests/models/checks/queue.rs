//! Checks of the queue.

use std::{future::ready, pin::pin};

use futures_util::future::{Either, select};
use loom::{
    future::block_on,
    thread::{self, JoinHandle},
};

use crate::{
    Check,
    queue::{Receiver, Scale, Sender, queue, weighed_queue},
    sync::Ledger,
};

pub(crate) fn all() -> Vec<Check> {
    vec![
        Check::new(3, a_receiver_that_sleeps_is_woken),
        Check::new(3, a_burst_needs_one_wake_up),
        Check::new(3, a_sender_that_waits_gets_room),
        Check::new(1, senders_that_wait_get_room_and_keep_their_order),
        Check::new(3, a_sender_that_waits_for_bytes_gets_room),
        Check::new(1, a_hasty_sender_takes_no_room_from_one_that_waits),
        Check::new(3, a_receive_that_is_dropped_loses_nothing),
        Check::new(2, a_sender_that_gives_up_takes_no_wake_up_from_another),
        Check::new(3, a_sender_that_waits_learns_that_the_receiver_is_gone),
        Check::new(3, the_oldest_value_is_received_or_returned),
    ]
}

/// Receives until there are `count` values.
async fn receive<T>(receiver: &mut Receiver<T>, count: usize) -> Vec<T> {
    let mut batch = Vec::new();
    while batch.len() < count {
        receiver.receive(&mut batch, 2).await;
    }
    batch
}

/// Waits for room for each value, and wakes the receiver after the last.
async fn push_all<T>(sender: &Sender<T>, values: impl IntoIterator<Item = T>) {
    for value in values {
        sender.push_waiting(value).await;
    }
    sender.wake();
}

/// A thread that waits for room for each value.
fn pushing<T: 'static>(
    sender: &Sender<T>,
    values: impl IntoIterator<Item = T> + 'static,
) -> JoinHandle<()> {
    let sender = sender.clone();
    thread::spawn(move || block_on(push_all(&sender, values)))
}

fn a_receiver_that_sleeps_is_woken() {
    let (sender, mut receiver) = queue(2);
    let thread = thread::spawn(move || [1, 2].map(|value| sender.send(value)));
    assert_eq!(block_on(receive(&mut receiver, 2)), [1, 2]);
    assert_eq!(thread.join().unwrap(), [Ok(()), Ok(())]);
}

fn a_burst_needs_one_wake_up() {
    let (sender, mut receiver) = queue(3);
    let thread = thread::spawn(move || {
        let pushed = [1, 2, 3].map(|value| sender.push(value));
        sender.wake();
        pushed
    });
    assert_eq!(block_on(receive(&mut receiver, 3)), [1, 2, 3]);
    assert_eq!(thread.join().unwrap(), [Ok(()); 3]);
}

fn a_sender_that_waits_gets_room() {
    let (sender, mut receiver) = queue(1);
    let thread = pushing(&sender, [1, 2, 3]);
    assert_eq!(block_on(receive(&mut receiver, 3)), [1, 2, 3]);
    thread.join().unwrap();
}

fn senders_that_wait_get_room_and_keep_their_order() {
    let (sender, mut receiver) = queue(1);
    let threads = [pushing(&sender, [1, 2]), pushing(&sender, [10])];
    let mut received = block_on(receive(&mut receiver, 3));
    let of_one_sender: Vec<_> = received.extract_if(.., |value| *value < 10).collect();
    assert_eq!((of_one_sender, received), (vec![1, 2], vec![10]));
    for thread in threads {
        thread.join().unwrap();
    }
}

/// A queue whose values have as many bytes as they say, of which few may wait.
fn weighed(capacity: usize, most: usize) -> (Sender<usize>, Receiver<usize>, Ledger) {
    let ledger = Ledger::default();
    let scale = Scale {
        weigh: |bytes| *bytes,
        most,
        ledger: ledger.clone(),
    };
    let (sender, receiver) = weighed_queue(capacity, scale);
    (sender, receiver, ledger)
}

fn a_sender_that_waits_for_bytes_gets_room() {
    let (sender, mut receiver, ledger) = weighed(3, 2);
    let thread = pushing(&sender, [2, 1, 3]);
    assert_eq!(block_on(receive(&mut receiver, 3)), [2, 1, 3]);
    thread.join().unwrap();
    assert_eq!(ledger.bytes(), 0);
}

fn a_hasty_sender_takes_no_room_from_one_that_waits() {
    let (sender, mut receiver, ledger) = weighed(1, 2);
    assert_eq!(sender.push(1), Ok(()));
    let hasty = sender.clone();
    let hasty = thread::spawn(move || hasty.send(1).is_ok());
    let patient = pushing(&sender, [2]);
    let mut received = block_on(async {
        let mut received = receive(&mut receiver, 1).await;
        while !received.contains(&2) {
            received.extend(receive(&mut receiver, 1).await);
        }
        received
    });
    patient.join().unwrap();
    let expected = match hasty.join().unwrap() {
        true => vec![1, 1, 2],
        false => vec![1, 2],
    };
    let rest = expected.len() - received.len();
    received.extend(block_on(receive(&mut receiver, rest)));
    received.sort_unstable();
    assert_eq!(received, expected);
    assert_eq!(ledger.bytes(), 0);
}

fn a_receive_that_is_dropped_loses_nothing() {
    let (sender, mut receiver) = queue(2);
    let thread = thread::spawn(move || [1, 2].map(|value| sender.send(value)));
    let received = block_on(async {
        let mut batch = Vec::new();
        select(pin!(receiver.receive(&mut batch, 1)), ready(())).await;
        batch.extend(receive(&mut receiver, 2 - batch.len()).await);
        batch
    });
    assert_eq!(received, [1, 2]);
    assert_eq!(thread.join().unwrap(), [Ok(()), Ok(())]);
}

fn a_sender_that_gives_up_takes_no_wake_up_from_another() {
    let (sender, mut receiver) = queue(1);
    assert_eq!(sender.push(0), Ok(()));
    let hasty = sender.clone();
    let hasty = thread::spawn(move || {
        let is_pushed = block_on(async {
            let pushing = pin!(hasty.push_waiting(1));
            matches!(select(pushing, ready(())).await, Either::Left(_))
        });
        hasty.wake();
        is_pushed
    });
    let patient = pushing(&sender, [2]);
    let mut received = block_on(async {
        let mut received = receive(&mut receiver, 2).await;
        while !received.contains(&2) {
            received.extend(receive(&mut receiver, 1).await);
        }
        received
    });
    patient.join().unwrap();
    let expected = match hasty.join().unwrap() {
        true => vec![0, 1, 2],
        false => vec![0, 2],
    };
    let rest = expected.len() - received.len();
    received.extend(block_on(receive(&mut receiver, rest)));
    received.sort_unstable();
    assert_eq!(received, expected);
}

fn a_sender_that_waits_learns_that_the_receiver_is_gone() {
    let (sender, mut receiver) = queue(1);
    let thread = pushing(&sender, [1, 2, 3]);
    assert_eq!(block_on(receive(&mut receiver, 1))[0], 1);
    drop(receiver);
    thread.join().unwrap();
    assert_eq!(sender.push(4), Err(4));
}

fn the_oldest_value_is_received_or_returned() {
    let (sender, mut receiver) = queue(1);
    let thread = thread::spawn(move || {
        let mut evicted = Vec::new();
        for value in [1, 2, 3] {
            sender.send_over(value, |oldest| evicted.push(oldest));
        }
        evicted
    });
    let received = block_on(async {
        let mut received = receive(&mut receiver, 1).await;
        while received.last() != Some(&3) {
            received.extend(receive(&mut receiver, 1).await);
        }
        received
    });
    assert!(received.is_sorted(), "{received:?}");
    let returned = thread.join().unwrap();
    let mut all: Vec<_> = returned.into_iter().chain(received).collect();
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3]);
}
