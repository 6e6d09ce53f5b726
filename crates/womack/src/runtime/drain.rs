//! The end of a server, in steps that all shards take together.
//!
//! 1. Every shard closes its sessions, spread over `--drain-seconds`, and answers the polls that
//!    wait for them. A poll may wait at another shard than its session's, so no HTTP connection is
//!    closed before all shards have come this far.
//! 2. The listeners for clients are closed, together, once what waits at them has been accepted.
//!    HTTP connections get the answers that are due, WebSockets and event streams what is left for
//!    them; those who do not read it within [`CLOSING_TIME`] are cut.
//! 3. The relay and the reporter say the last.
//! 4. The listener for operators, which has answered all the time, is closed, and threads end.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{
    select,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use womack_engine::{CLOSING_TIME, Receiver, Shard, ToShard};

use super::{barrier::Barrier, shard_tasks::COMMANDS_PER_BATCH};
use crate::http::Connections;

/// Between two looks at how far a drain has come.
const DRAIN_STEP: Duration = Duration::from_millis(20);
/// How long polling clients may take to ask for their last answer.
const LAST_POLLS: Duration = Duration::from_secs(1);
/// How much later than it should a shard may come to a step before others go on without it.
const LATENESS: Duration = Duration::from_millis(250);
/// How long the relay and the reporter may take.
const LAST_MESSAGES: Duration = Duration::from_secs(1);

/// How far a drain has come; shared by the main thread and the shards.
#[derive(Debug)]
pub(crate) struct DrainSteps {
    /// Every shard has closed its sessions and answered their polls.
    pub(crate) sessions_closed: Barrier,
    /// Every shard has written what was left for its clients.
    pub(crate) bytes_written: Barrier,
    /// The threads of the shards are to end.
    pub(crate) end: CancellationToken,
}

impl DrainSteps {
    /// The steps of a server with so many shards.
    pub(crate) fn new(shards: usize) -> Self {
        Self {
            sessions_closed: Barrier::new(shards),
            bytes_written: Barrier::new(shards),
            end: CancellationToken::new(),
        }
    }
}

/// When the steps of a drain are over, whoever has not come so far.
///
/// A server is gone at most 5 s after the time in which clients are closed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    pub(crate) sessions_closed: Instant,
    pub(crate) bytes_written: Instant,
    pub(crate) messages_sent: Instant,
    pub(crate) end: Instant,
}

impl Deadlines {
    /// Those of a drain that begins at `begin` and closes clients over `drain`.
    pub(crate) fn new(begin: Instant, drain: Duration) -> Self {
        let sessions_closed = begin + drain + LAST_POLLS + LATENESS;
        let bytes_written = sessions_closed + CLOSING_TIME + LATENESS;
        let messages_sent = bytes_written + LAST_MESSAGES;
        Self {
            sessions_closed,
            bytes_written,
            messages_sent,
            end: messages_sent + LATENESS,
        }
    }
}

/// Closes all sessions of a shard, evenly over `drain`.
pub(crate) async fn close_sessions(
    shard: &RefCell<Shard>,
    queue: &mut Receiver<ToShard>,
    drain: Duration,
) {
    let start = Instant::now();
    let sessions = shard.borrow().session_count();
    let mut commands = Vec::new();
    loop {
        let passed = start.elapsed().as_secs_f64() / drain.as_secs_f64().max(f64::MIN_POSITIVE);
        let due = (sessions as f64 * passed.min(1.0)).ceil() as usize;
        // Clients that left by themselves count as closed: the pace is by the clock.
        let closed = sessions.saturating_sub(shard.borrow().staying());
        shard
            .borrow_mut()
            .retire_some(due.saturating_sub(closed), Instant::now());
        if shard.borrow().session_count() == 0 || start.elapsed() >= drain + LAST_POLLS {
            break;
        }
        select! {
            () = sleep(DRAIN_STEP) => {}
            () = queue.receive(&mut commands, COMMANDS_PER_BATCH) => {
                shard.borrow_mut().apply_all(&mut commands, Instant::now());
            }
        }
    }
    shard.borrow_mut().close_all(Instant::now());
}

/// Does what other threads want of a shard whose sessions are closed: requests for them are still
/// answered. A WebSocket whose handshake was under way is closed as soon as it is there.
pub(crate) async fn handle_commands(shard: Rc<RefCell<Shard>>, mut queue: Receiver<ToShard>) {
    let mut commands = Vec::new();
    loop {
        select! {
            () = sleep(DRAIN_STEP) => {}
            () = queue.receive(&mut commands, COMMANDS_PER_BATCH) => {}
        }
        let mut shard = shard.borrow_mut();
        shard.apply_all(&mut commands, Instant::now());
        // Read anew: what was written before is not taken from the closing sockets' time.
        shard.close_all(Instant::now());
    }
}

/// Waits until all HTTP connections have got their answers and all WebSockets what was left for
/// them, or the time is up for those who do not read.
pub(crate) async fn write_last_bytes(shard: &RefCell<Shard>, connections: &Connections) {
    connections.open.close();
    let written = async {
        connections.open.wait().await;
        while shard.borrow().has_closing_sockets() {
            sleep(DRAIN_STEP).await;
        }
    };
    if timeout(CLOSING_TIME, written).await.is_err() {
        tracing::debug!(
            connections = connections.open.len(),
            "clients that do not read their last bytes are cut"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_gone_5_seconds_after_its_drain() {
        let (begin, drain) = (Instant::now(), Duration::from_secs(7));
        let deadlines = Deadlines::new(begin, drain);
        assert!(deadlines.end <= begin + drain + Duration::from_secs(5));
        assert!(deadlines.sessions_closed >= begin + drain + LAST_POLLS);
        assert!(deadlines.bytes_written >= deadlines.sessions_closed + CLOSING_TIME);
    }
}
