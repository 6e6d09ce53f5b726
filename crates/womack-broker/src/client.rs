//! One client, as the broker knows it.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::outbox::Outbox;
use crate::reply::Protocol;
use crate::subscriptions::Subscriptions;
use crate::transaction::Transaction;

/// The state that a client's commands change.
#[derive(Debug)]
pub(crate) struct Client {
    /// Never used twice, unlike the client's key.
    pub(crate) id: u64,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) activity: Activity,
    pub(crate) identity: Identity,
    pub(crate) protocol: Protocol,
    /// What `SELECT` chose. It only shows in `CLIENT LIST`: channels belong to no database.
    pub(crate) database: i64,
    pub(crate) no_evict: bool,
    pub(crate) no_touch: bool,
    pub(crate) replies: ReplyMode,
    pub(crate) transaction: Option<Transaction>,
    pub(crate) outbox: Outbox,
    pub(crate) ending: Option<Ending>,
    /// Tells the client's task that there is something to send, or that it is to end.
    pub(crate) wake: Rc<Notify>,
    pub(crate) subscriptions: Subscriptions,
}

/// Since when a client is connected, and the command that it gave last.
#[derive(Debug)]
pub(crate) struct Activity {
    connected: Instant,
    last_command: Instant,
    last_command_name: &'static str,
}

/// The names that a client gave itself, escaped for a line of `CLIENT LIST`. A name that was not
/// given is empty.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    pub(crate) name: Bytes,
    pub(crate) library_name: Bytes,
    pub(crate) library_version: Bytes,
}

/// The commands that a client gets replies to, set by `CLIENT REPLY`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplyMode {
    #[default]
    On,
    Off,
    /// All but the next.
    SkipNext,
}

/// How a connection is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Once everything that waits has been sent.
    Flush,
    /// At once.
    Drop,
}

impl Client {
    pub(crate) fn new(id: u64, peer: SocketAddr, local: SocketAddr, max_output: usize) -> Self {
        Self {
            id,
            peer,
            local,
            activity: Activity::new(Instant::now()),
            identity: Identity::default(),
            protocol: Protocol::Resp2,
            database: 0,
            no_evict: false,
            no_touch: false,
            replies: ReplyMode::On,
            transaction: None,
            outbox: Outbox::new(max_output),
            ending: None,
            wake: Rc::new(Notify::new()),
            subscriptions: Subscriptions::default(),
        }
    }

    /// Adds something to send that the client has not asked for just now.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        self.outbox.push(chunk);
        self.end_if_overflowed();
        self.wake.notify_one();
    }

    /// Adds the reply to the command that has just run.
    pub(crate) fn release(&mut self, reply: Bytes) {
        self.outbox.release(reply);
        self.end_if_overflowed();
    }

    /// Ends a connection whose reply did not fit.
    pub(crate) fn cut_off(&mut self) {
        self.outbox.overflow();
        self.end_if_overflowed();
    }

    fn end_if_overflowed(&mut self) {
        if self.outbox.overflowed() && self.ending != Some(Ending::Drop) {
            let max_output_bytes = self.outbox.max_bytes();
            tracing::warn!(
                id = self.id,
                peer = %self.peer,
                max_output_bytes,
                "slow client cut off: more than max_output_bytes waited for it to read"
            );
            self.ending = Some(Ending::Drop);
        }
    }

    /// Ends the connection from outside its own commands.
    pub(crate) fn kill(&mut self) {
        self.ending = Some(Ending::Drop);
        self.wake.notify_one();
    }

    /// Whether the client has subscribed to anything.
    pub(crate) fn is_subscriber(&self) -> bool {
        !self.subscriptions.is_empty()
    }
}

impl Activity {
    const fn new(now: Instant) -> Self {
        Self {
            connected: now,
            last_command: now,
            last_command_name: "NULL",
        }
    }

    /// Notes that a command has come.
    pub(crate) const fn touch(&mut self, now: Instant) {
        self.last_command = now;
    }

    /// Notes which command has come.
    pub(crate) const fn record(&mut self, name: &'static str) {
        self.last_command_name = name;
    }

    /// The time since the client connected.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.duration_since(self.connected)
    }

    /// The time since the last command.
    pub(crate) fn idle(&self, now: Instant) -> Duration {
        now.duration_since(self.last_command)
    }

    pub(crate) const fn last_command_name(&self) -> &'static str {
        self.last_command_name
    }
}

impl ReplyMode {
    /// Skips the reply to the next command, unless there are none anyway.
    pub(crate) fn skip_next(&mut self) {
        if *self == Self::On {
            *self = Self::SkipNext;
        }
    }

    /// Whether the command that has come gets no reply.
    pub(crate) fn take_muted(&mut self) -> bool {
        let mode = *self;
        if mode == Self::SkipNext {
            *self = Self::On;
        }
        mode != Self::On
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_reply_is_skipped_and_none_comes_while_they_are_off() {
        let mut mode = ReplyMode::On;
        assert!(!mode.take_muted());
        mode.skip_next();
        assert_eq!([mode.take_muted(), mode.take_muted()], [true, false]);
        mode = ReplyMode::Off;
        mode.skip_next();
        assert_eq!([mode.take_muted(), mode.take_muted()], [true, true]);
    }
}
