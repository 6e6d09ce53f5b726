//! What requests and tunnels are called.

/// Names a request everywhere: its ingress, and what that calls it.
pub(super) type Place = (u32, u64);

/// Names one end of a tunnel.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum End {
    /// Here the client is connected; the request's number.
    Ingress(u64),
    /// Here is its session.
    Owner(Place),
}
