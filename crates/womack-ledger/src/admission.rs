//! Who may open a session: how many there may be, how many from one address, and how fast they
//! may come.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use serde::{Serialize, Serializer};

use crate::limit::Limit;

/// How many sessions there may be. Zero is no limit of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct AdmissionLimits {
    /// Sessions of the process; zero for as many as there is room for.
    pub max_connections: usize,
    /// Sessions from one address, or from one network of 64 bits with IPv6.
    pub max_connections_per_address: AddressShare,
    /// Sessions that may be opened in a second.
    pub max_connects_per_second: u32,
}

/// The part of something that one address may have, or one network of 64 bits with IPv6.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AddressShare {
    /// The last quarter is for addresses that hold less than a quarter.
    #[default]
    Auto,
    /// All of it.
    Unlimited,
    /// So much.
    Most(usize),
}

impl AddressShare {
    /// The part of the sockets that goes with this part of the sessions: a client that polls has a
    /// socket on which it waits and another on which it sends, and a browser opens some more.
    #[must_use]
    pub const fn of_sockets(self) -> Self {
        match self {
            Self::Most(sessions) => Self::Most(sessions.saturating_mul(2).saturating_add(8)),
            share => share,
        }
    }

    /// How much an address may have if `most` of something is there, of which `taken` is taken.
    pub const fn of(self, most: usize, taken: usize) -> usize {
        match self {
            Self::Auto if taken >= most - most / 4 => most / 4,
            Self::Auto | Self::Unlimited => usize::MAX,
            Self::Most(share) => share,
        }
    }
}

impl From<usize> for AddressShare {
    fn from(most: usize) -> Self {
        match most {
            0 => Self::Unlimited,
            most => Self::Most(most),
        }
    }
}

impl Serialize for AddressShare {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Unlimited => serializer.serialize_u64(0),
            Self::Most(most) => most.serialize(serializer),
        }
    }
}

/// A second, in the unit of the pace.
const SECOND: u64 = 1_000_000_000;

/// The sessions of a process, as far as they are counted to be limited.
pub struct Admission {
    start: Instant,
    /// How many sessions there may be where no setting says so.
    room: usize,
    sessions: AtomicUsize,
    /// When the next client would come if all came evenly, in nanoseconds since the start.
    pace: AtomicU64,
    /// Sessions by address, where that is limited. Locked when a client comes or goes.
    addresses: Mutex<HashMap<IpAddr, usize>>,
}

/// Why a session is not opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AdmissionError {
    /// There are as many as there may be.
    Connections,
    /// Its address has as many as it may have.
    Address,
    /// They come too fast.
    Pace,
}

impl AdmissionError {
    /// The limit as the metrics name it.
    pub const fn limit(self) -> Limit {
        match self {
            Self::Connections => Limit::MaxConnections,
            Self::Address => Limit::MaxConnectionsPerAddress,
            Self::Pace => Limit::MaxConnectsPerSecond,
        }
    }
}

/// A session that may be opened. It counts until this is dropped.
pub struct Admitted {
    admission: Arc<Admission>,
    /// Under which address it counts, if it does.
    address: Option<IpAddr>,
}

impl Admitted {
    /// Counts until [`Admission::leave`] is called with what this returns.
    pub fn stay(mut self) -> Option<IpAddr> {
        self.admission.sessions.fetch_add(1, Ordering::Relaxed);
        self.address.take()
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.admission.leave(self.address);
    }
}

impl Admission {
    /// There is `room` for so many sessions.
    pub fn new(room: usize) -> Self {
        Self {
            start: Instant::now(),
            room,
            sessions: AtomicUsize::new(0),
            pace: AtomicU64::new(0),
            addresses: Mutex::default(),
        }
    }

    /// Asks for a session for `client`.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn admit(
        self: &Arc<Self>,
        client: IpAddr,
        limits: AdmissionLimits,
        now: Instant,
    ) -> Result<Admitted, AdmissionError> {
        let before = self.sessions.fetch_add(1, Ordering::Relaxed);
        // From here on whatever is refused is taken back by dropping this.
        let mut admitted = Admitted {
            admission: self.clone(),
            address: None,
        };
        let most = match limits.max_connections {
            0 => self.room,
            most => most,
        };
        if before >= most {
            return Err(AdmissionError::Connections);
        }
        if limits.max_connections_per_address != AddressShare::Unlimited {
            let client = network(client);
            if !self.count(client, limits.max_connections_per_address.of(most, before)) {
                return Err(AdmissionError::Address);
            }
            admitted.address = Some(client);
        }
        match self.keep_pace(limits.max_connects_per_second, now) {
            true => Ok(admitted),
            false => Err(AdmissionError::Pace),
        }
    }

    /// Sessions that are open, or about to be.
    pub fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    /// A session is gone that counted under `address`, if any.
    pub fn leave(&self, address: Option<IpAddr>) {
        self.sessions.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = address else { return };
        if let Entry::Occupied(mut count) = self.addresses().entry(address) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    fn count(&self, client: IpAddr, most: usize) -> bool {
        let mut addresses = self.addresses();
        let count = addresses.entry(client).or_default();
        let fits = *count < most;
        *count += usize::from(fits);
        fits
    }

    /// Whether one more client keeps within `rate` a second, of which as many as come in a second
    /// may come at once. Zero is no limit.
    fn keep_pace(&self, rate: u32, now: Instant) -> bool {
        let Some(each) = SECOND.checked_div(u64::from(rate)) else {
            return true;
        };
        let now = u64::try_from(now.saturating_duration_since(self.start).as_nanos());
        let now = now.unwrap_or(u64::MAX / 2);
        let next = |before: u64| {
            let next = before.max(now) + each;
            (next - now <= SECOND.max(each)).then_some(next)
        };
        let order = Ordering::Relaxed;
        self.pace.try_update(order, order, next).is_ok()
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // Counts are whole whatever the thread that counted came to.
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What counts as one address: with IPv6, all that a subscriber of a network usually gets.
pub(crate) fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(client) => IpAddr::V6((client.to_bits() >> 64 << 64).into()),
        client => client,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits(connections: usize, per_address: usize, per_second: u32) -> AdmissionLimits {
        AdmissionLimits {
            max_connections: connections,
            max_connections_per_address: per_address.into(),
            max_connects_per_second: per_second,
        }
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_session_counts_until_it_has_left() {
        let (admission, now) = (Arc::new(Admission::new(usize::MAX)), Instant::now());
        let ask = || admission.admit(address("10.0.0.1"), limits(2, 0, 0), now);
        let first = ask().unwrap();
        let stayed = ask().unwrap().stay();
        assert_eq!(ask().err(), Some(AdmissionError::Connections));
        drop(first);
        assert!(ask().is_ok(), "one that is not opened counts no more");
        admission.leave(stayed);
        assert_eq!(admission.sessions.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn addresses_count_apart_and_networks_of_ipv6_together() {
        let (admission, now) = (Arc::new(Admission::new(usize::MAX)), Instant::now());
        let ask = |from| admission.admit(address(from), limits(9, 1, 0), now);
        let kept = [ask("10.0.0.1").unwrap(), ask("2001:db8:1:1::1").unwrap()];
        for full in ["10.0.0.1", "::ffff:10.0.0.1", "2001:db8:1:1:ff::2"] {
            assert_eq!(ask(full).err(), Some(AdmissionError::Address), "{full}");
        }
        assert!(ask("10.0.0.2").is_ok() && ask("2001:db8:1:2::1").is_ok());
        drop(kept);
        assert!(admission.addresses().is_empty());
    }

    #[test]
    fn the_last_quarter_is_for_addresses_that_hold_less_than_one() {
        let (admission, now) = (Arc::new(Admission::new(usize::MAX)), Instant::now());
        let limits = AdmissionLimits {
            max_connections: 40,
            ..AdmissionLimits::default()
        };
        let ask = |from| admission.admit(address(from), limits, now);
        let mut kept: Vec<_> = (0..30).map(|_| ask("10.0.0.1").unwrap()).collect();
        assert_eq!(ask("10.0.0.1").err(), Some(AdmissionError::Address));
        kept.extend((0..10).map(|_| ask("10.0.0.2").unwrap()));
        assert_eq!(ask("10.0.0.3").err(), Some(AdmissionError::Connections));
        kept.truncate(25);
        assert!(ask("10.0.0.1").is_ok(), "there is more than a quarter left");
        assert_eq!(
            AddressShare::Auto.of(3, 2),
            usize::MAX,
            "three have no quarter"
        );
    }

    #[test]
    fn a_second_has_its_share_and_no_more() {
        let admission = Arc::new(Admission::new(usize::MAX));
        let start = admission.start;
        let ask = |millis| {
            let now = start + Duration::from_millis(millis);
            admission.admit(address("10.0.0.1"), limits(99, 0, 4), now)
        };
        for millis in [0, 0, 0, 0, 250, 500] {
            assert!(ask(millis).is_ok(), "{millis}");
        }
        assert_eq!(ask(500).err(), Some(AdmissionError::Pace));
        assert_eq!((0..9).filter(|_| ask(9000).is_ok()).count(), 4);
    }
}
