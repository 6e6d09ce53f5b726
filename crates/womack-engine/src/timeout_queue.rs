//! Values that wait equally long.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Names a value in a [`TimeoutQueue`]; no later value of the queue has the same.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ticket(u64);

/// Values of which each waits for something, and all wait equally long.
///
/// They end in the order in which they came, so the deadlines need no sorting and a ticket is
/// found by counting: every operation takes constant time.
#[derive(Debug)]
pub struct TimeoutQueue<T> {
    timeout: Duration,
    /// Oldest first; `None` for values that were removed. The first is never `None`.
    entries: VecDeque<(Instant, Option<T>)>,
    /// The ticket of the first entry.
    first: u64,
    len: usize,
}

impl<T> TimeoutQueue<T> {
    /// Creates an empty queue, whose values each wait for `timeout`.
    pub const fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            entries: VecDeque::new(),
            first: 0,
            len: 0,
        }
    }

    /// Adds a value that waits from `now` on.
    pub fn push(&mut self, value: T, now: Instant) -> Ticket {
        let ticket = Ticket(self.first + self.entries.len() as u64);
        self.entries.push_back((now + self.timeout, Some(value)));
        self.len += 1;
        ticket
    }

    /// The value of `ticket`, if it still waits.
    pub fn get_mut(&mut self, ticket: Ticket) -> Option<&mut T> {
        let at = self.position(ticket)?;
        self.entries.get_mut(at)?.1.as_mut()
    }

    /// All values, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().filter_map(|(_, value)| value.as_ref())
    }

    /// Takes the value of `ticket` out, if it still waits.
    pub fn remove(&mut self, ticket: Ticket) -> Option<T> {
        let at = self.position(ticket)?;
        let value = self.entries.get_mut(at)?.1.take()?;
        self.len -= 1;
        self.trim();
        Some(value)
    }

    /// Takes the value that came last out again, if it still waits.
    pub(crate) fn pop_last(&mut self) -> Option<(Ticket, T)> {
        let last = self.entries.len().checked_sub(1)?;
        let ticket = Ticket(self.first + last as u64);
        self.remove(ticket).map(|value| (ticket, value))
    }

    /// Takes out the oldest value whose time is up, if there is one.
    pub fn expire(&mut self, now: Instant) -> Option<(Ticket, T)> {
        if self.next_deadline()? > now {
            return None;
        }
        let ticket = Ticket(self.first);
        self.remove(ticket).map(|value| (ticket, value))
    }

    /// When [`TimeoutQueue::expire`] next has a value.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.entries.front().map(|(deadline, _)| *deadline)
    }

    /// How many values wait.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn position(&self, ticket: Ticket) -> Option<usize> {
        usize::try_from(ticket.0.checked_sub(self.first)?).ok()
    }

    /// Drops what was removed from the front, and gives a burst's memory back.
    fn trim(&mut self) {
        while matches!(self.entries.front(), Some((_, None))) {
            self.entries.pop_front();
            self.first += 1;
        }
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(5);

    #[test]
    fn a_value_leaves_once_by_its_ticket_or_by_time() {
        let (mut queue, now) = (TimeoutQueue::new(TIMEOUT), Instant::now());
        let [a, b, c] = ['a', 'b', 'c'].map(|value| queue.push(value, now));
        assert_eq!(queue.remove(b), Some('b'));
        assert_eq!(queue.remove(b), None);
        assert_eq!(queue.expire(now), None);
        assert_eq!(queue.next_deadline(), Some(now + TIMEOUT));
        let late = now + TIMEOUT;
        let expired = [(); 3].map(|()| queue.expire(late));
        assert_eq!(expired, [Some((a, 'a')), Some((c, 'c')), None]);
        assert_eq!((queue.remove(a), queue.get_mut(c)), (None, None));
        assert_eq!((queue.len(), queue.next_deadline()), (0, None));
    }

    #[test]
    fn a_removed_value_has_no_deadline() {
        let (mut queue, now) = (TimeoutQueue::new(TIMEOUT), Instant::now());
        let first = queue.push(1, now);
        let second = queue.push(2, now + TIMEOUT / 2);
        queue.remove(first);
        assert_eq!(queue.next_deadline(), Some(now + TIMEOUT * 3 / 2));
        assert_eq!(queue.get_mut(second), Some(&mut 2));
        let third = queue.push(3, now + TIMEOUT);
        assert_eq!(queue.remove(third), Some(3));
        assert_eq!(queue.len(), 1);
    }
}
