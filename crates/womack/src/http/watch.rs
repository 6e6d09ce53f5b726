//! Watches a connection: whether it is silent for too long, whether its client reads what it is
//! sent, whether it is to make room for another, and what its buffers take.

use std::{
    future::poll_fn,
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use tokio::time::sleep_until;
use womack_ledger::{Charge, HTTP_BYTES, Limit};

use super::{
    delivery::ClientConnection, idle_connections::IdleEntry, keep_alive::SilenceTimer,
    stalled_polls::StalledPolls, traffic::Traffic, write_timer::WriteTimer,
};

/// What hyper's buffer for requests takes in most connections, as part of [`HTTP_BYTES`].
const BUFFER_BYTES: usize = 8 << 10;

/// Why a connection ends on which nothing happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum WatchEnd {
    /// Its client has said nothing for longer than this.
    Silent(Limit),
    /// Its client has not read an answer in time.
    Unread,
    /// It makes room for another connection.
    Evicted,
}

/// What is watched of a connection.
pub(super) struct Watch<'a> {
    pub(super) traffic: Arc<Traffic>,
    pub(super) silence: SilenceTimer,
    pub(super) writes: WriteTimer,
    pub(super) idle: IdleEntry,
    /// The most bytes of a request that hyper's buffer has had.
    pub(super) largest: usize,
    /// The connection's memory beside what it answers.
    pub(super) charge: &'a mut Charge,
    pub(super) client: &'a Rc<ClientConnection>,
    /// Polls whose answers are not read.
    pub(super) stalled: &'a StalledPolls,
}

impl Watch<'_> {
    /// Waits until the connection is to end.
    ///
    /// It has to be polled by the task that reads and writes the connection, after that: nothing
    /// else wakes it when something has happened.
    pub(super) async fn end(mut self) -> WatchEnd {
        // A timer that rings before the first deadline would wake every new connection once more.
        let first = self.silence.deadline().map(|(due, _)| due);
        let mut sleep = pin!(sleep_until(first.unwrap_or_else(Instant::now).into()));
        poll_fn(|context| {
            loop {
                let due = match self.observe(Instant::now(), context) {
                    Ok(Some(due)) => due,
                    Ok(None) => return Poll::Pending,
                    Err(end) => return Poll::Ready(end),
                };
                // Most deadlines are put off before they are reached, so a timer that is too early
                // is left to ring.
                let rings = sleep.deadline().into_std();
                if due < rings || sleep.is_elapsed() {
                    sleep.as_mut().reset(due.into());
                }
                if sleep.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Takes what has happened up to `now`. Returns when to look again at the latest.
    ///
    /// # Errors
    /// Why the connection is to end.
    fn observe(
        &mut self,
        now: Instant,
        context: &Context<'_>,
    ) -> Result<Option<Instant>, WatchEnd> {
        let traffic = self.traffic.count();
        self.silence
            .observe(traffic, self.client.is_answering(), now);
        // What an event stream may leave unread is its session's business.
        let is_blocked = traffic.is_blocked && !self.client.is_streaming();
        if is_blocked != self.writes.is_blocked() {
            self.client.note_stall(is_blocked, self.stalled);
        }
        self.writes.observe(traffic.written, is_blocked, now);
        let largest = traffic.largest_read.max(self.silence.head_bytes());
        self.largest = self.largest.max(largest);
        self.charge.set(held_bytes(self.largest));
        let idle_since = self.silence.idle_since().filter(|_| !is_blocked);
        let idle_since = idle_since.map(|since| (self.client.has_unconfirmed(), since));
        if self.idle.observe(idle_since, context) {
            return Err(WatchEnd::Evicted);
        }
        let unread = self.writes.deadline();
        if unread.is_some_and(|due| due <= now) {
            return Err(WatchEnd::Unread);
        }
        let Some((silent, limit)) = self.silence.deadline() else {
            return Ok(unread);
        };
        if silent <= now {
            return Err(WatchEnd::Silent(limit));
        }
        Ok(Some(unread.map_or(silent, |unread| unread.min(silent))))
    }
}

/// What a connection takes whose largest request so far had so many bytes in hyper's buffer, which
/// grows with them and stays so large.
const fn held_bytes(largest: usize) -> usize {
    match largest > BUFFER_BYTES {
        true => HTTP_BYTES + largest,
        false => HTTP_BYTES,
    }
}
