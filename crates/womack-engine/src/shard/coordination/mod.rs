//! Actions of a shard: each method passes data from one part to another.
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
