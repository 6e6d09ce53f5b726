//! The end of a round: one write to each client that has something.

use crate::shard::{Shard, io::elapsed_since};

impl Shard {
    /// Writes to every client what the round has for it.
    pub(in crate::shard) fn flush(&mut self) {
        // A client that is closed here may leave something for others: acknowledgements, say.
        while !self.egress.is_clean() {
            self.flush_once();
        }
    }

    /// The same if so much is in the round that it has to be written before more is gathered.
    pub(in crate::shard) fn flush_if_full(&mut self) {
        if self.egress.is_full() {
            self.flush();
        }
    }

    fn flush_once(&mut self) {
        let mut written = self.egress.write(&mut self.connections);
        let deliveries = &self.context.metrics.deliveries;
        deliveries.writes.inc_by(written.writes);
        deliveries.sent_bytes.inc_by(written.bytes);
        let left_over = std::mem::take(&mut written.left_over);
        let mut broken = std::mem::take(&mut written.broken);
        let has_kept = !left_over.is_empty();
        self.keep(left_over, &mut broken);
        if let Some(received) = self.egress.finish(written) {
            let seconds = &self.context.metrics.deliveries.seconds;
            seconds.observe(elapsed_since(received));
        }
        for (id, reason) in broken {
            self.close(id, reason);
        }
        if has_kept {
            self.relieve_at_once();
        }
    }
}
