//! One connection to one Redis server: subscriptions go out, messages come in.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::{
    select,
    sync::mpsc::UnboundedReceiver,
    task::yield_now,
    time::{MissedTickBehavior, interval, sleep_until},
};
use womack_proto::subscriber::{Epoch, Event, Loss, LossScope, StaticSubscriptions};

use super::{
    context::{Command, Context},
    greeting::Greeted,
    liveness::{Dead, Liveness, PING_INTERVAL},
    notice::Redirect,
    pending::PendingSubscriptions,
    requests::{Answer, Requests},
    socket::Socket,
};
use crate::{
    clock,
    connect::Address,
    identity::{IdentityCheck, InfoAnswer},
    resp::{Reply, TooLong},
};

/// Time until static subscriptions that were refused are asked for again.
const STATIC_RETRY: Duration = Duration::from_secs(60);

/// The reason for giving a connection up whose replies belong to no command.
const OUT_OF_ORDER: &str = "redis answered what it was not asked";

/// The name of this link in logs.
const LINK: &str = "subscriber";

/// A connection that stands.
pub(super) struct Connection {
    server: Address,
    epoch: Epoch,
    socket: Socket,
    requests: Requests,
    liveness: Liveness,
    context: Arc<Context>,
    /// Events that are to go into the backlog.
    events: Vec<Event>,
    /// Whether it brings the static subscriptions.
    has_statics: bool,
    /// When refused static subscriptions are asked for again.
    retry_statics: Option<Instant>,
    /// There if the server is a node of a cluster.
    redirect: Option<Redirect>,
}

impl Connection {
    /// Begins to subscribe `pending` over a connection that has logged in. A node of a cluster has
    /// a sender for subscriptions that another node has to take.
    pub(super) fn begin(
        greeted: Greeted,
        context: Arc<Context>,
        pending: PendingSubscriptions,
        redirect: Option<Redirect>,
    ) -> Self {
        let Greeted {
            server,
            socket,
            speaks_resp3,
        } = greeted;
        let epoch = context.next_epoch();
        if !speaks_resp3 {
            let reason = "it does not speak version 3 of the protocol, or an ACL forbids HELLO";
            context.backend.unverified.warn_once(LINK, &server, reason);
        }
        let identity = speaks_resp3.then(IdentityCheck::default);
        let now = clock::now();
        Self {
            epoch,
            requests: Requests::new(epoch, pending, redirect.is_some()),
            liveness: Liveness::new(identity, now),
            server,
            socket,
            context,
            events: vec![Event::ReceivedTo { epoch, at: now }],
            has_statics: false,
            retry_statics: None,
            redirect,
        }
    }

    /// Wants names that stay subscribed whichever clients are there.
    pub(super) fn subscribe_static(&mut self, statics: &StaticSubscriptions) {
        if !statics.is_empty() {
            self.has_statics = true;
            self.requests.subscribe_static(statics);
        }
    }

    /// Serves until the connection is lost, or until nobody wants it; returns why, and from when on
    /// messages may be missing.
    pub(super) async fn serve(&mut self, commands: &mut UnboundedReceiver<Command>) -> Dead {
        let context = self.context.clone();
        let backlog = &context.backlog;
        let mut pings = interval(PING_INTERVAL);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.requests.poll_commands(self.socket.output());
            self.requests.poll_events(&mut self.events);
            backlog.add(&mut self.events);
            let may_read = backlog.has_room();
            // Reading comes last: there may always be something to read.
            select! {
                biased;
                command = commands.recv() => match command {
                    Some(command) => self.handle_command(command),
                    None => return self.dead("nobody wants the connection"),
                },
                _ = pings.tick() => {
                    if let Err(dead) = self.handle_ping_due(may_read) {
                        return dead;
                    }
                }
                () = until(self.retry_statics) => {
                    self.retry_statics = None;
                    self.requests.retry_statics();
                }
                () = backlog.room(), if !may_read => self.liveness.reset(),
                read = self.socket.turn(may_read) => {
                    if let Err(dead) = self.handle_read(read) {
                        self.requests.poll_events(&mut self.events);
                        backlog.add(&mut self.events);
                        return dead;
                    }
                    backlog.add(&mut self.events);
                    if !backlog.is_empty() {
                        // The router may be on this thread.
                        yield_now().await;
                    }
                }
            }
        }
    }

    /// The loss of the connection, and the subscriptions that are wanted and were not live.
    pub(super) fn end(self, dead: Dead) -> (Loss, PendingSubscriptions) {
        let loss = Loss {
            scope: LossScope::Connection {
                epoch: self.epoch,
                statics: self.has_statics,
            },
            since: dead.since,
            reason: format!("{}: {}", self.server, dead.reason),
        };
        (loss, self.requests.into_unfinished())
    }

    /// Whether the server has answered anything since it logged in.
    pub(super) fn has_served(&self) -> bool {
        self.liveness.has_served()
    }

    /// The end of the connection for a reason that shows itself now.
    pub(super) fn dead(&self, reason: impl Into<String>) -> Dead {
        Dead {
            since: self.liveness.received_to(),
            reason: reason.into(),
        }
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Subscribe(subscriptions) => self.requests.subscribe(subscriptions),
            Command::GiveUp(subscriptions) => self.requests.give_up(&subscriptions),
            Command::SubscribeStatic(statics) => self.subscribe_static(&statics),
        }
    }

    fn handle_ping_due(&mut self, may_read: bool) -> Result<(), Dead> {
        let now = clock::now();
        if may_read {
            self.liveness.handle_ping_due()?;
        }
        self.requests.ping(now);
        if self.liveness.asks_identity() {
            self.requests.ask_identity(now);
        }
        Ok(())
    }

    fn handle_read(&mut self, read: io::Result<usize>) -> Result<(), Dead> {
        match read {
            Ok(0) => return Err(self.dead("redis closed the connection")),
            Ok(_) => self.liveness.reset(),
            Err(error) => return Err(self.dead(error.to_string())),
        }
        let most = self.context.max_message_bytes.load(Ordering::Relaxed);
        while let Some(reply) = self
            .socket
            .reply(most)
            .map_err(|error| self.dead(error.to_string()))?
        {
            self.handle_reply(reply)?;
        }
        self.requests.move_away(self.liveness.received_to());
        self.requests.poll_events(&mut self.events);
        if let Some(redirect) = &self.redirect {
            let elsewhere = self.requests.poll_elsewhere();
            if !elsewhere.is_empty() {
                redirect.send(elsewhere);
            }
        }
        Ok(())
    }

    fn handle_reply(&mut self, reply: Reply) -> Result<(), Dead> {
        match reply {
            Reply::Message(message) if self.requests.is_ending(&message) => {}
            Reply::Message(message) => {
                // A confirmation before it has to be an event before it.
                self.requests.poll_events(&mut self.events);
                self.events.push(Event::Message(message));
            }
            Reply::TooLong(TooLong { channel, bytes }) => {
                let channel = String::from_utf8_lossy(&channel).into_owned();
                self.events.push(Event::TooLong { channel, bytes });
            }
            Reply::Confirmed(confirmation) => {
                let handled = self.requests.handle_confirmation(&confirmation);
                handled.map_err(|_| self.dead(OUT_OF_ORDER))?;
            }
            Reply::Pong => {
                let answer = self.requests.handle_pong();
                let answer = answer.map_err(|_| self.dead(OUT_OF_ORDER))?;
                self.handle_answer(answer)?;
            }
            Reply::Text(text) => {
                let asked = self.requests.handle_identity();
                let asked = asked.map_err(|_| self.dead(OUT_OF_ORDER))?;
                self.handle_identity(InfoAnswer::Text(&text), asked)?;
            }
            Reply::Done => {}
            Reply::Refused(reason) => {
                let answer = self.requests.handle_refusal(reason);
                let answer = answer.map_err(|fatal| self.dead(fatal.0))?;
                if self.requests.has_refused_statics() {
                    let retry = clock::now() + STATIC_RETRY;
                    self.retry_statics.get_or_insert(retry);
                }
                if let Some(answer) = answer {
                    self.handle_answer(answer)?;
                }
            }
        }
        Ok(())
    }

    fn handle_answer(&mut self, answer: Answer) -> Result<(), Dead> {
        match answer {
            Answer::Pong(sent) => {
                self.liveness.handle_pong(sent);
                self.tell_received_to();
                Ok(())
            }
            Answer::IdentityRefused(asked, reason) => {
                self.handle_identity(InfoAnswer::Refused(&reason), asked)
            }
        }
    }

    /// Tells how far all that was published has been received.
    fn tell_received_to(&mut self) {
        self.events.push(Event::ReceivedTo {
            epoch: self.epoch,
            at: self.liveness.received_to(),
        });
    }

    fn handle_identity(&mut self, answer: InfoAnswer<'_>, asked: Instant) -> Result<(), Dead> {
        let handled = self.liveness.handle_identity(answer, asked)?;
        self.tell_received_to();
        if let Some(reason) = handled {
            let unverified = &self.context.backend.unverified;
            unverified.warn_once(LINK, &self.server, &reason);
        }
        Ok(())
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time.into()).await,
        None => std::future::pending().await,
    }
}
