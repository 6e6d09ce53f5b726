//! The subscriber: everything that is subscribed at Redis, whichever of its kinds it is.
//!
//! A subscriber never ends: where a connection breaks, it is made again, and the loss comes as an
//! [`Event`]. Its connections are tasks of their own, which empty their sockets into one backlog
//! whatever the shards do; the one to a single server is part of the subscriber's own task. The
//! consequences of a loss, and the requests for channels that were lost, are the router's affair. A
//! request that was not confirmed when its connection broke is kept here and made again, unless it
//! was given up.
//!
//! Clocks are read by the tasks alone: `requests`, `batch`, `pending` and `liveness` are handed the
//! time with what has happened.

mod backlog;
mod batch;
mod cluster;
mod config;
mod connection;
mod context;
mod greeting;
mod liveness;
mod metrics;
mod node;
mod notice;
mod pending;
mod requests;
mod single;
mod socket;

use std::sync::{Arc, atomic::Ordering};

use tokio::{
    sync::mpsc::{UnboundedSender, unbounded_channel},
    task::JoinHandle,
};
use womack_proto::subscriber::{Event, Subscription};

use self::context::{Command, Context};
pub use self::{config::SubscriberConfig, metrics::SubscriberMetrics};
use crate::connect::{Backend, Kind};

/// The subscriber.
pub struct RedisSubscriber {
    context: Arc<Context>,
    commands: UnboundedSender<Command>,
    task: JoinHandle<()>,
}

impl RedisSubscriber {
    /// Begins to connect, by tasks of the Tokio runtime that this is called in.
    pub fn open(backend: Backend, config: SubscriberConfig, metrics: SubscriberMetrics) -> Self {
        let is_cluster = matches!(backend.kind, Kind::Cluster(_));
        let context = Arc::new(Context::new(backend, &config, metrics));
        let statics = config.statics;
        let (commands, receiver) = unbounded_channel();
        let task = match is_cluster {
            true => tokio::spawn(cluster::run(context.clone(), statics, receiver)),
            false => tokio::spawn(single::run(context.clone(), statics, receiver)),
        };
        Self {
            context,
            commands,
            task,
        }
    }

    /// Changes how many bytes one message may have.
    pub fn set_max_message_bytes(&self, most: usize) {
        self.context
            .max_message_bytes
            .store(most, Ordering::Relaxed);
    }

    /// Waits for events, then moves up to `most` of those that are there to the end of `batch`.
    /// Losing this future loses nothing.
    pub async fn receive(&self, batch: &mut Vec<Event>, most: usize) {
        self.context.backlog.take(batch, most).await;
    }

    /// Requests channels; [`Event::Live`] or [`Event::Refused`] answers each.
    pub fn subscribe(&self, subscriptions: Vec<Subscription>) {
        self.send(Command::Subscribe(subscriptions));
    }

    /// Gives channels up.
    pub fn give_up(&self, subscriptions: Vec<Subscription>) {
        self.send(Command::GiveUp(subscriptions));
    }

    fn send(&self, command: Command) {
        // The task ends with the subscriber only, or with its thread.
        self.commands.send(command).ok();
    }
}

impl Drop for RedisSubscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}
