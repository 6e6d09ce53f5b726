//! Somebody who publishes without end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use redis::aio::MultiplexedConnection;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::within;

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
    pub(crate) number: u64,
    pub(crate) from: u64,
    pub(crate) to: u64,
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
