//! How applications publish.

/// The command by which an application publishes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Publishing {
    /// `PUBLISH`, which a cluster passes on to all of its servers.
    Everywhere,
    /// `SPUBLISH`, which stays with the server that has the channel's slot.
    ToShard,
}
