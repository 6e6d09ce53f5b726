//! The extension point: what a namespace does with its clients.
//!
//! A [`Namespace`] is told what clients do and answers by recording [`Action`]s on a [`Client`];
//! the shard applies them when the handler returns. Handlers therefore cannot re-enter the shard,
//! and can be tested without one.
//!
//! ```
//! use womack_engine::{Client, Namespace};
//! use womack_proto::Event;
//!
//! struct Greeter;
//!
//! impl Namespace for Greeter {
//!     fn on_event(&self, client: &mut Client<'_>, event: &Event) {
//!         if event.name == "hello" {
//!             client.emit("greeting", r#"{"text":"good day"}"#);
//!         }
//!     }
//! }
//! ```

mod channels;
pub(crate) mod join;
pub(crate) mod problem;
mod registry;
pub(crate) mod requests;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use womack_ledger::Limit;
use womack_proto::{Channel, CloseReason, Event, Message, Revision};

use self::join::{JoinAnswer, JoinReply, JoinTexts};
pub use self::{
    channels::{Channels, ChannelsSettings},
    registry::{Entry, Registry},
};
use crate::{encoding::Dialect, report::Meta};

/// The fate of messages that wait for a client that reads too slowly.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub enum SlowClient {
    /// The client is closed when its queue is full.
    #[default]
    Close,
    /// The oldest messages make room for later ones.
    DropOldest,
    /// A message takes the place of an earlier one with the same key, and is dropped when it is
    /// too old; the client is closed when its queue is full all the same.
    Latest,
}

/// What a namespace does with its clients.
///
/// One instance serves every shard. Handlers run on the shard's thread and must not block: what
/// has to wait is done elsewhere, and its result published.
pub trait Namespace: Send + Sync + 'static {
    /// Redis channel prefix of this namespace's channels; `None` means the server's.
    fn key(&self) -> Option<&str> {
        None
    }

    /// Whether clients without Socket.IO may subscribe to this namespace's channels: those of
    /// `/ws` and `/events`, of whom no handler hears anything. So no, unless a namespace says so.
    fn is_open(&self) -> bool {
        false
    }

    /// A client asks to join the namespace. What the handler emits follows the connect packet.
    ///
    /// # Errors
    /// A [`Refusal`] keeps the client out; it is told why.
    fn on_connect(&self, _client: &mut Client<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    /// A client sent an event.
    fn on_event(&self, client: &mut Client<'_>, event: &Event);

    /// A client left, or its connection ended. Nothing can be sent to it any more.
    fn on_disconnect(&self, _client: &mut Client<'_>, _reason: CloseReason) {}
}

/// What an endpoint does with clients that speak Engine.IO without Socket.IO on top, or WebSocket
/// without either.
pub trait Messages: Send + Sync + 'static {
    /// A client sent a message.
    fn on_message(&self, client: &mut MessageClient<'_>, message: Message);
}

/// A client, as a handler sees it: who it is, and what shall be done for it.
pub struct Client<'a> {
    view: View<'a>,
    actions: &'a mut Vec<Action>,
    /// How it is told of the channels that it joins.
    dialect: Dialect,
}

/// What a handler may know of a client.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub id: &'a str,
    pub revision: Revision,
    pub namespace: &'a str,
    pub auth: Option<&'a str>,
    pub meta: Option<&'a RawValue>,
    pub channels: &'a dyn Memberships,
}

/// Reading half of a client's channels.
pub(crate) trait Memberships {
    fn count(&self) -> usize;
    fn contains(&self, channel: &Channel) -> bool;
}

impl<'a> Client<'a> {
    pub(crate) const fn new(view: View<'a>, actions: &'a mut Vec<Action>) -> Self {
        Self {
            view,
            actions,
            dialect: Dialect::Events,
        }
    }

    /// The session id, as the client sees it.
    pub const fn id(&self) -> &str {
        self.view.id
    }

    /// The path of the namespace.
    pub const fn namespace(&self) -> &str {
        self.view.namespace
    }

    /// What the client sent with its CONNECT, as JSON text. Only there in `on_connect`.
    pub const fn auth(&self) -> Option<&str> {
        self.view.auth
    }

    /// What is remembered about the client in this namespace, see [`Client::set_meta`].
    pub const fn meta(&self) -> Option<&RawValue> {
        self.view.meta
    }

    /// How many channels the client is in, in this namespace.
    pub fn channel_count(&self) -> usize {
        self.view.channels.count()
    }

    /// Whether the client is in `channel`.
    pub fn is_in(&self, channel: &Channel) -> bool {
        self.view.channels.contains(channel)
    }

    pub(crate) const fn memberships(&self) -> &dyn Memberships {
        self.view.channels
    }

    /// Puts the client into `channel`: what is published there reaches it.
    pub fn join(&mut self, channel: Channel) {
        self.actions.push(Action::Join(channel, self.dialect));
    }

    /// Takes the client out of `channel`.
    pub fn leave(&mut self, channel: Channel) {
        self.actions.push(Action::Leave(channel));
    }

    /// Sends an event to this client. `args` is the JSON text of its arguments, separated by
    /// commas, without brackets.
    pub fn emit(&mut self, name: &str, args: &str) {
        self.emit_binary(name, args, &[]);
    }

    /// As [`Client::emit`], with binary attachments that placeholders in `args` refer to.
    pub fn emit_binary(&mut self, name: &str, args: &str, attachments: &[Bytes]) {
        self.actions.push(Action::Emit {
            name: name.to_owned(),
            args: args.to_owned(),
            attachments: attachments.to_vec(),
        });
    }

    /// Answers the event that asked for acknowledgement `ack`.
    pub fn acknowledge(&mut self, ack: u64, args: &str) {
        self.acknowledge_binary(ack, args, &[]);
    }

    /// As [`Client::acknowledge`], with binary attachments.
    pub fn acknowledge_binary(&mut self, ack: u64, args: &str, attachments: &[Bytes]) {
        self.actions.push(Action::Acknowledge {
            ack,
            args: args.to_owned(),
            attachments: attachments.to_vec(),
        });
    }

    /// Puts the client into all of `channels` and answers `ack` once Redis has confirmed them:
    /// with `live`, or with `unavailable` when that takes too long, in which case the channels
    /// that were new to the client are left again.
    pub fn join_acknowledged(
        &mut self,
        channels: Vec<Channel>,
        ack: u64,
        live: &str,
        unavailable: &str,
    ) {
        let texts = JoinTexts::Given {
            live: live.into(),
            unavailable: unavailable.into(),
        };
        self.push_join(channels, ack, texts);
    }

    /// The same with the answers of the stock namespace.
    pub(crate) fn subscribe_acknowledged(&mut self, channels: Vec<Channel>, ack: u64) {
        self.push_join(channels, ack, JoinTexts::Stock);
    }

    fn push_join(&mut self, channels: Vec<Channel>, ack: u64, texts: JoinTexts) {
        self.actions
            .push(Action::JoinAcknowledged(Box::new(JoinAcknowledged {
                channels,
                dialect: self.dialect,
                answer: JoinAnswer {
                    reply: JoinReply::Ack(ack),
                    texts,
                },
            })));
    }

    /// Remembers `meta` about the client until it leaves the namespace: server events and presence
    /// tell it to others. JSON's `null` forgets.
    pub fn set_meta(&mut self, meta: Box<RawValue>) {
        self.actions.push(Action::SetMeta(meta.into()));
    }

    /// Hands `data` to the back end, as a `custom` server event. Nothing is done with it when
    /// the server publishes none.
    pub fn report(&mut self, data: Box<RawValue>) {
        self.actions.push(Action::Report(data));
    }

    /// Answers `ack` with the number of clients in `channel`, those of other nodes included, and
    /// with what is remembered about some of them; or with `unavailable` when that takes too
    /// long, or when the namespace has no presence.
    pub fn acknowledge_presence(&mut self, channel: Channel, ack: u64, unavailable: &str) {
        self.actions.push(Action::AcknowledgePresence {
            channel,
            ack,
            unavailable: unavailable.to_owned(),
        });
    }

    pub(crate) const fn revision(&self) -> Revision {
        self.view.revision
    }

    /// Says in which dialect the client hears of the channels that it joins from here on.
    pub(crate) const fn speak(&mut self, dialect: Dialect) {
        self.dialect = dialect;
    }

    /// Counts that the client has come to a limit of the settings.
    pub(crate) fn limit(&mut self, limit: Limit) {
        self.actions.push(Action::Limit(limit));
    }

    /// Takes the client out of this namespace.
    pub fn disconnect(&mut self) {
        self.actions.push(Action::Disconnect);
    }
}

/// A client of an endpoint without Socket.IO.
pub struct MessageClient<'a> {
    replies: &'a mut Vec<Message>,
}

impl<'a> MessageClient<'a> {
    pub(crate) const fn new(replies: &'a mut Vec<Message>) -> Self {
        Self { replies }
    }

    /// Sends a message to this client.
    pub fn send(&mut self, message: Message) {
        self.replies.push(message);
    }
}

/// Why a client may not join a namespace: what its `connect_error` says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The error's message.
    pub message: String,
    /// Further data as JSON text.
    pub data: Option<String>,
}

impl Refusal {
    /// A refusal with a message and no further data.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            data: None,
        }
    }
}

/// What a handler wants done.
pub(crate) enum Action {
    Join(Channel, Dialect),
    Leave(Channel),
    Emit {
        name: String,
        args: String,
        attachments: Vec<Bytes>,
    },
    Acknowledge {
        ack: u64,
        args: String,
        attachments: Vec<Bytes>,
    },
    JoinAcknowledged(Box<JoinAcknowledged>),
    SetMeta(Meta),
    Report(Box<RawValue>),
    AcknowledgePresence {
        channel: Channel,
        ack: u64,
        unavailable: String,
    },
    Limit(Limit),
    Disconnect,
}

pub(crate) struct JoinAcknowledged {
    pub(crate) channels: Vec<Channel>,
    pub(crate) dialect: Dialect,
    pub(crate) answer: JoinAnswer,
}
