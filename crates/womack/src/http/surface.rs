//! Which paths a listener serves.

/// Which paths a listener serves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Surface {
    /// Clients, pages, and what operators read.
    All,
    /// Clients and pages.
    Clients,
    /// What operators read, and publishing.
    Admin,
}
