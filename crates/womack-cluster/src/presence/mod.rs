//! The reporter: what shards say of their clients to the back end.
//!
//! It has a thread and a connection to Redis of its own, so that messages wait for none of it.
//! What it takes out of the queue it publishes as server events and, in the same commands, writes
//! into this node's record, which others read: for presence, and to say that clients have gone
//! when the node itself cannot.
//!
//! A record may come to be wrong: Redis has lost it, or reports gave way to later ones. Then the
//! reporter has the shards count their clients. Whoever was counted and was not in the record
//! has come, and whoever was not counted and is in the record has gone; both are published. Each
//! entry bears the number of the count that last met it, so that nothing else need be remembered.

mod commands;
mod entry;
mod keys;
mod ledger;
mod queries;
mod records;
mod reporter;
mod sweep;
mod thread;
mod write;

pub use self::{
    reporter::{Reporter, ReporterConfig},
    thread::ReporterTask,
};
