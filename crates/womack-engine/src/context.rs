//! State that router and shards share.

use std::{sync::Arc, time::Instant};

use womack_ledger::{Admission, Memory};
use womack_proto::Rules;

use crate::{
    busy_channels::{BusyChannel, BusyChannels},
    channel_count::ChannelCount,
    config::Config,
    coverage::{Coverage, CoverageCell},
    metrics::Metrics,
    namespace::{Messages, Registry},
    publishers::{Families, PublishersError},
    report::Reports,
    sid::SidSource,
};

/// State that router and shards share and none changes.
pub struct Context {
    /// The settings of the engine.
    pub config: Config,
    /// The rules that sessions keep to.
    pub rules: Rules,
    /// The namespaces.
    pub registry: Registry,
    /// The channels of publishers of other families.
    pub(crate) families: Families,
    /// The paths where sessions are opened.
    pub endpoints: Vec<Endpoint>,
    /// The counters of the engine.
    pub metrics: Arc<Metrics>,
    /// The source of session ids.
    pub sids: SidSource,
    /// Whether Redis brings what clients want.
    pub(crate) coverage: CoverageCell,
    /// How many channels there are.
    pub(crate) channels: Arc<ChannelCount>,
    /// Which channels bring most messages.
    pub(crate) busy_channels: BusyChannels,
    /// Admission of new sessions.
    pub admission: Arc<Admission>,
    /// Memory held for clients.
    pub memory: Memory,
    /// Where shards say what the back end shall hear; `None` if it shall hear nothing.
    pub reports: Option<Reports>,
}

/// Everything that a [`Context`] is made of.
pub struct ContextParts {
    /// The settings of the engine.
    pub config: Config,
    /// The namespaces; the first is the one for `/`.
    pub registry: Registry,
    /// The paths where sessions are opened.
    pub endpoints: Vec<Endpoint>,
    /// The counters of the engine.
    pub metrics: Arc<Metrics>,
    /// The source of session ids.
    pub sids: SidSource,
    /// How many sessions there is room for.
    pub room: usize,
    /// Memory held for clients.
    pub memory: Memory,
    /// The queue of reports for the back end, if it wants any.
    pub reports: Option<Reports>,
}

/// A path where sessions are opened, and what is spoken there.
pub struct Endpoint {
    /// The path, with its slashes.
    pub path: String,
    /// The protocol that is spoken there.
    pub speaks: Speaks,
}

/// The protocol of an endpoint.
pub enum Speaks {
    /// Socket.IO in Engine.IO.
    SocketIo,
    /// Engine.IO alone; its messages go here.
    EngineIo(Arc<dyn Messages>),
    /// WebSocket; its messages go here as they are.
    WebSocket(Arc<dyn Messages>),
    /// JSON lines over WebSocket.
    Lines,
    /// Server-sent events.
    Events,
}

impl Context {
    /// Puts the parts together.
    ///
    /// # Errors
    /// Two families of publishers, or one and the server's own channels, would be the same.
    pub fn new(parts: ContextParts) -> Result<Self, PublishersError> {
        let ContextParts {
            config,
            registry,
            endpoints,
            metrics,
            sids,
            room,
            memory,
            reports,
        } = parts;
        let rules = config.rules(&registry);
        let families = Families::new(&config.publishers, &registry, &sids)?;
        Ok(Self {
            config,
            rules,
            registry,
            families,
            endpoints,
            metrics,
            sids,
            coverage: CoverageCell::default(),
            channels: Arc::default(),
            busy_channels: BusyChannels::default(),
            admission: Arc::new(Admission::new(room)),
            memory,
            reports,
        })
    }

    /// Whether Redis brings what clients want.
    pub fn coverage(&self) -> Coverage {
        self.coverage.get()
    }

    /// The Redis channels that brought most messages in the last second, the busiest first.
    pub fn busy_channels(&self, now: Instant) -> Arc<[BusyChannel]> {
        self.busy_channels.get(now)
    }

    /// Whether publishers of other families publish on this Redis channel.
    pub fn is_of_other_family(&self, redis_channel: &str) -> bool {
        self.families
            .origin(redis_channel, &self.registry)
            .is_some()
    }

    /// How many channels clients of the node may be in.
    pub(crate) fn max_channels(&self) -> usize {
        let limits = self.config.limits.load();
        match limits.max_channels {
            0 => self.memory.channels(limits.memory_budget_bytes),
            most => most,
        }
    }

    /// Whether the messages of a round are told apart: some may go for others, or are counted.
    pub(crate) fn marks_messages(&self) -> bool {
        let limits = self.config.limits.load();
        limits.max_client_queue_messages > 0 || self.registry.thins()
    }
}
