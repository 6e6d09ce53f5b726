//! The threads of a server that starts.

use std::{net::TcpListener, sync::Arc, thread};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use womack_redis::Backend;

use womack_engine::{ChannelsReader, Context, DirtyChannels, Receiver, Report, Router, Sender, SessionRequest, ShardId, ToRouter, ToShard};
use crate::{cluster::relay::Relay, diagnosis::Diagnosis, error::Error, http, reporter::Reporter, runtime::DrainSteps, status::Status, survey::Surveyor, worker::{self, Worker}};

/// What all threads are started with.
pub(super) struct Start {
    pub(super) server: Arc<ServerContext>,
    pub(super) status: Arc<Status>,
    pub(super) dirty: Arc<DirtyChannels>,
    pub(super) router_sender: Sender<ToRouter>,
    pub(super) shards: Vec<Sender<ToShard>>,
    pub(super) relay: Option<Sender<SessionRequest>>,
    pub(super) uses_ring: bool,
    /// Whether the listeners for clients are another process's too.
    pub(super) is_inherited: bool,
    pub(super) steps: Arc<DrainSteps>,
}

impl Start {
    /// Starts the shards and the router; returns what each shard's thread ends with.
    ///
    /// # Errors
    /// The system refuses a thread, or one has ended at once.
    pub(super) async fn threads(
        &self,
        listeners: Vec<TcpListener>,
        queues: Vec<Receiver<ToShard>>,
        mut admin: Option<TcpListener>,
        router_queue: Receiver<ToRouter>,
        backend: Backend,
    ) -> Result<Vec<oneshot::Receiver<std::io::Result<()>>>, Error> {
        let (assets, surveyor) = (http::assets(), Surveyor::default());
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        // With fewer shards than cores, or several servers on one machine, the system knows better.
        let pin = cores.len() > 1 && cores.len() == listeners.len();
        // A single shard hosts the router too: a message then crosses no threads.
        let (mut host, mut guest) = (None, None);
        if listeners.len() == 1 {
            let (sender, receiver) = oneshot::channel();
            (host, guest) = (Some(sender), Some(receiver));
        }
        let has_admin = admin.is_some();
        let publish_at = |admin: &Option<TcpListener>| {
            let may_publish = admin.is_some() && self.server.config.publish_key.load().is_some();
            may_publish.then(|| backend.clone())
        };
        let (mut ended, mut readers) = (Vec::new(), Vec::new());
        for (number, (listener, queue)) in listeners.into_iter().zip(queues).enumerate() {
            let (reader_sender, reader) = oneshot::channel();
            let (ended_sender, thread_ended) = oneshot::channel();
            let worker = Worker {
                id: ShardId(u16::try_from(number).expect("at most 128 shards")),
                server: self.server.clone(),
                listener,
                is_inherited: self.is_inherited,
                publish_at: publish_at(&admin),
                admin: admin.take(),
                has_admin,
                uses_ring: self.uses_ring,
                queue,
                shards: self.shards.clone(),
                relay: self.relay.clone(),
                dirty: self.dirty.clone(),
                status: self.status.clone(),
                steps: self.steps.clone(),
                assets: assets.clone(),
                surveyor: surveyor.clone(),
                reader: reader_sender,
                guest: guest.take(),
            };
            let core = cores.get(number).copied().filter(|_| pin);
            thread::Builder::new()
                .name(format!("womack-shard-{number}"))
                .spawn(move || {
                    if core.is_some_and(|core| !core_affinity::set_for_current(core)) {
                        warn!(shard = number, "the thread could not be pinned to its core");
                    }
                    // Nobody waits for it when the whole server is about to end.
                    ended_sender.send(worker.run()).ok();
                })?;
            readers.push(reader);
            ended.push(thread_ended);
        }
        let mut channels = Vec::new();
        for (number, reader) in readers.into_iter().enumerate() {
            let reader = reader.await;
            channels.push(reader.map_err(|_| Error::Thread(format!("womack-shard-{number}")))?);
        }
        surveyor.begin(channels.clone());
        if self.server.config.diagnose_publishes {
            let diagnosis = Diagnosis {
                backend: backend.clone(),
                server: self.server.clone(),
                surveyor,
            };
            diagnosis.start()?;
        }
        let router = self.router(router_queue, channels, backend);
        match host {
            // The thread was there a moment ago; if it has ended, that is seen where it counts.
            Some(host) => drop(host.send(router)),
            None => {
                let runtime = worker::runtime()?;
                thread::Builder::new()
                    .name("womack-router".to_owned())
                    .spawn(move || runtime.block_on(router.run()))?;
            }
        }
        Ok(ended)
    }

    /// The reporter, whose `queue` the shards fill.
    pub(super) fn reporter(&self, queue: Receiver<Report>, backend: Backend) -> Reporter {
        Reporter {
            backend,
            queue,
            shards: self.shards.clone(),
            server: self.server.clone(),
            finish: CancellationToken::new(),
        }
    }

    /// The relay, whose `queue` the shards fill.
    pub(super) fn relay(&self, queue: Receiver<SessionRequest>, backend: Backend) -> Relay {
        Relay {
            backend,
            queue,
            shards: self.shards.clone(),
            server: self.server.clone(),
            status: self.status.clone(),
            finish: CancellationToken::new(),
        }
    }

    fn router(
        &self,
        queue: Receiver<ToRouter>,
        channels: Vec<ChannelsReader>,
        backend: Backend,
    ) -> Router {
        Router {
            backend,
            queue,
            dirty: self.dirty.clone(),
            shards: self.shards.clone(),
            channels,
            server: self.server.clone(),
            status: self.status.clone(),
        }
    }
}
