//! A stand-in for a socket whose buffer fills up, for tests.

use std::io;

/// A writer that takes `room` bytes; each later write would block.
pub(super) struct LimitedWriter {
    pub(super) taken: Vec<u8>, // bounded: by its room, in tests
    pub(super) room: usize,
}

impl LimitedWriter {
    pub(super) const fn new(room: usize) -> Self {
        Self {
            taken: Vec::new(),
            room,
        }
    }
}

impl io::Write for LimitedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room);
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.taken.extend_from_slice(&bytes[..count]);
        self.room -= count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
