//! The commands that a client has queued since `MULTI`.

use bytes::Bytes;

/// Commands queued since `MULTI`, by their arguments: a client must not know how commands run,
/// so `EXEC` finds them again.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    queue: Vec<Vec<Bytes>>,
    bytes: usize,
    /// Set by a command that could not be queued: `EXEC` will then do nothing.
    aborted: bool,
}

impl Transaction {
    /// Keeps a command. False if the transaction is then over `max_bytes`, and keeps nothing.
    pub(crate) fn push(&mut self, arguments: &[Bytes], max_bytes: usize) -> bool {
        let cost = |argument: &Bytes| argument.len() + size_of::<Bytes>();
        self.bytes += arguments.iter().map(cost).sum::<usize>();
        if self.bytes > max_bytes {
            self.queue.clear();
            return false;
        }
        // Copied, because a slice of the input buffer would keep all of it in memory.
        let arguments = arguments
            .iter()
            .map(|argument| Bytes::copy_from_slice(argument))
            .collect();
        self.queue.push(arguments);
        true
    }

    /// Makes `EXEC` fail.
    pub(crate) fn abort(&mut self) {
        self.aborted = true;
    }

    /// The arguments of each command; `None` if the transaction was aborted.
    pub(crate) fn into_queue(self) -> Option<Vec<Vec<Bytes>>> {
        (!self.aborted).then_some(self.queue)
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}
