//! Connections: records of clients, their ids, deadlines and ends.

pub(super) mod connection;
pub(super) mod ids;
pub(super) mod lifetimes;
pub(super) mod metas;
pub(super) mod rate_limit;
pub(super) mod recently_closed;
pub(super) mod stall_detector;
pub(super) mod table;
pub(super) mod timers;
pub(super) mod wheel;
