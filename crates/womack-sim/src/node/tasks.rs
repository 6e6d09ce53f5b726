//! Tasks that drive the parts of a node, as the server's own threads do.

use std::{
    cell::RefCell,
    future::{pending, ready},
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    select,
    task::yield_now,
    time::{sleep, sleep_until},
};
use womack_engine::{
    DirtyChannels, Now, Output, Receiver, Router, Sender, Shard, ShardSet, SubscriberRequest,
    ToShard,
};
use womack_redis::RedisSubscriber;

use crate::clock::{WallClock, now};

/// Values that are taken from a queue at once.
const BATCH: usize = 1024;
/// Between two looks at how far a drain has come.
const DRAIN_STEP: Duration = Duration::from_millis(20);
/// Between two looks at the memory that shards use.
const RELIEF_INTERVAL: Duration = Duration::from_millis(250);

/// Moves events in, and commands and requests out, as the server's own driver does.
pub(super) struct RouterDriver {
    pub(super) subscriber: RedisSubscriber,
    pub(super) router: Router,
    pub(super) out: Output,
    pub(super) shards: Vec<Sender<ToShard>>,
    pub(super) wall: WallClock,
    /// Decides when the router gets its turn.
    pub(super) rng: fastrand::Rng,
}

impl RouterDriver {
    pub(super) async fn run(mut self, dirty: Arc<DirtyChannels>) {
        let (mut events, mut marked) = (Vec::new(), Vec::new());
        loop {
            let deadline = self.router.next_deadline();
            match self.rng.bool() {
                true => select! {
                    biased;
                    () = dirty.take(&mut marked, BATCH) => {}
                    () = self.subscriber.receive(&mut events, BATCH) => {}
                    () = until(deadline) => {}
                },
                false => select! {
                    biased;
                    () = self.subscriber.receive(&mut events, BATCH) => {}
                    () = dirty.take(&mut marked, BATCH) => {}
                    () = until(deadline) => {}
                },
            }
            self.be_late().await;
            let now = self.now();
            self.router.begin_batch();
            for event in events.drain(..) {
                self.router.handle_event(event, now, &mut self.out);
                self.apply().await;
            }
            self.router.end_batch(now.instant);
            if !marked.is_empty() {
                self.router
                    .reconcile(marked.drain(..), now.instant, &mut self.out);
            }
            if self
                .router
                .next_deadline()
                .is_some_and(|deadline| deadline <= now.instant)
            {
                self.router.handle_timeout(now, &mut self.out);
            }
            self.apply().await;
        }
    }

    /// The thread has its turn some time after it was woken.
    async fn be_late(&mut self) {
        match self.rng.u8(..8) {
            0 => sleep(Duration::from_micros(self.rng.u64(..3000))).await,
            1 | 2 => yield_now().await,
            _ => {}
        }
    }

    fn now(&self) -> Now {
        Now {
            instant: now(),
            wall: self.wall.read(),
        }
    }

    async fn apply(&mut self) {
        let mut touched = ShardSet::default();
        for (shard, command) in self.out.commands.drain(..) {
            let sender = &self.shards[usize::from(shard.0)];
            if let Err(command) = sender.push(command) {
                sender.push_waiting(command).await;
            }
            touched.set(shard, true);
        }
        for shard in touched.iter() {
            self.shards[usize::from(shard.0)].wake();
        }
        for request in self.out.requests.drain(..) {
            match request {
                SubscriberRequest::Subscribe(channels) => self.subscriber.subscribe(channels),
                SubscriberRequest::GiveUp(channels) => self.subscriber.give_up(channels),
            }
        }
    }
}

/// Does what the router wants of a shard, as the server's own task does.
pub(super) async fn commands(shard: Rc<RefCell<Shard>>, mut queue: Receiver<ToShard>) {
    let mut commands = Vec::new();
    loop {
        let (tells_gaps, fans_out, is_enough) = {
            let shard = shard.borrow();
            let is_enough = shard.is_fanning_out_enough();
            (shard.has_gaps_to_tell(), shard.has_fan_outs(), is_enough)
        };
        let takes = !is_enough && !tells_gaps && commands.is_empty();
        select! {
            biased;
            () = queue.receive(&mut commands, BATCH), if takes => {}
            () = ready(()), if fans_out || !takes => {}
        }
        {
            let mut shard = shard.borrow_mut();
            if fans_out && (tells_gaps || is_enough) {
                shard.continue_fan_outs(now());
            } else if tells_gaps {
                shard.tell_gaps(now());
            } else {
                shard.apply_commands(&mut commands, now());
            }
        }
        yield_now().await;
    }
}

pub(super) async fn timers(shard: Rc<RefCell<Shard>>) {
    let timer = shard.borrow().timer();
    loop {
        let next = shard.borrow().next_turn();
        select! {
            biased;
            () = until(next) => shard.borrow_mut().turn(now()),
            () = timer.notified() => {}
        }
    }
}

/// Closes the clients of a shard, evenly over some time.
pub(super) async fn drain(shard: Rc<RefCell<Shard>>, time: Duration) {
    let (start, sessions) = (now(), shard.borrow().session_count());
    loop {
        let passed = now().duration_since(start).as_secs_f64() / time.as_secs_f64();
        let due = (sessions as f64 * passed.min(1.0)).ceil() as usize;
        let closed = sessions.saturating_sub(shard.borrow().staying());
        let count = due.saturating_sub(closed);
        shard.borrow_mut().retire_some(count, now());
        if passed >= 1.0 {
            return shard.borrow_mut().close_all(now());
        }
        sleep(DRAIN_STEP).await;
    }
}

pub(super) async fn relief(shard: Rc<RefCell<Shard>>) {
    loop {
        sleep(RELIEF_INTERVAL).await;
        shard.borrow_mut().tick(now());
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => pending().await,
    }
}
