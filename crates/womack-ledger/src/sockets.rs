//! The sockets of clients, counted from the moment they are accepted until they are closed.
//!
//! The system gives a process so many descriptors, and without one it can neither reach Redis again
//! nor answer an operator. So clients have a part of them, and whoever holds a client's socket holds
//! a [`SocketSlot`] of that part.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use crate::{
    admission::{AddressShare, network},
    limit::Limit,
};

/// The sockets that clients may have, and who has them.
pub struct SocketPool {
    most: usize,
    open: AtomicUsize,
    /// Holders whose sockets count together, by their address. Locked when a socket comes or goes.
    addresses: Mutex<HashMap<IpAddr, Arc<Holder>>>,
    /// Those who wait for a socket to be closed.
    waiting: Mutex<Vec<Waker>>,
    /// How many wait, so that nothing is locked while nobody does.
    waiters: AtomicUsize,
}

/// Why a client gets no socket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SocketError {
    /// Clients have all that they may have.
    Full,
    /// Its address has as many as it may have.
    Address,
}

impl SocketError {
    /// The limit as the metrics name it.
    pub const fn limit(self) -> Limit {
        match self {
            Self::Full => Limit::OpenFiles,
            Self::Address => Limit::MaxConnectionsPerAddress,
        }
    }
}

/// A socket of a client, which counts until this is dropped: after the socket itself.
pub struct SocketSlot(Arc<Holder>);

/// Those whose sockets count together. A slot is one pointer to it, since idle WebSockets have one.
struct Holder {
    pool: Arc<SocketPool>,
    /// `None` while it is not known for whom the socket is.
    address: Option<IpAddr>,
    open: AtomicUsize,
}

impl SocketPool {
    /// There may be up to `most` sockets.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            open: AtomicUsize::new(0),
            addresses: Mutex::default(),
            waiting: Mutex::default(),
            waiters: AtomicUsize::new(0),
        }
    }

    /// Asks for a socket for the client at `address`, of which an address may have its `share`. One
    /// that is for no address yet may be for anybody, such as one of a proxy.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn take(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        share: AddressShare,
    ) -> Result<SocketSlot, SocketError> {
        let order = Ordering::Relaxed;
        let one_more = |open| (open < self.most).then_some(open + 1);
        let before = self.open.try_update(order, order, one_more);
        let before = before.map_err(|_| SocketError::Full)?;
        let holder = self.holder(address, share, before).inspect_err(|_| {
            // Nobody is woken: whoever waits would try again, and again have none.
            self.open.fetch_sub(1, order);
        });
        holder.map(SocketSlot)
    }

    /// Sockets that are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Tries to take a socket, and wakes the task of `context` when it may be tried again.
    pub fn poll_take(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        share: AddressShare,
        context: &Context<'_>,
    ) -> Poll<SocketSlot> {
        {
            // Before the look, so that a socket that is closed meanwhile is not missed.
            let mut waiting = lock(&self.waiting);
            waiting.push(context.waker().clone());
            self.waiters.store(waiting.len(), Ordering::SeqCst);
        }
        match self.take(address, share) {
            Ok(slot) => Poll::Ready(slot),
            Err(_) => Poll::Pending,
        }
    }

    /// The holder of sockets for `address`, with one more.
    fn holder(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        share: AddressShare,
        taken: usize,
    ) -> Result<Arc<Holder>, SocketError> {
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
        if open >= share.of(self.most, taken) {
            return Err(SocketError::Address);
        }
        let holder = match found {
            Some(holder) => holder.clone(),
            None => {
                let holder = new(Some(address));
                addresses.insert(address, holder.clone());
                holder
            }
        };
        holder.open.fetch_add(1, Ordering::Relaxed);
        Ok(holder)
    }

    /// A socket is closed.
    fn release(&self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
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

impl SocketSlot {
    /// Counts the socket for the client at `address` from now on.
    ///
    /// # Errors
    /// That address has its share; the socket counts as before.
    pub fn assign(&mut self, address: IpAddr, share: AddressShare) -> Result<(), SocketError> {
        if self.0.address == Some(network(address)) {
            return Ok(());
        }
        // This socket is not one of those that are taken already.
        let taken = self.0.pool.open().saturating_sub(1);
        let holder = self.0.pool.holder(Some(address), share, taken)?;
        std::mem::replace(&mut self.0, holder).leave();
        Ok(())
    }
}

impl Drop for SocketSlot {
    fn drop(&mut self) {
        self.0.leave();
        self.0.pool.release();
    }
}

impl Holder {
    fn leave(&self) {
        let Some(address) = self.address else { return };
        let mut addresses = lock(&self.pool.addresses);
        if self.open.fetch_sub(1, Ordering::Relaxed) == 1 {
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
    fn a_socket_counts_until_it_is_closed() {
        let pool = Arc::new(SocketPool::new(2));
        let take = |from| pool.take(from, AddressShare::Unlimited);
        let first = take(address("10.0.0.1")).unwrap();
        let _second = take(None).unwrap();
        assert_eq!(take(None).err(), Some(SocketError::Full));
        drop(first);
        assert_eq!(pool.open(), 1);
        assert!(take(address("10.0.0.1")).is_ok());
        assert!(lock(&pool.addresses).is_empty());
    }

    #[test]
    fn the_last_quarter_is_for_addresses_that_hold_less_than_one() {
        let pool = Arc::new(SocketPool::new(40));
        let take = |from| pool.take(address(from), AddressShare::Auto);
        let mut kept: Vec<_> = (0..30).map(|_| take("2001:db8::1").unwrap()).collect();
        assert_eq!(take("2001:db8::2").err(), Some(SocketError::Address));
        kept.extend((0..10).map(|_| take("10.0.0.2").unwrap()));
        assert_eq!(take("10.0.0.3").err(), Some(SocketError::Full));
    }

    #[test]
    fn a_socket_of_a_proxy_counts_for_whoever_it_serves() {
        let (pool, share) = (Arc::new(SocketPool::new(9)), AddressShare::Most(1));
        let mut slots = [pool.take(None, share), pool.take(None, share)].map(Result::unwrap);
        let (one, other) = (address("10.0.0.1").unwrap(), address("10.0.0.2").unwrap());
        assert_eq!(slots[0].assign(one, share), Ok(()));
        assert_eq!(slots[0].assign(one, share), Ok(()), "it has been counted");
        assert_eq!(slots[1].assign(one, share), Err(SocketError::Address));
        assert_eq!(slots[0].assign(other, share), Ok(()));
        assert_eq!(slots[1].assign(one, share), Ok(()));
        assert_eq!(pool.open(), 2);
        drop(slots);
        assert!(pool.open() == 0 && lock(&pool.addresses).is_empty());
    }

    #[test]
    fn polling_takes_two_sockets_for_a_session() {
        assert_eq!(AddressShare::Most(10).of_sockets(), AddressShare::Most(28));
        assert_eq!(AddressShare::Auto.of_sockets(), AddressShare::Auto);
    }

    #[test]
    fn whoever_waits_is_woken_when_a_socket_is_closed() {
        #[derive(Default)]
        struct Woken(AtomicBool);
        impl Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let pool = Arc::new(SocketPool::new(1));
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
