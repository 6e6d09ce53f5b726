//! What the tasks of the relay tell it.

use womack_engine::{PollAnswer, PostAnswer};
use womack_proto::relay::Flow;

use super::place::{End, Place};

/// What tasks of the relay tell it.
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
