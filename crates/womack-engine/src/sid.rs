//! Session ids that name their node, their shard and their place in it.
//!
//! A request with a session id therefore finds its session without a directory. The rest of the id
//! is random, so that nobody can guess one: who knows a session's id can read its messages. A
//! namespace's id, which other clients may learn, is a keyed hash of the session's secret; clients
//! of Engine.IO 3 and before have no other id than the session's.

use std::{fmt, hash::BuildHasher};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use womack_ledger::ShardId;
use womack_proto::NamespaceId;

/// A keyed hash. A simulation has no secrets, and wants the same ids from the same seed.
#[cfg(not(feature = "simulation"))]
pub(crate) type Keyed = std::hash::RandomState;
#[cfg(feature = "simulation")]
pub(crate) type Keyed = std::hash::BuildHasherDefault<std::hash::DefaultHasher>;

/// Bytes of an id before they are written as text.
const BYTES: usize = 18;
/// Characters of an id.
const CHARACTERS: usize = 24;
/// Characters that say nothing but the node.
const NODE_CHARACTERS: usize = 5;

/// The number of a connection in its shard, which goes to a later one when it is free again.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(transparent)]
pub struct ConnectionId(pub u32);

impl ConnectionId {
    /// The connection in a slot of its shard, of which there are never more than files.
    pub fn at(slot: usize) -> Self {
        Self(u32::try_from(slot).expect("fewer than 2^31 files"))
    }

    /// The slot of the connection.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A client that cannot be taken for a later one in the same slot.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct ConnectionRef {
    pub id: ConnectionId,
    /// The secret part of its session's id.
    pub secret: u64,
}

/// A session id, or a session's id in one namespace.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Sid {
    /// The process that made it.
    pub node: u32,
    /// The shard that owns the session.
    pub shard: ShardId,
    /// The session's connection.
    pub slot: ConnectionId,
    /// What cannot be guessed.
    pub secret: u64,
}

impl Sid {
    /// Reads an id; `None` for anything that no server like this one has written.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != CHARACTERS {
            return None;
        }
        let mut bytes = [0; BYTES];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        let (node, rest) = bytes[..length].split_first_chunk()?;
        let (shard, rest) = rest.split_first_chunk()?;
        let (slot, rest) = rest.split_first_chunk()?;
        let (secret, rest) = rest.split_first_chunk()?;
        rest.is_empty().then(|| Self {
            node: u32::from_be_bytes(*node),
            shard: ShardId(u16::from_be_bytes(*shard)),
            slot: ConnectionId(u32::from_be_bytes(*slot)),
            secret: u64::from_be_bytes(*secret),
        })
    }

    /// Reads an id as a client in the namespace at `path` has it: older ones put the path and a
    /// `#` before it.
    pub(crate) fn parse_in(path: &str, text: &str) -> Option<Self> {
        let bare = text.strip_prefix(path).and_then(|id| id.strip_prefix('#'));
        Self::parse(bare.unwrap_or(text))
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; BYTES];
        bytes[..4].copy_from_slice(&self.node.to_be_bytes());
        bytes[4..6].copy_from_slice(&self.shard.0.to_be_bytes());
        bytes[6..10].copy_from_slice(&self.slot.0.to_be_bytes());
        bytes[10..].copy_from_slice(&self.secret.to_be_bytes());
        formatter.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

/// What one process needs to make session ids.
#[derive(Clone)]
pub struct SidSource {
    /// The number of this node.
    pub node: u32,
    /// Keyed with random numbers of this process.
    hasher: Keyed,
}

impl SidSource {
    /// # Errors
    /// The system has no random numbers.
    pub fn new() -> Result<Self, getrandom::Error> {
        Ok(Self {
            node: random()? as u32,
            hasher: Keyed::default(),
        })
    }

    /// A secret for a new session.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn secret() -> Result<u64, getrandom::Error> {
        random()
    }

    /// What every id of this process begins with.
    pub(crate) fn beginning(&self) -> String {
        let sid = Sid {
            node: self.node,
            shard: ShardId(0),
            slot: ConnectionId(0),
            secret: 0,
        };
        let mut text = sid.to_string();
        text.truncate(NODE_CHARACTERS);
        text
    }

    /// The secret part of a session's id in `namespace`, from which the session's own cannot be
    /// found.
    pub(crate) fn namespace_secret(&self, secret: u64, namespace: NamespaceId) -> u64 {
        self.hasher.hash_one((secret, namespace.0))
    }
}

#[cfg(not(feature = "simulation"))]
fn random() -> Result<u64, getrandom::Error> {
    getrandom::u64()
}

/// The next number that follows from the seed of this thread (`fastrand::seed`).
#[cfg(feature = "simulation")]
fn random() -> Result<u64, getrandom::Error> {
    Ok(fastrand::u64(..))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SID: Sid = Sid {
        node: 7,
        shard: ShardId(2),
        slot: ConnectionId(70_000),
        secret: u64::MAX - 1,
    };

    #[test]
    fn text_names_the_same_session_again() {
        let text = SID.to_string();
        assert_eq!(text.len(), CHARACTERS);
        assert_eq!(Sid::parse(&text), Some(SID));
    }

    #[test]
    fn older_clients_have_the_path_in_their_ids() {
        for (path, text) in [("/", SID.to_string()), ("/a", format!("/a#{SID}"))] {
            assert_eq!(Sid::parse_in(path, &text), Some(SID));
        }
        assert_eq!(Sid::parse_in("/", &format!("/a#{SID}")), None);
    }

    #[test]
    fn other_text_names_none() {
        for text in [
            "",
            "abc",
            "!!!!!!!!!!!!!!!!!!!!!!!!",
            "ééééééééééééé",
            "AAAAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert_eq!(Sid::parse(text), None, "{text}");
        }
    }

    #[test]
    fn ids_of_one_process_begin_alike() {
        let source = SidSource::new().unwrap();
        let sid = Sid {
            node: source.node,
            shard: ShardId(u16::MAX),
            ..SID
        };
        assert!(sid.to_string().starts_with(&source.beginning()));
        assert_eq!(source.beginning().len(), NODE_CHARACTERS);
    }

    #[test]
    fn namespaces_of_one_session_have_different_ids() {
        let source = SidSource::new().unwrap();
        let ids = [0, 1].map(|id| source.namespace_secret(5, NamespaceId(id)));
        assert_ne!(ids[0], ids[1]);
        assert_eq!(ids[0], source.namespace_secret(5, NamespaceId(0)));
    }
}
