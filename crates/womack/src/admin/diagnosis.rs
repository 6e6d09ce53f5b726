//! Messages that reach nobody, although clients are in a channel of nearly that name.
//!
//! The router subscribes to what clients want, so it never hears of a message on another channel.
//! With `--diagnose-publishes` this thread listens to everything that is published at the Redis,
//! over a link of its own, and says so when a publisher has got the key, a capital letter or a
//! character wrong. Redis then passes each message to this node a second time: it is for finding
//! out, on one node, rather than for always.

use std::{
    collections::HashMap,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::{info, warn};
use womack_engine::{Throttle, start_thread};
use womack_proto::subscriber::{Event, StaticSubscriptions};
use womack_redis::{
    Backend, Dispatch, Error as RedisError, RedisSubscriber, SubscriberConfig, SubscriberMetrics,
};

use super::Surveyor;
use crate::{context::ServerContext, near::Difference};

/// Messages that are looked at in one go.
const MESSAGES_PER_BATCH: usize = 1024;
/// Bytes of messages that wait for this thread; beyond, they wait at Redis.
const BACKLOG_BYTES: usize = 16 << 20;
/// Names that are remembered, so that each is looked for once.
const MOST_NAMES: usize = 10_000;
/// After how long they are forgotten: clients have come and gone.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Names that are looked for in a second; looking for one goes through all channels. Beyond, a
/// name is looked for when it comes again.
const LOOKS_PER_SECOND: u32 = 20;
/// Between two lines of the log.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// What listens to everything that is published.
pub(crate) struct Diagnosis {
    pub(crate) backend: Backend,
    pub(crate) server: Arc<ServerContext>,
    pub(crate) surveyor: Surveyor,
}

impl Diagnosis {
    /// Starts the thread, which ends with the process.
    ///
    /// # Errors
    /// The system refuses a runtime or a thread.
    pub(crate) fn start(self) -> io::Result<()> {
        start_thread("womack-diagnosis", move |runtime| {
            runtime.block_on(self.run())
        })?;
        Ok(())
    }

    async fn run(self) {
        let everything = SubscriberConfig {
            statics: StaticSubscriptions {
                patterns: vec!["*".into()],
                ..StaticSubscriptions::default()
            },
            max_backlog_bytes: BACKLOG_BYTES,
            // Only the names count.
            max_message_bytes: 0,
            ledger: self.server.engine.memory.others().clone(),
        };
        // What waits here is not what waits for the router, which the server's metrics tell.
        let apart = SubscriberMetrics::default();
        let subscriber = RedisSubscriber::open(self.backend.clone(), everything, apart);
        let mut examiner = Examiner {
            dispatch: Dispatch::new(self.backend.clone()),
            verdicts: Verdicts::new(Instant::now()),
            lines: Throttle::new(LINE_INTERVAL),
            diagnosis: self,
        };
        let mut events = Vec::new();
        loop {
            subscriber.receive(&mut events, MESSAGES_PER_BATCH).await;
            for event in events.drain(..) {
                match event {
                    Event::TooLong { channel, .. } => examiner.examine(&channel).await,
                    Event::Message(message) => examiner.examine(message.channel()).await,
                    Event::StaticRefused { reason, .. } => {
                        warn!(
                            reason,
                            "redis forbids to listen to everything that is published: nothing is \
                             diagnosed; allow it for the server's user (ACL SETUSER ... &*)"
                        );
                    }
                    Event::StaticLive => info!("listening to everything that is published"),
                    _ => {}
                }
            }
        }
    }
}

/// Looks at one message after the other.
struct Examiner {
    diagnosis: Diagnosis,
    dispatch: Dispatch,
    verdicts: Verdicts,
    lines: Throttle,
}

impl Examiner {
    async fn examine(&mut self, redis_channel: &str) {
        let Diagnosis {
            server, surveyor, ..
        } = &self.diagnosis;
        let is_others = server.engine.is_of_other_family(redis_channel);
        if is_others || surveyor.load(redis_channel).subscribers > 0 {
            return;
        }
        let now = Instant::now();
        let verdict = match self.verdicts.of(redis_channel, now) {
            Verdict::Later => return,
            Verdict::Known(known) => known,
            Verdict::Look => match self.look(redis_channel, now).await {
                Ok(found) => {
                    self.verdicts.remember(redis_channel, found);
                    found
                }
                // Redis does not say; the link will tell.
                Err(_) => None,
            },
        };
        if let Some(difference) = verdict {
            self.diagnosis.server.metrics.http.misaddressed(difference);
        }
    }

    /// Whether nobody wants `redis_channel`, and somebody wants one of nearly that name.
    async fn look(
        &mut self,
        redis_channel: &str,
        now: Instant,
    ) -> Result<Option<Difference>, RedisError> {
        let registry = &self.diagnosis.server.engine.registry;
        let keys: Vec<&str> = registry
            .iter()
            .map(|(_, entry)| entry.key.as_str())
            .collect();
        let alike = self.diagnosis.surveyor.alike(redis_channel, &keys);
        let Some(alike) = alike.into_iter().next() else {
            return Ok(None);
        };
        // Other nodes and other programs may have wanted just this.
        if self.dispatch.subscribers(redis_channel).await? > 0 {
            return Ok(None);
        }
        if let Some(held_back) = self.lines.pass(now) {
            let (wanted, difference) = (alike.redis_channel, alike.difference.as_str());
            warn!(
                published_on = redis_channel,
                %wanted,
                difference,
                held_back,
                "nobody got a message, and a channel of nearly this name has clients"
            );
        }
        Ok(Some(alike.difference))
    }
}

/// What is known of names that were published on and that no client of this node wants.
#[derive(Debug)]
struct Verdicts {
    names: HashMap<Box<str>, Option<Difference>>,
    since: Instant,
    /// When the second began of which looks are counted.
    second: Instant,
    /// Looks in that second.
    looks: u32,
}

/// What is to be done about a name.
#[derive(Debug, Eq, PartialEq)]
enum Verdict {
    /// It is known to be nearly another name, or to be like none.
    Known(Option<Difference>),
    /// Nobody has looked yet.
    Look,
    /// Nobody has looked yet, and there have been enough looks for now.
    Later,
}

impl Verdicts {
    fn new(now: Instant) -> Self {
        Self {
            names: HashMap::new(),
            since: now,
            second: now,
            looks: 0,
        }
    }

    fn of(&mut self, name: &str, now: Instant) -> Verdict {
        if now.duration_since(self.since) >= REMEMBERED || self.names.len() >= MOST_NAMES {
            self.names.clear();
            self.since = now;
        }
        if let Some(known) = self.names.get(name) {
            return Verdict::Known(*known);
        }
        if now.duration_since(self.second) >= Duration::from_secs(1) {
            (self.second, self.looks) = (now, 0);
        }
        if self.looks >= LOOKS_PER_SECOND {
            return Verdict::Later;
        }
        self.looks += 1;
        Verdict::Look
    }

    fn remember(&mut self, name: &str, verdict: Option<Difference>) {
        self.names.insert(name.into(), verdict);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_once_a_minute_and_not_too_many_in_a_second() {
        let now = Instant::now();
        let mut verdicts = Verdicts::new(now);
        assert_eq!(verdicts.of("a", now), Verdict::Look);
        verdicts.remember("a", Some(Difference::Case));
        assert_eq!(
            verdicts.of("a", now),
            Verdict::Known(Some(Difference::Case))
        );
        for number in 1..LOOKS_PER_SECOND {
            assert_eq!(verdicts.of(&format!("b{number}"), now), Verdict::Look);
        }
        assert_eq!(verdicts.of("c", now), Verdict::Later);
        let later = now + Duration::from_secs(1);
        assert_eq!(verdicts.of("c", later), Verdict::Look);
        assert_eq!(verdicts.of("a", now + REMEMBERED), Verdict::Look);
    }

    #[test]
    fn names_do_not_pile_up() {
        let now = Instant::now();
        let mut verdicts = Verdicts::new(now);
        for number in 0..=MOST_NAMES {
            verdicts.of(&number.to_string(), now);
            verdicts.remember(&number.to_string(), None);
        }
        assert!(verdicts.names.len() <= MOST_NAMES);
    }
}
