//! A client that behaves, and newcomers who want to become clients, while others do not behave.

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
/// After that a message is lost, and a newcomer is not answered.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whom the witness bears witness of.
#[derive(Clone)]
pub(crate) struct Scene {
    /// The nodes: clients connect to the first, and meet it by way of the last.
    pub(crate) nodes: Vec<SocketAddr>,
    /// Where the witness's messages are published.
    pub(crate) redis: String,
    /// Between two messages, and between two newcomers.
    pub(crate) interval: Duration,
}

/// A thread with a runtime of its own, so that attackers do not delay it.
pub(crate) struct Witness {
    thread: JoinHandle<Testimony>,
    progress: Arc<Progress>,
}

#[derive(Default)]
struct Progress {
    stops: AtomicBool,
    deliveries: AtomicUsize,
    newcomers: AtomicUsize,
}

/// What the witness has seen.
#[derive(Debug)]
pub(crate) struct Testimony {
    /// How long each message took, in ascending order.
    pub(crate) deliveries: Vec<Duration>,
    /// The longest time without a delivery.
    pub(crate) longest_silence: Duration,
    /// The longest time in which no newcomer was taken.
    pub(crate) longest_refusal: Duration,
    /// How often the server closed the witness's connection.
    pub(crate) closed: usize,
}

impl Testimony {
    /// The time that 99 of 100 deliveries keep to.
    pub(crate) fn p99(&self) -> Duration {
        let place = (self.deliveries.len() * 99).div_ceil(100).max(1) - 1;
        self.deliveries.get(place).copied().unwrap_or_default()
    }
}

impl Witness {
    /// Starts to look, and returns when both have been served several times.
    pub(crate) async fn start(scene: Scene) -> Self {
        let progress = Arc::<Progress>::default();
        let told = progress.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let ((deliveries, longest_silence, closed), longest_refusal) =
                    tokio::join!(deliveries(&scene, &told), newcomers(&scene, &told));
                Testimony {
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

    /// Ends, and returns what it has seen.
    pub(crate) fn stop(self) -> Testimony {
        self.progress.stops.store(true, Ordering::Relaxed);
        self.thread.join().expect("the witness does not panic")
    }
}

impl Progress {
    fn stops(&self) -> bool {
        self.stops.load(Ordering::Relaxed)
    }
}

/// The longest time since the last success.
struct Absence {
    last: Instant,
    longest: Duration,
}

impl Absence {
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
async fn deliveries(scene: &Scene, progress: &Progress) -> (Vec<Duration>, Duration, usize) {
    let redis = RedisClient::open(scene.redis.as_str()).expect("a URL of Redis");
    let redis = redis.get_multiplexed_async_connection().await;
    let mut redis = redis.expect("Redis takes a connection");
    let (mut times, mut absence, mut closed) = (Vec::new(), Absence::new(), 0);
    let mut ticks = interval(scene.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = 0;
    while !progress.stops() {
        ticks.tick().await;
        let subscribed = timeout(PATIENCE, subscriber(scene.nodes[0])).await;
        let Some(mut client) = subscribed.ok().flatten() else {
            absence.observe(false);
            continue;
        };
        while !progress.stops() {
            number += 1;
            let began = Instant::now();
            let delivery = timeout(PATIENCE, deliver(&mut redis, &mut client, number)).await;
            absence.observe(matches!(delivery, Ok(Some(()))));
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
    (times, absence.longest, closed)
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
    // What is not published is not delivered either; the next message follows soon.
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

/// Comes anew again and again. Returns the longest time without success.
async fn newcomers(scene: &Scene, progress: &Progress) -> Duration {
    let mut absence = Absence::new();
    let mut ticks = interval(scene.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !progress.stops() {
        ticks.tick().await;
        let taken = timeout(PATIENCE, newcomer(&scene.nodes)).await;
        let is_taken = taken.is_ok_and(|taken| taken.is_some());
        absence.observe(is_taken);
        progress
            .newcomers
            .fetch_add(usize::from(is_taken), Ordering::Relaxed);
    }
    absence.longest
}

/// Comes and goes; `None` if it is not taken.
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
