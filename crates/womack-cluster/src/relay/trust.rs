//! Which messages are taken for those of other nodes, where nodes share a secret.

use std::borrow::Cow;

use bytes::Bytes;
use womack_proto::relay::{Message, SharedSecret, Unreadable};

use super::ordered::Map;

/// The secret of the nodes, if they share one, and how far their messages have come.
pub(super) struct Trust {
    node: u32,
    secret: Option<SharedSecret>,
    /// The sequence of the latest message of this node.
    said: u64,
    /// The sequences of the latest messages of others. An entry takes the secret, so there are as
    /// many as nodes have spoken to this one, and none is forgotten: its messages would count anew.
    heard: Map<u32, u64>,
}

impl Trust {
    pub(super) fn new(node: u32, secret: Option<SharedSecret>) -> Self {
        Self {
            node,
            secret,
            said: 0,
            heard: Map::default(),
        }
    }

    /// A message as it travels to the node `to`. What is wrapped later has to be published later.
    pub(super) fn wrap<'a>(&mut self, to: u32, message: &'a [u8]) -> Cow<'a, [u8]> {
        let Some(secret) = &self.secret else {
            return Cow::Borrowed(message);
        };
        self.said += 1;
        Cow::Owned(secret.wrap(to, self.said, message))
    }

    /// Reads a message that has come.
    ///
    /// # Errors
    /// Why it is to be skipped.
    pub(super) fn read(&mut self, bytes: &Bytes) -> Result<Message, Unreadable> {
        let Some(secret) = &self.secret else {
            return Message::decode(bytes);
        };
        let (sequence, message) = secret.unwrap(self.node, bytes)?;
        let message = Message::decode(&message)?;
        let latest = self.heard.entry(message.node).or_default();
        if sequence <= *latest {
            return Err(Unreadable::Repeated);
        }
        *latest = sequence;
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use womack_proto::relay::{Form, Kind};

    use super::*;

    fn node(node: u32, secret: Option<&str>) -> Trust {
        let secret = secret.map(|secret| SharedSecret::new(secret.as_bytes()));
        Trust::new(node, secret)
    }

    fn message(node: u32) -> Message {
        Message {
            node,
            epoch: Some(1),
            number: 5,
            kind: Kind::Gone,
        }
    }

    fn said(from: &mut Trust, to: u32) -> Bytes {
        let message = message(from.node).encode(Form::Envelope).unwrap();
        Bytes::copy_from_slice(&from.wrap(to, &message))
    }

    #[test]
    fn nodes_without_a_secret_speak_as_before() {
        let (mut one, mut other) = (node(1, None), node(2, None));
        let travelling = said(&mut one, 2);
        assert_eq!(travelling, message(1).encode(Form::Envelope).unwrap());
        assert_eq!(other.read(&travelling), Ok(message(1)));
    }

    #[test]
    fn nodes_take_what_has_the_mac_of_their_secret_and_nothing_else() {
        let (mut one, mut other) = (node(1, Some("a")), node(2, Some("a")));
        assert_eq!(other.read(&said(&mut one, 2)), Ok(message(1)));
        for (forger, expected) in [
            (None, Unreadable::MissingMac),
            (Some("b"), Unreadable::WrongMac),
        ] {
            let forged = said(&mut node(1, forger), 2);
            assert_eq!(other.read(&forged), Err(expected));
        }
        let for_another = said(&mut one, 3);
        assert_eq!(other.read(&for_another), Err(Unreadable::WrongMac));
        let mut without = node(2, None);
        let travelling = said(&mut one, 2);
        assert_eq!(without.read(&travelling), Err(Unreadable::UnexpectedMac));
    }

    #[test]
    fn a_message_is_taken_once_and_only_in_its_order() {
        let (mut one, mut other) = (node(1, Some("a")), node(2, Some("a")));
        let mut third = node(3, Some("a"));
        let (first, second) = (said(&mut one, 2), said(&mut one, 2));
        assert_eq!(other.read(&second), Ok(message(1)));
        for again in [&second, &first] {
            assert_eq!(other.read(again), Err(Unreadable::Repeated));
        }
        // Each node counts for itself.
        assert_eq!(other.read(&said(&mut third, 2)), Ok(message(3)));
        assert_eq!(other.read(&said(&mut one, 2)), Ok(message(1)));
    }
}
