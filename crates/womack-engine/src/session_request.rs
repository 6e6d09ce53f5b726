//! Requests for a session, as HTTP brings them.

use std::{
    net::TcpStream,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use tokio::sync::oneshot;
use womack_proto::{Answer, relay::AnswerLoss};

use crate::sid::Sid;

/// A number that no other request of this process has.
pub fn number() -> u64 {
    static NUMBERS: AtomicU64 = AtomicU64::new(0);
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

/// A request of a polling client, or its change to a WebSocket, for the session `sid`.
pub struct SessionRequest {
    /// The session.
    pub sid: Sid,
    /// The request.
    pub kind: RequestKind,
}

/// The kind of a request.
pub enum RequestKind {
    /// A GET that waits for packets.
    Poll {
        /// A number that no other request has.
        token: u64,
        /// As [`womack_proto::Handshake::stamp`].
        stamp: Option<u64>,
        /// Takes the answer.
        answer: oneshot::Sender<Answer>,
    },
    /// The GET with this token went away before it was answered.
    PollAborted {
        /// The number of the GET.
        token: u64,
    },
    /// The answer to a GET may not have reached its client.
    AnswerLost {
        /// How certain that is.
        loss: AnswerLoss,
    },
    /// The GET with this token is to be answered without waiting any longer.
    PollEnough {
        /// The number of the GET.
        token: u64,
    },
    /// A POST with packets.
    Post {
        /// The packets.
        body: Bytes,
        /// Takes the answer.
        answer: oneshot::Sender<Answer>,
    },
    /// A WebSocket that asks to become the session's transport; `early` was read already.
    Upgrade {
        /// The socket.
        stream: TcpStream,
        /// Bytes that were read from it already.
        early: Bytes,
    },
    /// The WebSocket of a Socket.IO 0.9 client that has shaken hands.
    Attach {
        /// The socket.
        stream: TcpStream,
        /// Bytes that were read from it already.
        early: Bytes,
    },
    /// A Socket.IO 0.9 client says that it is gone.
    Goodbye,
}
