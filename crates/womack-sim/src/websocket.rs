//! A client's end of a WebSocket in memory: frames, and the bytes that have come of the next.

use std::io::Cursor;

use tokio_tungstenite::tungstenite::protocol::frame::{
    Frame, FrameHeader,
    coding::{Control, Data, OpCode},
};
use womack_engine::MemorySocket;

/// Bytes that the system takes for a client that does not read.
const ROOM: usize = 64 << 10;
/// The mask of what clients write. A server need not find it out.
const MASK: [u8; 4] = [1, 2, 3, 4];

/// A client's end of a WebSocket.
pub(crate) struct WebSocket {
    socket: MemorySocket,
    input: Vec<u8>,
}

/// Something that has come.
pub(crate) enum Incoming {
    Text(String),
    /// The server ends the WebSocket, for this reason.
    Close(String),
    /// The server has cut the stream off.
    CutOff,
}

impl WebSocket {
    pub(crate) fn new() -> Self {
        Self::with_room(ROOM)
    }

    /// The end of a client whose system takes so many bytes that it does not read.
    pub(crate) fn with_room(room: usize) -> Self {
        Self {
            socket: MemorySocket::with_room(room),
            input: Vec::new(),
        }
    }

    /// The socket, of which a shard has the other end.
    pub(crate) const fn socket(&self) -> &MemorySocket {
        &self.socket
    }

    /// Writes a message. The shard has to be told that the socket is ready.
    pub(crate) fn write(&self, text: &str) {
        let code = OpCode::Data(Data::Text);
        self.write_frame(Frame::message(text.as_bytes().to_vec(), code, true));
    }

    /// Writes a part of a message that is not its last.
    pub(crate) fn write_part(&self, text: &str, is_first: bool) {
        let data = match is_first {
            true => Data::Text,
            false => Data::Continue,
        };
        let code = OpCode::Data(data);
        self.write_frame(Frame::message(text.as_bytes().to_vec(), code, false));
    }

    /// Writes a ping.
    pub(crate) fn ping(&self) {
        self.write_frame(Frame::ping(Vec::new()));
    }

    fn write_frame(&self, mut frame: Frame) {
        let mut bytes = Vec::new();
        frame.header_mut().mask = Some(MASK);
        // Writing to memory does not fail.
        frame.format(&mut bytes).ok();
        self.socket.push(&bytes);
    }

    /// Takes what the system has. The shard has to be told that there is room, and of pongs.
    /// Returns whether there was something.
    pub(crate) fn fill(&mut self) -> bool {
        let bytes = self.socket.take();
        self.input.extend(&bytes);
        !bytes.is_empty()
    }

    /// The next thing that has come.
    pub(crate) fn next(&mut self) -> Option<Incoming> {
        while let Some((code, payload)) = next_frame(&mut self.input) {
            match code {
                OpCode::Data(_) => {
                    let text = String::from_utf8_lossy(&payload).into_owned();
                    return Some(Incoming::Text(text));
                }
                OpCode::Control(Control::Ping) => self.write_frame(Frame::pong(payload)),
                OpCode::Control(Control::Close) => {
                    let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default());
                    return Some(Incoming::Close(reason.into_owned()));
                }
                OpCode::Control(_) => {}
            }
        }
        self.socket.is_finished().then_some(Incoming::CutOff)
    }
}

/// Takes the next frame of a server from the front of `input`.
fn next_frame(input: &mut Vec<u8>) -> Option<(OpCode, Vec<u8>)> {
    let mut cursor = Cursor::new(&input[..]);
    let (header, length) = FrameHeader::parse(&mut cursor).ok()??;
    let begin = usize::try_from(cursor.position()).ok()?;
    let end = begin + usize::try_from(length).ok()?;
    if input.len() < end {
        return None;
    }
    let payload = input[begin..end].to_vec();
    input.drain(..end);
    Some((header.opcode, payload))
}
