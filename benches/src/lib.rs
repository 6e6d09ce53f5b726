//! How fast Womack is, and how far it is from what the kernel alone costs.
//!
//! Four programs are built from this library.
//! `fanout` starts a server, connects clients to it, publishes through a real Redis, checks that
//! every client got every message once and in order, and reports what a delivery cost the server.
//! `floor` is the bare epoll program that does the same work with nothing around it: what it
//! costs is the kernel's price, and the difference to it is ours.
//! `detour` measures what it costs that requests reach another node than their session's.
//! `soak` watches the memory while millions of messages pass.
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
//! | [`workload`], [`sweep`] | the workloads by name: clients, channels, pace |
//! | [`servers`], [`dialect`] | the servers by name: how each is started and spoken to |
//! | [`cell`], `run`, `source` | one server under one workload: connect, warm up, measure, check |
//! | [`series`], [`proof`] | many cells in interleaved rounds; all that is claimed |
//! | [`judge`] | two builds in pairs, and whether the new one is slower |
//! | [`soak`] | one server under one workload for long |
//! | [`ceiling`], [`start`] | what the router can do at most; how long a start takes |
//! | [`fleet`], [`client`], [`polling`] | the clients, on one thread and one epoll |
//! | [`subscription`] | whether each message comes once and in its turn |
//! | [`message`], [`frame`], [`resp`], [`nats`], [`http`] | the published message, and the protocols around it |
//! | [`publisher`], [`process`], [`usage`] | who publishes, child processes, what they cost |
//! | [`tally`], [`figures`] | what was counted, and what is told of it |
//! | [`report`], [`summary`], [`table`], [`plot`] | tables and plots |
//! | [`floor`] | the floor |

pub mod ceiling;
pub mod cell;
pub mod client;
pub mod dialect;
pub mod figures;
pub mod fleet;
pub mod floor;
pub mod frame;
pub mod http;
pub mod judge;
pub mod message;
pub mod nats;
pub mod plot;
pub mod polling;
pub mod process;
pub mod proof;
pub mod publisher;
pub mod report;
pub mod resp;
mod run;
pub mod series;
pub mod servers;
pub mod soak;
mod source;
pub mod start;
pub mod subscription;
pub mod summary;
pub mod sweep;
pub mod table;
pub mod tally;
pub mod usage;
pub mod workload;
