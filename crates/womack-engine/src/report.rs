//! What shards say of their clients, so that the back end may hear of it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::value::RawValue;
use womack_ledger::{Ledger, Limit, ShardId};
use womack_proto::NamespaceId;

use crate::{
    metrics::Metrics,
    queue::{Receiver, Scale, Sender, weighed_queue},
    timeout_queue::Ticket,
};

/// Bytes that a report may take, each of them, if as many wait as may.
const REPORT_BYTES: usize = 512;

/// What is remembered about a client: any JSON that it sent.
pub type Meta = Arc<RawValue>;

/// What a shard says of its clients.
pub enum Report {
    /// A client is in a channel from now on.
    Subscribed(Place),
    /// A client is in a channel no more.
    Unsubscribed(Place),
    /// A client has sent this to the back end.
    Custom(Box<Custom>),
    /// A client is in a channel: it was counted, or something else is known about it.
    Present(Place),
    /// A part of the shard was counted; the next begins at slot `next`, if there is one.
    Counted {
        /// The count.
        count: Count,
        /// The shard.
        shard: ShardId,
        /// The slot at which the next part begins.
        next: Option<u32>,
    },
    /// A client wants to know who is in a channel.
    Asked(Question),
}

impl Report {
    /// Bytes of memory that the report takes.
    const fn bytes(&self) -> usize {
        let more = match self {
            Self::Subscribed(place) | Self::Unsubscribed(place) | Self::Present(place) => {
                place.bytes
            }
            Self::Custom(custom) => custom.bytes,
            Self::Asked(_) | Self::Counted { .. } => 0,
        };
        size_of::<Self>() + more
    }
}

/// A report's part of a `meta`, in bytes. The client's record and its earlier reports have theirs.
fn part(meta: Option<&Meta>) -> usize {
    meta.map_or(0, |meta| meta.get().len() / Arc::strong_count(meta))
}

/// A client in a channel.
pub struct Place {
    /// What the client calls itself.
    pub session: String,
    /// The namespace.
    pub namespace: NamespaceId,
    /// As Redis knows it, with its prefix.
    pub channel: Arc<str>,
    /// Data that is remembered about the client.
    pub meta: Option<Meta>,
    /// Bytes of memory that it takes beside the report.
    bytes: usize,
}

impl Place {
    pub(crate) fn new(
        session: String,
        namespace: NamespaceId,
        channel: Arc<str>,
        meta: Option<Meta>,
    ) -> Self {
        Self {
            bytes: session.len() + channel.len() + part(meta.as_ref()),
            session,
            namespace,
            channel,
            meta,
        }
    }
}

/// What a client sent to the back end.
pub struct Custom {
    /// What the client calls itself.
    pub session: String,
    /// The namespace.
    pub namespace: NamespaceId,
    /// Data that is remembered about the client.
    pub meta: Option<Meta>,
    /// The data that the client sent.
    pub data: Box<RawValue>,
    /// Bytes of memory that it takes beside the report.
    bytes: usize,
}

impl Custom {
    pub(crate) fn new(
        session: String,
        namespace: NamespaceId,
        meta: Option<Meta>,
        data: Box<RawValue>,
    ) -> Self {
        let texts = session.len() + data.get().len();
        Self {
            bytes: size_of::<Self>() + texts + part(meta.as_ref()),
            session,
            namespace,
            meta,
            data,
        }
    }
}

/// Who is in this channel? `token` is the shard's own name for the question.
pub struct Question {
    /// The shard that asks.
    pub shard: ShardId,
    /// The number of the query in its shard.
    pub token: Ticket,
    /// The namespace.
    pub namespace: NamespaceId,
    /// As Redis knows it, with its prefix.
    pub channel: Arc<str>,
}

/// The number of a count, which goes through all clients of the node.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Count(pub u32);

/// The end of the queue of reports that shards hold.
///
/// A shard waits for nobody. When the queue is full, the oldest report makes room, and as that may
/// have been any, all clients have to be counted again. Reports that a count repeats do not come
/// that far: they have half of the queue.
pub struct Reports {
    queue: Sender<Report>,
    /// How many may wait before those that a count repeats are left out.
    room: usize,
    lost: AtomicBool,
}

impl Reports {
    /// A queue of at most `capacity` reports, whose other end is the reporter's. It has room for
    /// 512 bytes of each, on average, which are charged to `ledger`; nothing else may be.
    pub fn new(capacity: usize, ledger: &Ledger) -> (Self, Receiver<Report>) {
        let scale = Scale {
            weigh: Report::bytes,
            most: capacity.saturating_mul(REPORT_BYTES),
            ledger: ledger.clone(),
        };
        let (sender, receiver) = weighed_queue(capacity, scale);
        let reports = Self {
            queue: sender,
            room: capacity.div_ceil(2),
            lost: AtomicBool::new(false),
        };
        (reports, receiver)
    }

    /// Hands `report` over.
    pub fn send(&self, report: Report, metrics: &Metrics) {
        if matches!(report, Report::Present(_)) && !self.has_room_for_counts() {
            self.set_lost();
            return metrics.limit(Limit::MaxWaitingEvents);
        }
        self.queue.send_over(report, |oldest| {
            self.set_lost();
            metrics.limit(Limit::MaxWaitingEvents);
            if let Report::Subscribed(_) | Report::Unsubscribed(_) | Report::Custom(_) = oldest {
                metrics.events_dropped.inc();
            }
        });
    }

    fn has_room_for_counts(&self) -> bool {
        self.queue.len() < self.room && self.queue.bytes() < self.room.saturating_mul(REPORT_BYTES)
    }

    /// How many reports may wait before those that a count repeats are left out.
    pub const fn room(&self) -> usize {
        self.room
    }

    /// Notes that what others know of this node's clients may be wrong.
    pub fn set_lost(&self) {
        self.lost.store(true, Ordering::Release);
    }

    /// Whether that was noted since [`Reports::take_lost`] was called last.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// The same, and forgets it.
    pub fn take_lost(&self) -> bool {
        self.lost.swap(false, Ordering::AcqRel)
    }

    /// How many reports wait.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn place() -> Place {
        Place::new("sid".to_owned(), NamespaceId(0), "key:a".into(), None)
    }

    #[test]
    fn oldest_report_makes_room_and_is_missed() {
        let metrics = Metrics::unread(1);
        let (reports, _receiver) = Reports::new(2, &Ledger::default());
        for report in [
            Report::Present(place()),
            Report::Subscribed(place()),
            Report::Unsubscribed(place()),
        ] {
            reports.send(report, &metrics);
        }
        assert_eq!(reports.len(), 2);
        assert!(reports.take_lost());
        assert!(!reports.take_lost(), "it is asked once for each loss");
        // Of a client that was only counted, nobody outside was to hear.
        assert_eq!(metrics.events_dropped.get(), 0);
        reports.send(Report::Subscribed(place()), &metrics);
        assert_eq!(metrics.events_dropped.get(), 1);
        assert!(reports.take_lost());
    }

    #[test]
    fn a_report_that_a_count_repeats_takes_no_room_of_others() {
        let metrics = Metrics::unread(1);
        let (reports, _receiver) = Reports::new(4, &Ledger::default());
        for _ in 0..2 {
            reports.send(Report::Present(place()), &metrics);
        }
        assert!(!reports.take_lost());
        reports.send(Report::Present(place()), &metrics);
        assert_eq!(reports.len(), 2);
        assert!(reports.take_lost());
        for _ in 0..2 {
            reports.send(Report::Subscribed(place()), &metrics);
        }
        assert_eq!((reports.len(), reports.take_lost()), (4, false));
    }

    #[test]
    fn long_reports_take_the_room_of_several() {
        let (metrics, ledger) = (Metrics::unread(1), Ledger::default());
        let (reports, mut receiver) = Reports::new(4, &ledger);
        let long = || Place::new("x".repeat(REPORT_BYTES), NamespaceId(0), "a".into(), None);
        for _ in 0..4 {
            reports.send(Report::Subscribed(long()), &metrics);
        }
        assert!(reports.take_lost() && reports.len() < 4);
        assert!(ledger.bytes() <= 4 * REPORT_BYTES);
        assert_eq!(metrics.events_dropped.get() as usize, 4 - reports.len());
        let mut received = Vec::new();
        receiver.receive(&mut received, 9).now_or_never();
        assert_eq!((reports.len(), ledger.bytes()), (0, 0));
    }
}
