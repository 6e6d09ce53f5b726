//! The threads of a server that starts.

use std::{io, net::TcpListener, sync::Arc, thread};

use core_affinity::CoreId;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use womack_cluster::{Relay, RelayContext, Reporter};
use womack_engine::{
    Beat, ChannelsReader, Receiver, Report, Sender, SessionRequest, ShardId, ToShard, start_thread,
};
use womack_redis::Backend;

use super::{
    handles::ServerHandles,
    router_task::RouterTask,
    worker::{Worker, WorkerListeners},
};
use crate::{
    admin::{Diagnosis, Surveyor},
    error::Error,
    http,
};

/// State that all threads are started with.
pub(super) struct ThreadStarter {
    pub(super) handles: ServerHandles,
    pub(super) backend: Backend,
    pub(super) router_sender: Sender<Beat>,
    pub(super) relay_context: Option<Arc<RelayContext>>,
    pub(super) uses_ring: bool,
}

/// Listeners and queues that the threads of the shards take over.
pub(super) struct ShardThreads {
    /// One for each shard.
    pub(super) listeners: Vec<TcpListener>,
    /// Whether the listeners for clients are another process's too.
    pub(super) is_inherited: bool,
    pub(super) admin: Option<TcpListener>,
    /// One for each shard.
    pub(super) queues: Vec<Receiver<ToShard>>,
}

/// The threads of shards that have started.
struct StartedShards {
    /// The result of each thread.
    ended: Vec<oneshot::Receiver<io::Result<()>>>,
    /// The reading halves of the shards' maps.
    channels: Vec<ChannelsReader>,
    /// Takes the router, if a shard is to host it.
    host: Option<oneshot::Sender<RouterTask>>,
}

impl ThreadStarter {
    /// Starts the shards and the router; returns what each shard's thread ends with.
    ///
    /// # Errors
    /// The system refuses a thread, or one has ended at once.
    pub(super) async fn start(
        &self,
        threads: ShardThreads,
        router_queue: Receiver<Beat>,
    ) -> Result<Vec<oneshot::Receiver<io::Result<()>>>, Error> {
        let surveyor = Surveyor::default();
        let StartedShards {
            ended,
            channels,
            host,
        } = self.start_shards(threads, &surveyor).await?;
        surveyor.begin(channels.clone());
        if self.handles.server.config.diagnose_publishes {
            let diagnosis = Diagnosis {
                backend: self.backend.clone(),
                server: self.handles.server.clone(),
                surveyor,
            };
            diagnosis.start()?;
        }
        let router = self.router(router_queue, channels);
        match host {
            // The thread was there a moment ago; if it has ended, that is seen where it counts.
            Some(host) => drop(host.send(router)),
            None => {
                start_thread("womack-router", move |runtime| {
                    runtime.block_on(router.run())
                })?;
            }
        }
        Ok(ended)
    }

    async fn start_shards(
        &self,
        threads: ShardThreads,
        surveyor: &Surveyor,
    ) -> Result<StartedShards, Error> {
        let ShardThreads {
            listeners,
            is_inherited,
            mut admin,
            queues,
        } = threads;
        let assets = Arc::new(http::Assets::new());
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        // With fewer shards than cores, or several servers on one machine, the system knows better.
        let pin = cores.len() > 1 && cores.len() == listeners.len();
        // A single shard hosts the router too: a message then crosses no threads.
        let (host, mut guest) = (listeners.len() == 1).then(oneshot::channel).unzip();
        let has_admin = admin.is_some();
        let may_publish = self.handles.server.config.publish_key.load().is_some();
        let (mut ended, mut readers) = (Vec::new(), Vec::new());
        for ((number, listener), queue) in (0..).zip(listeners).zip(queues) {
            let (reader_sender, reader) = oneshot::channel();
            let admin = admin.take();
            let publish_at = admin.as_ref().filter(|_| may_publish);
            let worker = Worker {
                id: ShardId(number),
                handles: self.handles.clone(),
                publish_at: publish_at.map(|_| self.backend.clone()),
                listeners: WorkerListeners {
                    clients: listener,
                    is_inherited,
                    operators: admin,
                    has_operators: has_admin,
                },
                uses_ring: self.uses_ring,
                queue,
                assets: assets.clone(),
                surveyor: surveyor.clone(),
                reader: reader_sender,
                guest: guest.take(),
            };
            let core = cores.get(usize::from(number)).copied().filter(|_| pin);
            ended.push(start_shard(worker, core)?);
            readers.push(reader);
        }
        let mut channels = Vec::new();
        for (number, reader) in readers.into_iter().enumerate() {
            let reader = reader.await;
            channels.push(reader.map_err(|_| Error::Thread(format!("womack-shard-{number}")))?);
        }
        Ok(StartedShards {
            ended,
            channels,
            host,
        })
    }

    /// The reporter, whose `queue` the shards fill.
    pub(super) fn reporter(&self, queue: Receiver<Report>) -> Reporter {
        Reporter {
            backend: self.backend.clone(),
            queue,
            shards: self.handles.shards.clone(),
            context: self.handles.server.engine.clone(),
            config: self.handles.server.config.reporter(),
            metrics: self.handles.server.metrics.events.clone(),
            finish: CancellationToken::new(),
        }
    }

    /// The relay, whose `queue` the shards fill.
    pub(super) fn relay(
        &self,
        queue: Receiver<SessionRequest>,
        context: Arc<RelayContext>,
    ) -> Relay {
        Relay {
            backend: self.backend.clone(),
            queue,
            shards: self.handles.shards.clone(),
            context,
            finish: CancellationToken::new(),
        }
    }

    fn router(&self, queue: Receiver<Beat>, channels: Vec<ChannelsReader>) -> RouterTask {
        RouterTask {
            backend: self.backend.clone(),
            queue,
            dirty: self.handles.dirty.clone(),
            shards: self.handles.shards.clone(),
            channels,
            server: self.handles.server.clone(),
        }
    }
}

/// Starts the thread of a shard, on a core of its own if there is one; returns what it ends with.
fn start_shard(
    worker: Worker,
    core: Option<CoreId>,
) -> io::Result<oneshot::Receiver<io::Result<()>>> {
    let (sender, ended) = oneshot::channel();
    let shard = worker.id.0;
    thread::Builder::new()
        .name(format!("womack-shard-{shard}"))
        .spawn(move || {
            if core.is_some_and(|core| !core_affinity::set_for_current(core)) {
                warn!(shard, "the thread could not be pinned to its core");
            }
            // Nobody waits for it when the whole server is about to end.
            sender.send(worker.run()).ok();
        })?;
    Ok(ended)
}
