//! The ids that clients know themselves by, and that messages except.
//!
//! Clients of Engine.IO 4 learn an id of their own in each namespace they join, and so do those
//! without Engine.IO. Older ones call themselves by the id of the session, those of Engine.IO 3 in
//! a namespace with its path before it: `/another#Y9ntO3TPvFImbz_XAAAD`.

use smallvec::SmallVec;
use womack_proto::{Except, NamespaceId, Revision};

use super::connection::Connection;
use crate::{
    shard::Shard,
    sid::{ConnectionId, Sid},
};

impl Shard {
    /// What the client of `connection`, in the place `id`, calls itself in `namespace`.
    pub(in crate::shard) fn client_id(
        &self,
        id: ConnectionId,
        connection: &Connection,
        namespace: NamespaceId,
    ) -> String {
        let secret = connection.secret();
        let path = &self.context.registry.get(namespace).path;
        match connection.kind().revision() {
            None | Some(Revision::V4) => self.namespace_sid(id, secret, namespace).to_string(),
            Some(Revision::V3) if path != "/" => format!("{path}#{}", self.sid(id, secret)),
            Some(Revision::V3 | Revision::Legacy) => self.sid(id, secret).to_string(),
        }
    }

    /// The connections of this shard that a message for `namespace` spares.
    pub(in crate::shard) fn excepted(
        &self,
        except: &Except,
        namespace: NamespaceId,
    ) -> SmallVec<[ConnectionId; 4]> {
        except
            .ids()
            .filter_map(|id| self.connection_named(id, namespace))
            .collect()
    }

    /// The connection whose client calls itself `id` in `namespace`. Clients 1.x leave the path
    /// out, so that the bare id is a name in every namespace.
    pub(in crate::shard) fn connection_named(
        &self,
        id: &str,
        namespace: NamespaceId,
    ) -> Option<ConnectionId> {
        let (path, id) = match id.rsplit_once('#') {
            Some((path, id)) => (Some(path), id),
            None => (None, id),
        };
        let sid = Sid::parse(id)?;
        let connection = self.connections.get(sid.slot)?;
        let secret = connection.secret();
        let is_it = match connection.kind().revision() {
            None | Some(Revision::V4) => {
                path.is_none() && sid == self.namespace_sid(sid.slot, secret, namespace)
            }
            Some(Revision::V3 | Revision::Legacy) => {
                let here = &self.context.registry.get(namespace).path;
                path.is_none_or(|path| path == here) && sid == self.sid(sid.slot, secret)
            }
        };
        is_it.then_some(sid.slot)
    }

    /// The id of the session in the place `slot`.
    pub(in crate::shard) fn sid(&self, slot: ConnectionId, secret: u64) -> Sid {
        Sid {
            node: self.context.sids.node,
            shard: self.id,
            slot,
            secret,
        }
    }

    fn namespace_sid(&self, slot: ConnectionId, secret: u64, namespace: NamespaceId) -> Sid {
        let secret = self.context.sids.namespace_secret(secret, namespace);
        self.sid(slot, secret)
    }
}
