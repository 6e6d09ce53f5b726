//! The meaning of errors for the subscriptions that a command names.

use crate::error_class::ErrorClass;

/// The slot of the errors `MOVED 3999 HOST:PORT` and `ASK 3999 HOST:PORT`.
pub(super) fn moved_slot(reason: &str) -> Option<u16> {
    let (code, rest) = reason.split_once(' ')?;
    matches!(code, "MOVED" | "ASK").then_some(())?;
    rest.split(' ').next()?.parse().ok()
}

/// Whether an error says that a slot cannot be served for now.
pub(super) fn is_about_slots(reason: &str) -> bool {
    let code = reason.split(' ').next();
    matches!(code, Some("CLUSTERDOWN" | "TRYAGAIN"))
}

/// Whether an error refuses the command itself, whatever it names: `NOPERM this user has no
/// permissions to run the 'subscribe' command`.
pub(super) fn is_about_command(reason: &str) -> bool {
    reason.starts_with("NOPERM") && reason.contains("to run the")
        || ErrorClass::of_text(reason) == ErrorClass::NoSuchCommand
}
