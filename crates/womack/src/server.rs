//! Chooses the Redis, starts the threads, waits for a signal, drains and joins.

mod start;

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    select,
    sync::oneshot,
    task::LocalSet,
    time::{Timeout, sleep, timeout_at},
};
use tracing::{error, info, warn};

use self::start::Start;
use womack_engine::{Channels, DirtyChannels, Endpoint, Entry, Families, Messages, Namespace, Receiver, Registry, Report, Reports, Ring, Scale, Sender, SidSource, Speaks, ToShard, queue, weighed_queue};
use womack_ledger::{Admission, Ledger, Memory, QUEUE_BYTES};
use crate::{cluster::relay::Relaying, config::Config, error::Error, listen::listen, metrics::Metrics, reporter::Reporting, runtime::{Deadlines, DrainSteps}, settings::Egress, signals::{Signals, stop_at_once}, source::Source, status::Status, supervisor::{self, Ports}, worker};

/// Commands that may wait for one shard. A full queue means that the machine is full.
const SHARD_QUEUE: usize = 4096;
/// Commands that may wait for the router: the supervisor's questions whether it works.
const ROUTER_QUEUE: usize = 64;
/// Requests that may wait to be carried to other nodes.
const RELAY_QUEUE: usize = 4096;
/// Descriptors that are not clients: listeners, Redis, logs.
const RESERVED_FILES: u64 = 64;

/// A server that is set up and does not run yet.
///
/// ```no_run
/// use womack::{Client, Config, Event, Namespace, Server};
///
/// struct Chat;
///
/// impl Namespace for Chat {
///     fn on_event(&self, client: &mut Client<'_>, event: &Event) {
///         client.emit("echo", &event.args);
///     }
/// }
///
/// Server::new(Config::default()).namespace("/chat", Chat).run()?;
/// # Ok::<(), womack::Error>(())
/// ```
pub struct Server {
    config: Config,
    namespaces: Vec<(String, Arc<dyn Namespace>)>,
    endpoints: Vec<Endpoint>,
    reload: Option<Reload>,
}

/// Reads the settings again, and does with the log what they say.
pub(crate) type Reload = Box<dyn Fn() -> Result<Config, Error>>;

impl Server {
    /// A server with the namespace `/` and those of the configuration, all with the stock
    /// behaviour.
    pub fn new(config: Config) -> Self {
        let stock = |key| Arc::new(Channels::new(&config, key)) as Arc<dyn Namespace>;
        let mut namespaces = vec![("/".to_owned(), stock(None))];
        for setting in &config.namespaces {
            namespaces.retain(|(path, _)| *path != setting.path);
            namespaces.push((setting.path.clone(), stock(setting.key.clone())));
        }
        // `/` comes first whether or not the configuration names it.
        namespaces.sort_by_key(|(path, _)| path != "/");
        let endpoints = [
            ("/socket.io/", Speaks::SocketIo),
            ("/ws", Speaks::Lines),
            ("/events", Speaks::Events),
        ];
        let endpoints = endpoints.map(|(path, speaks)| Endpoint {
            path: path.to_owned(),
            speaks,
        });
        Self {
            config,
            namespaces,
            endpoints: endpoints.into(),
            reload: None,
        }
    }

    /// Where a new configuration comes from when the server is told to reload it.
    pub(crate) fn reloading(mut self, reload: Reload) -> Self {
        self.reload = Some(reload);
        self
    }

    /// Gives the namespace at `path` its own behaviour, in place of the one it had.
    #[must_use]
    pub fn namespace(mut self, path: &str, namespace: impl Namespace) -> Self {
        let namespace = Arc::new(namespace);
        match self.namespaces.iter_mut().find(|(known, _)| known == path) {
            Some((_, known)) => *known = namespace,
            None => self.namespaces.push((path.to_owned(), namespace)),
        }
        self
    }

    /// Speaks Engine.IO without Socket.IO at `path`, which begins and ends with a slash.
    #[must_use]
    pub fn messages(mut self, path: &str, messages: impl Messages) -> Self {
        self.endpoints.push(Endpoint {
            path: path.to_owned(),
            speaks: Speaks::EngineIo(Arc::new(messages)),
        });
        self
    }

    /// Speaks WebSocket at `path` without anything on top: messages go to `messages` as they come,
    /// and clients are pinged with control frames. The path `*` stands for every path, so that
    /// no other WebSocket is served.
    #[must_use]
    pub fn websocket(mut self, path: &str, messages: impl Messages) -> Self {
        self.endpoints.push(Endpoint {
            path: path.to_owned(),
            speaks: Speaks::WebSocket(Arc::new(messages)),
        });
        self
    }

    /// What only the namespaces together with the configuration can be asked.
    fn check(&self) -> Result<(), Error> {
        if let Some(events_key) = &self.config.events_key {
            for (path, namespace) in &self.namespaces {
                let key = namespace.key().unwrap_or(&self.config.key);
                if format!("{events_key}:").starts_with(&format!("{key}:")) {
                    return Err(Error::Config(format!(
                        "clients of {path} could read all events: events-key {events_key:?} \
                         begins with its key"
                    )));
                }
            }
        }
        let relay_key = &self.config.nodes.relay_key;
        let keys = self.namespaces.iter();
        let mut keys = keys.map(|(_, namespace)| namespace.key().unwrap_or(&self.config.key));
        let readable = |key: &&str| format!("{relay_key}:").starts_with(&format!("{key}:"));
        if let Some(key) = keys.find(readable).filter(|_| self.config.nodes.relays) {
            return Err(Error::Config(format!(
                "clients could read what nodes say to one another: relay-key {relay_key:?} begins \
                 with the key {key:?}"
            )));
        }
        let known = |path: &&String| self.namespaces.iter().any(|(known, _)| known == *path);
        let unknown = self.config.presence.iter().find(|path| !known(path));
        unknown.map_or(Ok(()), |path| {
            Err(Error::Config(format!(
                "presence names {path:?}, which is no namespace"
            )))
        })
    }

    /// Runs until SIGTERM or SIGINT, then closes all clients and returns. A second signal ends
    /// the process at once. SIGHUP has the settings read again, if they came from the command line.
    ///
    /// # Errors
    /// The port is taken, or the system refuses threads or descriptors.
    pub fn run(mut self) -> Result<(), Error> {
        LocalSet::new().block_on(&worker::runtime()?, async {
            let mut signals = Signals::new()?;
            let reload = self.reload.take();
            let running = Running::start(self, reload).await?;
            let ended = running.until_stopped(&mut signals).await;
            info!("stopped");
            ended
        })
    }
}

/// A server whose threads run.
struct Running {
    shards: Vec<Sender<ToShard>>,
    status: Arc<Status>,
    steps: Arc<DrainSteps>,
    /// One for each shard's thread: what it ended with.
    ended: Vec<oneshot::Receiver<std::io::Result<()>>>,
    reporting: Option<Reporting>,
    relaying: Option<Relaying>,
    /// How long balancers have to find out that the server stops.
    drain_delay: Duration,
    server: Arc<ServerContext>,
    reload: Option<Reload>,
}

impl Running {
    async fn start(server: Server, reload: Option<Reload>) -> Result<Self, Error> {
        server.check()?;
        let config = &server.config;
        let ports = Ports::inherited()?;
        let inherited = ports.shared(config.shards)?;
        let is_inherited = inherited.is_some();
        let listeners = match inherited {
            Some(listeners) => listeners,
            None => listen(&config.host, config.port, config.shards)?,
        };
        let address = listeners[0].local_addr()?;
        let admin = config
            .admin_listen
            .as_deref()
            .map(admin_listener)
            .transpose()?;
        let admin = ports.admin.or(admin);
        let admin_address = admin.as_ref().and_then(|admin| admin.local_addr().ok());
        let uses_ring = uses_ring(config.egress)?;
        let source = Source::find(&config.redis).await?;
        if config.diagnose_publishes && source.backend.is_cluster() {
            return Err(Error::Config(
                "diagnose-publishes needs one Redis: nobody hears all of a cluster".to_owned(),
            ));
        }
        let files = rlimit::increase_nofile_limit(u64::MAX);
        let room = files.as_ref().map_or(u64::MAX, |files| room(*files));
        // Nobody else reaches the embedded broker.
        let relays = config.nodes.relays && source.broker.is_none();
        let drain_delay = config.nodes.drain_delay;
        let (common, reports) = common(server, room)?;
        let common = Arc::new(common);
        // From here on the start does not fail for what an operator wrote: a mistake is one line.
        match files {
            Ok(files) => info!(open_files = files, clients = room, "room for clients"),
            Err(error) => warn!(%error, "the limit of open files could not be raised"),
        }
        info!(
            egress = if uses_ring { "io_uring" } else { "write" },
            "how rounds are written"
        );
        if let Some(broker) = source.broker {
            info!(address = %broker.local_addr()?, "the embedded broker listens");
            tokio::task::spawn_local(async {
                if let Err(error) = womack_broker::serve(broker, Default::default()).await {
                    error!(%error, "the embedded broker ended");
                }
            });
        }
        let status = Arc::new(Status::new(relays));
        let dirty = Arc::new(DirtyChannels::new(common.config.shards));
        let shard_count = listeners.len();
        let (router_sender, router_queue) = queue(ROUTER_QUEUE);
        let (shards, queues): (Vec<_>, Vec<_>) =
            server.engine.memory.queues().iter().map(shard_queue).unzip();
        let (relay, relay_queue) = relays.then(|| queue(RELAY_QUEUE)).unzip();
        let start = Start {
            common,
            status,
            dirty,
            router_sender,
            shards,
            relay,
            uses_ring,
            is_inherited,
            steps: Arc::new(DrainSteps::new(shard_count)),
        };
        let relaying = relay_queue
            .map(|queue| Relaying::start(start.relay(queue, source.backend.clone())))
            .transpose()?;
        let reporting = reports
            .map(|queue| Reporting::start(start.reporter(queue, source.backend.clone())))
            .transpose()?;
        let ended = start
            .threads(listeners, queues, admin, router_queue, source.backend)
            .await?;
        announce(address, admin_address);
        supervisor::ready();
        let watching = supervisor::watch(start.shards.clone(), start.router_sender);
        tokio::task::spawn_local(watching);
        Ok(Self {
            shards: start.shards,
            status: start.status,
            steps: start.steps,
            ended,
            reporting,
            relaying,
            drain_delay,
            common: start.server,
            reload,
        })
    }

    /// Reads the settings again and takes what can be taken.
    fn reload(&self) {
        let Some(reload) = &self.reload else {
            return warn!("there are no settings to be read again");
        };
        supervisor::reloading();
        match reload() {
            Ok(new) => match self.server.config.take_over(&new)[..] {
                [] => info!("the settings have been read again"),
                ref kept => {
                    let kept = kept.join(", ");
                    warn!(
                        kept,
                        "the settings have been read again; some need a restart"
                    );
                }
            },
            Err(error) => error!(%error, "the settings are as they were"),
        }
        supervisor::ready();
    }

    /// Waits for a signal, or for a thread that ends although it should not; then drains.
    async fn until_stopped(mut self, signals: &mut Signals) -> Result<(), Error> {
        let failed = loop {
            select! {
                signal = signals.next() => match signal {
                    Some(signal) => {
                        info!(signal, "stopping");
                        break None;
                    }
                    None => self.reload(),
                },
                (ended, shard, _) = futures_util::future::select_all(&mut self.ended) => {
                    break Some((ended, shard));
                }
            }
        };
        supervisor::stopping();
        self.status.leave();
        if failed.is_none() && !self.drain_delay.is_zero() {
            info!(
                seconds = self.drain_delay.as_secs_f64(),
                "serving until balancers know"
            );
            select! {
                () = sleep(self.drain_delay) => {}
                signal = signals.end() => stop_at_once(signal),
            }
        }
        self.status.drain();
        if let Some((ended, shard)) = failed {
            for shard in &self.shards {
                // Nobody waits for those that have no time: the process is about to end.
                shard.send(ToShard::Drain).ok();
            }
            let reason = match ended {
                Ok(Err(error)) => format!("womack-shard-{shard} ({error})"),
                _ => format!("womack-shard-{shard}"),
            };
            return Err(Error::Thread(reason));
        }
        let deadlines = Deadlines::new(Instant::now(), self.server.config.drain);
        select! {
            () = self.drain(deadlines) => Ok(()),
            signal = signals.end() => stop_at_once(signal),
        }
    }

    /// Takes the steps of the drain, none of them later than `deadlines` say.
    async fn drain(self, deadlines: Deadlines) {
        let steps = &self.steps;
        let sessions_closed = async {
            self.tell_shards().await;
            steps.sessions_closed.opened().await;
        };
        if by(deadlines.sessions_closed, sessions_closed)
            .await
            .is_err()
        {
            warn!(
                "a shard is too busy to close its clients in time: the others close their \
                 connections without it, and its clients may be cut off"
            );
            steps.sessions_closed.open();
        }
        if by(deadlines.bytes_written, steps.bytes_written.opened())
            .await
            .is_err()
        {
            warn!("a shard is too busy to write the last bytes in time: its clients are cut off");
        }
        let relay = async {
            if let Some(relaying) = self.relaying {
                relaying.finish(deadlines.messages_sent).await;
            }
        };
        let reporter = async {
            if let Some(reporting) = self.reporting {
                reporting.finish(deadlines.messages_sent).await;
            }
        };
        tokio::join!(relay, reporter);
        // Until here operators were answered.
        steps.end.cancel();
        let ended = futures_util::future::join_all(self.ended);
        if by(deadlines.end, ended).await.is_err() {
            warn!("a shard's thread does not end, and is left behind");
        }
    }

    async fn tell_shards(&self) {
        for (number, shard) in self.shards.iter().enumerate() {
            if shard.send(ToShard::Drain).is_err() {
                warn!(shard = number, "a shard is too busy to be told to stop");
                shard.push_waiting(ToShard::Drain).await;
                shard.wake();
            }
        }
    }
}

/// Waits for `future`, but not beyond `deadline`.
fn by<F: Future>(deadline: Instant, future: F) -> Timeout<F> {
    timeout_at(deadline.into(), future)
}

/// Whether rounds are sent through io_uring: where the setting and the system allow it.
fn uses_ring(setting: Egress) -> Result<bool, Error> {
    match setting {
        Egress::Write => Ok(false),
        Egress::Auto => Ok(Ring::open().is_ok()),
        Egress::IoUring => Ring::open().map(|_| true).map_err(Error::NoIoUring),
    }
}

fn common(server: Server, room: u64) -> Result<(Context, Option<Receiver<Report>>), Error> {
    let Server {
        config,
        namespaces,
        endpoints,
        ..
    } = server;
    let shards = config.shards;
    let paths: Vec<String> = namespaces.iter().map(|(path, _)| path.clone()).collect();
    let rules = Context::rules(&config, &paths);
    let entries = namespaces.into_iter().map(|(path, handler)| {
        let key = handler.key().unwrap_or(&config.key).to_owned();
        let coalesce = config.coalesce_of(&path);
        let slow_client = config.slow_client_of(&path);
        let presence = config.presence.contains(&path);
        Entry {
            path,
            key,
            coalesce,
            slow_client,
            presence,
            handler,
        }
    });
    let registry = Registry::new(entries.collect());
    let metrics = Arc::new(Metrics::new(config.shards));
    let sids = SidSource::new().map_err(|error| Error::Io(std::io::Error::other(error)))?;
    let families = Families::new(&config, &registry, &sids)?;
    let (reports, queue) = config
        .events_key
        .is_some()
        .then(|| Reports::new(config.limits.load().max_waiting_events))
        .unzip();
    let common = Context {
        config,
        rules,
        registry,
        families,
        endpoints,
        metrics,
        sids,
        admission: Arc::new(Admission::new(usize::try_from(room).unwrap_or(usize::MAX))),
        memory: Memory::new(shards),
        reports,
    };
    Ok((common, queue))
}

fn admin_listener(address: &str) -> Result<TcpListener, Error> {
    let malformed = || Error::Config(format!("admin-listen {address:?} is not HOST:PORT"));
    let (host, port) = address.rsplit_once(':').ok_or_else(malformed)?;
    let port = port.parse().map_err(|_| malformed())?;
    listen(host, port, 1)?.pop().ok_or_else(malformed)
}

/// The queue of a shard, of which `ledger` is charged the messages.
fn shard_queue(ledger: &Ledger) -> (Sender<ToShard>, Receiver<ToShard>) {
    let scale = Scale {
        weigh: ToShard::bytes,
        most: QUEUE_BYTES,
        ledger: ledger.clone(),
    };
    weighed_queue(SHARD_QUEUE, scale)
}

/// How many clients there can be, as far as the system's limit of open files is known.
pub(crate) fn room_for_clients() -> usize {
    let (_, most) = rlimit::Resource::NOFILE.get().unwrap_or((0, 0));
    usize::try_from(room(most)).unwrap_or(usize::MAX)
}

/// How many clients there can be where so many files may be open.
const fn room(files: u64) -> u64 {
    files.saturating_sub(RESERVED_FILES)
}

/// The line that tools wait for: from here on clients are served.
fn announce(address: SocketAddr, admin: Option<SocketAddr>) {
    match admin {
        Some(admin) => info!(%address, %admin, "listening"),
        None => info!(%address, "listening"),
    }
}
