//! The fan-out engine: parts of router and shards that need neither HTTP nor Redis.
//!
//! This folder becomes a crate of its own; time is an argument here, and nothing reads a clock.

mod dirty_channels;
mod open_gaps;
mod pending_acks;
mod refusals;
mod stall_detector;
mod timeout_queue;

pub(crate) use self::{
    dirty_channels::DirtyChannels,
    open_gaps::{EndedGap, LostChannels, OpenGaps},
    pending_acks::{Answered, JoinAnswer, JoinReply, Key, PendingAck, PendingAcks},
    refusals::Refusals,
    stall_detector::StallDetector,
    timeout_queue::{Ticket, TimeoutQueue},
};
