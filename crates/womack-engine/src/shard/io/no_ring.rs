//! In place of `ring.rs` where it is left out or the system is not Linux: a ring that never opens.

use std::{io, os::fd::BorrowedFd};

/// A ring that never opens.
pub enum Ring {}

/// A send that nobody takes.
#[derive(Clone, Copy)]
#[expect(
    dead_code,
    reason = "the same fields as with a ring, which nothing reads without one"
)]
pub(in crate::shard) struct Job<'a> {
    pub(in crate::shard) socket: BorrowedFd<'a>,
    pub(in crate::shard) bytes: &'a [u8],
}

pub(in crate::shard) enum Answer {}

impl Answer {
    pub(in crate::shard) fn taken(&self) -> Option<io::Result<usize>> {
        match *self {}
    }
}

impl Ring {
    /// Opens no ring.
    ///
    /// # Errors
    /// Always.
    pub fn open() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in crate::shard) fn send<'a>(
        &mut self,
        _jobs: impl Iterator<Item = Job<'a>>,
        _answers: &mut Vec<Answer>,
    ) -> io::Result<()> {
        match *self {}
    }
}
