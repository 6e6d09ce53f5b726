//! WebSockets whose connection has ended, and whose last bytes are still to be written or read.
//!
//! All of them have the same time; then they are closed whatever became of their bytes.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use mio::{Registry, Token};

use super::{outbox::Outbox, wire::Wire};

/// How long a stream that the server has ended stays open for its client to read the end.
const LINGER: Duration = Duration::from_secs(2);
/// Streams that stay open so at one time; more are closed at once.
const MOST: usize = 1024;

/// The WebSockets of a shard that have ended.
#[derive(Default)]
pub(crate) struct Lingering {
    /// Oldest first.
    last: VecDeque<Last>,
    /// How many have gone before the oldest, which gives each a number for good.
    gone: usize,
}

struct Last {
    deadline: Instant,
    wire: Wire,
    outbox: Outbox,
}

impl Last {
    /// Writes what the socket takes, and ends the stream when nothing is left.
    fn write(&mut self) {
        let pending = self.outbox.pending.as_mut();
        let written = pending.map_or(Ok(true), |pending| pending.write_to(&mut self.wire));
        if !matches!(written, Ok(false)) {
            self.outbox.pending = None;
            self.wire.finish();
        }
    }
}

impl Lingering {
    /// Takes a WebSocket that ends when what is left in its outbox is written.
    pub(crate) fn add(
        &mut self,
        mut wire: Wire,
        outbox: Outbox,
        now: Instant,
        registry: &Registry,
    ) {
        wire.partial = None;
        let mut last = Last {
            deadline: now + LINGER,
            wire,
            outbox,
        };
        last.write();
        if self.last.len() == MOST {
            return;
        }
        // A stream of which the system does not tell when it can be written to ends here.
        let number = self.gone + self.last.len();
        if last.outbox.pending.is_some() && last.wire.rename(token(number), registry).is_err() {
            last.outbox.pending = None;
        }
        self.last.push_back(last);
    }

    /// Takes a WebSocket that ends with what its socket takes of the outbox now.
    pub(crate) fn cut(
        &mut self,
        mut wire: Wire,
        outbox: Outbox,
        now: Instant,
        registry: &Registry,
    ) {
        if let Some(mut pending) = outbox.pending {
            // Whether it is written or not, this is the end.
            pending.write_to(&mut wire).ok();
        }
        self.add(wire, Outbox::new(), now, registry);
    }

    /// A socket takes bytes again. False if it is none of these.
    pub(crate) fn write_pending(&mut self, token: Token) -> bool {
        let number = usize::MAX - token.0;
        if number >= MOST {
            return false;
        }
        let at = (number + MOST - self.gone % MOST) % MOST;
        if let Some(last) = self.last.get_mut(at)
            && last.outbox.pending.is_some()
        {
            last.write();
        }
        true
    }

    /// Closes those whose time is up.
    pub(crate) fn expire(&mut self, now: Instant) {
        while self.next().is_some_and(|deadline| deadline <= now) {
            self.last.pop_front();
            self.gone += 1;
        }
    }

    /// When [`Lingering::expire`] next has something to do.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.last.front().map(|last| last.deadline)
    }
}

/// Names the stream with this number to the system. No connection has a token so high.
const fn token(number: usize) -> Token {
    Token(usize::MAX - number % MOST)
}
