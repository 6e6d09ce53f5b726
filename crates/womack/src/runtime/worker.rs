//! The tasks of a shard's thread.
//!
//! Four tasks share the shard's state, one at a time and never across an await: sockets that are
//! ready, commands from other threads, deadlines, and HTTP connections.

use std::{
    cell::RefCell,
    io, net,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::oneshot,
    task::{JoinHandle, LocalSet, spawn_local},
    time::timeout,
};
use womack_engine::{
    ChannelsReader, Readiness, Receiver, Ring, Shard, ShardId, Sockets, ToShard, thread_runtime,
};
use womack_redis::{Backend, Publisher};

use super::{
    drain::{close_sessions, handle_commands, write_last_bytes},
    handles::ServerHandles,
    pulse,
    router_task::RouterTask,
    shard_tasks::{command_loop, readiness_loop, relief_loop, timer_loop},
};
use crate::{
    admin::Surveyor,
    http::{self, Connections, Http, Listener, StalledPolls, Surface},
};

/// How long operators may take to read their last answers.
const LAST_ANSWERS: Duration = Duration::from_millis(200);

/// Everything that a shard's thread is made of.
pub(super) struct Worker {
    pub(super) id: ShardId,
    pub(super) handles: ServerHandles,
    pub(super) listeners: WorkerListeners,
    pub(super) queue: Receiver<ToShard>,
    /// Whether rounds are sent through io_uring.
    pub(super) uses_ring: bool,
    /// The Redis to publish at for those who ask by HTTP, if they may.
    pub(super) publish_at: Option<Backend>,
    pub(super) assets: Arc<http::Assets>,
    pub(super) surveyor: Surveyor,
    /// Takes the reading half of the shard's map as soon as there is one.
    pub(super) reader: oneshot::Sender<ChannelsReader>,
    /// Brings the router, if it is to run on this thread.
    pub(super) guest: Option<oneshot::Receiver<RouterTask>>,
}

/// The listeners of a shard.
pub(super) struct WorkerListeners {
    pub(super) clients: net::TcpListener,
    /// Whether another process holds the listener for clients too, and serves what waits there when
    /// this one has ended.
    pub(super) is_inherited: bool,
    /// The listener for operators, on one of the shards.
    pub(super) operators: Option<net::TcpListener>,
    /// Whether a shard has a listener for operators.
    pub(super) has_operators: bool,
}

/// The connections of a shard's listeners.
#[derive(Default)]
struct ServedConnections {
    clients: Connections,
    operators: Connections,
}

impl Worker {
    /// Runs the shard until it has drained.
    ///
    /// # Errors
    /// The system refuses a runtime, a poll or a listener.
    pub(super) fn run(self) -> io::Result<()> {
        let runtime = thread_runtime()?;
        LocalSet::new().block_on(&runtime, self.serve())
    }

    async fn serve(self) -> io::Result<()> {
        let readiness = Readiness::new()?;
        let shard = self.shard(readiness.sockets()?);
        // Nobody waits for the reader when the start has failed elsewhere.
        self.reader.send(shard.channels_reader()).ok();
        let shard = Rc::new(RefCell::new(shard));
        let ServerHandles { server, steps, .. } = self.handles.clone();
        let key = &server.config.key;
        let http = Rc::new(Http {
            shard: shard.clone(),
            id: self.id,
            server: server.clone(),
            shards: self.handles.shards,
            relay: self.handles.relay,
            dirty: self.handles.dirty,
            status: self.handles.status,
            assets: self.assets,
            stalled_polls: StalledPolls::default(),
            surveyor: self.surveyor,
            publisher: self.publish_at.map(|at| Publisher::lazy(at, key)),
            keep_alive: http::keep_alive_header(&server.config),
        });
        if let Some(guest) = self.guest {
            spawn_local(async move {
                if let Ok(router) = guest.await {
                    router.run().await;
                }
            });
        }
        spawn_local(readiness_loop(shard.clone(), readiness));
        spawn_local(timer_loop(shard.clone()));
        spawn_local(pulse::beat(
            server.metrics.engine.shards.of(self.id).clone(),
        ));
        spawn_local(relief_loop(shard.clone()));
        let connections = ServedConnections::default();
        let serving = self.listeners.serve(&http, &connections)?;
        let mut queue = self.queue;
        command_loop(&shard, &mut queue).await;
        close_sessions(&shard, &mut queue, server.config.drain).await;
        spawn_local(handle_commands(shard.clone(), queue));
        let ServedConnections { clients, operators } = connections;
        steps.sessions_closed.arrive();
        steps.sessions_closed.opened().await;
        // Whoever connects from here on is refused, and can be sent to another node.
        clients.closing.cancel();
        // It fails only if it has panicked, and then it is closed as well.
        serving.await.ok();
        write_last_bytes(&shard, &clients).await;
        steps.bytes_written.arrive();
        steps.end.cancelled().await;
        operators.closing.cancel();
        operators.open.close();
        timeout(LAST_ANSWERS, operators.open.wait()).await.ok();
        Ok(())
    }

    fn shard(&self, sockets: Sockets) -> Shard {
        let ring = self.uses_ring.then(Ring::open).transpose();
        let ring = ring.unwrap_or_else(|error| {
            tracing::warn!(shard = self.id.0, %error, "no io_uring, writing without it");
            None
        });
        let ServerHandles { server, dirty, .. } = &self.handles;
        let (engine, dirty) = (server.engine.clone(), dirty.clone());
        Shard::new(self.id, engine, sockets, ring, dirty, Instant::now())
    }
}

impl WorkerListeners {
    /// Begins to accept connections; returns the task that accepts those of clients.
    fn serve(self, http: &Rc<Http>, connections: &ServedConnections) -> io::Result<JoinHandle<()>> {
        if let Some(operators) = self.operators {
            let listener = Listener::open(operators, Surface::Admin, false)?;
            let operators = connections.operators.clone();
            spawn_local(http::serve(http.clone(), listener, operators));
        }
        let surface = match self.has_operators {
            true => Surface::Clients,
            false => Surface::All,
        };
        let listener = Listener::open(self.clients, surface, self.is_inherited)?;
        let clients = connections.clients.clone();
        Ok(spawn_local(http::serve(http.clone(), listener, clients)))
    }
}
