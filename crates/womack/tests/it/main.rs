//! The integration tests: real servers, a real Redis and real clients on this machine.
//!
//! They are one binary, since linking takes longer than most of them do. As many run at a time as
//! there are processors, whichever module they are in, so a test owns what it uses: its servers,
//! its ports, its folders. A test that needs more than that is in `tests/alone`.
//!
//! `cargo test -p womack --test it lines::` runs those of one module.

mod aborted_polls;
mod admission;
mod broker_clients;
mod conformance;
mod conformance_eio3;
mod dashboard;
mod deploy;
mod descriptors;
mod diagnosis;
mod disconnect;
mod drain;
mod egress;
mod eio3;
mod event_stream;
mod fan_out;
mod framing;
mod gaps;
mod generations;
mod http;
mod http_publish;
mod juggernaut;
mod legacy;
mod limits;
mod lines;
mod malformed;
mod message_limits;
mod metrics;
mod namespace;
mod operators;
mod outages;
mod pages;
mod polling;
mod presence;
mod promises;
mod proxies;
mod publish;
mod publishers;
mod random;
mod redis_cluster;
mod redis_failover;
mod redis_forms;
mod redis_restart;
mod redis_sentinel;
mod relay;
mod relay_links;
mod relay_secret;
mod relay_shares;
mod relay_versions;
mod roster;
mod server_events;
mod shutdown;
mod slow_consumer;
mod startup;
mod subscribe;
mod supervisor;
mod unread_answers;
mod upgrade;
mod ws_echo;
