//! A well-behaved subscriber, and newcomers, whose service is measured during an attack.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use redis::{AsyncCommands, Client as RedisClient, aio::MultiplexedConnection};
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval, timeout};
use womack_test_support::{Client, eventually, http};

/// The channel of the witness, which nobody else is in.
const CHANNEL: &str = "witness";
const REDIS_CHANNEL: &str = "womack:ns:default:witness";
/// Time-out of a message and of a newcomer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Servers and intervals of a witness.
#[derive(Clone)]
pub(crate) struct WitnessSettings {
    /// The nodes: sessions are at the first; with two, newcomers reach theirs by way of the second.
    pub(crate) nodes: Vec<SocketAddr>,
    /// URL of the Redis at which messages are published.
    pub(crate) redis: String,
    /// Interval between messages, and between newcomers.
    pub(crate) interval: Duration,
}

/// A thread with a runtime of its own, so that attackers do not delay it.
pub(crate) struct Witness {
    thread: JoinHandle<ServiceReport>,
    progress: Arc<Progress>,
}

#[derive(Default)]
struct Progress {
    stop: AtomicBool,
    deliveries: AtomicUsize,
    newcomers: AtomicUsize,
}

/// Measurements of the witness and of newcomers.
#[derive(Debug)]
pub(crate) struct ServiceReport {
    /// Latency of each message, in ascending order.
    pub(crate) deliveries: Vec<Duration>,
    /// The longest time without a delivery.
    pub(crate) longest_silence: Duration,
    /// The longest time in which no newcomer was taken.
    pub(crate) longest_refusal: Duration,
    /// Number of times that the server closed the witness's connection.
    pub(crate) closed: usize,
}

impl ServiceReport {
    /// The 99th percentile of the latencies.
    pub(crate) fn p99(&self) -> Duration {
        let place = (self.deliveries.len() * 99).div_ceil(100).max(1) - 1;
        self.deliveries.get(place).copied().unwrap_or_default()
    }
}

impl Witness {
    /// Starts it, and returns once both have been served several times.
    pub(crate) async fn start(settings: WitnessSettings) -> Self {
        let progress = Arc::<Progress>::default();
        let told = progress.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let ((deliveries, longest_silence, closed), longest_refusal) =
                    tokio::join!(deliveries(&settings, &told), newcomers(&settings, &told));
                ServiceReport {
                    deliveries,
                    longest_silence,
                    longest_refusal,
                    closed,
                }
            })
        });
        let witness = Self { thread, progress };
        eventually("the witness to be served", async || {
            let served = |count: &AtomicUsize| count.load(Ordering::Relaxed) >= 3;
            served(&witness.progress.deliveries) && served(&witness.progress.newcomers)
        })
        .await;
        witness
    }

    /// Stops it, and returns the measurements.
    pub(crate) fn stop(self) -> ServiceReport {
        self.progress.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the witness does not panic")
    }
}

impl Progress {
    fn stops(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Tracks the longest time without a success.
struct Outage {
    last: Instant,
    longest: Duration,
}

impl Outage {
    fn new() -> Self {
        Self {
            last: Instant::now(),
            longest: Duration::ZERO,
        }
    }

    fn observe(&mut self, is_success: bool) {
        let now = Instant::now();
        self.longest = self.longest.max(now - self.last);
        if is_success {
            self.last = now;
        }
    }
}

/// Publishes and waits for what was published, again and again. Returns how long that took, the
/// longest time without it, and how often the connection ended.
async fn deliveries(
    settings: &WitnessSettings,
    progress: &Progress,
) -> (Vec<Duration>, Duration, usize) {
    let redis = RedisClient::open(settings.redis.as_str()).expect("a URL of Redis");
    let redis = redis.get_multiplexed_async_connection().await;
    let mut redis = redis.expect("Redis takes a connection");
    let (mut times, mut outage, mut closed) = (Vec::new(), Outage::new(), 0);
    let mut ticks = interval(settings.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = 0;
    while !progress.stops() {
        ticks.tick().await;
        let subscribed = timeout(PATIENCE, subscriber(settings.nodes[0])).await;
        let Some(mut client) = subscribed.ok().flatten() else {
            outage.observe(false);
            continue;
        };
        while !progress.stops() {
            number += 1;
            let began = Instant::now();
            let delivery = timeout(PATIENCE, deliver(&mut redis, &mut client, number)).await;
            outage.observe(matches!(delivery, Ok(Some(()))));
            times.push(began.elapsed());
            if matches!(delivery, Ok(None)) {
                closed += 1;
                break;
            }
            progress.deliveries.fetch_add(1, Ordering::Relaxed);
            ticks.tick().await;
        }
    }
    times.sort_unstable();
    (times, outage.longest, closed)
}

async fn subscriber(address: SocketAddr) -> Option<Client> {
    let path = "/socket.io/?EIO=4&transport=websocket";
    let mut client = Client::try_raw(address, path).await.ok()?;
    is_open(&client.packet_or_end().await?).then_some(())?;
    let subscribe = format!(r#"420["subscribe","{CHANNEL}"]"#);
    for (packet, answer) in [("40", "40{"), (&subscribe, r#"430[{"ok":true"#)] {
        client.try_send(packet).await.then_some(())?;
        let got = client.packet_or_end().await?;
        got.starts_with(answer).then_some(())?;
    }
    Some(client)
}

fn is_open(packet: &str) -> bool {
    packet.starts_with("0{")
}

async fn deliver(
    redis: &mut MultiplexedConnection,
    client: &mut Client,
    number: u64,
) -> Option<()> {
    // A message that could not be published times out like one that is not delivered.
    let published = redis.publish(REDIS_CHANNEL, number.to_string()).await;
    let _receivers: usize = published.unwrap_or_default();
    let wanted = format!(r#"42["{CHANNEL}",{number}]"#);
    loop {
        // A message that was given up may come late.
        if client.packet_or_end().await? == wanted {
            return Some(());
        }
    }
}

/// Connects again and again. Returns the longest time without success.
async fn newcomers(settings: &WitnessSettings, progress: &Progress) -> Duration {
    let mut outage = Outage::new();
    let mut ticks = interval(settings.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !progress.stops() {
        ticks.tick().await;
        let taken = timeout(PATIENCE, newcomer(&settings.nodes)).await;
        let is_taken = taken.is_ok_and(|taken| taken.is_some());
        outage.observe(is_taken);
        progress
            .newcomers
            .fetch_add(usize::from(is_taken), Ordering::Relaxed);
    }
    outage.longest
}

/// Connects and closes; `None` if it is refused.
async fn newcomer(nodes: &[SocketAddr]) -> Option<()> {
    let [owner, .., ingress] = nodes else {
        let path = "/socket.io/?EIO=4&transport=websocket";
        let mut client = Client::try_raw(nodes[0], path).await.ok()?;
        return is_open(&client.packet_or_end().await?).then_some(());
    };
    let path = "/socket.io/?EIO=4&transport=polling";
    let open = http::try_get(*owner, path).await?.text();
    let open: Value = serde_json::from_str(open.strip_prefix('0')?).ok()?;
    let path = format!("{path}&sid={}", open["sid"].as_str()?);
    // The session ends with that.
    let answer = http::try_post(*ingress, &path, "1").await?;
    (answer.status == 200).then_some(())
}
