//! Topics: who is in which channel, and what waits for Redis.

pub(super) mod channels;
pub(super) mod gaps;
pub(super) mod memberships;
pub(super) mod meta_changes;
pub(crate) mod pending_acks;
pub(super) mod presence_queries;
pub(super) mod subscribers;
pub(super) mod subscriptions;
