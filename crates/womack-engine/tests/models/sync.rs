//! Models of the primitives of `src/sync.rs`, built from atomics that loom can see.
//!
//! A model keeps what its original promises and, where it is as easy, no more: a load may be as
//! stale as the original's. loom takes sequentially consistent loads and stores as acquire and
//! release, and knows the single order only of fences; a comment says where a fence stands for it.

use std::{
    collections::VecDeque,
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, PoisonError},
    task::{Context, Poll, Waker},
};

pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicUsize, Ordering, fence},
};

/// A model of `crossbeam_queue::ArrayQueue`: values come out in the order in which they went in.
/// `push` fails only if the queue is full, and `pop` only if it is empty, as of a change that need
/// not be the last; neither orders anything then. With a value comes all that its sender did
/// before.
pub(crate) struct ArrayQueue<T> {
    /// The number of values that went in, times `LAP`, plus that of those that came out.
    ends: AtomicUsize,
    /// Changed right after `ends`, where loom switches to no other thread.
    values: std::sync::Mutex<VecDeque<T>>,
    capacity: usize,
}

/// More values than go through a queue in a check.
const LAP: usize = 1 << 8;

const fn length(ends: usize) -> usize {
    ends / LAP - ends % LAP
}

impl<T> ArrayQueue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            ends: AtomicUsize::new(0),
            values: std::sync::Mutex::default(),
            capacity,
        }
    }

    pub(crate) fn push(&self, value: T) -> Result<(), T> {
        let has_room = |ends| (length(ends) < self.capacity).then_some(ends + LAP);
        match self.change_ends(has_room) {
            true => self.values().push_back(value),
            false => return Err(value),
        }
        Ok(())
    }

    pub(crate) fn force_push(&self, value: T) -> Option<T> {
        let mut was_full = false;
        self.change_ends(|ends| {
            was_full = length(ends) == self.capacity;
            Some(ends + LAP + usize::from(was_full))
        });
        let mut values = self.values();
        let oldest = was_full.then(|| values.pop_front().expect("as many as `ends` says"));
        values.push_back(value);
        oldest
    }

    pub(crate) fn pop(&self) -> Option<T> {
        if !self.change_ends(|ends| (length(ends) > 0).then_some(ends + 1)) {
            return None;
        }
        let value = self.values().pop_front();
        // The original moves its head in the single order, in which the load of
        // `waiting_for_room` comes next.
        fence(Ordering::SeqCst);
        value
    }

    pub(crate) fn len(&self) -> usize {
        length(self.ends.load(Ordering::Acquire))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() == self.capacity
    }

    fn change_ends(&self, change: impl FnMut(usize) -> Option<usize>) -> bool {
        let changed = self
            .ends
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, change);
        changed.is_ok()
    }

    fn values(&self) -> std::sync::MutexGuard<'_, VecDeque<T>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A value that is changed in one step: the steps have an order, and each sees those before it.
struct Stepwise<T> {
    steps: AtomicUsize,
    /// Changed right after `steps`, where loom switches to no other thread.
    value: std::sync::Mutex<T>,
}

impl<T> Stepwise<T> {
    fn new(value: T) -> Self {
        Self {
            steps: AtomicUsize::new(0),
            value: std::sync::Mutex::new(value),
        }
    }

    /// `step` must use nothing that loom can see, as it would switch threads there: it may move
    /// wakers, but neither clone nor drop one.
    fn step<R>(&self, step: impl FnOnce(&mut T) -> R) -> R {
        self.steps.fetch_add(1, Ordering::AcqRel);
        step(&mut self.value.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A model of `atomic_waker::AtomicWaker`: `wake` wakes the waker that was registered last, once.
/// Of a registration and a wake-up, the later sees all that came before the earlier.
pub(crate) struct AtomicWaker {
    waker: Stepwise<Option<Waker>>,
}

impl AtomicWaker {
    pub(crate) fn new() -> Self {
        Self {
            waker: Stepwise::new(None),
        }
    }

    pub(crate) fn register(&self, waker: &Waker) {
        let waker = waker.clone();
        drop(self.waker.step(|registered| registered.replace(waker)));
    }

    pub(crate) fn wake(&self) {
        if let Some(waker) = self.waker.step(Option::take) {
            waker.wake();
        }
    }
}

/// A model of `tokio::sync::Notify` as far as queues use it: `notify_waiters` completes each
/// [`Notified`] that was created before, whether or not it was polled, and stores no permit for
/// one that is created later. `notify_one`, which stores one, is not there.
pub(crate) struct Notify {
    waiters: Stepwise<Waiters>,
}

#[derive(Default)]
struct Waiters {
    /// How often `notify_waiters` was called.
    calls: usize,
    next: usize,
    wakers: Vec<(usize, Waker)>,
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self {
            waiters: Stepwise::new(Waiters::default()),
        }
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        Notified {
            notify: self,
            calls: self.waiters.step(|waiters| waiters.calls),
            place: None,
        }
    }

    pub(crate) fn notify_waiters(&self) {
        let wakers = self.waiters.step(|waiters| {
            waiters.calls += 1;
            mem::take(&mut waiters.wakers)
        });
        wakers.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

/// Done when [`Notify::notify_waiters`] has been called since it was created.
pub(crate) struct Notified<'a> {
    notify: &'a Notify,
    calls: usize,
    place: Option<usize>,
}

impl Notified<'_> {
    /// Takes its waker out of the list.
    fn leave(&mut self) {
        let Some(place) = self.place.take() else {
            return;
        };
        let left = self.notify.waiters.step(|waiters| {
            let at = waiters.wakers.iter().position(|(at, _)| *at == place)?;
            Some(waiters.wakers.swap_remove(at))
        });
        drop(left);
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.leave();
        let mut waker = Some(context.waker().clone());
        let calls = self.calls;
        self.place = self.notify.waiters.step(|waiters| {
            if waiters.calls != calls {
                return None;
            }
            waiters.next += 1;
            waiters.wakers.push((waiters.next, waker.take()?));
            Some(waiters.next)
        });
        match self.place {
            Some(_) => Poll::Pending,
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// A model of `womack_ledger::Ledger`: a number that orders nothing else.
#[derive(Clone)]
pub(crate) struct Ledger(Arc<AtomicUsize>);

impl Default for Ledger {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(0)))
    }
}

impl Ledger {
    pub(crate) fn charge(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn release(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
