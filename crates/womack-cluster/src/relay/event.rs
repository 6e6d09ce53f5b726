//! Notices from the tasks of the relay.

use womack_proto::{Answer, relay::Flow};

use super::place::{End, Place};

/// A notice from a task of the relay.
pub(super) enum Event {
    /// A session of this node has answered a request.
    Answered(Place, Answer),
    /// Bytes for the other end of a tunnel.
    Flow(End, Flow),
    /// A tunnel's task has ended.
    Closed(End),
}
