//! The tasks that drive a shard: sockets that are ready, commands of other threads, deadlines.
//!
//! They share the shard's state, one at a time and never across an await, and read the clock for
//! it.

use std::{
    cell::RefCell,
    future::{pending, ready},
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{
    task::yield_now,
    time::{sleep, sleep_until},
};
use womack_engine::{Readiness, Receiver, Shard, ToShard};

/// Commands taken at one go; all of them are written with one write to each client.
pub(super) const COMMANDS_PER_BATCH: usize = 4096;
/// Between two looks at the memory that all shards use.
const RELIEF_INTERVAL: Duration = Duration::from_millis(250);
/// How long the shard rests when the system's poll fails.
const POLL_REST: Duration = Duration::from_millis(20);

pub(super) async fn readiness_loop(shard: Rc<RefCell<Shard>>, mut readiness: Readiness) {
    loop {
        let unread = shard.borrow().has_unread();
        let taken = if unread {
            readiness.look()
        } else {
            readiness.wait().await
        };
        if let Err(error) = taken {
            tracing::error!(%error, "the system's poll does not work");
            sleep(POLL_REST).await;
            continue;
        }
        {
            let mut shard = shard.borrow_mut();
            shard.ready(readiness.events(), Instant::now());
            if unread {
                shard.read_unread(Instant::now());
            }
        }
        yield_now().await;
    }
}

pub(super) async fn timer_loop(shard: Rc<RefCell<Shard>>) {
    let timer = shard.borrow().timer();
    loop {
        let next = shard.borrow().next_turn();
        let turn = async {
            match next {
                Some(next) => sleep_until(next.into()).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = turn => shard.borrow_mut().turn(Instant::now()),
            () = timer.notified() => {}
        }
    }
}

/// Looks whether memory is short, which other shards may have come to.
pub(super) async fn relief_loop(shard: Rc<RefCell<Shard>>) {
    loop {
        sleep(RELIEF_INTERVAL).await;
        shard.borrow_mut().tick(Instant::now());
    }
}

/// Does what other threads want until it is time to close all sessions.
pub(super) async fn command_loop(shard: &RefCell<Shard>, queue: &mut Receiver<ToShard>) {
    let mut commands = Vec::new();
    let (mut is_asked_to_drain, mut draining) = (false, false);
    while !draining {
        let (tells_gaps, fans_out, is_enough) = {
            let shard = shard.borrow();
            let is_enough = shard.is_fanning_out_enough();
            (shard.has_gaps_to_tell(), shard.has_fan_outs(), is_enough)
        };
        // Whatever follows a gap waits in the queue until clients have been told of it, and while
        // too much waits for its slice, everything does.
        let takes = !is_enough && !tells_gaps && commands.is_empty();
        tokio::select! {
            biased;
            () = queue.receive(&mut commands, COMMANDS_PER_BATCH), if takes => {}
            () = ready(()), if fans_out || !takes => {}
        }
        {
            let (mut shard, now) = (shard.borrow_mut(), Instant::now());
            if fans_out && (tells_gaps || is_enough) {
                // Messages from before a gap go out before it is told.
                shard.continue_fan_outs(now);
            } else if tells_gaps {
                shard.tell_gaps(now);
            } else {
                let is_drain = |command: &ToShard| matches!(command, ToShard::Drain);
                is_asked_to_drain |= commands.iter().any(is_drain);
                shard.apply_commands(&mut commands, now);
            }
            draining = is_asked_to_drain && commands.is_empty() && !shard.has_gaps_to_tell();
        }
        // Reads, accepts and pings have their turn between two batches.
        yield_now().await;
    }
    shard.borrow_mut().finish_fan_outs(Instant::now());
}
