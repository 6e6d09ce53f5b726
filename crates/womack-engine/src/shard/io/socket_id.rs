//! The names by which the system knows a shard's sockets.

use mio::Token;

use crate::sid::ConnectionId;

/// One of a shard's sockets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SocketId {
    /// A connection's own.
    Client(ConnectionId),
    /// A WebSocket that asks to become a polling connection's transport.
    Probe(ConnectionId),
    /// One of a connection that has ended, by its key among the closing sockets.
    Closing(usize),
    /// One that belongs to no connection: nobody listens to its events.
    Nobody,
}

/// No connection has a token so high, and no closing socket one so low.
const NOBODY: usize = usize::MAX >> 1;

impl SocketId {
    /// The name for the system.
    pub(super) const fn token(self) -> Token {
        Token(match self {
            Self::Client(id) => id.index() << 1,
            Self::Probe(id) => id.index() << 1 | 1,
            Self::Closing(key) => usize::MAX - key,
            Self::Nobody => NOBODY,
        })
    }

    /// The socket that the system means.
    pub(in crate::shard) fn of(token: Token) -> Self {
        if token.0 > NOBODY {
            return Self::Closing(usize::MAX - token.0);
        }
        match (u32::try_from(token.0 >> 1), token.0 & 1) {
            (Ok(id), 0) => Self::Client(ConnectionId(id)),
            (Ok(id), _) => Self::Probe(ConnectionId(id)),
            (Err(_), _) => Self::Nobody,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_socket_has_a_token_of_its_own() {
        let ids = [0, 1, 70_000, u32::MAX].map(ConnectionId);
        let clients = ids.map(SocketId::Client).into_iter();
        let sockets = clients
            .chain(ids.map(SocketId::Probe))
            .chain([0, 1, 70_000].map(SocketId::Closing))
            .chain([SocketId::Nobody]);
        for socket in sockets {
            assert_eq!(SocketId::of(socket.token()), socket);
        }
    }
}
