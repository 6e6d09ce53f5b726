//! What a shard's thread runs.
//!
//! Four tasks share the shard's state, one at a time and never across an await: sockets that are
//! ready, commands from other threads, deadlines, and HTTP connections.

use std::{
    cell::RefCell,
    future::{pending, ready},
    io, net,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::oneshot,
    task::{LocalSet, spawn_local, yield_now},
    time::{sleep, sleep_until, timeout},
};
use womack_engine::{
    ChannelsReader, DirtyChannels, Readiness, Receiver, Ring, Sender, SessionRequest, Shard,
    ShardId, ToShard,
};
use womack_redis::{Backend, Publisher};

use super::{
    DrainSteps, ServerContext, Status, close_sessions, handle_commands, pulse,
    router_task::RouterTask, thread_runtime, write_last_bytes,
};
use crate::{
    admin::Surveyor,
    http::{self, Connections, Http, Listener, Surface},
};

/// Commands taken at one go; all of them are written with one write to each client.
const COMMANDS_PER_BATCH: usize = 4096;
/// Between two looks at the memory that all shards use.
const RELIEF_INTERVAL: Duration = Duration::from_millis(250);
/// How long the shard rests when the system's poll fails.
const POLL_REST: Duration = Duration::from_millis(20);
/// How long operators may take to read their last answers.
const LAST_ANSWERS: Duration = Duration::from_millis(200);

/// What a shard's thread is made of.
pub(crate) struct Worker {
    pub(crate) id: ShardId,
    pub(crate) server: Arc<ServerContext>,
    pub(crate) listener: net::TcpListener,
    /// Whether another process holds the listener too, and serves what waits there when this one
    /// has ended.
    pub(crate) is_inherited: bool,
    /// The listener for operators, on one of the shards.
    pub(crate) admin: Option<net::TcpListener>,
    pub(crate) has_admin: bool,
    /// Whether rounds are sent through io_uring.
    pub(crate) uses_ring: bool,
    /// The Redis to publish at for those who ask by HTTP, if they may.
    pub(crate) publish_at: Option<Backend>,
    pub(crate) queue: Receiver<ToShard>,
    pub(crate) shards: Vec<Sender<ToShard>>,
    /// Carries requests to the nodes of their sessions, if that is done.
    pub(crate) relay: Option<Sender<SessionRequest>>,
    pub(crate) dirty: Arc<DirtyChannels>,
    pub(crate) status: Arc<Status>,
    pub(crate) steps: Arc<DrainSteps>,
    pub(crate) assets: Arc<http::Files>,
    pub(crate) surveyor: Surveyor,
    /// Takes the reading half of the shard's map as soon as there is one.
    pub(crate) reader: oneshot::Sender<ChannelsReader>,
    /// Brings the router, if it is to run on this thread.
    pub(crate) guest: Option<oneshot::Receiver<RouterTask>>,
}

impl Worker {
    /// Runs the shard until it has drained.
    ///
    /// # Errors
    /// The system refuses a runtime, a poll or a listener.
    pub(crate) fn run(self) -> io::Result<()> {
        let runtime = thread_runtime()?;
        LocalSet::new().block_on(&runtime, self.serve())
    }

    async fn serve(self) -> io::Result<()> {
        let readiness = Readiness::new()?;
        let sockets = readiness.sockets()?;
        let ring = self.uses_ring.then(Ring::open).transpose();
        let ring = ring.unwrap_or_else(|error| {
            tracing::warn!(shard = self.id.0, %error, "no io_uring, writing without it");
            None
        });
        let shard = Shard::new(
            self.id,
            self.server.engine.clone(),
            sockets,
            ring,
            self.dirty.clone(),
            Instant::now(),
        );
        // Nobody waits for the reader when the start has failed elsewhere.
        self.reader.send(shard.channels_reader()).ok();
        let shard = Rc::new(RefCell::new(shard));
        let key = &self.server.config.key;
        let publisher = self.publish_at.map(|backend| Publisher::lazy(backend, key));
        let http = Rc::new(Http {
            shard: shard.clone(),
            id: self.id,
            server: self.server.clone(),
            shards: self.shards,
            relay: self.relay,
            dirty: self.dirty,
            status: self.status,
            assets: self.assets,
            surveyor: self.surveyor,
            publisher,
            keep_alive: http::keep_alive_header(&self.server.config),
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
            self.server.metrics.engine.shards.of(self.id).clone(),
        ));
        spawn_local(relief_loop(shard.clone()));
        let (clients, operators) = (Connections::default(), Connections::default());
        if let Some(admin) = self.admin {
            let admin = Listener::open(admin, Surface::Admin, false)?;
            spawn_local(http::serve(http.clone(), admin, operators.clone()));
        }
        let surface = if self.has_admin {
            Surface::Clients
        } else {
            Surface::All
        };
        let listener = Listener::open(self.listener, surface, self.is_inherited)?;
        let serving = spawn_local(http::serve(http.clone(), listener, clients.clone()));
        let (mut queue, steps) = (self.queue, self.steps);
        command_loop(&shard, &mut queue).await;
        close_sessions(&shard, &mut queue, self.server.config.drain).await;
        spawn_local(handle_commands(shard.clone(), queue));
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
}

async fn readiness_loop(shard: Rc<RefCell<Shard>>, mut readiness: Readiness) {
    loop {
        let unread = shard.borrow().has_unread();
        let taken = if unread {
            readiness.look()
        } else {
            readiness.wait().await
        };
        if let Err(error) = taken {
            tracing::error!(%error, "the system's poll does not work");
            sleep(POLL_REST).await;
            continue;
        }
        {
            let (mut shard, now) = (shard.borrow_mut(), Instant::now());
            shard.ready(readiness.events(), now);
            if unread {
                shard.read_unread(now);
            }
        }
        yield_now().await;
    }
}

async fn timer_loop(shard: Rc<RefCell<Shard>>) {
    let timer = shard.borrow().timer();
    loop {
        let next = shard.borrow().next_turn();
        let turn = async {
            match next {
                Some(next) => sleep_until(next.into()).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = turn => shard.borrow_mut().turn(Instant::now()),
            () = timer.notified() => {}
        }
    }
}

/// Looks whether memory is short, which other shards may have come to.
async fn relief_loop(shard: Rc<RefCell<Shard>>) {
    loop {
        sleep(RELIEF_INTERVAL).await;
        shard.borrow_mut().tick(Instant::now());
    }
}

/// Does what other threads want until it is time to close all sessions.
async fn command_loop(shard: &RefCell<Shard>, queue: &mut Receiver<ToShard>) {
    let mut commands = Vec::new();
    let (mut is_asked_to_drain, mut draining) = (false, false);
    while !draining {
        let (tells_gaps, fans_out, is_enough) = {
            let shard = shard.borrow();
            let is_enough = shard.is_fanning_out_enough();
            (shard.has_gaps_to_tell(), shard.has_fan_outs(), is_enough)
        };
        // Whatever follows a gap waits in the queue until clients have been told of it, and while too
        // much waits for its slice, everything does.
        let takes = !is_enough && !tells_gaps && commands.is_empty();
        tokio::select! {
            biased;
            () = queue.receive(&mut commands, COMMANDS_PER_BATCH), if takes => {}
            () = ready(()), if fans_out || !takes => {}
        }
        {
            let (mut shard, now) = (shard.borrow_mut(), Instant::now());
            if fans_out && (tells_gaps || is_enough) {
                // Messages from before a gap go out before it is told.
                shard.continue_fan_outs(now);
            } else if tells_gaps {
                shard.tell_gaps(now);
            } else {
                let is_drain = |command: &ToShard| matches!(command, ToShard::Drain);
                is_asked_to_drain |= commands.iter().any(is_drain);
                shard.apply_commands(&mut commands, now);
            }
            draining = is_asked_to_drain && commands.is_empty() && !shard.has_gaps_to_tell();
        }
        // Reads, accepts and pings have their turn between two batches.
        yield_now().await;
    }
    shard.borrow_mut().finish_fan_outs(Instant::now());
}
