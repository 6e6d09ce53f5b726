//! One write of many slices.

use std::io::{self, IoSlice};

/// Slices in one write; the system takes 1,024, and more than some bring nothing.
pub(in crate::shard) const SLICES_PER_WRITE: usize = 64;

/// One write; `None` when the socket takes nothing now.
///
/// # Errors
/// The socket's own.
pub(in crate::shard) fn write_some(
    out: &mut impl io::Write,
    slices: &[IoSlice<'_>],
) -> io::Result<Option<usize>> {
    loop {
        let done = match slices {
            [slice] => out.write(slice),
            _ => out.write_vectored(slices),
        };
        match done {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => return Ok(Some(count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
