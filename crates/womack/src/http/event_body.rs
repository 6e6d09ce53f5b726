//! The body of an event stream.

use std::{
    cell::RefCell,
    convert::Infallible,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::Notify;
use womack_engine::{EventQueue, Shard, Sid};

/// Bytes that are given to hyper at one go. It takes no more before they are nearly written, so
/// what it holds is not counted as the client's queue.
const PIECE_BYTES: usize = 64 * 1024;

/// The body of an answer that is an event stream.
pub(crate) struct EventBody {
    pub(super) shard: Rc<RefCell<Shard>>,
    pub(super) sid: Sid,
    pub(super) queue: Rc<EventQueue>,
    pub(super) metrics: Arc<womack_engine::Metrics>,
    /// Shows that the answer goes on.
    pub(super) _cut: Rc<Notify>,
}

impl Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let before = self.queue.bytes();
        let expired = self.queue.expire(Instant::now());
        let taken = self.queue.poll_take(context, PIECE_BYTES);
        let gone = (before - self.queue.bytes()) as i64;
        self.metrics.deliveries.client_queue_bytes.dec_by(gone);
        self.metrics.deliveries.spared("expired", expired);
        if let Poll::Ready(Some(bytes)) = &taken {
            self.metrics
                .deliveries
                .sent_bytes
                .inc_by(bytes.len() as u64);
        }
        taken.map(|taken| taken.map(|bytes| Ok(Frame::data(bytes))))
    }
}

impl Drop for EventBody {
    fn drop(&mut self) {
        // The shard is lent to one task at a time, and never while another's answer is dropped.
        if let Ok(mut shard) = self.shard.try_borrow_mut() {
            shard.close_events(self.sid, Instant::now());
        }
        let left = self.queue.bytes() as i64;
        self.metrics.deliveries.client_queue_bytes.dec_by(left);
    }
}
