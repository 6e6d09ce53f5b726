//! For how long an HTTP connection may be silent: within a request, and between two.
//!
//! hyper has one time for both. Balancers and browsers reuse connections, and a request that is
//! sent just as the server closes its connection is lost: a balancer answers 502. So connections
//! stay for longer than those that reuse them do, and the time is told to them.

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use tokio::time::timeout;
use womack_ledger::Limit;

use super::traffic::TrafficCount;

/// How long a request may be on its way to a connection that is about to be closed: a balancer has
/// chosen the connection and is kept from sending by other work.
const LAST_REQUEST: Duration = Duration::from_millis(100);

/// How long a client that has connected may take before it counts as one that asks nothing.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// The two times, and how far a connection is.
#[derive(Debug)]
pub(super) struct SilenceTimer {
    handshake: Duration,
    keep_alive: Duration,
    phase: Phase,
    /// Up to the last look.
    traffic: TrafficCount,
    /// Bytes that were read before the head of the request that is expected.
    read_before: u64,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The head of a request is expected since then: the connection is new, or has begun one.
    Head(Instant),
    /// A request is answered.
    Answer,
    /// The answer is given since then, or its last bytes were written then.
    Idle(Instant),
}

impl SilenceTimer {
    /// Times a connection that is new at `now`.
    pub(super) fn new(handshake: Duration, keep_alive: Duration, now: Instant) -> Self {
        Self {
            handshake,
            keep_alive,
            phase: Phase::Head(now),
            traffic: TrafficCount::default(),
            read_before: 0,
        }
    }

    /// Takes what has happened up to `now`: bytes read and written since the connection opened, and
    /// whether a request is being answered.
    pub(super) fn observe(&mut self, traffic: TrafficCount, is_answering: bool, now: Instant) {
        let has_read = traffic.read > self.traffic.read;
        let has_written = traffic.written > self.traffic.written;
        if !matches!(self.phase, Phase::Head(_)) {
            self.read_before = self.traffic.read;
        }
        self.traffic = traffic;
        self.phase = match self.phase {
            _ if is_answering => Phase::Answer,
            Phase::Answer => Phase::Idle(now),
            // An answer that is written at once was never seen to be made.
            Phase::Head(_) | Phase::Idle(_) if has_written => Phase::Idle(now),
            Phase::Idle(_) if has_read => Phase::Head(now),
            unchanged => unchanged,
        };
    }

    /// Until when the client has to say something, and the limit that it exceeds otherwise.
    pub(super) fn deadline(&self) -> Option<(Instant, Limit)> {
        match self.phase {
            Phase::Head(since) => Some((since + self.handshake, Limit::HandshakeSeconds)),
            Phase::Answer => None,
            Phase::Idle(since) => Some((since + self.keep_alive, Limit::KeepAliveSeconds)),
        }
    }

    /// Bytes of the head of a request that has begun.
    pub(super) fn head_bytes(&self) -> usize {
        match self.phase {
            Phase::Head(_) => (self.traffic.read - self.read_before) as usize,
            Phase::Answer | Phase::Idle(_) => 0,
        }
    }

    /// Since when nothing is asked, so that the connection may make room for another.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        match self.phase {
            Phase::Idle(since) => Some(since),
            Phase::Head(since) if self.traffic.read == 0 => Some(since + FIRST_REQUEST),
            Phase::Head(_) | Phase::Answer => None,
        }
    }
}

/// Ends a connection of a server that ends: after the answer that it is at, or, if it is idle, in a
/// moment in which a request that is on its way arrives and is answered. That answer is to end it.
pub(super) async fn finish<C: Future>(
    mut connection: Pin<&mut C>,
    shut_down: impl FnOnce(Pin<&mut C>),
) -> C::Output {
    if let Ok(ended) = timeout(LAST_REQUEST, connection.as_mut()).await {
        return ended;
    }
    shut_down(connection.as_mut());
    connection.await
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::ready, pin::pin};

    use bytes::Bytes;
    use http_body_util::Empty;
    use hyper::{
        Request, Response, body::Incoming, header::CONNECTION, server::conn::http1,
        service::service_fn,
    };
    use hyper_util::rt::TokioIo;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        select,
    };

    use super::*;

    const HANDSHAKE: Duration = Duration::from_secs(10);
    const KEEP_ALIVE: Duration = Duration::from_secs(75);

    fn count(read: u64, written: u64) -> TrafficCount {
        TrafficCount {
            read,
            written,
            ..TrafficCount::default()
        }
    }

    fn seconds(start: Instant, count: u64) -> Instant {
        start + Duration::from_secs(count)
    }

    #[test]
    fn a_request_has_the_time_of_one_from_its_first_byte() {
        let start = Instant::now();
        let mut timer = SilenceTimer::new(HANDSHAKE, KEEP_ALIVE, start);
        let head = |since: u64| Some((seconds(start, since + 10), Limit::HandshakeSeconds));
        assert_eq!(timer.deadline(), head(0));
        timer.observe(count(5, 0), false, seconds(start, 9));
        assert_eq!(timer.deadline(), head(0), "more bytes are no more time");
        assert_eq!(timer.head_bytes(), 5);
        timer.observe(count(90, 0), true, seconds(start, 9));
        assert_eq!(timer.deadline(), None);
        timer.observe(count(90, 50), false, seconds(start, 40));
        let idle = |since: u64| Some((seconds(start, since + 75), Limit::KeepAliveSeconds));
        assert_eq!(timer.deadline(), idle(40));
        timer.observe(count(91, 50), false, seconds(start, 100));
        assert_eq!((timer.deadline(), timer.head_bytes()), (head(100), 1));
    }

    #[test]
    fn a_connection_on_which_nothing_is_asked_may_make_room() {
        let start = Instant::now();
        let mut timer = SilenceTimer::new(HANDSHAKE, KEEP_ALIVE, start);
        assert_eq!(timer.idle_since(), Some(start + FIRST_REQUEST));
        timer.observe(count(5, 0), false, seconds(start, 2));
        assert_eq!(timer.idle_since(), None);
        timer.observe(count(90, 0), true, seconds(start, 3));
        assert_eq!(timer.idle_since(), None);
        timer.observe(count(90, 50), false, seconds(start, 4));
        assert_eq!(timer.idle_since(), Some(seconds(start, 4)));
    }

    #[test]
    fn silence_begins_with_the_last_byte_of_an_answer() {
        let start = Instant::now();
        let mut timer = SilenceTimer::new(HANDSHAKE, KEEP_ALIVE, start);
        let idle = |since: u64| Some((seconds(start, since + 75), Limit::KeepAliveSeconds));
        timer.observe(count(90, 50), false, seconds(start, 1));
        assert_eq!(timer.deadline(), idle(1), "asked and answered at one go");
        timer.observe(count(90, 99), false, seconds(start, 30));
        assert_eq!(timer.deadline(), idle(30));
        timer.observe(count(90, 99), false, seconds(start, 60));
        assert_eq!(timer.deadline(), idle(30));
        timer.observe(count(180, 150), false, seconds(start, 70));
        assert_eq!(timer.deadline(), idle(70));
    }

    #[tokio::test]
    async fn a_request_on_its_way_to_a_connection_that_ends_is_answered() {
        let is_draining = Cell::new(false);
        let service = service_fn(|_: Request<Incoming>| async {
            let connection = if is_draining.get() {
                "close"
            } else {
                "keep-alive"
            };
            let response = Response::builder().header(CONNECTION, connection);
            response.body(Empty::<Bytes>::new())
        });
        let (mut client, server) = duplex(4096);
        let connection = http1::Builder::new().serve_connection(TokioIo::new(server), service);
        let mut connection = pin!(connection.with_upgrades());
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        client.write_all(request).await.unwrap();
        let mut answer = [0; 4096];
        select! {
            _ = connection.as_mut() => panic!("a connection that is kept has ended"),
            read = client.read(&mut answer) => assert!(read.unwrap() > 0),
        }

        is_draining.set(true);
        let mut finish = pin!(finish(connection, |connection| connection.graceful_shutdown()));
        select! {
            biased;
            _ = finish.as_mut() => panic!("no request had the time to arrive"),
            () = ready(()) => client.write_all(request).await.unwrap(),
        }
        finish.await.unwrap();
        let read = client.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
    }
}
