//! Channel names and what they may not be.

use std::{borrow::Borrow, fmt, ops::Deref, sync::Arc};

/// Events that the library itself raises on either side; nobody may send or publish them.
const RESERVED_EVENTS: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// Whether only the library itself may use this event name.
pub fn is_reserved_event(name: &str) -> bool {
    RESERVED_EVENTS.contains(&name)
}

/// The name of a channel, which is also the name of the event that its subscribers get.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Channel(Arc<str>);

impl Channel {
    /// Takes `name` for a channel's if it may be one.
    ///
    /// # Errors
    /// A name that is empty, reserved or longer than `max_bytes` in UTF-8 is refused.
    pub fn parse(name: &str, max_bytes: usize) -> Result<Self, ChannelError> {
        if name.is_empty() {
            return Err(ChannelError::Empty);
        }
        if is_reserved_event(name) {
            return Err(ChannelError::Reserved);
        }
        if name.len() > max_bytes {
            return Err(ChannelError::TooLong { max: max_bytes });
        }
        Ok(Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Channel {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for Channel {
    fn borrow(&self) -> &str {
        self
    }
}

impl Deref for Channel {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl From<Channel> for Arc<str> {
    fn from(channel: Channel) -> Self {
        channel.0
    }
}

/// Why a name cannot be a channel's.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ChannelError {
    /// The empty string.
    #[error("a channel name cannot be empty")]
    Empty,
    /// A name that Socket.IO keeps for itself.
    #[error("this name is reserved")]
    Reserved,
    /// Longer than the server allows.
    #[error("a channel name has {max} bytes at most")]
    TooLong {
        /// The limit.
        max: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_every_name_is_a_channel() {
        for name in [
            "a",
            "a:b:c",
            "with space",
            "/*?[",
            "é😀",
            "Connect",
            "error",
            "\u{0}",
        ] {
            assert_eq!(
                Channel::parse(name, 16).map(|channel| channel.to_string()),
                Ok(name.into())
            );
        }
    }

    #[test]
    fn the_others_say_why_not() {
        assert_eq!(Channel::parse("", 16), Err(ChannelError::Empty));
        for name in RESERVED_EVENTS {
            assert_eq!(
                Channel::parse(name, 16),
                Err(ChannelError::Reserved),
                "{name}"
            );
        }
        assert!(Channel::parse("ééé", 6).is_ok());
        assert_eq!(
            Channel::parse("éééa", 6),
            Err(ChannelError::TooLong { max: 6 })
        );
    }
}
