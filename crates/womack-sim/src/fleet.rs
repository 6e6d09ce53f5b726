//! The parts of a node that speak with other nodes, as the server starts them.

use std::{sync::Arc, time::Duration};

use tokio::task::{JoinHandle, spawn_local};
use tokio_util::sync::CancellationToken;
use womack_cluster::{
    EventMetrics, Relay, RelayConfig, RelayContext, RelayContextParts, RelayMetrics, Reporter,
    ReporterConfig,
};
use womack_engine::{Context, Receiver, Report, Sender, SessionRequest, ToShard, queue};
use womack_ledger::{LimitCounters, SlotPool};
use womack_proto::relay::SharedSecret;
use womack_redis::Backend;

use crate::events::EVENTS_KEY;

/// How long another node may take to answer.
pub(crate) const RELAY_TIMEOUT: Duration = Duration::from_secs(5);
/// Requests that may wait to be carried to other nodes.
const QUEUE: usize = 4096;
/// Requests that may be under way to other nodes, and as many from them.
const MAX_REQUESTS: usize = 1000;
/// Bytes that may wait to be published for other nodes.
const MAX_BYTES: usize = 16 << 20;

/// After how long without a sign of life a node is taken for dead.
const NODE_TIMEOUT: Duration = Duration::from_secs(6);

/// Starts the reporter of a node, which takes what shards say of their clients.
pub(crate) fn start_reporter(
    context: &Arc<Context>,
    shards: &[Sender<ToShard>],
    reports: Receiver<Report>,
    backend: Backend,
) -> JoinHandle<()> {
    let reporter = Reporter {
        backend,
        queue: reports,
        shards: shards.to_vec(),
        context: context.clone(),
        config: ReporterConfig {
            events_key: EVENTS_KEY.to_owned(),
            node_timeout: NODE_TIMEOUT,
        },
        metrics: EventMetrics::new(&mut prometheus_client::registry::Registry::default()),
        finish: CancellationToken::new(),
    };
    spawn_local(reporter.run_here())
}

/// Starts the relay of a node. Returns its queue.
pub(crate) fn start_relay(
    context: &Context,
    shards: &[Sender<ToShard>],
    backend: Backend,
) -> (Sender<SessionRequest>, JoinHandle<()>) {
    let config = RelayConfig {
        key: "womack:relay".to_owned(),
        secret: Some(SharedSecret::new(b"a secret of the simulation")),
        timeout: RELAY_TIMEOUT,
        poll_timeout: context.config.ping_interval + context.config.ping_timeout,
        max_requests: MAX_REQUESTS,
        max_bytes: MAX_BYTES,
        drain: Duration::ZERO,
    };
    let mut registry = prometheus_client::registry::Registry::default();
    let relay_context = RelayContext::new(RelayContextParts {
        node: context.sids.node,
        config,
        metrics: RelayMetrics::new(&mut registry),
        limits: LimitCounters::new(&mut registry),
        sockets: Arc::new(SlotPool::new(usize::MAX)),
        ledger: context.memory.others().clone(),
    });
    let (sender, receiver) = queue(QUEUE);
    let relay = Relay {
        backend,
        queue: receiver,
        shards: shards.to_vec(),
        context: Arc::new(relay_context),
        finish: CancellationToken::new(),
    };
    (sender, spawn_local(relay.run_here()))
}
