//! Whether the answer to a poll has reached its client.
//!
//! An answer takes packets out of the session's queue, so one that is lost on its way must end the
//! session: it would go on with a gap of which nobody knows. hyper tells no more of an answer than
//! that its body was taken. The bytes of the body therefore tell themselves when they are dropped,
//! which hyper does once the system has them all, and the stream tells how its connection ended:
//!
//! | the connection | the answer |
//! |---|---|
//! | ended before the system had all bytes | is lost |
//! | was closed by the client, and then reset | is lost: the client was gone before the last bytes came |
//! | timed out with bytes that were never acknowledged | is lost |
//! | was closed in order, or brought another request | has arrived |
//! | was reset after the system had all bytes | may have been read |
//!
//! The last line cannot be decided here. A client that gives an answer up resets its connection,
//! and so does HAProxy, some milliseconds after a healthy client has read its answer through it.
//! The session decides by the stamp of its next poll; a client without stamps that no proxy stands
//! before is taken to have given up.

use std::{
    cell::{Cell, RefCell},
    io,
    net::IpAddr,
    rc::Rc,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    select,
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use womack_engine::Sid;
use womack_ledger::{AddressShare, Charge, Ledger, Slot, SlotError};
use womack_proto::relay::AnswerLoss;

use super::{
    body::AnswerBytes,
    client_stream::{ClientStream, StreamEnd},
    stalled_polls::StalledPolls,
};

/// An answer that has lain at the system for longer was read when its connection is reset: whoever
/// gives up just as the answer comes is quicker.
const RESET_TIME: Duration = Duration::from_secs(1);
/// Between two looks at a connection that is about to end; doubled each time.
const FIRST_LOOK: Duration = Duration::from_millis(1);
/// The longest time between two looks.
const LOOKS: Duration = Duration::from_millis(100);

/// Tells sessions of answers that may not have reached their clients.
pub(super) trait LossReport {
    /// Tells the session `sid` that an answer of its own may not have reached its client.
    fn report_loss(self: Rc<Self>, sid: Sid, loss: AnswerLoss);
}

/// The session that a request polls, and which of its polls it is.
#[derive(Clone, Copy)]
pub(super) struct PollTarget {
    pub(super) sid: Sid,
    /// As `womack_proto::Handshake::stamp`.
    pub(super) stamp: Option<u64>,
}

/// A TCP connection of a client, as its requests know it.
pub(super) struct ClientConnection {
    /// Breaks the connection off. An event stream holds it.
    pub(super) cut: Rc<Notify>,
    /// Whether a proxy stands before the client, as far as its latest request tells.
    pub(super) is_proxied: Cell<bool>,
    end: Arc<StreamEnd>,
    /// Answers after which the client has not been heard.
    unconfirmed: RefCell<Vec<UnconfirmedAnswer>>,
    /// Counts the descriptor; taken when the stream becomes a WebSocket.
    slot: RefCell<Option<Slot>>,
}

/// An answer of which it is not known yet whether its client has it.
struct UnconfirmedAnswer {
    losses: Rc<dyn LossReport>,
    sid: Sid,
    stamp: Option<u64>,
    /// Whether no proxy is known to stand before the client.
    is_direct: bool,
    /// When the system had all bytes.
    written: Arc<OnceLock<Instant>>,
    is_settled: bool,
}

/// How a connection ended after it had brought all bytes to the system.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ending {
    /// All was acknowledged, or nobody knows better.
    Orderly,
    /// The client closed it and was gone before the last bytes came.
    ClosedEarly,
    /// It was reset, for whatever reason.
    Reset,
    /// Nobody acknowledged the last bytes.
    Silent,
}

impl Ending {
    /// How a connection ended that brought this error, which no healthy one does.
    const fn of(error: io::ErrorKind) -> Self {
        use io::ErrorKind::{HostUnreachable, NetworkDown, NetworkUnreachable, TimedOut};

        match error {
            // The system gives this error when it has tried for long enough, and an ICMP message
            // says why nothing came back.
            TimedOut | HostUnreachable | NetworkUnreachable | NetworkDown => Self::Silent,
            // BrokenPipe among them: whoever writes after a reset is told that.
            _ => Self::Reset,
        }
    }
}

impl ClientConnection {
    /// A connection whose descriptor `slot` counts, and its stream as hyper is to have it.
    pub(super) fn new(stream: TcpStream, slot: Option<Slot>) -> (Rc<Self>, ClientStream) {
        let (stream, end) = ClientStream::new(stream);
        let connection = Self {
            cut: Rc::default(),
            is_proxied: Cell::new(false),
            end,
            unconfirmed: RefCell::default(),
            slot: RefCell::new(slot),
        };
        (Rc::new(connection), stream)
    }

    /// Whether an event stream is sent.
    pub(super) fn is_streaming(&self) -> bool {
        Rc::strong_count(&self.cut) > 1
    }

    /// The client does not read what it is sent, or does again: notes its polls in `stalled`, or
    /// takes them out.
    pub(super) fn note_stall(&self, is_stalled: bool, stalled: &StalledPolls) {
        for answer in &*self.unconfirmed.borrow() {
            if is_stalled && answer.written.get().is_none() {
                stalled.add(answer.sid, &self.cut);
            } else {
                stalled.remove(answer.sid, &self.cut);
            }
        }
    }

    /// The connection has ended.
    pub(super) fn forget_stall(&self, stalled: &StalledPolls) {
        for answer in &*self.unconfirmed.borrow() {
            stalled.remove(answer.sid, &self.cut);
        }
    }

    /// Whether there is an answer to a poll after which the client has not been heard.
    pub(super) fn has_unconfirmed(&self) -> bool {
        !self.unconfirmed.borrow().is_empty()
    }

    /// Whether there is an answer to a poll that the system could not take whole.
    pub(super) fn is_stalled(&self) -> bool {
        let unconfirmed = self.unconfirmed.borrow();
        unconfirmed
            .iter()
            .any(|answer| answer.written.get().is_none())
    }

    /// Has the system forget at once what it has still to send: its client does not read it.
    pub(super) fn reset(&self) {
        if let Some(stream) = self.end.take_stream() {
            // A stream that refuses the option is closed as others are.
            stream.set_zero_linger().ok();
        }
    }

    /// Whether a request is being answered: whatever produces an answer holds a part of this.
    pub(super) fn is_answering(self: &Rc<Self>) -> bool {
        Rc::strong_count(self) > 1 || self.is_streaming()
    }

    /// Takes over what counts the descriptor.
    pub(super) fn take_slot(&self) -> Option<Slot> {
        self.slot.take()
    }

    /// Counts the descriptor for the client at `address`, of which an address may have its `share`.
    ///
    /// # Errors
    /// That address has its share.
    pub(super) fn assign(&self, address: IpAddr, share: AddressShare) -> Result<(), SlotError> {
        let mut slot = self.slot.borrow_mut();
        slot.as_mut()
            .map_or(Ok(()), |slot| slot.assign(address, share))
    }

    /// A request came: its client has read what it was answered before.
    pub(super) fn heard(&self) {
        let mut unconfirmed = self.unconfirmed.borrow_mut();
        for answer in unconfirmed.extract_if(.., |answer| answer.written.get().is_some()) {
            answer.confirm();
        }
    }

    /// The body of an answer that brings packets of `sid`, which is watched from here on: `losses` is
    /// told if its client may not have it. Its bytes are charged to `ledger`.
    pub(super) fn answer(
        &self,
        losses: Rc<dyn LossReport>,
        PollTarget { sid, stamp }: PollTarget,
        bytes: Bytes,
        ledger: &Ledger,
    ) -> AnswerBytes {
        let written = Arc::new(OnceLock::new());
        self.unconfirmed.borrow_mut().push(UnconfirmedAnswer {
            losses,
            sid,
            stamp,
            is_direct: !self.is_proxied.get(),
            written: written.clone(),
            is_settled: false,
        });
        let charge = ledger.hold(bytes.len());
        AnswerBytes::charged(Bytes::from_owner(WatchedBytes {
            bytes,
            written,
            end: self.end.clone(),
            _charge: charge,
        }))
    }

    /// The connection has ended for hyper: finds out what became of the last answers. Waits until
    /// the client has acknowledged them, but no longer than twice `patience`, or until `closing`.
    pub(super) async fn settle(&self, patience: Duration, closing: &CancellationToken) {
        let answers = self.unconfirmed.take();
        // Those that are not written are dropped, which says that they are lost.
        let mut written: Vec<_> = answers
            .into_iter()
            .filter(|answer| answer.written.get().is_some())
            .collect();
        if written.is_empty() {
            return;
        }
        let ending = select! {
            ending = self.ending(patience) => ending,
            () = closing.cancelled() => Ending::Orderly,
        };
        let now = Instant::now();
        written
            .drain(..)
            .for_each(|answer| answer.settle(ending, now));
    }

    async fn ending(&self, patience: Duration) -> Ending {
        if let Some(ending) = self.end.error().map(Ending::of) {
            return ending;
        }
        let Some(mut stream) = self.end.take_stream() else {
            return Ending::Orderly;
        };
        let saw_end = self.end.saw_end();
        wait_for_close(&mut stream, patience).await;
        match stream.take_error() {
            Ok(None) => Ending::Orderly,
            Ok(Some(error)) if Ending::of(error.kind()) == Ending::Silent => Ending::Silent,
            _ if saw_end => Ending::ClosedEarly,
            _ => Ending::Reset,
        }
    }
}

/// Ends `stream`, and waits until the client has acknowledged all that was written and has closed
/// its side too, until the connection breaks, or for `patience`.
async fn wait_for_close(stream: &mut TcpStream, patience: Duration) {
    // The client may have closed or reset it already.
    stream.shutdown().await.ok();
    #[cfg(target_os = "linux")]
    {
        let millis = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
        // Without it a client that has vanished is taken to have read its answer.
        rustix::net::sockopt::set_tcp_user_timeout(&*stream, millis).ok();
    }
    let closed = async {
        let mut wait = FIRST_LOOK;
        // A connection that is closed on both sides, or broken, has no other end any more.
        while stream.peer_addr().is_ok() {
            sleep(wait).await;
            wait = (wait * 2).min(LOOKS);
        }
    };
    // The system's own time-out comes first, give or take a retransmission.
    timeout(patience * 2, closed).await.ok();
}

impl UnconfirmedAnswer {
    fn confirm(mut self) {
        self.is_settled = true;
    }

    fn settle(mut self, ending: Ending, now: Instant) {
        let written = self.written.get().copied().unwrap_or(now);
        let age = now.saturating_duration_since(written);
        let loss = loss(ending, self.stamp, self.is_direct, age);
        self.is_settled = true;
        if let Some(loss) = loss {
            self.losses.clone().report_loss(self.sid, loss);
        }
    }
}

impl Drop for UnconfirmedAnswer {
    fn drop(&mut self) {
        if !self.is_settled {
            self.losses
                .clone()
                .report_loss(self.sid, AnswerLoss::Certain);
        }
    }
}

/// The fate of an answer that the system has had for `age` when its connection ended.
fn loss(ending: Ending, stamp: Option<u64>, is_direct: bool, age: Duration) -> Option<AnswerLoss> {
    let is_recent = age < RESET_TIME;
    match (ending, stamp) {
        (Ending::Orderly, _) => None,
        (Ending::Silent, _) => Some(AnswerLoss::Certain),
        (Ending::ClosedEarly, _) if is_recent => Some(AnswerLoss::Certain),
        (_, Some(stamp)) => Some(AnswerLoss::IfRepeated(stamp)),
        (_, None) => (is_recent && is_direct).then_some(AnswerLoss::Certain),
    }
}

/// The bytes of an answer.
struct WatchedBytes {
    bytes: Bytes,
    written: Arc<OnceLock<Instant>>,
    end: Arc<StreamEnd>,
    _charge: Charge,
}

impl AsRef<[u8]> for WatchedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for WatchedBytes {
    fn drop(&mut self) {
        // hyper drops what it has not written only after the stream.
        if self.end.is_open() {
            self.written.set(Instant::now()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        AnswerLoss::{Certain, IfRepeated},
        *,
    };

    #[test]
    fn a_reset_proves_a_loss_only_where_nobody_resets_for_other_reasons() {
        let (soon, late) = (Duration::from_millis(3), RESET_TIME);
        for (ending, stamp, is_direct, age, expected) in [
            (Ending::Orderly, None, true, soon, None),
            (Ending::Silent, Some(7), false, late, Some(Certain)),
            (Ending::ClosedEarly, Some(7), false, soon, Some(Certain)),
            (
                Ending::ClosedEarly,
                Some(7),
                true,
                late,
                Some(IfRepeated(7)),
            ),
            (Ending::ClosedEarly, None, true, late, None),
            (Ending::Reset, Some(7), true, soon, Some(IfRepeated(7))),
            (Ending::Reset, Some(7), true, late, Some(IfRepeated(7))),
            (Ending::Reset, None, true, soon, Some(Certain)),
            (Ending::Reset, None, true, late, None),
            (Ending::Reset, None, false, soon, None),
        ] {
            let found = loss(ending, stamp, is_direct, age);
            assert_eq!(found, expected, "{ending:?} {stamp:?} {is_direct} {age:?}");
        }
    }

    /// A client and the server's side of its connection, as hyper leaves it.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await;
        let (server, _) = listener.accept().await.unwrap();
        (client.unwrap(), server)
    }

    /// How a connection ends of which the client does `act` after the server has written.
    async fn ending(act: impl AsyncFnOnce(&mut TcpStream)) -> Ending {
        let (mut client, server) = pair().await;
        let (connection, mut stream) = ClientConnection::new(server, None);
        stream.write_all(b"answer").await.unwrap();
        act(&mut client).await;
        drop((client, stream));
        connection.ending(Duration::from_secs(10)).await
    }

    #[test]
    fn an_error_of_the_connection_is_no_orderly_end() {
        use io::ErrorKind::{
            BrokenPipe, ConnectionReset, HostUnreachable, NetworkUnreachable, Other, TimedOut,
        };
        for (error, expected) in [
            (ConnectionReset, Ending::Reset),
            (BrokenPipe, Ending::Reset),
            (Other, Ending::Reset),
            (TimedOut, Ending::Silent),
            (HostUnreachable, Ending::Silent),
            (NetworkUnreachable, Ending::Silent),
        ] {
            assert_eq!(Ending::of(error), expected, "{error}");
        }
    }

    #[test]
    fn closing_after_the_answer_was_read_is_in_order_and_closing_before_it_is_a_reset() {
        let runtime = womack_engine::thread_runtime().unwrap();
        let read = async |client: &mut TcpStream| {
            tokio::io::AsyncReadExt::read_exact(client, &mut [0; 6])
                .await
                .unwrap();
        };
        assert_eq!(runtime.block_on(ending(read)), Ending::Orderly);
        let leave = async |_: &mut TcpStream| {};
        assert_eq!(runtime.block_on(ending(leave)), Ending::Reset);
    }
}
