//! Requests for a session, as HTTP brings them.

use std::{
    hash::BuildHasher,
    net::TcpStream,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::oneshot;
use womack_ledger::Slot;
use womack_proto::{Answer, relay::AnswerLoss};

use crate::sid::{Keyed, Sid};

/// A number that no other request of this process has, and that cannot be guessed: other nodes
/// answer requests by their number, and so could everybody else who may publish at Redis.
pub fn number() -> u64 {
    static NUMBERS: AtomicU64 = AtomicU64::new(0);
    static KEY: LazyLock<Keyed> = LazyLock::new(Keyed::default);
    // A keyed hash, since asking the system for each would cost a polling request a system call.
    KEY.hash_one(NUMBERS.fetch_add(1, Ordering::Relaxed))
}

/// A socket of a client that speaks WebSocket.
pub struct ClientSocket {
    /// The socket, closed before it counts no longer.
    pub stream: TcpStream,
    /// By what it counts.
    pub slots: SocketSlots,
}

/// By what a client's socket counts.
#[derive(Default)]
pub struct SocketSlots {
    /// Its place among the descriptors of clients, if it is counted.
    pub descriptor: Option<Slot>,
    /// Its place among the requests for other nodes, if it is one.
    pub relayed: Option<Slot>,
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
        socket: ClientSocket,
        /// Bytes that were read from it already.
        early: Bytes,
    },
    /// The WebSocket of a Socket.IO 0.9 client that has shaken hands.
    Attach {
        /// The socket.
        socket: ClientSocket,
        /// Bytes that were read from it already.
        early: Bytes,
    },
    /// A Socket.IO 0.9 client says that it is gone.
    Goodbye,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn numbers_are_neither_repeated_nor_counted() {
        let numbers: Vec<_> = (0..10_000).map(|_| number()).collect();
        assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), numbers.len());
        // Of ten thousand random numbers, hardly two are so near.
        let is_near = |pair: &[u64]| pair[0].abs_diff(pair[1]) < 1 << 20;
        assert!(!numbers.windows(2).any(is_near));
        assert!(numbers.iter().any(|number| number >> 32 != 0));
    }
}
