//! An event as frames, for clients of every revision.

use bytes::Bytes;

use super::Emission;
use crate::{
    frame::{Frame, append_text},
    handshake::Revision,
    legacy, socket_io,
};

/// The frames of an event: its packet, and its attachments after it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Frames {
    v4: Bytes,
    /// Where they are others.
    v3: Option<Bytes>,
    /// Where clients can hear them.
    legacy: Option<Bytes>,
}

impl Frames {
    /// The frames of `emission` in the namespace at `path`.
    pub(super) fn new(emission: &Emission, path: &str) -> Self {
        let attachments = &emission.attachments;
        let Emission { name, args, .. } = emission;
        let packet = socket_io::encode_event(path, None, name, args, attachments.len());
        let frames = |revision| {
            let mut frames = Vec::new();
            append_text(&mut frames, &[b"4", packet.as_bytes()]);
            for attachment in attachments {
                frames.extend_from_slice(Frame::binary(revision, attachment).as_bytes());
            }
            frames.into()
        };
        let legacy = || {
            let packet = legacy::encode_event(path, None, name, args);
            Frame::text(&[packet.as_bytes()]).into_bytes()
        };
        Self {
            v4: frames(Revision::V4),
            v3: (!attachments.is_empty()).then(|| frames(Revision::V3)),
            legacy: attachments.is_empty().then(legacy),
        }
    }

    /// What clients of `revision` get. There are no bytes in Socket.IO 0.9, and so no events that
    /// have some.
    pub fn of(&self, revision: Revision) -> Option<&Bytes> {
        match revision {
            Revision::V4 => Some(&self.v4),
            Revision::V3 => Some(self.v3.as_ref().unwrap_or(&self.v4)),
            Revision::Legacy => self.legacy.as_ref(),
        }
    }

    /// How many bytes a client gets at the most.
    pub fn max_bytes(&self) -> usize {
        let others = [&self.v3, &self.legacy].into_iter().flatten();
        others.map(Bytes::len).fold(self.v4.len(), usize::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Opcode, packets};

    fn frames(args: &str, attachments: &[&'static [u8]], path: &str) -> Frames {
        let attachments = attachments.iter().map(|data| Bytes::from_static(data));
        let emission = Emission::new("e".into(), args.into(), attachments.collect());
        emission.unwrap().frames(path)
    }

    #[test]
    fn text_is_the_same_for_all_who_have_an_engine_io() {
        let frames = frames("1,2", &[], "/a");
        let expected = Frame::text(&[br#"42/a,["e",1,2]"#]).into_bytes();
        assert_eq!(frames.of(Revision::V4), Some(&expected));
        assert_eq!(frames.of(Revision::V3), Some(&expected));
        let expected = Frame::text(&[br#"5::/a:{"name":"e","args":[1,2]}"#]).into_bytes();
        assert_eq!(frames.of(Revision::Legacy), Some(&expected));
        assert_eq!(frames.max_bytes(), expected.len());
    }

    #[test]
    fn attachments_follow_their_event() {
        let args = r#"1,{"_placeholder":true,"num":0}"#;
        let frames = frames(args, &[&[7]], "/a");
        for (revision, attachment) in [(Revision::V4, &[7][..]), (Revision::V3, &[4, 7])] {
            let text = br#"451-/a,["e",1,{"_placeholder":true,"num":0}]"#;
            let all: Vec<_> = packets(frames.of(revision).unwrap()).collect();
            let expected = [(Opcode::Text, &text[..]), (Opcode::Binary, attachment)];
            assert_eq!(all, expected, "{revision:?}");
        }
        assert_eq!(frames.of(Revision::Legacy), None);
    }
}
