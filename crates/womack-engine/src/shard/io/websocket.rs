//! The WebSocket protocol after its handshake: decoding of the input.
//!
//! Frames are decoded by tungstenite, whose state for one connection is some kilobytes. Nearly
//! all input is a few whole messages, after which that state is what it was before, so a shard
//! decodes such input with one decoder for all its connections. A connection gets a decoder of
//! its own only while a message of it is incomplete. Telling the two apart needs the frames'
//! headers alone, and is what [`Boundaries`] does.

use std::{
    io::{self, Cursor},
    time::{Duration, Instant},
};

use bytes::Bytes;
use smallvec::SmallVec;
use tokio_tungstenite::tungstenite::{
    Error, Message, Utf8Bytes,
    error::CapacityError,
    protocol::{
        Role, WebSocketConfig, WebSocketContext,
        frame::{
            FrameHeader,
            coding::{Data, OpCode},
        },
    },
};
use womack_ledger::{Charge, DECODER_BYTES, Ledger, grown};
use womack_proto::CloseReason;

/// What came in.
#[derive(Debug, PartialEq)]
pub(crate) enum Inbound {
    /// A text message.
    Text(Utf8Bytes),
    /// A binary message.
    Binary(Bytes),
    /// The peer answers a ping, or says unasked that it lives.
    Pong,
    /// A frame to send: a pong, or the answer to a close frame.
    Reply(Bytes),
    /// The peer has closed, or broken the rules; nothing follows. The code is for the close
    /// frame that is still to be sent, if any.
    Closed(CloseReason, Option<u16>),
}

impl Inbound {
    /// The bytes of the message, or of the frame that answers it.
    pub(in crate::shard) fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) | Self::Reply(bytes) => bytes.len(),
            Self::Pong | Self::Closed(..) => 0,
        }
    }
}

/// Decodes what comes in on a shard's connections.
pub(crate) struct Decoder {
    config: WebSocketConfig,
    shared: WebSocketContext,
    message_timeout: Duration,
    ledger: Ledger,
}

/// The state of a connection whose last message is incomplete.
pub(crate) struct Partial {
    context: WebSocketContext,
    boundaries: Boundaries,
    /// When the message has to be complete.
    deadline: Instant,
    charge: Charge,
}

impl Partial {
    /// What it takes of the memory.
    pub(crate) const fn bytes(&self) -> usize {
        self.charge.bytes()
    }

    /// When the message has to be complete.
    pub(crate) const fn deadline(&self) -> Instant {
        self.deadline
    }
}

impl Decoder {
    /// `max_payload_bytes` is the most that one message may have, and `message_timeout` the time
    /// from its first byte to its last.
    pub(crate) fn new(
        max_payload_bytes: usize,
        message_timeout: Duration,
        ledger: &Ledger,
    ) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(4096)
            .write_buffer_size(0)
            .max_message_size(Some(max_payload_bytes))
            .max_frame_size(Some(max_payload_bytes));
        Self {
            config,
            shared: WebSocketContext::new(Role::Server, Some(config)),
            message_timeout,
            ledger: ledger.clone(),
        }
    }

    /// Decodes `bytes`, which came in on the connection with the state `partial` at `now`.
    pub(crate) fn decode(
        &mut self,
        partial: &mut Option<Box<Partial>>,
        bytes: &[u8],
        now: Instant,
        inbound: &mut Vec<Inbound>,
    ) {
        let deadline = now + self.message_timeout;
        let Some(state) = partial else {
            let mut boundaries = Boundaries::default();
            if boundaries.pass(bytes) && boundaries.at_rest() {
                if !feed(&mut self.shared, bytes, inbound) {
                    self.shared = WebSocketContext::new(Role::Server, Some(self.config));
                }
                return;
            }
            let mut context = WebSocketContext::new(Role::Server, Some(self.config));
            if feed(&mut context, bytes, inbound) {
                let charge = self.ledger.hold(DECODER_BYTES + grown(boundaries.held));
                *partial = Some(Box::new(Partial {
                    context,
                    boundaries,
                    deadline,
                    charge,
                }));
            }
            return;
        };
        let messages = state.boundaries.messages;
        // Frames that the boundaries cannot follow end the connection in the decoder.
        let is_known = state.boundaries.pass(bytes);
        let is_whole = is_known && state.boundaries.at_rest();
        let goes_on = feed(&mut state.context, bytes, inbound);
        if !goes_on || is_whole {
            *partial = None;
            return;
        }
        state
            .charge
            .set(DECODER_BYTES + grown(state.boundaries.held));
        if state.boundaries.messages != messages {
            // What is incomplete now is another message.
            state.deadline = deadline;
        }
    }
}

/// Gives `bytes` to `context`. False when the connection has ended.
fn feed(context: &mut WebSocketContext, bytes: &[u8], inbound: &mut Vec<Inbound>) -> bool {
    let mut feed = Feed {
        input: bytes,
        replies: Vec::new(),
    };
    loop {
        let read = context.read(&mut feed);
        if !feed.replies.is_empty() {
            inbound.push(Inbound::Reply(std::mem::take(&mut feed.replies).into()));
        }
        match read {
            Ok(Message::Text(text)) => inbound.push(Inbound::Text(text)),
            Ok(Message::Binary(data)) => inbound.push(Inbound::Binary(data)),
            Ok(Message::Pong(_)) => inbound.push(Inbound::Pong),
            // Answered by the decoder itself when it is read from again.
            Ok(Message::Ping(_) | Message::Close(_) | Message::Frame(_)) => {}
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return true,
            Err(error) => {
                let (reason, code) = reason(&error);
                inbound.push(Inbound::Closed(reason, code));
                return false;
            }
        }
    }
}

fn reason(error: &Error) -> (CloseReason, Option<u16>) {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => (CloseReason::TransportClose, None),
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            (CloseReason::PayloadTooLarge, Some(1009))
        }
        Error::Utf8(_) => (CloseReason::ParseError, Some(1007)),
        Error::Io(_) => (CloseReason::TransportError, None),
        _ => (CloseReason::ParseError, Some(1002)),
    }
}

/// What the decoder takes for a socket: it reads what came in, and keeps what is to go out.
struct Feed<'a> {
    input: &'a [u8],
    replies: Vec<u8>, // bounded: by one read
}

impl io::Read for Feed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl io::Write for Feed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.replies.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Follows where frames and messages end, through input that may be cut anywhere.
#[derive(Default)]
struct Boundaries {
    /// The beginning of a header that is incomplete.
    header: SmallVec<[u8; 16]>,
    /// Bytes of the current frame's payload that are still to come.
    payload: u64,
    /// Whether the current frame is a part of a message, and not a control frame.
    in_data: bool,
    /// Whether a fragmented message is incomplete.
    in_message: bool,
    /// Bytes of the message that is incomplete.
    held: usize,
    /// Messages that were complete; begins again at 2^32.
    messages: u32,
}

impl Boundaries {
    /// Follows `bytes`. False when the connection will end with them.
    fn pass(&mut self, mut bytes: &[u8]) -> bool {
        loop {
            let skipped = self.payload.min(bytes.len() as u64);
            self.payload -= skipped;
            if self.in_data {
                self.held += skipped as usize;
            }
            self.note_end();
            bytes = &bytes[skipped as usize..];
            if bytes.is_empty() {
                return true;
            }
            let known = self.header.len();
            self.header
                .extend_from_slice(&bytes[..bytes.len().min(MAX_HEADER_BYTES - known)]);
            let mut cursor = Cursor::new(&self.header);
            match FrameHeader::parse(&mut cursor) {
                Err(_) => return false,
                Ok(None) => return true,
                Ok(Some((header, length))) => {
                    bytes = &bytes[cursor.position() as usize - known..];
                    self.header.clear();
                    self.payload = length;
                    match header.opcode {
                        OpCode::Data(Data::Reserved(_)) => return false,
                        OpCode::Data(_) => {
                            self.in_data = true;
                            self.in_message = !header.is_final;
                        }
                        OpCode::Control(control) => {
                            use tokio_tungstenite::tungstenite::protocol::frame::coding::Control;
                            if !matches!(control, Control::Ping | Control::Pong) {
                                return false;
                            }
                            self.in_data = false;
                        }
                    }
                }
            }
        }
    }

    /// Notes the end of a message, if this is one.
    fn note_end(&mut self) {
        if self.payload == 0 && self.in_data {
            self.in_data = false;
            if !self.in_message {
                self.held = 0;
                self.messages = self.messages.wrapping_add(1);
            }
        }
    }

    /// Whether no frame and no message is incomplete.
    fn at_rest(&self) -> bool {
        self.header.is_empty() && self.payload == 0 && !self.in_message
    }
}

/// Two bytes, eight of an extended length, four of the mask.
const MAX_HEADER_BYTES: usize = 14;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame, coding::CloseCode};

    use super::*;

    fn masked(mut frame: Frame) -> Vec<u8> {
        frame.header_mut().mask = Some([1, 2, 3, 4]);
        let mut bytes = Vec::new();
        frame.format(&mut bytes).unwrap();
        bytes
    }

    fn data(text: &str, opcode: Data, is_final: bool) -> Vec<u8> {
        masked(Frame::message(
            Bytes::copy_from_slice(text.as_bytes()),
            OpCode::Data(opcode),
            is_final,
        ))
    }

    fn text(text: &str) -> Vec<u8> {
        data(text, Data::Text, true)
    }

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn decoder(max_payload_bytes: usize) -> Decoder {
        Decoder::new(max_payload_bytes, TIMEOUT, &Ledger::default())
    }

    #[test]
    fn an_unfinished_message_is_charged_whatever_comes_between_its_fragments() {
        let ledger = Ledger::default();
        let mut decoder = Decoder::new(100_000, TIMEOUT, &ledger);
        let (mut partial, mut inbound) = (None, Vec::new());
        let now = Instant::now();
        let fragment = "x".repeat(10_000);
        let first = data(&fragment, Data::Text, false);
        decoder.decode(&mut partial, &first, now, &mut inbound);
        for _ in 0..3 {
            let ping = masked(Frame::ping("between"));
            decoder.decode(&mut partial, &ping, now + TIMEOUT, &mut inbound);
            let next = data(&fragment, Data::Continue, false);
            decoder.decode(&mut partial, &next, now + TIMEOUT, &mut inbound);
        }
        assert_eq!(ledger.bytes(), DECODER_BYTES + grown(40_000));
        let deadline = partial.as_deref().map(Partial::deadline);
        assert_eq!(deadline, Some(now + TIMEOUT), "of its first byte");
        let last = data(&fragment, Data::Continue, true);
        let begun = data("y", Data::Text, false);
        let later = now + TIMEOUT / 2;
        decoder.decode(&mut partial, &[last, begun].concat(), later, &mut inbound);
        assert_eq!(ledger.bytes(), DECODER_BYTES + 1);
        let deadline = partial.as_deref().map(Partial::deadline);
        assert_eq!(deadline, Some(later + TIMEOUT), "of the next message");
        decoder.decode(
            &mut partial,
            &data("z", Data::Continue, true),
            later,
            &mut inbound,
        );
        assert_eq!((partial.is_none(), ledger.bytes()), (true, 0));
    }

    #[test]
    fn whole_messages_leave_no_state() {
        let mut decoder = decoder(100);
        let (mut partial, mut inbound) = (None, Vec::new());
        decoder.decode(
            &mut partial,
            &[text("a"), text("b")].concat(),
            Instant::now(),
            &mut inbound,
        );
        assert_eq!(
            inbound,
            [Inbound::Text("a".into()), Inbound::Text("b".into())]
        );
        assert!(partial.is_none());
    }

    #[test]
    fn ping_is_answered_and_close_is_answered_and_ends() {
        let mut decoder = decoder(100);
        let (mut partial, mut inbound) = (None, Vec::new());
        decoder.decode(
            &mut partial,
            &masked(Frame::ping("x")),
            Instant::now(),
            &mut inbound,
        );
        assert_eq!(inbound, [Inbound::Reply(Bytes::from_static(b"\x8a\x01x"))]);
        inbound.clear();
        let close = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        decoder.decode(
            &mut partial,
            &masked(Frame::close(Some(close))),
            Instant::now(),
            &mut inbound,
        );
        assert_eq!(
            inbound,
            [
                Inbound::Reply(Bytes::from_static(b"\x88\x02\x03\xe8")),
                Inbound::Closed(CloseReason::TransportClose, None),
            ]
        );
        inbound.clear();
        decoder.decode(
            &mut None,
            &text("next client"),
            Instant::now(),
            &mut inbound,
        );
        assert_eq!(
            inbound,
            [Inbound::Text("next client".into())],
            "nobody else notices"
        );
    }

    #[test]
    fn broken_rules_end_with_their_code_and_touch_nobody_else() {
        let mut decoder = decoder(5);
        let mut unmasked = Vec::new();
        Frame::message("x", OpCode::Data(Data::Text), true)
            .format(&mut unmasked)
            .unwrap();
        let mut bad_utf8 = text("x");
        *bad_utf8.last_mut().unwrap() ^= 0xff;
        for (bytes, code) in [
            (text("123456"), 1009),
            (unmasked, 1002),
            (bad_utf8, 1007),
            (vec![0xf1, 0x80, 0, 0, 0, 0], 1002),
            (vec![0x83, 0x80, 0, 0, 0, 0], 1002),
            (data("x", Data::Continue, true), 1002),
        ] {
            let (mut partial, mut inbound) = (None, Vec::new());
            decoder.decode(&mut partial, &bytes, Instant::now(), &mut inbound);
            let Some(Inbound::Closed(_, found)) = inbound.last() else {
                panic!("{bytes:x?} gave {inbound:?}");
            };
            assert_eq!(*found, Some(code), "{bytes:x?}");
            assert!(partial.is_none());
            inbound.clear();
            decoder.decode(&mut None, &text("ok"), Instant::now(), &mut inbound);
            assert_eq!(inbound, [Inbound::Text("ok".into())]);
        }
    }

    proptest! {
        #[test]
        fn input_may_be_cut_anywhere(cuts in prop::collection::vec(0..200_usize, 0..8)) {
            let stream = [
                text("first"),
                data("sec", Data::Text, false),
                masked(Frame::ping("between")),
                data("ond", Data::Continue, true),
                text(&"third".repeat(30)),
            ]
            .concat();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let mut decoder = decoder(1000);
            let (mut partial, mut inbound) = (None, Vec::new());
            for ends in cuts.windows(2) {
                decoder.decode(&mut partial, &stream[ends[0]..ends[1]], Instant::now(), &mut inbound);
            }
            prop_assert!(partial.is_none());
            inbound.retain(|inbound| matches!(inbound, Inbound::Text(_)));
            prop_assert_eq!(inbound, [
                Inbound::Text("first".into()),
                Inbound::Text("second".into()),
                Inbound::Text("third".repeat(30).into()),
            ]);
        }
    }
}
