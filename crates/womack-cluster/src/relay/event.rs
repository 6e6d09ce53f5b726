//! Notices from the tasks of the relay.

use womack_engine::{PollAnswer, PostAnswer};
use womack_proto::relay::Flow;

use super::place::{End, Place};

/// A notice from a task of the relay.
pub(super) enum Event {
    /// A session of this node has answered a poll.
    Polled(Place, PollAnswer),
    /// The same for a POST.
    Posted(Place, PostAnswer),
    /// Bytes for the other end of a tunnel.
    Flow(End, Flow),
    /// A tunnel's task has ended.
    Closed(End),
}
