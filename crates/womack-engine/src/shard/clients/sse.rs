//! The request for an event stream, and the result of opening it.

use std::rc::Rc;

use tokio::sync::oneshot;
use womack_proto::NamespaceId;

use super::event_queue::EventQueue;
use crate::sid::Sid;

/// The body's side of an event stream.
pub struct Opened {
    /// The session.
    pub sid: Sid,
    /// The bytes that wait for the client.
    pub queue: Rc<EventQueue>,
    /// Says whether the channels are live, which is when the answer begins.
    pub live: oneshot::Receiver<bool>,
}

/// What a client asks of an event stream.
pub struct Wish<'a> {
    /// The namespace.
    pub namespace: NamespaceId,
    /// The names of the channels.
    pub channels: &'a [String],
    /// The event that the client had last.
    pub last: Option<&'a str>,
}
