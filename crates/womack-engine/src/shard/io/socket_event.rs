//! The state of a socket that is ready.

use super::socket_id::SocketId;

/// The state of a socket that is ready.
#[derive(Clone, Copy, Debug)]
pub struct SocketEvent {
    pub(crate) socket: SocketId,
    pub(crate) is_readable: bool,
    pub(crate) is_writable: bool,
    /// Whether nothing follows what there is to read, or the socket has failed.
    pub(crate) ends: bool,
}
