//! The protocols of Womack's clients, publishers and nodes: Engine.IO, Socket.IO, JSON lines,
//! server-sent events, published messages, and the messages between nodes.
//!
//! There is no networking code in this crate, and no clock, no thread and no runtime. It knows what
//! bytes mean; whoever calls it moves them. The client protocols are Engine.IO 4 with Socket.IO 5
//! in it, which is what `socket.io-client` 3.x and 4.x send, Engine.IO 3 with Socket.IO 4, which is
//! what 1.x and 2.x send, and Socket.IO 0.9.
//!
//! # The calling contract
//!
//! A [`Session`] is the protocol state of one client. Every call that changes it takes the
//! server's [`Rules`], the time where time matters, and a buffer of [`Output`]s: *call, then do
//! what the buffer says, in order, then call again.* The first call, once the open packet is on its
//! way, is [`Session::start`]. A [`Output::Connect`] is answered, with
//! [`Session::accept`] or [`Session::refuse`], before the next packet is handed in. After
//! [`Output::Closed`] nothing follows.
//!
//! ```
//! use std::time::{Duration, Instant};
//! use womack_proto::{Layer, Limits, Namespaces, Output, Revision, Rules, Session, Timing};
//!
//! let rules = Rules {
//!     timing: Timing::default(),
//!     limits: Limits::default(),
//!     namespaces: Namespaces::new(["/another"]),
//! };
//! let now = Instant::now();
//! let mut session = Session::open(Revision::V4, Layer::SocketIo, &rules, now);
//! let mut outputs = Vec::new();
//! session.start(&rules, &mut outputs);
//! session.handle_text(now, "40", &rules, &mut outputs);
//! for output in std::mem::take(&mut outputs) {
//!     if let Output::Connect { namespace, .. } = output {
//!         session.accept(namespace, "K19LcR3dwTTucqp-AAAA", &rules, &mut outputs);
//!     }
//! }
//! assert_eq!(session.deadline(), now + rules.timing.ping_interval);
//! ```
//!
//! # Where to find what
//!
//! | module | what it knows |
//! |---|---|
//! | [`handshake`] | the query of a request, and the open packet that answers the first |
//! | [`session_error`] | why a session is refused, and how its client is told |
//! | [`engine_io`], [`socket_io`] | packets of the two layers |
//! | [`payload`] | several packets in one polling body |
//! | [`legacy`], [`legacy_handshake`] | packets and requests of Socket.IO 0.9, which has no Engine.IO |
//! | [`frame`] | packets as WebSocket frames, encoded once for all receivers |
//! | [`session`], [`output`] | what a client may do when, pings and time-outs; what the caller does then |
//! | [`plain`], [`lines`], [`event_stream`] | clients without Engine.IO: what they ask for, whether they live; JSON lines, server-sent events |
//! | [`envelope`], [`freshness`], [`channel`] | what publishers send, for how long it is of use, and where to |
//! | [`gap`] | what a client is told that may have missed something |
//! | [`publishers`] | what publishers of other families send |
//! | [`subscriber`] | what a subscriber of Redis and its user tell each other |
//! | [`unsubscribed`] | the end of a membership that the client did not ask for |
//! | [`answer`] | the answer of a session to a polling request |
//! | [`relay`] | messages between nodes |
//! | [`rules`], [`event`], [`error`] | limits and timing, an event of a client, errors and reasons of a close |
//!
//! Nothing here panics, whatever a peer sends, and every limit on what it may send is in
//! [`Limits`] or an argument.

pub mod answer;
mod attachments;
pub mod channel;
pub mod engine_io;
pub mod envelope;
pub mod error;
pub mod event;
pub mod event_stream;
pub mod frame;
pub mod freshness;
pub mod gap;
pub mod handshake;
pub mod legacy;
pub mod legacy_handshake;
pub mod lines;
pub mod output;
pub mod payload;
pub mod plain;
pub mod publishers;
pub mod relay;
pub mod rules;
pub mod session;
pub mod session_error;
pub mod socket_io;
pub mod subscriber;
pub mod unsubscribed;

pub use answer::{Answer, PollBody};
pub use channel::{Channel, ChannelError, is_reserved_event};
pub use envelope::{EnvelopeError, Except, Scratch};
pub use error::{CloseReason, DecodeError};
pub use event::Event;
pub use frame::Frame;
pub use handshake::{Handshake, Revision, TransportKind, open_packet};
pub use output::{Message, Output};
pub use plain::{Form, Plain, Target};
pub use rules::{Layer, Limits, NamespaceId, Namespaces, Rules, Timing};
pub use session::Session;
pub use session_error::SessionError;
