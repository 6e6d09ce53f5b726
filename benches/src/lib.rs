//! How fast Womack is, and how far it is from what the kernel alone costs.
//!
//! Two programs are built from this library.
//! `fanout` starts a server, connects clients to it, publishes through a real Redis, checks that
//! every client got every message once and in order, and reports what a delivery cost the server.
//! `floor` is the bare epoll program that does the same work with nothing around it: what it
//! costs is the kernel's price, and the difference to it is ours.
//!
//! ```text
//!  fanout, pinned to the load's core                 the server's core
//! ┌───────────────────────────────────┐             ┌──────────────────┐
//! │ report ◀─ cell ─▶ publisher ──────┼──▶ Redis ──▶│ womack or floor  │
//! │            │                      │             │ or a peer        │
//! │            └────▶ fleet of clients│◀────────────│                  │
//! └───────────────────────────────────┘   frames    └──────────────────┘
//! ```
//!
//! | module | what it holds |
//! |---|---|
//! | [`workload`] | the workloads by name: clients, channels, pace |
//! | [`servers`] | the servers by name: how each is started |
//! | [`cell`] | one server under one workload: connect, warm up, measure, check |
//! | [`fleet`], [`client`], [`polling`] | the clients, on one thread and one epoll |
//! | [`subscription`] | whether each message comes once and in its turn |
//! | [`message`], [`frame`], [`resp`] | the published message, WebSocket frames, Redis replies |
//! | [`publisher`], [`process`], [`usage`] | Redis, child processes, what they cost |
//! | [`tally`], [`report`] | what was counted, and its tables |
//! | [`floor`] | the floor |

pub mod cell;
pub mod client;
pub mod fleet;
pub mod floor;
pub mod frame;
pub mod message;
pub mod polling;
pub mod process;
pub mod publisher;
pub mod report;
pub mod resp;
pub mod servers;
pub mod subscription;
pub mod tally;
pub mod usage;
pub mod workload;
