//! Bounded lock-free queue between threads, with an async receiver that takes batches.
//!
//! Handing a value over costs some nanoseconds; waking a sleeping thread costs as much as two
//! socket writes. The two are therefore apart: [`Sender::push`] only hands over, and
//! [`Sender::wake`] is called once when a burst is complete.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
};

use atomic_waker::AtomicWaker;
use crossbeam_queue::ArrayQueue;
use tokio::sync::Notify;

/// Creates a queue that holds at most `capacity` values.
pub(crate) fn queue<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        values: ArrayQueue::new(capacity),
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
    receiver: AtomicWaker,
    room: Notify,
    waiting_for_room: AtomicUsize,
    closed: AtomicBool,
}

/// The end that values go into; any number of threads may hold one.
pub(crate) struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Hands `value` over without waking the receiver; gives it back when the queue is full or
    /// the receiver is gone.
    ///
    /// # Errors
    /// The value itself.
    pub(crate) fn push(&self, value: T) -> Result<(), T> {
        if self.shared.closed.load(Ordering::Acquire) {
            return Err(value);
        }
        self.shared.values.push(value)
    }

    /// Wakes the receiver if it sleeps.
    pub(crate) fn wake(&self) {
        self.shared.receiver.wake();
    }

    /// Hands `value` over and wakes the receiver.
    ///
    /// # Errors
    /// The value itself when the queue is full or the receiver is gone.
    pub(crate) fn send(&self, value: T) -> Result<(), T> {
        let pushed = self.push(value);
        self.wake();
        pushed
    }

    /// Hands `value` over and wakes the receiver; when the queue is full, the oldest value makes
    /// room and is returned.
    pub(crate) fn send_over(&self, value: T) -> Option<T> {
        let oldest = self.shared.values.force_push(value);
        self.wake();
        oldest
    }

    /// Hands `value` over, waiting for room if there is none. The receiver is woken only when
    /// there was no room. Gives up when the receiver is gone.
    pub(crate) async fn push_waiting(&self, value: T) {
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
            self.shared.waiting_for_room.fetch_add(1, Ordering::SeqCst);
            self.wake();
            // Looked at again after announcing the wait, so that room made in between is seen.
            if self.shared.values.is_full() && !self.shared.closed.load(Ordering::Acquire) {
                room.await;
            }
            self.shared.waiting_for_room.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// How many values wait.
    pub(crate) fn len(&self) -> usize {
        self.shared.values.len()
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
pub(crate) struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Receiver<T> {
    /// Waits for at least one value, then moves up to `most` of what is there to the end of
    /// `batch`. Losing this future loses no value.
    #[expect(
        clippy::needless_pass_by_ref_mut,
        reason = "one task at a time may wait, since there is one waker"
    )]
    pub(crate) async fn receive(&mut self, batch: &mut Vec<T>, most: usize) {
        poll_fn(|context| {
            if self.take(batch, most) {
                return Poll::Ready(());
            }
            self.shared.receiver.register(context.waker());
            // A value pushed before the registration brought no wake-up.
            if self.take(batch, most) {
                return Poll::Ready(());
            }
            Poll::Pending
        })
        .await;
    }

    fn take(&self, batch: &mut Vec<T>, most: usize) -> bool {
        let before = batch.len();
        while batch.len() - before < most {
            let Some(value) = self.shared.values.pop() else {
                break;
            };
            batch.push(value);
        }
        let taken = batch.len() > before;
        if taken && self.shared.waiting_for_room.load(Ordering::SeqCst) > 0 {
            self.shared.room.notify_waiters();
        }
        taken
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.room.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn run<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(future)
    }

    #[test]
    fn values_come_out_in_the_order_of_each_sender() {
        let (sender, mut receiver) = queue(8);
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
    fn oldest_value_makes_room_for_one_that_must_go_in() {
        let (sender, mut receiver) = queue(2);
        assert_eq!(
            [1, 2, 3].map(|value| sender.send_over(value)),
            [None, None, Some(1)]
        );
        let mut batch = Vec::new();
        run(receiver.receive(&mut batch, 5));
        assert_eq!(batch, [2, 3]);
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
