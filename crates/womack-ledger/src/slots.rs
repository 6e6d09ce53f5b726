//! Things of which there are so many, and of which each address has its share.
//!
//! Descriptors are such things: the system gives a process so many, and without one it can neither
//! reach Redis again nor answer an operator. So clients have a part of them, and whoever holds a
//! client's socket holds a [`Slot`] of that part, from accept to close. Requests that wait for other
//! nodes are others, and so are the bytes that these bring.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use crate::admission::{AddressShare, network};

/// Slots for clients, and who has them.
pub struct SlotPool {
    most: usize,
    open: AtomicUsize,
    /// Holders whose slots count together, by their address. Locked when a slot is taken or given back.
    addresses: Mutex<HashMap<IpAddr, Arc<Holder>>>,
    /// Those who wait for a slot to be given back.
    waiting: Mutex<Vec<Waker>>,
    /// How many wait, so that nothing is locked while nobody does.
    waiters: AtomicUsize,
}

/// Why a client gets no slot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SlotError {
    /// Clients have all that they may have.
    Full,
    /// Its address has as many as it may have.
    Address,
}

/// A slot of a client, which is taken until this is dropped.
pub struct Slot(Arc<Holder>);

/// Slots for so many bytes of a client, which are taken until this is dropped.
pub struct BytesSlot {
    holder: Arc<Holder>,
    bytes: usize,
}

/// Those whose slots count together. A slot is one pointer to it, since idle WebSockets have one.
struct Holder {
    pool: Arc<SlotPool>,
    /// `None` while it is not known for whom the slot is.
    address: Option<IpAddr>,
    open: AtomicUsize,
}

impl SlotPool {
    /// There are `most` slots.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            open: AtomicUsize::new(0),
            addresses: Mutex::default(),
            waiting: Mutex::default(),
            waiters: AtomicUsize::new(0),
        }
    }

    /// Asks for a slot for the client at `address`, of which an address may have its `share`. One
    /// that is for no address yet may be for anybody, such as the socket of a proxy.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn take(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        share: AddressShare,
    ) -> Result<Slot, SlotError> {
        self.take_many(address, share, 1).map(Slot)
    }

    /// The same for so many bytes, of which each is a slot.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn take_bytes(
        self: &Arc<Self>,
        address: IpAddr,
        share: AddressShare,
        bytes: usize,
    ) -> Result<BytesSlot, SlotError> {
        let holder = self.take_many(Some(address), share, bytes)?;
        Ok(BytesSlot { holder, bytes })
    }

    fn take_many(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        share: AddressShare,
        count: usize,
    ) -> Result<Arc<Holder>, SlotError> {
        let order = Ordering::Relaxed;
        let more = |open: usize| open.checked_add(count).filter(|open| *open <= self.most);
        let before = self.open.try_update(order, order, more);
        let before = before.map_err(|_| SlotError::Full)?;
        // As if all but the last were taken already.
        let taken = before + count.saturating_sub(1);
        self.holder(address, share, taken, count).inspect_err(|_| {
            // Nobody is woken: whoever waits would try again, and again have none.
            self.open.fetch_sub(count, order);
        })
    }

    /// Slots that are taken.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Tries to take a slot, and wakes the task of `context` when it may be tried again.
    pub fn poll_take(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        share: AddressShare,
        context: &Context<'_>,
    ) -> Poll<Slot> {
        {
            // Before the look, so that a slot that is given back meanwhile is not missed.
            let mut waiting = lock(&self.waiting);
            waiting.push(context.waker().clone());
            self.waiters.store(waiting.len(), Ordering::SeqCst);
        }
        match self.take(address, share) {
            Ok(slot) => Poll::Ready(slot),
            Err(_) => Poll::Pending,
        }
    }

    /// The holder of slots for `address`, with `count` more.
    fn holder(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        share: AddressShare,
        taken: usize,
        count: usize,
    ) -> Result<Arc<Holder>, SlotError> {
        let new = |address| {
            Arc::new(Holder {
                pool: self.clone(),
                address,
                open: AtomicUsize::new(0),
            })
        };
        let Some(address) = address.map(network) else {
            return Ok(new(None));
        };
        let mut addresses = lock(&self.addresses);
        let found = addresses.get(&address);
        let open = found.map_or(0, |holder| holder.open.load(Ordering::Relaxed));
        if open.saturating_add(count) > share.of(self.most, taken) {
            return Err(SlotError::Address);
        }
        let holder = match found {
            Some(holder) => holder.clone(),
            None => {
                let holder = new(Some(address));
                addresses.insert(address, holder.clone());
                holder
            }
        };
        holder.open.fetch_add(count, Ordering::Relaxed);
        Ok(holder)
    }

    /// So many slots are given back.
    fn release(&self, count: usize) {
        self.open.fetch_sub(count, Ordering::SeqCst);
        if self.waiters.load(Ordering::SeqCst) == 0 {
            return;
        }
        let woken = {
            let mut waiting = lock(&self.waiting);
            self.waiters.store(0, Ordering::SeqCst);
            std::mem::take(&mut *waiting)
        };
        woken.into_iter().for_each(Waker::wake);
    }
}

impl Slot {
    /// Counts the slot for the client at `address` from now on.
    ///
    /// # Errors
    /// That address has its share; the slot counts as before.
    pub fn assign(&mut self, address: IpAddr, share: AddressShare) -> Result<(), SlotError> {
        if self.0.address == Some(network(address)) {
            return Ok(());
        }
        // This slot is not one of those that are taken already.
        let taken = self.0.pool.open().saturating_sub(1);
        let holder = self.0.pool.holder(Some(address), share, taken, 1)?;
        std::mem::replace(&mut self.0, holder).leave(1);
        Ok(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.leave(1);
        self.0.pool.release(1);
    }
}

impl Drop for BytesSlot {
    fn drop(&mut self) {
        self.holder.leave(self.bytes);
        self.holder.pool.release(self.bytes);
    }
}

impl Holder {
    fn leave(&self, count: usize) {
        let Some(address) = self.address else { return };
        let mut addresses = lock(&self.pool.addresses);
        if self.open.fetch_sub(count, Ordering::Relaxed) == count {
            addresses.remove(&address);
        }
    }
}

/// Counts are whole whatever the thread that counted came to.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicBool, task::Wake};

    use super::*;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_slot_is_taken_until_it_is_dropped() {
        let pool = Arc::new(SlotPool::new(2));
        let take = |from| pool.take(from, AddressShare::Unlimited);
        let first = take(address("10.0.0.1")).unwrap();
        let _second = take(None).unwrap();
        assert_eq!(take(None).err(), Some(SlotError::Full));
        drop(first);
        assert_eq!(pool.open(), 1);
        assert!(take(address("10.0.0.1")).is_ok());
        assert!(lock(&pool.addresses).is_empty());
    }

    #[test]
    fn the_last_quarter_is_for_addresses_that_hold_less_than_one() {
        let pool = Arc::new(SlotPool::new(40));
        let take = |from| pool.take(address(from), AddressShare::Auto);
        let mut kept: Vec<_> = (0..30).map(|_| take("2001:db8::1").unwrap()).collect();
        assert_eq!(take("2001:db8::2").err(), Some(SlotError::Address));
        kept.extend((0..10).map(|_| take("10.0.0.2").unwrap()));
        assert_eq!(take("10.0.0.3").err(), Some(SlotError::Full));
    }

    #[test]
    fn a_socket_of_a_proxy_counts_for_whoever_it_serves() {
        let (pool, share) = (Arc::new(SlotPool::new(9)), AddressShare::Most(1));
        let mut slots = [pool.take(None, share), pool.take(None, share)].map(Result::unwrap);
        let (one, other) = (address("10.0.0.1").unwrap(), address("10.0.0.2").unwrap());
        assert_eq!(slots[0].assign(one, share), Ok(()));
        assert_eq!(slots[0].assign(one, share), Ok(()), "it has been counted");
        assert_eq!(slots[1].assign(one, share), Err(SlotError::Address));
        assert_eq!(slots[0].assign(other, share), Ok(()));
        assert_eq!(slots[1].assign(one, share), Ok(()));
        assert_eq!(pool.open(), 2);
        drop(slots);
        assert!(pool.open() == 0 && lock(&pool.addresses).is_empty());
    }

    #[test]
    fn bytes_have_shares_too() {
        let pool = Arc::new(SlotPool::new(1000));
        let take = |last, bytes| {
            let address = IpAddr::from([10, 0, 0, last]);
            pool.take_bytes(address, AddressShare::Auto, bytes)
        };
        let first = take(1, 750).unwrap();
        assert_eq!(take(1, 1).err(), Some(SlotError::Address));
        assert_eq!(take(2, 251).err(), Some(SlotError::Full));
        let second = take(2, 250).unwrap();
        drop((first, second));
        assert_eq!(take(1, 751).err(), Some(SlotError::Address));
        assert!(pool.open() == 0 && lock(&pool.addresses).is_empty());
    }

    #[test]
    fn polling_takes_two_sockets_for_a_session() {
        assert_eq!(AddressShare::Most(10).of_sockets(), AddressShare::Most(28));
        assert_eq!(AddressShare::Auto.of_sockets(), AddressShare::Auto);
    }

    #[test]
    fn whoever_waits_is_woken_when_a_slot_is_given_back() {
        #[derive(Default)]
        struct Woken(AtomicBool);
        impl Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let pool = Arc::new(SlotPool::new(1));
        let slot = pool.take(None, AddressShare::Auto).unwrap();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let context = Context::from_waker(&waker);
        let poll = || pool.poll_take(None, AddressShare::Auto, &context);
        assert!(poll().is_pending() && !woken.0.load(Ordering::Relaxed));
        drop(slot);
        assert!(woken.0.load(Ordering::Relaxed));
        assert!(poll().is_ready());
    }
}
