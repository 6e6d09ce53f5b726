//! Finds the id of a connection's client, and the connections that an id or an `except` names.
//!
//! `connections/ids` has the forms of the ids.

use smallvec::SmallVec;
use womack_proto::{Except, NamespaceId};

use crate::{
    shard::{
        Shard,
        connections::{connection::Connection, ids::*},
    },
    sid::ConnectionId,
};

impl Shard {
    /// The id of the client of `connection`, which is or was in the slot `id`, in
    /// `namespace`.
    pub(in crate::shard) fn client_id(
        &self,
        id: ConnectionId,
        connection: &Connection,
        namespace: NamespaceId,
    ) -> String {
        let client = connection.named(id);
        let revision = connection.kind().revision();
        self.ids
            .client_id(client, revision, self.named_space(namespace))
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

    /// The connection whose client calls itself `name` in `namespace`.
    pub(in crate::shard) fn connection_named(
        &self,
        name: &str,
        namespace: NamespaceId,
    ) -> Option<ConnectionId> {
        let name = ClientName::parse(name)?;
        let connection = self.connections.get(name.connection())?;
        let client = connection.named(name.connection());
        let (revision, space) = (connection.kind().revision(), self.named_space(namespace));
        let is_it = self.ids.is_called(client, revision, space, name);
        is_it.then_some(client.id)
    }

    fn named_space(&self, id: NamespaceId) -> NamedSpace<'_> {
        let path = &self.context.registry.get(id).path;
        NamedSpace { id, path }
    }
}
