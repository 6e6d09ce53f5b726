//! The ids that clients know themselves by, and that messages except.
//!
//! Clients of Engine.IO 4 learn an id of their own in each namespace they join, and so do those
//! without Engine.IO. Older ones call themselves by the id of the session, those of Engine.IO 3 in
//! a namespace with its path before it: `/another#Y9ntO3TPvFImbz_XAAAD`.

use womack_ledger::ShardId;
use womack_proto::{NamespaceId, Revision};

use crate::sid::{ConnectionId, ConnectionRef, Sid, SidSource};

/// The names that the clients of a shard have.
pub(in crate::shard) struct Ids {
    shard: ShardId,
    sids: SidSource,
}

/// A namespace, as far as it is part of what clients call themselves.
#[derive(Clone, Copy, Debug)]
pub(in crate::shard) struct NamedSpace<'a> {
    pub(in crate::shard) id: NamespaceId,
    pub(in crate::shard) path: &'a str,
}

/// The id by which a client knows itself, parsed.
#[derive(Clone, Copy, Debug)]
pub(in crate::shard) struct ClientName<'a> {
    /// The path before the id, if there is one.
    path: Option<&'a str>,
    sid: Sid,
}

impl Ids {
    pub(in crate::shard) const fn new(shard: ShardId, sids: SidSource) -> Self {
        Self { shard, sids }
    }

    pub(in crate::shard) const fn shard(&self) -> ShardId {
        self.shard
    }

    /// Whether `sid` is of this shard.
    pub(in crate::shard) fn is_own(&self, sid: Sid) -> bool {
        sid.node == self.sids.node && sid.shard == self.shard
    }

    /// The id of a client's session.
    pub(in crate::shard) const fn sid(&self, client: ConnectionRef) -> Sid {
        Sid {
            node: self.sids.node,
            shard: self.shard,
            slot: client.id,
            secret: client.secret,
        }
    }

    /// The id of a client of `revision` in `namespace`.
    pub(in crate::shard) fn client_id(
        &self,
        client: ConnectionRef,
        revision: Option<Revision>,
        namespace: NamedSpace<'_>,
    ) -> String {
        match revision {
            None | Some(Revision::V4) => self.namespace_sid(client, namespace.id).to_string(),
            Some(Revision::V3) if namespace.path != "/" => {
                format!("{}#{}", namespace.path, self.sid(client))
            }
            Some(Revision::V3 | Revision::Legacy) => self.sid(client).to_string(),
        }
    }

    /// Whether `name` is what a client that speaks `revision` calls itself in `namespace`. Clients
    /// 1.x leave the path out, so that the bare id is a name in every namespace.
    pub(in crate::shard) fn is_called(
        &self,
        client: ConnectionRef,
        revision: Option<Revision>,
        namespace: NamedSpace<'_>,
        name: ClientName<'_>,
    ) -> bool {
        match revision {
            None | Some(Revision::V4) => {
                name.path.is_none() && name.sid == self.namespace_sid(client, namespace.id)
            }
            Some(Revision::V3 | Revision::Legacy) => {
                let is_here = name.path.is_none_or(|path| path == namespace.path);
                is_here && name.sid == self.sid(client)
            }
        }
    }

    fn namespace_sid(&self, client: ConnectionRef, namespace: NamespaceId) -> Sid {
        let secret = self.sids.namespace_secret(client.secret, namespace);
        self.sid(ConnectionRef { secret, ..client })
    }
}

impl<'a> ClientName<'a> {
    /// Reads what somebody says that a client calls itself.
    pub(in crate::shard) fn parse(name: &'a str) -> Option<Self> {
        let (path, id) = match name.rsplit_once('#') {
            Some((path, id)) => (Some(path), id),
            None => (None, name),
        };
        let sid = Sid::parse(id)?;
        Some(Self { path, sid })
    }

    /// The connection that it may be.
    pub(in crate::shard) const fn connection(&self) -> ConnectionId {
        self.sid.slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: ConnectionRef = ConnectionRef {
        id: ConnectionId(3),
        secret: 7,
    };
    const HERE: NamedSpace<'_> = NamedSpace {
        id: NamespaceId(1),
        path: "/here",
    };

    #[test]
    fn clients_are_found_by_what_they_call_themselves() {
        let ids = Ids::new(ShardId(2), SidSource::new().unwrap());
        let revisions = [Revision::Legacy, Revision::V3, Revision::V4];
        for revision in revisions.into_iter().map(Some).chain([None]) {
            let name = ids.client_id(CLIENT, revision, HERE);
            let parsed = ClientName::parse(&name).unwrap();
            assert_eq!(parsed.connection(), CLIENT.id);
            let is_called = |client| ids.is_called(client, revision, HERE, parsed);
            assert!(is_called(CLIENT), "{name}");
            assert!(!is_called(ConnectionRef {
                secret: 8,
                ..CLIENT
            }));
        }
    }

    #[test]
    fn the_sessions_id_names_old_clients_only_and_those_in_every_namespace() {
        let ids = Ids::new(ShardId(2), SidSource::new().unwrap());
        let sid = ids.sid(CLIENT).to_string();
        assert!(ids.is_own(Sid::parse(&sid).unwrap()));
        let name = ClientName::parse(&sid).unwrap();
        let is_called = |revision| ids.is_called(CLIENT, Some(revision), HERE, name);
        assert!(is_called(Revision::V3) && is_called(Revision::Legacy));
        assert!(!is_called(Revision::V4));
        let elsewhere = format!("/there#{sid}");
        let name = ClientName::parse(&elsewhere).unwrap();
        assert!(!ids.is_called(CLIENT, Some(Revision::V3), HERE, name));
    }
}
