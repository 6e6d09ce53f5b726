//! Promises of delivery, with a Redis that is slow, refuses names, goes away, or is not the one
//! that it was, and with clients that do not wait for answers.

mod busy;
mod identity;
mod latency;
mod outage;
mod partial_cluster;
mod refusals;
