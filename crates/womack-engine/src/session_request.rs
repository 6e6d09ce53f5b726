//! Requests for a session, as HTTP brings them, and their answers.

use std::{
    net::TcpStream,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use tokio::sync::oneshot;
use womack_proto::{payload::Content, relay::AnswerLoss};

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
        answer: oneshot::Sender<PollAnswer>,
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
        answer: oneshot::Sender<PostAnswer>,
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

/// What a GET is answered.
#[derive(Debug)]
pub enum PollAnswer {
    /// Packets.
    Packets(PollBody),
    /// There is no such session, or no more.
    UnknownSid,
    /// The session's node is gone, or does not answer in time.
    NodeGone,
    /// The session has left polling, or another GET was there first.
    BadRequest,
    /// The session ends here, and the client is to open another: the server stops, or lost the way
    /// to the session's node.
    Ended,
    /// The request was not brought to its session, and may be repeated.
    Unavailable,
}

/// The body of an answer that brings packets.
#[derive(Debug)]
pub struct PollBody {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What the bytes are.
    pub content: Content,
}

/// What a POST is answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PostAnswer {
    /// The packets were taken.
    Ok,
    /// There is no such session, or no more.
    UnknownSid,
    /// The session's node is gone, or does not answer in time.
    NodeGone,
    /// The session has left polling, or the packets were none.
    BadRequest,
    /// The session ends here, and the client is to open another: the server stops, or lost the way
    /// to the session's node.
    Ended,
    /// The request was not brought to its session, and may be repeated.
    Unavailable,
}
