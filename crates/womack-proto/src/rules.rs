//! What one server asks of all its clients.

use std::time::Duration;

/// What one server asks of its clients; lent to every call of a [`Session`](crate::Session).
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// When to ping, and how long to wait.
    pub timing: Timing,
    /// How much one client may send.
    pub limits: Limits,
    /// The namespaces that clients may join.
    pub namespaces: Namespaces,
}

/// When to ping, and how long to wait.
#[derive(Clone, Debug)]
pub struct Timing {
    /// From the opening, and from each pong, to the next ping.
    pub ping_interval: Duration,
    /// From a ping to its pong.
    pub ping_timeout: Duration,
    /// From the opening to the first namespace joined.
    pub connect_timeout: Duration,
    /// From the first byte of a message or packet to its last, attachments included.
    pub message_timeout: Duration,
    /// From a poll of a Socket.IO 0.9 client to its end, if there is nothing to say.
    pub poll_duration: Duration,
    /// From the handshake of a Socket.IO 0.9 client to its transport, and from the end of a poll
    /// to the next.
    pub close_timeout: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(10),
            message_timeout: Duration::from_secs(10),
            poll_duration: Duration::from_secs(20),
            close_timeout: Duration::from_secs(60),
        }
    }
}

/// How much one client may send. Beyond a limit the client is closed, or refused the namespace.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Attachments of one packet.
    pub max_attachments: usize,
    /// Bytes of all attachments of one packet together.
    pub max_attachment_bytes: usize,
    /// Namespaces that one client joins.
    pub max_namespaces: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_attachments: 10,
            max_attachment_bytes: 1_000_000,
            max_namespaces: 16,
        }
    }
}

/// A namespace by its number in [`Namespaces`]; 0 is `/`.
#[derive(Copy, Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NamespaceId(pub u16);

/// The paths of a server's namespaces.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Namespaces(Vec<Box<str>>);

impl Namespaces {
    /// The namespace `/`, and after it `paths` in their order, each once. A slash that a path
    /// lacks is put before it.
    ///
    /// # Panics
    /// If there are more than 65,536 paths.
    pub fn new(paths: impl IntoIterator<Item: AsRef<str>>) -> Self {
        let mut namespaces = Self::default();
        for path in paths {
            let path = path.as_ref();
            let path = format!("/{}", path.strip_prefix('/').unwrap_or(path));
            if namespaces.id(&path).is_none() {
                namespaces.0.push(path.into());
            }
        }
        assert!(namespaces.0.len() <= 1 << 16, "more than 65,536 namespaces");
        namespaces
    }

    /// The number of the namespace at `path`.
    pub fn id(&self, path: &str) -> Option<NamespaceId> {
        let index = self.0.iter().position(|known| **known == *path)?;
        u16::try_from(index).ok().map(NamespaceId)
    }

    /// The path of the namespace `id`, `/` for a number that there is not.
    pub fn path(&self, id: NamespaceId) -> &str {
        self.0.get(usize::from(id.0)).map_or("/", |path| path)
    }

    /// All namespaces, `/` first.
    pub fn iter(&self) -> impl Iterator<Item = (NamespaceId, &str)> {
        (0..=u16::MAX)
            .map(NamespaceId)
            .zip(self.0.iter().map(|path| &**path))
    }
}

impl Default for Namespaces {
    fn default() -> Self {
        Self(vec!["/".into()])
    }
}

/// What a session speaks.
#[derive(Copy, Clone, Debug, Eq, Hash, PartialEq)]
pub enum Layer {
    /// Socket.IO: namespaces, events, acknowledgements.
    SocketIo,
    /// Engine.IO alone: messages as they are.
    EngineIo,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_comes_first_and_nothing_twice() {
        let namespaces = Namespaces::new(["/b", "/", "a", "/b", "/a"]);
        let all: Vec<_> = namespaces.iter().map(|(id, path)| (id.0, path)).collect();
        assert_eq!(all, [(0, "/"), (1, "/b"), (2, "/a")]);
    }

    #[test]
    fn ids_and_paths_are_inverse() {
        let namespaces = Namespaces::new(["/another"]);
        assert_eq!(namespaces.id("/another"), Some(NamespaceId(1)));
        assert_eq!(namespaces.path(NamespaceId(1)), "/another");
        assert_eq!(namespaces.id("/random"), None);
        assert_eq!(namespaces.id("another"), None);
        assert_eq!(namespaces.path(NamespaceId(7)), "/");
    }
}
