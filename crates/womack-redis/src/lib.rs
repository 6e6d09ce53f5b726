//! Connections to Redis: how a server is reached, the subscriber that brings published messages,
//! and the publisher.
//!
//! This crate knows neither clients nor what a message means, keeps no channel that nobody asked
//! for, and does not decide what follows when something was missed: it tells its user by
//! [`Event`](womack_proto::subscriber::Event)s. It knows no HTTP, no command line and no registry
//! of metrics.
//!
//! ```text
//! connect/       which Redis is meant and how it is reached
//!   url          the forms of a URL
//!   tls          files for TLS, and connections that speak it
//!   sentinel     the server that sentinels call the master
//!   cluster      slots of a cluster, and their masters
//!   dispatch     publishing on whatever the backend is
//!   ask_identity the question whether a server is still the same master
//! subscriber/    everything that is subscribed, and the backlog of what came
//!   single       the task for one server; cluster: for a cluster; node: for a master of it,
//!                which tells the cluster by a notice
//!   connection   one connection, from its greeting on; socket: its bytes
//!   requests/    without I/O: requests of a connection and the replies that are due
//!   batch        requests that travel together; pending: those that are still to be made
//!   liveness     whether the server is there, and still the one that it was
//!   context      state that its connections share
//!   backlog      the only queue between the sockets and whoever takes the events
//! resp           commands of a subscriber, and the replies to them, without I/O
//! publisher      publishing for programs
//! identity       whether a server is the one that it was; guard: the check of that for commands
//! error_class    the meaning of an error for a connection
//! error          errors of this crate
//! backoff        the time until the next try to connect
//! clock          the clock that tasks read
//! ```
//!
//! Tasks read clocks and sockets; the parts without I/O are handed what came and when, and are
//! tested alone.

mod backoff;
pub mod clock;
mod connect;
mod error;
mod error_class;
mod guard;
mod identity;
mod publisher;
pub mod resp;
mod subscriber;

#[cfg(feature = "simulation")]
pub use self::connect::{Stream, simulation};
pub use self::{
    backoff::Backoff,
    connect::{
        Address, Backend, Connected, Dispatch, REPLY_TIMEOUT, TlsError, TlsFiles, Unreachable,
    },
    error::{CommandError, Error, UrlError},
    error_class::{ErrorClass, RefusalCause},
    guard::{Guard, guard},
    publisher::Publisher,
    subscriber::{RedisSubscriber, SubscriberConfig, SubscriberMetrics},
};
