//! Packets for the client, in the words of its revision.

use bytes::Bytes;

use super::Session;
use crate::{
    frame::{Frame, PING},
    handshake::Revision,
    legacy,
    output::Output,
    socket_io,
};

impl Session {
    /// What asks the client for a sign of life.
    pub(super) const fn ping(&self) -> Frame {
        match self.revision {
            Revision::Legacy => legacy::HEARTBEAT,
            Revision::V3 | Revision::V4 => PING,
        }
    }

    /// The client is in the namespace at `path`, where its id is `sid`.
    pub(super) fn send_connect(&self, path: &str, sid: &str, out: &mut Vec<Output>) {
        self.send(out, || match self.revision {
            Revision::Legacy => legacy::encode_connect(path),
            revision => socket_io::encode_connect(revision, path, sid),
        });
    }

    /// The server keeps the client out of the namespace at `path`.
    pub(super) fn send_connect_error(&self, path: &str, message: &str, out: &mut Vec<Output>) {
        self.send(out, || match self.revision {
            Revision::Legacy => legacy::encode_error(path),
            Revision::V3 | Revision::V4 => socket_io::encode_connect_error(path, message, None),
        });
    }

    /// A handler keeps the client out of the namespace at `path`. `data` is a JSON text.
    pub(super) fn send_refusal(
        &self,
        path: &str,
        message: &str,
        data: Option<&str>,
        out: &mut Vec<Output>,
    ) {
        self.send(out, || match self.revision {
            Revision::Legacy => legacy::encode_error(path),
            Revision::V3 => socket_io::encode_error(path, message, data),
            Revision::V4 => socket_io::encode_connect_error(path, message, data),
        });
    }

    /// The client is no longer in the namespace at `path`.
    pub(super) fn send_disconnect(&self, path: &str, out: &mut Vec<Output>) {
        self.send(out, || match self.revision {
            Revision::Legacy => legacy::encode_disconnect(path),
            Revision::V3 | Revision::V4 => socket_io::encode_disconnect(path),
        });
    }

    /// An event. Clients of Socket.IO 0.9 know no attachments and get none.
    pub(super) fn send_event(
        &self,
        path: &str,
        name: &str,
        args: &str,
        attachments: &[Bytes],
        out: &mut Vec<Output>,
    ) {
        self.send(out, || match self.revision {
            Revision::Legacy => legacy::encode_event(path, None, name, args),
            Revision::V3 | Revision::V4 => {
                socket_io::encode_event(path, None, name, args, attachments.len())
            }
        });
        self.send_attachments(attachments, out);
    }

    /// The acknowledgement of the event `ack`. Attachments are as those of an event.
    pub(super) fn send_ack(
        &self,
        path: &str,
        ack: u64,
        args: &str,
        attachments: &[Bytes],
        out: &mut Vec<Output>,
    ) {
        self.send(out, || match self.revision {
            Revision::Legacy => legacy::encode_ack(path, ack, args),
            Revision::V3 | Revision::V4 => {
                socket_io::encode_ack(path, ack, args, attachments.len())
            }
        });
        self.send_attachments(attachments, out);
    }

    fn send(&self, out: &mut Vec<Output>, encode: impl FnOnce() -> String) {
        let packet = encode();
        let engine_io: &[u8] = match self.revision {
            Revision::Legacy => b"",
            Revision::V3 | Revision::V4 => b"4",
        };
        let frame = Frame::text(&[engine_io, packet.as_bytes()]);
        out.push(Output::Send(frame));
    }

    fn send_attachments(&self, attachments: &[Bytes], out: &mut Vec<Output>) {
        if self.revision == Revision::Legacy {
            return;
        }
        let frames = attachments
            .iter()
            .map(|data| Frame::binary(self.revision, data));
        out.extend(frames.map(Output::Send));
    }
}
