//! The outcome of a handshake of Socket.IO 0.9.

/// The outcome of a handshake.
pub enum Handshaken {
    /// A session, of which this line tells its client.
    Opened(String),
    /// The handler of `/` keeps the client out, and without `/` there is no session.
    Unauthorized,
    /// The server cannot open a session.
    Unavailable,
}
