//! Somebody who publishes without end, and somebody who notes what comes of it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use redis::aio::MultiplexedConnection;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::{Client, within};

const PERIOD: Duration = Duration::from_millis(10);
/// Redis answers within that time, or it is away.
const ANSWER: Duration = Duration::from_secs(1);

/// Unix milliseconds.
pub fn millis() -> u64 {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(time.expect("a clock after 1970").as_millis()).expect("a clock before 584942417")
}

/// Publishes numbers, a hundred a second, to whichever of some servers is a master.
pub struct Ticker {
    ending: Arc<AtomicBool>,
    task: JoinHandle<Vec<Tick>>,
}

/// A number that a Redis has taken, and between which times.
#[derive(Debug)]
pub struct Tick {
    number: u64,
    from: u64,
    to: u64,
}

impl Ticker {
    /// Begins, by the command `PUBLISH` or `SPUBLISH`.
    pub fn start(masters: &[SocketAddr], command: &'static str, channel: &str) -> Self {
        let ending = Arc::new(AtomicBool::new(false));
        let (masters, until) = (masters.to_vec(), ending.clone());
        let channel = format!("womack:ns:default:{channel}");
        let task = tokio::spawn(tick(masters, command, channel, until));
        Self { ending, task }
    }

    /// Ends it; returns what was published.
    pub async fn finish(self) -> Vec<Tick> {
        self.ending.store(true, Ordering::Relaxed);
        within("the last number", self.task)
            .await
            .expect("it does not panic")
    }
}

async fn tick(
    masters: Vec<SocketAddr>,
    command: &'static str,
    channel: String,
    ending: Arc<AtomicBool>,
) -> Vec<Tick> {
    let mut ticks = Vec::new();
    let mut period = interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut connection = None;
    // One that a Redis may have taken without an answer is not published again.
    let mut number = 0;
    while !ending.load(Ordering::Relaxed) {
        period.tick().await;
        if connection.is_none() {
            connection = master(&masters).await;
        }
        let Some(master) = &mut connection else {
            continue;
        };
        number += 1;
        let mut publish = redis::cmd(command);
        publish
            .arg(&channel)
            .arg(json!({ "data": number }).to_string());
        let from = millis();
        let answer = timeout(ANSWER, publish.query_async::<i64>(master)).await;
        match answer {
            Ok(Ok(_)) => ticks.push(Tick {
                number,
                from,
                to: millis(),
            }),
            _ => connection = None,
        }
    }
    ticks
}

/// The first of these that is there and takes writes.
async fn master(addresses: &[SocketAddr]) -> Option<MultiplexedConnection> {
    for address in addresses {
        let client = redis::Client::open(format!("redis://{address}")).expect("an address");
        let Ok(Ok(mut connection)) =
            timeout(ANSWER, client.get_multiplexed_async_connection()).await
        else {
            continue;
        };
        let role: redis::RedisResult<redis::Value> =
            redis::cmd("ROLE").query_async(&mut connection).await;
        let role = role.ok().and_then(|role| role.into_sequence().ok());
        let name = role.and_then(|role| redis::from_redis_value(role.into_iter().next()?).ok());
        if name.is_some_and(|name: String| name == "master") {
            return Some(connection);
        }
    }
    None
}

/// A client that notes what it gets of a [`Ticker`].
pub struct Witness {
    seen: Arc<Mutex<Vec<Sight>>>,
    task: JoinHandle<()>,
}

/// What a witness has seen.
#[derive(Clone, Debug)]
pub enum Sight {
    /// A number, and when it came.
    Number(u64, Instant),
    /// That it may have missed what was published between these times.
    Gap(u64, u64),
}

impl Witness {
    /// Subscribes `client` to `channel`, the only one of its channels.
    pub async fn of(mut client: Client, channel: &str) -> Self {
        client.ignore_pings();
        client.subscribe(channel).await;
        let seen = Arc::<Mutex<Vec<Sight>>>::default();
        let (notes, head) = (seen.clone(), format!("42[\"{channel}\","));
        let task = tokio::spawn(async move {
            while let Some(packet) = client.packet_or_end().await {
                let sight = Sight::of(&packet, &head);
                notes.lock().expect("no holder panics").push(sight);
            }
        });
        Self { seen, task }
    }

    /// What it has seen until now.
    pub fn seen(&self) -> Vec<Sight> {
        self.seen.lock().expect("no holder panics").clone()
    }

    /// When the first number came after that time.
    pub fn first_after(&self, time: Instant) -> Option<Instant> {
        let seen = self.seen.lock().expect("no holder panics");
        seen.iter().find_map(|sight| match sight {
            Sight::Number(_, came) => (*came > time).then_some(*came),
            Sight::Gap(..) => None,
        })
    }

    /// How many gaps it was told of. Everything published was seen, once and in order, or is in one
    /// of them; and no gap covers the time after it was told.
    #[track_caller]
    pub fn gaps(&self, ticks: &[Tick]) -> usize {
        assert!(!self.task.is_finished(), "the client is still there");
        let seen = self.seen();
        let numbers = seen.iter().filter_map(|sight| match sight {
            Sight::Number(number, _) => Some(*number),
            Sight::Gap(..) => None,
        });
        let numbers: Vec<_> = numbers.collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
        let gaps = seen.iter().filter_map(|sight| match sight {
            Sight::Gap(from, to) => Some((*from, *to)),
            Sight::Number(..) => None,
        });
        let gaps: Vec<_> = gaps.collect();
        for tick in ticks {
            let told = gaps
                .iter()
                .any(|(from, to)| tick.to >= *from && tick.from <= *to);
            let came = numbers.binary_search(&tick.number).is_ok();
            assert!(told || came, "{tick:?} is missing, {gaps:?}");
        }
        gaps.len()
    }

    /// Whether this or a later number has come.
    pub fn has(&self, last: &Tick) -> bool {
        self.seen()
            .iter()
            .any(|sight| matches!(sight, Sight::Number(number, _) if *number >= last.number))
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sight {
    fn of(packet: &str, head: &str) -> Self {
        let envelope = packet
            .strip_prefix(head)
            .and_then(|rest| rest.strip_suffix(']'));
        if let Some(envelope) = envelope {
            let envelope: serde_json::Value = serde_json::from_str(envelope).expect("JSON");
            let number = envelope["data"].as_u64().expect("a number");
            return Self::Number(number, Instant::now());
        }
        let event = packet.strip_prefix("42").expect("an event");
        let event: serde_json::Value = serde_json::from_str(event).expect("JSON");
        assert_eq!(event[0], "womack:gap", "{packet}");
        let time = |name: &str| event[1][name].as_u64().expect("Unix milliseconds");
        Self::Gap(time("from"), time("to"))
    }
}
