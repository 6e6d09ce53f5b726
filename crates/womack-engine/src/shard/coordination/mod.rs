//! What a shard does between its parts: each method takes from one what another needs.
//!
//! No decision is made here that a part could make alone.

mod backpressure;
mod closing;
mod deliver;
mod fan_out;
mod flush;
mod gaps;
mod ids;
mod join;
mod legacy;
mod lines;
mod orders;
mod plain;
mod polling;
mod rate_limit;
mod reading;
mod report;
mod session;
mod sse;
mod turn;
mod upgrade;
