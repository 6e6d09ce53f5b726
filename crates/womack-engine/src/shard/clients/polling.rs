//! Sessions whose transport is HTTP long-polling.

use std::time::Instant;

use tokio::sync::oneshot;
use womack_proto::{
    Answer, CloseReason, Frame, PollBody, SessionError, frame,
    legacy::NOOP,
    payload::{self, Format, Packet},
    session_error::NOT_HANDSHAKEN,
};

use super::{
    repetitions::{Repetitions, Verdict},
    upgrade::Probe,
};
use crate::shard::{
    delivery::{pending::Pending, round::Outbox},
    io::wire::Wire,
};

/// Packets in one answer. python-engineio throws larger payloads away.
const PACKETS_PER_ANSWER: usize = 16;

/// A client that polls.
pub(crate) struct Polling {
    /// How its bodies are written.
    format: Format,
    /// The GET that waits for packets.
    waiting: Option<WaitingPoll>,
    /// A WebSocket that asks to take over.
    probe: Option<Probe>,
    /// Why the session ends with the first poll that finds nothing more, if it does.
    ending: Option<CloseReason>,
    /// Which GETs are repetitions of others.
    repetitions: Repetitions,
    /// When the client has to have made another request after its handshake, if it has made none.
    expected: Option<Instant>,
}

/// A GET that waits for packets.
struct WaitingPoll {
    /// Its number.
    token: u64,
    answer: oneshot::Sender<Answer>,
}

/// The rest of a polling client whose session has ended.
pub(in crate::shard) struct EndedPolling {
    pub(in crate::shard) format: Format,
    /// Takes the answer to the GET that waits.
    pub(in crate::shard) answer: Option<oneshot::Sender<Answer>>,
    /// The WebSocket that asked to take over.
    pub(in crate::shard) probe: Option<Wire>,
}

impl Polling {
    /// The client has to make another request until `expected`.
    pub(in crate::shard) const fn new(format: Format, expected: Instant) -> Self {
        Self {
            expected: Some(expected),
            format,
            waiting: None,
            probe: None,
            ending: None,
            repetitions: Repetitions::new(),
        }
    }

    /// When the client has to have made another request, if it has made none since its handshake.
    pub(in crate::shard) const fn expected(&self) -> Option<Instant> {
        self.expected
    }

    /// The client has made a request.
    pub(in crate::shard) const fn note_request(&mut self) {
        self.expected = None;
    }

    /// How the client's bodies are written.
    pub(in crate::shard) const fn format(&self) -> Format {
        self.format
    }

    /// Whether a GET waits for packets.
    pub(in crate::shard) const fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Ends the session with the first poll that finds nothing more.
    pub(in crate::shard) const fn end(&mut self, reason: CloseReason) {
        self.ending = Some(reason);
    }

    /// Why the session ends with one of the next polls, if it does.
    pub(in crate::shard) const fn ending(&self) -> Option<CloseReason> {
        self.ending
    }

    /// A WebSocket that asks to take over, if one does.
    pub(in crate::shard) const fn probe(&self) -> Option<&Probe> {
        self.probe.as_ref()
    }

    pub(in crate::shard) const fn probe_mut(&mut self) -> Option<&mut Probe> {
        self.probe.as_mut()
    }

    pub(in crate::shard) fn probe_wire_mut(&mut self) -> Option<&mut Wire> {
        self.probe.as_mut().map(Probe::wire_mut)
    }

    /// A WebSocket asks to take over.
    pub(in crate::shard) fn begin_probe(&mut self, probe: Probe) {
        self.note_request();
        self.probe = Some(probe);
    }

    /// No WebSocket asks to take over any more.
    pub(in crate::shard) const fn take_probe(&mut self) -> Option<Probe> {
        self.probe.take()
    }

    /// Whether a GET with this stamp was given up before later ones were made.
    pub(in crate::shard) fn is_late(&self, stamp: Option<u64>) -> bool {
        self.repetitions.is_late(stamp)
    }

    /// Whether a GET with this stamp repeats another whose answer was lost.
    pub(in crate::shard) fn note_poll(&mut self, stamp: Option<u64>) -> Verdict {
        self.note_request();
        self.repetitions.poll(stamp)
    }

    pub(in crate::shard) const fn repetitions_mut(&mut self) -> &mut Repetitions {
        &mut self.repetitions
    }

    /// What is known of the GETs of a client that polls no more, if one of them was repeated.
    pub(in crate::shard) fn into_repeated(self) -> Option<Repetitions> {
        self.repetitions.has_any().then_some(self.repetitions)
    }

    /// A GET waits for packets from now on.
    pub(in crate::shard) fn wait(&mut self, token: u64, answer: oneshot::Sender<Answer>) {
        self.waiting = Some(WaitingPoll { token, answer });
    }

    /// Takes what is to be told the answer to the GET that waits.
    pub(in crate::shard) fn take_waiting(&mut self) -> Option<oneshot::Sender<Answer>> {
        self.waiting.take().map(|waiting| waiting.answer)
    }

    /// The session has ended.
    pub(in crate::shard) fn into_ended(self) -> EndedPolling {
        EndedPolling {
            format: self.format,
            answer: self.waiting.map(|waiting| waiting.answer),
            probe: self.probe.map(Probe::into_wire),
        }
    }

    /// Whether the GET with this number waits.
    pub(in crate::shard) fn is_waiting_for(&self, token: u64) -> bool {
        let waiting = self.waiting.as_ref();
        waiting.is_some_and(|waiting| waiting.token == token)
    }
}

/// The answer to the last GET of a session that ended for `reason`.
pub(in crate::shard) fn last_answer(
    format: Format,
    outbox: &Outbox,
    reason: CloseReason,
) -> Answer {
    match reason {
        CloseReason::ParseError | CloseReason::InvalidState | CloseReason::TooManyPackets => {
            Answer::Refused(SessionError::BadRequest)
        }
        // A close packet would end it for good: python-socketio stays away after one. A request
        // that fails makes every client open another session.
        CloseReason::Shutdown | CloseReason::Aged if !outbox.has_pending() => {
            Answer::Refused(SessionError::Ended)
        }
        CloseReason::Shutdown | CloseReason::Aged => last_body(format, outbox, None),
        _ if format == Format::Legacy => last_body(format, outbox, last_packet(reason)),
        CloseReason::ClientDisconnect => last_body(format, outbox, Some(frame::NOOP)),
        _ => last_body(format, outbox, Some(frame::CLOSE)),
    }
}

/// Whether a client ends its session with this packet.
pub(in crate::shard) fn ends_session(format: Format, packet: &Packet<'_>) -> bool {
    let Packet::Text(text) = packet else {
        return false;
    };
    match format {
        Format::Separated | Format::Counted { .. } => text == "1",
        Format::Legacy => text.starts_with("0:"),
    }
}

/// The body of one answer, and how many bytes of the frames are done with.
pub(in crate::shard) fn encode<'a>(
    format: Format,
    runs: impl IntoIterator<Item = &'a [u8]>,
) -> (PollBody, usize) {
    let mut bytes = Vec::new();
    let encoded = payload::encode(format, runs, PACKETS_PER_ANSWER, &mut bytes);
    let content = encoded.content;
    let bytes = bytes.into();
    (PollBody { content, bytes }, encoded.consumed)
}

/// The answer after which none follows: what waits, and `end`.
fn last_body(format: Format, outbox: &Outbox, end: Option<Frame>) -> Answer {
    let runs = outbox.pending().into_iter().flat_map(Pending::chunks);
    let end = end.as_ref().map(Frame::as_bytes);
    Answer::Packets(encode(format, runs.chain(end)).0)
}

/// Answers a request whose client may have gone, in which case nothing is lost.
pub(in crate::shard) fn reply(answer: oneshot::Sender<Answer>, with: Answer) {
    answer.send(with).ok();
}

/// What the last answer to a client ends with. Nothing but word from the server that it does not
/// know the session brings a client back that should come back.
fn last_packet(reason: CloseReason) -> Option<Frame> {
    match reason {
        CloseReason::ClientDisconnect => Some(NOOP),
        // The packet that says so is there already.
        CloseReason::ServerDisconnect => None,
        _ => Some(Frame::text(&[NOT_HANDSHAKEN.as_bytes()])),
    }
}
