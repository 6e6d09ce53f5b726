//! Bounded lock-free queue between threads, with an async receiver that takes batches.
//!
//! Handing a value over costs some nanoseconds; waking a sleeping thread costs as much as two
//! socket writes. The two are therefore apart: [`Sender::push`] only hands over, and
//! [`Sender::wake`] is called once when a burst is complete.

use std::{future::poll_fn, sync::Arc, task::Poll};

use crate::sync::{
    ArrayQueue, AtomicBool, AtomicUsize, AtomicWaker, Ledger, Notify, Ordering, fence,
};

/// Creates a queue that holds at most `capacity` values.
pub fn queue<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    create(capacity, None)
}

/// Creates a queue that holds at most `capacity` values, and no more bytes than `scale` says.
pub fn weighed_queue<T>(capacity: usize, scale: Scale<T>) -> (Sender<T>, Receiver<T>) {
    create(capacity, Some(scale))
}

/// How many bytes a queue has room for. A value that alone has more goes into an empty queue, and
/// one that has none goes in whatever others have.
pub struct Scale<T> {
    /// How many bytes a value has.
    pub weigh: fn(&T) -> usize,
    /// How many bytes may wait.
    pub most: usize,
    /// Charged what waits.
    pub ledger: Ledger,
}

impl<T> Scale<T> {
    fn has_room(&self, bytes: usize) -> bool {
        let waiting = self.ledger.bytes();
        bytes == 0 || waiting == 0 || waiting + bytes <= self.most
    }
}

fn create<T>(capacity: usize, scale: Option<Scale<T>>) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        values: ArrayQueue::new(capacity),
        scale,
        receiver: AtomicWaker::new(),
        room: Notify::new(),
        waiting_for_room: AtomicUsize::new(0),
        closed: AtomicBool::new(false),
    });
    (
        Sender {
            shared: shared.clone(),
        },
        Receiver { shared },
    )
}

struct Shared<T> {
    values: ArrayQueue<T>,
    scale: Option<Scale<T>>,
    receiver: AtomicWaker,
    room: Notify,
    waiting_for_room: AtomicUsize,
    closed: AtomicBool,
}

impl<T> Shared<T> {
    fn has_room(&self, value: &T) -> bool {
        let scale = self.scale.as_ref();
        !self.values.is_full() && scale.is_none_or(|scale| scale.has_room((scale.weigh)(value)))
    }

    /// Wakes the senders that wait for room.
    fn announce_room(&self) {
        if self.waiting_for_room.load(Ordering::SeqCst) > 0 {
            self.room.notify_waiters();
        }
    }
}

/// A sender that waits for room. It is counted until it is dropped, whether it got room or gave up.
struct WaitingForRoom<'a>(&'a AtomicUsize);

impl<'a> WaitingForRoom<'a> {
    fn announce(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for WaitingForRoom<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The end that values go into; any number of threads may hold one.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Hands `value` over without waking the receiver; gives it back when the queue is full or
    /// the receiver is gone.
    ///
    /// # Errors
    /// The value itself.
    pub fn push(&self, value: T) -> Result<(), T> {
        if self.shared.closed.load(Ordering::Acquire) {
            return Err(value);
        }
        let Some(scale) = &self.shared.scale else {
            return self.shared.values.push(value);
        };
        let bytes = (scale.weigh)(&value);
        if !scale.has_room(bytes) {
            return Err(value);
        }
        // Charged first, so that it is never less than nothing.
        scale.ledger.charge(bytes);
        let pushed = self.shared.values.push(value);
        pushed.inspect_err(|_| {
            scale.ledger.release(bytes);
            fence(Ordering::SeqCst);
            // The receiver may have made room that the charge hid from a sender, which waits now.
            // While the queue is full, the receiver's next batch ends the wait.
            if !self.shared.values.is_full() {
                self.shared.announce_room();
            }
        })
    }

    /// Wakes the receiver if it sleeps.
    pub fn wake(&self) {
        self.shared.receiver.wake();
    }

    /// Hands `value` over and wakes the receiver.
    ///
    /// # Errors
    /// The value itself when the queue is full or the receiver is gone.
    pub fn send(&self, value: T) -> Result<(), T> {
        let pushed = self.push(value);
        self.wake();
        pushed
    }

    /// Hands `value` over and wakes the receiver; when the queue is full, the oldest values make
    /// room, each of which `evicted` takes.
    pub(crate) fn send_over(&self, value: T, mut evicted: impl FnMut(T)) {
        let scale = self.shared.scale.as_ref();
        if let Some(scale) = scale {
            scale.ledger.charge((scale.weigh)(&value));
        }
        let mut oldest = self.shared.values.force_push(value);
        loop {
            if let Some(value) = oldest {
                if let Some(scale) = scale {
                    scale.ledger.release((scale.weigh)(&value));
                }
                evicted(value);
            }
            let is_over = scale.is_some_and(|scale| scale.ledger.bytes() > scale.most);
            oldest = is_over.then(|| self.shared.values.pop()).flatten();
            if oldest.is_none() {
                break;
            }
        }
        self.wake();
    }

    /// Bytes that wait; 0 if they are not counted.
    pub(crate) fn bytes(&self) -> usize {
        let scale = self.shared.scale.as_ref();
        scale.map_or(0, |scale| scale.ledger.bytes())
    }

    /// Hands `value` over, waiting for room if there is none. The receiver is woken only when
    /// there was no room. Gives up when the receiver is gone.
    pub async fn push_waiting(&self, value: T) {
        let mut value = value;
        loop {
            match self.push(value) {
                Ok(()) => return,
                Err(returned) => value = returned,
            }
            if self.shared.closed.load(Ordering::Acquire) {
                return;
            }
            let room = self.shared.room.notified();
            let _waiting = WaitingForRoom::announce(&self.shared.waiting_for_room);
            self.wake();
            // Looked at again after announcing the wait, so that room made in between is seen.
            fence(Ordering::SeqCst);
            if !self.shared.has_room(&value) && !self.shared.closed.load(Ordering::Acquire) {
                room.await;
            }
        }
    }

    /// How many values wait.
    pub fn len(&self) -> usize {
        self.shared.values.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.shared.values.is_empty()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

/// The end that values come out of; there is one.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Receiver<T> {
    /// Waits for at least one value, then moves up to `most` of what is there to the end of
    /// `batch`. Losing this future loses no value. One task at a time may wait, since there is one
    /// waker.
    pub async fn receive(&mut self, batch: &mut Vec<T>, most: usize) {
        receive_batch(&self.shared.receiver, || self.take(batch, most)).await;
    }

    fn take(&self, batch: &mut Vec<T>, most: usize) -> bool {
        let before = batch.len();
        while batch.len() - before < most {
            let Some(value) = self.shared.values.pop() else {
                break;
            };
            batch.push(value);
        }
        let taken = &batch[before..];
        if taken.is_empty() {
            return false;
        }
        if let Some(scale) = &self.shared.scale {
            let bytes = taken.iter().map(scale.weigh).sum();
            scale.ledger.release(bytes);
            fence(Ordering::SeqCst);
        }
        self.shared.announce_room();
        true
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.room.notify_waiters();
    }
}

/// Waits until `take` takes something. Senders hand values over first, and wake `receiver` then.
pub(crate) async fn receive_batch(receiver: &AtomicWaker, mut take: impl FnMut() -> bool) {
    poll_fn(|context| {
        if take() {
            return Poll::Ready(());
        }
        receiver.register(context.waker());
        // A value handed over before the registration brought no wake-up.
        match take() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::thread;

    use futures_util::FutureExt;

    use super::*;

    fn run<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(future)
    }

    fn scale(most: usize) -> Scale<usize> {
        Scale {
            weigh: |bytes| *bytes,
            most,
            ledger: Ledger::default(),
        }
    }

    #[test]
    fn values_come_out_in_the_order_of_each_sender() {
        let (sender, receiver) = queue(8);
        hand_over(&sender, receiver);
    }

    #[test]
    fn values_come_out_in_the_order_of_each_sender_where_they_are_weighed() {
        let scale = Scale {
            weigh: |(_, value): &(u32, u32)| *value as usize % 4,
            most: 5,
            ledger: Ledger::default(),
        };
        let ledger = scale.ledger.clone();
        let (sender, receiver) = weighed_queue(8, scale);
        hand_over(&sender, receiver);
        assert_eq!(ledger.bytes(), 0);
    }

    fn hand_over(sender: &Sender<(u32, u32)>, mut receiver: Receiver<(u32, u32)>) {
        let threads: Vec<_> = (0..2_u32)
            .map(|sender_number| {
                let sender = sender.clone();
                thread::spawn(move || {
                    run(async {
                        for value in 0..10_000_u32 {
                            sender.push_waiting((sender_number, value)).await;
                            sender.wake();
                        }
                    });
                })
            })
            .collect();
        let mut next = [0_u32; 2];
        run(async {
            let mut batch = Vec::new();
            while next != [10_000; 2] {
                receiver.receive(&mut batch, 5).await;
                assert!(batch.len() <= 5);
                for (sender_number, value) in batch.drain(..) {
                    assert_eq!(value, next[sender_number as usize]);
                    next[sender_number as usize] += 1;
                }
            }
        });
        for thread in threads {
            thread.join().unwrap();
        }
    }

    #[test]
    fn full_queue_gives_the_value_back() {
        let (sender, _receiver) = queue(1);
        assert_eq!(sender.push(1), Ok(()));
        assert_eq!(sender.push(2), Err(2));
    }

    #[test]
    fn bytes_have_their_room_and_what_has_none_goes_in_all_the_same() {
        let (sender, mut receiver) = weighed_queue(8, scale(10));
        assert_eq!(sender.push(11), Ok(()), "alone");
        assert_eq!(sender.push(1), Err(1));
        assert_eq!(sender.push(0), Ok(()));
        let mut batch = Vec::new();
        run(receiver.receive(&mut batch, 1));
        assert_eq!(sender.push(4), Ok(()));
        assert_eq!(sender.push(6), Ok(()));
        assert_eq!(sender.push(1), Err(1));
        run(receiver.receive(&mut batch, 9));
        assert_eq!(batch, [11, 0, 4, 6]);
    }

    #[test]
    fn oldest_value_makes_room_for_one_that_must_go_in() {
        let (sender, mut receiver) = queue(2);
        let mut evicted = Vec::new();
        for value in 1..=3 {
            sender.send_over(value, |oldest| evicted.push(oldest));
        }
        assert_eq!(evicted, [1]);
        let mut batch = Vec::new();
        run(receiver.receive(&mut batch, 5));
        assert_eq!(batch, [2, 3]);
    }

    #[test]
    fn sender_that_gives_up_is_waited_for_no_longer() {
        let (sender, mut receiver) = queue(1);
        assert_eq!(sender.push(1), Ok(()));
        assert!(sender.push_waiting(2).now_or_never().is_none());
        assert_eq!(sender.shared.waiting_for_room.load(Ordering::SeqCst), 0);
        let mut batch = Vec::new();
        run(receiver.receive(&mut batch, 2));
        assert_eq!(batch, [1]);
    }

    #[test]
    fn nobody_waits_for_a_receiver_that_is_gone() {
        let (sender, receiver) = queue(1);
        assert_eq!(sender.push(1), Ok(()));
        drop(receiver);
        assert_eq!(sender.push(2), Err(2));
        run(sender.push_waiting(3));
    }
}
