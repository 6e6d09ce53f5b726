//! The start of a server: what an operator wrote becomes listeners, queues and threads.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use tracing::{error, info, warn};
use womack_engine::{
    Beat, Context, ContextParts, DirtyChannels, Endpoint, Entry, Namespace, Receiver, Registry,
    Report, Reports, Ring, Scale, Sender, SessionRequest, SidSource, ToShard, queue, weighed_queue,
};
use womack_ledger::{Ledger, Memory, QUEUE_BYTES};
use womack_redis::Backend;

use super::{
    drain::DrainSteps,
    handles::ServerHandles,
    listen::{bound_clients, listen},
    running::{Reload, Running},
    source::Source,
    supervisor::{self, Ports},
    threads::{ShardThreads, ThreadStarter},
};
use crate::{
    config::{Config, ConfigError, settings::Egress},
    context::ServerContext,
    error::Error,
    http::{Descriptors, RefusedOrigins, RelayShares, for_clients},
    metrics::Metrics,
    status::Status,
};

/// Commands that may wait for one shard. A full queue means that the machine is full.
const SHARD_QUEUE: usize = 4096;
/// Beats that may wait for the router: the supervisor's questions whether it works.
const ROUTER_QUEUE: usize = 64;
/// Requests that may wait to be carried to other nodes.
const RELAY_QUEUE: usize = 4096;

/// How long a client may acknowledge nothing where messages may wait for it for any time. About what
/// Linux waits for anyway.
const MAX_SILENCE: Duration = Duration::from_secs(900);

/// Everything that a server is started with.
pub(crate) struct ServerParts {
    pub(crate) config: Config,
    /// Each with its path; the first is the one for `/`.
    pub(crate) namespaces: Vec<(String, Arc<dyn Namespace>)>,
    pub(crate) endpoints: Vec<Endpoint>,
}

/// The listeners of a server.
struct Listeners {
    /// One for each shard.
    clients: Vec<TcpListener>,
    /// Whether those for clients are another process's too.
    is_inherited: bool,
    /// The one for operators, if they have one of their own.
    admin: Option<TcpListener>,
}

impl Listeners {
    /// Takes the listeners that systemd holds, and opens the others.
    fn open(config: &Config) -> Result<Self, Error> {
        let ports = Ports::inherited()?;
        let inherited = ports.shared(config.shards)?;
        let is_inherited = inherited.is_some();
        let clients = match inherited {
            Some(listeners) => listeners,
            None => listen(&config.host, config.port, config.shards)?,
        };
        let silence = client_silence(config);
        for listener in &clients {
            bound_clients(listener, silence);
        }
        let admin = config.admin_listen.as_deref();
        let admin = admin.map(admin_listener).transpose()?;
        Ok(Self {
            clients,
            is_inherited,
            admin: ports.admin.or(admin),
        })
    }

    /// The addresses for clients and for operators.
    fn addresses(&self) -> io::Result<(SocketAddr, Option<SocketAddr>)> {
        let admin = self.admin.as_ref();
        let admin = admin.and_then(|admin| admin.local_addr().ok());
        Ok((self.clients[0].local_addr()?, admin))
    }
}

/// How long a client may acknowledge nothing: as long as it may answer no ping, and no less than a
/// message may wait for it.
fn client_silence(config: &Config) -> Duration {
    let queue = config.limits.load().max_client_queue_time;
    let ping = config.ping_interval + config.ping_timeout;
    ping.max(queue.unwrap_or(MAX_SILENCE))
}

impl Running {
    /// Starts a server.
    ///
    /// # Errors
    /// The settings contradict one another, the port is taken, or the system refuses something.
    pub(crate) async fn start(server: ServerParts, reload: Option<Reload>) -> Result<Self, Error> {
        let config = &server.config;
        let listeners = Listeners::open(config)?;
        let (address, admin_address) = listeners.addresses()?;
        let uses_ring = uses_ring(config.egress)?;
        let source = Source::find(&config.redis).await?;
        if config.diagnose_publishes && source.backend.is_cluster() {
            return Err(ConfigError::DiagnosisOfCluster.into());
        }
        let files = rlimit::increase_nofile_limit(u64::MAX);
        let room = files
            .as_ref()
            .map_or(usize::MAX, |files| room(*files, config.shards));
        // Nobody else reaches the embedded broker.
        let relays = config.nodes.relays && source.broker.is_none();
        let is_cluster = source.backend.is_cluster();
        let (server, reports) = context(server, room, is_cluster)?;
        // From here on the start does not fail for what an operator wrote: a mistake is one line.
        warn_of_empty_prefix(&server.config);
        match files {
            Ok(files) => info!(open_files = files, clients = room, "room for clients"),
            Err(error) => warn!(%error, "the limit of open files could not be raised"),
        }
        info!(
            egress = if uses_ring { "io_uring" } else { "write" },
            "write backend selected"
        );
        if let Some(broker) = source.broker {
            start_broker(broker)?;
        }
        let (starter, queues) = ThreadStarter::new(server, source.backend, relays, uses_ring);
        let relay = queues
            .relay
            .zip(starter.relay_context.clone())
            .map(|(queue, context)| starter.relay(queue, context).start())
            .transpose()?;
        let reporter = reports
            .map(|queue| starter.reporter(queue).start())
            .transpose()?;
        let threads = ShardThreads {
            listeners: listeners.clients,
            is_inherited: listeners.is_inherited,
            admin: listeners.admin,
            queues: queues.shards,
        };
        let ended = starter.start(threads, queues.router).await?;
        announce(address, admin_address);
        supervisor::ready();
        let handles = starter.handles;
        let watching = supervisor::watch(handles.shards.clone(), starter.router_sender);
        tokio::task::spawn_local(watching);
        Ok(Self {
            handles,
            ended,
            reporter,
            relay,
            reload,
        })
    }
}

/// Runs the embedded broker.
fn start_broker(broker: tokio::net::TcpListener) -> io::Result<()> {
    info!(address = %broker.local_addr()?, "the embedded broker listens");
    tokio::task::spawn_local(async {
        if let Err(error) = womack_broker::serve(broker, Default::default()).await {
            error!(%error, "the embedded broker ended");
        }
    });
    Ok(())
}

/// The other ends of the queues of a server.
pub(super) struct Queues {
    pub(super) shards: Vec<Receiver<ToShard>>,
    pub(super) router: Receiver<Beat>,
    pub(super) relay: Option<Receiver<SessionRequest>>,
}

impl ThreadStarter {
    /// Creates the queues, and all that threads are started with.
    fn new(
        server: Arc<ServerContext>,
        backend: Backend,
        relays: bool,
        uses_ring: bool,
    ) -> (Self, Queues) {
        let (router_sender, router) = queue(ROUTER_QUEUE);
        let memory = &server.engine.memory;
        let (shards, shard_queues): (Vec<_>, Vec<_>) =
            memory.queues().iter().map(shard_queue).unzip();
        let (relay_sender, relay) = relays.then(|| queue(RELAY_QUEUE)).unzip();
        let relay_context = relays.then(|| server.relay_context());
        let handles = ServerHandles {
            status: Arc::new(Status::new(server.engine.clone(), relay_context.clone())),
            dirty: Arc::new(DirtyChannels::new(shards.len())),
            steps: Arc::new(DrainSteps::new(shards.len())),
            server,
            shards,
            relay: relay_sender,
        };
        let starter = Self {
            handles,
            backend,
            router_sender,
            relay_context,
            uses_ring,
        };
        let queues = Queues {
            shards: shard_queues,
            router,
            relay,
        };
        (starter, queues)
    }
}

/// Whether rounds are sent through io_uring: where the setting and the system allow it.
fn uses_ring(setting: Egress) -> Result<bool, Error> {
    match setting {
        Egress::Write => Ok(false),
        Egress::Auto => Ok(Ring::open().is_ok()),
        Egress::IoUring => Ring::open().map(|_| true).map_err(Error::NoIoUring),
    }
}

/// An empty prefix is one that Laravel may have, and one that opens more than its channels.
fn warn_of_empty_prefix(config: &Config) {
    if config.laravel_prefix.as_deref() == Some("") {
        warn!(
            "laravel-prefix is empty: clients can subscribe to any channel of this Redis on which \
             events are published in Laravel's form, but for names with private- or presence-; \
             give Laravel a prefix (REDIS_PREFIX), and the same one here"
        );
    }
}

/// Puts together what all threads of `server` have in common, and the queue of its reports.
pub(super) fn context(
    server: ServerParts,
    room: usize,
    is_cluster: bool,
) -> Result<(Arc<ServerContext>, Option<Receiver<Report>>), Error> {
    let ServerParts {
        config,
        namespaces,
        endpoints,
    } = server;
    let entries = namespaces.into_iter().map(|(path, handler)| Entry {
        key: handler.key().unwrap_or(&config.key).to_owned(),
        coalesce: config.coalesce.of(&path),
        slow_client: config.slow_client.of(&path),
        max_messages_per_second: config.max_messages_per_second.of(&path),
        presence: config.presence.contains(&path),
        path,
        handler,
    });
    let registry = Registry::new(entries.collect());
    let metrics = Metrics::new(config.shards);
    let sids = SidSource::new().map_err(|error| Error::Io(io::Error::other(error)))?;
    let memory = Memory::new(config.shards);
    let (reports, queue) = config
        .events_key
        .is_some()
        .then(|| Reports::new(config.limits.load().max_waiting_events, memory.reports()))
        .unzip();
    let descriptors = Descriptors::new(room, config.shards);
    let engine = Context::new(ContextParts {
        config: config.engine(is_cluster),
        registry,
        endpoints,
        metrics: metrics.engine.clone(),
        sids,
        room,
        memory,
        reports,
    });
    let engine = engine.map_err(ConfigError::Publishers)?;
    let server = ServerContext {
        relay_shares: RelayShares::new(&config),
        config,
        metrics,
        engine: Arc::new(engine),
        refused_origins: RefusedOrigins::default(),
        descriptors,
    };
    Ok((Arc::new(server), queue))
}

fn admin_listener(address: &str) -> Result<TcpListener, Error> {
    let malformed = || ConfigError::AdminAddress {
        address: address.to_owned(),
    };
    let (host, port) = address.rsplit_once(':').ok_or_else(malformed)?;
    let port = port.parse().map_err(|_| malformed())?;
    Ok(listen(host, port, 1)?.pop().ok_or_else(malformed)?)
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

/// How many clients there can be with so many shards, as far as the system's limit of open files is
/// known.
pub(crate) fn room_for_clients(shards: usize) -> usize {
    let (_, most) = rlimit::Resource::NOFILE.get().unwrap_or((0, 0));
    room(most, shards)
}

/// How many clients there can be where so many files may be open.
fn room(files: u64, shards: usize) -> usize {
    usize::try_from(for_clients(files, shards)).unwrap_or(usize::MAX)
}

/// The line that tools wait for: from here on clients are served.
fn announce(address: SocketAddr, admin: Option<SocketAddr>) {
    match admin {
        Some(admin) => info!(%address, %admin, "listening"),
        None => info!(%address, "listening"),
    }
}
