//! What servers are spoken to in: Womack and the servers that do its work understand Socket.IO
//! and read Redis; the others have protocols of their own.

/// The Redis key in front of every channel name.
pub const KEY: &str = "womack:ns:default:";

/// How clients subscribe and how a message is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Clients speak Socket.IO 4; publishers speak to Redis.
    SocketIo,
    /// Clients speak Socket.IO 0.9; publishers speak to Redis.
    SocketIo09,
    /// Clients speak either, by turns.
    Mixed,
    /// Clients speak NATS's protocol over WebSocket; publishers speak it over TCP.
    Nats,
    /// Clients ask nchan for a channel by its URL; publishers post to another URL.
    Nchan,
}

/// The command that publishes a message, around the channel's name and the payload.
pub struct Command {
    /// What comes before the channel.
    pub before: String,
    /// What comes between the two.
    pub between: String,
    /// What comes after the payload.
    pub after: &'static str,
}

impl Dialect {
    /// The command for names and payloads of these lengths.
    #[must_use]
    pub fn publish(self, name_len: usize, payload_len: usize) -> Command {
        match self {
            Self::SocketIo | Self::SocketIo09 | Self::Mixed => Command {
                before: format!("*3\r\n$7\r\nPUBLISH\r\n${}\r\n{KEY}", KEY.len() + name_len),
                between: format!("\r\n${payload_len}\r\n"),
                after: "\r\n",
            },
            Self::Nats => Command {
                before: "PUB ".to_owned(),
                between: format!(" {payload_len}\r\n"),
                after: "\r\n",
            },
            Self::Nchan => Command {
                before: "POST /publish/".to_owned(),
                between: format!(
                    " HTTP/1.1\r\nHost: localhost\r\nContent-Length: {payload_len}\r\n\r\n"
                ),
                after: "",
            },
        }
    }

    /// What a publisher says first.
    #[must_use]
    pub fn greeting(self) -> &'static str {
        match self {
            Self::SocketIo | Self::SocketIo09 | Self::Mixed | Self::Nchan => "",
            Self::Nats => "CONNECT {\"verbose\":false}\r\n",
        }
    }

    /// What the client with this number speaks.
    #[must_use]
    pub fn of_client(self, number: usize) -> Self {
        match self {
            Self::Mixed if number % 2 == 1 => Self::SocketIo09,
            Self::Mixed => Self::SocketIo,
            one => one,
        }
    }

    /// Where a client that wants these channels sends its first request.
    #[must_use]
    pub fn target(self, channel: &str) -> String {
        match self {
            Self::SocketIo09 => "/socket.io/1/".to_owned(),
            Self::SocketIo | Self::Mixed => "/socket.io/?EIO=4&transport=websocket".to_owned(),
            Self::Nats => "/".to_owned(),
            Self::Nchan => format!("/subscribe/{channel}"),
        }
    }
}
