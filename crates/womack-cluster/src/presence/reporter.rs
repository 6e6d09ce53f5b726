//! The reporter's loop: connects, writes reports, keeps this node's record, and begins counts.

use std::{
    collections::VecDeque,
    future::ready,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use redis::{RedisError, RedisResult};
use tokio::{
    select,
    time::{Interval, MissedTickBehavior, interval_at, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use womack_engine::{
    Context, Count, Receiver, Report, Reports, Sender, ShardId, Throttle, ToShard,
};
use womack_redis::{Backend, Backoff, RefusalCause, clock};

use super::{
    commands::Records,
    keys::Keys,
    ledger::{Ledger, has_no_keys, is_refusal},
    sweep::Sweep,
    thread::ReporterTask,
};
use crate::{metrics::EventMetrics, thread::Thread};

/// Reports that are taken at one go and travel together.
const REPORTS_PER_BATCH: usize = 512;
/// Signs of life within the time after which a node is taken for dead.
const BEATS: u32 = 3;

/// The settings of the reporter.
#[derive(Clone, Debug)]
pub struct ReporterConfig {
    /// Prefix of the Redis channels of server events, and of the keys of records.
    pub events_key: String,
    /// After how long without a sign of life a node is taken for dead.
    pub node_timeout: Duration,
}

/// Everything that the reporter is made of.
pub struct Reporter {
    /// The Redis that server events are published at.
    pub backend: Backend,
    /// The reports of the shards.
    pub queue: Receiver<Report>,
    /// The queues of the shards.
    pub shards: Vec<Sender<ToShard>>,
    /// State that the shards share.
    pub context: Arc<Context>,
    /// The settings.
    pub config: ReporterConfig,
    /// The counters.
    pub metrics: EventMetrics,
    /// Cancelled when the shards have said all.
    pub finish: CancellationToken,
}

impl Reporter {
    /// Starts the reporter's thread.
    ///
    /// # Errors
    /// The system refuses a runtime or a thread.
    pub fn start(self) -> io::Result<ReporterTask> {
        let finish = self.finish.clone();
        Thread::start("womack-reporter", finish, || self.run()).map(ReporterTask)
    }

    /// Runs in a `LocalSet` of the caller, in place of a thread.
    #[cfg(feature = "simulation")]
    pub async fn run_here(self) {
        self.run().await;
    }

    /// Runs until everything is written after the shards have said all.
    async fn run(self) {
        let keys = Keys::new(&self.config.events_key, self.context.sids.node);
        let mut running = Running {
            keys,
            batch: Vec::new(),
            count: Count::default(),
            counting: 0,
            sweeps: VecDeque::new(),
            records: Records::Kept,
            enlisted: false,
            look_from: clock::now(),
            backoff: Backoff::default(),
            failures: Throttle::new(Duration::from_secs(10)),
            refusals: Throttle::new(Duration::from_secs(10)),
            reporter: self,
        };
        loop {
            let ledger = running.connect().await;
            match running.serve(ledger).await {
                Ok(()) => return,
                Err(error) => running.failed(&error),
            }
        }
    }
}

/// A reporter that runs, and what it knows of this node's record.
pub(super) struct Running {
    pub(super) reporter: Reporter,
    pub(super) keys: Keys,
    /// Reports that are not written yet.
    pub(super) batch: Vec<Report>,
    /// The last count that was begun.
    pub(super) count: Count,
    /// Shards that have not been counted to their end.
    counting: usize,
    /// Records that are gone through.
    pub(super) sweeps: VecDeque<Sweep>,
    pub(super) records: Records,
    /// Whether this node has a record and gives signs of life.
    pub(super) enlisted: bool,
    /// From when on nodes without a sign of life are dead: after Redis was away, all had none.
    look_from: Instant,
    pub(super) backoff: Backoff,
    failures: Throttle,
    refusals: Throttle,
}

impl Running {
    /// Connects, trying again and again; what is reported meanwhile waits in the queue.
    async fn connect(&mut self) -> Ledger {
        loop {
            if let Some(wait) = self.backoff.wait() {
                sleep(wait).await;
            }
            match Ledger::connect(&self.reporter.backend, self.keys.clone()).await {
                Ok(ledger) => return ledger,
                Err(error) => self.failed(&error),
            }
        }
    }

    fn failed(&mut self, error: &RedisError) {
        self.backoff.failed();
        if let Some(held_back) = self.failures.pass(clock::now()) {
            let waiting = self.reports().len() + self.batch.len();
            warn!(%error, held_back, waiting, "server events wait for redis");
        }
    }

    /// Serves until the shards have said all, or until the link is lost.
    async fn serve(&mut self, mut ledger: Ledger) -> RedisResult<()> {
        let timeout = self.reporter.config.node_timeout;
        let mut beats = beats(timeout);
        let mut finishing = false;
        self.records = Records::Kept;
        self.enlisted = false;
        self.look_from = clock::now() + timeout;
        self.sweeps.clear();
        self.keep_record(&mut ledger).await?;
        loop {
            // After a link was lost there are reports before the first that is received.
            if !self.batch.is_empty() {
                self.write(&mut ledger).await?;
            }
            self.sweep(&mut ledger).await?;
            select! {
                biased;
                error = &mut ledger.guard => return Err(error),
                _ = beats.tick() => self.keep_record(&mut ledger).await?,
                () = self.reporter.finish.cancelled(), if !finishing => finishing = true,
                () = self.reporter.queue.receive(&mut self.batch, REPORTS_PER_BATCH) => {}
                () = ready(()), if finishing => return self.take_leave(&mut ledger).await,
                () = ready(()), if !self.sweeps.is_empty() => {}
            }
        }
    }

    /// Keeps this node's record alive and looks for those of dead nodes, if this Redis has keys.
    pub(super) async fn keep_record(&mut self, ledger: &mut Ledger) -> RedisResult<()> {
        if !self.has_keys() {
            return Ok(());
        }
        match self.beat(ledger).await {
            Err(error) if has_no_keys(&error) => {
                self.records = Records::NoKeys;
                info!(
                    "this redis has no keys: there is no presence, and nobody publishes \
                     unsubscribe events in place of a node that died"
                );
            }
            done => {
                let is_refused = done.as_ref().is_err_and(is_refusal);
                self.records = match is_refused {
                    true => Records::Refused,
                    false => Records::Kept,
                };
                self.unless_refused(done)?;
            }
        }
        self.backoff.succeeded();
        Ok(())
    }

    /// Gives a sign of life and looks for those who give none.
    async fn beat(&mut self, ledger: &mut Ledger) -> RedisResult<()> {
        let timeout = self.reporter.config.node_timeout;
        if !ledger.beat(timeout).await? {
            self.enlisted = false;
        }
        if !self.enlisted {
            if !ledger.enlist(timeout).await? {
                return Ok(());
            }
            self.enlisted = true;
            self.reports().set_lost();
        }
        if self.reports().take_lost() {
            self.begin_count().await;
        }
        if self.sweeps.is_empty() && clock::now() >= self.look_from {
            self.look_for_the_dead(ledger).await?;
        }
        Ok(())
    }

    /// Has the shards report who is in which channel.
    async fn begin_count(&mut self) {
        self.count.0 += 1;
        self.counting = self.reporter.shards.len();
        for shard in (0..).map(ShardId).take(self.counting) {
            self.count_on(shard, 0).await;
        }
    }

    async fn count_on(&self, shard: ShardId, from: u32) {
        let count = self.count;
        self.hand(shard, ToShard::Count { count, from }).await;
    }

    /// A shard has counted a part of its clients.
    pub(super) async fn counted(&mut self, count: Count, shard: ShardId, next: Option<u32>) {
        if count != self.count {
            return;
        }
        match next {
            Some(from) => self.count_on(shard, from).await,
            None => self.counting = self.counting.saturating_sub(1),
        }
        // Clients whose report was lost have not gone: they are counted again.
        if self.counting == 0 && self.has_keys() && !self.reports().is_lost() {
            let node = self.keys.node.clone();
            self.sweeps.push_back(Sweep::uncounted(node, count));
        }
    }

    /// Puts `command` into the queue of `shard`, and waits for room if there is none: a shard
    /// waits for nobody, so it will make room.
    pub(super) async fn hand(&self, shard: ShardId, command: ToShard) {
        let sender = &self.reporter.shards[usize::from(shard.0)];
        sender.push_waiting(command).await;
        sender.wake();
    }

    /// A refusal by Redis is the operator's to see to, and no reason to connect again.
    pub(super) fn unless_refused(&mut self, done: RedisResult<()>) -> RedisResult<()> {
        match done {
            Err(error) if is_refusal(&error) => {
                self.refused(&error);
                Ok(())
            }
            done => done,
        }
    }

    pub(super) fn refused(&mut self, error: &RedisError) {
        if let Some(held_back) = self.refusals.pass(clock::now()) {
            let events_key = &self.reporter.config.events_key;
            let remedy = remedy(error, events_key);
            warn!(
                %error, events_key, remedy, held_back,
                "redis refuses a server event, or a record of clients, below events-key"
            );
        }
    }

    /// Whether this Redis has keys.
    pub(super) fn has_keys(&self) -> bool {
        self.records != Records::NoKeys
    }

    pub(super) fn reports(&self) -> &Reports {
        let reports = self.reporter.context.reports.as_ref();
        reports.expect("there is a reporter only if there are reports")
    }
}

/// Advice to an operator whose Redis refuses something below `key`.
fn remedy(refusal: &RedisError, key: &str) -> Option<String> {
    match RefusalCause::from(refusal) {
        RefusalCause::Acl => Some(format!(
            "allow the Redis user ~{key}:* &{key}:* (events-key), and the command if the error \
             names one"
        )),
        RefusalCause::Memory => Some("free memory at Redis, or raise its maxmemory".to_owned()),
        RefusalCause::Other => None,
    }
}

fn beats(timeout: Duration) -> Interval {
    let time = timeout / BEATS;
    let mut beats = interval_at(tokio::time::Instant::now() + time, time);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beats
}
